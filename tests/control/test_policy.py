"""Policies: who gets the room above the minima, and who of those that compete for a minimum."""

import random
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edgectl.control.policy import DONE_BAND, LATE_BAND, LAXITY_BANDS_S, rank
from edgectl.model.ceiling import Holder, Rank
from edgectl.model.decision import Decision
from edgectl.model.policy import Policy, Sharing
from edgectl.model.reading import VehicleState
from edgectl.model.site import Evse
from edgectl.model.state import DrawState, EvseState, State
from edgectl.model.target import ChargeTarget
from edgectl.units import EvseId
from tests.control.lot import Lot, Stay, bays
from tests.control.world import UTC0_S, World, evse, site

HOUR_S = 3600.0
VOLTS = 230.0


def world_of(evses: list[Evse], policy: Policy, *, limit_a: float) -> World:
    """All of them answer, draw nothing yet and ask."""
    depot = site(
        evses=evses, limit_a=(limit_a, None, None), base_max_a=(0.0, 0.0, 0.0), margin_a=0.0
    )
    world = World(replace(depot, sharing=Sharing(policy=policy)))
    for one in evses:
        world.sends(one.id, 0.0)
        world.confirms(one.id)
    return world


def target(
    world: World, name: str, *, hours: float, energy_wh: float, priority: int | None = None
) -> ChargeTarget:
    return ChargeTarget(
        evse=EvseId(name),
        energy_wh=energy_wh,
        departure_utc_s=UTC0_S + world.now_s + hours * HOUR_S,
        holder=Holder(Rank.OPERATOR, "command", f"for-{name}"),
        priority=priority,
    )


def allocations(world: World) -> dict[str, float]:
    return allocated(world.everything(0.0, {str(one.id): 0.0 for one in world.site.evses}))


def allocated(decision: Decision) -> dict[str, float]:
    return {str(name): one.allocation_a for name, one in decision.evses.items()}


def at_fastest_wh(hours: float) -> float:
    return 32.0 * VOLTS * hours


def test_fair_is_alike_for_all_whatever_their_weight_and_tier() -> None:
    world = world_of([evse(1, weight=3.0), evse(2, tier=1)], Policy.FAIR, limit_a=40.0)
    assert allocations(world) == {"e1": 20.0, "e2": 20.0}


def test_priority_shares_by_weight_within_a_tier() -> None:
    world = world_of([evse(1, weight=3.0), evse(2)], Policy.PRIORITY, limit_a=40.0)
    assert allocations(world) == {"e1": 30.0, "e2": 10.0}


def test_priority_fills_a_tier_before_the_next() -> None:
    world = world_of([evse(1, tier=1), evse(2)], Policy.PRIORITY, limit_a=40.0)
    assert allocations(world) == {"e1": 8.0, "e2": 32.0}


def test_the_priority_of_a_target_stands_in_place_of_the_tier() -> None:
    world = world_of([evse(1, tier=1), evse(2)], Policy.PRIORITY, limit_a=40.0)
    world.targets = (
        target(world, "e1", hours=8, energy_wh=1000.0, priority=0),
        target(world, "e2", hours=8, energy_wh=1000.0, priority=5),
    )
    assert allocations(world) == {"e1": 32.0, "e2": 8.0}


def test_deadline_gives_what_is_above_the_minima_to_the_least_laxity() -> None:
    world = world_of([evse(1), evse(2), evse(3)], Policy.DEADLINE, limit_a=50.0)
    world.targets = (
        target(world, "e1", hours=10, energy_wh=at_fastest_wh(2)),
        target(world, "e2", hours=3, energy_wh=at_fastest_wh(2.9)),
        target(world, "e3", hours=4, energy_wh=at_fastest_wh(2)),
    )
    assert allocations(world) == {"e1": 6.0, "e2": 32.0, "e3": 12.0}


def test_deadline_gives_who_cannot_make_it_what_others_can_spare() -> None:
    world = world_of([evse(1), evse(2)], Policy.DEADLINE, limit_a=40.0)
    world.targets = (
        target(world, "e1", hours=1, energy_wh=at_fastest_wh(3)),
        target(world, "e2", hours=20, energy_wh=at_fastest_wh(1)),
    )
    decision = world.everything(0.0, {"e1": 0.0, "e2": 0.0})
    assert allocated(decision) == {"e1": 8.0, "e2": 32.0}
    late = decision.evses[EvseId("e1")].urgency
    assert late is not None
    assert late.laxity_s == pytest.approx(-2 * HOUR_S)


def test_deadline_serves_who_has_its_energy_last_and_who_told_nothing_before() -> None:
    world = world_of([evse(1), evse(2), evse(3)], Policy.DEADLINE, limit_a=50.0)
    world.targets = (
        target(world, "e1", hours=2, energy_wh=0.0),
        target(world, "e3", hours=2, energy_wh=at_fastest_wh(3)),
    )
    assert allocations(world) == {"e1": 6.0, "e2": 12.0, "e3": 32.0}


def test_a_need_is_the_target_less_what_the_session_delivered() -> None:
    world = world_of([evse(1), evse(2)], Policy.DEADLINE, limit_a=40.0)
    world.targets = tuple(
        target(world, name, hours=3, energy_wh=at_fastest_wh(2.8)) for name in ("e1", "e2")
    )
    view = world.silent("e1")
    world.evses[EvseId("e1")] = replace(view, session_wh=at_fastest_wh(2.8) - 1000.0)
    decision = world.everything(0.0, {"e1": 0.0, "e2": 0.0})
    needs = {str(n): one.urgency.need_wh for n, one in decision.evses.items() if one.urgency}
    assert needs == {"e1": pytest.approx(1000.0), "e2": pytest.approx(at_fastest_wh(2.8))}
    assert allocated(decision) == {"e1": 8.0, "e2": 32.0}


def test_without_a_session_count_the_energy_register_is_taken_from_the_plugging_in() -> None:
    world = world_of([evse(1)], Policy.DEADLINE, limit_a=40.0)
    world.targets = (target(world, "e1", hours=3, energy_wh=5000.0),)
    needs = []
    for energy_wh in (700_000.0, 700_500.0, 702_000.0):
        world.evses[EvseId("e1")] = replace(world.silent("e1"), energy_wh=energy_wh)
        urgency = world.everything(0.0, {"e1": 0.0}).evses[EvseId("e1")].urgency
        assert urgency is not None
        needs.append(urgency.need_wh)
    assert needs == [5000.0, 4500.0, 3000.0]
    world.vehicle("e1", VehicleState.ABSENT)
    world.everything(0.0, {"e1": 0.0})
    world.vehicle("e1", VehicleState.CHARGING)
    world.everything(0.0, {"e1": 0.0})
    urgency = world.everything(0.0, {"e1": 0.0}).evses[EvseId("e1")].urgency
    assert urgency is not None
    assert urgency.need_wh == 5000.0


def test_who_presses_is_admitted_before_a_turn_is_over() -> None:
    world = world_of([evse(1), evse(2)], Policy.DEADLINE, limit_a=10.0)
    world.targets = (
        target(world, "e1", hours=20, energy_wh=at_fastest_wh(1)),
        target(world, "e2", hours=10, energy_wh=at_fastest_wh(1)),
    )
    world.live(60.0)
    running = max(allocations(world), key=allocations(world).__getitem__)
    other = "e2" if running == "e1" else "e1"
    world.targets = (
        target(world, running, hours=20, energy_wh=at_fastest_wh(1)),
        target(world, other, hours=1.2, energy_wh=at_fastest_wh(1)),
    )
    assert allocations(world)[other] >= 6.0


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_deadline_leaves_nobody_below_its_minimum_while_there_is_room(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 7))
    limit_a = data.draw(st.floats(5.0, 32.0 * count))
    world = world_of(bays(count), Policy.DEADLINE, limit_a=limit_a)
    world.targets = tuple(
        target(
            world,
            f"e{n}",
            hours=data.draw(st.floats(0.01, 30.0)),
            energy_wh=data.draw(st.floats(0.0, 1e5)),
        )
        for n in range(1, count + 1)
        if data.draw(st.booleans())
    )
    given_a = allocations(world)
    below = [name for name, value_a in given_a.items() if value_a < 6.0]
    left_a = limit_a - sum(given_a.values())
    assert not below or left_a < 6.0
    assert not below or limit_a < 6.0 * count


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    policy=st.sampled_from(list(Policy)),
    limit_a=st.floats(60.0, 180.0),
)
def test_allocations_do_not_depend_on_the_order_of_evses(
    seed: int, policy: Policy, limit_a: float
) -> None:
    rng = random.Random(seed)
    evses = [evse(n, weight=rng.uniform(0.5, 3.0), tier=rng.choice([0, 1])) for n in range(1, 7)]
    wanted = {
        str(one.id): (rng.uniform(0.5, 12.0), rng.uniform(0.0, 9e4), rng.choice([None, 0, 3]))
        for one in evses
        if rng.random() < 0.8
    }
    shuffled = evses[:]
    rng.shuffle(shuffled)
    seen = []
    for order in (evses, shuffled):
        world = world_of(order, policy, limit_a=limit_a)
        world.targets = tuple(
            target(world, name, hours=hours, energy_wh=energy_wh, priority=priority)
            for name, (hours, energy_wh, priority) in wanted.items()
        )
        seen.append(allocations(world))
    assume(min(seen[0].values()) >= 6.0)  # only then no minimum competes for the last place
    assert seen[0] == pytest.approx(seen[1], abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(
    weights=st.lists(st.floats(0.2, 5.0), min_size=2, max_size=6), limit_a=st.floats(40.0, 150.0)
)
def test_priority_keeps_shares_in_the_ratio_of_weights(
    weights: list[float], limit_a: float
) -> None:
    evses = [evse(n, weight=weight) for n, weight in enumerate(weights, start=1)]
    given_a = allocations(world_of(evses, Policy.PRIORITY, limit_a=limit_a))
    between = [one for one in evses if 6.0 < given_a[one.id] < 32.0]
    shares = [given_a[one.id] / one.weight for one in between]
    assert shares == pytest.approx([shares[0]] * len(shares)) if shares else True


def stays(seed: int) -> list[Stay]:
    """A busy day at eight bays: short and long stays, small and large needs, all possible."""
    rng = random.Random(seed)
    made = []
    for bay in range(1, 9):
        at_s = rng.uniform(0.0, 2 * HOUR_S)
        while at_s < 9 * HOUR_S:
            stay_s = rng.choice([0.5, 1.0, 1.5, 2.0, 4.0, 6.0]) * HOUR_S
            most_wh = 32.0 * VOLTS * stay_s / HOUR_S
            made.append(Stay(f"e{bay}", at_s, at_s + stay_s, rng.uniform(0.2, 0.9) * most_wh))
            at_s += stay_s + rng.uniform(300.0, HOUR_S)
    return made


def test_deadline_delivers_more_before_departure_than_fair_where_it_is_tight() -> None:
    def delivered(seed: int, policy: Policy) -> tuple[float, int]:
        day = stays(seed)
        lot = Lot(Sharing(policy=policy), day, 110.0, bays(8)).run(12 * HOUR_S)
        got = [min(a, one.wants_wh) for a, one in zip(lot.delivered_wh, day, strict=True)]
        full = sum(a >= 0.98 * one.wants_wh for a, one in zip(got, day, strict=True))
        return sum(got) / sum(one.wants_wh for one in day), full

    for seed in (1, 3):
        fair, fair_full = delivered(seed, Policy.FAIR)
        deadline, deadline_full = delivered(seed, Policy.DEADLINE)
        assert fair < 0.95, "the day is not tight"
        assert deadline > fair + 0.02
        assert deadline_full > fair_full


def test_two_vehicles_that_press_alike_do_not_take_turns() -> None:
    lot = Lot(
        Sharing(policy=Policy.DEADLINE),
        [Stay(f"e{n}", 0.0, 5 * HOUR_S, at_fastest_wh(3.2)) for n in (1, 2, 3)],
        64.0,
        bays(3),
    ).run(3 * HOUR_S)
    changes = sum(
        abs(allocated(b)[name] - allocated(a)[name]) > 2.0
        for a, b in zip(lot.decisions, lot.decisions[1:], strict=False)
        for name in ("e1", "e2", "e3")
    )
    assert changes <= 12


@pytest.mark.parametrize("policy", list(Policy))
def test_s21_the_allocation_settles_within_three_ticks_of_a_change(policy: Policy) -> None:
    world = world_of(bays(5), policy, limit_a=70.0)
    world.targets = tuple(
        target(world, f"e{n}", hours=1.5 * n, energy_wh=at_fastest_wh(n)) for n in range(1, 5)
    )
    world.live(120.0, pace_s=1.0)
    for base_a in (20.0, 0.0):
        seen = [allocated(world.live(1.0, base_a, pace_s=1.0)) for _ in range(30)]
        assert all(one == pytest.approx(seen[-1], abs=1e-6) for one in seen[3:])


@pytest.mark.parametrize("phases", [(1,), (1, 2), (1, 2, 3)])
def test_laxity_is_the_time_left_less_the_time_that_all_phases_take(
    phases: tuple[int, ...],
) -> None:
    world = world_of([evse(1, phases=phases)], Policy.DEADLINE, limit_a=100.0)
    need_wh = 16_000.0
    world.targets = (target(world, "e1", hours=5.0, energy_wh=need_wh),)
    world.everything(0.0, {"e1": 0.0})
    (urgency,) = rank(world.situation()).urgency or ()
    assert urgency is not None
    fastest_w = 32.0 * VOLTS * len(phases)
    assert urgency.laxity_s == pytest.approx((5.0 - need_wh / fastest_w) * HOUR_S)


@pytest.mark.parametrize(("seen_a", "counts_a"), [(10.0, 10.0), (40.0, 32.0), (None, 32.0)])
def test_the_fastest_is_no_more_than_what_the_vehicle_was_seen_to_draw(
    seen_a: float | None, counts_a: float
) -> None:
    world = world_of([evse(1)], Policy.DEADLINE, limit_a=100.0)
    world.targets = (target(world, "e1", hours=5.0, energy_wh=4600.0),)
    seen = world.situation()
    (urgency,) = rank(replace(seen, draws=(DrawState(most_a=seen_a),))).urgency or ()
    assert urgency is not None
    assert urgency.laxity_s == pytest.approx((5.0 - 4600.0 / (counts_a * VOLTS)) * HOUR_S)


def test_of_those_who_had_their_turn_the_newest_keeps_its_place_longest() -> None:
    world = world_of([evse(1), evse(2), evse(3)], Policy.FAIR, limit_a=100.0)
    ended_s = world.now_s - 2.0 * Sharing().turn_s
    admitted_s = {"e1": ended_s, "e2": ended_s + 200.0, "e3": ended_s + 100.0}
    known = {
        EvseId(name): EvseState(held_a=6.0, setpoint_a=6.0, asked_s=at_s, admitted_s=at_s)
        for name, at_s in admitted_s.items()
    }
    world.state = State(started_s=0.0, evses=known)
    assert rank(world.situation()).queue == (1, 2, 0)


def band_of(world: World, *, left_s: float, need_wh: float, before: int | None = None) -> int:
    """The band of e1 when it needs so much until its departure in `left_s`."""
    world.targets = (target(world, "e1", hours=left_s / HOUR_S, energy_wh=need_wh),)
    known = EvseState(held_a=0.0, setpoint_a=0.0, band=before, energy_from_wh=0.0)
    world.state = State(started_s=0.0, evses={EvseId("e1"): known})
    (band,) = rank(world.situation()).band or ()
    return band


@pytest.mark.parametrize(("number", "bound_s"), list(enumerate(LAXITY_BANDS_S)))
def test_a_band_begins_at_its_bound_and_is_left_two_minutes_beyond(
    number: int, bound_s: float
) -> None:
    world = world_of([evse(1)], Policy.DEADLINE, limit_a=100.0)
    need_wh = 1600.0
    takes_s = need_wh / (32.0 * VOLTS) * HOUR_S

    def band(laxity_s: float, before: int | None) -> int:
        return band_of(world, left_s=takes_s + laxity_s, need_wh=need_wh, before=before)

    assert band(bound_s - 1.0, None) == number
    assert band(bound_s + 1.0, None) == number + 1
    assert band(bound_s + 119.0, number) == number
    assert band(bound_s + 121.0, number) == number + 1
    assert band(bound_s - 1.0, number + 1) == number, "a more pressing one is entered at once"


def test_who_cannot_make_it_is_late_and_who_needs_nothing_is_done() -> None:
    world = world_of([evse(1)], Policy.DEADLINE, limit_a=100.0)
    hour_wh = 32.0 * VOLTS
    assert band_of(world, left_s=HOUR_S - 121.0, need_wh=hour_wh) == LATE_BAND
    assert band_of(world, left_s=HOUR_S - 119.0, need_wh=hour_wh) == 0
    assert band_of(world, left_s=HOUR_S - 1.0, need_wh=hour_wh, before=LATE_BAND) == LATE_BAND
    assert band_of(world, left_s=HOUR_S + 1.0, need_wh=hour_wh, before=LATE_BAND) == 0
    assert band_of(world, left_s=HOUR_S, need_wh=0.0) == DONE_BAND
    assert band_of(world, left_s=HOUR_S, need_wh=0.5) < LATE_BAND
