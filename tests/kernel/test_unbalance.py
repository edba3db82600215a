"""Unbalance ceilings: how far the currents of two phases may be apart."""

import random
from dataclasses import replace

import pytest

from edgectl.control.kernel import Allocator
from edgectl.errors import InvariantBroken
from edgectl.model.allocation import Outcome, Stop
from edgectl.model.decision import ReasonCode
from tests.bench.depots import depot
from tests.kernel.bridge import solve
from tests.oracle import allocation, judge
from tests.oracle.problem import Evse, Node, Problem, random_unbalance_problem, rows_of

EVERY_CHANGE = 200
PROOF = 1500

ONE, TWO, THREE = frozenset({1}), frozenset({2}), frozenset({3})


def on(phases: frozenset[int], **changes: float) -> Evse:
    return replace(Evse(0, phases, min_a=0.0), **changes)  # type: ignore[arg-type]


def site(node: Node, *evses: Evse) -> Problem:
    return Problem((node,), evses, tuple(range(len(evses))))


def near(*amperes: float) -> object:
    return pytest.approx(amperes, rel=0.0, abs=1e-9)


def test_one_phase_may_have_no_more_than_the_bound_above_another() -> None:
    outcome = solve(site(Node(unbalance_a=20.0), on(ONE)))
    assert outcome.setpoint_a == near(20.0)
    assert outcome.stops == (Stop(ReasonCode.UNBALANCE, 0, "1", unbalance=True),)
    assert solve(site(Node(unbalance_a=20.0), Evse(0))).setpoint_a == near(32.0)


def test_who_relieves_the_difference_lifts_those_who_raise_it() -> None:
    """Two on L1 are held by one on L2 and one on L3, which can go on alone."""
    evses = (on(ONE), on(ONE), on(TWO), on(THREE))
    outcome = solve(site(Node(unbalance_a=10.0), *evses))
    assert outcome.setpoint_a == near(21.0, 21.0, 32.0, 32.0)
    assert [stop.code.value for stop in outcome.stops] == ["unbalance"] * 2 + ["own_maximum"] * 2


def test_a_large_share_is_lowered_for_the_sake_of_a_smaller_one() -> None:
    """On L2 of the panel one on all phases and one on L2 share 20 A. An ampere that the first gives
    to the second leaves L2 as it is and takes one from L1, where three have less than either.
    """
    nodes = (Node(unbalance_a=3.0), Node(0, ceiling_a=(None, 20.0, None)), Node(0))
    all_phases, second = replace(Evse(1), min_a=0.0), replace(on(TWO), node=1)
    firsts = [replace(on(ONE), node=2)] * 3
    third = replace(on(THREE, max_a=100.0), node=2)
    problem = Problem(nodes, (all_phases, second, third, *firsts), tuple(range(6)))
    wanted = allocation.allocate(problem).setpoint_a
    assert solve(problem).setpoint_a == near(*wanted)
    assert wanted[0] < wanted[1]
    assert wanted[3] == pytest.approx(23.0 / 4.0, abs=1e-6)


def test_base_load_counts_and_beyond_the_bound_is_the_bound() -> None:
    node = Node(unbalance_a=20.0, base_a=(15.0, 0.0, 0.0))
    assert solve(site(node, on(ONE))).setpoint_a == near(5.0)
    assert solve(site(node, on(TWO))).setpoint_a == near(20.0)
    beyond = replace(node, base_a=(26.0, 0.0, 0.0))
    outcome = solve(site(beyond, on(ONE), on(TWO, max_a=9.0), on(THREE, max_a=9.0)))
    assert outcome.setpoint_a == near(9.0, 9.0, 9.0)
    assert outcome.stops[0] == Stop(ReasonCode.UNBALANCE, 0, "1", unbalance=True)


def test_minima_are_admitted_together_or_one_by_one() -> None:
    """Three that fit together are admitted, though none of them would fit alone."""
    node = Node(unbalance_a=5.0)
    three = [on(phase, min_a=6.0) for phase in (ONE, TWO, THREE)]
    assert solve(site(node, *three)).setpoint_a == near(32.0, 32.0, 32.0)
    outcome = solve(site(node, *three[:2]))
    assert outcome.admitted == (False, False)
    assert outcome.stops[0] == Stop(ReasonCode.NOT_ADMITTED, 0, "1", unbalance=True)


def test_the_greater_phase_is_rounded_down_further() -> None:
    """25.6 and 26.6 A on L1 and L2 would be 25 and 26: one more than the half ampere allowed."""
    evses = (on(ONE, step_a=1.0), on(TWO, step_a=1.0), on(THREE, step_a=1.0))
    node = Node(ceiling_a=(25.6, None, 26.6), unbalance_a=0.5)
    outcome = solve(site(node, *evses))
    assert outcome.setpoint_a == (25.0, 25.0, 25.0)
    continuous = (on(ONE, step_a=8.0, max_a=24.0), on(TWO), on(THREE))
    outcome = solve(site(Node(ceiling_a=(20.0, None, None), unbalance_a=2.0), *continuous))
    assert outcome.setpoint_a == near(16.0, 18.0, 18.0)
    assert outcome.stops[1] == Stop(ReasonCode.UNBALANCE, 0, "2", unbalance=True)


def test_discharge_keeps_it_beside_what_charges() -> None:
    gives = replace(on(TWO), min_discharge_a=0.0, max_discharge_a=32.0)
    node = Node(unbalance_a=20.0)
    assert solve(site(node, gives)).setpoint_a == near(-20.0)
    assert solve(site(node, on(ONE, max_a=15.0), gives)).setpoint_a == near(15.0, -5.0)


def test_it_cannot_stand_beside_line_to_line_evses() -> None:
    with pytest.raises(InvariantBroken, match="beside line-to-line"):
        Allocator(
            parents=[None],
            evse_nodes=[0],
            evse_phases=[{1, 2}],
            line_to_line=[True],
            unbalance_a=[20.0],
        )


@pytest.mark.timeout(600)
def test_random_sites_agree_with_successive_linear_programs(
    prove: bool,  # noqa: FBT001 - a fixture
) -> None:
    bound = 0
    for seed in range(PROOF if prove else EVERY_CHANGE):
        problem = random_unbalance_problem(seed)
        ours, wanted = solve(problem), allocation.allocate(problem)
        assert list(ours.admitted) == wanted.admitted, seed
        assert ours.setpoint_a == pytest.approx(wanted.setpoint_a, rel=0.0, abs=1e-9), seed
        bound += ReasonCode.UNBALANCE in {stop.code for stop in ours.stops}
    assert bound >= 100


def test_increments_leave_no_difference_and_no_step_that_fits() -> None:
    for seed in range(2 * EVERY_CHANGE):
        problem = random_unbalance_problem(seed, continuous=False)
        outcome = solve(problem)
        assert judge.outside(problem, outcome.setpoint_a, outcome.admitted) == [], seed
        assert judge.exceeded(problem, outcome.setpoint_a, outcome.admitted) == [], seed
        if len({evse.tier for evse in problem.evses}) == 1:
            assert _steps_that_fit(problem, outcome) == [], seed


def test_a_large_depot_keeps_it_and_wastes_nothing() -> None:
    problem = depot(3, evses=1000)
    nodes = list(problem.nodes)
    evses = tuple(replace(evse, step_a=0.0, min_a=0.0) for evse in problem.evses)
    nodes[0] = replace(nodes[0], unbalance_a=15.0)
    tight = Problem(tuple(nodes), evses, problem.queue)
    outcome, loose = solve(tight), solve(replace(tight, nodes=problem.nodes))
    assert judge.exceeded(tight, outcome.setpoint_a, outcome.admitted) == []
    assert judge.exceeded(tight, loose.setpoint_a, loose.admitted) != []
    assert sum(outcome.setpoint_a) > 0.95 * sum(loose.setpoint_a)


@pytest.mark.parametrize("seed", [6, 24, 41])
def test_in_a_large_depot_everybody_is_told_what_stopped_it(seed: int) -> None:
    """Also who would only relieve a difference that others, who have stopped, must keep."""
    rng, problem = random.Random(seed), depot(seed, evses=1000)
    bounded = {0, *rng.sample(range(len(problem.nodes)), 6)}
    nodes = tuple(
        replace(node, unbalance_a=rng.choice([0.0, rng.uniform(0.0, 40.0)]))
        if n in bounded
        else node
        for n, node in enumerate(problem.nodes)
    )
    evses = tuple(
        replace(
            evse,
            step_a=0.0,
            min_a=rng.choice([0.0, 0.0, 2.0]),
            phases=frozenset({rng.choice([1, 2, 3])}) if rng.random() < 0.4 else evse.phases,
        )
        for evse in problem.evses
    )
    tight = Problem(nodes, evses, problem.queue)
    outcome = solve(tight)
    assert judge.exceeded(tight, outcome.setpoint_a, outcome.admitted) == []
    unnamed = [
        i
        for i, (evse, a, stop) in enumerate(
            zip(evses, outcome.setpoint_a, outcome.stops, strict=True)
        )
        if stop.code is ReasonCode.OWN_MAXIMUM and a < evse.max_a - 1e-6
    ]
    assert unnamed == []


def _steps_that_fit(problem: Problem, outcome: Outcome) -> list[int]:
    rows, fitting = rows_of(problem), []
    for i, evse in enumerate(problem.evses):
        grid = allocation.Grid(evse)
        if not outcome.admitted[i] or grid.continuous:
            continue
        most = grid.at_most(evse.max_a)
        if most is None or outcome.setpoint_a[i] >= most - 1e-9:
            continue
        more = grid.above(outcome.setpoint_a[i])
        tried = [*outcome.setpoint_a[:i], more, *outcome.setpoint_a[i + 1 :]]
        held = all(
            sum(c * tried[j] for j, c in row.loads.items()) <= row.room + 1e-11
            for row in rows
            if row.loads.get(i, 0.0) > 0.0
        )
        if held:
            fitting.append(i)
    return fitting
