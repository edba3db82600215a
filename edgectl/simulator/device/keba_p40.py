"""KEBA KeContact P40, after the vendor's "P40 Modbus TCP Programmers Guide" V1.02.

1. Only function codes 3 and 6; a read is exactly one value of two registers, high word first.
2. A write less than 5 s after the last one is refused as busy.
3. Every request rearms the failsafe timer and leaves the failsafe state; the set current then holds
   again.
4. As delivered, and after a power cycle, the failsafe is off and the boot current is set.
"""

import math
from typing import Final

from edgectl.model.modbus import Function
from edgectl.simulator.device.charge_point import ChargePoint
from edgectl.simulator.device.registers import high_first
from edgectl.simulator.device.simulated_device import Words, unsigned_milli
from edgectl.simulator.memory.line import ExceptionCode

# The guide says 5 s; two requests sent 5 s apart arrive with the network's jitter between them.
_WRITE_PAUSE_S: Final = 5.0 - 0.05
_FIRMWARE: Final = 10300  # decimal MMmmpp: 1.3.0
_PRODUCT: Final = 4223100  # P40, 32 A, socket, three phases, energy metering


class KebaP40:
    """A P40 with one connector."""

    refresh_s = 0.5

    def __init__(
        self,
        point: ChargePoint,
        *,
        boot_a: float,
        serial: int = 24_123_456,
        voltage_v: float = 230.0,
    ) -> None:
        self.points: tuple[ChargePoint, ...] = (point,)
        self._point = point
        self._serial = serial
        self._voltage_v = voltage_v
        self._hardware_ma = unsigned_milli(min(point.max_a, 32.0))
        self._boot_ma = unsigned_milli(boot_a)
        self._set_ma = self._boot_ma
        self._failsafe_ma = 0
        self._failsafe_s = 0
        self._in_failsafe = False
        self._fed_s = 0.0
        self._written_s = -math.inf
        self._currents_a = (0.0, 0.0, 0.0)
        self._power_w = 0.0
        self.step(0.0)

    def step(self, now_s: float) -> None:
        """Run the failsafe timer and hand on the limit."""
        if self._failsafe_s and now_s - self._fed_s > self._failsafe_s:
            self._in_failsafe = True
        self._point.limit_a = self._active_ma() / 1000.0

    def sample(self) -> None:
        """Take the connector's present values into the registers."""
        self._currents_a = self._point.currents_a
        self._power_w = self._point.power_w

    def reboot(self, now_s: float) -> None:
        """Come up as delivered."""
        self._point.power_loss(now_s=now_s)
        self._set_ma = self._boot_ma
        self._failsafe_ma = self._failsafe_s = 0
        self._in_failsafe = False
        self._fed_s = now_s
        self._written_s = -math.inf
        self.step(now_s)

    def read(
        self, function: Function, address: int, count: int, now_s: float
    ) -> Words | ExceptionCode:
        """Give one value of two registers."""
        self._feed(now_s)
        if function is not Function.READ_HOLDING:
            return ExceptionCode.ILLEGAL_FUNCTION
        value = self._value(address)
        if value is None or count != 2:
            return ExceptionCode.ILLEGAL_ADDRESS
        return high_first(value, words=2)

    def write(
        self, function: Function, address: int, words: Words, now_s: float
    ) -> ExceptionCode | None:
        """Take one register."""
        self._feed(now_s)
        if function is not Function.WRITE_SINGLE:
            return ExceptionCode.ILLEGAL_FUNCTION
        if address not in {5004, 5010, 5012, 5016, 5018, 5050, 5052}:
            return ExceptionCode.ILLEGAL_ADDRESS
        if now_s - self._written_s < _WRITE_PAUSE_S:
            return ExceptionCode.DEVICE_BUSY
        value = words[0]
        if address in {5004, 5016} and value != 0 and not 6000 <= value <= 32000:
            return ExceptionCode.ILLEGAL_VALUE
        if address == 5018 and value != 0 and not 5 <= value <= 600:
            return ExceptionCode.ILLEGAL_VALUE
        self._written_s = now_s
        if address == 5004:
            self._set_ma = value
        elif address == 5016:
            self._failsafe_ma = value
        elif address == 5018:
            self._failsafe_s = value
        self.step(now_s)
        return None

    def setpoint_of(self, address: int, words: Words) -> tuple[int, float] | None:
        """Register 5004, in mA."""
        return (1, words[0] / 1000.0) if address == 5004 else None

    def setpoint_write(self, connector: int, amps: float) -> tuple[Function, int, Words]:  # noqa: ARG002
        """Register 5004, in mA."""
        return Function.WRITE_SINGLE, 5004, (unsigned_milli(amps),)

    def _feed(self, now_s: float) -> None:
        self._fed_s = now_s
        if self._in_failsafe:
            self._in_failsafe = False
            self.step(now_s)

    def _active_ma(self) -> int:
        return min(self._failsafe_ma if self._in_failsafe else self._set_ma, self._hardware_ma)

    def _state(self) -> int:
        point = self._point
        if point.faulted:
            return 4
        if point.vehicle is None:
            return 1
        if point.iec_state == "C2":
            return 3
        return 5 if self._active_ma() == 0 else 2

    def _value(self, address: int) -> int | None:
        point = self._point
        if address in {1008, 1010, 1012}:
            return unsigned_milli(self._currents_a[(address - 1008) // 2])
        if address in {1040, 1042, 1044}:
            return round(self._voltage_v)
        return {
            1000: self._state(),
            1004: 0 if point.vehicle is None else 7,
            1006: 0,
            1014: self._serial,
            1016: _PRODUCT,
            1018: _FIRMWARE,
            1020: unsigned_milli(self._power_w),
            1036: round(point.lifetime_wh * 10.0),
            1046: 1000 if self._power_w > 0.0 else 0,
            1100: self._active_ma(),
            1110: self._hardware_ma,
            1200: 0,
            1500: 0,
            1502: round(point.session_wh * 10.0),
            1550: 0,
            1552: 3,
            1600: self._failsafe_ma,
            1602: self._failsafe_s,
        }.get(address)
