"""Which vehicle stands where, when, and what it was said to need.

1. A session stays at the EVSE that its file names; `assign` instead gives it the first free one in
   the site's order, as a yard without reserved bays does.
2. Two sessions that overlap at one EVSE: the later one begins when the earlier one has left. One
   for which no time is left is left out, and counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from edgectl.errors import BadInput, Finding
from edgectl.model.site import Connection, Evse, Site, nominal_voltages
from edgectl.simulator.phasors import Draw, draw_of, watts_per_a
from edgectl.simulator.session_file import Recorded
from edgectl.simulator.sizing.announcements import Announced

_SHOWN: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """One stay of one vehicle. `evse` and `node` are indices; times are seconds since 1970.

    `max_a`: the most that it can draw on each line; `watts_per_a`: its power for each ampere;
    `announced`: what the controller was told.
    """

    row: Recorded
    evse: int
    node: int
    arrival_s: float
    departure_s: float
    energy_wh: float
    max_a: float
    watts_per_a: float
    draw: Draw
    announced: Announced


@dataclass(frozen=True, slots=True)
class Placed:
    """The stays by arrival, and how many sessions found no time or no EVSE."""

    stays: tuple[Stay, ...]
    left_out: int


def place(
    rows: Sequence[Recorded],
    site: Site,
    *,
    announced: Mapping[str, Announced],
    assign: bool,
    file: str,
) -> Placed:
    """Lay sessions over the EVSEs of a site; BadInput names EVSEs that the site does not have."""
    index = {str(evse.id): i for i, evse in enumerate(site.evses)}
    unknown = sorted({row.evse for row in rows} - set(index))
    if unknown and not assign:
        raise BadInput([_unknown(unknown, rows, site, file)])
    nodes = {node.id: n for n, node in enumerate(site.nodes)}
    volts = nominal_voltages(site.nodes, site.voltage_v)
    free_from_s = [float("-inf")] * len(site.evses)
    stays: list[Stay] = []
    left_out = 0
    for row in sorted(rows, key=lambda row: (row.arrival_utc_s, row.departure_utc_s)):
        at = _first_free(free_from_s, row.arrival_utc_s) if assign else index[row.evse]
        arrival_s = row.arrival_utc_s if at is None else max(row.arrival_utc_s, free_from_s[at])
        if at is None or arrival_s >= row.departure_utc_s:
            left_out += 1
            continue
        free_from_s[at] = row.departure_utc_s
        evse = site.evses[at]
        stays.append(
            _stay(
                row,
                evse,
                at=at,
                node=nodes[evse.node],
                arrival_s=arrival_s,
                voltage_v=volts[evse.node],
                announced=announced.get(row.session_id),
            )
        )
    stays.sort(key=lambda stay: (stay.arrival_s, stay.evse))
    return Placed(stays=tuple(stays), left_out=left_out)


def _first_free(free_from_s: Sequence[float], at_s: float) -> int | None:
    return next((k for k, free_s in enumerate(free_from_s) if free_s <= at_s), None)


def _stay(
    row: Recorded,
    evse: Evse,
    *,
    at: int,
    node: int,
    arrival_s: float,
    voltage_v: float,
    announced: Announced | None,
) -> Stay:
    line_to_line = evse.connection is Connection.LINE_TO_LINE
    used = 1 if line_to_line else min(row.phases or len(evse.phases), len(evse.phases))
    per_a = watts_per_a(evse, used, voltage_v)
    max_a = evse.max_a if row.max_power_w is None else min(evse.max_a, row.max_power_w / per_a)
    truth = Announced(energy_wh=row.energy_wh, departure_utc_s=row.departure_utc_s)
    return Stay(
        row=row,
        evse=at,
        node=node,
        arrival_s=arrival_s,
        departure_s=row.departure_utc_s,
        energy_wh=row.energy_wh,
        max_a=max_a,
        watts_per_a=per_a,
        draw=draw_of(evse, used),
        announced=truth if announced is None else _after(announced, arrival_s),
    )


def _after(announced: Announced, arrival_s: float) -> Announced:
    """Who announces a departure before the arrival is taken to mean: at once."""
    return replace(announced, departure_utc_s=max(announced.departure_utc_s, arrival_s))


def _unknown(unknown: Sequence[str], rows: Sequence[Recorded], site: Site, file: str) -> Finding:
    shown = ", ".join(name or "an EVSE without a name" for name in unknown[:_SHOWN])
    more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
    yards = sorted({row.site for row in rows})
    hint = f"; --only takes one of its sites ({', '.join(yards[:4])})" if len(yards) > 1 else ""
    return Finding(
        file=file,
        line=min(row.line for row in rows if row.evse in unknown),
        path="evse",
        code="unknown_evse",
        message=f"{shown}{more} {'is' if len(unknown) == 1 else 'are'} not in site {site.id}",
        remedy="use the site file's EVSE ids, or --assign to give every session the first free "
        f"EVSE{hint}",
    )
