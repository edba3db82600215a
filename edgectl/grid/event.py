"""An OpenADR 3 event as a value: what the utility said, not yet what it means here."""

import calendar
import math
from dataclasses import dataclass, field
from datetime import MAXYEAR, UTC, datetime
from enum import Enum
from typing import Final, TypeAlias

from edgectl.units import EventId, ProgramId

_INFINITE_YEARS: Final = 1000
NEVER_S: Final = 221_845_392_000.0
"""The year 9000: what ends later has no end."""

_S_PER_YEAR: Final = 365.2425 * 86400.0


class StartWord(Enum):
    """`NOW`: at event level already running, in a later interval right after the one before."""

    NOW = "now"


Start: TypeAlias = float | StartWord


@dataclass(frozen=True, slots=True)
class Duration:
    """Calendar months and seconds, both at least 0. A thousand years and more never end."""

    months: int = 0
    seconds: float = 0.0

    @property
    def zero(self) -> bool:
        """No time at all."""
        return self.months == 0 and self.seconds == 0

    @property
    def infinite(self) -> bool:
        """Without an end."""
        return self.months / 12 + self.seconds / _S_PER_YEAR >= _INFINITE_YEARS

    def after(self, start_utc_s: float) -> float:
        """The moment this long after `start_utc_s`; `math.inf` if it never comes."""
        if self.infinite or not math.isfinite(start_utc_s):
            return math.inf
        moment = datetime.fromtimestamp(start_utc_s, UTC)
        year, month = divmod(moment.year * 12 + moment.month - 1 + self.months, 12)
        if year > MAXYEAR:
            return math.inf
        day = min(moment.day, calendar.monthrange(year, month + 1)[1])
        begun = moment.replace(year=year, month=month + 1, day=day)
        whole_s = float(calendar.timegm(begun.utctimetuple()))
        end_s = whole_s + (start_utc_s - math.floor(start_utc_s)) + self.seconds
        return end_s if end_s < NEVER_S else math.inf

    @property
    def width_s(self) -> float:
        """As a plain number of seconds, a month taken as its mean length."""
        return self.months * _S_PER_YEAR / 12 + self.seconds


@dataclass(frozen=True, slots=True)
class Period:
    """When; whatever is None was not said."""

    start: Start | None = None
    duration: Duration | None = None
    randomize: Duration | None = None


PointValue: TypeAlias = tuple[float, float]
Value: TypeAlias = bool | int | float | str | PointValue


@dataclass(frozen=True, slots=True)
class Payload:
    """Values with what they mean."""

    type: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Interval:
    """One window of an event. `id` is any number of the sender's, not an order."""

    id: int
    payloads: tuple[Payload, ...]
    period: Period | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """A name that the event is for. `kind` is the type of OpenADR 3.0.1, None in 3.1."""

    name: str
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """`priority`: lower comes first, None last. `units`: by payload type, where given."""

    id: EventId
    program: ProgramId
    intervals: tuple[Interval, ...]
    modified_utc_s: float | None = None
    name: str | None = None
    priority: int | None = None
    targets: tuple[Target, ...] = ()
    period: Period | None = None
    duration: Duration | None = None
    units: dict[str, str] = field(default_factory=dict)
