"""The voltage that chargers in watts are reckoned with: from the nearest meter above each."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from edgectl.daemon.lines.image import Image
from edgectl.devices.mains import mains_level_v, voltage_meter
from edgectl.devices.profile import Profile
from edgectl.model.site import Evse, Site, nominal_voltages
from edgectl.units import EvseId

MainsOf: TypeAlias = Callable[[Evse, float], float]
"""Line-to-neutral voltage for an EVSE at a monotonic instant, in V."""


class Mains:
    """Holds the level of each EVSE from one moment to the next."""

    def __init__(self, site: Site, profiles: Mapping[str, Profile], image: Image) -> None:
        self._nominal_v = nominal_voltages(site.nodes, site.voltage_v)
        self._image = image
        self._levels_v: dict[EvseId, float] = {}
        self._meters = {evse.id: voltage_meter(site, profiles, evse) for evse in site.evses}

    def __call__(self, evse: Evse, now_s: float) -> float:
        """Give the voltage to reckon with now, line to neutral, in V."""
        meter = self._meters.get(evse.id)
        measured_v = None
        if meter is not None:
            phases_v = self._image.voltage_v(meter.id, now_s)
            wired_v = [volts for k, volts in enumerate(phases_v, 1) if k in evse.phases and volts]
            if len(wired_v) == len(evse.phases):
                measured_v = sum(wired_v) / len(wired_v)
        held_v = self._levels_v.get(evse.id)
        level_v = mains_level_v(measured_v, held_v=held_v, nominal_v=self._nominal_v[evse.node])
        self._levels_v[evse.id] = level_v
        return level_v
