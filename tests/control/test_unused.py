"""Room that is not used: when it is taken, when it is given back, and what is forgotten."""

import random
from dataclasses import replace
from itertools import pairwise

import pytest

from edgectl.control.account import Commitment
from edgectl.control.unused import _nothing_new, _watch
from edgectl.model.decision import ReasonCode
from edgectl.model.reading import EvseSample, VehicleState
from edgectl.model.site import Connection
from edgectl.model.state import DrawState
from edgectl.units import EvseId, OptionalTriple
from tests.control.world import GRID, TRAITS, World, evse, setpoints, site

E1, E2 = EvseId("e1"), EvseId("e2")


def two() -> World:
    """e1 and e2 may draw 20 A each; both began a moment ago."""
    world = World(
        site(
            evses=[evse(1), evse(2)], limit_a=(40.0, None, None), base_max_a=(0.0,) * 3, margin_a=0
        )
    )
    world.settle(0.0, {"e1": 10.0, "e2": 10.0})
    return world


def test_it_is_not_judged_before_three_minutes_are_over() -> None:
    world = two()
    decision = world.live(140.0, most_a={"e1": 8.0})
    assert setpoints(decision) == {"e1": 20.0, "e2": 20.0}
    decision = world.live(60.0, most_a={"e1": 8.0})
    assert decision.evses[E1].setpoint_a == 10.0
    assert decision.evses[E1].reason.code is ReasonCode.DRAWS_LESS
    assert decision.evses[E1].reason.limit == 10.0


def test_the_highest_draw_of_the_last_minute_counts() -> None:
    world = two()
    world.live(120.0, most_a={"e1": 8.0})
    world.live(30.0, most_a={"e1": 13.0})
    decision = world.live(50.0, most_a={"e1": 8.0})
    assert decision.evses[E1].setpoint_a == 15.0


def test_a_draw_of_three_quarters_of_a_minute_ago_counts() -> None:
    world = two()
    world.live(110.0, most_a={"e1": 8.0})
    world.live(5.0, most_a={"e1": 13.0})
    decision = world.live(85.0, most_a={"e1": 8.0})
    assert decision.evses[E1].setpoint_a == 15.0


def test_a_draw_of_more_than_a_minute_ago_is_forgotten() -> None:
    world = two()
    world.live(60.0, most_a={"e1": 8.0})
    world.live(5.0, most_a={"e1": 13.0})
    decision = world.live(135.0, most_a={"e1": 8.0})
    assert decision.evses[E1].setpoint_a == 10.0


def test_the_room_is_free_only_once_the_lower_setpoint_is_confirmed() -> None:
    world = two()
    world.live(150.0, most_a={"e1": 8.0})
    told = []
    for _ in range(12):  # e1's charger does not confirm
        world.wait(5.0)
        decision = world.everything(0.0, {"e1": 8.0, "e2": 20.0})
        told.append(decision.evses[E2].setpoint_a)
    assert decision.evses[E1].setpoint_a == 10.0
    assert told == [20.0] * 12
    world.live(60.0, most_a={"e1": 8.0})
    assert setpoints(world.live(5.0, most_a={"e1": 8.0})) == {"e1": 10.0, "e2": 30.0}


def test_it_never_gets_less_than_its_minimum() -> None:
    world = two()
    decision = world.live(300.0, most_a={"e1": 0.0})
    assert decision.evses[E1].setpoint_a == 6.0


def test_it_is_tried_with_more_every_five_minutes() -> None:
    world = two()
    told = [world.live(20.0, most_a={"e1": 8.0}).evses[E1].setpoint_a for _ in range(60)]
    tries = [k for k in range(1, 60) if told[k - 1] == 10.0 and told[k] == 14.0]
    assert [b - a for a, b in pairwise(tries)] == [18, 18], "of them a minute is the try"
    first = told.index(10.0)
    assert told[first : first + 15] == [10.0] * 15
    assert 14.0 in told[first + 15 : first + 18]
    assert told[first + 20] == 10.0


def test_one_that_draws_nearly_all_that_it_may_gets_its_share_again_at_once() -> None:
    world = two()
    world.live(300.0, most_a={"e1": 8.0})
    assert world.live(60.0, most_a={"e1": 20.0}).evses[E1].setpoint_a == 20.0


def test_a_trial_finds_a_vehicle_that_can_take_more() -> None:
    """Its steps are too coarse to come near the lower maximum."""
    world = two()
    assert world.live(300.0, most_a={"e1": 8.0}).evses[E1].setpoint_a == 10.0
    for _ in range(80):
        world.wait(5.0)
        told = {one.id: world.silent(one.id).confirmed for one in world.site.evses}
        drawn = {str(name): c.value_a if c else 0.0 for name, c in told.items()}
        drawn["e1"] = 8.0 if drawn["e1"] < 14.0 else 14.0
        decision = world.everything(0.0, drawn)
        world.obey(decision)
        if decision.evses[E1].setpoint_a == 20.0:
            return
    pytest.fail("it was never found out")


@pytest.mark.parametrize("away", [VehicleState.ABSENT, VehicleState.FAULT])
def test_unplugging_forgets_it(away: VehicleState) -> None:
    world = two()
    world.live(300.0, most_a={"e1": 8.0})
    assert world.state.evses[E1].draw is not None
    world.vehicle("e1", away)
    world.wait(1.0)
    world.obey(world.everything(0.0, {"e1": 0.0, "e2": 20.0}))
    assert world.state.evses[E1].draw is None
    world.vehicle("e1", VehicleState.CHARGING)
    state = world.state.evses[E1]
    world.live(10.0)
    draw = world.state.evses[E1].draw
    assert draw is None or draw.most_a is None
    assert state.admitted_s is None


def test_a_list_of_currents_is_never_made_too_small_by_it() -> None:
    traits = replace(TRAITS, allowed_a=(0.0, 8.0, 16.0, 32.0), step_a=0.0)
    world = World(site(evses=[evse(1, traits=traits)], limit_a=(40.0, None, None)))
    world.settle(0.0, {"e1": 32.0})
    assert world.live(300.0, most_a={"e1": 9.0}).evses[E1].setpoint_a == 16.0


def three_phase(**changes: object) -> World:
    """e1 is wired to three phases, its vehicle may use one; e2 hangs on L2 alone."""
    depot = site(
        evses=[evse(1, **{"phases": (1, 2, 3), **changes}), evse(2, phases=(2,))],
        limit_a=(40.0, 40.0, 40.0),
        base_max_a=(0.0, 0.0, 0.0),
        margin_a=0.0,
    )
    world = World(depot)
    for name in ("e1", "e2"):
        world.sends(name, 16.0)
        world.confirms(name)
    return world


def flows(world: World, e1_a: OptionalTriple, seconds: int) -> None:
    """e1 draws these currents and e2 what it was told; both obey."""
    for _ in range(seconds):
        world.wait(1.0)
        e2 = world.silent("e2").confirmed
        e2_a = e2.value_a if e2 else 0.0
        view = world.silent("e1")
        sample = EvseSample(world.now_s, e1_a)
        world.evses[E1] = replace(
            view,
            samples=(*view.samples, sample)[-32:],
            last_answer_s=world.now_s,
            vehicle=VehicleState.CHARGING,
        )
        world.reads("e2", e2_a)
        one, two_a, three = (value or 0.0 for value in e1_a)
        world.meter(one, two_a + e2_a, three)
        world.obey(world.step())


def idle_phases(world: World) -> tuple[int, ...]:
    draw = world.state.evses[E1].draw
    assert draw is not None
    return draw.idle


def test_phases_without_current_are_free_after_half_a_minute() -> None:
    world = three_phase()
    flows(world, (16.0, 0.0, 0.0), 25)
    assert world.step().nodes[GRID].account_a[1] >= 32.0
    flows(world, (16.0, 0.0, 0.0), 20)
    decision = world.step()
    assert decision.evses[E2].setpoint_a == 32.0
    assert decision.evses[E1].setpoint_a == 32.0
    assert decision.nodes[GRID].account_a == pytest.approx((32.0, 32.0, 0.0))


def test_a_current_on_a_phase_that_showed_none_counts_at_once() -> None:
    world = three_phase()
    flows(world, (16.0, 0.0, 0.0), 60)
    flows(world, (16.0, 16.0, 16.0), 1)
    decision = world.step()
    assert decision.evses[E1].setpoint_a + decision.evses[E2].setpoint_a <= 40.0
    assert decision.nodes[GRID].account_a[1] >= 48.0


@pytest.mark.parametrize(
    ("drawn_a", "idle"),
    [
        ((16.0, 0.0, 0.0), (1, 2)),
        ((16.0, 1.0, 0.0), (2,)),
        ((0.5, 16.0, 0.51), (0,)),
        ((3.0, 0.0, 0.0), (1, 2)),
        ((2.9, 0.0, 0.0), ()),
        ((0.0, 2.5, 2.5), ()),
        ((16.0, 3.0, 0.6), ()),
    ],
)
def test_who_draws_3_a_on_some_phase_shows_those_where_it_draws_no_more_than_half_an_ampere(
    drawn_a: OptionalTriple, idle: tuple[int, ...]
) -> None:
    world = three_phase()
    flows(world, drawn_a, 60)
    assert idle_phases(world) == idle


def test_a_vehicle_that_pauses_says_nothing_of_its_phases() -> None:
    world = three_phase()
    flows(world, (16.0, 0.0, 0.0), 60)
    flows(world, (0.0, 0.0, 0.0), 60)
    assert idle_phases(world) == (1, 2)
    world = three_phase()
    flows(world, (0.0, 0.0, 0.0), 60)
    assert idle_phases(world) == ()


def test_silence_makes_all_wired_phases_count_again() -> None:
    world = three_phase()
    flows(world, (16.0, 0.0, 0.0), 60)
    world.wait(20.0)
    world.reads("e2", 32.0)
    decision = world.step()
    assert decision.evses[E1].silent
    assert decision.nodes[GRID].account_a[2] >= 16.0


def test_between_lines_no_phase_can_be_unused() -> None:
    world = three_phase(connection=Connection.LINE_TO_LINE, phases=(1, 2))
    flows(world, (16.0, 0.0, 0.0), 60)
    assert idle_phases(world) == ()


WHOLE_S = (1.0, 5.0, 10.0, 20.0, 60.0)
"""Between readings: the bounds of time (20, 60, 180 and 300 s) are met exactly, too."""
DRAWS_OF_A = (0.0, 0.5, 0.51, 2.9, 3.0, 6.0, 9.0, 10.0, 14.0, 15.0, 15.01, 16.0, 17.0, 18.0)


@pytest.mark.parametrize("seed", range(8))
def test_the_quick_look_says_nothing_new_only_where_the_whole_one_would(seed: int) -> None:
    rng = random.Random(seed)
    bay = evse(1, phases=(1, 2, 3))
    wired, now_s, quick = (0, 1, 2), 1000.0, 0
    before, admitted_s = DrawState(), now_s
    setpoint_a, drawn_a, phases = 16.0, 16.0, 3
    for _ in range(3000):
        now_s += rng.choice(WHOLE_S)
        if rng.random() < 0.2:
            drawn_a, phases = rng.choice(DRAWS_OF_A), rng.choice((1, 2, 3))
        if rng.random() < 0.05:
            setpoint_a = rng.choice((6.0, 10.0, 16.0, 18.0))
        if rng.random() < 0.005:
            before, admitted_s = DrawState(), now_s
        one, two, three = (drawn_a if p < phases else 0.0 for p in range(3))
        commitment = Commitment(
            held_a=setpoint_a,
            committed_a=setpoint_a,
            in_force_a=setpoint_a,
            measured_a=drawn_a,
            silent=False,
            failsafe_a=6.0,
        )
        newest = EvseSample(now_s, (one, two, three))
        what = (wired, newest, before, admitted_s, commitment, drawn_a, now_s)
        after = _watch(bay, *what)
        if _nothing_new(*what):
            assert after is before, what
            quick += 1
        before = after
    assert quick > 300, "and it saves work"
