"""One connector and the vehicle on it, with the delays of IEC 61851-1.

1. The pilot changes at most every 5 s; switching it off is not held back.
2. A vehicle follows a changed pilot within 5 s and stops within 6 s (as a rule 3 s) of its loss.
3. Nobody draws more than the least of pilot, vehicle and, near full, the taper of its battery.
4. A DC connector has no pilot: its rectifier keeps the limit itself, within 0.5 s, and the vehicle
   only delays the start and the stop.

Currents are counted on the connector's own terminals; who maps them to site phases knows the
wiring.
"""

from dataclasses import dataclass
from math import sqrt
from typing import Final

PILOT_SLOT_S: Final = 5.0
DC_FOLLOW_S: Final = 0.5
DC_A_PER_S: Final = 400.0
CONTACTOR_S: Final = 6.0
MIN_PILOT_A: Final = 6.0
_FALL_A_PER_S: Final = 16.0
_RISE_A_PER_S: Final = 8.0
_WH_PER_WS: Final = 1.0 / 3600.0
_ROOT_3: Final = sqrt(3.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vehicle:
    """What a vehicle can and wants. Delays run until its current begins to move.

    `phases`: how many it uses, from the connector's L1 on. `taper_from`: the part of the energy
    asked at which the battery begins to take less; 1 means never.
    """

    energy_wh: float
    max_a: float
    phases: int = 3
    follow_s: float = 1.5
    stop_s: float = 1.0
    start_s: float = 3.0
    taper_from: float = 0.9


class ChargePoint:
    """A connector. `limit_a` is what its controller allows; below 6 A means pause.

    `between_lines`: its two terminals are lines, and every vehicle uses both. `voltage_v`: line to
    neutral where it is connected; `volts_share`: over that of the site.
    """

    __slots__ = (
        "_aim_a",
        "_aim_next",
        "_between_lines",
        "_dc",
        "_fall_a_per_s",
        "_mean_v",
        "_pilot_at_s",
        "_rise_a_per_s",
        "_used",
        "_voltages",
        "_volts_share",
        "current_a",
        "deaf",
        "excess_a",
        "faulted",
        "lifetime_wh",
        "limit_a",
        "max_a",
        "pilot_a",
        "plugged_at_s",
        "session_wh",
        "terminals",
        "vehicle",
    )

    def __init__(
        self,
        *,
        terminals: int,
        max_a: float,
        lifetime_wh: float = 0.0,
        dc: bool = False,
        between_lines: bool = False,
        voltage_v: float = 230.0,
        volts_share: float = 1.0,
    ) -> None:
        self.terminals = terminals
        self.max_a = max_a
        self.limit_a = 0.0
        self.pilot_a = 0.0
        self.current_a = 0.0
        self.session_wh = 0.0
        self.lifetime_wh = lifetime_wh
        self.vehicle: Vehicle | None = None
        self.plugged_at_s = 0.0
        self.faulted = False
        self.deaf = False
        self.excess_a = 0.0
        self._used = 0
        self._voltages = 0.0
        self._between_lines = between_lines
        self._volts_share = volts_share
        self._mean_v = voltage_v
        self._dc = dc
        self._fall_a_per_s = DC_A_PER_S if dc else _FALL_A_PER_S
        self._rise_a_per_s = DC_A_PER_S if dc else _RISE_A_PER_S
        self._pilot_at_s = -PILOT_SLOT_S
        self._aim_a = 0.0
        self._aim_next: tuple[float, float] | None = None

    @property
    def currents_a(self) -> tuple[float, float, float]:
        """Give the current on terminals L1 to L3; every used phase carries the same."""
        amps, used = self.current_a, self._used
        return (
            amps if used > 0 else 0.0,
            amps if used > 1 else 0.0,
            amps if used > 2 else 0.0,
        )

    @property
    def used_phases(self) -> int:
        """Give the number of phases that the vehicle uses; 0 without one."""
        return self._used

    @property
    def voltage_v(self) -> float:
        """Give the line-to-neutral voltage of the last step."""
        return self._mean_v

    @property
    def power_w(self) -> float:
        """Give the power drawn at the voltage of the last step."""
        return self.current_a * self._voltages * self._mean_v

    @property
    def iec_state(self) -> str:
        """Give the IEC 61851-1 state with its suffix: 1 without, 2 with a pilot signal."""
        if self.faulted:
            return "F0"
        if self.vehicle is None:
            return "A1"
        asks = self.pilot_a > 0.0 and self._aim_a > 0.0 and not self.full
        if self.current_a > 0.0 or asks:
            return "C2"
        return "B2" if self.pilot_a > 0.0 else "B1"

    @property
    def full(self) -> bool:
        """Tell whether the vehicle has all it asked for."""
        return self.vehicle is not None and self.session_wh >= self.vehicle.energy_wh

    def misbehave(self, *, deaf: bool, excess_a: float, now_s: float) -> None:
        """Let the vehicle ignore a changed pilot, or draw more than the pilot allows."""
        if self.deaf and not deaf and self.vehicle is not None and self.pilot_a > 0.0:
            told_a = min(self.pilot_a, self.vehicle.max_a)
            self._aim_next = (now_s + self.vehicle.follow_s, told_a)
        self.deaf = deaf
        self.excess_a = excess_a

    def plug(self, vehicle: Vehicle, *, now_s: float) -> None:
        """Connect a vehicle; it asks for power once it has seen a pilot."""
        self.vehicle = vehicle
        self.plugged_at_s = now_s
        self.session_wh = 0.0
        self._used = self.terminals if self._between_lines else min(vehicle.phases, self.terminals)
        self._voltages = _ROOT_3 if self._between_lines else float(self._used)
        self._aim_a = 0.0
        self._aim_next = None
        if self.pilot_a > 0.0:
            self._aim_next = (now_s + vehicle.start_s, min(self.pilot_a, vehicle.max_a))

    def unplug(self) -> None:
        """Take the vehicle away; it has stopped drawing before its plug comes out."""
        self.vehicle = None
        self._used = 0
        self._voltages = 0.0
        self.current_a = 0.0
        self._aim_a = 0.0
        self._aim_next = None

    def power_loss(self, *, now_s: float) -> None:
        """Open the contactor at once and begin again without a pilot."""
        self.pilot_a = 0.0
        self._pilot_at_s = now_s
        self.current_a = 0.0
        self._aim_a = 0.0
        self._aim_next = None

    def step(self, now_s: float, dt_s: float, mean_v: float) -> bool:
        """Move on by `dt_s` to `now_s`; tells whether the current changed.

        `mean_v`: the voltage of the site, line to neutral.
        """
        mean_v = self._mean_v = mean_v * self._volts_share
        allowed_a = min(self.limit_a, self.max_a)
        if allowed_a < MIN_PILOT_A or self.faulted:
            allowed_a = 0.0
        if allowed_a != self.pilot_a:
            self._move_pilot(allowed_a, now_s)
        vehicle = self.vehicle
        if vehicle is None:
            return False
        if self._aim_next is not None and now_s >= self._aim_next[0]:
            self._aim_a = self._aim_next[1]
            self._aim_next = None
        before_a = self.current_a
        if before_a == 0.0 and self._aim_a == 0.0:
            return False
        if before_a > 0.0:
            gained_wh = before_a * self._voltages * mean_v * dt_s * _WH_PER_WS
            self.session_wh += gained_wh
            self.lifetime_wh += gained_wh
        target_a = self._target_a(vehicle)
        if target_a > 0.0:
            target_a += self.excess_a
        self.current_a = self._moved(target_a, dt_s)
        if self.pilot_a == 0.0 and now_s - self._pilot_at_s >= CONTACTOR_S:
            self.current_a = 0.0
        return self.current_a != before_a

    def _move_pilot(self, allowed_a: float, now_s: float) -> None:
        was_on = self.pilot_a > 0.0
        if self._dc and was_on and allowed_a > 0.0:
            self._follow(allowed_a, now_s)
            return
        if allowed_a > 0.0 and not self._dc and now_s - self._pilot_at_s < PILOT_SLOT_S:
            return
        self.pilot_a = allowed_a
        self._pilot_at_s = now_s
        if self.vehicle is None:
            return
        if self.deaf and was_on and allowed_a > 0.0:
            return
        if allowed_a == 0.0:
            delay_s = self.vehicle.stop_s
        elif was_on:
            delay_s = self.vehicle.follow_s
        else:
            delay_s = self.vehicle.start_s
        self._aim_next = (now_s + delay_s, min(allowed_a, self.vehicle.max_a))

    def _follow(self, allowed_a: float, now_s: float) -> None:
        """Move a DC limit that is in force: what waits for its time is not put off by the next."""
        self.pilot_a = allowed_a
        if self.vehicle is None:
            return
        at_s = now_s + DC_FOLLOW_S if self._aim_next is None else self._aim_next[0]
        self._aim_next = (at_s, min(allowed_a, self.vehicle.max_a))

    def _target_a(self, vehicle: Vehicle) -> float:
        part = self.session_wh / vehicle.energy_wh if vehicle.energy_wh > 0.0 else 1.0
        if part >= 1.0:
            return 0.0
        if part <= vehicle.taper_from:
            return self._aim_a
        left = (1.0 - part) / (1.0 - vehicle.taper_from)
        return min(self._aim_a, max(MIN_PILOT_A, vehicle.max_a * left))

    def _moved(self, target_a: float, dt_s: float) -> float:
        now_a = self.current_a
        if target_a < now_a:
            return max(target_a, now_a - self._fall_a_per_s * dt_s)
        return min(target_a, now_a + self._rise_a_per_s * dt_s)
