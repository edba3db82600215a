"""Webasto NEXT (TQ-DM100 register set) in the mode "HEMS activated".

1. Gaps cannot be read: a request names one value, or 1000 to 1002 as one block.
2. 5000, 5004 and 5006 are write only; words go by function 6, the power limit by function 16.
3. The controller sets the life bit 6000 to 1, the station takes it back to 0; if nobody set it for
   the time in 2002 the current in 2000 holds until somebody does. 2002 answers only once 6000 was
   written.
4. After a power cycle the boot current is allowed until 5004 is written.
"""

from typing import Final

from edgectl.model.modbus import Function
from edgectl.simulator.device.charge_point import ChargePoint
from edgectl.simulator.device.registers import high_first
from edgectl.simulator.device.simulated_device import Words, unsigned_milli
from edgectl.simulator.memory.line import ExceptionCode

_LIFE_BIT_TAKEN_S: Final = 1.0
_STATUS_BLOCK: Final = range(1000, 1003)
_DELIVERED_SAFE_A: Final = 6
_DELIVERED_TIMEOUT_S: Final = 60


class WebastoNext:
    """A Webasto NEXT with one connector."""

    refresh_s = 1.0

    def __init__(self, point: ChargePoint, *, boot_a: float) -> None:
        self.points: tuple[ChargePoint, ...] = (point,)
        self._point = point
        self._hardware_a = int(min(point.max_a, 32.0))
        self._boot_a = int(boot_a)
        self._limit_a = self._boot_a
        self._safe_a = _DELIVERED_SAFE_A
        self._timeout_s = _DELIVERED_TIMEOUT_S
        self._life_s: float | None = None
        self._started_s = 0.0
        self._life_bit_at_s = -_LIFE_BIT_TAKEN_S
        self._in_failsafe = False
        self._currents_a = (0.0, 0.0, 0.0)
        self._power_w = 0.0
        self.step(0.0)

    def step(self, now_s: float) -> None:
        """Run the communication timeout and hand on the limit."""
        alive_s = self._started_s if self._life_s is None else self._life_s
        if now_s - alive_s > self._timeout_s:
            self._in_failsafe = True
        self._point.limit_a = float(self._safe_a if self._in_failsafe else self._limit_a)

    def sample(self) -> None:
        """Take the connector's present values into the registers."""
        self._currents_a = self._point.currents_a
        self._power_w = self._point.power_w

    def reboot(self, now_s: float) -> None:
        """Come up as delivered."""
        self._point.power_loss(now_s=now_s)
        self._limit_a = self._boot_a
        self._safe_a = _DELIVERED_SAFE_A
        self._timeout_s = _DELIVERED_TIMEOUT_S
        self._life_s = None
        self._started_s = now_s
        self._in_failsafe = False
        self.step(now_s)

    def read(
        self, function: Function, address: int, count: int, now_s: float
    ) -> Words | ExceptionCode:
        """Give one value, or the status block."""
        if function not in {Function.READ_HOLDING, Function.READ_INPUT}:
            return ExceptionCode.ILLEGAL_FUNCTION
        if address in _STATUS_BLOCK and address + count - 1 in _STATUS_BLOCK:
            status = (self._state(), int(self._charging()), 1)
            return status[address - 1000 : address - 1000 + count]
        value = self._value(address, now_s)
        if value is None or len(value) != count:
            return ExceptionCode.ILLEGAL_ADDRESS
        return value

    def write(
        self, function: Function, address: int, words: Words, now_s: float
    ) -> ExceptionCode | None:
        """Take one word, or the power limit."""
        if function is Function.WRITE_MULTIPLE and address == 5000 and len(words) == 2:
            watts = words[0] * 65536 + words[1]
            self._limit_a = int(watts / (230.0 * self._point.terminals))
            self.step(now_s)
            return None
        if function is not Function.WRITE_SINGLE:
            return ExceptionCode.ILLEGAL_FUNCTION
        if address not in {2000, 2002, 5004, 5006, 6000}:
            return ExceptionCode.ILLEGAL_ADDRESS
        value = words[0]
        if address in {2000, 5004} and value != 0 and not 6 <= value <= self._hardware_a:
            return ExceptionCode.ILLEGAL_VALUE
        if (address == 2002 and value == 0) or (address == 6000 and value not in {0, 1}):
            return ExceptionCode.ILLEGAL_VALUE
        if address == 2000:
            self._safe_a = value
        elif address == 2002:
            self._timeout_s = value
        elif address == 5004:
            self._limit_a = value
        elif address == 6000 and value == 1:
            self._life_s = self._life_bit_at_s = now_s
            self._in_failsafe = False
        self.step(now_s)
        return None

    def setpoint_of(self, address: int, words: Words) -> tuple[int, float] | None:
        """Register 5004, in whole amperes."""
        return (1, float(words[0])) if address == 5004 else None

    def setpoint_write(self, connector: int, amps: float) -> tuple[Function, int, Words]:  # noqa: ARG002
        """Register 5004, in whole amperes."""
        return Function.WRITE_SINGLE, 5004, (int(amps),)

    def _charging(self) -> bool:
        return self._point.iec_state == "C2"

    def _state(self) -> int:
        if self._point.faulted:
            return 7
        if self._point.vehicle is None:
            return 0
        return 3 if self._charging() else 4

    def _value(self, address: int, now_s: float) -> Words | None:
        point = self._point
        if address in {1008, 1010, 1012}:
            return (unsigned_milli(self._currents_a[(address - 1008) // 2]),)
        if address in {1024, 1028, 1032}:
            used = point.used_phases
            watts = self._power_w / used if (address - 1024) // 4 < used else 0.0
            return high_first(round(watts), words=2)
        if address == 2002 and self._life_s is None:
            return None
        words: dict[int, Words] = {
            1004: (0 if point.vehicle is None else 3,),
            1006: (0,),
            1020: high_first(round(self._power_w), words=2),
            1036: high_first(round(point.lifetime_wh), words=2),
            1100: (self._hardware_a,),
            1102: (6,),
            1104: (self._hardware_a,),
            1106: (32,),
            1108: (round(point.vehicle.max_a) if point.vehicle is not None else 0,),
            1502: (min(round(point.session_wh), 0xFFFF) if point.full else 0,),
            1620: (0,),
            2000: (self._safe_a,),
            2002: (self._timeout_s,),
            6000: (int(now_s - self._life_bit_at_s < _LIFE_BIT_TAKEN_S),),
        }
        return words.get(address)
