"""Every alarm of the step: when it is raised, for whom, how loud, and with which numbers."""

from dataclasses import replace

import pytest

from edgectl.model.decision import Alarm, AlarmCode, Decision, Severity
from edgectl.model.site import Meter, Node, Sees
from edgectl.units import LinkId, MeterId
from tests.control.world import GRID, World, evse, setpoints, site


def depot(*phases: int, **node: object) -> World:
    place = Node(id=GRID, parent=None, limit_a=(100.0,) * 3, base_max_a=(60.0,) * 3, margin_a=2.0)
    return World(
        site(
            evses=[evse(1, phases=phases or (1,)), evse(2, phases=phases or (1,))],
            nodes=[replace(place, **node)],  # type: ignore[arg-type]
        )
    )


def lives(world: World, base_a: tuple[float, ...], ticks: int = 20) -> Decision:
    for _ in range(ticks):
        world.wait(1.0)
        flow = list(base_a)
        for one in world.site.evses:
            confirmed = world.silent(one.id).confirmed
            amps = 0.0 if confirmed is None else confirmed.value_a
            world.reads(one.id, amps)
            for phase in one.phases:
                flow[phase - 1] += amps
        world.meter(*flow, voltage_v=(230.0, 230.0, 230.0))
        decision = world.step()
        world.obey(decision)
    return decision


def of(decision: Decision, code: AlarmCode) -> Alarm:
    (found,) = (alarm for alarm in decision.alarms if alarm.code is code)
    return found


def codes(decision: Decision) -> set[AlarmCode]:
    return {alarm.code for alarm in decision.alarms}


@pytest.mark.parametrize("phase", [1, 2, 3])
def test_over_ceiling_names_phase_ceiling_and_measurement(phase: int) -> None:
    world = depot(phase)
    lives(world, (20.0, 20.0, 20.0))
    world.wait(1.0)
    flow = [20.0, 20.0, 20.0]
    flow[phase - 1] = 130.0
    for name in ("e1", "e2"):
        world.reads(name, 32.0)
    world.meter(*flow)
    alarm = of(world.step(), AlarmCode.OVER_CEILING)
    assert (alarm.id, alarm.severity) == (f"grid.{phase}", Severity.ALARM)
    assert alarm.data == {"ceiling_a": 100.0, "phase": phase, "measured_a": 130.0}
    assert f"grid L{phase} draws more" in alarm.text


def test_an_old_value_above_the_ceiling_is_no_measurement_any_more() -> None:
    world = depot()
    lives(world, (20.0, 0.0, 0.0))
    world.wait(1.0)
    world.meter(130.0)
    assert AlarmCode.OVER_CEILING in codes(world.step())
    world.wait(3.0)
    decision = world.step()
    assert AlarmCode.OVER_CEILING not in codes(decision)
    assert AlarmCode.METER_STALE in codes(decision)


def test_a_row_at_its_ceiling_is_no_alarm() -> None:
    world = depot()
    lives(world, (20.0, 0.0, 0.0))
    world.wait(1.0)
    assert codes(world.everything(36.0, {"e1": 32.0, "e2": 32.0})) == set()


def test_over_ceiling_in_va_has_no_phase() -> None:
    world = depot(limit_a=(None, None, None), limit_va=20_000.0)
    lives(world, (20.0, 0.0, 0.0))
    world.wait(1.0)
    for name in ("e1", "e2"):
        world.reads(name, 32.0)
    world.meter(84.0, 6.0, 0.0, voltage_v=(230.0, 230.0, 230.0))
    alarm = of(world.step(), AlarmCode.OVER_CEILING)
    assert (alarm.id, alarm.severity) == ("grid.va", Severity.ALARM)
    assert alarm.data == {"ceiling_va": 20_000.0, "measured_va": 90.0 * 230.0}
    assert "grid in VA draws more" in alarm.text


def test_account_over_ceiling_says_what_may_be_flowing() -> None:
    world = depot()
    lives(world, (30.0, 0.0, 0.0))
    for name in ("e1", "e2"):
        world.sends(name, 32.0)
    world.wait(1.0)
    for name in ("e1", "e2"):
        world.reads(name, 6.0)
    world.meter(52.0)
    decision = world.step()
    alarm = of(decision, AlarmCode.ACCOUNT_OVER_CEILING)
    account_a = decision.nodes[GRID].account_a[0]
    assert account_a > 100.0
    assert (alarm.id, alarm.severity) == ("grid.1", Severity.WARNING)
    assert alarm.data == {"ceiling_a": 100.0, "phase": 1, "account_a": account_a}


def test_base_over_ceiling_says_by_how_much() -> None:
    world = depot()
    lives(world, (20.0, 0.0, 0.0))
    decision = lives(world, (107.0, 0.0, 0.0), ticks=40)
    assert setpoints(decision) == {"e1": 0.0, "e2": 0.0}
    alarm = of(decision, AlarmCode.BASE_OVER_CEILING)
    assert (alarm.id, alarm.severity) == ("grid.1", Severity.ALARM)
    assert alarm.data == pytest.approx({"ceiling_a": 100.0, "phase": 1, "deficit_a": 7.0})


@pytest.mark.parametrize(
    ("age_s", "code"),
    [(2.0, None), (3.0, AlarmCode.METER_STALE), (15.0, AlarmCode.METER_LOST)],
)
def test_an_old_meter_is_stale_then_lost(age_s: float, code: AlarmCode | None) -> None:
    world = depot()
    lives(world, (20.0, 0.0, 0.0))
    world.wait(age_s)
    for name, amps in setpoints(world.step()).items():
        world.reads(name, amps)
    found = [alarm for alarm in world.step().alarms if alarm.code.startswith("meter_")]
    assert [(alarm.code, alarm.id, alarm.severity) for alarm in found] == (
        [] if code is None else [(code, "grid", Severity.WARNING)]
    )


def test_a_node_without_a_ceiling_has_nothing_to_be_held_against() -> None:
    world = depot(limit_a=(None, None, None))
    lives(world, (20.0, 0.0, 0.0))
    world.wait(60.0)
    assert AlarmCode.METER_LOST not in codes(world.step())


def test_exceeds_setpoint_says_what_is_drawn_and_what_was_told() -> None:
    world = depot()
    lives(world, (20.0, 0.0, 0.0))
    for _ in range(3):
        world.wait(1.0)
        decision = world.everything(20.0, {"e1": 40.0, "e2": 32.0})
        world.obey(decision)
    alarm = of(decision, AlarmCode.EXCEEDS_SETPOINT)
    assert (alarm.id, alarm.severity) == ("e1", Severity.WARNING)
    assert alarm.data == {"measured_a": 40.0, "told_a": 32.0, "held_a": 32.0}


@pytest.mark.parametrize(("beyond_a", "said"), [(0.4, False), (0.6, True)])
def test_a_little_beyond_is_an_offset_and_no_alarm(beyond_a: float, *, said: bool) -> None:
    world = depot(limit_a=(200.0,) * 3)
    lives(world, (20.0, 0.0, 0.0))
    for _ in range(20):
        world.wait(1.0)
        decision = world.everything(20.0, {"e1": 32.0 + beyond_a, "e2": 32.0})
        world.obey(decision)
    assert (AlarmCode.EXCEEDS_SETPOINT in codes(decision)) is said


def test_charger_silent_says_what_it_counts_with() -> None:
    world = depot()
    lives(world, (20.0, 0.0, 0.0))
    for _ in range(8):
        world.wait(1.0)
        world.reads("e2", 32.0)
        world.meter(84.0)
        decision = world.step()
    alarm = of(decision, AlarmCode.CHARGER_SILENT)
    assert (alarm.id, alarm.severity, alarm.data) == ("e1", Severity.ALARM, {"counted_a": 32.0})


def test_boot_current_says_what_it_boots_with_and_what_room_there_is() -> None:
    world = depot()
    decision = lives(world, (75.0, 0.0, 0.0), ticks=40)
    found = [alarm for alarm in decision.alarms if alarm.code is AlarmCode.BOOT_CURRENT]
    assert [alarm.id for alarm in found] == ["e1", "e2"]
    assert found[0].severity is Severity.WARNING
    assert found[0].data == pytest.approx({"boot_a": 32.0, "room_a": 25.0})
    assert "grid L1 does not bear" in found[0].text


def test_boot_current_in_va_and_never_less_room_than_none() -> None:
    world = depot(limit_a=(None, None, None), limit_va=20_000.0)
    decision = lives(world, (80.0, 0.0, 0.0), ticks=40)
    alarm = next(a for a in decision.alarms if a.code is AlarmCode.BOOT_CURRENT)
    assert "grid in VA does not bear" in alarm.text
    assert alarm.data == pytest.approx({"boot_a": 32.0, "room_a": 20_000.0 / 230.0 - 80.0})
    decision = lives(world, (95.0, 0.0, 0.0), ticks=40)
    alarm = next(a for a in decision.alarms if a.code is AlarmCode.BOOT_CURRENT)
    assert alarm.data["room_a"] == 0.0


@pytest.mark.parametrize(("apart_a", "said"), [(20.0, False), (20.5, True)])
def test_unbalance_names_both_phases_and_the_difference(apart_a: float, *, said: bool) -> None:
    world = depot(unbalance_a=20.0)
    lives(world, (5.0, 5.0, 5.0))
    world.wait(1.0)
    world.meter(5.0, 5.0 + apart_a, 9.0)
    decision = world.step()
    assert (AlarmCode.UNBALANCE in codes(decision)) is said
    if said:
        alarm = of(decision, AlarmCode.UNBALANCE)
        assert (alarm.id, alarm.severity) == ("grid", Severity.WARNING)
        assert alarm.data == {"limit_a": 20.0, "measured_a": apart_a}
        assert "grid L2 and L1 are too far apart" in alarm.text


PART = Meter(
    id=MeterId("m-part"),
    node=GRID,
    profile="test",
    link=LinkId("lan"),
    unit=98,
    poll_s=1.0,
    phases=(1, 2),
    refresh_s=0.0,
    sees=Sees.PART,
)


@pytest.mark.parametrize(
    ("amps", "power_w", "age_s", "said"),
    [
        ((90.0, 101.0, 0.0), (None, None, None), 0.0, ["m-part.2"]),
        ((100.0, 100.0, 300.0), (None, None, None), 0.0, []),
        ((None, 101.0, None), (None, None, None), 0.0, ["m-part.2"]),
        ((101.0, 102.0, 0.0), (-23_000.0, 23_000.0, None), 0.0, ["m-part.2"]),
        ((101.0, 0.0, 0.0), (0.0, 0.0, None), 0.0, ["m-part.1"]),
        ((101.0, 0.0, 0.0), (None, None, None), 2.5, ["m-part.1"]),
        ((101.0, 0.0, 0.0), (None, None, None), 2.6, []),
    ],
)
def test_a_meter_that_sees_a_part_alarms_for_what_it_sees_alone(
    amps: tuple[float | None, float | None, float | None],
    power_w: tuple[float | None, float | None, float | None],
    age_s: float,
    said: list[str],
) -> None:
    world = World(site(evses=[evse(1)], meters=[PART]))
    world.meter(*amps, meter=PART.id, power_w=power_w)
    world.wait(age_s)
    world.reads("e1", 0.0)
    found = [a for a in world.step().alarms if a.code is AlarmCode.OVER_CEILING]
    assert [alarm.id for alarm in found] == said
    for alarm in found:
        phase = int(alarm.id[-1])
        assert alarm.severity is Severity.ALARM
        assert alarm.data == {"phase": phase, "measured_a": amps[phase - 1], "ceiling_a": 100.0}


def test_a_charger_without_data_says_what_it_counts_with() -> None:
    world = depot()
    lives(world, (20.0, 0.0, 0.0))
    for _ in range(20):
        world.wait(1.0)
        world.answers("e1")
        world.reads("e2", 32.0)
        world.meter(84.0)
        decision = world.step()
    alarm = of(decision, AlarmCode.CHARGER_WITHOUT_DATA)
    assert (alarm.id, alarm.severity, alarm.data) == ("e1", Severity.ALARM, {"counted_a": 32.0})
