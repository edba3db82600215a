"""Discharge: the same filling, downwards from zero, under export ceilings."""

from dataclasses import replace

import pytest

from edgectl.model.allocation import Stop
from edgectl.model.decision import ReasonCode
from tests.kernel.bridge import solve
from tests.oracle import allocation, judge, phasors
from tests.oracle.problem import Evse, Node, Problem, random_discharge_problem

EVERY_CHANGE = 150
PROOF = 1000

GIVES = Evse(0, min_a=0.0, max_a=32.0, min_discharge_a=6.0, max_discharge_a=32.0)
TAKES = Evse(0)


def near(*amperes: float) -> object:
    return pytest.approx(amperes, rel=0.0, abs=1e-9)


def site(node: Node, *evses: Evse) -> Problem:
    return Problem((node,), evses, tuple(range(len(evses))))


def test_discharge_is_shared_under_the_export_ceiling() -> None:
    node = Node(export_ceiling_a=(20.0, 20.0, 20.0))
    outcome = solve(site(node, GIVES, GIVES))
    assert outcome.setpoint_a == near(-10.0, -10.0)
    assert outcome.stops[0] == Stop(ReasonCode.NODE_CEILING, 0, "1")


def test_weights_steps_minima_and_the_queue_mean_the_same() -> None:
    node = Node(export_ceiling_a=(21.5, 21.5, 21.5))
    heavy = replace(GIVES, weight=2.0)
    assert solve(site(node, GIVES, heavy)).setpoint_a == near(-21.5 / 3.0, -43.0 / 3.0)
    stepped = replace(GIVES, step_a=1.0)
    assert solve(site(node, stepped, stepped)).setpoint_a == (-11.0, -10.0)
    outcome = solve(site(Node(export_ceiling_a=(11.0,) * 3), GIVES, GIVES))
    assert outcome.setpoint_a == near(-11.0, 0.0)
    assert outcome.admitted == (True, False)
    assert str(outcome.setpoint_a[1]) == "0.0"


def test_without_an_export_ceiling_the_own_maximum_stops_it() -> None:
    outcome = solve(site(Node(), GIVES))
    assert outcome.setpoint_a == (-32.0,)
    assert outcome.stops == (Stop(ReasonCode.OWN_MAXIMUM),)


def test_who_discharges_does_not_charge_whatever_its_maximum() -> None:
    outcome = solve(site(Node(ceiling_a=(40.0,) * 3, export_ceiling_a=(9.0,) * 3), TAKES, GIVES))
    assert outcome.setpoint_a == near(32.0, -9.0)


def test_discharge_makes_no_room_for_charging_nor_charging_for_discharge() -> None:
    node = Node(ceiling_a=(20.0,) * 3, export_ceiling_a=(8.0,) * 3)
    assert solve(site(node, TAKES, GIVES)).setpoint_a == near(20.0, -8.0)
    assert solve(site(node, TAKES)).setpoint_a == near(20.0)
    assert solve(site(node, GIVES)).setpoint_a == near(-8.0)


def test_base_load_that_is_measured_makes_room_for_discharge() -> None:
    node = Node(export_ceiling_a=(8.0,) * 3, base_a=(10.0, 12.0, 14.0))
    assert solve(site(node, GIVES)).setpoint_a == near(-18.0)


def test_what_is_fed_back_already_takes_room_and_may_be_too_much() -> None:
    node = Node(export_ceiling_a=(20.0,) * 3, base_a=(-10.0, 0.0, 0.0))
    assert solve(site(node, GIVES)).setpoint_a == near(-10.0)
    over = replace(node, base_a=(0.0, -23.5, 0.0))
    outcome = solve(site(over, GIVES))
    assert outcome.setpoint_a == (0.0,)
    assert outcome.stops == (Stop(ReasonCode.BASE_OVER_CEILING, 0, "2"),)
    assert outcome.export_deficit_a == (near(0.0, 3.5, 0.0),)


def test_power_fed_back_has_a_ceiling_of_its_own() -> None:
    node = Node(export_ceiling_va=6900.0, base_va=690.0)
    outcome = solve(site(node, GIVES))
    assert outcome.setpoint_a == near(-11.0)
    assert outcome.stops == (Stop(ReasonCode.VA_CEILING, 0, "va"),)


def test_discharge_between_two_lines_and_through_a_transformer() -> None:
    pair = replace(GIVES, phases=frozenset({1, 2}), line_to_line=True)
    nodes = (Node(export_ceiling_a=(None, 10.0, None)), Node(0, turns_ratio=4.0))
    outcome = solve(Problem(nodes, (replace(pair, node=1),), (0,)))
    assert outcome.setpoint_a == near(-20.0)
    # A primary ceiling is the transformer's own: it holds in both directions.
    alone = Node(turns_ratio=4.0, primary_ceiling_a=(None, 10.0, None))
    assert solve(site(alone, pair)).setpoint_a == near(-20.0)


@pytest.mark.parametrize("kind", ["straight", "phasors"])
@pytest.mark.timeout(600)
def test_random_sites_are_two_problems_of_their_own(
    kind: str,
    prove: bool,  # noqa: FBT001 - a fixture
) -> None:
    allocate = phasors.allocate if kind == "phasors" else allocation.allocate
    discharged = 0
    for seed in range(PROOF if prove else EVERY_CHANGE):
        problem = random_discharge_problem(seed, phasors=kind == "phasors")
        ours = solve(problem)
        charging, discharging = _apart(problem)
        taken, given = allocate(charging), allocate(discharging)
        for i, evse in enumerate(problem.evses):
            gives = evse.max_discharge_a > 0.0
            wanted = -given.setpoint_a[i] if gives else taken.setpoint_a[i]
            assert ours.setpoint_a[i] == pytest.approx(wanted, rel=0.0, abs=1e-4), seed
            assert ours.admitted[i] == (given if gives else taken).admitted[i], seed
            discharged += ours.setpoint_a[i] < 0.0
        assert judge.outside(charging, *_part(problem, ours, gives=False)) == []
        assert judge.outside(discharging, *_part(problem, ours, gives=True)) == []
    assert discharged > 100


def _apart(problem: Problem) -> tuple[Problem, Problem]:
    """The charging alone, and the discharging turned round: what is fed back is drawn there."""
    nobody = {"min_a": 0.0, "max_a": 0.0, "pause_a": 0.0, "allowed": (), "step_a": 0.0}
    charging, discharging = [], []
    for evse in problem.evses:
        out = replace(evse, **nobody)  # type: ignore[arg-type]
        gives = evse.max_discharge_a > 0.0
        charging.append(out if gives else evse)
        turned = replace(evse, min_a=evse.min_discharge_a, max_a=evse.max_discharge_a)
        discharging.append(turned if gives else out)
    nodes = tuple(
        replace(
            node,
            ceiling_a=node.export_ceiling_a,
            ceiling_va=node.export_ceiling_va,
            base_a=tuple(-b for b in node.base_a),  # type: ignore[arg-type]
            base_va=-node.base_va,
        )
        for node in problem.nodes
    )
    return (
        replace(problem, evses=tuple(charging)),
        Problem(nodes, tuple(discharging), problem.queue),
    )


def _part(problem: Problem, ours: object, *, gives: bool) -> tuple[list[float], list[bool]]:
    """Setpoints and admission of one direction; the others stand at nothing."""
    setpoints, admitted = [], []
    for i, evse in enumerate(problem.evses):
        mine = (evse.max_discharge_a > 0.0) == gives
        x = ours.setpoint_a[i]  # type: ignore[attr-defined]
        setpoints.append(abs(x) if mine else 0.0)
        admitted.append(mine and ours.admitted[i])  # type: ignore[attr-defined]
    return setpoints, admitted
