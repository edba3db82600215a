"""Days and months as the clock on the depot's wall has them."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo


@dataclass(frozen=True, slots=True)
class Period:
    """From midnight to midnight in local time; a day has 23, 24 or 25 hours.

    `name`: `2026-03-01` or `2026-03`.
    """

    name: str
    from_s: float
    until_s: float

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.until_s - self.from_s


def day_of(at_s: float, zone: tzinfo) -> Period:
    """The day in which a moment lies."""
    return _day(datetime.fromtimestamp(at_s, zone).date(), zone)


def month_of(at_s: float, zone: tzinfo) -> Period:
    """The month in which a moment lies."""
    return _month(datetime.fromtimestamp(at_s, zone).date(), zone)


def named(name: str, zone: tzinfo) -> Period:
    """The day or month of a name; raises ValueError for anything else."""
    if len(name) == len("2026-03"):
        return _month(date.fromisoformat(f"{name}-01"), zone)
    if len(name) != len("2026-03-01"):
        raise ValueError(f"{name!r} is neither a day such as 2026-03-01 nor a month as 2026-03")
    return _day(date.fromisoformat(name), zone)


def months_before(month: Period, count: int, zone: tzinfo) -> tuple[Period, ...]:
    """The months before one, newest first."""
    found: list[Period] = []
    at = month
    for _ in range(count):
        at = month_of(at.from_s - 1.0, zone)
        found.append(at)
    return tuple(found)


def _day(day: date, zone: tzinfo) -> Period:
    return Period(
        day.isoformat(), _midnight_s(day, zone), _midnight_s(day + timedelta(days=1), zone)
    )


def _month(day: date, zone: tzinfo) -> Period:
    first = day.replace(day=1)
    after = (first + timedelta(days=32)).replace(day=1)
    return Period(f"{first:%Y-%m}", _midnight_s(first, zone), _midnight_s(after, zone))


def _midnight_s(day: date, zone: tzinfo) -> float:
    """Where midnight is not on the wall, because clocks go forward, the moment of change."""
    return datetime.combine(day, time(0), zone).timestamp()
