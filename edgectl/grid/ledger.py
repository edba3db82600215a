"""The delivery ledger: what was asked, promised and delivered in every interval of an event.

1. A row is one event interval at one place, cut at the quarter-hours of the clock, so that a
   baseline of quarter-hours fits it exactly and an interval without an end is settled as it goes.
2. Baseline: the mean of the same quarter-hour of the last ten comparable days (workdays or
   weekends, without an event in that quarter), of which at least three are needed; else the mean of
   up to four quarter-hours before the event; else none.
3. Delivered is baseline less measured; shortfall is measured less what was promised, of the time
   in which the event was not lifted, spread over the row's. What was not measured is neither: it is
   said to be missing.
4. The cause of a shortfall is what was seen for most of the time above the promise.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from edgectl.grid.limit import Limit
from edgectl.grid.plan import EventPlan
from edgectl.grid.targets import Element
from edgectl.grid.timing import Span

QUARTER_S: Final = 900.0
DAYS: Final = 10
DAYS_LEAST: Final = 3
BEFORE: Final = 4
GOOD_PART: Final = 0.95
TOLERANCE: Final = 0.01
"""Above what was promised by less than this part is kept."""


class Cause(StrEnum):
    """Why more was drawn than promised. Members may be added, never renamed."""

    BASE_LOAD = "base_load"
    CHARGER_SILENT = "charger_silent"
    EXCEEDS_SETPOINT = "exceeds_setpoint"
    SETTLING = "settling"
    METER = "meter"
    LIFTED = "lifted"
    GENERATION = "generation"
    NOT_WATCHED = "not_watched"
    OTHER = "other"


class Method(StrEnum):
    """Where a baseline comes from."""

    COMPARABLE_DAYS = "comparable_days"
    BEFORE_EVENT = "before_event"
    NONE = "none"


class DataQuality(StrEnum):
    """In the words of OpenADR (DATA_QUALITY)."""

    OK = "OK"
    ESTIMATED = "ESTIMATED"
    MISSING = "MISSING"


@dataclass(frozen=True, slots=True)
class Baseline:
    """What would have been drawn; None where nobody can say."""

    power_w: float | None
    method: Method
    days: int = 0


@dataclass(frozen=True, slots=True)
class Slice:
    """One part of an event's interval at one place, within one quarter-hour.

    `exports`: the limit is of what is fed back.
    """

    interval: int
    from_utc_s: float
    until_utc_s: float
    limit: Limit
    exports: bool = False


@dataclass(frozen=True, slots=True)
class Tally:
    """What was seen in a slice; `lifted_*`: of that, while the event was lifted.

    `over_s`: time above the promise, by what was the matter.
    """

    seen_s: float = 0.0
    good_s: float = 0.0
    energy_wh: float = 0.0
    lifted_s: float = 0.0
    lifted_wh: float = 0.0
    over_s: Mapping[str, float] = field(default_factory=dict)

    def with_reading(
        self, power_w: float, *, for_s: float, good: bool, over: Cause | None, lifted: bool
    ) -> "Tally":
        """One more reading that stands for so long."""
        over_s = self.over_s
        if over is not None:
            over_s = {**over_s, over.value: over_s.get(over.value, 0.0) + for_s}
        energy_wh = power_w * for_s / 3600.0
        return Tally(
            seen_s=self.seen_s + for_s,
            good_s=self.good_s + (for_s if good else 0.0),
            energy_wh=self.energy_wh + energy_wh,
            lifted_s=self.lifted_s + (for_s if lifted else 0.0),
            lifted_wh=self.lifted_wh + (energy_wh if lifted else 0.0),
            over_s=over_s,
        )

    @property
    def mean_w(self) -> float | None:
        """Mean power over what was seen."""
        return self.energy_wh * 3600.0 / self.seen_s if self.seen_s > 0 else None

    @property
    def lifted_part(self) -> float:
        """The part of what was seen in which the event was lifted."""
        return self.lifted_s / self.seen_s if self.seen_s > 0 else 0.0

    def over_w(self, promised_w: float) -> float:
        """Mean power above a promise while it held, spread over all that was seen; 0 if kept."""
        held_s = self.seen_s - self.lifted_s
        if held_s <= 0:
            return 0.0
        over_w = (self.energy_wh - self.lifted_wh) * 3600.0 / held_s - promised_w
        return over_w * held_s / self.seen_s if over_w > TOLERANCE * promised_w else 0.0


@dataclass(frozen=True, slots=True)
class Settled:
    """One row of the ledger. `promised_w` None: nothing was promised (all of it lifted, or free).

    `lifted_part`: of what was seen, in which the event was lifted.
    `exports`: of what is fed back, as positive power.
    """

    at: str
    interval: int
    from_utc_s: float
    until_utc_s: float
    baseline: Baseline
    limit_w: float | None
    promised_w: float | None
    measured_w: float | None
    delivered_w: float | None
    shortfall_w: float | None
    cause: Cause | None
    good_part: float
    quality: DataQuality
    lifted_part: float = 0.0
    exports: bool = False


def slices(plan: EventPlan, *, from_utc_s: float, until_utc_s: float) -> Iterator[Slice]:
    """Every slice that overlaps a time, in order, cut to it."""
    for span in _spans(plan, from_utc_s=from_utc_s, until_utc_s=until_utc_s):
        sides = [(False, plan.limits[span.index]), (True, plan.exports[span.index])]
        asked = [(exports, limit) for exports, limit in sides if limit and not limit.free]
        start_s = max(span.from_utc_s, from_utc_s)
        end_s = min(span.until_utc_s, until_utc_s)
        while asked and start_s < end_s:
            quarter_end_s = (math.floor(start_s / QUARTER_S) + 1) * QUARTER_S
            for exports, limit in asked:
                yield Slice(span.index, start_s, min(quarter_end_s, end_s), limit, exports)
            start_s = min(quarter_end_s, end_s)


def _spans(plan: EventPlan, *, from_utc_s: float, until_utc_s: float) -> Iterator[Span]:
    when = plan.schedule
    spans = sorted(
        (span for span in when.spans if plan.asks(span.index)), key=lambda span: span.from_utc_s
    )
    if not spans:
        return
    if when.loop_s is None:
        yield from (s for s in spans if s.from_utc_s < until_utc_s and from_utc_s < s.until_utc_s)
        return
    number = max(0, math.floor((from_utc_s - when.from_utc_s) / when.loop_s))
    end_s = min(until_utc_s, when.until_utc_s)
    while when.from_utc_s + number * when.loop_s < end_s:
        shift_s = number * when.loop_s
        for span in spans:
            start_s, stop_s = span.from_utc_s + shift_s, span.until_utc_s + shift_s
            if start_s < end_s and from_utc_s < stop_s:
                yield Span(span.index, start_s, min(stop_s, when.until_utc_s))
        number += 1


def settle(
    one: Slice,
    tally: Tally,
    *,
    at: Element,
    promised_w: float | None,
    limit_w: float | None,
    baseline: Baseline,
) -> Settled:
    """The row of a slice whose time is over."""
    length_s = one.until_utc_s - one.from_utc_s
    seen = min(1.0, tally.seen_s / length_s) if length_s > 0 else 0.0
    good = min(1.0, tally.good_s / length_s) if length_s > 0 else 0.0
    measured_w = tally.mean_w
    lifted_part = tally.lifted_part
    if lifted_part >= 1.0:
        promised_w = None
    delivered_w = None
    if measured_w is not None and baseline.power_w is not None:
        delivered_w = baseline.power_w - measured_w
    shortfall_w: float | None = None
    cause = Cause.LIFTED if lifted_part > 0 else None
    if promised_w is not None and measured_w is not None:
        shortfall_w = tally.over_w(promised_w)
        if shortfall_w > 0:
            cause = _cause(tally)
    if measured_w is None:
        cause = Cause.NOT_WATCHED
    quality = DataQuality.OK
    if seen < GOOD_PART:
        quality = DataQuality.MISSING if measured_w is None else DataQuality.ESTIMATED
    elif good < GOOD_PART:
        quality = DataQuality.ESTIMATED
    return Settled(
        at=str(at),
        interval=one.interval,
        from_utc_s=one.from_utc_s,
        until_utc_s=one.until_utc_s,
        baseline=baseline,
        limit_w=limit_w,
        promised_w=promised_w,
        measured_w=measured_w,
        delivered_w=delivered_w,
        shortfall_w=shortfall_w,
        cause=cause,
        good_part=good,
        quality=quality,
        lifted_part=lifted_part,
        exports=one.exports,
    )


def baseline_of(same_quarter: Sequence[float], before: Sequence[float]) -> Baseline:
    """`same_quarter`: the quarter on comparable days, newest first; `before`: before the event."""
    days = list(same_quarter[:DAYS])
    if len(days) >= DAYS_LEAST:
        return Baseline(sum(days) / len(days), Method.COMPARABLE_DAYS, len(days))
    near = list(before[:BEFORE])
    if near:
        return Baseline(sum(near) / len(near), Method.BEFORE_EVENT)
    return Baseline(None, Method.NONE)


def _cause(tally: Tally) -> Cause:
    if not tally.over_s:
        return Cause.OTHER
    return Cause(max(sorted(tally.over_s), key=lambda word: tally.over_s[word]))
