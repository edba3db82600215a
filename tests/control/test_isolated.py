"""S11: an EVSE that is locked off counts nothing, until it answers."""

import pytest

from edgectl.model.decision import Decision
from edgectl.model.reading import VehicleState
from edgectl.units import EvseId
from tests.control.world import GRID, World, evse, setpoints, site

LOCKED = EvseId("e1")


def two_chargers() -> World:
    """A fuse of 40 A: beside a silent charger of 32 A there is no room for the other."""
    return World(site(evses=[evse(1), evse(2)], limit_a=(40.0, None, None)))


def ticks(world: World, count: int, drawn_a: float = 0.0) -> Decision:
    decision = None
    for _ in range(count):
        world.wait(1.0)
        world.vehicle("e2", VehicleState.CHARGING)
        decision = world.everything(0.0, {"e2": drawn_a})
        world.obey(decision)
    assert decision is not None
    return decision


def test_s11_its_room_goes_to_the_others_and_both_sums_leave_it_out() -> None:
    world = two_chargers()
    before = ticks(world, 3)
    assert before.evses[LOCKED].committed_a == 32.0
    assert before.evses[EvseId("e2")].setpoint_a < 10.0
    world.isolated = (LOCKED,)
    after = ticks(world, 3)
    assert after.evses[LOCKED].silent
    assert after.evses[LOCKED].committed_a == 0.0
    assert after.evses[EvseId("e2")].setpoint_a == 32.0
    assert after.nodes[GRID].account_a[0] == pytest.approx(32.0)
    assert after.nodes[GRID].promise_a[0] == pytest.approx(32.0)


def test_s11_from_its_first_answer_on_it_counts_whatever_is_said() -> None:
    """The word of the desk comes a tick late at the most; its answer is what counts."""
    world = two_chargers()
    world.isolated = (LOCKED,)
    ticks(world, 3, drawn_a=32.0)
    world.wait(1.0)
    world.reads("e1", 20.0)
    decision = world.everything(0.0, {"e1": 20.0, "e2": 32.0})
    assert not decision.evses[LOCKED].silent
    assert decision.evses[LOCKED].committed_a >= 20.0
    assert setpoints(decision)["e2"] < 32.0, "the others give way at once"


def test_s11_when_the_isolation_ends_without_an_answer_it_is_a_fixed_load_again() -> None:
    world = two_chargers()
    world.isolated = (LOCKED,)
    ticks(world, 3, drawn_a=32.0)
    world.isolated = ()
    decision = ticks(world, 1, drawn_a=32.0)
    assert decision.evses[LOCKED].committed_a == 32.0
    assert decision.evses[EvseId("e2")].setpoint_a < 10.0


def test_s11_a_charger_that_answers_is_not_counted_less_for_being_called_isolated() -> None:
    world = World(site(evses=[evse(1)]))
    world.settle(0.0, {"e1": 16.0})
    world.isolated = (LOCKED,)
    world.wait(1.0)
    assert world.everything(0.0, {"e1": 16.0}).evses[LOCKED].committed_a >= 16.0
