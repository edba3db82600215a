"""When an event's intervals are: defaults, continuation, looping, cutting, the random shift.

1. An interval's own period goes before the event's; the event's start is the first interval's.
2. An absent or infinite duration holds until the event's next interval begins, else for ever.
3. An explicit duration of zero is no time at all: an event of nothing else is a cancellation.
4. The random shift moves the first start and all that follows without a gap.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from edgectl.errors import Refused
from edgectl.grid.event import NEVER_S, Duration, Event, Interval, Period, StartWord

SHORTEST_S: Final = 1.0
"""Shorter intervals are refused: no charger could follow them."""

WIDEST_S: Final = 86400.0
"""A random shift of more than a day is refused."""


@dataclass(frozen=True, slots=True)
class Span:
    """One interval's time, by the interval's place in the event. `until_utc_s` may be infinite."""

    index: int
    from_utc_s: float
    until_utc_s: float


@dataclass(frozen=True, slots=True)
class Schedule:
    """The spans of one pass. With `loop_s` the pass repeats until `until_utc_s`."""

    spans: tuple[Span, ...]
    from_utc_s: float
    until_utc_s: float
    loop_s: float | None = None

    @property
    def cancels(self) -> bool:
        """It takes no time at all."""
        return not self.spans

    def shifted(self, by_s: float) -> "Schedule":
        """The same, so much later."""
        return Schedule(
            spans=tuple(
                Span(span.index, span.from_utc_s + by_s, span.until_utc_s + by_s)
                for span in self.spans
            ),
            from_utc_s=self.from_utc_s + by_s,
            until_utc_s=self.until_utc_s + by_s,
            loop_s=self.loop_s,
        )


def schedule(event: Event, *, anchor_utc_s: float, draw: float) -> Schedule:
    """Lay the intervals out. `anchor_utc_s`: what `now` means; `draw`: random in [0, 1)."""
    spans = _until_next(_lay_out(event, anchor_utc_s=anchor_utc_s, draw=draw))
    if not spans or (event.duration is not None and event.duration.zero):
        return Schedule(spans=(), from_utc_s=anchor_utc_s, until_utc_s=anchor_utc_s)
    first_s = min(span.from_utc_s for span in spans)
    last_s = max(span.until_utc_s for span in spans)
    if event.duration is None:
        return Schedule(spans=spans, from_utc_s=first_s, until_utc_s=last_s)
    end_s = event.duration.after(first_s)
    if end_s > last_s:
        return Schedule(spans=spans, from_utc_s=first_s, until_utc_s=end_s, loop_s=last_s - first_s)
    cut = tuple(
        replace(span, until_utc_s=min(span.until_utc_s, end_s))
        for span in spans
        if span.from_utc_s < end_s
    )
    return Schedule(spans=cut, from_utc_s=first_s, until_utc_s=end_s)


def _lay_out(event: Event, *, anchor_utc_s: float, draw: float) -> list[Span]:
    spans: list[Span] = []
    end_s = math.inf
    shift_s = 0.0
    for index, interval in enumerate(event.intervals):
        own = _own_period(event, interval, index)
        start_s = _start(own, index, anchor_utc_s=anchor_utc_s, previous_end_s=end_s)
        if index == 0 or own.randomize is not None:
            shift_s = (2.0 * draw - 1.0) * _width(own.randomize, index)
        elif start_s != end_s:
            shift_s = 0.0
        end_s = own.duration.after(start_s) if own.duration is not None else math.inf
        if own.duration is not None and own.duration.zero:
            end_s = start_s
        elif end_s - start_s < SHORTEST_S:
            raise Refused(
                code="not_supported",
                message=f"intervals[{index}] is shorter than {SHORTEST_S:g} s",
                remedy="send intervals that a charger can follow",
            )
        if start_s < end_s:
            spans.append(Span(index, start_s + shift_s, end_s + shift_s))
    return spans


def _own_period(event: Event, interval: Interval, index: int) -> Period:
    if interval.period is None and event.period is None:
        raise Refused(
            code="malformed",
            message=f"intervals[{index}].intervalPeriod is missing, and the event has none either",
            remedy="give the event an intervalPeriod with a start, or give every interval its own",
        )
    own = interval.period or Period()
    default = event.period or Period()
    first = index == 0
    start = own.start
    if first and (start is None or (start is StartWord.NOW and default.start is not None)):
        start = default.start
    return Period(
        start=start,
        duration=own.duration if own.duration is not None else default.duration,
        randomize=default.randomize if first and own.randomize is None else own.randomize,
    )


def _start(own: Period, index: int, *, anchor_utc_s: float, previous_end_s: float) -> float:
    if isinstance(own.start, float):
        return min(own.start, NEVER_S)
    if index > 0:
        return previous_end_s
    if own.start is StartWord.NOW:
        return anchor_utc_s
    raise Refused(
        code="malformed",
        message="intervalPeriod.start is missing for the first interval",
        remedy="give the event an intervalPeriod with a start; 0001-01-01T00:00:00Z means now",
    )


def _width(randomize: Duration | None, index: int) -> float:
    if randomize is None:
        return 0.0
    if randomize.width_s > WIDEST_S:
        raise Refused(
            code="not_supported",
            message=f"the randomizeStart of intervals[{index}] is longer than a day",
            remedy="send a randomizeStart of at most P1D",
        )
    return randomize.width_s


def _until_next(spans: Sequence[Span]) -> tuple[Span, ...]:
    starts = sorted(span.from_utc_s for span in spans)
    return tuple(
        replace(
            span,
            until_utc_s=next((start for start in starts if start > span.from_utc_s), math.inf),
        )
        if span.until_utc_s == math.inf
        else span
        for span in spans
    )
