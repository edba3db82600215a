"""The one word for an EVSE that telemetry, the local API and the tool use alike."""

from typing import Final

from edgectl.contract.vocabulary import EvseStatus
from edgectl.model.decision import EvseDecision, ReasonCode
from edgectl.model.reading import VehicleState
from edgectl.model.snapshot import EvseView

DRAWING_A: Final = 1.0
"""Above it a vehicle is charging, whatever its charger calls that."""

_NOT_OUR_DOING: Final = frozenset(
    {ReasonCode.NO_VEHICLE, ReasonCode.NO_DEMAND, ReasonCode.FAULT, ReasonCode.SILENT}
)


def evse_status(
    view: EvseView, decision: EvseDecision | None, *, pause_a: float = 0.0, isolated: bool = False
) -> EvseStatus:
    """Say what state the EVSE is in.

    `pause_a`: its setpoint when paused. `decision` None: before the first tick.
    """
    if isolated:
        return EvseStatus.ISOLATED
    if view.last_answer_s is None or (decision is not None and decision.silent):
        return EvseStatus.SILENT
    if view.vehicle is VehicleState.FAULT:
        return EvseStatus.FAULT
    if view.vehicle is VehicleState.ABSENT:
        return EvseStatus.ABSENT
    if _draws(view):
        return EvseStatus.CHARGING
    if view.vehicle is VehicleState.UNKNOWN and (
        decision is None or decision.reason.code is ReasonCode.NO_VEHICLE
    ):
        return EvseStatus.ABSENT
    if decision is not None and _holds_back(decision, pause_a):
        return EvseStatus.PAUSED
    if view.vehicle is VehicleState.CHARGING:
        return EvseStatus.CHARGING
    return EvseStatus.ASKING if view.vehicle is VehicleState.ASKING else EvseStatus.PLUGGED


def _draws(view: EvseView) -> bool:
    highest_a = view.samples[-1].highest_a() if view.samples else None
    return highest_a is not None and highest_a > DRAWING_A


def _holds_back(decision: EvseDecision, pause_a: float) -> bool:
    return decision.setpoint_a <= pause_a and decision.reason.code not in _NOT_OUR_DOING
