"""What answers at the far end of one link of the simulated depot; fulfils `memory_line.Station`."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from edgectl.model.modbus import Function, Request
from edgectl.simulator.device.simulated_device import Device, Words
from edgectl.simulator.faults import Fault, FaultKind
from edgectl.simulator.memory.line import ExceptionCode

_OFF: Final = frozenset({FaultKind.CHARGER_SILENT, FaultKind.METER_SILENT})
_OFF_UNTIL: Final = frozenset({FaultKind.REBOOT, FaultKind.SITE_POWER})
_OWN_REPLY_S: Final = 0.004
_NEVER_HEARD_S: Final = 3600.0


class Physics(Protocol):
    """The depot as its stations see it."""

    def advance(self, now_s: float | None = None) -> None:
        """Move on to the clock's present."""

    def now_s(self) -> float:
        """Give the clock's present, up to a step later than what the physics stands at."""

    def scenario_s(self) -> float:
        """Give where the physics stands, in seconds of the scenario."""

    def chance(self) -> float:
        """Draw a number from 0 to 1."""

    def later(self, delay_s: float, act: Callable[[float], object]) -> None:
        """Have `act` called with the time, once `delay_s` is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A device at a unit id.

    `faults` is shared with the depot; answered reads go to `answers_s`; `asked` is told of every
    write that reaches the device.
    """

    device: Device
    faults: Sequence[Fault]
    any_unit: bool
    answers_s: list[float] | None = None
    asked: Callable[[int, Words], None] | None = None


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
        device = found.device
        if found.faults:
            scenario_s = self._depot.scenario_s()
            for fault in found.faults:
                if fault.kind is FaultKind.IGNORES_WRITES and fault.active(scenario_s):
                    self._ask(found, address, words)
                    return None
                if fault.kind is FaultKind.DELAYS_WRITES and fault.active(scenario_s):
                    self._ask(found, address, words)
                    self._depot.later(
                        fault.delay_s,
                        lambda now_s: device.write(function, address, words, now_s),
                    )
                    return None
        refused = device.write(function, address, words, self._depot.now_s())
        if refused is None:
            self._ask(found, address, words)
        return refused

    def delay_s(self, unit: int, request: Request) -> float:  # noqa: ARG002 - all requests alike
        """Give the time to the answer; infinite while the device is silent."""
        found = self._find(unit)
        if found is None or not found.faults:
            return _OWN_REPLY_S
        self._depot.advance()
        scenario_s = self._depot.scenario_s()
        if silent(found.faults, scenario_s):
            return math.inf
        delay_s = _OWN_REPLY_S
        for fault in found.faults:
            if not fault.active(scenario_s):
                continue
            if fault.kind is FaultKind.SLOW_REPLIES:
                delay_s = max(delay_s, fault.delay_s)
            elif fault.kind is FaultKind.LOST_REPLIES and self._depot.chance() < fault.part:
                # As often the request is lost as its answer, after it was carried out.
                return math.inf if self._depot.chance() < 0.5 else _NEVER_HEARD_S
        return delay_s

    def _ask(self, found: Unit, address: int, words: Words) -> None:
        if found.asked is not None:
            found.asked(address, words)

    def _find(self, number: int) -> Unit | None:
        found = self._units.get(number)
        if found is None and len(self._units) == 1:
            only = next(iter(self._units.values()))
            return only if only.any_unit else None
        return found


def silent(faults: Sequence[Fault], scenario_s: float) -> bool:
    """Tell whether a device with these faults answers nobody now."""
    for fault in faults:
        off = fault.kind in _OFF or (fault.kind in _OFF_UNTIL and fault.until_s is not None)
        if off and fault.active(scenario_s):
            return True
    return False


def _has(faults: Sequence[Fault], kind: FaultKind, scenario_s: float) -> bool:
    return any(fault.kind is kind and fault.active(scenario_s) for fault in faults)
