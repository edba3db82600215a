"""Recorded sessions from a file, compressed into a run.

1. The columns are site,session_id,evse,arrival_utc,departure_utc,energy_kwh,max_power_kw,phases;
   the last two may be blank. A file with a bad line is refused with every bad line named.
2. The busiest two hours are taken, the earliest of equals.
3. Times and energies shrink by the same factor, so that powers, and with them the contest for the
   connection, stay as they were.
"""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from edgectl.errors import BadInput, Finding
from edgectl.model.site import Evse
from edgectl.simulator.charge_point import MIN_PILOT_A
from edgectl.simulator.sessions import (
    ARRIVALS_APART_S,
    FIRST_ARRIVAL_S,
    Session,
    vehicle_with_delays,
)

COLUMNS: Final = (
    "site",
    "session_id",
    "evse",
    "arrival_utc",
    "departure_utc",
    "energy_kwh",
    "max_power_kw",
    "phases",
)
_WINDOW_S: Final = 2.0 * 3600.0
_MAX_FINDINGS: Final = 20
_SINGLE_PHASE_MAX_W: Final = 7500.0
_TURNAROUND_S: Final = 2.0
_SHORTEST_STAY_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One row of a file of recorded sessions."""

    arrival_utc_s: float
    departure_utc_s: float
    energy_wh: float
    max_power_w: float | None
    phases: int | None


class _BadCell(Exception):
    """A cell cannot be used."""

    def __init__(self, column: str, *, code: str, message: str, remedy: str) -> None:
        super().__init__(message)
        self.column = column
        self.code = code
        self.message = message
        self.remedy = remedy


def read_sessions(path: Path) -> tuple[Recorded, ...]:
    """Read recorded sessions; raises BadInput with every line that cannot be used."""
    text = _text(path)
    rows = csv.DictReader(text.splitlines())
    missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
    if missing:
        raise _bad_file(
            path,
            line=1,
            code="missing_column",
            message=f"the header lacks {', '.join(missing)}",
            remedy=f"begin the file with the line {','.join(COLUMNS)}",
        )
    recorded: list[Recorded] = []
    findings: list[Finding] = []
    try:
        for row in rows:
            try:
                recorded.append(_parse({name: (row[name] or "").strip() for name in COLUMNS}))
            except _BadCell as bad:
                findings.append(
                    Finding(
                        file=str(path),
                        line=rows.line_num,
                        path=bad.column,
                        code=bad.code,
                        message=bad.message,
                        remedy=bad.remedy,
                    )
                )
    except csv.Error as error:
        raise _bad_file(
            path,
            line=rows.line_num,
            code="not_csv",
            message=f"is not CSV: {error}",
            remedy="name a CSV file of sessions",
        ) from error
    if findings:
        raise BadInput(findings[:_MAX_FINDINGS])
    if not recorded:
        raise _bad_file(
            path,
            line=2,
            code="no_sessions",
            message="there is no session in the file",
            remedy="name a file with at least one row below its header",
        )
    return tuple(recorded)


def compress(
    recorded: Sequence[Recorded], evses: Sequence[Evse], *, duration_s: float, voltage_v: float
) -> tuple[Session, ...]:
    """Lay the busiest window of the recorded sessions over the EVSEs and the run.

    In order of arrival a session takes the first free EVSE; one that finds none is left out.
    """
    window_s = busiest_window_s(recorded)
    factor = duration_s / _WINDOW_S
    free_at_s: dict[int, float] = {}
    sessions: list[Session] = []
    for row in sorted(recorded, key=lambda row: (row.arrival_utc_s, row.departure_utc_s)):
        comes_s = (row.arrival_utc_s - window_s) * factor
        leaves_s = (row.departure_utc_s - window_s) * factor
        if comes_s >= duration_s or leaves_s <= 0.0:
            continue
        free = (k for k in range(len(evses)) if free_at_s.get(k, -math.inf) <= comes_s)
        place = next(free, None)
        if place is None:
            continue
        arrival_s = max(comes_s, FIRST_ARRIVAL_S + ARRIVALS_APART_S * place)
        if leaves_s - arrival_s < _SHORTEST_STAY_S:
            continue
        free_at_s[place] = leaves_s + _TURNAROUND_S
        sessions.append(
            _session(
                row,
                evses[place],
                number=len(sessions),
                arrival_s=arrival_s,
                departure_s=leaves_s,
                factor=factor,
                voltage_v=voltage_v,
            )
        )
    return tuple(sessions)


def busiest_window_s(recorded: Sequence[Recorded]) -> float:
    """Give the start of the window with the most time plugged in; windows begin with an arrival."""
    rows = sorted(recorded, key=lambda row: row.arrival_utc_s)
    longest_s = max(row.departure_utc_s - row.arrival_utc_s for row in rows)
    best_s, most_s = rows[0].arrival_utc_s, -1.0
    first = 0
    for row in rows:
        start_s = row.arrival_utc_s
        end_s = start_s + _WINDOW_S
        while rows[first].arrival_utc_s < start_s - longest_s:
            first += 1
        plugged_s = 0.0
        for k in range(first, len(rows)):
            other = rows[k]
            if other.arrival_utc_s >= end_s:
                break
            inside_s = min(other.departure_utc_s, end_s) - max(other.arrival_utc_s, start_s)
            plugged_s += max(inside_s, 0.0)
        if plugged_s > most_s:
            best_s, most_s = start_s, plugged_s
    return best_s


def _session(
    row: Recorded,
    evse: Evse,
    *,
    number: int,
    arrival_s: float,
    departure_s: float,
    factor: float,
    voltage_v: float,
) -> Session:
    phases = row.phases
    if phases is None:
        small = row.max_power_w is not None and row.max_power_w <= _SINGLE_PHASE_MAX_W
        phases = 1 if small else 3
    used = min(phases, len(evse.phases))
    max_a = evse.max_a
    if row.max_power_w is not None:
        max_a = min(max_a, row.max_power_w / (used * voltage_v))
    vehicle = vehicle_with_delays(
        number, energy_wh=row.energy_wh * factor, max_a=max(max_a, MIN_PILOT_A), phases=phases
    )
    return Session(evse=evse.id, vehicle=vehicle, arrival_s=arrival_s, departure_s=departure_s)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise _bad_file(
            path,
            line=0,
            code="unreadable",
            message=f"cannot be read: {error.strerror}",
            remedy="name a readable CSV file of sessions",
        ) from error
    except UnicodeDecodeError as error:
        raise _bad_file(
            path,
            line=0,
            code="not_text",
            message="is not UTF-8 text",
            remedy="name a CSV file of sessions",
        ) from error


def _bad_file(path: Path, *, line: int, code: str, message: str, remedy: str) -> BadInput:
    return BadInput(
        [Finding(file=str(path), line=line, path="", code=code, message=message, remedy=remedy)]
    )


def _parse(cells: dict[str, str]) -> Recorded:
    arrival_s = _instant_s("arrival_utc", cells["arrival_utc"])
    departure_s = _instant_s("departure_utc", cells["departure_utc"])
    if departure_s <= arrival_s:
        raise _BadCell(
            "departure_utc",
            code="bad_order",
            message="the departure is not after the arrival",
            remedy="correct or remove the row",
        )
    power_kw = None
    if cells["max_power_kw"]:
        power_kw = _positive("max_power_kw", cells["max_power_kw"])
    if cells["phases"] not in {"", "1", "2", "3"}:
        raise _BadCell(
            "phases",
            code="bad_number",
            message=f"{cells['phases']!r} is no number of phases",
            remedy="write 1, 2 or 3, or leave it blank",
        )
    return Recorded(
        arrival_utc_s=arrival_s,
        departure_utc_s=departure_s,
        energy_wh=_positive("energy_kwh", cells["energy_kwh"]) * 1000.0,
        max_power_w=None if power_kw is None else power_kw * 1000.0,
        phases=int(cells["phases"]) if cells["phases"] else None,
    )


def _instant_s(column: str, text: str) -> float:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise _BadCell(
            column,
            code="bad_time",
            message=f"{text!r} is no time",
            remedy="write it in UTC as 2018-03-01T17:05:00Z",
        ) from None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return instant.timestamp()


def _positive(column: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if math.isfinite(number) and number > 0.0:
        return number
    raise _BadCell(
        column,
        code="bad_number",
        message=f"{text!r} is not a number above 0",
        remedy="write a number above 0 with a decimal point",
    )
