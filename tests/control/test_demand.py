"""Vehicles that ask for nothing: who gives way, when it is offered its minimum again, what counts.

The amperes are chosen so that only one minimum of 6 A fits, where nothing else is said.
"""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgectl.model.ceiling import Holder, Rank, TimedCeiling
from edgectl.model.decision import ReasonCode
from edgectl.model.policy import Policy, Sharing
from edgectl.model.reading import VehicleState
from edgectl.model.rules import Rules
from edgectl.model.target import ChargeTarget
from edgectl.units import EvseId
from tests.control.lot import Lot, Stay, bays
from tests.control.world import UTC0_S, World, evse, setpoints, site

E1, E2 = EvseId("e1"), EvseId("e2")
FULL = {"e1": 0.0}
HOUR_S = 3600.0


def two(limit_a: float = 10.0, policy: Policy = Policy.FAIR, **e1: object) -> World:
    """e1 charges since a moment ago, e2 waits and wants all that it can get."""
    depot = site(
        evses=[evse(1, **e1), evse(2, tier=1)],
        limit_a=(limit_a, None, None),
        base_max_a=(0.0,) * 3,
        margin_a=0.0,
    )
    world = World(replace(depot, sharing=Sharing(policy=policy)))
    world.settle(0.0, {"e1": 6.0})
    world.answers("e2")
    return world


def put_behind(world: World) -> World:
    """e1 is full, and has given its place to e2."""
    world.live(200.0, most_a=FULL)
    assert setpoints(world.live(5.0, most_a=FULL))["e1"] == 0.0
    return world


def offers(world: World, seconds: float, *, pace_s: float = 10.0) -> list[float]:
    """When, from now on, e1 is told its minimum again, while it draws nothing."""
    began_s, had, found = world.now_s, True, []
    while world.now_s - began_s < seconds:
        has = setpoints(world.live(pace_s, most_a=FULL, pace_s=pace_s))["e1"] >= 6.0
        if has and not had:
            found.append(world.now_s - began_s)
        had = has
    return found


def asks(world: World, energy_wh: float, hours: float) -> None:
    world.targets = (
        ChargeTarget(
            evse=E1,
            energy_wh=energy_wh,
            departure_utc_s=UTC0_S + world.now_s + hours * HOUR_S,
            holder=Holder(Rank.OPERATOR, "command", "c1"),
        ),
    )


def pauses(world: World, evse_id: EvseId) -> None:
    world.ceilings = (
        TimedCeiling(
            holder=Holder(Rank.OPERATOR, "pause", "p1"),
            reason="for now",
            from_utc_s=UTC0_S,
            until_utc_s=None,
            evse=evse_id,
            limit_a=(0.0, 0.0, 0.0),
        ),
    )


def test_who_draws_nothing_gives_way_after_three_minutes_whatever_is_left_of_its_turn() -> None:
    world = two()
    assert setpoints(world.live(150.0, most_a=FULL)) == {"e1": 10.0, "e2": 0.0}
    decision = world.live(60.0, most_a=FULL)
    assert setpoints(decision) == {"e1": 0.0, "e2": 10.0}
    decision = world.live(200.0, most_a=FULL)
    assert decision.evses[E1].reason.code is ReasonCode.NO_DEMAND
    assert decision.evses[E1].reason.until_s is not None
    assert decision.evses[E1].place is None


def test_who_may_draw_just_its_minimum_gives_way_too() -> None:
    world = two()
    world.ceilings = (
        TimedCeiling(
            holder=Holder(Rank.OPERATOR, "limit", "l1"),
            reason="a warm plug",
            from_utc_s=UTC0_S,
            until_utc_s=None,
            evse=E1,
            limit_a=(6.0, 6.0, 6.0),
        ),
    )
    assert setpoints(world.live(150.0, most_a=FULL))["e1"] == 6.0
    assert setpoints(world.live(60.0, most_a=FULL)) == {"e1": 0.0, "e2": 10.0}


def test_who_has_its_minimum_behind_all_others_is_said_to_ask_for_nothing() -> None:
    world = two(50.0)
    reason = world.live(400.0, most_a=FULL).evses[E1].reason
    assert (reason.code, reason.limit) == (ReasonCode.NO_DEMAND, 6.0)


def test_who_became_full_gives_way_after_three_minutes() -> None:
    world = two()
    world.live(300.0)
    assert setpoints(world.live(170.0, most_a=FULL))["e1"] >= 6.0
    assert setpoints(world.live(30.0, most_a=FULL)) == {"e1": 0.0, "e2": 10.0}


def test_a_vehicle_that_takes_two_minutes_to_begin_again_after_a_restart_does_not_give_way() -> (
    None
):
    world = two()
    world.live(600.0)
    world.restarts()
    world.settle(0.0, {"e1": 0.0, "e2": 0.0}, ticks=3)
    assert setpoints(world.live(125.0, most_a=FULL))["e1"] >= 6.0
    assert setpoints(world.live(5.0))["e1"] >= 6.0


def test_a_vehicle_that_takes_two_minutes_to_begin_again_after_silence_does_not_give_way() -> None:
    world = two()
    world.live(500.0)
    for _ in range(8):
        world.wait(5.0)
        world.reads("e2", 0.0)
        world.meter(0.0)
        world.obey(world.step())
    assert setpoints(world.live(125.0, most_a=FULL))["e1"] >= 6.0
    assert setpoints(world.live(5.0))["e1"] >= 6.0


def counts(world: World, hours: float, power_w: float, step_wh: float) -> float:
    """The least that e1 was told in some hours, in which it shows 0 A and counts energy."""
    least_a, counted_wh, began_s = 99.0, 5000.0, world.now_s
    while world.now_s - began_s < hours * HOUR_S:
        view = world.silent("e1")
        told_a = view.confirmed.value_a if view.confirmed else 0.0
        counted_wh += power_w * (told_a >= 6.0) * 5.0 / HOUR_S
        shown_wh = counted_wh // step_wh * step_wh
        world.evses[E1] = replace(view, energy_wh=shown_wh)
        least_a = min(least_a, setpoints(world.live(5.0, most_a=FULL))["e1"])
    return least_a


@pytest.mark.parametrize("step_wh", [1.0, 10.0])
def test_a_charger_that_shows_no_current_but_counts_energy_has_its_turn(step_wh: float) -> None:
    world = two()
    assert counts(world, 800.0 / HOUR_S, 6.0 * 230.0, step_wh) >= 6.0


def test_a_coarse_count_is_enough_while_it_is_behind_with_its_minimum() -> None:
    world = two(50.0)
    world.live(400.0, most_a=FULL)
    counts(world, 0.2, 3.0 * 6.0 * 230.0, 100.0)
    known = world.state.evses[E1].no_demand
    assert known is None or known.times == 0


@pytest.mark.parametrize("step_wh", [1.0, 100.0])
def test_what_a_vehicle_at_rest_draws_is_no_demand(step_wh: float) -> None:
    world = two()
    assert counts(world, 600.0 / HOUR_S, 3.0 * 0.45 * 230.0, step_wh) == 0.0


@pytest.mark.parametrize(("power_w", "keeps"), [(750.0, False), (850.0, True)])
def test_400_w_are_rest_and_a_count_may_be_20_wh_behind(power_w: float, *, keeps: bool) -> None:
    """In 180 s that makes 40 Wh, as 800 W do."""
    assert (counts(two(), 200.0 / HOUR_S, power_w, 0.01) >= 6.0) is keeps


def test_a_count_that_begins_anew_is_followed_from_there() -> None:
    world = two()
    world.evses[E1] = replace(world.silent("e1"), session_wh=40_000.0)
    world.live(5.0, most_a=FULL)
    for n in range(150):
        world.evses[E1] = replace(world.silent("e1"), session_wh=n * 5.0 * 6.0 * 230.0 / HOUR_S)
        assert setpoints(world.live(5.0, most_a=FULL))["e1"] >= 6.0


def test_who_draws_anything_keeps_its_turn() -> None:
    world = two()
    assert setpoints(world.live(800.0, most_a={"e1": 1.0}))["e1"] == 6.0


def test_a_pause_in_its_draw_that_is_shorter_than_a_minute_is_nothing() -> None:
    world = two()
    for _ in range(10):
        world.live(50.0, most_a=FULL)
        assert setpoints(world.live(10.0, most_a={"e1": 6.0}))["e1"] >= 6.0


def test_what_is_not_measured_is_no_sign_of_anything() -> None:
    world = World(site(evses=[evse(1), evse(2)], limit_a=(10.0, None, None)))
    for name in ("e1", "e2"):
        world.answers(name)
    for _ in range(80):
        world.wait(5.0)
        for name in ("e1", "e2"):
            world.answers(name)
        world.meter(0.0)
        decision = world.step()
        world.obey(decision)
    assert max(setpoints(decision).values()) >= 6.0
    assert all(one.no_demand is None for one in world.state.evses.values())


def test_a_minimum_that_is_not_confirmed_is_no_offer() -> None:
    world = two()
    world.evses[E1] = replace(world.silent("e1"), confirmed=None)
    for _ in range(60):
        world.wait(5.0)
        decision = world.everything(0.0, {"e1": 0.0, "e2": 0.0})
    assert decision.evses[E1].setpoint_a >= 6.0
    assert world.state.evses[E1].no_demand is None


def test_without_the_rule_it_keeps_its_turn() -> None:
    world = two()
    world.rules = Rules(unused_room=False)
    assert setpoints(world.live(400.0, most_a=FULL))["e1"] >= 6.0


@pytest.mark.parametrize("policy", list(Policy))
def test_it_keeps_its_minimum_where_room_is_left(policy: Policy) -> None:
    world = two(50.0, policy)
    world.live(250.0, most_a=FULL)
    for _ in range(30):
        decision = world.live(120.0, most_a=FULL)
        assert setpoints(decision) == {"e1": 6.0, "e2": 32.0}
        reason = decision.evses[E1].reason
        assert (reason.code, reason.limit, reason.until_s) == (ReasonCode.NO_DEMAND, 6.0, None)


@pytest.mark.parametrize("policy", list(Policy))
def test_others_get_all_that_they_can_use_before_it_has_its_minimum(policy: Policy) -> None:
    world = two(34.0, policy)
    world.live(240.0, most_a=FULL)
    assert setpoints(world.live(5.0, most_a=FULL)) == {"e1": 0.0, "e2": 32.0}


def test_it_comes_behind_those_of_a_lower_tier() -> None:
    world = two(policy=Policy.PRIORITY)
    world.live(150.0, most_a=FULL)
    assert setpoints(world.live(5.0, most_a=FULL)) == {"e1": 10.0, "e2": 0.0}
    assert setpoints(world.live(60.0, most_a=FULL)) == {"e1": 0.0, "e2": 10.0}


def test_it_is_offered_its_minimum_again_after_half_an_hour_and_then_every_hour() -> None:
    world = put_behind(two())
    first, second, third = offers(world, 3.2 * HOUR_S)
    assert 1750.0 <= first <= 1850.0
    assert 3750.0 <= second - first <= 3850.0
    assert 3750.0 <= third - second <= 3850.0


def test_it_joins_the_end_of_the_queue_then() -> None:
    """Three that want more than there is, and it: nobody waits longer because of it."""
    world = World(site(evses=[evse(n) for n in (1, 2, 3, 4)], limit_a=(10.0, None, None)))
    world.settle(0.0, {"e1": 6.0})
    for name in ("e2", "e3", "e4"):
        world.answers(name)
    world.live(250.0, most_a=FULL)
    behind_s = world.now_s
    while world.state.evses[E1].no_demand.until_s is not None:  # type: ignore[union-attr]
        decision = world.live(5.0, most_a=FULL)
    assert 1700.0 <= world.now_s - behind_s <= 1850.0
    waiting = [one.place for one in decision.evses.values() if one.place is not None]
    assert decision.evses[E1].place == len(waiting)


def test_who_begins_in_its_offer_has_a_whole_turn() -> None:
    world = put_behind(two())
    (first,) = offers(world, 1860.0)
    assert first > 0.0
    assert setpoints(world.live(800.0)) == {"e1": 10.0, "e2": 0.0}
    assert world.state.evses[E1].no_demand is None


def test_who_begins_by_itself_where_room_was_left_has_its_share_at_once() -> None:
    world = two(50.0)
    world.live(900.0, most_a=FULL)
    assert setpoints(world.live(5.0, most_a=FULL)) == {"e1": 6.0, "e2": 32.0}
    assert setpoints(world.live(20.0)) == {"e1": 25.0, "e2": 25.0}


def test_a_charger_that_begins_to_say_that_it_wants_power_is_an_ordinary_waiter() -> None:
    world = two()
    world.vehicle("e1", VehicleState.PLUGGED)
    put_behind(world)
    world.live(1000.0, most_a=FULL)  # e2 has had its turn
    assert setpoints(world.live(5.0, most_a=FULL)) == {"e1": 0.0, "e2": 10.0}
    world.vehicle("e1", VehicleState.ASKING)
    assert setpoints(world.live(10.0, most_a=FULL)) == {"e1": 10.0, "e2": 0.0}


def test_who_said_so_and_drew_nothing_is_not_believed_again() -> None:
    world = two()
    world.vehicle("e1", VehicleState.PLUGGED)
    put_behind(world)
    world.live(1000.0, most_a=FULL)
    world.vehicle("e1", VehicleState.ASKING)
    assert setpoints(world.live(150.0, most_a=FULL))["e1"] >= 6.0
    assert setpoints(world.live(60.0, most_a=FULL))["e1"] == 0.0
    for _ in range(5):
        world.vehicle("e1", VehicleState.PLUGGED)
        assert setpoints(world.live(200.0, most_a=FULL))["e1"] == 0.0
        world.vehicle("e1", VehicleState.ASKING)
        assert setpoints(world.live(200.0, most_a=FULL))["e1"] == 0.0


def test_another_target_forgets_it() -> None:
    world = put_behind(two())
    world.live(1000.0, most_a=FULL)
    asks(world, 9000.0, hours=8.0)
    assert setpoints(world.live(10.0, most_a=FULL))["e1"] >= 6.0
    put_behind(world)
    assert setpoints(world.live(1000.0, most_a=FULL))["e1"] == 0.0


def test_the_same_target_once_more_brings_nothing_forward() -> None:
    world = two()
    asks(world, 9000.0, hours=8.0)
    put_behind(world)
    world.live(1000.0, most_a=FULL)
    (target,) = world.targets
    world.targets = (replace(target, holder=Holder(Rank.OPERATOR, "command", "c2")),)
    assert setpoints(world.live(10.0, most_a=FULL))["e1"] == 0.0


@pytest.mark.parametrize("away", [VehicleState.ABSENT, VehicleState.FAULT])
def test_unplugging_and_a_fault_forget_it(away: VehicleState) -> None:
    world = put_behind(two())
    world.live(1000.0, most_a=FULL)
    world.vehicle("e1", away)
    world.live(5.0, most_a=FULL)
    assert world.state.evses[E1].no_demand is None
    world.vehicle("e1", VehicleState.CHARGING)
    world.live(5.0, most_a=FULL)
    assert setpoints(world.live(5.0, most_a=FULL))["e1"] >= 6.0


def test_a_pause_forgets_it() -> None:
    world = put_behind(two())
    world.live(1000.0, most_a=FULL)
    pauses(world, E1)
    assert world.live(5.0, most_a=FULL).evses[E1].reason.code is ReasonCode.PAUSED
    world.ceilings = ()
    world.live(5.0, most_a=FULL)
    assert setpoints(world.live(5.0, most_a=FULL))["e1"] >= 6.0


def test_silence_forgets_it() -> None:
    world = put_behind(two())
    world.live(1000.0, most_a=FULL)
    for _ in range(5):
        world.wait(5.0)
        world.reads("e2", 10.0)
        world.meter(10.0)
        world.obey(world.step())
    assert world.state.evses[E1].no_demand is None


def test_who_presses_is_not_put_behind() -> None:
    world = two(policy=Policy.DEADLINE)
    asks(world, 32.0 * 230.0, hours=1.2)
    assert setpoints(world.live(400.0, most_a=FULL))["e1"] >= 6.0


def test_who_has_time_is_put_behind_and_offered_its_minimum_as_soon_as_it_presses() -> None:
    world = two(policy=Policy.DEADLINE)
    asks(world, 32.0 * 230.0, hours=1.6)  # one hour at its fastest
    put_behind(world)
    (first, *_) = offers(world, 1500.0)
    left_s = world.targets[0].departure_utc_s - UTC0_S - (world.now_s - 1500.0 + first)
    assert left_s >= HOUR_S + 850.0


def test_its_next_offer_comes_halfway_to_its_departure_at_the_latest() -> None:
    world = two()
    asks(world, 9000.0, hours=1.2)
    world.live(600.0, most_a={"e1": 6.0})
    put_behind(world)
    left_s = world.targets[0].departure_utc_s - UTC0_S - world.now_s
    until_s = world.state.evses[E1].no_demand.until_s  # type: ignore[union-attr]
    assert until_s is not None
    assert until_s - world.now_s <= left_s / 2.0 + 10.0


def test_a_departure_of_one_that_has_its_energy_brings_nothing_forward() -> None:
    world = two()
    world.evses[E1] = replace(world.silent("e1"), session_wh=9500.0)
    asks(world, 9000.0, hours=0.8)
    put_behind(world)
    until_s = world.state.evses[E1].no_demand.until_s  # type: ignore[union-attr]
    assert until_s is not None
    assert until_s - world.now_s >= 1700.0


def test_who_leaves_soon_is_not_put_behind_so_that_it_can_pre_heat() -> None:
    world = two()
    asks(world, 0.0, hours=0.9)
    leaves_s = world.now_s + 0.9 * HOUR_S
    put_behind(world)
    until_s = world.state.evses[E1].no_demand.until_s  # type: ignore[union-attr]
    began_s = world.now_s
    offered_s = began_s + offers(world, 1750.0)[0]
    assert until_s is not None
    assert leaves_s - 1800.0 <= offered_s < until_s - 100.0


def test_who_stays_long_after_its_departure_is_put_behind_again() -> None:
    world = two(limit_a=30.0)
    asks(world, 0.0, hours=-0.4)
    world.live(300.0, most_a=FULL)
    assert setpoints(world.live(5.0, most_a=FULL))["e1"] == 6.0
    world.live(200.0, most_a=FULL)
    assert setpoints(world.live(5.0, most_a=FULL))["e1"] == 0.0


def test_nothing_is_written_anew_while_it_is_behind() -> None:
    world = put_behind(two())
    world.live(300.0, most_a=FULL)
    before = world.state.evses[E1]
    world.live(300.0, most_a=FULL)
    assert world.state.evses[E1] is before


def test_room_for_it_must_have_been_there_for_a_turn() -> None:
    world = put_behind(two())
    world.live(300.0, most_a=FULL)
    pauses(world, E2)
    assert setpoints(world.live(850.0, most_a=FULL)) == {"e1": 0.0, "e2": 0.0}
    assert setpoints(world.live(100.0, most_a=FULL)) == {"e1": 6.0, "e2": 0.0}


@pytest.mark.parametrize("policy", list(Policy))
@settings(max_examples=4, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    limit_a=st.floats(14.0, 40.0),
    noise_a=st.floats(0.0, 4.0),
)
def test_nobody_flaps_and_nobody_starves_beside_full_cars(
    policy: Policy, seed: int, limit_a: float, noise_a: float
) -> None:
    hours = 4
    wants = [Stay(f"e{n}", 0.0, 99 * HOUR_S, 1e9) for n in (1, 2, 3)]
    full = [Stay(f"e{n}", 0.0, 99 * HOUR_S, 500.0 * (n - 4)) for n in (4, 5, 6)]
    lot = Lot(
        Sharing(policy=policy),
        [*wants, *full],
        limit_a,
        bays(6),
        noise_a=noise_a,
        base_a=4.0,
        seed=seed,
    ).run(hours * HOUR_S)
    told = {
        name: [one.evses[EvseId(name)].setpoint_a >= 6.0 for one in lot.decisions]
        for name in ("e1", "e2", "e3", "e4", "e5", "e6")
    }
    for name, has in told.items():
        starts = sum(after and not before for before, after in pairwise(has))
        assert starts <= hours * 4 + 1, name
    for k in range(3):
        assert lot.delivered_wh[k] > 0.0
