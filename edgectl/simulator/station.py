"""What answers at the far end of one link of the simulated depot; fulfils `memory_line.Station`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from edgectl.model.modbus import Function, Request
from edgectl.simulator.faults import Fault, FaultKind
from edgectl.simulator.memory_line import ExceptionCode
from edgectl.simulator.simulated_device import Device, Words

_OWN_REPLY_S: Final = 0.004


class Physics(Protocol):
    """The depot as its stations see it."""

    def advance(self, now_s: float | None = None) -> None:
        """Move on to the clock's present."""

    def now_s(self) -> float:
        """Give the clock's present, up to a step later than what the physics stands at."""

    def scenario_s(self) -> float:
        """Give where the physics stands, in seconds of the scenario."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A device at a unit id.

    `faults` is shared with the depot; answered reads go to `answers_s`.
    """

    device: Device
    faults: Sequence[Fault]
    any_unit: bool
    answers_s: list[float] | None = None


class DepotStation:
    """The devices of one link by unit id."""

    def __init__(self, depot: Physics) -> None:
        self._depot = depot
        self._units: dict[int, Unit] = {}

    def add(self, number: int, unit: Unit) -> None:
        """Put a device on the link."""
        self._units[number] = unit

    def advance(self, now_s: float) -> None:
        """Move the depot on."""
        self._depot.advance(now_s)

    def read(
        self, unit: int, function: Function, address: int, count: int
    ) -> Words | ExceptionCode:
        """Give the registers as they stand now; a garbled answer is one register short."""
        found = self._find(unit)
        if found is None:
            return ExceptionCode.GATEWAY_TARGET
        depot = self._depot
        depot.advance()
        words = found.device.read(function, address, count, depot.now_s())
        if isinstance(words, ExceptionCode):
            return words
        if found.faults and _has(found.faults, FaultKind.GARBLED, depot.scenario_s()):
            return words[:-1]
        if found.answers_s is not None:
            found.answers_s.append(depot.scenario_s())
        return words

    def write(
        self, unit: int, function: Function, address: int, words: Words
    ) -> ExceptionCode | None:
        """Take the words; None when they were taken."""
        found = self._find(unit)
        if found is None:
            return ExceptionCode.GATEWAY_TARGET
        self._depot.advance()
        return found.device.write(function, address, words, self._depot.now_s())

    def delay_s(self, unit: int, request: Request) -> float:  # noqa: ARG002 - all requests alike
        """Give the time to the answer; infinite while the device is silent."""
        found = self._find(unit)
        if found is None or not found.faults:
            return _OWN_REPLY_S
        self._depot.advance()
        scenario_s = self._depot.scenario_s()
        if silent(found.faults, scenario_s):
            return math.inf
        slow_s = [
            fault.delay_s
            for fault in found.faults
            if fault.kind is FaultKind.SLOW_REPLIES and fault.active(scenario_s)
        ]
        return max(slow_s, default=_OWN_REPLY_S)

    def _find(self, number: int) -> Unit | None:
        found = self._units.get(number)
        if found is None and len(self._units) == 1:
            only = next(iter(self._units.values()))
            return only if only.any_unit else None
        return found


def silent(faults: Sequence[Fault], scenario_s: float) -> bool:
    """Tell whether a device with these faults answers nobody now."""
    for fault in faults:
        off = fault.kind in {FaultKind.CHARGER_SILENT, FaultKind.METER_SILENT} or (
            fault.kind is FaultKind.REBOOT and fault.until_s is not None
        )
        if off and fault.active(scenario_s):
            return True
    return False


def _has(faults: Sequence[Fault], kind: FaultKind, scenario_s: float) -> bool:
    return any(fault.kind is kind and fault.active(scenario_s) for fault in faults)
