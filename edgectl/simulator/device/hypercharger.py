"""alpitronic hypercharger (DC), after the maker's register list.

1. Input registers are measurements, holding registers are limits: the same number is two things.
   Connector n has both at n * 100; its input block 0 to 37 has no gaps.
2. The limit is the power taken from the mains. The current follows from the voltage of the moment.
3. 0 W ends a charge: the connector is unavailable until the vehicle has gone.
4. Nobody wrote a limit for as long as the station is set to: the grid fallback holds until somebody
   does.
"""

from dataclasses import dataclass
from typing import Final

from edgectl.model.modbus import Function
from edgectl.simulator.device.charge_point import MIN_PILOT_A, ChargePoint
from edgectl.simulator.device.registers import ascii_words, high_first, place
from edgectl.simulator.device.simulated_device import Words
from edgectl.simulator.memory.line import ExceptionCode

TRUE_EFFICIENCY: Final = 0.955
TRUE_POWER_FACTOR: Final = 0.99
"""Of this unit; a controller can only guess them."""

_BATTERY_V: Final = 720.0
_BLOCK: Final = range(38)
_LIMITS: Final = range(4)
_STATION: Final = range(53)


@dataclass(slots=True)
class _Connector:
    point: ChargePoint
    limit_w: int
    written_s: float = 0.0
    aborted: bool = False
    power_w: float = 0.0


class Hypercharger:
    """A hypercharger. `fallback_w` and `timeout_s` are settings of the station."""

    refresh_s = 1.0

    def __init__(
        self,
        points: tuple[ChargePoint, ...],
        *,
        boot_a: float,
        voltage_v: float,
        fallback_a: float,
        timeout_s: float,
    ) -> None:
        self.points = points
        watts_per_a = 3.0 * voltage_v * TRUE_POWER_FACTOR
        self._boot_w = int(boot_a * watts_per_a)
        self._fallback_w = int(fallback_a * watts_per_a)
        self._timeout_s = timeout_s
        self._started_s = 0.0
        self._now_s = 0.0
        self._connectors = [_Connector(point, limit_w=self._boot_w) for point in points]

    def step(self, now_s: float) -> None:
        """Turn the limits in watts into currents at the voltage of the moment."""
        self._now_s = now_s
        for connector in self._connectors:
            point = connector.point
            limit_w = connector.limit_w
            if now_s - connector.written_s > self._timeout_s:
                limit_w = self._fallback_w
            if point.vehicle is None:
                connector.aborted = False
            amps = limit_w / (point.terminals * point.voltage_v * TRUE_POWER_FACTOR)
            point.limit_a = 0.0 if connector.aborted else min(amps, point.max_a)

    def sample(self) -> None:
        """Take the connectors' present values into the registers."""
        for connector in self._connectors:
            connector.power_w = connector.point.power_w * TRUE_POWER_FACTOR * TRUE_EFFICIENCY

    def reboot(self, now_s: float) -> None:
        """Come up with the boot limit; the fallback waits for its time."""
        self._started_s = now_s
        for connector in self._connectors:
            connector.point.power_loss(now_s=now_s)
            connector.limit_w = self._boot_w
            connector.written_s = now_s
            connector.aborted = False
        self.step(now_s)

    def read(
        self,
        function: Function,
        address: int,
        count: int,
        now_s: float,
    ) -> Words | ExceptionCode:
        """Give measurements by function 4, limits by function 3."""
        if function not in {Function.READ_HOLDING, Function.READ_INPUT}:
            return ExceptionCode.ILLEGAL_FUNCTION
        number, offset = divmod(address, 100)
        if function is Function.READ_HOLDING:
            block, image = _LIMITS, self._limits(number)
        elif number == 0:
            block, image = _STATION, self._station(now_s)
        else:
            block, image = _BLOCK, self._measured(number)
        if image is None or offset + count - 1 not in block:
            return ExceptionCode.ILLEGAL_ADDRESS
        return tuple(image.get(at, 0) for at in range(offset, offset + count))

    def write(
        self, function: Function, address: int, words: Words, now_s: float
    ) -> ExceptionCode | None:
        """Take a limit: both words of one connector by function 16."""
        if function is not Function.WRITE_MULTIPLE:
            return ExceptionCode.ILLEGAL_FUNCTION
        number, offset = divmod(address, 100)
        if not 1 <= number <= len(self._connectors) or offset != 0 or len(words) != 2:
            return ExceptionCode.ILLEGAL_ADDRESS
        connector = self._connectors[number - 1]
        connector.limit_w = words[0] * 65536 + words[1]
        connector.written_s = now_s
        if connector.limit_w == 0 and connector.point.vehicle is not None:
            connector.aborted = True
        self.step(now_s)
        return None

    def setpoint_of(self, address: int, words: Words) -> tuple[int, float] | None:
        """The limit of a connector in watts, as amperes at the voltage of the moment."""
        number, offset = divmod(address, 100)
        if offset != 0 or len(words) != 2 or not 1 <= number <= len(self.points):
            return None
        point = self.points[number - 1]
        watts_per_a = point.terminals * point.voltage_v * TRUE_POWER_FACTOR
        return number, (words[0] * 65536 + words[1]) / watts_per_a

    def setpoint_write(self, connector: int, amps: float) -> tuple[Function, int, Words]:
        """The limit of a connector in watts, both words by function 16."""
        point = self.points[connector - 1]
        watts = int(amps * point.terminals * point.voltage_v * TRUE_POWER_FACTOR)
        return Function.WRITE_MULTIPLE, connector * 100, high_first(watts, words=2)

    def _limits(self, number: int) -> dict[int, int] | None:
        if number == 0:
            return {}
        if number > len(self._connectors):
            return None
        image: dict[int, int] = {}
        place(image, 0, high_first(self._connectors[number - 1].limit_w, words=2))
        return image

    def _station(self, now_s: float) -> dict[int, int]:
        image = {2: len(self._connectors), 3: 0, 18: 1, 46: 2, 47: 5, 48: 0}
        place(image, 0, high_first(int(now_s), words=2))
        drawn_w = sum(point.power_w * TRUE_POWER_FACTOR for point in self.points)
        place(image, 4, high_first(round(drawn_w), words=2))
        place(image, 6, ascii_words("HYC-SIMULATED", words=12))
        return image

    def _measured(self, number: int) -> dict[int, int] | None:
        if number > len(self._connectors):
            return None
        connector = self._connectors[number - 1]
        point = connector.point
        charging = connector.power_w > 0.0
        image: dict[int, int] = {0: self._state(connector), 9: 1 if point.vehicle else 0}
        place(image, 1, high_first(round(_BATTERY_V * 100.0) if charging else 0, words=2))
        image[3] = min(round(connector.power_w / _BATTERY_V * 100.0), 0xFFFF)
        place(image, 4, high_first(round(connector.power_w), words=2))
        image[7] = min(round(point.session_wh * TRUE_EFFICIENCY / 10.0), 0xFFFF)
        place(image, 10, high_first(connector.limit_w, words=2))
        place(image, 12, high_first(3000, words=2))
        place(image, 32, high_first(round(point.lifetime_wh * TRUE_EFFICIENCY), words=4))
        place(image, 36, high_first(connector.limit_w, words=2))
        return image

    def _state(self, connector: _Connector) -> int:
        point = connector.point
        if point.faulted:
            return 10
        if point.vehicle is None:
            return 0
        if connector.aborted:
            return 8
        if point.iec_state == "C2":
            return 3
        if point.full:
            return 6
        return 5 if point.limit_a < MIN_PILOT_A else 2
