"""The step: judge, cap, allocate, shape, verify, explain. A plain function of its arguments."""

from edgectl.clock import Instant
from edgectl.control.account import commit
from edgectl.control.balance import keep_balance
from edgectl.control.boot import boot_room, keep_boot_room, verify_boot_room
from edgectl.control.cap import cap_evses, cap_nodes
from edgectl.control.demand import watch_demand
from edgectl.control.explain import explain
from edgectl.control.export import watch_exports
from edgectl.control.judge import judge
from edgectl.control.layout import layout_of
from edgectl.control.over import over_since_s
from edgectl.control.remember import remember, take_up
from edgectl.control.shape import shape
from edgectl.control.share import call_values_a, share
from edgectl.control.situation import Situation
from edgectl.control.unused import used_phases, watch_draws
from edgectl.control.verify import promise_rows, verify
from edgectl.model.decision import Decision
from edgectl.model.rules import Rules
from edgectl.model.snapshot import Snapshot
from edgectl.model.state import BaseState, State
from edgectl.units import MeterId

ALL_RULES = Rules()


def step(
    snapshot: Snapshot, state: State, now: Instant, rules: Rules = ALL_RULES
) -> tuple[Decision, State]:
    """Decide for all EVSEs at once; `InvariantBroken` when the promise would not hold (S12)."""
    state = take_up(snapshot, state)
    situation, meters = survey(snapshot, state, now, rules)

    shared = share(situation)

    shaped = shape(situation, shared, call_values_a(situation))
    room = boot_room(situation, shared)
    shaped = keep_boot_room(situation, shared, shaped, room)
    shaped = keep_balance(situation, shared, shaped)

    promised = promise_rows(situation, shared, [one.setpoint_a for one in shaped])
    if rules.s12_promise:
        verify(situation, shared, shaped, promised)
        verify_boot_room(room, situation, [one.setpoint_a for one in shaped])

    decision, exports = watch_exports(situation, explain(situation, shared, shaped, promised, room))

    return decision, State(
        started_s=now.mono_s if state.started_s is None else state.started_s,
        meters=meters,
        evses=remember(situation, shared, shaped),
        over_s=over_since_s(situation),
        exports=exports,
    )


def survey(
    snapshot: Snapshot, state: State, now: Instant, rules: Rules
) -> tuple[Situation, dict[MeterId, BaseState]]:
    """Judge readings and set ceilings: the ground of a decision, and what is settled of meters."""
    commitments = commit(snapshot, state, now, rules)
    draws = watch_draws(snapshot, state, commitments, now, rules)
    layout = layout_of(snapshot.site, used_phases(layout_of(snapshot.site), draws, now))
    judged, meters = judge(snapshot, layout, commitments, state, now, rules)
    evse_ceilings = cap_evses(snapshot, layout, judged, now, rules)

    situation = Situation(
        snapshot=snapshot,
        state=state,
        now=now,
        rules=rules,
        layout=layout,
        commitments=commitments,
        draws=draws,
        judged=judged,
        node_ceilings=cap_nodes(snapshot, layout, now, rules),
        evse_ceilings=evse_ceilings,
        no_demand=watch_demand(
            snapshot,
            state,
            tuple(zip(commitments, evse_ceilings, strict=True)),
            now,
            rules,
        ),
    )
    return situation, meters
