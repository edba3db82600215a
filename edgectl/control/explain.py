"""A reason with numbers for every EVSE and every node, and the alarms a person should see."""

from edgectl.control.account import FOLLOWED_A, Commitment
from edgectl.control.cap import NodeCeilings
from edgectl.control.judge import NodeJudgement
from edgectl.control.layout import VA_ROW
from edgectl.control.rows import Row, sum_evses, va_of
from edgectl.control.shape import TOLERANCE_A, Shaped
from edgectl.control.share import Shared
from edgectl.control.situation import Situation
from edgectl.model.allocation import ROWS
from edgectl.model.ceiling import Rank
from edgectl.model.decision import (
    Alarm,
    AlarmCode,
    Decision,
    EvseDecision,
    NodeDecision,
    Reason,
    ReasonCode,
    Severity,
)
from edgectl.model.reading import Quality
from edgectl.model.site import Meter
from edgectl.model.snapshot import Snapshot
from edgectl.units import MeterId, NodeId, OptionalTriple

OVER_A = 1e-6
OVER_SHARE = 1e-9


def explain(
    situation: Situation, shared: Shared, shaped: tuple[Shaped, ...], promised: list[Row]
) -> Decision:
    """The whole decision, said."""
    snapshot, layout, judged = situation.snapshot, situation.layout, situation.judged
    commitments, node_ceilings = situation.commitments, situation.node_ceilings
    loads = sum_evses(layout, judged, [c.committed_a for c in commitments])
    nodes: dict[NodeId, NodeDecision] = {}
    wake: dict[MeterId, OptionalTriple] = {}
    alarms: list[Alarm] = []
    for n, node in enumerate(snapshot.site.nodes):
        decision = _node(judged[n], node_ceilings[n], loads[n], promised[n])
        nodes[node.id] = decision
        meter = layout.meter[n]
        if meter is not None:
            wake[meter.id] = _wake_above_a(judged[n], decision, meter)
            alarms.extend(_meter_alarms(node.id, judged[n], decision))
        alarms.extend(_phase_alarms(node.id, judged[n], decision))
        alarms.extend(_va_alarms(node.id, judged[n], decision))
    evses = {}
    for i, evse in enumerate(snapshot.site.evses):
        commitment = commitments[i]
        evses[evse.id] = EvseDecision(
            allocation_a=shared.outcome.setpoint_a[i],
            setpoint_a=shaped[i].setpoint_a,
            committed_a=commitment.committed_a,
            silent=commitment.silent,
            reason=_reason(situation, shared, shaped, i),
        )
        alarms.extend(_evse_alarms(snapshot, commitment, i))
    return Decision(evses=evses, nodes=nodes, alarms=tuple(alarms), wake_above_a=wake)


def _node(judged: NodeJudgement, ceilings: NodeCeilings, load: Row, promised: Row) -> NodeDecision:
    base_va = va_of(judged, judged.base_a)
    base = (*judged.base_a, base_va)
    deficit = [0.0 if c is None else max(0.0, base[r] - c) for r, c in enumerate(ceilings.ceiling)]
    limiting = [h for h, c in zip(ceilings.holder, ceilings.ceiling, strict=True) if c is not None]
    return NodeDecision(
        ceiling_a=ceilings.ceiling[:3],
        ceiling_va=ceilings.ceiling[VA_ROW],
        margin_a=ceilings.margin[:3],
        margin_va=ceilings.margin[VA_ROW],
        base_a=judged.base_a,
        base_va=base_va,
        account_a=(base[0] + load[0], base[1] + load[1], base[2] + load[2]),
        account_va=base_va + load[VA_ROW],
        promise_a=(promised[0], promised[1], promised[2]),
        promise_va=promised[VA_ROW],
        deficit_a=(deficit[0], deficit[1], deficit[2]),
        deficit_va=deficit[VA_ROW],
        quality=judged.quality,
        holder=next((h for h in limiting if h.rank is not Rank.SAFETY), ceilings.holder[0]),
        holder_a=ceilings.holder[:3],
        holder_va=ceilings.holder[VA_ROW],
    )


def _reason(situation: Situation, shared: Shared, shaped: tuple[Shaped, ...], i: int) -> Reason:
    part = shared.parts[i]
    ceiling, now = situation.evse_ceilings[i], situation.now
    if part.why is ReasonCode.PAUSED:
        until_s = (
            None
            if ceiling.until_utc_s is None
            else now.mono_s + max(0.0, ceiling.until_utc_s - now.utc_s)
        )
        return Reason(
            code=ReasonCode.PAUSED, holder=ceiling.holder, limit=ceiling.max_a, until_s=until_s
        )
    if part.why is not None:
        return Reason(code=part.why, until_s=part.until_s)
    back = shaped[i].held_back_by
    if back is not None and shaped[i].setpoint_a + TOLERANCE_A < shared.outcome.setpoint_a[i]:
        return _row_reason(situation, ReasonCode.WAITS_FOR_ROOM, *back)
    stop = shared.outcome.stops[i]
    code = stop.code
    if code is ReasonCode.OWN_MAXIMUM:
        if ceiling.holder.rank is not Rank.SAFETY:
            code = ReasonCode.EVSE_CEILING
        return Reason(code=code, holder=ceiling.holder, limit=ceiling.max_a)
    if stop.node is None or stop.row is None:
        return Reason(code=code)
    return _row_reason(situation, code, stop.node, ROWS.index(stop.row))


def _row_reason(situation: Situation, code: ReasonCode, n: int, row: int) -> Reason:
    return Reason(
        code=code,
        node=situation.snapshot.site.nodes[n].id,
        row=ROWS[row],
        holder=situation.node_ceilings[n].holder[row],
        limit=situation.node_ceilings[n].ceiling[row],
    )


def _wake_above_a(judged: NodeJudgement, decision: NodeDecision, meter: Meter) -> OptionalTriple:
    """A phase's own ceiling, and what it cannot rise above without leaving room in the VA row.

    When the sum rises by more than its room, some phase rises by more than its part of it.
    """
    if decision.ceiling_va is None:
        return decision.ceiling_a
    wired = [p - 1 for p in meter.phases]
    present = [judged.meter_a[p] or 0.0 for p in range(3)]
    room_va = decision.ceiling_va - va_of(judged, present)
    part_a = max(0.0, room_va) / sum(judged.voltage_v[p] for p in wired)
    above: list[float | None] = []
    for p, ceiling in enumerate(decision.ceiling_a):
        most_a = present[p] + part_a if p in wired else ceiling
        above.append(most_a if ceiling is None or most_a is None else min(most_a, ceiling))
    return (above[0], above[1], above[2])


def _meter_alarms(node: NodeId, judged: NodeJudgement, decision: NodeDecision) -> list[Alarm]:
    limited = any(c is not None for c in (*decision.ceiling_a, decision.ceiling_va))
    if judged.quality is Quality.GOOD or not limited:
        return []
    stale = judged.quality is Quality.STALE
    return [
        Alarm(
            code=AlarmCode.METER_STALE if stale else AlarmCode.METER_LOST,
            severity=Severity.WARNING,
            id=node,
            text=f"no fresh meter value for {node}: its base load goes to the worst case",
        )
    ]


def _va_alarms(node: NodeId, judged: NodeJudgement, decision: NodeDecision) -> list[Alarm]:
    """The same for the sum over the phases, which limits in W land on."""
    ceiling = decision.ceiling_va
    if ceiling is None:
        return []
    metered = any(value is not None for value in judged.meter_a)
    measured_va = va_of(judged, [value or 0.0 for value in judged.meter_a])
    over = OVER_A + OVER_SHARE * ceiling
    id_ = f"{node}.va"
    data: dict[str, int | float | str] = {"ceiling_va": ceiling}
    alarms = []
    if metered and measured_va > ceiling + over:
        alarms.append(
            Alarm(
                code=AlarmCode.OVER_CEILING,
                severity=Severity.ALARM,
                id=id_,
                text=f"{node} draws more than its ceiling in VA",
                data=data | {"measured_va": measured_va},
            )
        )
    elif decision.account_va > ceiling + over:
        alarms.append(
            Alarm(
                code=AlarmCode.ACCOUNT_OVER_CEILING,
                severity=Severity.WARNING,
                id=id_,
                text=f"{node} may be drawing more than its ceiling in VA",
                data=data | {"account_va": decision.account_va},
            )
        )
    if decision.deficit_va > over:
        alarms.append(
            Alarm(
                code=AlarmCode.BASE_OVER_CEILING,
                severity=Severity.ALARM,
                id=id_,
                text=f"base load alone is above the ceiling of {node} in VA",
                data=data | {"deficit_va": decision.deficit_va},
            )
        )
    return alarms


def _phase_alarms(node: NodeId, judged: NodeJudgement, decision: NodeDecision) -> list[Alarm]:
    alarms = []
    for p in range(3):
        ceiling, meter = decision.ceiling_a[p], judged.meter_a[p]
        if ceiling is None:
            continue
        data: dict[str, int | float | str] = {"phase": p + 1, "ceiling_a": ceiling}
        if meter is not None and meter > ceiling + OVER_A:
            alarms.append(
                Alarm(
                    code=AlarmCode.OVER_CEILING,
                    severity=Severity.ALARM,
                    id=f"{node}.{p + 1}",
                    text=f"{node} L{p + 1} draws more than its ceiling",
                    data=data | {"measured_a": meter},
                )
            )
        elif decision.account_a[p] > ceiling + OVER_A:
            alarms.append(
                Alarm(
                    code=AlarmCode.ACCOUNT_OVER_CEILING,
                    severity=Severity.WARNING,
                    id=f"{node}.{p + 1}",
                    text=f"{node} L{p + 1} may be drawing more than its ceiling",
                    data=data | {"account_a": decision.account_a[p]},
                )
            )
        if decision.deficit_a[p] > OVER_A:
            alarms.append(
                Alarm(
                    code=AlarmCode.BASE_OVER_CEILING,
                    severity=Severity.ALARM,
                    id=f"{node}.{p + 1}",
                    text=f"base load alone is above the ceiling of {node} L{p + 1}",
                    data=data | {"deficit_a": decision.deficit_a[p]},
                )
            )
    return alarms


def _evse_alarms(snapshot: Snapshot, commitment: Commitment, i: int) -> list[Alarm]:
    evse = snapshot.site.evses[i]
    if commitment.silent:
        return [
            Alarm(
                code=AlarmCode.CHARGER_SILENT,
                severity=Severity.ALARM,
                id=evse.id,
                text=f"{evse.id} does not answer; counted with {commitment.committed_a:.1f} A",
                data={"counted_a": commitment.committed_a},
            )
        ]
    measured_a, held_a = commitment.measured_a, commitment.held_a
    if measured_a is not None and max(measured_a - held_a, commitment.excess_a) > FOLLOWED_A:
        return [
            Alarm(
                code=AlarmCode.EXCEEDS_SETPOINT,
                severity=Severity.WARNING,
                id=evse.id,
                text=f"{evse.id} draws more than it was told",
                data={"measured_a": measured_a, "told_a": commitment.in_force_a, "held_a": held_a},
            )
        ]
    return []
