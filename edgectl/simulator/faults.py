"""What goes wrong in a simulated depot, and when."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from edgectl.units import Triple


class FaultKind(StrEnum):
    """`BASE_STEP` is a load that comes and goes; the others are failures."""

    CHARGER_SILENT = "charger_silent"
    METER_SILENT = "meter_silent"
    METER_STUCK = "meter_stuck"
    METER_NONSENSE = "meter_nonsense"
    SLOW_REPLIES = "slow_replies"
    LOST_REPLIES = "lost_replies"
    GARBLED = "garbled"
    REBOOT = "reboot"
    VALUES_STUCK = "values_stuck"
    IGNORES_WRITES = "ignores_writes"
    DELAYS_WRITES = "delays_writes"
    OTHER_MASTER = "other_master"
    VEHICLE_EXCEEDS = "vehicle_exceeds"
    VEHICLE_IGNORES = "vehicle_ignores"
    SITE_POWER = "site_power"
    BASE_STEP = "base_load_step"
    LINK_DOWN = "link_down"
    BROKER_AWAY = "broker_away"
    BROKER_MUTE = "broker_mute"
    BROKER_KILLED = "broker_killed"
    DISK_FULL = "disk_full"
    CLOCK_JUMP = "clock_jump"
    CLOCK_UNTRUSTED = "clock_untrusted"
    GATEWAY_KILLED = "gateway_killed"
    GATEWAY_STOPPED = "gateway_stopped"


AROUND: Final = frozenset(
    {
        FaultKind.LINK_DOWN,
        FaultKind.BROKER_AWAY,
        FaultKind.BROKER_MUTE,
        FaultKind.BROKER_KILLED,
        FaultKind.DISK_FULL,
        FaultKind.CLOCK_JUMP,
        FaultKind.CLOCK_UNTRUSTED,
        FaultKind.GATEWAY_KILLED,
        FaultKind.GATEWAY_STOPPED,
    }
)
"""Failures of what is around the daemon; the depot itself does not notice them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault from `at_s` until `until_s` (None: for the rest), in seconds of the scenario.

    `id` names an EVSE (its whole charger is meant, of a vehicle fault the EVSE alone), a meter, for
    a base-load step a node, for a link that is down the link, else what fails. `add_a` is the step
    itself. `delay_s`: how long a slow reply or a delayed write takes; `part`: of the requests, how
    many get lost; `amount_a`: what a vehicle draws beyond its pilot, or what another master writes;
    `by_s`: how far the clock jumps. `moment`: a gateway is killed at its next write to the disk,
    `before` or `after` the disk has it; empty: at once. A reboot keeps the charger silent until
    `until_s`. When the site's power comes back, chargers need `delay_s` more until they answer.
    """

    kind: FaultKind
    id: str
    at_s: float
    until_s: float | None = None
    add_a: Triple = (0.0, 0.0, 0.0)
    delay_s: float = 0.0
    part: float = 1.0
    amount_a: float = 0.0
    moment: str = ""
    by_s: float = 0.0

    def active(self, scenario_s: float) -> bool:
        """Tell whether the fault is there at that moment."""
        return self.at_s <= scenario_s and (self.until_s is None or scenario_s < self.until_s)
