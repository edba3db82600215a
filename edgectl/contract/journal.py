"""The flight recorder's words: what a chapter and a step are, and how numbers keep their bits.

1. One JSON object a line. A chapter begins with its head, which has the site, and a *whole* line,
   which has everything that a step rests on; every further line has what is new since the last.
2. A float keeps its bits. A row whose values all have single precision, as many devices send them,
   has no more digits than that and ends in `1`. A time is a whole number of microseconds since the
   one before of its kind, or since the tick, where that gives back its bits; else a float.
3. Of a decision the EVSEs' part is written, and a sum over all of decision and next state: whoever
   replays a step sees both whether anything differs and what.
"""

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from math import isfinite
from typing import Any, Final, get_type_hints

from pydantic import TypeAdapter

from edgectl.clock import Instant
from edgectl.model.decision import (
    Alarm,
    Decision,
    EvseDecision,
    ExportDecision,
    NodeDecision,
    Reason,
)
from edgectl.model.reading import EvseSample, MeterSample
from edgectl.model.site import Site
from edgectl.model.snapshot import Confirmed, Sent, Snapshot
from edgectl.model.state import BaseState, EvseState, State
from edgectl.units import EvseId

FORMAT: Final = 1

ROWS: Final[Mapping[str, type]] = {
    cls.__name__: cls for cls in (MeterSample, EvseSample, Sent, Confirmed)
}
"""What there is much of is written as rows without names; the head has the names."""

TIMES: Final = frozenset({"taken_s", "sent_s", "confirmed_s", "last_answer_s", "last_feed_s"})
OFTEN: Final = ("last_answer_s", "last_feed_s")
"""Fields of an EVSE's view that change with nearly every tick have places of their own."""

_US: Final = 1e6
_TIME_MAX_S: Final = 1e12
_SINGLE: Final = struct.Struct("<f")
_SHORT: Final = 8
"""Digits that single precision can need too."""

_SUMMED: Final = (
    *(Decision, EvseDecision, NodeDecision, ExportDecision, Reason, Alarm),
    *(State, BaseState, EvseState),
)


@dataclass(frozen=True, slots=True)
class Head:
    """What a chapter says first.

    `part`: the number of its segment; `first_part`: of the oldest segment that was kept then.
    `rows`: the fields of what is written as rows. `shape`: see the function of that name.
    """

    site: Site
    version: str
    part: int
    first_part: int
    rows: Mapping[str, tuple[str, ...]]
    shape: str


@dataclass(frozen=True, slots=True)
class JournalStep:
    """One recorded step.

    `before` is the state that it was given, None where it follows from the step before. `safe`: the
    step broke and the safe decision went out. `checksum` is that of decision and next state.
    """

    number: int
    now: Instant
    snapshot: Snapshot
    before: State | None
    evses: dict[EvseId, EvseDecision]
    safe: bool
    checksum: str


def checksum(decision: Decision, state: State) -> str:
    """Sixteen hexadecimal digits over every bit of both."""
    return _digest(repr((decision, state)))


def shape() -> str:
    """What a checksum is over: only versions that know the same fields can compare theirs."""
    return _digest(";".join(f"{cls.__name__}:{','.join(names(cls))}" for cls in _SUMMED))


@cache
def names(cls: type) -> tuple[str, ...]:
    """The fields of a dataclass, in their order."""
    return tuple(field.name for field in fields(cls))


@cache
def adapter(cls: type, name: str) -> TypeAdapter[Any]:
    """How one field of a dataclass is written and read."""
    return TypeAdapter(get_type_hints(cls)[name])


def number(value: float | None) -> str:
    """A float as JSON, in as few digits as give back its bits."""
    if value is None:
        return "null"
    return repr(value) if isfinite(value) else json.dumps(value)


def short_number(value: float | None) -> str | None:
    """The same for a value of single precision, where `single` gives back its bits; else None."""
    if value is None:
        return "null"
    text = number(value)
    if not isfinite(value) or len(text) <= _SHORT:
        return text if single(value) == value else None
    for digits in (7, 8, 9):
        short = f"{value:.{digits}g}"
        if single(float(short)) == value:
            return short if "." in short or "e" in short else f"{short}.0"
    return None


def single(value: float) -> float:
    """The nearest value of single precision."""
    try:
        (rounded,) = _SINGLE.unpack(_SINGLE.pack(value))
    except OverflowError:
        return value
    return float(rounded)


def text_of(value: object) -> str:
    """JSON as it stands in a line."""
    return json.dumps(value, separators=(",", ":"))


def time_text(time_s: float, *, since_s: float) -> str:
    """A time as JSON, beside one that the reader knows."""
    us, since_us = _micros(time_s), _micros(since_s)
    return number(time_s) if us is None or since_us is None else str(us - since_us)


def time_value(written: Any, *, since_s: float) -> Any:  # noqa: ANN401 - whatever JSON it is
    """The time again; what is no number stays what it is, for the model to refuse."""
    since_us = _micros(since_s)
    if since_us is None or isinstance(written, bool) or not isinstance(written, int):
        return written
    return (since_us + written) / _US


def _micros(time_s: float) -> int | None:
    """Whole microseconds, where they give back every bit."""
    if not 0.0 < abs(time_s) < _TIME_MAX_S:
        return None
    us = round(time_s * _US)
    return us if us / _US == time_s else None


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
