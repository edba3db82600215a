"""What was measured, when, and how far it may be believed."""

from dataclasses import dataclass
from enum import StrEnum

from edgectl.units import OptionalTriple


class Quality(StrEnum):
    """`GOOD` is fresh and plausible, `STALE` was, `BAD` is no data."""

    GOOD = "good"
    STALE = "stale"
    BAD = "bad"


class VehicleState(StrEnum):
    """What the charger says of the vehicle, after IEC 61851-1 states A to F."""

    ABSENT = "absent"
    PLUGGED = "plugged"
    ASKING = "asking"
    CHARGING = "charging"
    FAULT = "fault"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class MeterSample:
    """One answer of a meter on the site's own phases. `taken_s`: when its request was sent (S1).

    Currents are magnitudes; the sign comes from `power_w` (S3). None: not measured or bad (S2).
    """

    taken_s: float
    current_a: OptionalTriple
    power_w: OptionalTriple = (None, None, None)
    voltage_v: OptionalTriple = (None, None, None)
    energy_import_wh: float | None = None
    energy_export_wh: float | None = None


@dataclass(frozen=True, slots=True)
class EvseSample:
    """One answer of a charger about one EVSE, on the site's own phases.

    None on phases that it is not wired to.
    """

    taken_s: float
    current_a: OptionalTriple
    power_w: float | None = None

    def highest_a(self) -> float | None:
        """Greatest phase current, None when no phase has a value."""
        known = [value for value in self.current_a if value is not None]
        return max(known) if known else None
