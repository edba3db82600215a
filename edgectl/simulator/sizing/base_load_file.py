"""A load profile of the site beside its EVSEs: timestamp_utc,kw, each value until the next one.

A profile of another year is moved by whole weeks, so that weekdays and hours stay what they were.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor
from pathlib import Path
from typing import Final, NamedTuple

from edgectl.simulator.table_file import BadCell, bad_file, instant_s, number, read_table

COLUMNS: Final = ("timestamp_utc", "kw")
_WEEK_S: Final = 7 * 86400.0


@dataclass(frozen=True, slots=True)
class LoadProfile:
    """Mean power from each time on, in order; `moved_weeks` is added to the file's times."""

    times_s: tuple[float, ...]
    power_w: tuple[float, ...]
    moved_weeks: int = 0

    def at(self, utc_s: float) -> float:
        """The power at a moment within the profile."""
        return self.power_w[max(0, bisect_right(self.times_s, utc_s) - 1)]

    def next_change_s(self, utc_s: float) -> float:
        """When the next value begins; infinity after the last one."""
        k = bisect_right(self.times_s, utc_s)
        return self.times_s[k] if k < len(self.times_s) else float("inf")


class _Row(NamedTuple):
    from_s: float
    line: int
    power_w: float


def read_load_profile(path: Path, *, from_s: float, until_s: float) -> LoadProfile:
    """Read a profile and lay it over a period.

    BadInput where it is too short for that, or has two values for a time.
    """
    rows = sorted(read_table(path, columns=COLUMNS, parse=_parse, holds="value"))
    for before, after in pairwise(rows):
        if before.from_s == after.from_s:
            raise bad_file(
                path,
                line=after.line,
                code="doubled_time",
                message=f"its time is that of line {before.line}",
                remedy="keep one value for each time; in local time an hour of autumn comes twice:"
                " write UTC",
            )
    times_s = [row.from_s for row in rows]
    end_s = _end_s(times_s)
    least, most = (until_s - end_s) / _WEEK_S, (from_s - times_s[0]) / _WEEK_S
    weeks = 0 if least <= 0.0 <= most else _nearest(ceil(least), floor(most))
    if weeks is None:
        raise bad_file(
            path,
            line=2,
            code="too_short",
            message=f"covers {(end_s - times_s[0]) / 86400.0:.0f} days, the sessions "
            f"{(until_s - from_s) / 86400.0:.0f}, and no shift by whole weeks covers them",
            remedy="give a longer load profile, or fewer sessions",
        )
    return LoadProfile(
        times_s=tuple(time_s + weeks * _WEEK_S for time_s in times_s),
        power_w=tuple(row.power_w for row in rows),
        moved_weeks=weeks,
    )


def _nearest(least: int, most: int) -> int | None:
    if least > most:
        return None
    return least if least > 0 else most


def _end_s(times_s: Sequence[float]) -> float:
    """The last value holds as long as the one before it did."""
    return times_s[-1] + (times_s[-1] - times_s[-2] if len(times_s) > 1 else 3600.0)


def _parse(cells: Mapping[str, str], line: int) -> _Row:
    power_kw = number("kw", cells["kw"])
    if abs(power_kw) > 1e6:
        raise BadCell(
            "kw",
            code="bad_number",
            message=f"{power_kw:g} kW is no load of a depot",
            remedy="write the power in kW",
        )
    return _Row(instant_s("timestamp_utc", cells["timestamp_utc"]), line, power_kw * 1000.0)
