"""Profiles against the simulated devices: two readings of the same documents by two hands agree."""

import pytest

from edgectl.devices.codec import Value
from edgectl.devices.profile import PollClass, Profile
from edgectl.devices.reads import ReadBatch, decode, identify, plan_reads, required, unmet
from edgectl.devices.samples import evse_facts, meter_sample
from edgectl.devices.writes import arm_failsafe, keepalive, setpoint_write
from edgectl.model.modbus import Request
from edgectl.model.reading import EvseSample, MeterSample, VehicleState
from edgectl.simulator.charge_point import ChargePoint
from edgectl.simulator.charx import RELEASE_MODBUS, CharxSec
from edgectl.simulator.keba_p40 import KebaP40
from edgectl.simulator.memory_line import ExceptionCode
from edgectl.simulator.simulated_device import Charger, Device
from edgectl.simulator.simulated_meters import Em24E1, Measured, Umg96rm
from edgectl.simulator.webasto_next import WebastoNext
from tests.devices.builders import CHARX, EM24, JANITZA, KEBA, WEBASTO, evse_of, meter_of


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


CHARGERS = [
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
    for wanted_a in (16.0, 0.0):
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
    assert (first.watchdog_s, second.watchdog_s) == (None, 60.0)  # off is no time


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
    [pytest.param(JANITZA, Umg96rm, id="janitza"), pytest.param(EM24, Em24E1, id="em24")],
)
def test_a_meter_is_known_and_measures(
    profile: Profile, make: type[Umg96rm] | type[Em24E1]
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
    assert sample.energy_export_wh == MEASURED.export_wh


def test_an_em24_in_another_application_is_blocked() -> None:
    device = Em24E1(application=1)
    device.sample(MEASURED)
    bench = Bench(device)
    said = [r for check in required(EM24, unit=1) for r in unmet(check, bench.read(check.batch))]
    assert ("application", True) in [(one.point, one.blocks) for one in said]


def test_the_fast_reads_are_the_ones_that_the_judgement_waits_for() -> None:
    counts = {
        profile.id: sum(b.period is PollClass.FAST for b in plan_reads(profile, unit=1))
        for profile in (CHARX, KEBA, WEBASTO, JANITZA, EM24)
    }
    assert counts == {
        "phoenix-charx-sec": 1,
        "keba-p40": 5,
        "webasto-next": 4,
        "janitza-umg96rm": 1,
        "carlo-gavazzi-em24-e1": 2,
    }
