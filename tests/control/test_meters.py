"""What a meter means by what it sees, and when it is believed no more (S5, S7)."""

from dataclasses import replace

import pytest

from edgectl.control.drawn import Bounds
from edgectl.control.frozen import is_frozen, run_after
from edgectl.model.decision import AlarmCode, Decision
from edgectl.model.reading import FROZEN_MOVED_A, FROZEN_S, Quality
from edgectl.model.site import Meter, Node, Sees
from edgectl.units import EvseId, LinkId, MeterId, NodeId
from tests.control.world import GRID, M_GRID, World, evse, site

PANEL = NodeId("panel")


def meter(name: str = "m-grid", *, node: NodeId = GRID, sees: Sees = Sees.ALL) -> Meter:
    return Meter(
        id=MeterId(name),
        node=node,
        profile="test",
        link=LinkId("lan"),
        unit=99,
        poll_s=1.0,
        refresh_s=0.0,
        sees=sees,
    )


def codes(decision: Decision) -> set[AlarmCode]:
    return {alarm.code for alarm in decision.alarms}


def frozen_for(seconds: int, *, moved_a: float) -> tuple[World, Decision]:
    """A meter that shows 30 A for ever, while a vehicle goes up by `moved_a` at the beginning."""
    world = World(site(evses=[evse(1)]))
    world.settle(20.0, {"e1": 10.0})
    world.sends("e1", 10.0 + moved_a)
    world.confirms("e1")
    for _ in range(seconds):
        world.wait(1.0)
        world.reads("e1", 10.0 + moved_a)
        world.meter(30.0)
        decision = world.step()
    return world, decision


def test_s5_a_frozen_value_is_as_old_as_its_first_appearance() -> None:
    _, decision = frozen_for(3, moved_a=8.0)
    # It had appeared with the 18 ticks of the beginning.
    assert decision.nodes[GRID].quality is Quality.BAD
    assert decision.nodes[GRID].base_a[0] == 60.0
    assert AlarmCode.METER_FROZEN in codes(decision)
    assert AlarmCode.METER_LOST not in codes(decision)


def test_s5_a_movement_that_a_meter_may_miss_freezes_nothing() -> None:
    _, decision = frozen_for(20, moved_a=FROZEN_MOVED_A - 0.1)
    assert decision.nodes[GRID].quality is Quality.GOOD
    assert codes(decision) == set()


def test_s5_a_value_that_appeared_a_moment_ago_gives_no_base_before_it_is_bad() -> None:
    world = World(site(evses=[evse(1)]))
    world.settle(20.0, {"e1": 10.0})
    world.sends("e1", 20.0)
    world.confirms("e1")
    world.wait(1.0)
    world.everything(20.5, {"e1": 10.0})
    first_s = world.now_s
    seen = {}
    for _ in range(14):
        world.wait(1.0)
        world.reads("e1", 20.0)
        world.meter(30.5)
        seen[world.now_s - first_s] = world.step()
    assert {seen[age].nodes[GRID].base_a[0] for age in (1.0, 2.0)} == {20.5}, "never 10.5"
    bases = [one.nodes[GRID].base_a[0] for one in seen.values()]
    assert bases == sorted(bases)
    assert not any(AlarmCode.METER_FROZEN in codes(seen[age]) for age in seen if age < FROZEN_S)
    assert all(AlarmCode.METER_FROZEN in codes(seen[age]) for age in seen if age >= FROZEN_S)


def test_s5_a_meter_that_stood_still_before_the_start_is_known_by_what_moves_later() -> None:
    """At the first moment the EVSE may have drawn anything; then it draws 6 A, then 20 A."""
    world = World(site(evses=[evse(1)]))
    world.meter(30.0)
    world.step()
    for second in range(40):
        world.wait(1.0)
        if second in {1, 20}:
            world.sends("e1", 6.0 if second == 1 else 20.0)
            world.confirms("e1")
        world.reads("e1", 6.0 if second < 22 else 20.0)
        world.meter(30.0)
        decision = world.step()
    assert AlarmCode.METER_FROZEN in codes(decision)
    assert decision.nodes[GRID].base_a[0] == 60.0


def test_s5_what_a_frozen_value_made_of_the_base_is_not_gone_on_with() -> None:
    """In two steps that a live meter may miss each, the base falls to 16 A; then it is known."""
    world = World(site(evses=[evse(1)]))
    world.settle(20.0, {"e1": 10.0})
    for second in range(20):
        world.wait(1.0)
        drawn_a = 14.0 if second < 8 else 18.0
        if second in {0, 8}:
            world.sends("e1", drawn_a)
            world.confirms("e1")
        world.reads("e1", drawn_a)
        world.meter(30.0)
        decision = world.step()
    assert AlarmCode.METER_FROZEN in codes(decision)
    world.sends("e1", 24.0)
    world.confirms("e1")
    world.wait(1.0)
    world.meter(20.0 + 18.0)
    assert world.step().nodes[GRID].base_a[0] >= 20.0


def test_s5_another_value_ends_it() -> None:
    world, decision = frozen_for(20, moved_a=8.0)
    assert AlarmCode.METER_FROZEN in codes(decision)
    for _ in range(2):
        world.wait(1.0)
        decision = world.everything(21.0, {"e1": 18.0})
    assert codes(decision) == set()
    assert abs(decision.nodes[GRID].base_a[0] - 21.0) < 1e-9


def test_s5_readings_of_other_moments_freeze_no_live_meter() -> None:
    """The vehicle has moved already, and the meter's last two samples were before that."""
    world = World(site(evses=[evse(1)]))
    world.settle(20.0, {"e1": 6.0})
    world.sends("e1", 30.0)
    world.confirms("e1")
    for tick in range(12):
        world.wait(1.0)
        drawn_a = 6.0 if tick == 0 else 30.0
        world.meter(20.0 + (6.0 if tick < 2 else 30.0), taken_s=world.now_s - 0.9)
        world.reads("e1", drawn_a)
        assert AlarmCode.METER_FROZEN not in codes(world.step())


def test_s7_a_part_raises_an_alarm_and_moves_no_base() -> None:
    part = meter("m-part", sees=Sees.PART)
    nodes = [Node(id=GRID, parent=None, limit_a=(50.0,) * 3, base_max_a=(30.0,) * 3)]
    world = World(site(evses=[evse(1)], nodes=nodes, meters=[part]))
    decision = None
    for part_a in (5.0, 5.0, 49.0, 51.0):
        world.wait(1.0)
        world.reads("e1", 6.0)
        world.meter(part_a, meter=part.id)
        decision = world.step()
        assert decision.nodes[GRID].base_a[0] == 30.0
        assert (AlarmCode.OVER_CEILING in codes(decision)) is (part_a > 50.0)
    assert decision is not None
    assert {alarm.id for alarm in decision.alarms} >= {"m-part.1"}
    world.wait(10.0)
    world.reads("e1", 6.0)
    assert AlarmCode.OVER_CEILING not in codes(world.step()), "an old value says nothing"


def test_s7_a_part_stands_beside_the_nodes_own_meter() -> None:
    world = World(site(evses=[evse(1)], meters=[meter("m-part", sees=Sees.PART), meter()]))
    world.settle(20.0, {"e1": 10.0})
    world.meter(3.0, meter=MeterId("m-part"))
    decision = world.step()
    assert decision.nodes[GRID].base_a[0] == 20.0
    assert set(decision.wake_above_a) == {M_GRID}


def test_s7_base_only_wakes_the_tick_where_the_account_leaves_no_more() -> None:
    only = meter(sees=Sees.BASE_ONLY)
    world = World(site(evses=[evse(1)], meters=[only]))
    for _ in range(12):
        world.wait(1.0)
        world.reads("e1", 10.0)
        world.meter(20.0)
        decision = world.step()
    committed_a = decision.evses[EvseId("e1")].committed_a
    assert decision.wake_above_a[M_GRID][0] == 100.0 - committed_a
    assert decision.nodes[GRID].account_a[0] == 20.0 + committed_a


def test_s7_two_nodes_of_one_meter_have_a_base_each() -> None:
    """The panel is all that hangs below the grid connection, but for one charger."""
    nodes = [
        Node(id=GRID, parent=None, limit_a=(100.0,) * 3, base_max_a=(10.0,) * 3),
        Node(id=PANEL, parent=GRID, limit_a=(100.0,) * 3, base_max_a=(10.0,) * 3),
    ]
    meters = [meter("m-grid"), meter("m-panel", node=PANEL)]
    world = World(site(evses=[evse(1, node=PANEL), evse(2)], nodes=nodes, meters=meters))
    for name in ("e1", "e2"):
        world.sends(name, 10.0)
        world.confirms(name)
    for _ in range(20):
        world.wait(1.0)
        world.reads("e1", 10.0)
        world.reads("e2", 10.0)
        for one in meters:
            world.meter(25.0, meter=one.id)
        decision = world.step()
    assert decision.nodes[GRID].base_a[0] == 5.0
    assert decision.nodes[PANEL].base_a[0] == 15.0, "what it sees beside its own EVSEs"


def test_s2_a_power_that_no_meter_can_mean_is_no_data() -> None:
    world = World(site(evses=[evse(1)]))
    world.settle(20.0, {"e1": 10.0})
    for _ in range(20):
        world.wait(1.0)
        world.reads("e1", 10.0)
        world.meter(30.0, power_w=(-3.4e38, None, None), voltage_v=(230.0, None, None))
        decision = world.step()
    assert decision.nodes[GRID].base_a[0] == 60.0
    assert decision.nodes[GRID].quality is Quality.BAD


def test_s4_who_was_read_after_the_meter_counts_with_that_while_others_are_awaited() -> None:
    """The panel's EVSE drew 10 A around the moment: the grid's base is 10 A below its meter."""
    nodes = [
        Node(id=GRID, parent=None, limit_a=(100.0,) * 3, base_max_a=(60.0,) * 3),
        Node(id=PANEL, parent=GRID),
    ]
    world = World(site(evses=[evse(1), evse(2, node=PANEL)], nodes=nodes))
    world.settle(15.0, {"e1": 32.0, "e2": 10.0})
    world.wait(1.0)
    world.everything(15.0, {"e1": 0.0, "e2": 0.0})
    world.wait(1.0)
    world.reads("e1", 0.0)
    world.reads("e2", 10.0)
    world.wait(0.5)
    world.meter(20.0)
    assert world.step().nodes[GRID].base_a[0] == 15.0, "nobody was read since"
    world.wait(0.5)
    world.reads("e2", 10.0)
    assert world.step().nodes[GRID].base_a[0] == 10.0


def under(ages_s: dict[str, float | None], *, own_a: float = 4.0) -> Decision:
    """A connection without a meter above two halls with one each, read so long ago; 12 A each."""
    halls = [NodeId(name) for name in ages_s]
    nodes = [
        Node(id=GRID, parent=None, limit_a=(100.0,) * 3, base_max_a=(own_a,) * 3),
        *(
            Node(id=hall, parent=GRID, limit_a=(50.0,) * 3, base_max_a=(32.0,) * 3)
            for hall in halls
        ),
    ]
    meters = [meter(f"m-{hall}", node=hall) for hall in halls]
    world = World(site(evses=[evse(1)], nodes=nodes, meters=meters))
    for second in range(60):
        world.wait(1.0)
        world.reads("e1", 0.0)
        for one, age_s in zip(meters, ages_s.values(), strict=True):
            if age_s is not None and second <= 59 - age_s:
                world.meter(12.0, 12.0, 12.0, meter=one.id)
        decision = world.step()
    return decision


@pytest.mark.parametrize(
    ("ages_s", "quality", "base_a"),
    [
        ((0.0, 0.0), Quality.GOOD, 4.0 + 12.0 + 12.0),
        ((0.0, 2.0), Quality.GOOD, 4.0 + 12.0 + 12.0),
        # From 12 A at 2.5 s to 32 A at 15 s: 1.6 A more every second.
        ((0.0, 6.0), Quality.STALE, 4.0 + 12.0 + 12.0 + 3.5 * 1.6),
        ((7.0, 5.0), Quality.STALE, 4.0 + 12.0 + 4.5 * 1.6 + 12.0 + 2.5 * 1.6),
        ((0.0, 15.0), Quality.BAD, 4.0 + 12.0 + 32.0),
        ((5.0, 30.0), Quality.BAD, 4.0 + 12.0 + 2.5 * 1.6 + 32.0),
        ((None, 0.0), Quality.BAD, 4.0 + 32.0 + 12.0),
    ],
)
def test_s7_without_a_meter_it_is_the_sum_below_and_its_own_worst_case_as_good_as_the_worst(
    ages_s: tuple[float | None, float | None], quality: Quality, base_a: float
) -> None:
    said = under({"north": ages_s[0], "south": ages_s[1]}).nodes[GRID]
    assert said.quality is quality
    assert said.base_a == pytest.approx((base_a,) * 3)


def test_s7_with_nothing_below_that_is_measured_it_is_the_worst_case() -> None:
    said = under({}).nodes[GRID]
    assert (said.quality, said.base_a) == (Quality.BAD, (4.0,) * 3)


def test_s7_a_meter_on_some_phases_leaves_the_others_their_worst_case() -> None:
    """It shows 20 A on L1 and L3 of the grid; below, the panel has up to 5, 6 and 7 A."""
    nodes = [
        Node(id=GRID, parent=None, limit_a=(100.0,) * 3, base_max_a=(10.0, 20.0, 30.0)),
        Node(id=PANEL, parent=GRID, base_max_a=(5.0, 6.0, 7.0)),
    ]
    partly = replace(meter(), phases=(1, 3))
    world = World(site(evses=[evse(1, phases=(2,))], nodes=nodes, meters=[partly]))
    for _ in range(20):
        world.wait(1.0)
        world.reads("e1", 0.0)
        world.meter(20.0, 99.0, 21.0)
        decision = world.step()
    assert decision.nodes[GRID].base_a == pytest.approx((20.0, 26.0, 21.0))
    (judged, _) = world.situation().judged
    assert (judged.meter_a, judged.direct_a) == ((20.0, None, 21.0), (20.0, None, 21.0))
    assert AlarmCode.OVER_CEILING not in codes(decision)


@pytest.mark.parametrize(
    ("spans", "frozen"),
    [
        # Spans that hold what the EVSEs drew, while the meter says the same.
        ([(0.0, 10.0), (12.0, 15.0)], False),
        ([(0.0, 10.0), (15.0, 20.0)], False),
        ([(0.0, 10.0), (15.1, 20.0)], True),
        ([(15.1, 20.0), (0.0, 10.0)], True),
        ([(0.0, 10.0), (0.0, 99.0), (15.1, 20.0)], True),
        ([(0.0, 99.0), (0.0, 10.0), (15.1, 20.0), (0.0, 99.0)], True),
        ([(0.0, 10.0), (4.0, 6.0), (8.0, 14.0)], False),
    ],
)
@pytest.mark.parametrize("phase", [0, 1, 2])
def test_s5_a_value_is_frozen_once_two_spans_lie_more_than_5_a_apart_on_a_phase(
    spans: list[tuple[float, float]], phase: int, *, frozen: bool
) -> None:
    run, value_a = None, (30.0, 31.0, 32.0)
    for second, (low_a, high_a) in enumerate(spans):
        least, greatest = [0.0] * 3, [40.0] * 3
        least[phase], greatest[phase] = low_a, high_a
        bounds = Bounds(
            (least[0], least[1], least[2]), (greatest[0], greatest[1], greatest[2]), closed=True
        )
        run = run_after(run, value_a, 100.0 + second, bounds)
    assert run is not None
    assert (run.since_s, run.frozen) == (100.0, frozen)
    assert is_frozen(run, value_a) is frozen
    assert not is_frozen(run, (30.0, 31.0, 32.1)), "it moved"
    anew = run_after(run, (30.0, 31.0, 32.1), 200.0, bounds)
    assert (anew.since_s, anew.frozen) == (200.0, False)


@pytest.mark.parametrize(
    ("refresh_s", "again_s", "base_a"),
    [(0.0, 1.0, 20.0), (0.4, 1.0, 20.0), (0.4, 0.3, 20.0), (1.0, 1.0, 25.0)],
)
def test_s4_what_a_meter_shows_may_be_as_old_as_its_refresh_time(
    refresh_s: float, again_s: float, base_a: float
) -> None:
    """The vehicle began half a second before the meter was asked; 30 A may be with or without."""
    place = site(evses=[evse(1)])
    world = World(replace(place, meters=(replace(place.meters[0], refresh_s=refresh_s),)))
    world.settle(25.0, {"e1": 0.0})
    world.sends("e1", 10.0)
    world.confirms("e1")
    world.wait(1.0)
    world.reads("e1", 0.0)
    world.wait(1.5)
    world.reads("e1", 10.0)
    world.wait(0.5)
    world.meter(30.0)
    world.wait(again_s)
    world.reads("e1", 10.0)
    assert world.step().nodes[GRID].base_a[0] == base_a


@pytest.mark.parametrize(
    ("age_s", "quality", "base_a"),
    [
        (5.0, Quality.GOOD, 20.0),
        (6.0, Quality.STALE, 20.0 + 40.0 * 1.0 / 10.0),
        (14.0, Quality.STALE, 20.0 + 40.0 * 9.0 / 10.0),
        (15.0, Quality.BAD, 60.0),
    ],
)
def test_s6_a_value_is_fresh_for_two_and_a_half_polls(
    age_s: float, quality: Quality, base_a: float
) -> None:
    """The meter is polled every 2 s; its base of 20 A may rise to 60 A."""
    place = site(evses=[evse(1)])
    world = World(replace(place, meters=(replace(place.meters[0], poll_s=2.0),)))
    world.settle(20.0, {"e1": 0.0})
    for _ in range(round(age_s)):
        world.wait(1.0)
        world.reads("e1", 0.0)
        said = world.step().nodes[GRID]
    assert said.quality is quality
    assert said.base_a[0] == pytest.approx(base_a)
    fresh = quality is Quality.GOOD
    (judged,) = world.situation().judged
    assert judged.meter_a[0] == (20.0 if fresh else None)
    assert judged.guard_a[0] == pytest.approx(base_a)
