"""Canonical names of points and the unit of each. Other names are the profile's own business."""

from typing import Final

CURRENTS: Final = ("current_a.1", "current_a.2", "current_a.3")
VOLTAGES: Final = ("voltage_v.1", "voltage_v.2", "voltage_v.3")
POWERS: Final = ("power_w.1", "power_w.2", "power_w.3")

POWER: Final = "power_w"
ENERGY_IMPORT: Final = "energy_import_wh"
ENERGY_EXPORT: Final = "energy_export_wh"
SESSION: Final = "session_wh"
FREQUENCY: Final = "frequency_hz"
SETPOINT: Final = "setpoint_a"
SETPOINT_POWER: Final = "setpoint_w"
FAILSAFE: Final = "failsafe_a"
WATCHDOG: Final = "watchdog_s"

UNITS: Final[dict[str, str]] = {
    **dict.fromkeys(CURRENTS, "A"),
    **dict.fromkeys(VOLTAGES, "V"),
    **dict.fromkeys(POWERS, "W"),
    POWER: "W",
    ENERGY_IMPORT: "Wh",
    ENERGY_EXPORT: "Wh",
    SESSION: "Wh",
    FREQUENCY: "Hz",
    SETPOINT: "A",
    SETPOINT_POWER: "W",
    FAILSAFE: "A",
    WATCHDOG: "s",
}
