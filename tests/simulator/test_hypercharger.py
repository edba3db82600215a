"""The simulated hypercharger, against what its document says."""

from edgectl.model.modbus import Function
from edgectl.simulator.device.charge_point import ChargePoint, Vehicle
from edgectl.simulator.device.hypercharger import TRUE_POWER_FACTOR, Hypercharger
from edgectl.simulator.device.registers import high_first
from edgectl.simulator.memory.line import ExceptionCode

FALLBACK_A, TIMEOUT_S = 20.0, 30.0
W_PER_A = 3.0 * 230.0 * TRUE_POWER_FACTOR


def station(*, boot_a: float = 110.0) -> Hypercharger:
    points = tuple(ChargePoint(terminals=3, max_a=110.0, dc=True) for _ in range(2))
    device = Hypercharger(
        points, boot_a=boot_a, voltage_v=230.0, fallback_a=FALLBACK_A, timeout_s=TIMEOUT_S
    )
    device.reboot(0.0)
    return device


def tell(device: Hypercharger, connector: int, watts: int, now_s: float) -> ExceptionCode | None:
    words = high_first(watts, words=2)
    return device.write(Function.WRITE_MULTIPLE, 100 * connector, words, now_s)


def run(device: Hypercharger, from_s: float, until_s: float, *, volts: float = 230.0) -> None:
    now_s = from_s
    while now_s < until_s:
        now_s += 0.25
        device.step(now_s)
        for point in device.points:
            point.step(now_s, 0.25, volts)
    device.sample()


def state(device: Hypercharger, connector: int) -> int:
    answer = device.read(Function.READ_INPUT, 100 * connector, 1, 0.0)
    assert not isinstance(answer, ExceptionCode)
    return answer[0]


def test_the_power_is_kept_and_the_current_follows_the_voltage() -> None:
    device = station()
    device.points[0].plug(Vehicle(energy_wh=1e6, max_a=110.0, start_s=0.5), now_s=0.0)
    tell(device, 1, round(50 * W_PER_A), 0.0)
    run(device, 0.0, 5.0)
    assert abs(device.points[0].current_a - 50.0) < 0.1
    assert state(device, 1) == 3
    run(device, 5.0, 10.0, volts=207.0)
    assert abs(device.points[0].current_a - 50.0 / 0.9) < 0.2


def test_a_limit_that_flickers_with_the_voltage_is_followed_all_the_same() -> None:
    device = station()
    point = device.points[0]
    point.plug(Vehicle(energy_wh=1e6, max_a=110.0, follow_s=2.0, start_s=1.0), now_s=0.0)
    tell(device, 1, round(100 * W_PER_A), 0.0)
    run(device, 0.0, 5.0)
    tell(device, 1, round(40 * W_PER_A), 5.0)
    for step in range(12):
        at_s = 5.0 + 0.25 * step
        run(device, at_s, at_s + 0.25, volts=230.0 + 0.1 * (step % 2))
    assert point.current_a < 41.0


def test_a_vehicle_plugged_beside_a_pause_waits_and_zero_ends_its_charge() -> None:
    device = station()
    tell(device, 1, 1547, 0.0)
    device.points[0].plug(Vehicle(energy_wh=1e6, max_a=110.0), now_s=0.0)
    run(device, 0.0, 2.0)
    assert state(device, 1) == 5
    assert device.points[0].current_a == 0.0
    tell(device, 1, 0, 2.0)
    tell(device, 1, round(50 * W_PER_A), 3.0)
    run(device, 3.0, 10.0)
    assert state(device, 1) == 8
    assert device.points[0].current_a == 0.0
    device.points[0].unplug()
    run(device, 10.0, 11.0)
    assert state(device, 1) == 0


def test_without_a_written_limit_the_grid_fallback_holds_until_somebody_writes() -> None:
    device = station()
    tell(device, 1, round(100 * W_PER_A), 0.0)
    device.read(Function.READ_INPUT, 100, 6, TIMEOUT_S)
    device.step(TIMEOUT_S)
    assert device.points[0].limit_a > 99.0
    device.step(TIMEOUT_S + 0.5)
    assert abs(device.points[0].limit_a - FALLBACK_A) < 0.1
    tell(device, 1, round(60 * W_PER_A), TIMEOUT_S + 1.0)
    assert abs(device.points[0].limit_a - 60.0) < 0.1


def test_each_space_and_connector_is_its_own() -> None:
    device = station()
    tell(device, 2, 50_000, 0.0)
    assert device.read(Function.READ_HOLDING, 200, 2, 0.0) == high_first(50_000, words=2)
    assert device.read(Function.READ_INPUT, 200, 1, 0.0) == (0,)
    assert device.read(Function.READ_INPUT, 2, 1, 0.0) == (2,)
    assert device.read(Function.READ_INPUT, 300, 1, 0.0) is ExceptionCode.ILLEGAL_ADDRESS
    assert device.read(Function.READ_INPUT, 137, 2, 0.0) is ExceptionCode.ILLEGAL_ADDRESS
    refused = device.write(Function.WRITE_SINGLE, 100, (5,), 0.0)
    assert refused is ExceptionCode.ILLEGAL_FUNCTION
    assert device.write(Function.WRITE_MULTIPLE, 100, (5,), 0.0) is ExceptionCode.ILLEGAL_ADDRESS
