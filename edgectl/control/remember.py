"""What a step keeps of every EVSE for the next one. Timers are instants, never counters."""

from collections.abc import Sequence

from edgectl.control.account import Commitment
from edgectl.control.shape import Shaped
from edgectl.control.situation import Situation
from edgectl.model.reading import VehicleState
from edgectl.model.snapshot import EvseView
from edgectl.model.state import EvseState
from edgectl.units import EvseId

_UNHEARD = EvseView()
_NEW = EvseState(held_a=0.0, setpoint_a=0.0)


def remember(situation: Situation, shaped: Sequence[Shaped]) -> dict[EvseId, EvseState]:
    """The state of every EVSE after this step; one that did not change is the same value."""
    before, views = situation.state.evses, situation.snapshot.evses
    now_s, min_a = situation.now.mono_s, situation.layout.min_a
    return {
        evse_id: _remember(
            views.get(evse_id, _UNHEARD).vehicle,
            before.get(evse_id, _NEW),
            situation.commitments[i],
            shaped[i],
            min_a[i],
            now_s,
        )
        for i, evse_id in enumerate(situation.layout.evse_ids)
    }


def _remember(  # noqa: PLR0917 - keywords cost time here
    vehicle: VehicleState,
    before: EvseState,
    commitment: Commitment,
    shaped: Shaped,
    min_a: float,
    now_s: float,
) -> EvseState:
    """When it was admitted, when it was stopped, since when it asks and wants more."""
    admitted_s, stopped_s, asked_s = before.admitted_s, before.stopped_s, before.asked_s
    was_charging = admitted_s is not None
    if vehicle is VehicleState.ABSENT:
        admitted_s = stopped_s = asked_s = None
    elif vehicle is VehicleState.FAULT:
        stopped_s = now_s if was_charging else stopped_s
        admitted_s = asked_s = None
    else:
        asked_s = now_s if asked_s is None else asked_s
        if not commitment.silent:
            if shaped.setpoint_a >= min_a:
                admitted_s = now_s if admitted_s is None else admitted_s
                stopped_s = None
            else:
                stopped_s = now_s if was_charging else stopped_s
                admitted_s = None
    raise_s = None
    if shaped.wants_raise:
        raise_s = now_s if before.raise_s is None else before.raise_s
    if (
        before.held_a == commitment.held_a
        and before.setpoint_a == shaped.setpoint_a
        and before.excess_a == commitment.excess_a
        and before.raise_s == raise_s
        and before.admitted_s == admitted_s
        and before.asked_s == asked_s
        and before.stopped_s == stopped_s
        and before is not _NEW
    ):
        return before
    return EvseState(
        held_a=commitment.held_a,
        setpoint_a=shaped.setpoint_a,
        admitted_s=admitted_s,
        stopped_s=stopped_s,
        asked_s=asked_s,
        excess_a=commitment.excess_a,
        raise_s=raise_s,
    )
