"""A reason with numbers for every EVSE and every node; the decision, said."""

from collections.abc import Iterator, Sequence

from edgectl.control.alarms import (
    OVER,
    boot_alarm,
    evse_alarms,
    is_alarming,
    node_alarms,
    part_alarms,
    unbalance_alarms,
)
from edgectl.control.boot import BootRoom, boot_room_alarms
from edgectl.control.curved import PRIMARY
from edgectl.control.judge import NodeJudgement
from edgectl.control.layout import VA_ROW
from edgectl.control.limits import EvseCeiling
from edgectl.control.rows import Row, room_of, sum_evses, va_of, with_base
from edgectl.control.shape import TOLERANCE_A, Shaped
from edgectl.control.share import Part, Shared
from edgectl.control.situation import Situation
from edgectl.control.sums import total
from edgectl.model.allocation import ROWS, Stop
from edgectl.model.ceiling import Holder, Rank
from edgectl.model.decision import (
    Alarm,
    Decision,
    EvseDecision,
    NodeDecision,
    PrimaryDecision,
    Reason,
    ReasonCode,
)
from edgectl.model.quick import maker
from edgectl.model.site import Meter, Sees
from edgectl.model.state import NoDemand
from edgectl.units import EvseId, MeterId, NodeId, OptionalTriple, Triple

_evse_decision = maker(EvseDecision)
_node_decision = maker(NodeDecision)
_reason = maker(Reason)


def explain(
    situation: Situation,
    shared: Shared,
    shaped: tuple[Shaped, ...],
    promised: list[Row],
    room: BootRoom | None,
) -> Decision:
    """The whole decision, said; `room` is what is left for reboots."""
    snapshot, layout, judged = situation.snapshot, situation.layout, situation.judged
    commitments = situation.commitments
    loads = sum_evses(layout, judged, [c.committed_a for c in commitments])
    nodes: dict[NodeId, NodeDecision] = {}
    wake: dict[MeterId, OptionalTriple] = {}
    alarms: list[Alarm] = []
    for n, node in enumerate(snapshot.site.nodes):
        decision = _node(situation, n, loads[n], promised[n])
        nodes[node.id] = decision
        meter = layout.meter[n]
        if meter is not None:
            wake[meter.id] = _wake_above_a(judged[n], decision, meter, layout.turns[n])
        alarms.extend(node_alarms(node.id, judged[n], decision, metered=meter is not None))
        alarms.extend(unbalance_alarms(node, judged[n]))
        for part in layout.part_meters[n]:
            view = snapshot.meters.get(part.id)
            newest = view.samples[-1] if view is not None and view.samples else None
            alarms.extend(part_alarms(node.id, part, newest, decision, situation.now.mono_s))
    alarms.extend(_boot_alarms(situation, shared))
    alarms.extend(boot_room_alarms(room))
    reasons = _evse_reasons(situation, shared, shaped)
    place = _places(situation, shared, shaped, reasons)
    urgency = shared.ranks.urgency
    evses: dict[EvseId, EvseDecision] = {}
    for i, (evse_id, commitment, allocation_a, one, reason) in enumerate(
        zip(layout.evse_ids, commitments, shared.outcome.setpoint_a, shaped, reasons, strict=True)
    ):
        evses[evse_id] = _evse_decision(
            allocation_a,
            one.setpoint_a,
            commitment.committed_a,
            commitment.silent,
            reason,
            place.get(i),
            None if urgency is None else urgency[i],
        )
        if is_alarming(commitment):
            alarms.extend(evse_alarms(evse_id, commitment))
    return Decision(evses=evses, nodes=nodes, alarms=tuple(alarms), wake_above_a=wake)


def _evse_reasons(
    situation: Situation, shared: Shared, shaped: tuple[Shaped, ...]
) -> tuple[Reason, ...]:
    """Why each setpoint is what it is."""
    made = _Reasons(situation, shared)
    min_a, least_a = situation.layout.min_a, situation.layout.least_a
    behind = shared.ranks.behind
    reasons = []
    for i, (allocation_a, one, part, stop, ceiling, draw) in enumerate(
        zip(
            shared.outcome.setpoint_a,
            shaped,
            shared.parts,
            shared.outcome.stops,
            situation.evse_ceilings,
            situation.draws,
            strict=True,
        )
    ):
        back = one.held_back_by
        if part.why is not None:
            reason = made.of_part(part, ceiling)
        elif i in behind and one.setpoint_a < min_a[i]:
            reason = made.of_no_demand(situation.no_demand[i])
        elif back is not None and one.setpoint_a + TOLERANCE_A < allocation_a:
            reason = made.of_row(ReasonCode.WAITS_FOR_ROOM, *back)
        elif i in behind and allocation_a <= least_a[i]:
            reason = Reason(code=ReasonCode.NO_DEMAND, limit=least_a[i])
        elif stop.code is ReasonCode.OWN_MAXIMUM:
            reason = made.of_maximum(ceiling, None if draw is None else draw.most_a)
        else:
            reason = made.of_stop(stop)
        reasons.append(reason)
    return tuple(reasons)


_WAITS = frozenset(
    {
        ReasonCode.NOT_ADMITTED,
        ReasonCode.UNBALANCE,
        ReasonCode.BASE_OVER_CEILING,
        ReasonCode.FIXED_OVER_CEILING,
        ReasonCode.WAITS_FOR_ROOM,
    }
)


def _places(
    situation: Situation,
    shared: Shared,
    shaped: tuple[Shaped, ...],
    reasons: tuple[Reason, ...],
) -> dict[int, int]:
    """Where each EVSE that waits stands among those of its tier; 1 is next."""
    min_a = situation.layout.min_a
    waits = {
        i for i, one in enumerate(shaped) if one.setpoint_a < min_a[i] and reasons[i].code in _WAITS
    }
    places: dict[int, int] = {}
    if waits:
        count: dict[int, int] = {}
        for i in shared.ranks.queue:
            if i in waits:
                tier = shared.ranks.tier[i]
                count[tier] = places[i] = count.get(tier, 0) + 1
    return places


def _boot_alarms(situation: Situation, shared: Shared) -> Iterator[Alarm]:
    """S11: for every charger that answers, whether its reboot would fit beside the base load.

    What counts is what the owner configured: nobody's wish is worth a charger that cannot be used.
    """
    snapshot, layout, judged = situation.snapshot, situation.layout, situation.judged
    if not situation.rules.s11_boot or not any(layout.boots_high):
        return
    room = room_of(
        layout,
        judged,
        [one.ceiling for one in layout.node_limits],
        shared.base,
        [list(fixed) for fixed in shared.fixed],
    )
    for i, evse in enumerate(snapshot.site.evses):
        if not layout.boots_high[i] or situation.commitments[i].silent:
            continue
        tight = room.tightest(i)
        if tight is not None and evse.traits.boot_a > tight.room_a + OVER:
            node = snapshot.site.nodes[tight.node].id
            yield boot_alarm(evse.id, evse.traits.boot_a, tight, node)


def _node(situation: Situation, n: int, load: Row, promised: Row) -> NodeDecision:
    judged, ceilings, layout = situation.judged[n], situation.node_ceilings[n], situation.layout
    base_va = va_of(judged, judged.base_a)
    account = with_base(layout, judged, n, (*judged.base_a, base_va), load)
    base: Sequence[float] = (*judged.base_a, base_va)
    if layout.curves is not None:
        base = with_base(layout, judged, n, base, [0.0] * len(load))
    deficit = [0.0 if c is None else max(0.0, base[r] - c) for r, c in enumerate(ceilings.ceiling)]
    limiting = [h for h, c in zip(ceilings.holder, ceilings.ceiling, strict=True) if c is not None]
    primary = None
    if len(ceilings.ceiling) > PRIMARY:
        primary = PrimaryDecision(
            ceiling_a=_optional_triple(ceilings.ceiling[PRIMARY:]),
            margin_a=_triple(ceilings.margin[PRIMARY:]),
            base_a=_triple(base[PRIMARY:]),
            account_a=_triple(account[PRIMARY:]),
            promise_a=_triple(promised[PRIMARY:]),
            deficit_a=_triple(deficit[PRIMARY:]),
            holder_a=(ceilings.holder[4], ceilings.holder[5], ceilings.holder[6]),
        )
    return _node_decision(
        ceiling_a=_optional_triple(ceilings.ceiling),
        ceiling_va=ceilings.ceiling[VA_ROW],
        margin_a=_triple(ceilings.margin),
        margin_va=ceilings.margin[VA_ROW],
        base_a=judged.base_a,
        base_va=base_va,
        account_a=_triple(account),
        account_va=account[VA_ROW],
        promise_a=_triple(promised),
        promise_va=promised[VA_ROW],
        deficit_a=_triple(deficit),
        deficit_va=deficit[VA_ROW],
        quality=judged.quality,
        holder=next((h for h in limiting if h.rank is not Rank.SAFETY), ceilings.holder[0]),
        holder_a=(ceilings.holder[0], ceilings.holder[1], ceilings.holder[2]),
        holder_va=ceilings.holder[VA_ROW],
        primary=primary,
    )


def _triple(row: Sequence[float]) -> Triple:
    return (row[0], row[1], row[2])


def _optional_triple(row: Sequence[float | None]) -> OptionalTriple:
    return (row[0], row[1], row[2])


class _Reasons:
    """Makes the reasons of one tick; the many EVSEs that one row stops share one value."""

    def __init__(self, situation: Situation, shared: Shared) -> None:
        self._situation = situation
        self._shared = shared
        self._rows: dict[tuple[ReasonCode, int, int], Reason] = {}
        # By identity, which is quick: the outcome keeps them all, and has one value of a kind.
        self._stops: dict[int, Reason] = {}

    def of_part(self, part: Part, ceiling: EvseCeiling) -> Reason:
        """Why an EVSE takes no part."""
        if part.why is ReasonCode.PAUSED:
            now = self._situation.now
            until_s = (
                None
                if ceiling.until_utc_s is None
                else now.mono_s + max(0.0, ceiling.until_utc_s - now.utc_s)
            )
            return Reason(
                code=ReasonCode.PAUSED, holder=ceiling.holder, limit=ceiling.max_a, until_s=until_s
            )
        return Reason(code=part.why or ReasonCode.NO_DEMAND, until_s=part.until_s)

    def of_no_demand(self, known: NoDemand | None) -> Reason:
        """It asks for nothing, and all others leave no room for it."""
        return Reason(code=ReasonCode.NO_DEMAND, until_s=None if known is None else known.until_s)

    def of_maximum(self, ceiling: EvseCeiling, most_a: float | None) -> Reason:
        """It has what it may have; `most_a`: what its vehicle was seen to need."""
        if most_a is not None and most_a < ceiling.max_a:
            return Reason(code=ReasonCode.DRAWS_LESS, limit=most_a)
        own = ceiling.holder.rank is Rank.SAFETY
        code = ReasonCode.OWN_MAXIMUM if own else ReasonCode.EVSE_CEILING
        return _reason(code, None, None, ceiling.holder, ceiling.max_a)

    def of_stop(self, stop: Stop) -> Reason:
        """What stopped an EVSE in the allocation, short of its own maximum."""
        known = self._stops.get(id(stop))
        if known is None:
            known = self._stops[id(stop)] = self._of_stop(stop)
        return known

    def _of_stop(self, stop: Stop) -> Reason:
        code = stop.code
        if stop.node is None or stop.row is None:
            return Reason(code=code)
        row = ROWS.index(stop.row) + (PRIMARY if stop.primary else 0)
        if stop.unbalance:
            return self.of_unbalance(stop.node, row)
        if code is ReasonCode.NOT_ADMITTED and self._is_taken(stop.node, row):
            code = ReasonCode.FIXED_OVER_CEILING
        if code is ReasonCode.BASE_OVER_CEILING:
            limit = self._shared.limit[stop.node][row]
            if limit is not None and self._shared.base[stop.node][row] < limit:
                code = ReasonCode.FIXED_OVER_CEILING
        return self.of_row(code, stop.node, row)

    def _is_taken(self, n: int, row: int) -> bool:
        """Whether fixed loads that are no part of the base fill a row of phasors by themselves."""
        shared, layout = self._shared, self._situation.layout
        limit = shared.limit[n][row]
        if layout.curves is None or limit is None or not any(shared.fixed[n]):
            return False
        judged = self._situation.judged[n]
        return with_base(layout, judged, n, shared.base[n], shared.fixed[n])[row] >= limit

    def of_unbalance(self, n: int, row: int) -> Reason:
        """How far a phase may be above another, whatever it keeps an EVSE from."""
        node = self._situation.snapshot.site.nodes[n]
        return Reason(
            code=ReasonCode.UNBALANCE,
            node=node.id,
            row=ROWS[row],
            holder=Holder(Rank.SAFETY, "limit", node.id),
            limit=node.unbalance_a,
        )

    def of_row(self, code: ReasonCode, n: int, row: int) -> Reason:
        """A row of a node, with its ceiling."""
        known = self._rows.get((code, n, row))
        if known is None:
            ceilings = self._situation.node_ceilings[n]
            known = self._rows[code, n, row] = Reason(
                code=code,
                node=self._situation.snapshot.site.nodes[n].id,
                row=ROWS[row if row < PRIMARY else row - PRIMARY],
                holder=ceilings.holder[row],
                limit=ceilings.ceiling[row],
                side="primary" if row >= PRIMARY else None,
            )
        return known


def _wake_by_primary(
    ceilings: OptionalTriple,
    present: Sequence[float],
    judged: NodeJudgement,
    primary: PrimaryDecision,
    turns: float,
) -> OptionalTriple:
    """What no phase can rise above without filling a primary line: two lines make each of those."""
    implied = judged.implied
    flows = primary.account_a if implied is None else implied.primary_a
    room_a = [
        ceiling - flow
        for ceiling, flow in zip(primary.ceiling_a, flows, strict=True)
        if ceiling is not None and flow is not None
    ]
    if not room_a:
        return ceilings
    part_a = max(0.0, min(room_a)) * turns / 2.0
    most = [
        a + part_a if ceiling is None else min(ceiling, a + part_a)
        for ceiling, a in zip(ceilings, present, strict=True)
    ]
    return _optional_triple(most)


def _wake_above_a(
    judged: NodeJudgement, decision: NodeDecision, meter: Meter, turns: float | None
) -> OptionalTriple:
    """A phase's own ceiling, and what it cannot rise above without leaving room in the VA row.

    When the sum rises by more than its room, some phase rises by more than its part of it. A meter
    that sees base load alone is held against what the account leaves for that.
    """
    ceilings, present = decision.ceiling_a, [judged.meter_a[p] or 0.0 for p in range(3)]
    loads_va = 0.0
    if meter.sees is Sees.BASE_ONLY:
        present = list(judged.base_a)
        loads = [decision.account_a[p] - present[p] for p in range(3)]
        loads_va = va_of(judged, loads)
        one, two, three = (
            None if ceiling is None else ceiling - load
            for ceiling, load in zip(ceilings, loads, strict=True)
        )
        ceilings = (one, two, three)
    if decision.primary is not None and turns is not None:
        ceilings = _wake_by_primary(ceilings, present, judged, decision.primary, turns)
    if decision.ceiling_va is None:
        return ceilings
    wired = [p - 1 for p in meter.phases]
    room_va = decision.ceiling_va - loads_va - va_of(judged, present)
    part_a = max(0.0, room_va) / total(judged.voltage_v[p] for p in wired)
    above: list[float | None] = []
    for p, ceiling in enumerate(ceilings):
        most_a = present[p] + part_a if p in wired else ceiling
        above.append(most_a if ceiling is None or most_a is None else min(most_a, ceiling))
    return (above[0], above[1], above[2])
