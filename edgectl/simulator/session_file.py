"""A file of charging sessions, recorded or planned.

The columns are site,session_id,evse,arrival_utc,departure_utc,energy_kwh,max_power_kw,phases; the
last two may be blank.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgectl.simulator.table_file import BadCell, instant_s, positive, read_table

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

STAY_MAX_S: Final = 366 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One row: a stay of a vehicle. `max_power_w` and `phases` are None where nobody knows them.

    `line`: where in the file it stands.
    """

    site: str
    session_id: str
    evse: str
    arrival_utc_s: float
    departure_utc_s: float
    energy_wh: float
    max_power_w: float | None
    phases: int | None
    line: int


def read_sessions(path: Path) -> tuple[Recorded, ...]:
    """Read sessions; raises BadInput with every line that cannot be used."""
    return read_table(path, columns=COLUMNS, parse=_parse, holds="session")


def _parse(cells: Mapping[str, str], line: int) -> Recorded:
    arrival_s = instant_s("arrival_utc", cells["arrival_utc"])
    departure_s = instant_s("departure_utc", cells["departure_utc"])
    if departure_s <= arrival_s:
        raise BadCell(
            "departure_utc",
            code="bad_order",
            message="the departure is not after the arrival",
            remedy="correct or remove the row",
        )
    if departure_s - arrival_s > STAY_MAX_S:
        raise BadCell(
            "departure_utc",
            code="too_long",
            message=f"the stay is longer than {STAY_MAX_S / 86_400.0:g} days",
            remedy="correct the dates, or remove the row",
        )
    power_kw = None
    if cells["max_power_kw"]:
        power_kw = positive("max_power_kw", cells["max_power_kw"])
    if cells["phases"] not in {"", "1", "2", "3"}:
        raise BadCell(
            "phases",
            code="bad_number",
            message=f"{cells['phases']!r} is no number of phases",
            remedy="write 1, 2 or 3, or leave it blank",
        )
    return Recorded(
        site=cells["site"],
        session_id=cells["session_id"],
        evse=cells["evse"],
        arrival_utc_s=arrival_s,
        departure_utc_s=departure_s,
        energy_wh=positive("energy_kwh", cells["energy_kwh"]) * 1000.0,
        max_power_w=None if power_kw is None else power_kw * 1000.0,
        phases=int(cells["phases"]) if cells["phases"] else None,
        line=line,
    )
