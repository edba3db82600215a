"""Who charges where and when: stays of vehicles at EVSEs, and an invented evening of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edgectl.model.site import Evse
from edgectl.simulator.device.charge_point import Vehicle
from edgectl.simulator.device.device_catalog import is_dc
from edgectl.units import EvseId

FIRST_ARRIVAL_S: Final = 2.0
ARRIVALS_APART_S: Final = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One stay at one EVSE, in seconds of the scenario."""

    evse: EvseId
    vehicle: Vehicle
    arrival_s: float
    departure_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stay:
    """Parts of the run; `energy` is a part of what the vehicle could take at full power in it."""

    arrival: float
    stay: float
    energy: float
    max_a: float = 32.0
    phases: int = 3


_EVENING: Final = (
    _Stay(arrival=0.00, stay=1.00, energy=0.90),
    _Stay(arrival=0.00, stay=1.00, energy=0.70),
    _Stay(arrival=0.02, stay=0.98, energy=0.35, max_a=16.0),
    _Stay(arrival=0.02, stay=0.98, energy=0.80),
    _Stay(arrival=0.03, stay=0.97, energy=0.60, phases=1),
    _Stay(arrival=0.04, stay=0.60, energy=0.15),
    _Stay(arrival=0.05, stay=0.95, energy=0.75, max_a=20.0),
    _Stay(arrival=0.06, stay=0.94, energy=0.55),
    _Stay(arrival=0.07, stay=0.93, energy=0.12),
    _Stay(arrival=0.08, stay=0.92, energy=0.85),
    _Stay(arrival=0.10, stay=0.90, energy=0.45, max_a=16.0),
    _Stay(arrival=0.12, stay=0.88, energy=0.65),
    _Stay(arrival=0.15, stay=0.80, energy=0.30, phases=1),
    _Stay(arrival=0.20, stay=0.75, energy=0.50, max_a=24.0),
)


def built_in_sessions(
    evses: Sequence[Evse], *, duration_s: float, voltage_v: float
) -> tuple[Session, ...]:
    """Give every EVSE one stay of the invented evening."""
    sessions = []
    for number, evse in enumerate(evses):
        stay = _EVENING[number % len(_EVENING)]
        dc = is_dc(evse)
        phases = len(evse.phases) if dc else stay.phases
        # The invented vehicles are for 32 A; behind a rectifier they are as much bigger as it is.
        max_a = stay.max_a * evse.max_a / 32.0 if dc else stay.max_a
        used = min(phases, len(evse.phases))
        full_wh = min(max_a, evse.max_a) * used * voltage_v * duration_s / 3600.0
        arrival_s = FIRST_ARRIVAL_S + stay.arrival * duration_s
        arrival_s += ARRIVALS_APART_S * (number // len(_EVENING))
        vehicle = vehicle_with_delays(
            number, energy_wh=stay.energy * full_wh, max_a=max_a, phases=phases
        )
        sessions.append(
            Session(
                evse=evse.id,
                vehicle=vehicle,
                arrival_s=arrival_s,
                departure_s=arrival_s + stay.stay * duration_s,
            )
        )
    return tuple(sessions)


def vehicle_with_delays(number: int, *, energy_wh: float, max_a: float, phases: int) -> Vehicle:
    """Build a vehicle; delays differ from one number to the next, as IEC 61851-1 allows."""
    return Vehicle(
        energy_wh=energy_wh,
        max_a=max_a,
        phases=phases,
        follow_s=0.5 + 0.5 * (number % 5),
        stop_s=0.5 + 0.25 * (number % 4),
        start_s=1.5 + 0.5 * (number % 4),
    )
