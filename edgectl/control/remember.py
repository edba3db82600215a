"""What a step keeps of every EVSE for the next one. Timers are instants, never counters."""

from collections.abc import Sequence

from edgectl.control.shape import Shaped
from edgectl.control.share import Shared
from edgectl.control.situation import Situation
from edgectl.model.reading import VehicleState
from edgectl.model.snapshot import EvseView
from edgectl.model.state import EvseState
from edgectl.units import EvseId

_UNHEARD = EvseView()
_NEW = EvseState(held_a=0.0, setpoint_a=0.0)


def remember(
    situation: Situation, shared: Shared, shaped: Sequence[Shaped]
) -> dict[EvseId, EvseState]:
    """The state of every EVSE after this step; one that did not change is the same value."""
    before, views = situation.state.evses, situation.snapshot.evses
    band = shared.ranks.band
    return {
        evse_id: _remember(
            situation,
            i,
            views.get(evse_id, _UNHEARD),
            before.get(evse_id, _NEW),
            shaped[i],
            shared.parts[i].takes_part,
            None if band is None else band[i],
        )
        for i, evse_id in enumerate(situation.layout.evse_ids)
    }


def _remember(  # noqa: PLR0917 - keywords cost time here
    situation: Situation,
    i: int,
    view: EvseView,
    before: EvseState,
    shaped: Shaped,
    takes_part: bool,  # noqa: FBT001
    band: int | None,
) -> EvseState:
    """The timers of one EVSE and what else it knows of itself."""
    commitment, draw = situation.commitments[i], situation.draws[i]
    admitted_s, stopped_s, asked_s = _timers(situation, i, view.vehicle, before, shaped)
    displaced = before.displaced
    if takes_part and before.admitted_s is not None and admitted_s is None:
        displaced += 1
    elif asked_s is None or _had_its_turn(situation, admitted_s):
        displaced = 0
    raise_s = energy_from_wh = None
    if shaped.wants_raise:
        raise_s = situation.now.mono_s if before.raise_s is None else before.raise_s
    if view.vehicle is not VehicleState.ABSENT:
        known_wh = before.energy_from_wh
        energy_from_wh = view.energy_wh if known_wh is None else known_wh
    if (
        before.held_a == commitment.held_a
        and before.setpoint_a == shaped.setpoint_a
        and before.excess_a == commitment.excess_a
        and before.raise_s == raise_s
        and before.admitted_s == admitted_s
        and before.asked_s == asked_s
        and before.stopped_s == stopped_s
        and before.displaced == displaced
        and before.band == band
        and before.energy_from_wh == energy_from_wh
        and before.draw is draw
        and before is not _NEW
    ):
        return before
    return EvseState(
        held_a=commitment.held_a,
        setpoint_a=shaped.setpoint_a,
        admitted_s=admitted_s,
        stopped_s=stopped_s,
        displaced=displaced,
        asked_s=asked_s,
        excess_a=commitment.excess_a,
        raise_s=raise_s,
        band=band,
        energy_from_wh=energy_from_wh,
        draw=draw,
    )


def _timers(
    situation: Situation, i: int, vehicle: VehicleState, before: EvseState, shaped: Shaped
) -> tuple[float | None, float | None, float | None]:
    """When it was admitted, when it was stopped, and since when it asks or waits.

    Who was stopped within its turn keeps its place among those that wait.
    """
    now_s = situation.now.mono_s
    admitted_s, stopped_s, asked_s = before.admitted_s, before.stopped_s, before.asked_s
    if vehicle is VehicleState.ABSENT:
        return None, None, None
    if vehicle is VehicleState.FAULT:
        return None, stopped_s if admitted_s is None else now_s, None
    if asked_s is None:
        asked_s = now_s
    if situation.commitments[i].silent:
        return admitted_s, stopped_s, asked_s
    if shaped.setpoint_a >= situation.layout.min_a[i]:
        return now_s if admitted_s is None else admitted_s, None, asked_s
    if admitted_s is not None:
        stopped_s = now_s
        if _had_its_turn(situation, admitted_s):
            asked_s = now_s
    return None, stopped_s, asked_s


def _had_its_turn(situation: Situation, admitted_s: float | None) -> bool:
    turn_s = situation.snapshot.site.sharing.turn_s
    return admitted_s is not None and situation.now.mono_s >= admitted_s + turn_s
