"""The step: judge, cap, allocate, shape, verify, explain. A plain function of its arguments."""

from edgectl.clock import Instant
from edgectl.control.account import Commitment, commit
from edgectl.control.cap import cap_evses, cap_nodes
from edgectl.control.explain import explain
from edgectl.control.judge import judge
from edgectl.control.layout import layout_of
from edgectl.control.shape import Shaped, shape
from edgectl.control.share import call_values_a, share
from edgectl.control.situation import Situation
from edgectl.control.verify import promise_rows, verify
from edgectl.model.decision import Decision
from edgectl.model.reading import VehicleState
from edgectl.model.rules import Rules
from edgectl.model.site import Evse
from edgectl.model.snapshot import EvseView, Snapshot
from edgectl.model.state import EvseState, State

ALL_RULES = Rules()


def step(
    snapshot: Snapshot, state: State, now: Instant, rules: Rules = ALL_RULES
) -> tuple[Decision, State]:
    """Decide for all EVSEs at once; `InvariantBroken` when the promise would not hold (S12)."""
    layout = layout_of(snapshot.site)

    commitments = commit(snapshot, state, now, rules)
    judged, meters = judge(snapshot, layout, commitments, state, now, rules)

    situation = Situation(
        snapshot=snapshot,
        state=state,
        now=now,
        rules=rules,
        layout=layout,
        commitments=commitments,
        judged=judged,
        node_ceilings=cap_nodes(snapshot, now, rules),
        evse_ceilings=cap_evses(snapshot, layout, judged, now, rules),
    )

    shared = share(situation)

    shaped = shape(situation, shared, call_values_a(situation))

    promised = promise_rows(situation, shared, [one.setpoint_a for one in shaped])
    if rules.s12_promise:
        verify(situation, shared, shaped, promised)

    decision = explain(situation, shared, shaped, promised)

    return decision, State(
        started_s=now.mono_s if state.started_s is None else state.started_s,
        meters=meters,
        evses={
            evse.id: _remember(
                evse,
                snapshot.evses.get(evse.id),
                state.evses.get(evse.id),
                commitment=commitments[i],
                shaped=shaped[i],
                now_s=now.mono_s,
            )
            for i, evse in enumerate(snapshot.site.evses)
        },
    )


def _remember(
    evse: Evse,
    view: EvseView | None,
    before: EvseState | None,
    *,
    commitment: Commitment,
    shaped: Shaped,
    now_s: float,
) -> EvseState:
    """Timers are instants: when it was admitted, when it was stopped, since when it asks."""
    vehicle = VehicleState.UNKNOWN if view is None else view.vehicle
    charges = not commitment.silent and shaped.setpoint_a >= evse.traits.min_a
    was_charging = before is not None and before.admitted_s is not None
    admitted_s = stopped_s = asked_s = None
    if before is not None:
        admitted_s, stopped_s, asked_s = before.admitted_s, before.stopped_s, before.asked_s
    if vehicle is VehicleState.ABSENT:
        admitted_s = stopped_s = asked_s = None
    elif vehicle is VehicleState.FAULT:
        stopped_s = now_s if was_charging else stopped_s
        admitted_s = asked_s = None
    else:
        asked_s = now_s if asked_s is None else asked_s
        if charges:
            admitted_s = now_s if admitted_s is None else admitted_s
            stopped_s = None
        elif not commitment.silent:
            stopped_s = now_s if was_charging else stopped_s
            admitted_s = None
    return EvseState(
        held_a=commitment.held_a,
        setpoint_a=shaped.setpoint_a,
        admitted_s=admitted_s,
        stopped_s=stopped_s,
        asked_s=asked_s,
        excess_a=commitment.excess_a,
        raise_s=_since(shaped.wants_raise, None if before is None else before.raise_s, now_s),
    )


def _since(holds: bool, before_s: float | None, now_s: float) -> float | None:  # noqa: FBT001
    """When a condition began to hold; None while it does not."""
    if not holds:
        return None
    return now_s if before_s is None else before_s
