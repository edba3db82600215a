"""What a vehicle still needs of its target."""

from edgectl.model.snapshot import EvseView
from edgectl.model.state import EvseState
from edgectl.model.target import ChargeTarget


def needed_wh(target: ChargeTarget, view: EvseView | None, state: EvseState | None) -> float:
    """The energy of its target, less what it got since it was plugged in."""
    return max(0.0, target.energy_wh - _session_wh(view, state))


def counted_wh(view: EvseView) -> float | None:
    """What its charger or its meter has counted, from whatever beginning."""
    return view.energy_wh if view.session_wh is None else view.session_wh


def _session_wh(view: EvseView | None, state: EvseState | None) -> float:
    """What it got, by the charger's count or by its meter."""
    if view is None:
        return 0.0
    if view.session_wh is not None:
        return view.session_wh
    if view.energy_wh is None or state is None or state.energy_from_wh is None:
        return 0.0
    return max(0.0, view.energy_wh - state.energy_from_wh)
