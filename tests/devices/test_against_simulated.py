"""Profiles against the simulated devices: two readings of the same documents by two hands agree."""

import pytest

from edgectl.devices.codec import Value
from edgectl.devices.profile import PollClass, Profile
from edgectl.devices.reads import ReadBatch, decode, identify, plan_reads, required, unmet
from edgectl.devices.samples import evse_facts, meter_sample
from edgectl.devices.writes import arm_failsafe, keepalive, setpoint_write
from edgectl.model.modbus import Function, Request
from edgectl.model.reading import EvseSample, MeterSample, VehicleState
from edgectl.simulator.device.charge_point import ChargePoint, Vehicle
from edgectl.simulator.device.charx import RELEASE_MODBUS, CharxSec
from edgectl.simulator.device.heidelberg import HeidelbergControl
from edgectl.simulator.device.hypercharger import Hypercharger
from edgectl.simulator.device.keba_p40 import KebaP40
from edgectl.simulator.device.serial_meters import AbbB23, Sdm630
from edgectl.simulator.device.simulated_device import Charger, Device
from edgectl.simulator.device.simulated_meters import Em24E1, Measured, Umg96rm
from edgectl.simulator.device.webasto_next import WebastoNext
from edgectl.simulator.memory.line import ExceptionCode
from tests.devices.builders import (
    B23,
    CHARX,
    EM24,
    HEIDELBERG,
    HYC,
    JANITZA,
    KEBA,
    SDM630,
    WEBASTO,
    evse_of,
    meter_of,
)


def charx() -> Charger:
    points = (ChargePoint(terminals=3, max_a=32.0), ChargePoint(terminals=3, max_a=32.0))
    return CharxSec(points, boot_a=32.0)


def keba() -> Charger:
    return KebaP40(ChargePoint(terminals=3, max_a=32.0), boot_a=32.0)


def webasto() -> Charger:
    return WebastoNext(ChargePoint(terminals=3, max_a=32.0), boot_a=32.0)


MEASURED = Measured(
    voltage_v=(230.5, 231.0, 229.5),
    current_a=(100.25, 50.5, 0.0),
    power_w=(-2500.5, 11000.0, 0.0),
    import_wh=1_000_000.0,
    export_wh=200.0,
)


class Bench:
    """A device on the bench; requests come as far apart as the slowest device wants it."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.now_s = 100.0

    def read(self, batch: ReadBatch) -> dict[str, Value]:
        self.now_s += 0.5
        request = batch.request
        answer = self.device.read(request.function, request.address, request.count, self.now_s)
        assert not isinstance(answer, ExceptionCode), (request, answer)
        return decode(batch, answer)

    def write(self, request: Request) -> None:
        self.now_s += 5.0
        refusal = self.device.write(request.function, request.address, request.words, self.now_s)
        assert refusal is None, (request, refusal)

    def round(self, profile: Profile, connector: int = 1) -> dict[str, Value]:
        values: dict[str, Value] = {}
        for batch in plan_reads(profile, unit=1, connector=connector):
            values |= self.read(batch)
        return values


def hyc() -> Charger:
    points = tuple(ChargePoint(terminals=3, max_a=200.0, dc=True) for _ in range(2))
    return Hypercharger(points, boot_a=200.0, voltage_v=230.0, fallback_a=20.0, timeout_s=60.0)


def heidelberg() -> Charger:
    return HeidelbergControl(ChargePoint(terminals=3, max_a=16.0), boot_a=16.0)


CHARGERS = [
    pytest.param(HEIDELBERG, heidelberg, id="heidelberg"),
    pytest.param(CHARX, charx, id="charx"),
    pytest.param(KEBA, keba, id="keba"),
    pytest.param(WEBASTO, webasto, id="webasto"),
]


def armed(profile: Profile, bench: Bench, connector: int = 1) -> dict[str, Value]:
    for step in arm_failsafe(profile, evse_of(profile, connector=connector)):
        bench.write(step.request)
        assert step.read is None or step.holds(bench.read(step.read))
    return bench.round(profile, connector)


@pytest.mark.parametrize(("profile", "make"), CHARGERS)
def test_a_charger_is_known_armed_polled_and_told(profile: Profile, make: object) -> None:
    device = make()  # type: ignore[operator]
    bench = Bench(device)
    evse = evse_of(profile)
    check = identify(profile, unit=1)
    assert check is not None
    assert unmet(check, bench.read(check.batch)) == ()
    for one in required(profile, unit=1):
        assert unmet(one, bench.read(one.batch)) == ()
    device.sample()

    values = armed(profile, bench)
    facts = evse_facts(profile, evse, values, taken_s=1.0)

    assert facts.bad == ()
    assert facts.sample == EvseSample(taken_s=1.0, current_a=(0.0, 0.0, 0.0), power_w=0.0)
    assert facts.vehicle is VehicleState.ABSENT
    assert (facts.failsafe_a, facts.watchdog_s) == (6.0, 60.0)
    assert facts.energy_wh == 0.0
    for wanted_a in (10.0, 16.0, 0.0):
        step = setpoint_write(profile, evse, wanted_a)
        bench.write(step.request)
        device.step(bench.now_s)
        assert device.points[0].limit_a == wanted_a
        if step.readback is not None:
            assert bench.read(step.readback) == {"setpoint_a": wanted_a}
    plan = keepalive(profile, evse)
    if plan.request is not None:
        bench.write(plan.request)


def test_each_charx_connector_is_told_apart() -> None:
    device = charx()
    device.sample()
    bench = Bench(device)
    armed(CHARX, bench, connector=2)
    bench.write(setpoint_write(CHARX, evse_of(CHARX, connector=2), 10.0).request)
    assert [point.limit_a for point in device.points] == [32.0, 10.0]
    first = evse_facts(CHARX, evse_of(CHARX), bench.round(CHARX, 1), taken_s=0.0)
    second = evse_facts(CHARX, evse_of(CHARX, connector=2), bench.round(CHARX, 2), taken_s=0.0)
    assert (first.setpoint_a, second.setpoint_a) == (32.0, 10.0)
    assert (first.watchdog_s, second.watchdog_s) == (0.0, 60.0)  # the first is off


def test_a_hypercharger_is_told_watts_and_counted_in_amperes() -> None:
    device = hyc()
    bench = Bench(device)
    check = identify(HYC, unit=1)
    assert check is not None
    assert unmet(check, bench.read(check.batch)) == ()
    point = device.points[1]
    point.plug(Vehicle(energy_wh=1e6, max_a=200.0, follow_s=0.1, start_s=0.1), now_s=bench.now_s)
    evse = evse_of(HYC, connector=2, max_a=200.0, failsafe_a=20.0, watchdog_s=60.0)

    # Told for 225.4 V, the mains have 230 V: it draws less than it counts, and never more.
    step = setpoint_write(HYC, evse, 100.0, mains_v=225.4)
    bench.write(step.request)
    for _ in range(200):
        bench.now_s += 0.1
        device.step(bench.now_s)
        point.step(bench.now_s, 0.1, 230.0)
    assert 95.0 < point.current_a < 100.0
    device.sample()
    facts = evse_facts(HYC, evse, bench.round(HYC, 2), taken_s=1.0, mains_v=225.4)
    assert facts.bad == ()
    assert facts.vehicle is VehicleState.CHARGING
    assert facts.command == step.command
    assert facts.setpoint_a == pytest.approx(100.0, abs=0.01)
    assert facts.sample is not None
    measured_a = facts.sample.current_a[0]
    assert measured_a is not None
    assert measured_a == pytest.approx(point.current_a, rel=0.03)
    assert measured_a <= 100.0 * 1.03
    # Half the voltage is twice the current: the device keeps its power.
    point.step(bench.now_s, 0.1, 115.0)
    device.step(bench.now_s)
    assert point.limit_a == pytest.approx(100.0 * 225.4 / 115.0 * 0.98 / 0.99, rel=1e-3)


def test_a_hypercharger_pauses_at_a_power_and_is_never_told_zero() -> None:
    device = hyc()
    bench = Bench(device)
    point = device.points[0]
    point.plug(Vehicle(energy_wh=1e6, max_a=200.0), now_s=bench.now_s)
    evse = evse_of(HYC, max_a=200.0, failsafe_a=20.0, watchdog_s=60.0)
    bench.write(setpoint_write(HYC, evse, 0.0, mains_v=207.0).request)
    device.step(bench.now_s)
    assert 0.0 < point.limit_a < 6.0
    assert point.limit_a <= evse.traits.pause_a
    facts = evse_facts(HYC, evse, bench.round(HYC, 1), taken_s=1.0, mains_v=207.0)
    assert facts.vehicle is VehicleState.ASKING
    assert facts.setpoint_a == evse.traits.pause_a
    # What 0 W would do, and why nobody writes it.
    bench.write(Request(1, Function.WRITE_MULTIPLE, 100, words=(0, 0)))
    facts = evse_facts(HYC, evse, bench.round(HYC, 1), taken_s=1.0, mains_v=207.0)
    assert facts.vehicle is VehicleState.ABSENT


def test_s2_a_charx_that_has_just_booted_knows_no_currents() -> None:
    bench = Bench(charx())
    facts = evse_facts(CHARX, evse_of(CHARX), bench.round(CHARX), taken_s=0.0)
    assert facts.sample is None
    names = {bad.quantity for bad in facts.bad}
    assert {"current_a.1", "current_a.2", "current_a.3"} <= names


def test_a_charx_in_modbus_release_is_remarked_and_still_used() -> None:
    device = CharxSec(
        (ChargePoint(terminals=3, max_a=32.0),), boot_a=32.0, release_mode=RELEASE_MODBUS
    )
    bench = Bench(device)
    said = [r for check in required(CHARX, unit=1) for r in unmet(check, bench.read(check.batch))]
    assert [(one.point, one.blocks) for one in said] == [("release_mode", False)]


@pytest.mark.parametrize(
    ("profile", "make"),
    [
        pytest.param(JANITZA, Umg96rm, id="janitza"),
        pytest.param(EM24, Em24E1, id="em24"),
        pytest.param(SDM630, Sdm630, id="sdm630"),
        pytest.param(B23, AbbB23, id="b23"),
    ],
)
def test_a_meter_is_known_and_measures(
    profile: Profile, make: type[Umg96rm | Em24E1 | Sdm630 | AbbB23]
) -> None:
    device = make()
    device.sample(MEASURED)
    bench = Bench(device)
    check = identify(profile, unit=1)
    assert check is not None
    assert unmet(check, bench.read(check.batch)) == ()
    for one in required(profile, unit=1):
        assert unmet(one, bench.read(one.batch)) == ()

    sample = meter_sample(profile, meter_of(profile), bench.round(profile), taken_s=2.0)

    assert isinstance(sample, MeterSample)
    assert sample.current_a == MEASURED.current_a
    assert sample.power_w == MEASURED.power_w
    assert sample.voltage_v == MEASURED.voltage_v
    assert sample.energy_import_wh == MEASURED.import_wh
    assert sample.energy_export_wh == pytest.approx(MEASURED.export_wh)


def test_an_em24_in_another_application_is_blocked() -> None:
    device = Em24E1(application=1)
    device.sample(MEASURED)
    bench = Bench(device)
    said = [r for check in required(EM24, unit=1) for r in unmet(check, bench.read(check.batch))]
    assert ("application", True) in [(one.point, one.blocks) for one in said]


def test_the_fast_reads_are_the_ones_that_the_judgement_waits_for() -> None:
    counts = {
        profile.id: sum(b.period is PollClass.FAST for b in plan_reads(profile, unit=1))
        for profile in (CHARX, KEBA, WEBASTO, HYC, HEIDELBERG, JANITZA, EM24, SDM630, B23)
    }
    assert counts == {
        "phoenix-charx-sec": 1,
        "keba-p40": 5,
        "webasto-next": 4,
        "alpitronic-hyc": 1,
        "heidelberg-energy-control": 1,
        "eastron-sdm630": 1,
        "abb-b23": 1,
        "janitza-umg96rm": 1,
        "carlo-gavazzi-em24-e1": 2,
    }
