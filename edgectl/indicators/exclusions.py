"""Outage time that is not the operator's fault, as the operator declares it: 680.116(b).

1. An exclusion names ports, a time and a cause, with its evidence. Nothing is excluded by itself.
2. Hours outside the stated opening hours are excluded.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo

from edgectl.model.settings import Exclusion, Opening

_MINUTES_PER_DAY = 1440


@dataclass(frozen=True, slots=True)
class Exclusions:
    """Everything that is declared; no opening hours mean: always open."""

    zone: tzinfo = UTC
    declared: Sequence[Exclusion] = ()
    opening: Sequence[Opening] = ()

    def within_s(self, port_id: str, from_s: float, until_s: float) -> float:
        """Excluded seconds between two moments, each counted once."""
        spans = [
            (max(one.from_s, from_s), min(one.until_s, until_s))
            for one in self.declared
            if not one.ports or port_id in one.ports
        ]
        if self.opening:
            spans += self._closed(from_s, until_s)
        return union_s(spans)

    def _closed(self, from_s: float, until_s: float) -> Iterator[tuple[float, float]]:
        closed_s = from_s
        for open_s, close_s in sorted(self._open(from_s, until_s)):
            if open_s > closed_s:
                yield closed_s, min(open_s, until_s)
            closed_s = max(closed_s, close_s)
        if closed_s < until_s:
            yield closed_s, until_s

    def _open(self, from_s: float, until_s: float) -> Iterator[tuple[float, float]]:
        day = datetime.fromtimestamp(from_s, self.zone).date() - timedelta(days=1)
        last = datetime.fromtimestamp(until_s, self.zone).date()
        while day <= last:
            for hours in self.opening:
                if day.weekday() in hours.days:
                    over = _MINUTES_PER_DAY if hours.to_minute <= hours.from_minute else 0
                    open_s = self._moment_s(day, hours.from_minute)
                    close_s = self._moment_s(day, hours.to_minute + over)
                    if close_s > from_s and open_s < until_s:
                        yield open_s, close_s
            day += timedelta(days=1)

    def _moment_s(self, day: date, minute: int) -> float:
        """A local time of day; minutes may reach into the next day."""
        days, rest = divmod(minute, _MINUTES_PER_DAY)
        on = day + timedelta(days=days)
        at = datetime(on.year, on.month, on.day, rest // 60, rest % 60, tzinfo=self.zone)
        return at.timestamp()


def overlap_s(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Seconds that two spans share."""
    return max(0.0, min(one[1], other[1]) - max(one[0], other[0]))


def union_s(spans: Sequence[tuple[float, float]]) -> float:
    """Seconds that lie in any of the spans."""
    total_s, covered_s = 0.0, float("-inf")
    for from_s, until_s in sorted(spans):
        if until_s > max(from_s, covered_s):
            total_s += until_s - max(from_s, covered_s)
            covered_s = until_s
    return total_s
