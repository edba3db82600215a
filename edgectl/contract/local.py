"""The answers of the local API (`CONTRACTS` 5) as models, and `status` built from a tick's record.

A field that does not apply is left out; within a triple of phases it is null.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from edgectl.clock import Instant
from edgectl.contract.envelope import Timestamp, rfc3339
from edgectl.contract.evse_state import evse_status
from edgectl.contract.reasons import holder_text, reason_text
from edgectl.contract.vocabulary import EvseStatus
from edgectl.model.ceiling import Holder, TimedCeiling
from edgectl.model.decision import (
    Alarm,
    EvseDecision,
    ExportDecision,
    NodeDecision,
    PrimaryDecision,
    Reason,
    ReasonCode,
    Severity,
)
from edgectl.model.reading import Quality
from edgectl.model.record import TickRecord
from edgectl.model.site import Evse, Mode
from edgectl.model.snapshot import EvseView, Snapshot
from edgectl.units import EvseId, OptionalTriple, Triple

_LOUDEST_FIRST: Final = (Severity.CRITICAL, Severity.ALARM, Severity.WARNING, Severity.INFO)


class Message(BaseModel):
    """One value that goes over the socket."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def to_json(self) -> dict[str, Any]:
        """Say it without what does not apply."""
        return self.model_dump(mode="json", exclude_none=True)


class ErrorBody(Message):
    """What went wrong and what to do."""

    code: str
    message: str
    remedy: str


class ErrorAnswer(Message):
    """The answer to a request that is not granted."""

    error: ErrorBody


class HolderText(Message):
    """Who holds a ceiling."""

    rank: str
    kind: str
    id: str
    text: str


class ReasonText(Message):
    """Why a setpoint is what it is; `row` is `1`, `2`, `3` or `va`, `limit` in A or VA.

    `side`: `primary` where the row is a line that feeds the node's transformer.
    """

    code: ReasonCode
    text: str
    node: str | None = None
    row: str | None = None
    side: Literal["primary"] | None = None
    holder: HolderText | None = None
    limit: float | None = None
    until: Timestamp | None = None


class TickStatus(Message):
    """How the control loop does."""

    age_s: float
    p99_ms: float
    number: int
    late: int


class ExportReport(Message):
    """What a node may feed back, and does; all positive. It is watched, not commanded."""

    ceiling_a: list[float | None] | None = None
    ceiling_va: float | None = None
    ceiling_w: float | None = None
    fed_a: list[float | None] | None = None
    fed_va: float | None = None
    fed_w: float | None = None
    holder: HolderText


class PrimaryReport(Message):
    """The account of the lines that feed a node's transformer, in primary amperes."""

    ceiling_a: list[float | None] | None = None
    base_a: list[float]
    committed_a: list[float]
    headroom_a: list[float | None] | None = None
    deficit_a: list[float] | None = None


class NodeReport(Message):
    """One node's account; triples are per phase. `primary`: behind a transformer its other side."""

    ceiling_a: list[float | None] | None = None
    ceiling_va: float | None = None
    base_a: list[float]
    base_va: float
    committed_a: list[float]
    committed_va: float
    headroom_a: list[float | None] | None = None
    headroom_va: float | None = None
    deficit_a: list[float] | None = None
    deficit_va: float | None = None
    quality: Quality
    holder: HolderText
    export: ExportReport | None = None
    primary: PrimaryReport | None = None


class EvseReport(Message):
    """One EVSE at a glance; `age_s` since its charger's last good answer."""

    state: EvseStatus
    setpoint_a: float
    allocation_a: float
    committed_a: float
    measured_a: float | None = None
    reason: ReasonCode
    reason_text: str
    session_wh: float | None = None
    age_s: float | None = None


class AlarmStatus(Message):
    """Something a person should know now."""

    code: str
    severity: Severity
    id: str
    text: str
    data: dict[str, float | str] = Field(default_factory=dict)


class MqttStatus(Message):
    """The way to the regional broker; `backlog` counts messages that it has not acknowledged.

    `refused`: topics that it refuses; what goes there waits until its rights are mended. `aside`:
    messages that are set aside on the disk meanwhile.
    """

    connected: bool
    backlog: int
    aside: int | None = None
    refused: list[str] | None = None
    broker: str | None = None
    last_error: str | None = None


class ConfigStatus(Message):
    """The site file in force, since when, and why a newer one is not used, if it was refused."""

    hash: str
    since: Timestamp
    refused: str | None = None
    refused_at: Timestamp | None = None


class CeilingReport(Message):
    """A timed ceiling that holds or will hold; its holder's id is what `release` takes."""

    holder: HolderText
    node: str | None = None
    evse: str | None = None
    limit_a: list[float | None] | None = None
    limit_w: float | None = None
    export_a: list[float | None] | None = None
    export_w: float | None = None
    since: Timestamp
    until: Timestamp | None = None
    reason: str


class Status(Message):
    """The answer of `status`."""

    site: str
    timezone: str
    mode: Mode
    since: Timestamp
    at: Timestamp
    clock_trusted: bool
    version: str
    tick: TickStatus
    nodes: dict[str, NodeReport]
    evses: dict[str, EvseReport]
    ceilings: list[CeilingReport]
    alarms: list[AlarmStatus]
    mqtt: MqttStatus | None = None
    config: ConfigStatus | None = None
    dr: list[dict[str, Any]]
    groups: list[str] = Field(default_factory=list)
    safe: bool = False


class Health(Message):
    """The answer of `health`; `problems` is empty while all is well."""

    ok: bool
    tick_age_s: float | None = None
    problems: list[str]


def status(
    record: TickRecord,
    *,
    now: Instant,
    version: str,
    mqtt: MqttStatus | None,
    dr: Sequence[Mapping[str, Any]],
    alarms: Sequence[Alarm] = (),
    config: ConfigStatus | None = None,
) -> Status:
    """Build the answer of `status`; `mqtt` None: the site publishes nothing.

    `alarms`: what is wrong beside the decision's own alarms.
    """
    site = record.snapshot.site
    return Status(
        site=site.id,
        timezone=site.timezone,
        mode=site.mode,
        since=rfc3339(record.started_utc_s),
        at=rfc3339(now.utc_s),
        clock_trusted=now.utc_trusted,
        version=version,
        tick=TickStatus(
            age_s=now.mono_s - record.now.mono_s,
            p99_ms=record.tick_p99_ms,
            number=record.number,
            late=record.late_ticks,
        ),
        nodes={
            node.id: _node_report(
                record.decision.nodes[node.id], record.decision.exports.get(node.id)
            )
            for node in site.nodes
        },
        evses={evse.id: _evse_report(record, evse, now) for evse in site.evses},
        ceilings=[_ceiling_report(ceiling) for ceiling in record.snapshot.ceilings],
        alarms=[_alarm_status(alarm) for alarm in by_loudness((*record.decision.alarms, *alarms))],
        mqtt=mqtt,
        config=config,
        dr=[dict(event) for event in dr],
        groups=sorted(site.groups),
        safe=record.decision.safe,
    )


def by_loudness(alarms: Sequence[Alarm]) -> list[Alarm]:
    """Order alarms for a reader: the loudest first."""
    return sorted(alarms, key=lambda alarm: (_LOUDEST_FIRST.index(alarm.severity), alarm.id))


def holder_of(holder: Holder) -> HolderText:
    """Say who holds a ceiling, for programs and for people."""
    return HolderText(
        rank=holder.rank.name.lower(), kind=holder.kind, id=holder.id, text=holder_text(holder)
    )


def reason_of(decision: EvseDecision, *, now: Instant) -> ReasonText:
    """Say the reason of a setpoint, for programs and for people."""
    reason = _with_its_number(decision)
    until_s = reason.until_s
    return ReasonText(
        code=reason.code,
        text=reason_text(reason, now=now),
        node=reason.node,
        row=reason.row,
        side="primary" if reason.side == "primary" else None,
        holder=None if reason.holder is None else holder_of(reason.holder),
        limit=reason.limit,
        until=None if until_s is None else rfc3339(now.utc_s + until_s - now.mono_s),
    )


def _with_its_number(decision: EvseDecision) -> Reason:
    """Let the reason of a silent charger say what it counts with."""
    reason = decision.reason
    if reason.code is ReasonCode.SILENT and reason.limit is None:
        return dataclasses.replace(reason, limit=decision.committed_a)
    return reason


def measured_a(view: EvseView) -> float | None:
    """Return the newest measured current, None where there is none."""
    return view.samples[-1].highest_a() if view.samples else None


def export_report(export: ExportDecision | None) -> ExportReport | None:
    """Say what holds for what a node feeds back; None where nothing does."""
    if export is None:
        return None
    return ExportReport(
        ceiling_a=_triple(export.ceiling_a),
        ceiling_va=export.ceiling_va,
        ceiling_w=export.ceiling_w,
        fed_a=_triple(export.fed_a),
        fed_va=export.fed_va,
        fed_w=export.fed_w,
        holder=holder_of(export.holder),
    )


def _node_report(node: NodeDecision, export: ExportDecision | None) -> NodeReport:
    headroom_va = (
        None
        if node.ceiling_va is None
        else max(0.0, node.ceiling_va - (node.margin_va or 0.0) - node.base_va)
    )
    return NodeReport(
        ceiling_a=_triple(node.ceiling_a),
        ceiling_va=node.ceiling_va,
        base_a=list(node.base_a),
        base_va=node.base_va,
        committed_a=_difference(node.account_a, node.base_a),
        committed_va=node.account_va - node.base_va,
        headroom_a=_headroom(node),
        headroom_va=headroom_va,
        deficit_a=list(node.deficit_a) if any(node.deficit_a) else None,
        deficit_va=node.deficit_va or None,
        quality=node.quality,
        holder=holder_of(node.holder),
        export=export_report(export),
        primary=None if node.primary is None else _primary_report(node.primary),
    )


def _primary_report(lines: PrimaryDecision) -> PrimaryReport:
    return PrimaryReport(
        ceiling_a=_triple(lines.ceiling_a),
        base_a=list(lines.base_a),
        committed_a=_difference(lines.account_a, lines.base_a),
        headroom_a=_headroom(lines),
        deficit_a=list(lines.deficit_a) if any(lines.deficit_a) else None,
    )


def _headroom(lines: NodeDecision | PrimaryDecision) -> list[float | None] | None:
    """What is left for EVSEs under each line's ceiling; None where no line has one."""
    if lines.ceiling_a == (None, None, None):
        return None
    return [
        None if ceiling is None else max(0.0, ceiling - (margin or 0.0) - base)
        for ceiling, margin, base in zip(lines.ceiling_a, lines.margin_a, lines.base_a, strict=True)
    ]


def _evse_report(record: TickRecord, evse: Evse, now: Instant) -> EvseReport:
    decision = record.decision.evses[evse.id]
    view = view_of(record.snapshot, evse.id)
    return EvseReport(
        state=evse_status(
            view,
            decision,
            pause_a=evse.traits.pause_a,
            isolated=evse.id in record.snapshot.isolated,
        ),
        setpoint_a=decision.setpoint_a,
        allocation_a=decision.allocation_a,
        committed_a=decision.committed_a,
        measured_a=measured_a(view),
        reason=decision.reason.code,
        reason_text=reason_text(_with_its_number(decision), now=now),
        session_wh=view.session_wh,
        age_s=None if view.last_answer_s is None else now.mono_s - view.last_answer_s,
    )


def view_of(snapshot: Snapshot, evse: EvseId) -> EvseView:
    """Return what is known of an EVSE; nothing, before its charger was first heard."""
    return snapshot.evses.get(evse, EvseView())


def _ceiling_report(ceiling: TimedCeiling) -> CeilingReport:
    return CeilingReport(
        holder=holder_of(ceiling.holder),
        node=ceiling.node,
        evse=ceiling.evse,
        limit_a=_triple(ceiling.limit_a),
        limit_w=ceiling.limit_w,
        export_a=_triple(ceiling.export_a),
        export_w=ceiling.export_w,
        since=rfc3339(ceiling.from_utc_s),
        until=None if ceiling.until_utc_s is None else rfc3339(ceiling.until_utc_s),
        reason=ceiling.reason,
    )


def _alarm_status(alarm: Alarm) -> AlarmStatus:
    return AlarmStatus(
        code=alarm.code,
        severity=alarm.severity,
        id=alarm.id,
        text=alarm.text,
        data=dict(alarm.data),
    )


def _triple(values: OptionalTriple) -> list[float | None] | None:
    return None if values == (None, None, None) else list(values)


def _difference(whole: Triple, part: Triple) -> list[float]:
    return [a - b for a, b in zip(whole, part, strict=True)]
