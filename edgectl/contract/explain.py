"""`why EVSE`: the ceilings from an EVSE's node up to the root, and what would give it more.

1. The chain adds up: ceiling - margin - base - others = what is left for this EVSE.
2. The others are counted as in the promise: new setpoints, and the fixed load of silent chargers.
3. `next_relaxation` names the first thing that changes by itself, or what it depends on.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from math import isfinite
from typing import Final, Literal

from pydantic import Field

from edgectl.clock import Instant
from edgectl.contract.envelope import Timestamp, rfc3339
from edgectl.contract.local import (
    ExportReport,
    HolderText,
    Message,
    ReasonText,
    export_report,
    holder_of,
    reason_of,
)
from edgectl.contract.reasons import VA_ROW, holder_text
from edgectl.errors import Refused
from edgectl.model.ceiling import Holder, TimedCeiling
from edgectl.model.decision import EvseDecision, NodeDecision, Reason, ReasonCode
from edgectl.model.reading import Quality
from edgectl.model.record import TickRecord
from edgectl.model.site import Evse, Mode, Node, Site, fed_by, has_phasors, nominal_v
from edgectl.units import EvseId, NodeId

_BOUND_BY_A_CEILING: Final = frozenset(
    {
        ReasonCode.NODE_CEILING,
        ReasonCode.PRIMARY_CEILING,
        ReasonCode.VA_CEILING,
        ReasonCode.BASE_OVER_CEILING,
        ReasonCode.FIXED_OVER_CEILING,
        ReasonCode.NOT_ADMITTED,
        ReasonCode.INCREMENT,
        ReasonCode.EVSE_CEILING,
        ReasonCode.PAUSED,
    }
)


class ChainRow(Message):
    """One node on the way to the root: its tightest phase for this EVSE, and its sum if it has one.

    `phase` is `va` for the sum; then the amounts stand in the `_va` fields. `side` is `primary` for
    the tightest of the lines that feed its transformer. Where currents are phasors `others_a` is
    what the promise has beside base load and this EVSE.
    """

    node: str
    phase: int | str
    side: Literal["primary"] | None = None
    ceiling_a: float | None = None
    margin_a: float | None = None
    base_a: float | None = None
    others_a: float | None = None
    left_a: float | None = None
    deficit_a: float | None = None
    ceiling_va: float | None = None
    margin_va: float | None = None
    base_va: float | None = None
    others_va: float | None = None
    left_va: float | None = None
    deficit_va: float | None = None
    quality: Quality
    holder: HolderText
    since: Timestamp | None = None
    until: Timestamp | None = None


class NodeExport(ExportReport):
    """What a node on the way to the root may feed back; it takes nothing from an EVSE."""

    node: str


class NextRelaxation(Message):
    """What gives this EVSE more: at a time, or when something else changes."""

    text: str
    at: Timestamp | None = None
    in_s: float | None = None


class QueuePlace(Message):
    """Where a waiting EVSE stands among those of its tier that wait; 1 is next."""

    position: int
    since: Timestamp | None = None


class VehicleTarget(Message):
    """What its vehicle still needs by when, where the policy looks at it.

    `laxity_s`: how long it could wait and still be ready; below 0 it cannot make it any more.
    """

    need_wh: float
    departure: Timestamp
    laxity_s: float | None = None


class Why(Message):
    """The answer of `why`. `also`: what would hold it back if its reason did not.

    `mode`: in `observe` the setpoint is what it would be told.
    """

    evse: str
    mode: Mode
    setpoint_a: float
    allocation_a: float
    committed_a: float
    reason: ReasonText
    also: list[str] = Field(default_factory=list)
    chain: list[ChainRow] = Field(min_length=1)
    exports: list[NodeExport] | None = None
    next_relaxation: NextRelaxation | None = None
    queue: QueuePlace | None = None
    target: VehicleTarget | None = None


def why(record: TickRecord, evse_id: str, *, now: Instant) -> Why:
    """Explain an EVSE's setpoint; `Refused` when there is no such EVSE."""
    site = record.snapshot.site
    evse = next((one for one in site.evses if one.id == evse_id), None)
    if evse is None:
        raise Refused(
            code="unknown_target",
            message=f"there is no EVSE {evse_id!r}",
            remedy=f"known are: {_some([one.id for one in site.evses])}",
        )
    decision = record.decision.evses[evse.id]
    return Why(
        evse=evse.id,
        mode=site.mode,
        setpoint_a=decision.setpoint_a,
        allocation_a=decision.allocation_a,
        committed_a=decision.committed_a,
        reason=reason_of(decision, now=now),
        also=_also(record, evse, decision.reason, now),
        chain=[
            row
            for node, lines in _lines_to_root(site, evse)
            for row in _rows(record, node, lines, evse, decision)
        ],
        exports=_exports(record, evse.node) or None,
        next_relaxation=_next_relaxation(record, evse, decision.reason, now),
        queue=_queue_place(record, evse, now),
        target=_target(decision),
    )


def _to_root(site: Site, node_id: NodeId) -> Iterator[Node]:
    nodes = {node.id: node for node in site.nodes}
    next_id: NodeId | None = node_id
    while next_id is not None:
        node = nodes[next_id]
        yield node
        next_id = node.parent


def _exports(record: TickRecord, node_id: NodeId) -> list[NodeExport]:
    found = record.decision.exports
    return [
        NodeExport(node=node.id, **report.model_dump())
        for node in _to_root(record.snapshot.site, node_id)
        if (report := export_report(found.get(node.id))) is not None
    ]


def _lines_to_root(site: Site, evse: Evse) -> Iterator[tuple[Node, frozenset[int]]]:
    """Every node above an EVSE with its lines that the EVSE loads."""
    lines = frozenset(evse.phases)
    for node in _to_root(site, evse.node):
        yield node, lines
        if node.transformer is not None:
            lines = fed_by(lines)


def _rows(
    record: TickRecord, node: Node, lines: frozenset[int], evse: Evse, decision: EvseDecision
) -> Iterator[ChainRow]:
    account = record.decision.nodes[node.id]
    own_a = decision.committed_a if decision.silent else decision.setpoint_a
    yield _tightest(_phase_row(record, node, account, line, own_a) for line in sorted(lines))
    if account.primary is not None and node.transformer is not None:
        fed_a = own_a / node.transformer.turns_ratio
        yield _tightest(
            _primary_row(record, node, account, line, fed_a) for line in sorted(fed_by(lines))
        )
    if account.ceiling_va is not None:
        volts = evse.voltages * _voltage_v(record.snapshot.site, evse, account)
        yield _va_row(record, node, account, own_a * volts)


def _tightest(rows: Iterable[ChainRow]) -> ChainRow:
    return min(rows, key=lambda row: float("inf") if row.left_a is None else row.left_a)


def _primary_row(
    record: TickRecord, node: Node, account: NodeDecision, line: int, own_a: float
) -> ChainRow:
    """The same of a line that feeds the node's transformer."""
    fed = account.primary
    if fed is None:
        raise ValueError(f"{node.id} has no transformer")
    lines = replace(
        account,
        ceiling_a=fed.ceiling_a,
        margin_a=fed.margin_a,
        base_a=fed.base_a,
        promise_a=fed.promise_a,
        deficit_a=fed.deficit_a,
        holder_a=fed.holder_a,
    )
    row = _phase_row(record, node, lines, line, own_a)
    return row.model_copy(update={"side": "primary"})


def _phase_row(
    record: TickRecord, node: Node, account: NodeDecision, phase: int, own_a: float
) -> ChainRow:
    index = phase - 1
    ceiling_a = account.ceiling_a[index]
    margin_a = account.margin_a[index]
    base_a = account.base_a[index]
    others_a = max(0.0, account.promise_a[index] - base_a - own_a)
    holder = account.holder_a[index]
    held = _timed(record, holder, node=node.id)
    return ChainRow(
        node=node.id,
        phase=phase,
        ceiling_a=ceiling_a,
        margin_a=margin_a,
        base_a=base_a,
        others_a=others_a,
        left_a=_left(ceiling_a, margin_a, base_a, others_a),
        deficit_a=account.deficit_a[index] or None,
        quality=account.quality,
        holder=holder_of(holder),
        since=_since(held),
        until=_until(held),
    )


def _va_row(record: TickRecord, node: Node, account: NodeDecision, own_va: float) -> ChainRow:
    others_va = max(0.0, account.promise_va - account.base_va - own_va)
    held = _timed(record, account.holder_va, node=node.id)
    return ChainRow(
        node=node.id,
        phase=VA_ROW,
        ceiling_va=account.ceiling_va,
        margin_va=account.margin_va,
        base_va=account.base_va,
        others_va=others_va,
        left_va=_left(account.ceiling_va, account.margin_va, account.base_va, others_va),
        deficit_va=account.deficit_va or None,
        quality=account.quality,
        holder=holder_of(account.holder_va),
        since=_since(held),
        until=_until(held),
    )


def _left(ceiling: float | None, margin: float | None, base: float, others: float) -> float | None:
    if ceiling is None:
        return None
    return max(0.0, ceiling - (margin or 0.0) - base - others)


def _voltage_v(site: Site, evse: Evse, account: NodeDecision) -> float:
    """Return the voltage with which the account itself turned the EVSEs' amperes into VA.

    Currents of phasors do not show it: there it is the nominal one.
    """
    nominal = nominal_v(site, node=evse.node)
    if has_phasors(site):
        return nominal
    load_a = sum(account.account_a) - sum(account.base_a)
    load_va = account.account_va - account.base_va
    return load_va / load_a if load_a > 0 and load_va > 0 else nominal


def _timed(
    record: TickRecord, holder: Holder, *, node: NodeId | None = None, evse: EvseId | None = None
) -> TimedCeiling | None:
    for ceiling in record.snapshot.ceilings:
        if ceiling.holder == holder and ceiling.node == node and ceiling.evse == evse:
            return ceiling
    return None


def _since(held: TimedCeiling | None) -> str | None:
    return None if held is None else rfc3339(held.from_utc_s)


def _until(held: TimedCeiling | None) -> str | None:
    return None if held is None or held.until_utc_s is None else rfc3339(held.until_utc_s)


def _next_relaxation(
    record: TickRecord, evse: Evse, reason: Reason, now: Instant
) -> NextRelaxation | None:
    held = _binding(record, evse, reason) if reason.code in _BOUND_BY_A_CEILING else None
    if held is not None and held.until_utc_s is not None:
        return NextRelaxation(
            text=f"{holder_text(held.holder)} ends",
            at=rfc3339(held.until_utc_s),
            in_s=max(0.0, held.until_utc_s - now.utc_s),
        )
    if reason.until_s is not None:
        in_s = max(0.0, reason.until_s - now.mono_s)
        what = _ENDS.get(reason.code, "what stops it ends")
        return NextRelaxation(text=what, at=rfc3339(now.utc_s + in_s), in_s=in_s)
    if held is not None:
        return NextRelaxation(text=f"when {holder_text(held.holder)} is changed or released")
    text = _DEPENDS_ON.get(reason.code)
    if text is None:
        return None
    return NextRelaxation(text=text.format(node=reason.node or "a node above"))


_ENDS: Final = {
    ReasonCode.MIN_OFF: "its rest after the last stop ends",
    ReasonCode.NO_DEMAND: "it waits for its minimum with the others again",
}

_DEPENDS_ON: Final = {
    ReasonCode.NODE_CEILING: "when base load or other vehicles under {node} take less",
    ReasonCode.PRIMARY_CEILING: "when base load or other vehicles under {node} take less",
    ReasonCode.VA_CEILING: "when base load or other vehicles under {node} take less",
    ReasonCode.UNBALANCE: "when the loads of the phases of {node} come closer to each other",
    ReasonCode.INCREMENT: "when base load or other vehicles under {node} take less",
    ReasonCode.NOT_ADMITTED: "when its minimum fits under {node}, or a turn ends",
    ReasonCode.BASE_OVER_CEILING: "when the base load of {node} falls",
    ReasonCode.FIXED_OVER_CEILING: "when silent chargers under {node} answer again, or the base"
    " load falls",
    ReasonCode.NO_DEMAND: "when the vehicle asks for power",
    ReasonCode.NO_VEHICLE: "when a vehicle is plugged in",
    ReasonCode.FAULT: "when the charger's fault is cleared",
    ReasonCode.SILENT: "when the charger answers again; see its supply, link and unit id",
    ReasonCode.WAITS_FOR_ROOM: "when lower setpoints of others are confirmed, usually in seconds",
    ReasonCode.DRAWS_LESS: "when the vehicle draws nearly all that it may, or at the next trial",
    ReasonCode.SAFE_DECISION: "when the daemon decides again; see its journal",
    ReasonCode.PAUSED: "when it is resumed",
    ReasonCode.EVSE_CEILING: "when the limit of this EVSE is changed",
}


def _binding(record: TickRecord, evse: Evse, reason: Reason) -> TimedCeiling | None:
    """Find the timed ceiling that stops this EVSE, if a timed one does."""
    if reason.node is None:
        return None if reason.holder is None else _timed(record, reason.holder, evse=evse.id)
    account = record.decision.nodes[reason.node]
    holder = reason.holder
    if holder is None and reason.row is not None:
        holder = account.holder_va if reason.row == VA_ROW else _row_holder(account, reason)
    return None if holder is None else _timed(record, holder, node=reason.node)


def _row_holder(account: NodeDecision, reason: Reason) -> Holder:
    row = int(reason.row or 1) - 1
    if reason.side == "primary" and account.primary is not None:
        return account.primary.holder_a[row]
    return account.holder_a[row]


def _also(record: TickRecord, evse: Evse, reason: Reason, now: Instant) -> list[str]:
    """Say the timed ceilings of this EVSE that its reason does not name."""
    said = []
    for ceiling in record.snapshot.ceilings:
        over = ceiling.until_utc_s is not None and ceiling.until_utc_s <= now.utc_s
        if ceiling.evse != evse.id or ceiling.from_utc_s > now.utc_s or over:
            continue
        if reason.node is None and reason.holder == ceiling.holder:
            continue
        what = "it is also paused" if _stops(ceiling) else "it is also limited"
        said.append(f"{what}, set by {holder_text(ceiling.holder)}: {ceiling.reason}")
    if evse.id in record.snapshot.isolated:
        said.append("it is isolated: somebody said that its supply is locked off")
    return said


def _stops(ceiling: TimedCeiling) -> bool:
    return ceiling.limit_w == 0.0 or any(value == 0.0 for value in ceiling.limit_a)


def _queue_place(record: TickRecord, evse: Evse, now: Instant) -> QueuePlace | None:
    place = record.decision.evses[evse.id].place
    if place is None:
        return None
    known = record.state.evses.get(evse.id)
    asked_s = None if known is None else known.asked_s
    since = None if asked_s is None else rfc3339(now.utc_s - (now.mono_s - asked_s))
    return QueuePlace(position=place, since=since)


def _target(decision: EvseDecision) -> VehicleTarget | None:
    urgency = decision.urgency
    if urgency is None:
        return None
    return VehicleTarget(
        need_wh=urgency.need_wh,
        departure=rfc3339(urgency.departure_utc_s),
        laxity_s=urgency.laxity_s if isfinite(urgency.laxity_s) else None,
    )


def _some(names: list[EvseId]) -> str:
    shown = ", ".join(names[:12])
    return f"{shown}, ..." if len(names) > 12 else shown
