"""Unbalance ceilings through the step."""

import random
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import inf

import pytest

from edgectl.control.balance import Difference, differences, keep_balance
from edgectl.control.shape import shape
from edgectl.control.share import Shared, call_values_a, share
from edgectl.control.situation import Situation
from edgectl.control.verify import promise_rows, verify
from edgectl.errors import InvariantBroken
from edgectl.model.decision import AlarmCode, Decision, ReasonCode
from edgectl.model.reading import EvseSample, VehicleState
from edgectl.model.rules import Rules
from edgectl.model.site import Node
from edgectl.units import OptionalTriple
from tests.control.world import GRID, TRAITS, World, evse, site

BOUND_A = 20.0
MARGIN_A = 2.0


def depot(*phases: tuple[int, ...], step_a: float = 0.0, rules: Rules | None = None) -> World:
    node = Node(
        id=GRID,
        parent=None,
        limit_a=(100.0,) * 3,
        base_max_a=(10.0,) * 3,
        margin_a=MARGIN_A,
        unbalance_a=BOUND_A,
    )
    traits = replace(TRAITS, step_a=step_a)
    evses = [evse(n, phases=wired, traits=traits) for n, wired in enumerate(phases, start=1)]
    return World(site=site(evses=evses, nodes=[node]), rules=rules or Rules())


def passes(
    world: World, drawn_a: dict[str, float], base_a: tuple[float, ...] = (0.0,) * 3
) -> Decision:
    """A second in which all devices answer, each EVSE drawing on the phases that it is wired to."""
    world.wait(1.0)
    total_a = list(base_a)
    for one in world.site.evses:
        value_a = drawn_a.get(one.id, 0.0)
        world.reads(one.id, value_a)
        for phase in one.phases:
            total_a[phase - 1] += value_a
    world.meter(*total_a)
    return world.step()


def lives(world: World, seconds: int, base_a: tuple[float, ...] = (0.0,) * 3) -> Decision:
    """Every vehicle draws what its charger was told last."""
    decision = None
    for _ in range(seconds):
        drawn_a = {
            str(one.id): view.confirmed.value_a if view.confirmed else 0.0
            for one in world.site.evses
            if (view := world.silent(one.id)).vehicle is not VehicleState.ABSENT
        }
        decision = passes(world, drawn_a, base_a)
        world.obey(decision)
    assert decision is not None
    return decision


def setpoints(decision: Decision) -> list[float]:
    return [one.setpoint_a for one in decision.evses.values()]


def test_one_phase_alone_gets_the_bound_less_the_margin() -> None:
    decision = lives(depot((1,)), 60)
    assert setpoints(decision) == pytest.approx([BOUND_A - MARGIN_A], abs=1e-6)
    reason = decision.evses[next(iter(decision.evses))].reason
    assert (reason.code, reason.node, reason.row, reason.limit) == (
        ReasonCode.UNBALANCE,
        GRID,
        "1",
        BOUND_A,
    )


def test_phases_that_keep_each_other_company_get_their_own_maximum() -> None:
    decision = lives(depot((1,), (2,), (3,)), 120)
    assert setpoints(decision) == pytest.approx([32.0] * 3, abs=1e-6)


def test_who_raises_is_cut_in_the_decision_that_stops_who_relieves() -> None:
    world = depot((1,), (2,), (3,))
    lives(world, 120)
    world.vehicle("e2", VehicleState.ABSENT)
    decision = lives(world, 1)
    assert setpoints(decision)[1] == 0.0
    assert max(setpoints(decision)) <= BOUND_A - MARGIN_A + 1e-6


def test_base_load_takes_its_part_of_the_difference() -> None:
    decision = lives(depot((1,)), 60, base_a=(10.0, 0.0, 0.0))
    assert setpoints(decision) == pytest.approx([BOUND_A - MARGIN_A - 10.0], abs=1e-6)


def test_a_meter_that_shows_phases_too_far_apart_is_an_alarm() -> None:
    world = depot((1,))
    lives(world, 30)
    decision = passes(world, {"e1": 18.0}, base_a=(9.0, 0.0, 0.0))
    assert AlarmCode.UNBALANCE in {alarm.code for alarm in decision.alarms}
    assert AlarmCode.UNBALANCE not in {alarm.code for alarm in lives(world, 60).alarms}


def test_no_decision_is_too_far_apart_whatever_comes_and_goes() -> None:
    """The invariant of S12 would raise; and this test adds up for itself."""
    rng = random.Random(7)
    wired = [(1,), (1,), (2,), (3,), (1, 2, 3), (2,), (1, 2), (3,)]
    for step_a in (0.0, 1.0):
        world = depot(*wired, step_a=step_a)
        cut = 0
        for _ in range(400):
            if rng.random() < 0.1:
                name = f"e{rng.randint(1, len(wired))}"
                gone = world.silent(name).vehicle is VehicleState.ABSENT
                world.vehicle(name, VehicleState.CHARGING if gone else VehicleState.ABSENT)
            decision = lives(world, 1)
            total_a = [0.0, 0.0, 0.0]
            for one, told in zip(world.site.evses, decision.evses.values(), strict=True):
                for phase in one.phases:
                    total_a[phase - 1] += told.setpoint_a
            apart_a = max(total_a) - min(total_a)
            if apart_a > BOUND_A - MARGIN_A + 1e-6:
                # Only at the minimum may it be more: stopping is the allocation's.
                cut += 1
                assert all(
                    told.setpoint_a <= TRAITS.min_a + 1e-6
                    for one, told in zip(world.site.evses, decision.evses.values(), strict=True)
                    if total_a.index(max(total_a)) + 1 in one.phases and len(one.phases) == 1
                )
        assert cut <= 20


@dataclass
class Bays:
    """Vehicles that follow what they are told after `lag` s, unless they stop by themselves."""

    world: World
    lag: int = 4
    on: dict[str, tuple[int, ...]] = field(default_factory=dict)
    stopped: set[str] = field(default_factory=set)
    mute: set[str] = field(default_factory=set)
    told: list[dict[str, float]] = field(default_factory=list)
    apart_a: list[float] = field(default_factory=list)

    def live(self, seconds: int) -> None:
        for _ in range(seconds):
            now = self.told[-1 - self.lag] if len(self.told) > self.lag else {}
            total_a = [0.0, 0.0, 0.0]
            self.world.wait(1.0)
            for one in self.world.site.evses:
                flows = self.on.get(one.id, one.phases)
                value_a = 0.0 if one.id in self.stopped else now.get(one.id, 0.0)
                for phase in flows:
                    total_a[phase - 1] += value_a
                if one.id not in self.mute:
                    self.world.reads(one.id, value_a, phases=flows)
            self.apart_a.append(max(total_a) - min(total_a))
            self.world.meter(*total_a)
            decision = self.world.step()
            self.world.obey(decision)
            self.told.append(dict(zip(decision.evses, setpoints(decision), strict=True)))

    def longest_s(self, *, since: int = 0) -> int:
        longest = run = 0
        for apart_a in self.apart_a[since:]:
            run = run + 1 if apart_a > BOUND_A else 0
            longest = max(longest, run)
        return longest


def test_currents_come_together_when_a_vehicle_stops_by_itself() -> None:
    bays = Bays(depot((1,), (2,), (3,)))
    bays.live(180)
    assert list(bays.told[-1].values()) == pytest.approx([32.0] * 3, abs=1e-6)
    bays.stopped.add("e2")
    bays.live(60)
    assert bays.longest_s() <= bays.lag + 2
    assert bays.told[-1]["e1"] == pytest.approx(18.0, abs=1e-6)
    bays.stopped.clear()
    bays.live(240)
    assert bays.longest_s(since=240) == 0
    assert list(bays.told[-1].values()) == pytest.approx([32.0] * 3, abs=1e-6)


@pytest.mark.parametrize(("less_a", "on_l1_a"), [(0.4, 50.0), (2.0, 48.0)])
def test_who_draws_a_little_less_relieves_with_all_that_it_was_told(
    less_a: float, on_l1_a: float
) -> None:
    """18 A beyond the 32 A that L2 and L3 are told; two vehicles on L1 share them."""
    world = depot((1,), (1,), (2,), (3,), rules=Rules(unused_room=False))
    for _ in range(240):
        drawn_a = {
            str(one.id): view.confirmed.value_a if view.confirmed else 0.0
            for one in world.site.evses
            if (view := world.silent(one.id))
        }
        for name in ("e3", "e4"):
            drawn_a[name] = max(0.0, drawn_a[name] - less_a)
        decision = passes(world, drawn_a)
        world.obey(decision)
    assert setpoints(decision)[2:] == pytest.approx([32.0, 32.0], abs=1e-6)
    assert sum(setpoints(decision)[:2]) == pytest.approx(on_l1_a, abs=1e-3)


def pairs_of(world: World, told_a: float, *currents_a: OptionalTriple) -> tuple[Difference, ...]:
    """The differences once every charger holds as much, and shows these currents, for long."""
    for one in world.site.evses:
        world.sends(one.id, told_a)
        world.confirms(one.id)
    for _ in range(40):
        world.wait(1.0)
        for one, current_a in zip(world.site.evses, currents_a, strict=True):
            view, sample = world.silent(one.id), EvseSample(world.now_s, current_a)
            world.evses[one.id] = replace(
                view,
                samples=(*view.samples, sample)[-32:],
                last_answer_s=world.now_s,
                vehicle=VehicleState.CHARGING,
            )
        world.meter(*(sum(a[p] or 0.0 for a in currents_a) for p in range(3)))
        world.step()
    return differences(*situation_of(world))


@pytest.mark.parametrize(
    ("told_a", "drawn_a", "counts_a"),
    [
        (32.0, 32.0, inf),
        (32.0, 30.6, inf),
        (32.0, 30.5, 30.5),
        (32.0, 8.0, 8.0),
        (6.0, 5.4, inf),
        (6.0, 5.3, 5.3),
        (6.0, 0.0, 0.0),
    ],
)
def test_who_draws_within_3_percent_and_half_an_ampere_of_what_it_was_told_follows_it(
    told_a: float, drawn_a: float, counts_a: float
) -> None:
    relief = {
        (one.more, one.less): one.relief
        for one in pairs_of(depot((1,)), told_a, (drawn_a, None, None))
    }
    other = {pair: () for pair in relief if pair[1] != 0}
    assert relief == {(1, 0): ((0, counts_a),), (2, 0): ((0, counts_a),), **other}


@pytest.mark.parametrize(
    ("current_a", "raises"),
    [
        ((16.0, 1.0, 0.0), {(0, 2), (1, 2)}),
        ((3.0, 0.5, 0.5), {(0, 1), (0, 2)}),
        ((0.0, 0.6, 3.0), {(1, 0), (2, 0)}),
        ((16.0, 1.0, 0.6), set()),
        ((2.9, 2.9, 0.0), set()),
    ],
)
def test_who_draws_3_a_on_some_phase_is_seen_on_those_with_more_than_half_an_ampere(
    current_a: OptionalTriple, raises: set[tuple[int, int]]
) -> None:
    found = pairs_of(depot((1, 2, 3)), 16.0, current_a)
    assert {(one.more, one.less) for one in found if one.raising} == raises
    assert {(one.less, one.more) for one in found if one.relief} == raises


def test_s13_nobody_is_raised_before_who_makes_room_has_followed() -> None:
    """e1 draws all that L1 may be apart; e2 comes, and gets its part once e1 is down."""
    bays = Bays(depot((1,), (1,)))
    bays.live(5)
    bays.world.vehicle("e2", VehicleState.ABSENT)
    bays.stopped.add("e2")
    bays.live(120)
    assert bays.told[-1] == pytest.approx({"e1": 18.0, "e2": 0.0}, abs=1e-6)
    bays.world.vehicle("e2", VehicleState.CHARGING)
    bays.stopped.clear()
    come = len(bays.told)
    bays.live(60)
    assert bays.told[-1] == pytest.approx({"e1": 9.0, "e2": 9.0}, abs=1e-6)
    raised = next(k for k, told in enumerate(bays.told) if k >= come and told["e2"] > 0.0)
    cut = next(k for k, told in enumerate(bays.told) if k >= come and told["e1"] < 18.0)
    assert raised > cut + bays.lag
    assert bays.longest_s(since=come) == 0


def test_nobody_is_stopped_for_a_vehicle_that_stopped_by_itself() -> None:
    """Four minima on L1 are more than the bound; stopping is the allocation's."""
    bays = Bays(depot((1,), (1,), (1,), (1,), (2,), (3,)))
    bays.live(180)
    bays.stopped.add("e5")
    bays.live(30)
    assert [bays.told[-1][f"e{n}"] for n in range(1, 5)] == [6.0] * 4


def test_who_falls_silent_relieves_nobody() -> None:
    """What it draws is not known any more: it may have stopped."""
    bays = Bays(depot((1,), (2,), (3,)))
    bays.live(180)
    bays.mute.add("e2")
    bays.stopped.add("e2")
    bays.live(40)
    assert bays.told[-1]["e1"] == pytest.approx(18.0, abs=1e-6)
    assert bays.longest_s() <= 6 + bays.lag + 1


def test_a_vehicle_on_one_of_three_wired_phases_raises_that_one_at_once() -> None:
    bays = Bays(depot((1, 2, 3), (1,)), on={"e1": (1,)})
    bays.live(180)
    assert bays.longest_s() <= bays.lag + 2
    assert bays.told[-1]["e1"] + bays.told[-1]["e2"] <= BOUND_A


@pytest.mark.parametrize("seed", range(12))
def test_s21_currents_hold_within_a_reaction_and_come_to_rest(seed: int) -> None:
    rng = random.Random(seed)
    wired = [(1,), (1,), (2,), (3,), (1, 2, 3), (2,), (3,)]
    # Unused room is tried with more from time to time, which is no swinging.
    rules = Rules(unused_room=seed % 2 == 0)
    world = depot(*wired, step_a=rng.choice([0.0, 1.0]), rules=rules)
    bays = Bays(world, lag=rng.randint(0, 6))
    names = [f"e{n}" for n in range(1, len(wired) + 1)]
    bays.live(120)
    for _ in range(8):
        bays.stopped ^= {rng.choice(names)}
        bays.live(rng.randint(20, 90))
    bays.live(200)
    assert bays.longest_s() <= bays.lag + 2
    moves = sum(before != after for before, after in pairwise(bays.told[-150:]))
    assert moves <= (10 if rules.unused_room else 0)


def test_a_decision_that_is_too_far_apart_breaks_the_promise() -> None:
    world = depot((1,), (2,), (3,))
    lives(world, 120)
    situation, shared = situation_of(world)
    shaped = shape(situation, shared, call_values_a(situation))
    told_a = [one.setpoint_a for one in shaped]
    verify(situation, shared, shaped, promise_rows(situation, shared, told_a))
    alone = (shaped[0], *(one._replace(setpoint_a=0.0) for one in shaped[1:]))
    with pytest.raises(InvariantBroken, match="L1 is promised 14 A too far above L2"):
        verify(situation, shared, alone, promise_rows(situation, shared, [32.0, 0.0, 0.0]))
    kept = keep_balance(situation, shared, alone)
    assert [one.setpoint_a for one in kept] == pytest.approx([18.0, 0.0, 0.0], abs=1e-6)
    verify(situation, shared, kept, promise_rows(situation, shared, [18.0, 0.0, 0.0]))


def situation_of(world: World) -> tuple[Situation, Shared]:
    """The ground of the next decision, and what is shared on it."""
    situation = world.situation()
    return situation, share(situation)


@pytest.mark.parametrize(
    ("phases", "given_a"),
    [((1,), (32.0, 0.0, 0.0)), ((1, 2), (32.0, 32.0, 0.0)), ((1, 2, 3), (32.0, 32.0, 32.0))],
)
def test_a_silent_charger_is_given_where_it_raises_a_difference(
    phases: tuple[int, ...], given_a: tuple[float, ...]
) -> None:
    """It counts its hardware maximum, and relieves nothing."""
    world = depot(phases)
    world.meter(0.0, 0.0, 0.0)
    situation, shared = situation_of(world)
    assert situation.commitments[0].silent
    for one in differences(situation, shared):
        base_a = shared.base[0][one.more] - shared.base[0][one.less]
        adds_a = given_a[one.more] if given_a[one.less] == 0.0 else 0.0
        assert one.given_a == pytest.approx(base_a + adds_a)
        assert one.relief == ()
