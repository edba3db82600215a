"""KEBA P40: registers and behaviour of the programmers guide, words worked out by hand."""

import pytest

from edgectl.model.modbus import Function
from edgectl.simulator.device.charge_point import ChargePoint
from edgectl.simulator.device.keba_p40 import KebaP40
from edgectl.simulator.memory.line import ExceptionCode
from tests.simulator.world import car, point, run

H, W = Function.READ_HOLDING, Function.WRITE_SINGLE


def charger(boot_a: float = 6.0) -> tuple[KebaP40, ChargePoint]:
    where = point()
    return KebaP40(where, boot_a=boot_a), where


def test_golden_words_of_a_charging_station() -> None:
    device, where = charger()
    where.lifetime_wh = 7_000.0
    assert device.read(H, 1000, 2, 0.0) == (0, 1)
    assert device.read(H, 1004, 2, 0.0) == (0, 0)
    where.plug(car(), now_s=0.0)
    assert device.write(W, 5004, (16_000,), 0.0) is None
    run(where, from_s=0.0, until_s=10.0)
    device.sample()
    assert device.read(H, 1000, 2, 10.0) == (0, 3)
    assert device.read(H, 1004, 2, 10.0) == (0, 7)
    assert device.read(H, 1008, 2, 10.0) == (0, 0x3E80)
    assert device.read(H, 1012, 2, 10.0) == (0, 0x3E80)
    # 3 x 230 V x 16 A = 11040 W = 11040000 mW = 0x00A87500
    assert device.read(H, 1020, 2, 10.0) == (0x00A8, 0x7500)
    assert device.read(H, 1040, 2, 10.0) == (0, 230)
    assert device.read(H, 1100, 2, 10.0) == (0, 16_000)
    assert device.read(H, 1110, 2, 10.0) == (0, 32_000)
    tenths = round(where.lifetime_wh * 10)
    assert device.read(H, 1036, 2, 10.0) == (tenths >> 16, tenths & 0xFFFF)
    assert device.read(H, 1018, 2, 10.0) == (0, 10_300)


def test_a_read_is_exactly_one_value_of_two_registers() -> None:
    device, _ = charger()
    assert device.read(H, 1008, 6, 0.0) is ExceptionCode.ILLEGAL_ADDRESS
    assert device.read(H, 1008, 1, 0.0) is ExceptionCode.ILLEGAL_ADDRESS
    assert device.read(H, 1009, 2, 0.0) is ExceptionCode.ILLEGAL_ADDRESS
    assert device.read(H, 5004, 2, 0.0) is ExceptionCode.ILLEGAL_ADDRESS


def test_only_functions_3_and_6() -> None:
    device, _ = charger()
    assert device.read(Function.READ_INPUT, 1008, 2, 0.0) is ExceptionCode.ILLEGAL_FUNCTION
    refused = device.write(Function.WRITE_MULTIPLE, 5004, (6000,), 0.0)
    assert refused is ExceptionCode.ILLEGAL_FUNCTION


def test_a_write_within_five_seconds_of_the_last_is_refused() -> None:
    device, where = charger()
    assert device.write(W, 5004, (16_000,), 0.0) is None
    assert device.write(W, 5016, (8_000,), 4.5) is ExceptionCode.DEVICE_BUSY
    assert where.limit_a == 16.0
    assert device.write(W, 5016, (8_000,), 5.0) is None


@pytest.mark.parametrize(
    ("address", "value"), [(5004, 5_999), (5004, 32_001), (5016, 100), (5018, 4), (5018, 601)]
)
def test_values_out_of_range_are_refused_and_cost_no_slot(address: int, value: int) -> None:
    device, _ = charger()
    assert device.write(W, address, (value,), 0.0) is ExceptionCode.ILLEGAL_VALUE
    assert device.write(W, 5004, (0,), 0.1) is None


def test_writing_a_read_register_is_refused() -> None:
    device, _ = charger()
    assert device.write(W, 1602, (60,), 0.0) is ExceptionCode.ILLEGAL_ADDRESS


def test_zero_pauses_and_says_suspended() -> None:
    device, where = charger()
    where.plug(car(), now_s=0.0)
    assert device.write(W, 5004, (0,), 0.0) is None
    assert where.limit_a == 0.0
    assert device.read(H, 1000, 2, 0.0) == (0, 5)
    assert device.read(H, 1100, 2, 0.0) == (0, 0)


def test_silence_leads_to_the_failsafe_and_any_request_out_of_it() -> None:
    device, where = charger()
    device.write(W, 5016, (8_000,), 0.0)
    device.write(W, 5018, (30,), 5.0)
    device.write(W, 5004, (16_000,), 10.0)
    assert device.read(H, 1600, 2, 10.0) == (0, 8_000)
    assert device.read(H, 1602, 2, 10.0) == (0, 30)
    device.step(40.0)
    assert where.limit_a == 16.0
    device.step(40.25)
    assert where.limit_a == 8.0
    device.read(H, 1008, 2, 50.0)
    assert where.limit_a == 16.0


def test_a_refused_request_rearms_the_timer_too() -> None:
    device, where = charger()
    device.write(W, 5018, (30,), 0.0)
    device.write(W, 5004, (16_000,), 5.0)
    device.read(H, 1009, 2, 30.0)
    device.step(59.0)
    assert where.limit_a == 16.0
    device.step(60.5)
    assert where.limit_a == 0.0


def test_delivered_without_failsafe_and_a_reboot_comes_up_at_the_boot_current() -> None:
    device, where = charger(boot_a=10.0)
    assert where.limit_a == 10.0
    device.write(W, 5018, (30,), 0.0)
    device.write(W, 5004, (16_000,), 5.0)
    device.reboot(20.0)
    assert where.limit_a == 10.0
    assert device.read(H, 1602, 2, 20.0) == (0, 0)
    device.step(5000.0)
    assert where.limit_a == 10.0
