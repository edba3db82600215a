"""What a sceptical look found: each a way in which a rule of the step could be led astray."""

from dataclasses import replace

import pytest

from edgectl.control.verify import safe_decision, verify
from edgectl.errors import InvariantBroken
from edgectl.model.ceiling import Holder, Rank, TimedCeiling
from edgectl.model.decision import AlarmCode, Decision, ReasonCode
from edgectl.model.reading import VehicleState
from edgectl.model.site import Meter, Node
from edgectl.units import EvseId, LinkId, MeterId, NodeId, OptionalTriple
from tests.control import test_rules
from tests.control.world import GRID, M_GRID, TRAITS, UTC0_S, World, evse, setpoints, site

NAMES = [f"e{n}" for n in range(1, 7)]


def test_s2_a_number_that_no_current_can_be_is_no_data() -> None:
    world = World(site(evses=[evse(1)]))
    world.settle(20.0, {"e1": 10.0})
    world.wait(1.0)
    world.reads("e1", 10.0)
    world.meter(3.4e38)
    assert world.step().nodes[GRID].base_a[0] == 20.0


def test_s4_what_an_earlier_sample_proved_is_not_forgotten_while_a_charger_is_slow() -> None:
    """One charger says what it draws every 4 s only; no sample can settle before that."""
    slow = replace(TRAITS, refresh_s=4.0, poll_s=4.0)
    world = World(site(evses=[evse(1), evse(2, traits=slow)]))
    world.settle(20.0, {"e1": 32.0, "e2": 32.0}, ticks=8)
    seen, told = [], []
    for meter_a in (110.0, 110.0, 110.0, 92.0, 78.0):
        world.wait(0.7)
        world.reads("e1", 32.0)
        world.meter(meter_a)
        decision = world.step()
        seen.append(decision.nodes[GRID].base_a[0])
        told.append(decision.evses[EvseId("e2")].setpoint_a)
    assert seen == [46.0] * 5
    assert told == [26.0] * 5


def test_s6_a_stale_base_stays_while_the_readings_around_its_last_sample_are_forgotten() -> None:
    """The base load is above its configured worst case, so nothing but b0 may speak."""
    world = World(site(evses=[evse(1)], base_max_a=(5.0, 5.0, 5.0)))
    world.settle(50.0, {"e1": 10.0})
    seen = []
    for second in range(80):
        if second in {1, 50}:
            world.sends("e1", 0.0 if second == 1 else 10.0)
            world.confirms("e1")
        world.wait(1.0)
        world.reads("e1", 0.0 if second < 50 else 10.0)
        seen.append(world.step().nodes[GRID].base_a[0])
    assert seen == [50.0] * 80


def test_s6_a_sample_that_went_stale_is_not_judged_again() -> None:
    world = World(site(evses=[evse(1)], base_max_a=(60.0, 0.0, 0.0)))
    world.answers("e1")
    world.sends("e1", 10.0)
    world.confirms("e1")
    world.reads("e1", 10.0)
    world.wait(0.1)
    world.meter(30.0)
    world.step()
    world.wait(2.6)
    world.answers("e1")
    stale = [world.step().nodes[GRID].base_a[0]]
    for _ in range(20):
        world.wait(1.0)
        world.reads("e1", 10.0)
        stale.append(world.step().nodes[GRID].base_a[0])
    assert stale == sorted(stale)
    assert stale[-1] == 60.0


def test_s8_a_value_measured_before_the_confirmation_proves_nothing() -> None:
    """The charger refreshes its values every 3 s: what it says now may be from before the write."""
    traits = replace(TRAITS, refresh_s=3.0)
    world = World(site(evses=[evse(1, traits=traits)]))
    world.settle(0.0, {"e1": 32.0}, ticks=8)
    for _ in range(4):
        world.wait(1.0)
        world.everything(0.0, {"e1": 8.0})
    world.sends("e1", 10.0)
    world.confirms("e1")
    counts = []
    for _ in range(4):
        world.wait(1.0)
        decision = world.everything(0.0, {"e1": 8.0})
        counts.append(decision.evses[EvseId("e1")].committed_a)
    assert counts == [32.0, 32.0, 10.0, 10.0]


def test_s8_a_vehicle_with_a_small_offset_does_not_hold_its_old_setpoint_for_ever() -> None:
    world = World(site(evses=[evse(1), evse(2)], limit_a=(40.0, None, None)))
    world.settle(0.0, {"e1": 32.0, "e2": 0.0})
    world.sends("e1", 19.0)
    world.confirms("e1")
    counts = []
    for _ in range(14):
        world.wait(1.0)
        decision = world.everything(0.0, {"e1": 19.7, "e2": 0.0})
        counts.append(decision.evses[EvseId("e1")].committed_a)
    assert counts[:9] == [32.0] * 9
    assert counts[-1] == 19.7
    assert decision.evses[EvseId("e2")].setpoint_a >= 18.0


@pytest.mark.parametrize("metered", [True, False])
def test_s9_a_decrease_that_was_not_followed_counts_on_while_silent(*, metered: bool) -> None:
    traits = replace(TRAITS, metered=metered)
    world = World(site(evses=[evse(1, traits=traits)]))
    world.settle(0.0, {"e1": 32.0}, ticks=12)
    world.reads("e1", 8.0)
    world.sends("e1", 7.0)
    world.confirms("e1")
    sent_s = world.now_s
    seen = {}
    for _ in range(12):
        world.wait(1.0)
        one = world.step().evses[EvseId("e1")]
        seen[world.now_s - sent_s] = (one.silent, one.committed_a)
    assert seen[9.0] == (True, 32.0)
    assert seen[11.0] == (True, 8.0)


@pytest.mark.parametrize(
    ("confirmed_a", "sent_a", "failsafe_a", "drawn_a", "counted_a"),
    [
        (10.0, (), 6.0, 0.0, 10.0),
        (10.0, (12.0, 8.0), 6.0, 0.0, 12.0),
        (10.0, (), 16.0, 0.0, 16.0),
        (10.0, (), 6.0, 14.0, 14.0),
        (0.0, (), 0.0, 0.0, 0.0),
    ],
)
def test_s9_a_silent_charger_counts_with_the_largest_of_all_that_it_may_be_doing(
    confirmed_a: float,
    sent_a: tuple[float, ...],
    failsafe_a: float,
    drawn_a: float,
    counted_a: float,
) -> None:
    world = World(site(evses=[evse(1)]))
    world.settle(20.0, {"e1": confirmed_a}, ticks=30)
    world.reads("e1", drawn_a)
    for value_a in sent_a:
        world.sends("e1", value_a)
    view = world.silent("e1")
    world.evses[EvseId("e1")] = replace(view, failsafe_a=failsafe_a)
    for _ in range(12):
        world.wait(1.0)
        world.meter(20.0 + drawn_a)
        one = world.step().evses[EvseId("e1")]
    assert (one.silent, one.committed_a) == (True, counted_a)


def test_s9_a_watchdog_that_is_switched_off_is_none() -> None:
    world = World(site(evses=[evse(1)]))
    world.settle(0.0, {"e1": 24.0})
    view = world.silent("e1")
    world.evses[EvseId("e1")] = replace(view, watchdog_s=0.0)
    world.wait(3600.0)
    world.meter(24.0)
    assert world.step().evses[EvseId("e1")].committed_a == 24.0


def test_s12_rounding_in_a_row_of_many_megavolt_amperes_is_no_broken_promise() -> None:
    situation, shared, shaped = test_rules.TestS12Promise().situation()
    great = replace(shared, limit=((1e9, None, None, None),))
    verify(situation, great, shaped, [[1e9 + 1e-3, 0.0, 0.0, 0.0]])
    with pytest.raises(InvariantBroken, match="grid row 1"):
        verify(situation, great, shaped, [[1e9 + 10.0, 0.0, 0.0, 0.0]])


def test_s13_a_charger_that_ignores_its_setpoint_is_made_room_for() -> None:
    """Told 13 A it draws 32: the others give way, and the meter comes below its ceiling."""
    world = World(site(evses=[evse(n) for n in range(1, 7)]))
    world.settle(20.0, dict.fromkeys(NAMES, 13.0))
    told = dict.fromkeys(NAMES, 13.0)
    flow_a = []
    for _ in range(30):
        drawn = {**told, "e1": 32.0}
        flow_a.append(20.0 + sum(drawn.values()))
        world.wait(1.0)
        decision = world.everything(20.0, drawn)
        world.obey(decision)
        told = setpoints(decision)
    assert flow_a[0] == 117.0
    assert max(flow_a[14:]) <= 100.0
    assert AlarmCode.EXCEEDS_SETPOINT in {alarm.code for alarm in decision.alarms}
    assert decision.nodes[GRID].promise_a[0] == pytest.approx(98.0)


@pytest.mark.parametrize(("base_a", "held_back"), [(25.0, True), (19.0, False)])
def test_s13_nobody_is_told_more_while_the_account_is_above_although_it_draws_that(
    base_a: float, *, held_back: bool
) -> None:
    """Told 10 A it still draws 20: with 25 A of base load there is no room for its share of 13."""
    world = World(site(evses=[evse(1)], limit_a=(40.0, None, None), base_max_a=(26.0,) * 3))
    world.settle(10.0, {"e1": 20.0}, ticks=40)
    world.sends("e1", 10.0)
    world.confirms("e1")
    world.wait(1.0)
    decision = world.everything(base_a, {"e1": 20.0})
    one = decision.evses[EvseId("e1")]
    assert one.allocation_a == pytest.approx(38.0 - base_a)
    assert one.committed_a == 20.0
    assert one.setpoint_a == 10.0
    assert (decision.nodes[GRID].account_a[0] > 40.0) is held_back
    assert (one.reason.code is ReasonCode.WAITS_FOR_ROOM) is held_back
    world.wait(1.0)
    assert setpoints(world.everything(base_a, {"e1": 10.0}))["e1"] == pytest.approx(38.0 - base_a)


@pytest.mark.parametrize("phases", [(1,), (1, 2), (1, 2, 3)])
def test_s13_a_raise_takes_what_the_va_row_leaves_and_no_more(phases: tuple[int, ...]) -> None:
    """5 A are free on each of its phases; e2 was told less and still draws as before."""
    watts = 230.0 * len(phases)
    node = Node(id=GRID, parent=None, limit_va=50.0 * watts, base_max_a=(50.0,) * 3, margin_a=0.0)
    evses = [evse(n, phases=phases) for n in (1, 2)]
    world = World(site(evses=evses, nodes=[node]))

    def passes(e1_a: float, e2_a: float) -> Decision:
        world.wait(1.0)
        world.reads("e1", e1_a)
        world.reads("e2", e2_a)
        flow = [5.0 + e1_a + e2_a if p in phases else 0.0 for p in (1, 2, 3)]
        world.meter(*flow, voltage_v=(230.0,) * 3)
        return world.step()

    for name in ("e1", "e2"):
        world.sends(name, 20.0)
        world.confirms(name)
    for _ in range(20):
        passes(20.0, 20.0)
    world.sends("e2", 10.0)
    world.confirms("e2")
    one = passes(20.0, 20.0).evses[EvseId("e1")]
    assert one.setpoint_a == pytest.approx(22.5)
    world.ceilings = (
        TimedCeiling(
            holder=Holder(Rank.OPERATOR, "command", "c"),
            reason="less",
            from_utc_s=UTC0_S,
            until_utc_s=None,
            evse=EvseId("e2"),
            limit_a=(10.0, 10.0, 10.0),
        ),
    )
    one = passes(20.0, 20.0).evses[EvseId("e1")]
    assert one.allocation_a == 32.0
    assert one.setpoint_a == pytest.approx(25.0)


def test_s13_offsets_of_many_vehicles_are_counted() -> None:
    """Each draws 0.45 A more than told, which is inside the tolerance of S8; together it is 2.7."""
    world = World(site(evses=[evse(n) for n in range(1, 7)]))
    world.settle(20.0, dict.fromkeys(NAMES, 13.0))
    told = dict.fromkeys(NAMES, 13.0)
    for _ in range(40):
        world.wait(1.0)
        decision = world.everything(20.0, {name: a + 0.45 for name, a in told.items()})
        world.obey(decision)
        told = setpoints(decision)
    assert 20.0 + sum(told.values()) + 6 * 0.45 == pytest.approx(98.0)


def test_s20_a_raise_gives_no_time_to_who_draws_more_than_was_ever_told() -> None:
    """There is no setpoint that it may be on its way down to: nobody waits until it has settled."""
    world = World(site(evses=[evse(n) for n in range(1, 7)]))
    world.settle(19.0, dict.fromkeys(NAMES, 13.0))
    told = {**dict.fromkeys(NAMES, 13.0), "e1": 14.0}
    world.sends("e1", told["e1"])
    world.confirms("e1")
    for _ in range(2):
        world.wait(1.0)
        decision = world.everything(19.0, {**told, "e1": 24.0})
    others_a = sum(a for name, a in setpoints(decision).items() if name != "e1")
    assert 19.0 + 24.0 + others_a == pytest.approx(98.0), (
        "what it draws counts, whatever it is told"
    )


def test_s20_who_came_back_with_its_boot_current_is_given_its_time() -> None:
    """Told 6 A it draws the 16 A that it booted with, on its way down: nobody stops for that."""
    boots = replace(TRAITS, boot_a=16.0)
    world = World(site(evses=[evse(n, traits=boots) for n in range(1, 7)]))
    world.settle(14.0, dict.fromkeys(NAMES, 14.0))
    told = dict.fromkeys(NAMES, 14.0)
    for _ in range(20):
        world.wait(1.0)
        drawn = {name: a for name, a in told.items() if name != "e1"}
        for name, a in drawn.items():
            world.reads(name, a)
        world.meter(14.0 + sum(drawn.values()))
        world.step()
    world.sends("e1", 6.0)
    world.confirms("e1")
    for _ in range(3):
        world.wait(1.0)
        decision = world.everything(14.0, {**told, "e1": 16.0})
    assert AlarmCode.EXCEEDS_SETPOINT not in {alarm.code for alarm in decision.alarms}
    assert setpoints(decision) == pytest.approx({**told, "e1": 6.0})
    world.wait(1.0)
    assert setpoints(world.everything(14.0, {**told, "e1": 6.0})) == pytest.approx(told)


def test_s8_who_follows_a_decrease_slowly_is_given_its_time() -> None:
    world = World(site(evses=[evse(n) for n in range(1, 7)]))
    world.settle(19.0, dict.fromkeys(NAMES, 13.0))
    told = {**dict.fromkeys(NAMES, 13.0), "e1": 8.0}
    world.sends("e1", told["e1"])
    world.confirms("e1")
    for _ in range(5):
        world.wait(1.0)
        decision = world.everything(19.0, {**told, "e1": 13.0})
    assert min(setpoints(decision)[name] for name in NAMES if name != "e1") >= 13.0


def test_s13_an_excess_ends_with_its_vehicle() -> None:
    world = World(site(evses=[evse(1), evse(2)], limit_a=(50.0, None, None)))
    world.settle(0.0, {"e1": 13.0, "e2": 13.0})
    for _ in range(14):
        world.wait(1.0)
        world.everything(0.0, {"e1": 30.0, "e2": 13.0})
    world.vehicle("e1", VehicleState.ABSENT)
    for _ in range(14):
        world.wait(1.0)
        decision = world.everything(0.0, {"e1": 0.0, "e2": 13.0})
        world.obey(decision)
    assert decision.evses[EvseId("e2")].setpoint_a == 32.0


def test_s15_the_sum_in_va_brings_the_next_tick_forward_too() -> None:
    """A limit in W is above no phase's ceiling: what must rise for it to be exceeded is told."""
    world = World(site(evses=[evse(1)]))
    world.ceilings = (ceiling(GRID, limit_w=9200.0),)
    world.settle(20.0, {"e1": 10.0})
    world.wait(1.0)
    world.reads("e1", 10.0)
    world.meter(30.0, voltage_v=(230.0, 230.0, 230.0))
    above = world.step().wake_above_a[M_GRID]
    part_a = (9200.0 - 30.0 * 230.0) / 690.0
    assert above == pytest.approx((30.0 + part_a, part_a, part_a))


def test_s15_without_a_ceiling_in_va_each_phase_wakes_at_its_own() -> None:
    world = World(site(evses=[evse(1)]))
    assert world.step().wake_above_a[M_GRID] == (100.0, 100.0, 100.0)


def test_s13_an_overload_in_va_is_said() -> None:
    world = World(site(evses=[evse(1)]))
    world.settle(20.0, {"e1": 10.0})
    world.ceilings = (ceiling(GRID, limit_w=6000.0),)
    world.wait(1.0)
    assert said(world.everything(20.0, {"e1": 10.0})) == {(AlarmCode.OVER_CEILING, "grid.va")}
    world.ceilings = (ceiling(GRID, limit_w=4000.0),)
    assert said(world.step()) == {
        (AlarmCode.OVER_CEILING, "grid.va"),
        (AlarmCode.BASE_OVER_CEILING, "grid.va"),
    }


def test_s6_a_node_without_a_meter_has_lost_none() -> None:
    nodes = [
        Node(id=GRID, parent=None, limit_a=(100.0, None, None)),
        Node(id=NodeId("feeder"), parent=GRID, limit_a=(60.0, None, None)),
    ]
    world = World(site(evses=[evse(1, node=NodeId("feeder"))], nodes=nodes))
    world.settle(20.0, {"e1": 10.0})
    assert said(world.step()) == set()
    world.wait(30.0)
    world.reads("e1", 10.0)
    assert said(world.step()) == {(AlarmCode.METER_LOST, "grid")}


@pytest.mark.parametrize("limit_w", [1e13, 1e300])
def test_s17_a_remote_limit_of_any_size_breaks_nothing(limit_w: float) -> None:
    """Some servers say "no limit" with a very great number."""
    world = World(site(evses=[evse(1)]))
    world.ceilings = (ceiling(GRID, limit_w=limit_w), ceiling(GRID, limit_a=limit_w))
    decision = world.settle(20.0, {"e1": 10.0})
    assert decision.evses[EvseId("e1")].setpoint_a == 32.0


def test_s18_a_raise_that_was_never_confirmed_is_not_made_by_the_safe_decision() -> None:
    world = World(site(evses=[evse(1, traits=replace(TRAITS, failsafe_a=16.0))]))
    world.settle(0.0, {"e1": 8.0})
    world.sends("e1", 20.0)
    assert setpoints(safe_decision(world.snapshot(), world.state, world.instant())) == {"e1": 8.0}


def test_min_off_holds_after_a_fault() -> None:
    world = World(site(evses=[evse(1)]))
    world.settle(0.0, {"e1": 10.0})
    world.vehicle("e1", VehicleState.FAULT)
    world.wait(1.0)
    world.obey(world.everything(0.0, {"e1": 0.0}))
    world.vehicle("e1", VehicleState.CHARGING)
    world.wait(1.0)
    decision = world.everything(0.0, {"e1": 0.0})
    assert decision.evses[EvseId("e1")].reason.code is ReasonCode.MIN_OFF
    world.wait(180.0)
    world.reads("e1", 0.0)
    world.meter(0.0)
    world.step()
    world.wait(1.0)
    assert world.everything(0.0, {"e1": 0.0}).evses[EvseId("e1")].setpoint_a == 32.0


@pytest.mark.parametrize("metered_node", ["grid", "feeder"])
def test_s15_a_meter_in_the_tree_cuts_what_is_below_it_alone(metered_node: str) -> None:
    feeder, other = NodeId("feeder"), NodeId("other")
    nodes = [
        Node(id=GRID, parent=None, limit_a=(100.0, None, None), margin_a=0.0),
        Node(id=feeder, parent=GRID, limit_a=(60.0, None, None), margin_a=0.0),
        Node(id=other, parent=GRID, limit_a=(60.0, None, None), margin_a=0.0),
    ]
    node = NodeId(metered_node)
    meter = Meter(MeterId("m"), node, "test", LinkId("lan"), 9, poll_s=1.0, refresh_s=0.0)
    evses = [evse(1, node=feeder), evse(2, node=feeder), evse(3, node=other)]
    world = World(site(evses=evses, nodes=nodes, meters=[meter]))
    drawn = {"e1": 20.0, "e2": 20.0, "e3": 20.0}
    for name, value_a in drawn.items():
        world.sends(name, value_a)
        world.confirms(name)
    below_a = 60.0 if node == GRID else 40.0
    for base_a in (10.0, 10.0, 70.0 if node == GRID else 40.0):
        world.wait(1.0)
        for name, value_a in drawn.items():
            world.reads(name, value_a)
        world.meter(base_a + below_a, meter=MeterId("m"))
        told = setpoints(world.step())
    if node == GRID:
        assert told == {"e1": 10.0, "e2": 10.0, "e3": 10.0}
    else:
        assert (told["e1"], told["e2"]) == (10.0, 10.0)
        assert told["e3"] >= 20.0


def said(decision: Decision) -> set[tuple[AlarmCode, str]]:
    return {(alarm.code, alarm.id) for alarm in decision.alarms}


def ceiling(
    node: NodeId, *, limit_a: float | None = None, limit_w: float | None = None
) -> TimedCeiling:
    phases: OptionalTriple = (limit_a, limit_a, limit_a)
    return TimedCeiling(
        holder=Holder(Rank.UTILITY_MANDATORY, "event", "evt-1"),
        reason="test",
        from_utc_s=UTC0_S,
        until_utc_s=None,
        node=node,
        limit_a=phases,
        limit_w=limit_w,
    )


@pytest.mark.parametrize(
    ("base_a", "code"),
    [(20.0, ReasonCode.FIXED_OVER_CEILING), (210.0, ReasonCode.BASE_OVER_CEILING)],
)
def test_what_takes_the_row_is_named_base_load_or_silent_chargers(
    base_a: float, code: ReasonCode
) -> None:
    """Three silent chargers of 32 A leave nothing of 100 A beside a base of 20 A."""
    world = World(site(evses=[evse(n) for n in range(1, 5)]))
    world.vehicle("e4", VehicleState.CHARGING)
    for _ in range(4):
        world.wait(1.0)
        world.reads("e4", 0.0)
        world.meter(base_a)
        decision = world.step()
    assert [decision.evses[EvseId(f"e{n}")].silent for n in range(1, 5)] == [True] * 3 + [False]
    reason = decision.evses[EvseId("e4")].reason
    assert (reason.code, reason.node, reason.row) == (code, GRID, "1")
