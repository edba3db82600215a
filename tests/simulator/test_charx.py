"""CHARX SEC: registers as in reference S1/S2, words worked out by hand."""

import pytest

from edgectl.model.modbus import Function
from edgectl.simulator.device.charge_point import ChargePoint
from edgectl.simulator.device.charx import RELEASE_MODBUS, CharxSec
from edgectl.simulator.memory.line import ExceptionCode
from tests.simulator.world import car, point, run

HOLDING, INPUT, SINGLE, MULTIPLE = (
    Function.READ_HOLDING,
    Function.READ_INPUT,
    Function.WRITE_SINGLE,
    Function.WRITE_MULTIPLE,
)


def station(**more: object) -> tuple[CharxSec, tuple[ChargePoint, ChargePoint]]:
    points = (point(), point())
    return CharxSec(points, **{"boot_a": 6.0, **more}), points  # type: ignore[arg-type]


def test_golden_words_of_a_charging_connector() -> None:
    device, points = station()
    points[1].lifetime_wh = 1_234_567.0
    points[1].plug(car(phases=2), now_s=0.0)
    assert device.write(SINGLE, 2301, (16,), 0.0) is None
    run(points[1], from_s=0.0, until_s=10.0)
    device.sample()
    # 16 A = 16000 mA = 0x3E80; 230 V = 230000 mV = 0x00038270; 7360 W = 7360000 mW = 0x00704E00
    assert device.read(HOLDING, 2238, 6, 10.0) == (0, 0x3E80, 0, 0x3E80, 0, 0)
    assert device.read(HOLDING, 2232, 2, 10.0) == (0x0003, 0x8270)
    assert device.read(HOLDING, 2244, 2, 10.0) == (0x0070, 0x4E00)
    assert device.read(HOLDING, 2299, 1, 10.0) == (0x4332,)  # "C2"
    assert device.read(HOLDING, 2301, 1, 10.0) == (16,)
    assert device.read(HOLDING, 2297, 1, 10.0) == (16,)
    energy_wh = round(points[1].lifetime_wh)
    assert device.read(HOLDING, 2250, 4, 10.0) == (0, 0, energy_wh >> 16, energy_wh & 0xFFFF)
    assert energy_wh > 1_234_567


def test_free_and_plugged_states() -> None:
    device, points = station()
    assert device.read(HOLDING, 1299, 1, 0.0) == (0x4131,)  # "A1"
    points[0].plug(car(), now_s=0.0)
    assert device.read(HOLDING, 1299, 1, 0.0) == (0x4231,)  # "B1"


def test_unknown_currents_are_minus_one() -> None:
    device, _ = station(metered=False)
    device.sample()
    assert device.read(HOLDING, 1238, 6, 0.0) == (0xFFFF,) * 6
    assert device.read(HOLDING, 158, 2, 0.0) == (0xFFFF, 0xFFFF)


def test_blocks_read_whole_and_input_registers_are_the_same() -> None:
    device, _ = station()
    device.sample()
    live = device.read(HOLDING, 1232, 77, 0.0)
    assert isinstance(live, tuple)
    assert len(live) == 77
    assert device.read(INPUT, 1232, 77, 0.0) == live
    configuration = device.read(HOLDING, 1100, 24, 0.0)
    assert isinstance(configuration, tuple)
    assert configuration[0:3] == (1, 32, 6)
    assert device.read(HOLDING, 114, 1, 0.0) == (2,)
    assert device.read(HOLDING, 100, 2, 0.0) == (0x4348, 0x4152)  # "CHAR"


@pytest.mark.parametrize(
    ("address", "count"), [(0, 1), (3232, 1), (1308, 2), (1123, 2), (167, 2), (1200, 1)]
)
def test_outside_the_blocks_is_an_illegal_address(address: int, count: int) -> None:
    device, _ = station()
    assert device.read(HOLDING, address, count, 0.0) is ExceptionCode.ILLEGAL_ADDRESS


def test_read_only_registers_refuse_writes() -> None:
    device, _ = station()
    assert device.write(SINGLE, 1299, (1,), 0.0) is ExceptionCode.ILLEGAL_ADDRESS
    assert device.write(SINGLE, 1306, (5,), 0.0) is ExceptionCode.ILLEGAL_VALUE
    assert device.write(HOLDING, 1301, (6,), 0.0) is ExceptionCode.ILLEGAL_FUNCTION


@pytest.mark.parametrize(
    ("written", "allowed_a"), [(6, 6.0), (32, 32.0), (80, 32.0), (0, 0.0), (5, 0.0), (81, 0.0)]
)
def test_a_limit_outside_6_to_80_withdraws_the_release(written: int, allowed_a: float) -> None:
    device, points = station()
    assert device.write(SINGLE, 1301, (written,), 0.0) is None
    assert points[0].limit_a == allowed_a
    assert device.read(HOLDING, 1301, 1, 0.0) == (written,)


def test_the_release_counts_in_its_own_mode_only() -> None:
    device, points = station()
    device.write(MULTIPLE, 1300, (0, 16), 0.0)
    assert points[0].limit_a == 16.0
    device, points = station(release_mode=RELEASE_MODBUS)
    device.write(MULTIPLE, 1300, (0, 16), 0.0)
    assert points[0].limit_a == 0.0
    device.write(SINGLE, 1300, (1,), 0.0)
    assert points[0].limit_a == 16.0


def test_the_watchdog_falls_to_its_current_unless_the_limit_is_rewritten() -> None:
    device, points = station()
    device.write(MULTIPLE, 1306, (8, 20), 0.0)
    device.write(SINGLE, 1301, (16,), 0.0)
    device.write(SINGLE, 1301, (16,), 15.0)
    device.step(35.0)
    assert points[0].limit_a == 16.0
    device.read(HOLDING, 1301, 1, 35.0)
    device.step(35.25)
    assert points[0].limit_a == 8.0
    assert device.read(HOLDING, 1301, 1, 36.0) == (8,)
    assert points[1].limit_a == 6.0
    device.write(SINGLE, 1301, (16,), 40.0)
    assert points[0].limit_a == 16.0


def test_delivered_without_watchdog_and_a_reboot_forgets_it() -> None:
    device, points = station()
    assert device.read(HOLDING, 1307, 1, 0.0) == (0xFFFF,)
    device.write(MULTIPLE, 1306, (8, 20), 0.0)
    device.write(SINGLE, 1301, (16,), 0.0)
    device.sample()
    device.reboot(10.0)
    assert points[0].limit_a == 6.0
    assert device.read(HOLDING, 1307, 1, 10.0) == (0xFFFF,)
    assert device.read(HOLDING, 1238, 2, 10.0) == (0xFFFF, 0xFFFF)
