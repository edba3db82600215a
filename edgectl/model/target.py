"""What a vehicle needs by when, as somebody asked for it."""

from dataclasses import dataclass

from edgectl.model.ceiling import Holder
from edgectl.units import EvseId


@dataclass(frozen=True, slots=True)
class ChargeTarget:
    """`energy_wh` into the vehicle at `evse` by `departure_utc_s`; lower `priority` is first."""

    evse: EvseId
    energy_wh: float
    departure_utc_s: float
    holder: Holder
    vehicle: str | None = None
    priority: int | None = None
