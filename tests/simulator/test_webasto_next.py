"""Webasto NEXT: the TQ-DM100 register set, words worked out by hand."""

import pytest

from edgectl.model.modbus import Function
from edgectl.simulator.device.charge_point import ChargePoint
from edgectl.simulator.device.webasto_next import WebastoNext
from edgectl.simulator.memory.line import ExceptionCode
from tests.simulator.world import car, point, run

H, W, M = Function.READ_HOLDING, Function.WRITE_SINGLE, Function.WRITE_MULTIPLE


def charger() -> tuple[WebastoNext, ChargePoint]:
    where = point()
    return WebastoNext(where, boot_a=6.0), where


def test_golden_words_of_a_charging_station() -> None:
    device, where = charger()
    where.lifetime_wh = 70_000.0
    assert device.read(H, 1000, 3, 0.0) == (0, 0, 1)
    where.plug(car(phases=2), now_s=0.0)
    assert device.write(W, 5004, (16,), 0.0) is None
    run(where, from_s=0.0, until_s=10.0)
    device.sample()
    assert device.read(H, 1000, 3, 10.0) == (3, 1, 1)
    assert device.read(H, 1004, 1, 10.0) == (3,)
    assert device.read(H, 1008, 1, 10.0) == (0x3E80,)
    assert device.read(H, 1012, 1, 10.0) == (0,)
    # 2 x 230 V x 16 A = 7360 W = 0x1CC0; one phase 3680 W = 0x0E60
    assert device.read(H, 1020, 2, 10.0) == (0, 0x1CC0)
    assert device.read(H, 1028, 2, 10.0) == (0, 0x0E60)
    assert device.read(H, 1032, 2, 10.0) == (0, 0)
    energy_wh = round(where.lifetime_wh)
    assert device.read(H, 1036, 2, 10.0) == (1, energy_wh - 65536)
    assert device.read(H, 1502, 1, 10.0) == (0,)
    assert device.read(H, 1100, 1, 10.0) == (32,)


@pytest.mark.parametrize(
    ("address", "count"), [(1000, 4), (1008, 3), (1003, 1), (1020, 1), (5004, 1), (1100, 2)]
)
def test_gaps_and_write_only_registers_cannot_be_read(address: int, count: int) -> None:
    device, _ = charger()
    assert device.read(H, address, count, 0.0) is ExceptionCode.ILLEGAL_ADDRESS


def test_a_pause_is_zero_and_one_to_five_are_refused() -> None:
    device, where = charger()
    where.plug(car(), now_s=0.0)
    assert device.write(W, 5004, (5,), 0.0) is ExceptionCode.ILLEGAL_VALUE
    assert device.write(W, 5004, (0,), 0.0) is None
    assert where.limit_a == 0.0
    assert device.read(H, 1000, 1, 0.0) == (4,)
    assert device.write(M, 5004, (6,), 0.0) is ExceptionCode.ILLEGAL_FUNCTION
    assert device.write(W, 1008, (6,), 0.0) is ExceptionCode.ILLEGAL_ADDRESS


def test_the_power_limit_goes_by_function_16() -> None:
    device, where = charger()
    assert device.write(M, 5000, (0, 6_900), 0.0) is None
    assert where.limit_a == 10.0


def test_the_timeout_answers_only_after_the_life_bit_was_written() -> None:
    device, _ = charger()
    assert device.read(H, 2002, 1, 0.0) is ExceptionCode.ILLEGAL_ADDRESS
    assert device.write(W, 6000, (1,), 0.0) is None
    assert device.read(H, 2002, 1, 0.0) == (60,)


def test_the_station_takes_the_life_bit_back() -> None:
    device, _ = charger()
    device.write(W, 6000, (1,), 10.0)
    assert device.read(H, 6000, 1, 10.5) == (1,)
    assert device.read(H, 6000, 1, 11.0) == (0,)


def test_without_the_life_bit_the_safe_current_holds_until_it_comes() -> None:
    device, where = charger()
    device.write(W, 2000, (8,), 0.0)
    device.write(W, 2002, (20,), 0.0)
    device.write(W, 6000, (1,), 0.0)
    device.write(W, 5004, (16,), 0.0)
    device.read(H, 1008, 1, 15.0)
    device.write(W, 5004, (16,), 19.0)
    device.step(20.0)
    assert where.limit_a == 16.0
    device.step(20.25)
    assert where.limit_a == 8.0
    device.write(W, 5004, (10,), 25.0)
    assert where.limit_a == 8.0
    device.write(W, 6000, (1,), 26.0)
    assert where.limit_a == 10.0


def test_a_reboot_comes_up_as_delivered_at_the_boot_current() -> None:
    device, where = charger()
    device.write(W, 2002, (20,), 0.0)
    device.write(W, 6000, (1,), 0.0)
    device.write(W, 5004, (16,), 0.0)
    device.reboot(5.0)
    assert where.limit_a == 6.0
    assert device.read(H, 2002, 1, 5.0) is ExceptionCode.ILLEGAL_ADDRESS
    device.step(64.0)
    assert where.limit_a == 6.0
