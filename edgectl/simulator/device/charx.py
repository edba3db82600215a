"""Phoenix Contact CHARX SEC: a control module with several connectors behind one server.

Register map after the manual UM EN CHARX SEC, appendices B1 and B3: a group block at 100 to 167,
then one block per connector x at x * 1000 + offset. Holding and input registers are the same.

1. 301 takes whole amperes from 6 to 80; any other value withdraws the release, so 0 is the pause.
2. Without a write of 301 for the time in 307 the limit becomes 306. The sources do not say what
   else would rearm it, so nothing else does here.
3. 300 counts only in the release mode "Modbus" (120 = 5).
"""

from dataclasses import dataclass
from typing import Final

from edgectl.model.modbus import Function
from edgectl.simulator.device.charge_point import ChargePoint
from edgectl.simulator.device.registers import ascii_words, high_first, place
from edgectl.simulator.device.simulated_device import Words, unsigned_milli
from edgectl.simulator.memory.line import ExceptionCode

RELEASE_PERMANENT: Final = 3
RELEASE_MODBUS: Final = 5
WATCHDOG_OFF: Final = 0xFFFF
_READS: Final = frozenset({Function.READ_HOLDING, Function.READ_INPUT})
_UNKNOWN: Final = -1
_GROUP: Final = range(100, 168)
_CONFIGURATION: Final = range(100, 124)
_LIVE: Final = range(232, 309)
_WRITABLE: Final = frozenset({300, 301, 303, 304, 305, 306, 307, 308})


@dataclass(slots=True)
class _Connector:
    """The controller of one connector; limits in whole amperes as they stand in the registers."""

    point: ChargePoint
    maximum_a: int = 32
    release: int = 1
    limit_register_a: int = 0
    fallback_a: int = 6
    watchdog_s: int = WATCHDOG_OFF
    fed_s: float = 0.0
    currents_a: tuple[float, float, float] = (0.0, 0.0, 0.0)
    known: bool = False
    power_w: float = 0.0
    connected_s: float = 0.0
    offered_a: float = 0.0


class CharxSec:
    """A CHARX SEC with one connector for each charge point; any unit id reaches it."""

    refresh_s = 1.0

    def __init__(
        self,
        points: tuple[ChargePoint, ...],
        *,
        boot_a: float,
        release_mode: int = RELEASE_PERMANENT,
        metered: bool = True,
        voltage_v: float = 230.0,
    ) -> None:
        self.points = points
        self._boot_a = int(boot_a)
        self._release_mode = release_mode
        self._metered = metered
        self._voltage_v = voltage_v
        self._connectors = [
            _Connector(point, maximum_a=int(point.max_a), limit_register_a=self._boot_a)
            for point in points
        ]
        self.step(0.0)

    def limit_in_force_a(self, connector: int) -> float:
        """Give what a connector allows now, 0 while it is not released."""
        state = self._connectors[connector - 1]
        if self._release_mode == RELEASE_MODBUS and state.release != 1:
            return 0.0
        limit_a = state.limit_register_a
        return float(min(limit_a, state.maximum_a)) if 6 <= limit_a <= 80 else 0.0

    def step(self, now_s: float) -> None:
        """Run the watchdogs and hand on the limits."""
        for number, state in enumerate(self._connectors, start=1):
            if state.watchdog_s != WATCHDOG_OFF and now_s - state.fed_s > state.watchdog_s:
                state.limit_register_a = state.fallback_a
            state.point.limit_a = self.limit_in_force_a(number)
            if state.point.vehicle is not None:
                state.connected_s = now_s - state.point.plugged_at_s

    def sample(self) -> None:
        """Take the connectors' present values into the registers."""
        for state in self._connectors:
            state.currents_a = state.point.currents_a
            state.power_w = state.point.power_w
            state.offered_a = state.point.pilot_a
            state.known = self._metered

    def reboot(self, now_s: float) -> None:
        """Forget limit, fallback and watchdog; currents are unknown until the next sample."""
        for state in self._connectors:
            state.point.power_loss(now_s=now_s)
            state.limit_register_a = self._boot_a
            state.release = 1
            state.fallback_a = 6
            state.watchdog_s = WATCHDOG_OFF
            state.fed_s = now_s
            state.known = False
        self.step(now_s)

    def read(
        self,
        function: Function,
        address: int,
        count: int,
        now_s: float,  # noqa: ARG002 - reading feeds nothing here
    ) -> Words | ExceptionCode:
        """Give registers inside one block."""
        if function not in _READS:
            return ExceptionCode.ILLEGAL_FUNCTION
        if address in _GROUP:
            if address + count - 1 not in _GROUP:
                return ExceptionCode.ILLEGAL_ADDRESS
            image = self._group()
            return tuple(image.get(at, 0) for at in range(address, address + count))
        number, offset = divmod(address, 1000)
        block = _CONFIGURATION if offset in _CONFIGURATION else _LIVE
        inside = offset in block and offset + count - 1 in block
        if not 1 <= number <= len(self._connectors) or not inside:
            return ExceptionCode.ILLEGAL_ADDRESS
        state = self._connectors[number - 1]
        image = self._configuration(state) if block is _CONFIGURATION else self._live(state)
        return tuple(image.get(at, 0) for at in range(offset, offset + count))

    def write(
        self, function: Function, address: int, words: Words, now_s: float
    ) -> ExceptionCode | None:
        """Take writable registers of one connector, all or none."""
        if function not in {Function.WRITE_SINGLE, Function.WRITE_MULTIPLE}:
            return ExceptionCode.ILLEGAL_FUNCTION
        number, offset = divmod(address, 1000)
        offsets = range(offset, offset + len(words))
        if not 1 <= number <= len(self._connectors) or not _WRITABLE.issuperset(offsets):
            return ExceptionCode.ILLEGAL_ADDRESS
        wanted = dict(zip(offsets, words, strict=True))
        if not 6 <= wanted.get(306, 6) <= 80:
            return ExceptionCode.ILLEGAL_VALUE
        state = self._connectors[number - 1]
        state.release = wanted.get(300, state.release)
        state.fallback_a = wanted.get(306, state.fallback_a)
        if 307 in wanted:
            state.watchdog_s = wanted[307]
            state.fed_s = now_s
        if 301 in wanted:
            state.limit_register_a = wanted[301]
            state.fed_s = now_s
        state.point.limit_a = self.limit_in_force_a(number)
        return None

    def setpoint_of(self, address: int, words: Words) -> tuple[int, float] | None:
        """Register 301 of the connector's block, in whole amperes."""
        number, offset = divmod(address, 1000)
        if not offset <= 301 < offset + len(words):
            return None
        return number, float(words[301 - offset])

    def setpoint_write(self, connector: int, amps: float) -> tuple[Function, int, Words]:
        """Register 301 of the connector's block, in whole amperes."""
        return Function.WRITE_SINGLE, connector * 1000 + 301, (int(amps),)

    def _group(self) -> dict[int, int]:
        image: dict[int, int] = {114: len(self._connectors)}
        place(image, 100, ascii_words("CHARX SEC-3150", words=10))
        place(image, 110, ascii_words("1.7.3", words=4))
        states = [point.iec_state for point in self.points]
        image[148] = sum(state[0] in "EF" for state in states)
        image[149] = sum(state[0] == "A" for state in states)
        image[150] = sum(state[0] in "BCD" for state in states)
        image[151] = sum(state == "C2" for state in states)
        place(image, 152, high_first(round(1000.0 * sum(p.power_w for p in self.points)), words=2))
        for k in range(3):
            place(image, 158 + 2 * k, high_first(_UNKNOWN, words=2))
        return image

    def _configuration(self, state: _Connector) -> dict[int, int]:
        return {100: 1, 101: state.maximum_a, 102: 6, 112: 3, 120: self._release_mode}

    def _live(self, state: _Connector) -> dict[int, int]:
        point = state.point
        image: dict[int, int] = {}
        for k in range(3):
            place(image, 232 + 2 * k, high_first(unsigned_milli(self._voltage_v), words=2))
            milliamps = unsigned_milli(state.currents_a[k]) if state.known else _UNKNOWN
            place(image, 238 + 2 * k, high_first(milliamps, words=2))
        place(image, 244, high_first(unsigned_milli(state.power_w), words=2))
        place(image, 248, high_first(unsigned_milli(state.power_w), words=2))
        place(image, 250, high_first(round(point.lifetime_wh), words=4))
        place(image, 285, high_first(int(state.connected_s), words=2))
        place(image, 289, high_first(round(point.session_wh), words=4))
        image[296] = round(state.offered_a / 0.6)
        image[297] = round(state.offered_a)
        image[298] = state.maximum_a
        place(image, 299, ascii_words(point.iec_state, words=1))
        image[300] = state.release
        image[301] = state.limit_register_a
        image[306] = state.fallback_a
        image[307] = state.watchdog_s
        return image
