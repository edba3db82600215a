"""The words that outsiders rely on, one enum each. Adding a member is allowed, renaming is not.

`Quality`, `Severity` and `ReasonCode` are the model's own; they stand here because they go out.
"""

from enum import StrEnum
from typing import Final

from edgectl.model.decision import ReasonCode, Severity
from edgectl.model.reading import Quality
from edgectl.units import PHASES, Phase

__all__ = [
    "UNITS",
    "EventCode",
    "EvseStatus",
    "Quality",
    "Quantity",
    "ReasonCode",
    "Severity",
    "of_phase",
]


class Quantity(StrEnum):
    """`q` of a sample. The part after the point is the site phase."""

    CURRENT_A_1 = "current_a.1"
    CURRENT_A_2 = "current_a.2"
    CURRENT_A_3 = "current_a.3"
    VOLTAGE_V_1 = "voltage_v.1"
    VOLTAGE_V_2 = "voltage_v.2"
    VOLTAGE_V_3 = "voltage_v.3"
    POWER_W = "power_w"
    POWER_W_1 = "power_w.1"
    POWER_W_2 = "power_w.2"
    POWER_W_3 = "power_w.3"
    ENERGY_IMPORT_WH = "energy_import_wh"
    ENERGY_EXPORT_WH = "energy_export_wh"
    SETPOINT_A = "setpoint_a"
    CEILING_A_1 = "ceiling_a.1"
    CEILING_A_2 = "ceiling_a.2"
    CEILING_A_3 = "ceiling_a.3"
    CEILING_VA = "ceiling_va"
    EXPORT_CEILING_A_1 = "export_ceiling_a.1"
    EXPORT_CEILING_A_2 = "export_ceiling_a.2"
    EXPORT_CEILING_A_3 = "export_ceiling_a.3"
    EXPORT_CEILING_W = "export_ceiling_w"
    BASE_A_1 = "base_a.1"
    BASE_A_2 = "base_a.2"
    BASE_A_3 = "base_a.3"
    COMMITTED_A_1 = "committed_a.1"
    COMMITTED_A_2 = "committed_a.2"
    COMMITTED_A_3 = "committed_a.3"
    SESSION_WH = "session_wh"


_UNIT_OF_SUFFIX: Final = {"a": "A", "v": "V", "w": "W", "va": "VA", "wh": "Wh"}

UNITS: Final[dict[Quantity, str]] = {
    quantity: _UNIT_OF_SUFFIX[quantity.value.partition(".")[0].rpartition("_")[2]]
    for quantity in Quantity
}
"""Every quantity's unit, as its name's last part says."""


def of_phase(name: str) -> tuple[tuple[int, Quantity], ...]:
    """Index into a triple and quantity, for each of the three phases of `name`."""
    return tuple((_index(phase), Quantity(f"{name}.{phase}")) for phase in PHASES)


def _index(phase: Phase) -> int:
    return phase - 1


class EvseStatus(StrEnum):
    """EVSE `state`: what a person wants to know at the first glance."""

    ABSENT = "absent"
    PLUGGED = "plugged"
    ASKING = "asking"
    CHARGING = "charging"
    PAUSED = "paused"
    FAULT = "fault"
    SILENT = "silent"
    ISOLATED = "isolated"


class EventCode(StrEnum):
    """`code` of an event. `data` says the rest; an alarm's own code stands in `data.alarm`."""

    ALARM_RAISED = "alarm_raised"
    ALARM_CLEARED = "alarm_cleared"
    EVSE_STATE = "evse_state"
    SESSION_STARTED = "session_started"
    SESSION_ENDED = "session_ended"
    DECISION_CHANGED = "decision_changed"
    CEILING_CHANGED = "ceiling_changed"
    DEVICE_SILENT = "device_silent"
    DEVICE_BACK = "device_back"
    SAFE_DECISION = "safe_decision"
    SITE_FILE_TAKEN = "site_file_taken"
    OUTBOX_THINNED = "outbox_thinned"
    OUTBOX_DROPPED = "outbox_dropped"
    OUTBOX_SET_ASIDE = "outbox_set_aside"
    OUTBOX_REFUSED = "outbox_refused"
    OUTBOX_REPLACED = "outbox_replaced"
    OUTBOX_FAILED = "outbox_failed"
