"""Watts and amperes of the mains, for chargers that are told or measured in watts.

1. A limit in watts lets a charger draw more amperes the lower the voltage. It is reckoned with a
   voltage that is not above the measured one: what it counts as is not below what it draws.
2. That voltage moves in steps: down at once, up only when the measured one is well above the next
   step, so that a flickering voltage does not rewrite every setpoint.
3. Without a fresh measurement it is 0.90 of the nominal one.
"""

import math
from collections.abc import Mapping
from typing import Final

from edgectl.devices.profile import Mains, Profile
from edgectl.devices.quantities import VOLTAGES
from edgectl.model.site import Evse, Meter, Site
from edgectl.units import NodeId

SAG_SHARE: Final = 0.90
_STEP_SHARE: Final = 0.02
_UP_AFTER_STEPS: Final = 1.5


def mains_level_v(measured_v: float | None, *, held_v: float | None, nominal_v: float) -> float:
    """Give the voltage to reckon with, line to neutral, after the one held so far."""
    if measured_v is None:
        return SAG_SHARE * nominal_v
    step_v = _STEP_SHARE * nominal_v
    level_v = math.floor(measured_v / step_v) * step_v
    rises = held_v is not None and held_v < level_v
    if rises and held_v is not None and measured_v < held_v + _UP_AFTER_STEPS * step_v:
        return held_v
    return level_v


def watts_of(mains: Mains, evse: Evse, current_a: float, *, mains_v: float) -> float:
    """Give the power that draws this current on each of the EVSE's phases."""
    return current_a * evse.voltages * mains_v * mains.power_factor


def amperes_of(mains: Mains, evse: Evse, power_w: float, *, mains_v: float) -> float:
    """Give the current on each of the EVSE's phases at this power, taken from the mains."""
    return power_w / (evse.voltages * mains_v * mains.power_factor)


def drawn_a(mains: Mains, evse: Evse, power_w: float, *, mains_v: float) -> float:
    """Give the current on each of the EVSE's phases at this power, measured behind the charger."""
    return amperes_of(mains, evse, power_w / mains.efficiency, mains_v=mains_v)


def voltage_meter(site: Site, profiles: Mapping[str, Profile], evse: Evse) -> Meter | None:
    """The nearest meter at or above the EVSE's node that measures all of its phases' voltages.

    Not beyond a transformer: the other side has another voltage.
    """
    parents = {node.id: None if node.transformer else node.parent for node in site.nodes}
    node: NodeId | None = evse.node
    while node is not None:
        for meter in site.meters:
            offers = all(
                profiles[meter.profile].has(VOLTAGES[terminal])
                for terminal in range(len(meter.phases))
            )
            if meter.node == node and offers and set(evse.phases) <= set(meter.phases):
                return meter
        node = parents[node]
    return None
