"""What a run of `edgectl simulate` says: figures for a program, and one line for each session."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypedDict

from edgectl.model.site import Site
from edgectl.simulator.sizing.flowed import Flowed, NodeFlow
from edgectl.simulator.sizing.yard import Visit
from edgectl.units import OptionalTriple

PER_SESSION: Final = "sessions.csv"
_FULL_SHARE: Final = 0.999
"""A vehicle counts as full from here on: files round energies to watt-hours."""

_COLUMNS: Final = (
    "site",
    "session_id",
    "evse",
    "arrival_utc",
    "departure_utc",
    "energy_kwh",
    "delivered_kwh",
    "full",
    "first_energy_utc",
    "last_energy_utc",
    "announced_kwh",
    "announced_departure_utc",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A finished run."""

    site: Site
    policy: str
    tick_s: float
    from_utc_s: float
    until_utc_s: float
    visits: Sequence[Visit]
    left_out: int
    announced: int | None
    flowed: Flowed
    decisions: int
    rules_off: Sequence[str]
    scaled: dict[str, float]
    base_load_moved_weeks: int | None


class NodeReport(TypedDict, total=False):
    """One node; a field that does not apply is left out. `over_s`: time above any ceiling."""

    ceiling_a: list[float | None]
    ceiling_va: float
    primary_ceiling_a: list[float | None]
    peak_a: list[float]
    primary_peak_a: list[float]
    peak_kw: float
    demand_15min_kw: float
    energy_kwh: float
    load_factor: float
    over_s: float


class Report(TypedDict, total=False):
    """`report.json`. `sessions_left_out` found no free EVSE or no time at theirs.

    `sessions_announced`: of how many `--user-inputs` says something.
    """

    site: str
    policy: str
    tick_s: float
    from_utc: str
    until_utc: str
    sessions: int
    sessions_left_out: int
    sessions_announced: int
    energy_asked_kwh: float
    energy_delivered_kwh: float
    energy_delivered_pct: float
    sessions_full_pct: float
    nodes: dict[str, NodeReport]
    decisions: int
    rules_off: list[str]
    scaled: dict[str, float]
    base_load_moved_weeks: int
    per_session: str


def report_of(run: Run) -> Report:
    """The figures of a run; percentages of a run without sessions are left out."""
    asked_wh = sum(visit.stay.energy_wh for visit in run.visits)
    delivered_wh = sum(visit.delivered_wh for visit in run.visits)
    report: Report = {
        "site": run.site.id,
        "policy": run.policy,
        "tick_s": run.tick_s,
        "from_utc": utc_text(run.from_utc_s),
        "until_utc": utc_text(run.until_utc_s),
        "sessions": len(run.visits),
        "sessions_left_out": run.left_out,
        "energy_asked_kwh": round(asked_wh / 1000.0, 3),
        "energy_delivered_kwh": round(delivered_wh / 1000.0, 3),
        "nodes": {str(node.id): _node(run, n) for n, node in enumerate(run.site.nodes)},
        "decisions": run.decisions,
        "rules_off": list(run.rules_off),
        "scaled": dict(run.scaled),
        "per_session": PER_SESSION,
    }
    if run.visits:
        report["energy_delivered_pct"] = round(100.0 * delivered_wh / asked_wh, 2)
        full = sum(is_full(visit) for visit in run.visits)
        report["sessions_full_pct"] = round(100.0 * full / len(run.visits), 2)
    if run.announced is not None:
        report["sessions_announced"] = run.announced
    if run.base_load_moved_weeks is not None:
        report["base_load_moved_weeks"] = run.base_load_moved_weeks
    return report


def per_session_csv(visits: Sequence[Visit]) -> str:
    """One line for each session, by arrival."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for visit in sorted(visits, key=lambda one: (one.stay.arrival_s, one.stay.evse)):
        stay, row = visit.stay, visit.stay.row
        writer.writerow(
            (
                row.site,
                row.session_id,
                row.evse,
                utc_text(row.arrival_utc_s),
                utc_text(row.departure_utc_s),
                f"{stay.energy_wh / 1000.0:.3f}",
                f"{visit.delivered_wh / 1000.0:.3f}",
                int(is_full(visit)),
                _optional(visit.first_energy_s),
                _optional(visit.last_energy_s),
                f"{stay.announced.energy_wh / 1000.0:.3f}",
                utc_text(stay.announced.departure_utc_s),
            )
        )
    return text.getvalue()


def is_full(visit: Visit) -> bool:
    """Whether a vehicle got what it came for."""
    return visit.delivered_wh >= _FULL_SHARE * visit.stay.energy_wh


def utc_text(utc_s: float) -> str:
    """A time of the contract, to the second."""
    return datetime.fromtimestamp(round(utc_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _optional(utc_s: float | None) -> str:
    return "" if utc_s is None else utc_text(utc_s)


def _node(run: Run, n: int) -> NodeReport:
    node, flow, hours = run.site.nodes[n], run.flowed.nodes[n], run.flowed.duration_s / 3600.0
    report: NodeReport = {}
    if _any(node.limit_a):
        report["ceiling_a"] = list(node.limit_a)
    if node.limit_va is not None:
        report["ceiling_va"] = node.limit_va
    if _any(node.primary_limit_a):
        report["primary_ceiling_a"] = list(node.primary_limit_a)
    report["peak_a"] = [round(amps, 3) for amps in flow.peak_a]
    if node.transformer is not None:
        report["primary_peak_a"] = [round(amps, 3) for amps in flow.primary_peak_a]
    report["peak_kw"] = round(flow.peak_w / 1000.0, 3)
    report["demand_15min_kw"] = round(_demand_w(flow) / 1000.0, 3)
    report["energy_kwh"] = round(flow.energy_wh / 1000.0, 3)
    if flow.peak_w > 0.0 and hours > 0.0:
        report["load_factor"] = round(flow.energy_wh / hours / flow.peak_w, 4)
    report["over_s"] = round(flow.over_s, 1)
    return report


def _any(limits: OptionalTriple) -> bool:
    return any(limit is not None for limit in limits)


def _demand_w(flow: NodeFlow) -> float:
    return max((mean_w for _, mean_w, _ in flow.quarters), default=0.0)
