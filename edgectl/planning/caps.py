"""The operator's caps by local time of day, as ceilings over the time to come.

1. A cap holds while the clock on the depot's wall shows a time from `from` on and before `to`.
2. Where clocks go back, an hour is on the wall twice: a cap begins with the first and ends with the
   second. Where they go forward, a time that is never on the wall stands for the moment of change.
3. A window that runs over midnight belongs to the day on which it begins.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final

from edgectl.model.ceiling import Holder, Rank, TimedCeiling
from edgectl.model.site import Cap
from edgectl.units import W_PER_KW

HORIZON_S: Final = 48 * 3600.0
_MINUTES_PER_DAY: Final = 1440


def cap_ceilings(
    caps: Iterable[Cap], *, zone: tzinfo, now_utc_s: float, horizon_s: float = HORIZON_S
) -> tuple[TimedCeiling, ...]:
    """Every window that has not ended and begins within the horizon, by start."""
    today = datetime.fromtimestamp(now_utc_s, zone).date()
    days = [today + timedelta(days=n) for n in range(-2, int(horizon_s // 86400) + 3)]
    made = [
        ceiling
        for cap in caps
        for day in days
        if day.weekday() in cap.days
        for ceiling in _window(cap, day, zone)
        if ceiling.until_utc_s is not None
        and now_utc_s < ceiling.until_utc_s
        and ceiling.from_utc_s < now_utc_s + horizon_s
    ]
    return tuple(sorted(made, key=lambda ceiling: (ceiling.from_utc_s, ceiling.holder.id)))


def _window(cap: Cap, day: date, zone: tzinfo) -> tuple[TimedCeiling, ...]:
    over_midnight = cap.to_minute <= cap.from_minute
    end_minute = cap.to_minute + (_MINUTES_PER_DAY if over_midnight else 0)
    from_s = _moment(day, cap.from_minute, zone, last=False)
    until_s = _moment(day, end_minute, zone, last=True)
    if until_s <= from_s:
        return ()
    hours = f"{_clock(cap.from_minute)}-{_clock(cap.to_minute)}"
    return (
        TimedCeiling(
            holder=Holder(rank=Rank.OPERATOR, kind="cap", id=f"{cap.node} {hours}"),
            reason=f"the operator's cap of {cap.limit_w / W_PER_KW:g} kW from {hours}",
            from_utc_s=from_s,
            until_utc_s=until_s,
            node=cap.node,
            limit_w=cap.limit_w,
        ),
    )


def _moment(day: date, minute: int, zone: tzinfo, *, last: bool) -> float:
    """When the wall clock shows `minute` of `day`, or first shows a later time."""
    days, minute_of_day = divmod(minute, _MINUTES_PER_DAY)
    hour, left = divmod(minute_of_day, 60)
    wall = datetime.combine(day + timedelta(days=days), time(hour, left), tzinfo=zone)
    first_s = wall.replace(fold=0).timestamp()
    second_s = wall.replace(fold=1).timestamp()
    if first_s <= second_s:
        return second_s if last else first_s
    return _change(zone, before_s=second_s, after_s=first_s)


def _change(zone: tzinfo, *, before_s: float, after_s: float) -> float:
    """The second at which the zone's offset changes between two moments."""
    low, high = int(before_s), int(after_s)
    old = _offset(zone, low)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(zone, middle) == old:
            low = middle
        else:
            high = middle
    return float(high)


def _offset(zone: tzinfo, utc_s: int) -> timedelta | None:
    return datetime.fromtimestamp(utc_s, UTC).astimezone(zone).utcoffset()


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"
