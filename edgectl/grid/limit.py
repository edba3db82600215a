"""What the payloads of an interval mean at this site: limits on what is drawn and fed back.

1. A number is in the unit of its descriptor, else in the program's; 0 means 0.
2. SIMPLE levels and alerts are parts of the program's reference; level 0 says that nothing is
   asked. A level that the program does not map takes the next harder one that it does map, else the
   hardest.
3. Of several limits in one interval the least holds.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from edgectl.errors import Refused
from edgectl.grid.event import Event, Interval, Payload, Value
from edgectl.grid.targets import Element, full_v
from edgectl.model.site import Program, Site
from edgectl.units import W_PER_KW, OptionalTriple

IMPORT_LIMIT: Final = "IMPORT_CAPACITY_LIMIT"
EXPORT_LIMIT: Final = "EXPORT_CAPACITY_LIMIT"
DISPATCH: Final = "DISPATCH_SETPOINT"
SIMPLE: Final = "SIMPLE"
ALERTS: Final = ("ALERT_GRID_EMERGENCY", "ALERT_BLACK_START")

KEPT_FOR_PLAN: Final = frozenset({"PRICE", "PRICE_ALTERNATE", "EXPORT_PRICE", "GHG"})
"""Payload types that are kept with their event, for whoever plans."""

_NUMBERS: Final = frozenset({IMPORT_LIMIT, EXPORT_LIMIT, DISPATCH})


@dataclass(frozen=True, slots=True)
class Limit:
    """`power_w` for the sum, `current_a` for each phase; with neither it is free, by word."""

    power_w: float | None = None
    current_a: float | None = None

    @property
    def free(self) -> bool:
        """Nothing is asked, and that was said."""
        return self.power_w is None and self.current_a is None

    @property
    def triple_a(self) -> OptionalTriple:
        """The current for every phase."""
        return (self.current_a, self.current_a, self.current_a)

    def held(self, program: Program, element: Element, site: Site) -> "Limit":
        """The limit, no lower than the minimum that the program guarantees to leave."""
        if not program.hold_minimum or program.minimum_w is None:
            return self
        return self.raised(program.minimum_w, element, site)

    def least(self, other: "Limit") -> "Limit":
        """Both at once."""
        return Limit(
            power_w=_least(self.power_w, other.power_w),
            current_a=_least(self.current_a, other.current_a),
        )

    def raised(self, floor_w: float, element: Element, site: Site) -> "Limit":
        """The limit, no lower than a floor; in A as much as that is on every phase there."""
        floor_a = floor_w / full_v(site, element)
        return Limit(
            power_w=None if self.power_w is None else max(self.power_w, floor_w),
            current_a=None if self.current_a is None else max(self.current_a, floor_a),
        )

    def whole_w(self, element: Element, site: Site) -> float | None:
        """What it leaves at a place over all phases, at nominal voltage; None: it is free."""
        amps_w = None if self.current_a is None else self.current_a * full_v(site, element)
        return _least(self.power_w, amps_w)

    def no_wider(self, other: "Limit") -> bool:
        """Whether it leaves no more than `other`, whatever the voltage."""
        return _no_wider(self.power_w, other.power_w) and _no_wider(self.current_a, other.current_a)


def acts(payload_type: str, program: Program) -> bool:
    """Whether a payload of this type is a limit in this program."""
    if payload_type == SIMPLE:
        return any(part is not None for part in program.simple_levels)
    return payload_type in _NUMBERS or payload_type in program.alerts


def limits_of(
    event: Event, interval: Interval, index: int, program: Program
) -> tuple[Limit | None, Limit | None]:
    """What an interval allows to be drawn and to be fed back, None where it says nothing.

    Raises `Refused` with the path of the field that cannot be acted on.
    """
    drawn: Limit | None = None
    fed_back: Limit | None = None
    seen: set[str] = set()
    for number, payload in enumerate(interval.payloads):
        if not acts(payload.type, program):
            continue
        if payload.type in seen:
            raise Refused(
                code="malformed",
                message=f"intervals[{index}] has two payloads of {payload.type}",
                remedy="send one limit of a type in one interval",
            )
        seen.add(payload.type)
        path = f"intervals[{index}].payloads[{number}].values"
        limit = _limit(payload, unit=event.units.get(payload.type), program=program, path=path)
        if payload.type == EXPORT_LIMIT:
            fed_back = limit
        else:
            drawn = limit if drawn is None else drawn.least(limit)
    return drawn, fed_back


def _limit(payload: Payload, *, unit: str | None, program: Program, path: str) -> Limit:
    if payload.type == SIMPLE:
        return _level(payload.values, program, path)
    if payload.type in program.alerts:
        return _part(program.alerts[payload.type], program, path)
    return limit_of(payload.values, kind=payload.type, unit=unit, program=program, path=path)


def limit_of(
    values: Sequence[Value],
    *,
    kind: str = IMPORT_LIMIT,
    unit: str | None,
    program: Program,
    path: str,
) -> Limit:
    """Read the one value of a limit, or raise `Refused` with the field's path."""
    number = _number(values, path=path)
    said = unit if unit is not None else program.default_unit
    if said is None:
        raise Refused(
            code="malformed",
            message=f"{path} has no unit, and program {program.id} has no default_unit",
            remedy=f"send a payloadDescriptor for {kind} with units KW",
        )
    meaning = _MEANING.get(said)
    if meaning is None:
        raise Refused(
            code="not_supported",
            message=f"{path} is in {said[:40]}, which is no unit of a limit here",
            remedy="send it in KW, KVA, W, A, AMPS or PERCENT",
        )
    limit = meaning(number, program, path)
    if not math.isfinite(limit.power_w if limit.power_w is not None else limit.current_a or 0.0):
        raise _bad(path, "is out of range")
    return limit


def _number(values: Sequence[Value], *, path: str) -> float:
    if len(values) != 1:
        raise _bad(path, f"has {len(values)} values, a limit has exactly one")
    value = values[0]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _bad(path, "is not a number")
    if not math.isfinite(value):
        raise _bad(path, "is not a finite number")
    if value < 0:
        raise _bad(path, f"is {value:g}: a negative limit has no meaning")
    return float(value)


def _bad(path: str, fault: str) -> Refused:
    return Refused(
        code="malformed",
        message=f"{path} {fault}",
        remedy="send one finite number of at least 0; 0 means that nothing may be drawn",
    )


def _level(values: Sequence[Value], program: Program, path: str) -> Limit:
    value = values[0] if len(values) == 1 else None
    if isinstance(value, bool) or not isinstance(value, int | float) or value not in (0, 1, 2, 3):
        raise Refused(
            code="malformed",
            message=f"{path} is no SIMPLE level",
            remedy="send one of 0, 1, 2 and 3",
        )
    level = int(value)
    if level == 0:
        return Limit()
    harder = [part for part in program.simple_levels[level - 1 :] if part is not None]
    mapped = [part for part in program.simple_levels if part is not None]
    return _part(harder[0] if harder else mapped[-1], program, path)


def _part(part: float, program: Program, path: str) -> Limit:
    if program.reference_w is None:
        raise _no_reference(program, path)
    return Limit(power_w=part * program.reference_w)


def _watts(number: float, _program: Program, _path: str) -> Limit:
    return Limit(power_w=number)


def _kilowatts(number: float, _program: Program, _path: str) -> Limit:
    return Limit(power_w=number * W_PER_KW)


def _amps(number: float, _program: Program, _path: str) -> Limit:
    return Limit(current_a=number)


def _percent(number: float, program: Program, path: str) -> Limit:
    if number > 1:
        raise _bad(path, f"is {number:g} PERCENT, which OpenADR writes as a fraction from -1 to 1,")
    return _part(number, program, path)


def _no_reference(program: Program, path: str) -> Refused:
    return Refused(
        code="not_supported",
        message=f"{path} is a part of a whole, and program {program.id} has no reference_kw here",
        remedy="send it in KW, or have reference_kw added to the program in the site file",
    )


_MEANING: Final[dict[str, Callable[[float, Program, str], Limit]]] = {
    "W": _watts,
    "KW": _kilowatts,
    # A ceiling in W lands on the row of the sum in VA anyway.
    "KVA": _kilowatts,
    "A": _amps,
    "AMPS": _amps,
    "PERCENT": _percent,
}


def _least(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def _no_wider(mine: float | None, other: float | None) -> bool:
    return other is None or (mine is not None and mine <= other)
