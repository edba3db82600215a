"""Recorded sessions, compressed into a run.

1. The busiest two hours are taken, the earliest of equals.
2. Times and energies shrink by the same factor, so that powers, and with them the contest for the
   connection, stay as they were.
"""

import math
from collections.abc import Sequence
from typing import Final

from edgectl.model.site import Evse
from edgectl.simulator.device.charge_point import MIN_PILOT_A
from edgectl.simulator.session_file import Recorded
from edgectl.simulator.sessions import (
    ARRIVALS_APART_S,
    FIRST_ARRIVAL_S,
    Session,
    vehicle_with_delays,
)

_WINDOW_S: Final = 2.0 * 3600.0
_SINGLE_PHASE_MAX_W: Final = 7500.0
_TURNAROUND_S: Final = 2.0
_SHORTEST_STAY_S: Final = 1.0


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
