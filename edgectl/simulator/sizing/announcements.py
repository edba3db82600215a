"""What drivers or dispatchers announced: how much energy, by when.

The columns are session_id,requested_kwh,estimated_departure_utc; further ones are left alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgectl.simulator.table_file import instant_s, positive, read_table

COLUMNS: Final = ("session_id", "requested_kwh", "estimated_departure_utc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """What the controller was told of one stay."""

    energy_wh: float
    departure_utc_s: float


def read_announcements(path: Path) -> dict[str, Announced]:
    """By session id; of two for the same session the later line holds."""
    return dict(read_table(path, columns=COLUMNS, parse=_parse, holds="announcement"))


def _parse(cells: Mapping[str, str], _line: int) -> tuple[str, Announced]:
    return cells["session_id"], Announced(
        energy_wh=positive("requested_kwh", cells["requested_kwh"]) * 1000.0,
        departure_utc_s=instant_s("estimated_departure_utc", cells["estimated_departure_utc"]),
    )
