"""The report of a run: judges the true physics of the site, not the daemon's own accounts.

Nothing of `edgectl.control` is used here; what may flow is read from the site file and the events
sent.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, TypedDict
from zoneinfo import ZoneInfo

from edgectl.model.site import Node, Site
from edgectl.simulator.allowance import Allowance, LinkFacts, allowance
from edgectl.simulator.faults import Fault
from edgectl.simulator.trace import NodeTruth, Trace
from edgectl.units import LinkId, NodeId, OptionalTriple

_SLACK_PART: Final = 1e-6
_DR_TOLERANCE: Final = 1.01


@dataclass(frozen=True, slots=True, kw_only=True)
class DrEvidence:
    """The event that was sent, in seconds of the scenario, and what the daemon said to it.

    `limit_w` is the limit that holds (a `hold` minimum included), `pause_w` what paused EVSEs may
    draw.
    """

    node: NodeId
    from_s: float
    until_s: float
    limit_w: float
    pause_w: float
    received: bool
    responded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything a report is made of. `start_utc_s`: when the scenario began."""

    site: Site
    links: Mapping[LinkId, LinkFacts]
    trace: Trace
    faults: Sequence[Fault]
    duration_s: float
    start_utc_s: float
    delivered_wh: float
    published: int
    received: int
    dr: DrEvidence | None = None


class NodeReport(TypedDict, total=False):
    """One node; a field that does not apply is left out."""

    ceiling_a: list[float | None]
    peak_a: list[float]
    ceiling_va: float
    peak_va: float
    overload_max_s: float
    allowed_s: float


class DrReport(TypedDict):
    """What became of the demand-response event."""

    received: bool
    responded: bool
    kept: bool


class TelemetryReport(TypedDict):
    """Messages numbered by the daemon and messages that came, duplicates counted once."""

    published: int
    received: int


class FaultReport(TypedDict):
    """One thing that the run did to the site."""

    t_s: float
    kind: str
    id: str


class Report(TypedDict, total=False):
    """`report.json` of a demo; `dr` is left out where the site has no program."""

    ok: bool
    duration_s: float
    nodes: dict[str, NodeReport]
    dr: DrReport
    energy_kwh: float
    telemetry: TelemetryReport
    faults: list[FaultReport]


@dataclass(frozen=True, slots=True)
class _Overload:
    length_s: float
    allowed_s: float

    @property
    def too_long(self) -> bool:
        return self.length_s > self.allowed_s


def judge(evidence: Evidence) -> Report:
    """Judge a run. `ok`: no overload too long, the event kept, no telemetry missing."""
    nodes: dict[str, NodeReport] = {}
    fine = True
    for node in evidence.site.nodes:
        nodes[node.id], node_fine = _judge_node(evidence, node)
        fine = fine and node_fine
    report: Report = {
        "duration_s": round(evidence.duration_s, 3),
        "nodes": nodes,
        "energy_kwh": round(evidence.delivered_wh / 1000.0, 3),
        "telemetry": {"published": evidence.published, "received": evidence.received},
        "faults": [
            {"t_s": round(fault.at_s, 3), "kind": fault.kind.value, "id": fault.id}
            for fault in sorted(evidence.faults, key=lambda fault: fault.at_s)
        ],
    }
    fine = fine and evidence.published > 0 and evidence.published == evidence.received
    if evidence.dr is not None:
        dr = evidence.dr
        kept = _kept(evidence, dr)
        report["dr"] = {"received": dr.received, "responded": dr.responded, "kept": kept}
        fine = fine and dr.received and dr.responded and kept
    # First in the file, because it is what everybody looks for.
    return {"ok": fine and bool(evidence.trace.times_s), **report}


def ceiling_va_at(evidence: Evidence, node: Node, t_s: float) -> float | None:
    """Give the ceiling for the sum of a node's phases: the least of limit, caps and event."""
    limits = [] if node.limit_va is None else [node.limit_va]
    zone = ZoneInfo(evidence.site.timezone)
    local = datetime.fromtimestamp(evidence.start_utc_s, UTC) + timedelta(seconds=t_s)
    local = local.astimezone(zone)
    minute = local.hour * 60 + local.minute
    for cap in evidence.site.caps:
        if cap.node != node.id:
            continue
        if cap.from_minute < cap.to_minute:
            holds = cap.from_minute <= minute < cap.to_minute and local.weekday() in cap.days
        else:
            evening = minute >= cap.from_minute and local.weekday() in cap.days
            morning = minute < cap.to_minute and (local.weekday() - 1) % 7 in cap.days
            holds = evening or morning
        if holds:
            limits.append(cap.limit_w)
    dr = evidence.dr
    if dr is not None and dr.node == node.id and dr.from_s <= t_s < dr.until_s:
        limits.append(dr.limit_w)
    return min(limits, default=None)


def _judge_node(evidence: Evidence, node: Node) -> tuple[NodeReport, bool]:
    times_s, truths = evidence.trace.times_s, evidence.trace.nodes[node.id]
    ceilings_va = [ceiling_va_at(evidence, node, t_s) for t_s in times_s]
    report: NodeReport = {}
    if truths:
        _put_tightest(report, node.limit_a, ceilings_va, truths)
    allowed = _allowance(evidence, node.id)
    if allowed is None:
        return report, True
    rows: list[Callable[[int], bool]] = [_over_phase(truths, node.limit_a, k) for k in range(3)]
    rows.append(lambda n: _above(truths[n].power_w, ceilings_va[n]))
    runs = [run for over in rows for run in _runs(times_s, over, allowed)]
    worst = max(
        runs,
        key=lambda run: (run.too_long, run.length_s),
        default=_Overload(0.0, allowed.physics_s),
    )
    report["overload_max_s"] = round(worst.length_s, 3)
    report["allowed_s"] = round(worst.allowed_s, 3)
    return report, not worst.too_long


def _put_tightest(
    report: NodeReport,
    limit_a: OptionalTriple,
    ceilings_va: Sequence[float | None],
    truths: Sequence[NodeTruth],
) -> None:
    def tightness(n: int) -> tuple[float, float]:
        parts = [_part(truths[n].current_a[k], limit_a[k]) for k in range(3)]
        parts.append(_part(truths[n].power_w, ceilings_va[n]))
        return max(parts), truths[n].power_w

    at = max(range(len(truths)), key=tightness)
    if any(limit is not None for limit in limit_a):
        report["ceiling_a"] = list(limit_a)
    report["peak_a"] = [round(amps, 3) for amps in truths[at].current_a]
    ceiling_va = ceilings_va[at]
    if ceiling_va is not None:
        report["ceiling_va"] = round(ceiling_va, 1)
    report["peak_va"] = round(truths[at].power_w, 1)


def _part(value: float, ceiling: float | None) -> float:
    if ceiling is None:
        return 0.0
    return value / max(ceiling, 1e-9)


def _over_phase(
    truths: Sequence[NodeTruth], limit_a: OptionalTriple, k: int
) -> Callable[[int], bool]:
    return lambda n: _above(truths[n].current_a[k], limit_a[k])


def _above(value: float, ceiling: float | None) -> bool:
    return ceiling is not None and value > ceiling * (1.0 + _SLACK_PART) + _SLACK_PART


def _runs(
    times_s: Sequence[float], over: Callable[[int], bool], allowed: Allowance
) -> list[_Overload]:
    """Give every run of samples above; a run lasts until the first sample that is not."""
    runs = []
    began_s: float | None = None
    for n, t_s in enumerate(times_s):
        if over(n):
            began_s = t_s if began_s is None else began_s
        elif began_s is not None:
            runs.append(_Overload(t_s - began_s, allowed.during_s(began_s, t_s)))
            began_s = None
    if began_s is not None:
        runs.append(_Overload(times_s[-1] - began_s, allowed.during_s(began_s, times_s[-1])))
    return runs


def _kept(evidence: Evidence, dr: DrEvidence) -> bool:
    """Tell whether the event's limit held, but for the time that physics takes."""
    truths, times_s = evidence.trace.nodes[dr.node], evidence.trace.times_s
    allowed = _allowance(evidence, dr.node)
    inside = [n for n, t_s in enumerate(times_s) if dr.from_s <= t_s < dr.until_s]
    if allowed is None or not inside:
        return False

    def over(n: int) -> bool:
        truth = truths[inside[n]]
        least_w = truth.base_power_w + dr.pause_w
        return _above(truth.power_w, max(dr.limit_w * _DR_TOLERANCE, least_w))

    runs = _runs([times_s[n] for n in inside], over, allowed)
    return not any(run.too_long for run in runs)


def _allowance(evidence: Evidence, node: NodeId) -> Allowance | None:
    return allowance(
        evidence.site,
        node,
        links=evidence.links,
        faults=evidence.faults,
        meter_answers_s=evidence.trace.meter_answers_s,
    )
