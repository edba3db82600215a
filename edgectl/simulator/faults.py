"""What goes wrong in a simulated depot, and when."""

from dataclasses import dataclass
from enum import StrEnum

from edgectl.units import Triple


class FaultKind(StrEnum):
    """`BASE_STEP` is a load that comes and goes; the others are failures of a device."""

    CHARGER_SILENT = "charger_silent"
    METER_SILENT = "meter_silent"
    METER_STUCK = "meter_stuck"
    SLOW_REPLIES = "slow_replies"
    GARBLED = "garbled"
    REBOOT = "reboot"
    BASE_STEP = "base_load_step"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault from `at_s` until `until_s` (None: for the rest), in seconds of the scenario.

    `id` names an EVSE (its whole charger is meant), a meter, or for a base-load step a node.
    `add_a` is the step itself, `delay_s` how long a slow reply takes. A reboot keeps the charger
    silent until `until_s`.
    """

    kind: FaultKind
    id: str
    at_s: float
    until_s: float | None = None
    add_a: Triple = (0.0, 0.0, 0.0)
    delay_s: float = 0.0

    def active(self, scenario_s: float) -> bool:
        """Tell whether the fault is there at that moment."""
        return self.at_s <= scenario_s and (self.until_s is None or scenario_s < self.until_s)
