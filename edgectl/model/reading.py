"""What was measured, when, and how far it may be believed."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

from edgectl.units import OptionalTriple


class Quality(StrEnum):
    """`GOOD` is fresh and plausible, `STALE` was, `BAD` is no data."""

    GOOD = "good"
    STALE = "stale"
    BAD = "bad"


FRESH_POLLS: Final = 2.5
"""Polls of a device for which a reading counts as fresh (S6)."""

STALE_S: Final = 15.0
"""Age from which a reading says nothing any more: a base load is at its worst case (S6)."""


POSSIBLE_A: Final = 1e7
"""Above it a number is no current: a device without a range of its own gives such ones (S2)."""

FROZEN_S: Final = 10.0
"""Age from which a value that is frozen is no data and said (S5)."""

FROZEN_MOVED_A: Final = 5.0
"""A value that stays the same while the EVSEs below moved by more is frozen (S5)."""


def quality_at(age_s: float, *, poll_s: float) -> Quality:
    """Good while fresh, bad from `STALE_S` on, stale between."""
    if age_s <= FRESH_POLLS * poll_s:
        return Quality.GOOD
    return Quality.STALE if age_s < STALE_S else Quality.BAD


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
        one, two, three = self.current_a
        if two is not None and (one is None or two > one):
            one = two
        if three is not None and (one is None or three > one):
            one = three
        return one


S = TypeVar("S", MeterSample, EvseSample)


def taken_after(samples: tuple[S, ...], instant_s: float) -> tuple[S, ...]:
    """Those of some samples, oldest first, that were taken after a monotonic instant."""
    first = len(samples)
    while first and samples[first - 1].taken_s > instant_s:
        first -= 1
    return samples[first:]
