"""What a step keeps of every EVSE for the next one. Timers are instants, never counters."""

from collections.abc import Sequence
from dataclasses import replace

from edgectl.control.account import Commitment
from edgectl.control.demand import asks_again
from edgectl.control.shape import ONCE_MORE, Shaped
from edgectl.control.share import Shared
from edgectl.control.situation import Situation
from edgectl.model.quick import maker
from edgectl.model.reading import VehicleState
from edgectl.model.snapshot import EvseView, Snapshot
from edgectl.model.state import EvseState, State
from edgectl.units import EvseId

_UNHEARD = EvseView()
_NEW = EvseState(held_a=0.0, setpoint_a=0.0)
_ABSENT = VehicleState.ABSENT
_FAULT = VehicleState.FAULT


_evse_state = maker(EvseState)


def take_up(snapshot: Snapshot, state: State) -> State:
    """Give a first step the queue that the daemon before kept; all else begins as ever.

    Who was admitted has the rest of its turn, and who waited keeps its place.
    """
    if state.started_s is not None or not snapshot.queue:
        return state
    kept = {one.evse: one for one in snapshot.queue}
    evses = {
        evse.id: EvseState(
            held_a=evse.traits.hardware_max_a,
            setpoint_a=0.0,
            admitted_s=one.admitted_s,
            stopped_s=one.stopped_s,
            displaced=one.displaced,
            asked_s=one.asked_s,
            energy_from_wh=one.energy_from_wh,
            resumes=one.admitted_s is not None,
        )
        for evse in snapshot.site.evses
        if (one := kept.get(evse.id)) is not None
    }
    return replace(state, evses={**evses, **state.evses})


def remember(
    situation: Situation, shared: Shared, shaped: Sequence[Shaped]
) -> dict[EvseId, EvseState]:
    """The state of every EVSE after this step; one that did not change is the same value."""
    ids, min_a = situation.layout.evse_ids, situation.layout.min_a
    bands = shared.ranks.band or (None,) * len(ids)
    states: dict[EvseId, EvseState] = {}
    for i, (evse_id, before, view, commitment, draw, no_demand, one, band) in enumerate(
        zip(
            ids,
            map(situation.state.evses.get, ids),
            map(situation.snapshot.evses.get, ids),
            situation.commitments,
            situation.draws,
            situation.no_demand,
            shaped,
            bands,
            strict=True,
        )
    ):
        if (
            before is not None
            and view is not None
            and before.draw is draw
            and before.no_demand is no_demand
            and before.band == band
            and one.setpoint_a >= min_a[i]
            and _goes_on(before, view, commitment, one)
        ):
            states[evse_id] = before
        else:
            states[evse_id] = _remember(
                situation,
                i,
                view or _UNHEARD,
                before or _NEW,
                one,
                shared.parts[i].takes_part,
                i in shared.ranks.behind,
                band,
            )
    return states


def _goes_on(before: EvseState, view: EvseView, commitment: Commitment, shaped: Shaped) -> bool:
    """Whether an EVSE that is told to charge goes on as it did: most of them at most ticks."""
    return (
        before.setpoint_a == shaped.setpoint_a
        and before.held_a == commitment.held_a
        and before.excess_a == commitment.excess_a
        and (before.raise_s is not None) is shaped.wants_raise
        and before.admitted_s is not None
        and before.asked_s is not None
        and before.stopped_s is None
        and before.displaced <= ONCE_MORE
        and not before.resumes
        and (before.energy_from_wh is not None or view.energy_wh is None)
        and not commitment.silent
        and view.vehicle is not _ABSENT
        and view.vehicle is not _FAULT
    )


def _remember(  # noqa: PLR0917 - keywords cost time here
    situation: Situation,
    i: int,
    view: EvseView,
    before: EvseState,
    shaped: Shaped,
    takes_part: bool,  # noqa: FBT001
    behind: bool,  # noqa: FBT001
    band: int | None,
) -> EvseState:
    """The timers of one EVSE and what else it knows of itself."""
    commitment, draw = situation.commitments[i], situation.draws[i]
    no_demand = situation.no_demand[i]
    admitted_s, stopped_s, asked_s = _timers(situation, i, view.vehicle, before, shaped)
    displaced = before.displaced
    stopped = before.admitted_s is not None and admitted_s is None and not before.resumes
    gave_way = stopped and behind
    if asked_s is not None and (gave_way or asks_again(before.no_demand, no_demand)):
        asked_s = situation.now.mono_s
    if takes_part and stopped and not gave_way:
        # The end of a turn is no want of room: it counts for those alone whom noise stopped before.
        in_turn = not _had_its_turn(situation, before.admitted_s)
        displaced += in_turn or displaced >= ONCE_MORE
    elif asked_s is None:
        displaced = 0
    elif _had_its_turn(situation, admitted_s):
        # Not 0: noise at the edge of its minimum would stop and start it as often as before.
        displaced = min(displaced, ONCE_MORE)
    charges = shaped.setpoint_a >= situation.layout.min_a[i] and not commitment.silent
    resumes = before.resumes and admitted_s is not None and not charges
    raise_s = energy_from_wh = None
    if shaped.wants_raise:
        raise_s = situation.now.mono_s if before.raise_s is None else before.raise_s
    if view.vehicle is not _ABSENT:
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
        and before.resumes is resumes
        and before.draw is draw
        and before.no_demand is no_demand
        and before is not _NEW
    ):
        return before
    return _evse_state(
        commitment.held_a,
        shaped.setpoint_a,
        admitted_s,
        stopped_s,
        displaced,
        asked_s,
        commitment.excess_a,
        raise_s,
        band,
        energy_from_wh,
        draw,
        resumes,
        no_demand,
    )


def _timers(
    situation: Situation, i: int, vehicle: VehicleState, before: EvseState, shaped: Shaped
) -> tuple[float | None, float | None, float | None]:
    """When it was admitted, when it was stopped, and since when it asks or waits.

    Who was stopped within its turn keeps its place among those that wait. A pause that a start
    asks of everybody, until all chargers are known (S10), stops nobody.
    """
    now_s = situation.now.mono_s
    admitted_s, stopped_s, asked_s = before.admitted_s, before.stopped_s, before.asked_s
    if vehicle is _ABSENT:
        return None, None, None
    if vehicle is _FAULT:
        return None, stopped_s if admitted_s is None else now_s, None
    if asked_s is None:
        asked_s = now_s
    if situation.commitments[i].silent:
        return admitted_s, stopped_s, asked_s
    if shaped.setpoint_a >= situation.layout.min_a[i]:
        return now_s if admitted_s is None else admitted_s, None, asked_s
    if admitted_s is not None:
        if before.resumes:
            had_it = _had_its_turn(situation, admitted_s)
            return (None, None, now_s) if had_it else (admitted_s, None, asked_s)
        stopped_s = now_s
        if _had_its_turn(situation, admitted_s):
            asked_s = now_s
    return None, stopped_s, asked_s


def _had_its_turn(situation: Situation, admitted_s: float | None) -> bool:
    turn_s = situation.snapshot.site.sharing.turn_s
    return admitted_s is not None and situation.now.mono_s >= admitted_s + turn_s
