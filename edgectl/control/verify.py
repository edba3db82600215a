"""The promise, checked before anything is told to anybody (S12), and the safe decision (S18)."""

from collections.abc import Sequence

from edgectl.clock import Instant
from edgectl.control.account import commit
from edgectl.control.alarms import row_id
from edgectl.control.balance import differences
from edgectl.control.rows import Row, loads_row, sum_evses, with_base
from edgectl.control.shape import TOLERANCE_A, Shaped
from edgectl.control.share import Shared
from edgectl.control.situation import Situation
from edgectl.errors import invariant
from edgectl.model.decision import Decision, EvseDecision, Reason, ReasonCode
from edgectl.model.rules import Rules
from edgectl.model.snapshot import EvseView, Snapshot
from edgectl.model.state import State

TOLERANCE = 1e-6
TOLERANCE_SHARE = 1e-9


def promise_rows(situation: Situation, shared: Shared, setpoints_a: Sequence[float]) -> list[Row]:
    """What will flow on every row: base, silent chargers' counts, and the others' new setpoints."""
    layout, judged = situation.layout, situation.judged
    told = [0.0 if c.silent else setpoints_a[i] for i, c in enumerate(situation.commitments)]
    rows = sum_evses(layout, judged, told)
    if layout.curves is not None:
        return [
            with_base(
                layout,
                judged[n],
                n,
                shared.base[n],
                [a + b for a, b in zip(shared.fixed[n], row, strict=True)],
            )
            for n, row in enumerate(rows)
        ]
    for n, row in enumerate(rows):
        for r in range(4):
            row[r] += shared.base[n][r] + shared.fixed[n][r]
    return rows


def verify(
    situation: Situation, shared: Shared, shaped: tuple[Shaped, ...], promised: list[Row]
) -> None:
    """S12: raise `InvariantBroken` unless every row keeps its promise.

    A row keeps it within its ceiling less margin, or when every reachable EVSE that loads it is at
    its minimum or pause value and none of them was raised.
    """
    snapshot, layout, commitments = situation.snapshot, situation.layout, situation.commitments
    for i, one in enumerate(shaped):
        traits = snapshot.site.evses[i].traits
        value = one.setpoint_a
        held_back = value == commitments[i].in_force_a
        invariant(
            held_back
            or value == traits.pause_a
            or traits.min_a - TOLERANCE_A <= value <= traits.hardware_max_a + TOLERANCE_A,
            f"{layout.evse_ids[i]} is told {value!r} A: not its pause value, not in its range",
        )
    for n, row in enumerate(promised):
        for r, limit in enumerate(shared.limit[n]):
            if limit is None or row[r] <= limit + TOLERANCE + TOLERANCE_SHARE * abs(limit):
                continue
            for i in layout.below[n]:
                if commitments[i].silent or not loads_row(layout, n, r, i):
                    continue
                value = shaped[i].setpoint_a
                invariant(
                    value <= snapshot.site.evses[i].traits.min_a + TOLERANCE_A
                    and value <= commitments[i].in_force_a + TOLERANCE_A,
                    f"{snapshot.site.nodes[n].id} row {row_id(r)} promises {row[r]:.6g}, above "
                    f"{limit:.6g}, and {layout.evse_ids[i]} is told {value:.6g} A",
                )
    _verify_balance(situation, shared, shaped)


def _verify_balance(situation: Situation, shared: Shared, shaped: tuple[Shaped, ...]) -> None:
    """The same for the difference of two phases: of those who raise it."""
    told_a = [one.setpoint_a for one in shaped]
    for one in differences(situation, shared):
        over_a = one.excess_a(told_a, told_a)
        if over_a <= 2.0 * TOLERANCE:
            continue
        for i in one.raising:
            invariant(
                told_a[i] <= situation.layout.least_a[i] + TOLERANCE_A
                and told_a[i] <= situation.commitments[i].in_force_a + TOLERANCE_A,
                f"{situation.snapshot.site.nodes[one.node].id}: L{one.more + 1} is promised "
                f"{over_a:.6g} A too far above L{one.less + 1}, and "
                f"{situation.layout.evse_ids[i]} is told {told_a[i]:.6g} A",
            )


def safe_decision(snapshot: Snapshot, state: State, now: Instant) -> Decision:
    """S18: for every EVSE the lesser of value in force and failsafe current; it never raises."""
    commitments = commit(snapshot, state, now, Rules())
    evses = {}
    for evse, one in zip(snapshot.site.evses, commitments, strict=True):
        lowest_a = min([one.in_force_a, *_may_be_in_force_a(snapshot.evses.get(evse.id))])
        safe_a = min(lowest_a, one.failsafe_a)
        if safe_a < evse.traits.min_a:
            safe_a = min(lowest_a, evse.traits.pause_a)
        evses[evse.id] = EvseDecision(
            allocation_a=safe_a,
            setpoint_a=safe_a,
            committed_a=one.committed_a,
            silent=one.silent,
            reason=Reason(code=ReasonCode.SAFE_DECISION),
        )
    return Decision(evses=evses, nodes={}, alarms=(), wake_above_a={}, safe=True)


def _may_be_in_force_a(view: EvseView | None) -> list[float]:
    if view is None:
        return []
    values = [sent.value_a for sent in view.sent]
    return values if view.confirmed is None else [*values, view.confirmed.value_a]
