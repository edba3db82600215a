"""Turns: who keeps a place, who gets the next one, and that nobody is started and stopped for ever.

The amperes are chosen so that only one or two of the minima of 6 A fit.
"""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from edgectl.control.remember import take_up
from edgectl.control.shape import ONCE_MORE
from edgectl.model.ceiling import Holder, Rank, TimedCeiling
from edgectl.model.decision import ReasonCode
from edgectl.model.policy import Policy, Sharing
from edgectl.model.reading import VehicleState
from edgectl.model.snapshot import KeptTurn
from edgectl.model.state import EvseState, State
from edgectl.units import EvseId
from tests.control.lot import Lot, Stay, bays
from tests.control.world import GRID, UTC0_S, World, evse, setpoints, site

E1, E2, E3 = EvseId("e1"), EvseId("e2"), EvseId("e3")
HOUR_S = 3600.0


def for_one(sharing: Sharing = Sharing()) -> World:  # noqa: B008 - frozen
    """Three EVSEs, and room for the minimum of one; e1 charges, e2 asked before e3."""
    depot = site(evses=[evse(n) for n in (1, 2, 3)], limit_a=(10.0, None, None))
    world = World(replace(depot, sharing=sharing))
    world.settle(0.0, {"e1": 6.0})
    world.answers("e2")
    world.live(5.0)
    world.answers("e3")
    world.live(5.0)
    return world


def test_who_asked_first_comes_next() -> None:
    world = for_one()
    decision = world.live(600.0)
    assert decision.evses[E1].setpoint_a >= 6.0
    assert (decision.evses[E2].place, decision.evses[E3].place) == (1, 2)
    assert decision.evses[E2].reason.code is ReasonCode.NOT_ADMITTED
    world.live(400.0)
    assert setpoints(world.live(5.0)) == {"e1": 0.0, "e2": 8.0, "e3": 0.0}


def test_who_asked_first_comes_next_whatever_its_name() -> None:
    world = World(site(evses=[evse(n) for n in (1, 2, 3)], limit_a=(10.0, None, None)))
    world.settle(0.0, {"e1": 6.0})
    world.answers("e3")
    world.everything(0.0, {"e1": 6.0, "e2": 0.0, "e3": 0.0})
    world.vehicle("e2", VehicleState.ABSENT)
    world.wait(1.0)
    world.obey(world.everything(0.0, {"e1": 6.0, "e2": 0.0, "e3": 0.0}))
    world.vehicle("e2", VehicleState.CHARGING)
    decision = world.live(5.0)
    assert (decision.evses[E2].place, decision.evses[E3].place) == (2, 1)
    world.live(1000.0)
    assert setpoints(world.live(5.0))["e3"] >= 6.0


def test_a_whole_turn_takes_the_wait_for_room_back_to_its_beginning() -> None:
    world = World(site(evses=[evse(1)], limit_a=(20.0, None, None), base_max_a=(0.0, 0.0, 0.0)))
    world.settle(0.0, {"e1": 10.0})
    for _ in range(3):
        world.live(300.0, base_a=15.0)
        world.live(300.0, base_a=5.0)
    assert world.state.evses[E1].displaced == 3
    world.live(1000.0, base_a=5.0)
    assert world.state.evses[E1].displaced == ONCE_MORE


def test_each_gets_a_turn_and_who_had_one_waits_behind_all_others() -> None:
    world = for_one()
    order: list[str] = []
    for _ in range(9):
        told = setpoints(world.live(450.0))
        running = [name for name, value_a in told.items() if value_a >= 6.0]
        if running and running != order[-1:]:
            order += running
    assert order[:4] == ["e1", "e2", "e3", "e1"]


def test_who_comes_next_does_not_wait_once_a_turn_is_over() -> None:
    world = for_one(Sharing(turn_s=300.0))
    told = [setpoints(world.live(5.0)) for _ in range(720)]
    idle = [max(one.values()) < 6.0 for one in told]
    assert sum(idle) <= len(told) // 60  # a tick or so at each of twelve changes
    assert all(known.displaced == 0 for known in world.state.evses.values())


def for_one_restarted() -> World:
    """e2 is in its turn, e3 waits, e1 had its own; then the daemon is another."""
    world = for_one()
    world.live(1100.0)
    world.restarts()
    # All are silent at first, and are told to pause until they are known.
    assert setpoints(world.step()) == {"e1": 0.0, "e2": 0.0, "e3": 0.0}
    for name in ("e1", "e2", "e3"):
        world.sends(name, 0.0)
        world.confirms(name)
    return world


def test_a_restart_leaves_whoever_is_in_its_turn_the_rest_of_it() -> None:
    world = for_one_restarted()
    decision = world.live(15.0)
    assert setpoints(decision) == {"e1": 0.0, "e2": 8.0, "e3": 0.0}
    assert (decision.evses[E3].place, decision.evses[E1].place) == (1, 2)
    assert setpoints(world.live(600.0))["e2"] == 8.0
    assert setpoints(world.live(300.0)) == {"e1": 0.0, "e2": 0.0, "e3": 8.0}


def test_who_had_its_turn_before_a_restart_goes_on_where_nobody_waits() -> None:
    world = World(site(evses=[evse(1)], limit_a=(10.0, None, None)))
    world.settle(0.0, {"e1": 6.0})
    world.live(2000.0)
    world.restarts()
    assert setpoints(world.step()) == {"e1": 0.0}
    world.sends("e1", 0.0)
    world.confirms("e1")
    assert setpoints(world.live(15.0)) == {"e1": 8.0}
    assert world.state.evses[E1].displaced == 0


def test_who_is_gone_after_a_restart_keeps_no_place() -> None:
    world = for_one_restarted()
    for name in ("e1", "e2", "e3"):
        world.reads(name, 0.0)
    world.evses[E2] = replace(world.evses[E2], vehicle=VehicleState.ABSENT)
    decision = world.live(5.0)
    gone = world.state.evses[E2]
    assert (gone.admitted_s, gone.asked_s, gone.stopped_s) == (None, None, None)
    assert (decision.evses[E3].place, decision.evses[E1].place) == (1, 2)


def test_a_queue_counts_for_a_first_step_only_and_for_evses_of_the_site() -> None:
    world = for_one()
    world.live(100.0)
    before = world.state
    known = KeptTurn(E3, asked_s=1.0, admitted_s=2.0)
    snapshot = replace(world.snapshot(), queue=(known, KeptTurn(EvseId("e9"), asked_s=1.0)))
    assert take_up(snapshot, before) is before
    fresh = take_up(snapshot, State())
    assert set(fresh.evses) == {E3}
    assert fresh.evses[E3] == EvseState(
        held_a=32.0, setpoint_a=0.0, asked_s=1.0, admitted_s=2.0, resumes=True
    )
    handed_over = State(evses={E3: before.evses[E3]})
    assert take_up(snapshot, handed_over).evses == handed_over.evses


def test_the_length_of_a_turn_is_the_sites() -> None:
    world = for_one(Sharing(turn_s=300.0))
    world.live(400.0)
    assert setpoints(world.live(5.0))["e2"] >= 6.0


def test_without_anybody_waiting_a_turn_does_not_end() -> None:
    world = World(site(evses=[evse(1)], limit_a=(10.0, None, None)))
    world.settle(0.0, {"e1": 6.0})
    for _ in range(10):
        assert setpoints(world.live(300.0)) == {"e1": 8.0}


def test_a_ceiling_ends_a_turn_at_once_and_who_was_stopped_is_next() -> None:
    depot = site(evses=[evse(n) for n in (1, 2, 3)], limit_a=(20.0, None, None))
    world = World(depot)
    world.settle(0.0, {"e1": 6.0, "e2": 6.0})
    world.answers("e3")
    world.live(30.0)
    world.ceilings = (
        TimedCeiling(
            holder=Holder(Rank.UTILITY_MANDATORY, "event", "evt-1"),
            reason="less for now",
            from_utc_s=UTC0_S,
            until_utc_s=None,
            node=GRID,
            limit_a=(10.0, None, None),
        ),
    )
    world.wait(1.0)
    decision = world.everything(0.0, {"e1": 9.0, "e2": 9.0, "e3": 0.0})
    world.obey(decision)
    assert decision.evses[E2].setpoint_a == 0.0
    decision = world.live(5.0)
    assert decision.evses[E2].reason.code is ReasonCode.MIN_OFF
    decision = world.live(200.0)
    assert (decision.evses[E2].place, decision.evses[E3].place) == (1, 2)


def test_after_a_stop_an_evse_rests_for_the_sites_time() -> None:
    world = for_one(Sharing(turn_s=300.0, min_off_s=600.0))
    world.live(330.0)
    decision = world.live(300.0)
    assert decision.evses[E1].setpoint_a == 0.0
    assert decision.evses[E1].reason.code is ReasonCode.MIN_OFF


def test_who_was_stopped_for_want_of_room_again_starts_when_there_was_room_for_a_while() -> None:
    world = World(site(evses=[evse(1)], limit_a=(20.0, None, None), base_max_a=(0.0, 0.0, 0.0)))
    world.settle(0.0, {"e1": 10.0})
    for _ in range(2):
        assert setpoints(world.live(200.0, base_a=5.0))["e1"] > 6.0
        assert setpoints(world.live(200.0, base_a=15.0)) == {"e1": 0.0}
    for _ in range(20):  # room and no room, every twenty seconds
        world.live(20.0, base_a=5.0)
        assert setpoints(world.live(5.0, base_a=15.0)) == {"e1": 0.0}
    assert setpoints(world.live(60.0, base_a=5.0))["e1"] > 6.0


@pytest.mark.parametrize("policy", [Policy.FAIR, Policy.DEADLINE])
@settings(max_examples=4, deadline=None, phases=[Phase.explicit, Phase.generate])
@example(seed=0, limit_a=29.0, noise_a=1.0)
@example(seed=149, limit_a=29.21263352289943, noise_a=2.904163269551764)
@example(seed=8054, limit_a=30.0, noise_a=3.866)
@example(seed=8171, limit_a=30.704598129678544, noise_a=3.064508282810451)
@given(
    seed=st.integers(0, 10_000),
    limit_a=st.floats(14.0, 40.0),
    noise_a=st.floats(0.0, 4.0),
)
def test_the_admitted_set_does_not_flap(
    policy: Policy, seed: int, limit_a: float, noise_a: float
) -> None:
    """Under a base load that only makes noise, nobody is started more often than turns ask for."""
    hours = 3
    lot = Lot(
        Sharing(policy=policy),
        [Stay(f"e{n}", 0.0, 99 * HOUR_S, 1e9) for n in range(1, 6)],
        limit_a,
        bays(5),
        noise_a=noise_a,
        base_a=5.0,
        seed=seed,
    ).run(hours * HOUR_S)
    for starts in lot.starts.values():
        assert len(starts) <= hours * 4 + 1, starts
        assert all(later - sooner >= 180.0 for sooner, later in pairwise(starts))
