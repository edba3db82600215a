"""What must hold on every site with phasors, unbalance ceilings or discharge."""

import math
import random
from array import array
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgectl.control.kernel import FlatAllocator
from edgectl.errors import InvariantBroken
from edgectl.model.allocation import Outcome
from tests.kernel.bridge import compile_site, solve
from tests.oracle import phasors
from tests.oracle.problem import (
    Evse,
    Node,
    Problem,
    random_discharge_problem,
    random_phasor_problem,
    random_unbalance_problem,
)

SEEDS = st.integers(0, 2**32)

Make = Callable[[int], Problem]

KINDS: dict[str, Make] = {
    "phasors": random_phasor_problem,
    "unbalance": lambda seed: random_unbalance_problem(seed, continuous=seed % 2 == 0),
    "discharge": lambda seed: random_discharge_problem(seed, phasors=False),
    "discharge of phasors": lambda seed: random_discharge_problem(seed, phasors=True),
}
every_kind = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS.keys())
some = settings(max_examples=60, deadline=None, derandomize=True)


@every_kind
def test_order_of_nodes_changes_not_a_bit(make: Make) -> None:
    @some
    @given(SEEDS, st.randoms(use_true_random=False))
    def holds(seed: int, rng: random.Random) -> None:
        problem = make(seed)
        place = list(range(len(problem.nodes)))
        rng.shuffle(place)
        nodes: list[Node] = [Node()] * len(place)
        for n, node in enumerate(problem.nodes):
            up = node.parent
            nodes[place[n]] = replace(node, parent=None if up is None else place[up])
        evses = tuple(replace(evse, node=place[evse.node]) for evse in problem.evses)
        first, second = solve(problem), solve(Problem(tuple(nodes), evses, problem.queue))
        assert first.setpoint_a == second.setpoint_a
        assert first.admitted == second.admitted
        assert [stop.code for stop in first.stops] == [stop.code for stop in second.stops]

    holds()


@every_kind
def test_rotating_the_phases_rotates_the_answer(make: Make) -> None:
    turn = {1: 2, 2: 3, 3: 1}

    @some
    @given(SEEDS)
    def holds(seed: int) -> None:
        problem = make(seed)
        rotated = Problem(
            nodes=tuple(_turned(node) for node in problem.nodes),
            evses=tuple(
                replace(evse, phases=frozenset(turn[p] for p in evse.phases))
                for evse in problem.evses
            ),
            queue=problem.queue,
        )
        assert solve(rotated).setpoint_a == pytest.approx(
            solve(problem).setpoint_a, rel=1e-9, abs=1e-6
        )

    holds()


@every_kind
def test_scaling_all_amperes_scales_the_answer(make: Make) -> None:
    @some
    @given(SEEDS, st.sampled_from([0.25, 2.0, 8.0]))
    def holds(seed: int, factor: float) -> None:
        problem = make(seed)
        whole = [replace(e, step_a=1.0 if e.step_a else 0.0) for e in problem.evses]
        problem = replace(problem, evses=tuple(whole))
        assert solve(_scaled(problem, factor)).setpoint_a == pytest.approx(
            [x * factor for x in solve(problem).setpoint_a], rel=1e-9, abs=1e-6
        )

    holds()


@every_kind
def test_earlier_ticks_leave_no_trace(make: Make) -> None:
    @settings(max_examples=30, deadline=None, derandomize=True)
    @given(SEEDS, st.integers(1, 5))
    def holds(seed: int, ticks: int) -> None:
        problem = make(seed)
        allocator = compile_site(problem)
        rng = random.Random(seed)
        for _ in range(ticks):
            other = [
                replace(e, weight=rng.uniform(0.1, 9.0), max_a=rng.uniform(0.0, 50.0))
                for e in problem.evses
            ]
            solve(replace(problem, evses=tuple(other)), allocator)
        assert solve(problem, allocator) == solve(problem)

    holds()


@some
@given(SEEDS)
def test_every_row_holds_for_every_draw(seed: int) -> None:
    problem = random_phasor_problem(seed)
    outcome = solve(problem)
    for row in phasors.rows_of(problem):
        if any(row.loaded_by(i) for i, into in enumerate(outcome.admitted) if into):
            assert row.holds(outcome.setpoint_a)


@some
@given(SEEDS, st.integers(0, 2**32))
def test_order_of_evses_changes_nothing_when_all_minima_fit(seed: int, shuffled: int) -> None:
    problem = random_phasor_problem(seed, continuous=True)
    free = tuple(replace(e, min_a=0.0, pause_a=0.0) for e in problem.evses)
    problem = replace(problem, evses=free)
    order = list(range(len(free)))
    random.Random(shuffled).shuffle(order)
    first = solve(problem)
    second = solve(replace(problem, evses=tuple(free[i] for i in order)))
    assert second.setpoint_a == pytest.approx(
        [first.setpoint_a[i] for i in order], rel=1e-9, abs=1e-6
    )


@some
@given(SEEDS, st.floats(0.0, 30.0))
def test_a_higher_primary_ceiling_never_lowers_the_sorted_shares(seed: int, more_a: float) -> None:
    problem = random_phasor_problem(seed, continuous=True)
    free = tuple(replace(e, min_a=0.0, pause_a=0.0, tier=0) for e in problem.evses)
    problem = replace(problem, evses=free)
    nodes = tuple(
        replace(
            node,
            primary_ceiling_a=tuple(  # type: ignore[arg-type]
                None if c is None else c + more_a for c in node.primary_ceiling_a
            ),
        )
        for node in problem.nodes
    )
    before, after = _shares(problem), _shares(replace(problem, nodes=nodes))
    for low, high in zip(before, after, strict=True):
        assert high >= low - 1e-6
        if high > low + 1e-6:
            break


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e13, -1.0])
def test_numbers_that_are_none_are_refused_at_the_door(value: float) -> None:
    pair = replace(Evse(0, frozenset({1, 2}), line_to_line=True), max_discharge_a=10.0)
    problem = Problem((Node(turns_ratio=4.0),), (pair,), (0,))
    solve(problem)
    for name in ("min_discharge_a", "max_discharge_a"):
        with pytest.raises(InvariantBroken):
            solve(replace(problem, evses=(replace(pair, **{name: value}),)))  # type: ignore[arg-type]
    for node in (
        Node(turns_ratio=4.0, primary_ceiling_a=(10.0, value, 10.0)),
        Node(turns_ratio=4.0, export_ceiling_a=(10.0, value, 10.0)),
        Node(turns_ratio=4.0, export_ceiling_va=value),
        Node(turns_ratio=value),
    ):
        with pytest.raises(InvariantBroken):
            solve(replace(problem, nodes=(node,)))
    plain = Problem((Node(unbalance_a=10.0),), (Evse(0),), (0,))
    solve(plain)
    with pytest.raises(InvariantBroken):
        solve(replace(plain, nodes=(Node(unbalance_a=value),)))


def test_denormal_and_huge_amperes_through_a_transformer() -> None:
    for ceiling in (5e-324, 1e-310, 1e-12, 1e9):
        node = Node(turns_ratio=4.0, primary_ceiling_a=(ceiling,) * 3)
        pairs = [
            replace(Evse(0, frozenset(pair), line_to_line=True), min_a=0.0, max_a=1e9)
            for pair in ((1, 2), (2, 3), (1, 3))
        ]
        outcome = solve(Problem((node,), (*pairs, Evse(0, min_a=0.0)), (0, 1, 2, 3)))
        assert all(math.isfinite(x) and x >= 0.0 for x in outcome.setpoint_a)


def test_a_thousand_pairs_behind_four_transformers_in_a_row() -> None:
    rng = random.Random(5)
    nodes = [Node(None if n == 0 else n - 1, turns_ratio=2.0) for n in range(4)]
    nodes += [Node(3, ceiling_a=(rng.uniform(60.0, 120.0),) * 3) for _ in range(125)]
    nodes[0] = replace(nodes[0], primary_ceiling_a=(2000.0, 1900.0, 1800.0))
    pairs = [frozenset({1, 2}), frozenset({2, 3}), frozenset({1, 3})]
    evses = tuple(
        replace(Evse(4 + i % 125, rng.choice(pairs), line_to_line=True), min_a=0.0)
        for i in range(1000)
    )
    outcome = solve(Problem(tuple(nodes), evses, tuple(range(1000))))
    assert sum(outcome.setpoint_a) > 5000.0
    with pytest.raises(InvariantBroken, match="too many transformers"):
        FlatAllocator(
            parents=[None, 0, 1, 2],
            evse_nodes=[3],
            evse_phases=[{1, 2}],
            allowed=[()],
            turns_ratios=[1000.0] * 4,
            line_to_line=[True],
        )


def test_bound_arrays_cannot_change_their_length() -> None:
    flat = FlatAllocator(parents=[None], evse_nodes=[0], evse_phases=[{1}], allowed=[()])
    with pytest.raises(BufferError):
        flat.max_a.append(1.0)
    with pytest.raises(BufferError):
        flat.ceiling[:] = array("d", [1.0])


def _turned(node: Node) -> Node:
    def turn(values: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
        return (values[2], values[0], values[1])

    return replace(
        node,
        ceiling_a=turn(node.ceiling_a),
        base_a=turn(node.base_a),
        voltage_v=turn(node.voltage_v),
        primary_ceiling_a=turn(node.primary_ceiling_a),
        export_ceiling_a=turn(node.export_ceiling_a),
    )


def _shares(problem: Problem) -> list[float]:
    outcome: Outcome = solve(problem)
    return sorted(x / e.weight for x, e in zip(outcome.setpoint_a, problem.evses, strict=True))


def _scaled(problem: Problem, factor: float) -> Problem:
    def scale(values: tuple[float | None, ...]) -> tuple[float | None, ...]:
        return tuple(None if v is None else v * factor for v in values)

    nodes = tuple(
        replace(
            node,
            ceiling_a=scale(node.ceiling_a),  # type: ignore[arg-type]
            primary_ceiling_a=scale(node.primary_ceiling_a),  # type: ignore[arg-type]
            export_ceiling_a=scale(node.export_ceiling_a),  # type: ignore[arg-type]
            base_a=scale(node.base_a),  # type: ignore[arg-type]
            ceiling_va=None if node.ceiling_va is None else node.ceiling_va * factor,
            export_ceiling_va=(
                None if node.export_ceiling_va is None else node.export_ceiling_va * factor
            ),
            base_va=node.base_va * factor,
            unbalance_a=None if node.unbalance_a is None else node.unbalance_a * factor,
        )
        for node in problem.nodes
    )
    evses = tuple(
        replace(
            evse,
            min_a=evse.min_a * factor,
            max_a=evse.max_a * factor,
            step_a=evse.step_a * factor,
            pause_a=evse.pause_a * factor,
            min_discharge_a=evse.min_discharge_a * factor,
            max_discharge_a=evse.max_discharge_a * factor,
            allowed=tuple(a * factor for a in evse.allowed),
        )
        for evse in problem.evses
    )
    return Problem(nodes, evses, problem.queue)
