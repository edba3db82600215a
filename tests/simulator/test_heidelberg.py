"""The simulated Heidelberg Energy Control, against what its document says."""

import pytest

from edgectl.model.modbus import Function
from edgectl.simulator.device.charge_point import ChargePoint, Vehicle
from edgectl.simulator.device.heidelberg import HeidelbergControl
from edgectl.simulator.memory.line import ExceptionCode

WRITE, READ, INPUT = Function.WRITE_SINGLE, Function.READ_HOLDING, Function.READ_INPUT


def box() -> HeidelbergControl:
    return HeidelbergControl(ChargePoint(terminals=3, max_a=16.0), boot_a=16.0)


def test_it_is_delivered_with_an_error_state_after_15_s() -> None:
    device = box()
    assert device.read(READ, 257, 6, 0.0) == (15000, 0, 1, 0, 160, 0)
    device.step(15.0)
    assert device.points[0].limit_a == 16.0
    device.step(15.5)
    assert device.points[0].limit_a == 0.0


def test_any_access_feeds_the_watchdog_and_ends_the_failsafe() -> None:
    device = box()
    for address, word in ((262, 60), (257, 20000), (261, 131)):
        assert device.write(WRITE, address, (word,), 0.0) is None
    device.read(INPUT, 4, 1, 15.0)
    device.step(34.0)
    assert device.points[0].limit_a == 13.1
    device.step(36.0)
    assert device.points[0].limit_a == 6.0
    device.read(INPUT, 4, 1, 40.0)
    device.step(40.5)
    assert device.points[0].limit_a == 13.1
    device.write(WRITE, 257, (0,), 41.0)
    device.step(9999.0)
    assert device.points[0].limit_a == 13.1, "0 ms is off"


def test_a_restart_forgets_all_settings() -> None:
    device = box()
    device.write(WRITE, 261, (60,), 0.0)
    device.write(WRITE, 262, (60,), 0.0)
    device.reboot(100.0)
    assert device.read(READ, 261, 2, 100.0) == (160, 0)


@pytest.mark.parametrize(("address", "word"), [(261, 59), (261, 161), (262, 1), (258, 3)])
def test_values_outside_its_ranges_are_refused(address: int, word: int) -> None:
    assert box().write(WRITE, address, (word,), 0.0) is ExceptionCode.ILLEGAL_VALUE


def test_states_and_currents() -> None:
    device = box()
    point = device.points[0]
    assert device.read(INPUT, 5, 1, 0.0) == (3,)
    device.write(WRITE, 261, (0,), 0.0)
    assert device.read(INPUT, 5, 1, 0.0) == (2,)
    point.plug(Vehicle(energy_wh=1e6, max_a=16.0), now_s=0.0)
    assert device.read(INPUT, 5, 1, 0.0) == (6,)
    device.write(WRITE, 261, (100,), 0.0)
    for step in range(60):
        device.step(0.25 * step)
        point.step(6.0 + 0.25 * step, 0.25, 230.0)
        device.read(INPUT, 4, 1, 0.25 * step)
    device.sample()
    assert device.read(INPUT, 5, 5, 15.0) == (7, 100, 100, 100, 250)
    assert device.read(INPUT, 14, 1, 15.0) == (6900,)


def test_each_space_has_its_function() -> None:
    device = box()
    assert device.read(READ, 5, 1, 0.0) is ExceptionCode.ILLEGAL_ADDRESS
    assert device.read(INPUT, 261, 1, 0.0) is ExceptionCode.ILLEGAL_ADDRESS
    assert device.write(WRITE, 300, (1,), 0.0) is ExceptionCode.ILLEGAL_ADDRESS
