"""What a capacity limit's number means at this site."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from edgectl.errors import Refused
from edgectl.grid.event import Value
from edgectl.grid.targets import Element
from edgectl.model.site import Program, Site
from edgectl.units import PHASES, W_PER_KW, OptionalTriple

IMPORT_LIMIT: Final = "IMPORT_CAPACITY_LIMIT"


@dataclass(frozen=True, slots=True)
class Limit:
    """Either `power_w` for the sum or `current_a` for each phase; 0 means 0."""

    power_w: float | None = None
    current_a: float | None = None

    @property
    def triple_a(self) -> OptionalTriple:
        """The current for every phase."""
        return (self.current_a, self.current_a, self.current_a)

    def held(self, program: Program, element: Element, site: Site) -> "Limit":
        """The limit, no lower than the minimum that the program guarantees to leave."""
        if not program.hold_minimum or program.minimum_w is None:
            return self
        if self.power_w is not None:
            return Limit(power_w=max(self.power_w, program.minimum_w))
        least_a = program.minimum_w / (site.voltage_v * _phases(element, site))
        return Limit(current_a=max(self.current_a or 0.0, least_a))


def limit_of(values: Sequence[Value], *, unit: str | None, program: Program, path: str) -> Limit:
    """Read the one value of an import limit, or raise `Refused` with the field's path."""
    number = _number(values, path=path)
    said = unit if unit is not None else program.default_unit
    if said is None:
        raise Refused(
            code="malformed",
            message=f"{path} has no unit, and program {program.id} has no default_unit",
            remedy=f"send a payloadDescriptor for {IMPORT_LIMIT} with units KW",
        )
    meaning = _MEANING.get(said)
    if meaning is None:
        raise Refused(
            code="not_supported",
            message=f"{path} is in {said[:40]}, which is no unit of an import limit here",
            remedy="send it in KW, W, A, AMPS or PERCENT",
        )
    limit = meaning(number, program, path)
    if not math.isfinite(limit.power_w if limit.power_w is not None else limit.current_a or 0.0):
        raise _bad(path, "is out of range")
    return limit


def _number(values: Sequence[Value], *, path: str) -> float:
    if len(values) != 1:
        raise _bad(path, f"has {len(values)} values, an import limit has exactly one")
    value = values[0]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _bad(path, "is not a number")
    if not math.isfinite(value):
        raise _bad(path, "is not a finite number")
    if value < 0:
        raise _bad(path, f"is {value:g}: a negative import limit has no meaning")
    return float(value)


def _bad(path: str, fault: str) -> Refused:
    return Refused(
        code="malformed",
        message=f"{path} {fault}",
        remedy="send one finite number of at least 0; 0 means that nothing may be drawn",
    )


def _watts(number: float, _program: Program, _path: str) -> Limit:
    return Limit(power_w=number)


def _kilowatts(number: float, _program: Program, _path: str) -> Limit:
    return Limit(power_w=number * W_PER_KW)


def _amps(number: float, _program: Program, _path: str) -> Limit:
    return Limit(current_a=number)


def _percent(number: float, program: Program, path: str) -> Limit:
    if number > 1:
        raise _bad(path, f"is {number:g} PERCENT, which OpenADR writes as a fraction from -1 to 1,")
    if program.reference_w is None:
        raise Refused(
            code="not_supported",
            message=f"{path} is in PERCENT, and program {program.id} has no reference_kw here",
            remedy="send it in KW, or have reference_kw added to the program in the site file",
        )
    return Limit(power_w=number * program.reference_w)


_MEANING: Final[dict[str, Callable[[float, Program, str], Limit]]] = {
    "W": _watts,
    "KW": _kilowatts,
    "A": _amps,
    "AMPS": _amps,
    "PERCENT": _percent,
}


def _phases(element: Element, site: Site) -> int:
    for evse in site.evses:
        if evse.id == element.evse:
            return len(evse.phases)
    return len(PHASES)
