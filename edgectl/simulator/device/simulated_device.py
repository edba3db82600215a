"""What every simulated device promises: registers as its vendor documents them, time handed in."""

from typing import Protocol

from edgectl.model.modbus import Function
from edgectl.simulator.device.charge_point import ChargePoint
from edgectl.simulator.memory.line import ExceptionCode

Words = tuple[int, ...]


class Device(Protocol):
    """A device behind one unit id. A request that reaches it may feed its watchdog."""

    def read(
        self, function: Function, address: int, count: int, now_s: float
    ) -> Words | ExceptionCode:
        """Give registers, or refuse as the document says."""

    def write(
        self, function: Function, address: int, words: Words, now_s: float
    ) -> ExceptionCode | None:
        """Take registers, or refuse as the document says."""


class Charger(Device, Protocol):
    """A device with connectors, numbered from 1."""

    points: tuple[ChargePoint, ...]
    refresh_s: float

    def step(self, now_s: float) -> None:
        """Run the watchdog and hand the limit in force to the connectors."""

    def sample(self) -> None:
        """Take the connectors' present values into the registers."""

    def reboot(self, now_s: float) -> None:
        """Lose what is volatile and come up as after a power cycle."""

    def setpoint_of(self, address: int, words: Words) -> tuple[int, float] | None:
        """Give the connector and the current that a write asks for; None: it is no setpoint."""

    def setpoint_write(self, connector: int, amps: float) -> tuple[Function, int, Words]:
        """Give the write with which a client sets a connector's current."""


def unsigned_milli(value: float) -> int:
    """Give a value in thousandths, rounded."""
    return round(value * 1000.0)
