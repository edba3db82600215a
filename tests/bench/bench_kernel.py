"""The allocation kernel against plain Python doing the same: all of it, handing out included."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from edgectl.control.kernel import Allocator
from edgectl.model.allocation import Outcome
from tests.bench import plain
from tests.bench.depots import depot, line_to_line_garage
from tests.bench.measure import Figure, median_s
from tests.kernel.bridge import flat_of
from tests.oracle.problem import Problem

INSTANCES = 12


def figures() -> Iterator[Figure]:
    per_evse = {}
    for size in (10, 100, 1_000, 10_000):
        instances = INSTANCES if size < 10_000 else 4
        problems = [depot(seed, evses=size) for seed in range(instances)]
        bare = median_s(_call, [_bare(problem) for problem in problems])
        flat = median_s(_call, [flat_of(problem).solve for problem in problems])
        door = median_s(_call, [_through_the_door(problem) for problem in problems])
        reference = median_s(_call, [_plain(problem) for problem in problems], budget_s=1.0)
        per_evse[size] = bare / size
        name = f"kernel.{size}"
        yield Figure(f"{name}", bare * 1e6, "us", reference / bare, "plain Python")
        yield Figure(f"{name}.per_evse", bare / size * 1e9, "ns", reference / bare, "plain Python")
        yield Figure(f"{name}.checked", flat * 1e6, "us", reference / flat, "plain Python")
        yield Figure(f"{name}.with_records", door * 1e6, "us", reference / door, "plain Python")
        yield Figure(f"{name}.plain_python", reference * 1e6, "us", 1.0, "plain Python")
    garages = [line_to_line_garage(seed) for seed in range(INSTANCES)]
    curved = median_s(_call, [flat_of(problem)._kernel.solve for problem in garages])
    beside = median_s(_call, [flat_of(_to_neutral(problem))._kernel.solve for problem in garages])
    against = "the same EVSEs to neutral without the transformer"
    yield Figure("kernel.line_to_line_garage.54", curved * 1e6, "us", beside / curved, against)
    for size in (100, 1_000):
        depots = [depot(seed, evses=size) for seed in range(INSTANCES)]
        apart = median_s(_call, [flat_of(_bounded(problem))._kernel.solve for problem in depots])
        beside = median_s(_call, [flat_of(problem)._kernel.solve for problem in depots])
        against = "without the unbalance ceiling, which binds"
        yield Figure(f"kernel.unbalance.{size}", apart * 1e6, "us", beside / apart, against)
    yield Figure(
        "kernel.scaling_100_to_10000",
        per_evse[10_000] / per_evse[100],
        "x",
        per_evse[100] / per_evse[10_000],
        "time per EVSE at 100",
    )


def _bounded(problem: Problem) -> Problem:
    """With a difference of phases at the grid connection that the plain filling would break."""
    nodes = (replace(problem.nodes[0], unbalance_a=2.0), *problem.nodes[1:])
    return replace(problem, nodes=nodes)


def _to_neutral(problem: Problem) -> Problem:
    return replace(
        problem,
        nodes=tuple(replace(node, turns_ratio=None) for node in problem.nodes),
        evses=tuple(replace(evse, line_to_line=False) for evse in problem.evses),
    )


def allocator(problem: Problem) -> Allocator:
    return Allocator(
        parents=[node.parent for node in problem.nodes],
        evse_nodes=[evse.node for evse in problem.evses],
        evse_phases=[evse.phases for evse in problem.evses],
    )


def _call(call: Callable[[], object]) -> object:
    return call()


def _plain(problem: Problem) -> Callable[[], object]:
    compiled = plain.Compiled(problem)
    return lambda: plain.allocate(compiled, problem)


def _through_the_door(problem: Problem) -> Callable[[], Outcome]:
    compiled = allocator(problem)
    nodes, evses = problem.nodes, problem.evses
    ceiling_a, ceiling_va = [n.ceiling_a for n in nodes], [n.ceiling_va for n in nodes]
    base_a, base_va = [n.base_a for n in nodes], [n.base_va for n in nodes]
    voltage_v = [n.voltage_v for n in nodes]
    weight, tier = [e.weight for e in evses], [e.tier for e in evses]
    min_a, max_a = [e.min_a for e in evses], [e.max_a for e in evses]
    step_a, pause_a = [e.step_a for e in evses], [e.pause_a for e in evses]
    allowed = [e.allowed for e in evses]
    return lambda: compiled.solve(
        ceiling_a=ceiling_a,
        ceiling_va=ceiling_va,
        base_a=base_a,
        base_va=base_va,
        voltage_v=voltage_v,
        weight=weight,
        tier=tier,
        min_a=min_a,
        max_a=max_a,
        step_a=step_a,
        pause_a=pause_a,
        allowed=allowed,
        queue=problem.queue,
    )


def _bare(problem: Problem) -> Callable[[], int]:
    """The kernel on arrays that are filled already."""
    flat = flat_of(problem)
    return flat._kernel.solve
