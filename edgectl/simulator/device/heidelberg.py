"""Heidelberg Energy Control on RS-485, after the maker's register list.

1. Input registers 4 to 101 by function 4, holding registers 257 to 262 by functions 3, 6 and 16.
2. Any access rearms the watchdog. When it runs out, the failsafe current holds; 0 A is an error
   state. The next access brings the commanded current back.
3. After power-on or standby all holding registers are as delivered: watchdog 15 s, failsafe 0 A.
"""

from typing import Final

from edgectl.model.modbus import Function
from edgectl.simulator.device.charge_point import ChargePoint
from edgectl.simulator.device.registers import high_first, place
from edgectl.simulator.device.simulated_device import Words
from edgectl.simulator.memory.line import ExceptionCode

_INPUT: Final = range(4, 102)
_HOLDING: Final = range(257, 263)
_WATCHDOG, _STANDBY, _LOCK, _COMMAND, _FAILSAFE = 257, 258, 259, 261, 262
_RANGES: Final = {
    _WATCHDOG: range(65536),
    _STANDBY: (0, 4),
    _LOCK: (0, 1),
    _COMMAND: (0, *range(60, 161)),
    _FAILSAFE: (0, *range(60, 161)),
}
_STATES: Final = {"A1": 3, "B1": 4, "B2": 5, "C2": 7, "F0": 10}


class HeidelbergControl:
    """A Heidelberg Energy Control with one connector."""

    refresh_s = 0.5

    def __init__(self, point: ChargePoint, *, boot_a: float, voltage_v: float = 230.0) -> None:
        self.points: tuple[ChargePoint, ...] = (point,)
        self._point = point
        self._voltage_v = voltage_v
        self._boot_tenths = round(boot_a * 10.0)
        self._held: dict[int, int] = {}
        self._heard_s = 0.0
        self._currents_a = (0.0, 0.0, 0.0)
        self._power_va = 0.0
        self.reboot(0.0)

    def step(self, now_s: float) -> None:
        """Run the watchdog and hand on the limit."""
        timeout_s = self._held[_WATCHDOG] / 1000.0
        lost = timeout_s > 0.0 and now_s - self._heard_s > timeout_s
        tenths = self._held[_FAILSAFE if lost else _COMMAND]
        limit_a = tenths / 10.0 if self._held[_LOCK] else 0.0
        self._point.limit_a = min(limit_a, self._point.max_a)

    def sample(self) -> None:
        """Take the connector's present values into the registers."""
        self._currents_a = self._point.currents_a
        self._power_va = self._point.power_w

    def reboot(self, now_s: float) -> None:
        """Come up as delivered."""
        self._point.power_loss(now_s=now_s)
        self._held = {
            _WATCHDOG: 15000,
            _STANDBY: 0,
            _LOCK: 1,
            260: 0,
            _COMMAND: self._boot_tenths,
            _FAILSAFE: 0,
        }
        self._heard_s = now_s
        self.step(now_s)

    def read(
        self, function: Function, address: int, count: int, now_s: float
    ) -> Words | ExceptionCode:
        """Give registers of one space."""
        self._heard_s = now_s
        if function is Function.READ_INPUT:
            block, image = _INPUT, self._measured()
        elif function is Function.READ_HOLDING:
            block, image = _HOLDING, self._held
        else:
            return ExceptionCode.ILLEGAL_FUNCTION
        if address not in block or address + count - 1 not in block:
            return ExceptionCode.ILLEGAL_ADDRESS
        return tuple(image.get(at, 0) for at in range(address, address + count))

    def write(
        self, function: Function, address: int, words: Words, now_s: float
    ) -> ExceptionCode | None:
        """Take holding registers, all or none."""
        self._heard_s = now_s
        if function not in {Function.WRITE_SINGLE, Function.WRITE_MULTIPLE}:
            return ExceptionCode.ILLEGAL_FUNCTION
        wanted = {address + k: word for k, word in enumerate(words)}
        if not wanted.keys() <= _RANGES.keys():
            return ExceptionCode.ILLEGAL_ADDRESS
        if any(word not in _RANGES[at] for at, word in wanted.items()):
            return ExceptionCode.ILLEGAL_VALUE
        self._held |= wanted
        self.step(now_s)
        return None

    def setpoint_of(self, address: int, words: Words) -> tuple[int, float] | None:
        """Register 261, in tenths of an ampere."""
        at = _COMMAND - address
        return (1, words[at] / 10.0) if 0 <= at < len(words) else None

    def setpoint_write(self, connector: int, amps: float) -> tuple[Function, int, Words]:  # noqa: ARG002
        """Register 261, in tenths of an ampere."""
        return Function.WRITE_SINGLE, _COMMAND, (round(amps * 10.0),)

    def _measured(self) -> dict[int, int]:
        point = self._point
        image = {4: 0x0107, 5: self._state(), 9: 250, 13: 1, 100: 16, 101: 6}
        for k in range(3):
            image[6 + k] = round(self._currents_a[k] * 10.0)
            image[10 + k] = round(self._voltage_v)
        image[14] = round(self._power_va)
        place(image, 15, high_first(round(point.session_wh), words=2))
        place(image, 17, high_first(round(point.lifetime_wh), words=2))
        return image

    def _state(self) -> int:
        """Give the state; x1 is without, x2 with leave. Paused beside a vehicle that asks: C1."""
        state = self._point.iec_state
        if state == "A1":
            return 3 if self._point.limit_a > 0.0 else 2
        if state == "B1" and not self._point.full:
            return 6
        return _STATES[state]
