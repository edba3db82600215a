"""Hands a test's problem to the product."""

import math
from array import array

from edgectl.control.kernel import Allocator, FlatAllocator
from edgectl.model.allocation import Outcome
from tests.oracle.problem import Problem


def compile_site(problem: Problem) -> Allocator:
    return Allocator(
        parents=[node.parent for node in problem.nodes],
        evse_nodes=[evse.node for evse in problem.evses],
        evse_phases=[evse.phases for evse in problem.evses],
        turns_ratios=[node.turns_ratio for node in problem.nodes],
        unbalance_a=[node.unbalance_a for node in problem.nodes],
        line_to_line=[evse.line_to_line for evse in problem.evses],
    )


def solve(problem: Problem, allocator: Allocator | None = None) -> Outcome:
    return (allocator or compile_site(problem)).solve(
        ceiling_a=[node.ceiling_a for node in problem.nodes],
        ceiling_va=[node.ceiling_va for node in problem.nodes],
        base_a=[node.base_a for node in problem.nodes],
        base_va=[node.base_va for node in problem.nodes],
        voltage_v=[node.voltage_v for node in problem.nodes],
        weight=[evse.weight for evse in problem.evses],
        tier=[evse.tier for evse in problem.evses],
        min_a=[evse.min_a for evse in problem.evses],
        max_a=[evse.max_a for evse in problem.evses],
        step_a=[evse.step_a for evse in problem.evses],
        pause_a=[evse.pause_a for evse in problem.evses],
        allowed=[evse.allowed for evse in problem.evses],
        queue=problem.queue,
        primary_ceiling_a=[node.primary_ceiling_a for node in problem.nodes],
        export_ceiling_a=[node.export_ceiling_a for node in problem.nodes],
        export_ceiling_va=[node.export_ceiling_va for node in problem.nodes],
        min_discharge_a=[evse.min_discharge_a for evse in problem.evses],
        max_discharge_a=[evse.max_discharge_a for evse in problem.evses],
    )


def flat_of(problem: Problem) -> FlatAllocator:
    """The compiled site with its arrays filled."""
    nodes, evses = problem.nodes, problem.evses
    flat = FlatAllocator(
        parents=[node.parent for node in nodes],
        evse_nodes=[evse.node for evse in evses],
        evse_phases=[evse.phases for evse in evses],
        allowed=[evse.allowed for evse in evses],
        turns_ratios=[node.turns_ratio for node in nodes],
        unbalance_a=[node.unbalance_a for node in nodes],
        line_to_line=[evse.line_to_line for evse in evses],
    )
    ceilings = [c for node in nodes for c in (*node.ceiling_a, node.ceiling_va)]
    exports = [c for node in nodes for c in (*node.export_ceiling_a, node.export_ceiling_va)]
    primary = [c for node in nodes for c in node.primary_ceiling_a]
    flat.ceiling[:] = _unlimited(ceilings)
    flat.export_ceiling[:] = _unlimited(exports)
    flat.primary_ceiling[:] = _unlimited(primary)
    flat.base[:] = array("d", [b for node in nodes for b in (*node.base_a, node.base_va)])
    flat.voltage_v[:] = array("d", [v for node in nodes for v in node.voltage_v])
    for name in ("weight", "min_a", "max_a", "step_a", "pause_a"):
        getattr(flat, name)[:] = array("d", [getattr(evse, name) for evse in evses])
    for name in ("min_discharge_a", "max_discharge_a"):
        getattr(flat, name)[:] = array("d", [getattr(evse, name) for evse in evses])
    ranks = sorted({evse.tier for evse in evses})
    flat.tier[:] = array("i", [ranks.index(evse.tier) for evse in evses])
    flat.queue[:] = array("i", problem.queue)
    return flat


def _unlimited(ceilings: list[float | None]) -> "array[float]":
    return array("d", [math.inf if c is None else c for c in ceilings])
