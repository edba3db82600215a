"""Reports: what goes out on `report/{name}`, and what the local API answers for the same names.

`report/session` has the fields of 23 CFR 680.112(a) that a private depot has; `report/daily` and
`report/monthly` those of uptime. Shares are between 0 and 1.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final

from pydantic import Field

from edgectl.contract import topics
from edgectl.contract.envelope import Envelope, Outgoing, Timestamp, rfc3339, row
from edgectl.contract.messages import Report
from edgectl.indicators.blocks import Block
from edgectl.indicators.energy import BLOCK_S
from edgectl.indicators.figures import Figures, NodeFigures, PortFigures, SessionFigures
from edgectl.indicators.ports import Outage
from edgectl.indicators.sessions import Session
from edgectl.model.telemetry import OutRow

PORTS_MAX: Final = 100
"""Ports in one message; a larger site's report comes in parts."""


class PortInterval(Outgoing):
    """One port in a quarter hour; `estimated`: its energy is in part a guess."""

    energy_wh: float
    charging_s: float
    plugged_s: float
    curtailed_s: float
    estimated: bool = False


class NodeInterval(Outgoing):
    """The meter of a node in a quarter hour; `demand_w`: mean power drawn."""

    energy_import_wh: float
    energy_export_wh: float
    demand_w: float
    counted_s: float
    estimated: bool = False


class IntervalReport(Report):
    """A quarter hour, or what became known of it later: parts of one `from` add up."""

    schema_id: ClassVar[str] = "edgectl/v1/report/interval"

    ports: dict[str, PortInterval]
    nodes: dict[str, NodeInterval]
    part: int = 1
    parts: int = 1


class Interruption(Outgoing):
    """How often, and how long in all, charging stood still by one cause."""

    count: int
    seconds: float


class SessionReport(Report):
    """A stay at a port; `from` is the plug in, `until` the plug out."""

    schema_id: ClassVar[str] = "edgectl/v1/report/session"

    session_id: str
    station_id: str
    port_id: str
    start_known: bool = True
    first_energy_at: Timestamp | None = None
    last_energy_at: Timestamp | None = None
    energy_wh: float
    estimated: bool = False
    peak_w: float
    charging_s: float
    curtailed_s: float
    interruptions: dict[str, Interruption]
    error_codes: tuple[str, ...]
    attempt: bool
    success: bool


class Counts(Outgoing):
    """Sessions that ended in the period; the rate is of the attempts."""

    sessions: int
    attempts: int
    successes: int
    success_rate: float | None = None


class OutageReport(Outgoing):
    """A time without a port; `until` is left out while it lasts."""

    from_: Annotated[Timestamp, Field(alias="from")]
    until: Timestamp | None = None
    cause: str
    minutes: float
    excluded_min: float
    evidence: str


class PortReport(Outgoing):
    """One port over the period. `peak_w`: of the sessions that ended in it."""

    energy_wh: float
    counts: Counts
    peak_w: float | None = None
    charging_s: float
    plugged_s: float
    curtailed_s: float
    outage_min: float
    excluded_min: float
    utilisation: float | None = None
    load_factor: float | None = None
    uptime_12_months_pct: float
    estimated: bool = False
    outages: tuple[OutageReport, ...] = ()
    outages_left_out: int | None = None


class NodeReport(Outgoing):
    """One node over the period; demand is by quarter hours."""

    source: str
    energy_import_wh: float
    energy_export_wh: float
    demand_mean_w: float | None = None
    demand_peak_w: float | None = None
    demand_peak_at: Timestamp | None = None
    load_factor: float | None = None
    missing_s: float
    estimated: bool = False


class PeriodReport(Report):
    """A day or a month in the site's own time; `complete` is false while it lasts."""

    schema_id: ClassVar[str] = "edgectl/v1/report/period"

    period: str
    timezone: str
    complete: bool
    energy_wh: float
    counts: Counts
    ports: dict[str, PortReport]
    nodes: dict[str, NodeReport]
    months_before: dict[str, dict[str, tuple[float, float]]] | None = Field(
        default=None,
        description="By month and port: minutes of outage, and of these minutes excluded.",
    )
    part: int = 1
    parts: int = 1


class IntervalMessage(Envelope, IntervalReport):
    """`report/interval` as it is published."""


class SessionMessage(Envelope, SessionReport):
    """`report/session` as it is published."""


class PeriodMessage(Envelope, PeriodReport):
    """`report/daily` and `report/monthly` as they are published."""


OUTAGES_MAX: Final = 50
"""Outages of one port that one report lists; the count and the minutes are of all."""


def schemas() -> dict[str, dict[str, Any]]:
    """JSON Schemas of the reports as they are published, by topic name."""
    published: tuple[tuple[str, type[Outgoing]], ...] = (
        ("interval", IntervalMessage),
        ("session", SessionMessage),
        ("daily", PeriodMessage),
        ("monthly", PeriodMessage),
    )
    return {
        topics.REPORT + name: model.model_json_schema(by_alias=True) for name, model in published
    }


def interval_report(block: Block) -> IntervalReport:
    """Say what is known of a quarter hour."""
    return IntervalReport(
        from_=rfc3339(block.start_s),
        until=rfc3339(block.start_s + BLOCK_S),
        ports={
            port_id: PortInterval(
                energy_wh=round(port.energy_wh, 1),
                charging_s=round(port.charging_s, 1),
                plugged_s=round(port.plugged_s, 1),
                curtailed_s=round(port.curtailed_s, 1),
                estimated=port.estimated,
            )
            for port_id, port in block.ports.items()
        },
        nodes={
            node: NodeInterval(
                energy_import_wh=round(part.import_wh, 1),
                energy_export_wh=round(part.export_wh, 1),
                demand_w=round(part.demand_w, 1),
                counted_s=round(part.counted_s, 1),
                estimated=part.estimated,
            )
            for node, part in block.nodes.items()
        },
    )


def session_report(session: Session, *, station_id: str) -> SessionReport:
    """Say what became of a stay that is over."""
    return SessionReport(
        from_=rfc3339(session.start_s),
        until=rfc3339(session.start_s if session.end_s is None else session.end_s),
        session_id=session.session_id,
        station_id=station_id,
        port_id=session.port_id,
        start_known=session.start_known,
        first_energy_at=_time(session.first_energy_s),
        last_energy_at=_time(session.last_energy_s),
        energy_wh=round(session.energy_wh, 1),
        estimated=session.estimated,
        peak_w=round(session.peak_w, 1),
        charging_s=round(session.charging_s, 1),
        curtailed_s=round(session.curtailed_s, 1),
        interruptions={
            cause.value: Interruption(count=stops.count, seconds=round(stops.seconds, 1))
            for cause, stops in session.interruptions.items()
        },
        error_codes=session.error_codes,
        attempt=session.asked,
        success=session.success,
    )


def period_report(
    figures: Figures,
    *,
    timezone: str,
    outages: Mapping[str, Sequence[tuple[Outage, float, float]]],
    months_before: dict[str, dict[str, tuple[float, float]]] | None = None,
) -> PeriodReport:
    """Say a period's figures. `outages`: of each port, with minutes and excluded minutes."""
    return PeriodReport(
        from_=rfc3339(figures.from_s),
        until=rfc3339(figures.until_s),
        period=figures.period,
        timezone=timezone,
        complete=figures.complete,
        energy_wh=round(figures.energy_wh, 1),
        counts=_counts(figures.sessions),
        ports={
            port_id: _port(port, outages.get(port_id, ()))
            for port_id, port in figures.ports.items()
        },
        nodes={node: _node(part) for node, part in figures.nodes.items()},
        months_before=months_before,
    )


def report_rows(name: str, report: Report, *, made_utc_s: float) -> list[OutRow]:
    """A report as rows of bounded size: the ports of a large site in parts."""
    return [row(topics.REPORT + name, part, made_utc_s=made_utc_s) for part in _parts(report)]


def _parts(report: Report) -> Iterator[Report]:
    if not isinstance(report, PeriodReport | IntervalReport) or len(report.ports) <= PORTS_MAX:
        yield report
        return
    ports = list(report.ports.items())
    parts = -(-len(ports) // PORTS_MAX)
    for number in range(parts):
        of_part = dict(ports[number * PORTS_MAX : (number + 1) * PORTS_MAX])
        # What is of the whole site stands in the first part only, so that parts add up.
        changes: dict[str, Any] = {"ports": of_part, "part": number + 1, "parts": parts}
        if number:
            changes["nodes"] = {}
        if isinstance(report, PeriodReport) and report.months_before is not None:
            changes["months_before"] = {
                month: {port: one for port, one in of_month.items() if port in of_part}
                for month, of_month in report.months_before.items()
            }
        yield report.model_copy(update=changes)


def _port(port: PortFigures, outages: Sequence[tuple[Outage, float, float]]) -> PortReport:
    return PortReport(
        energy_wh=round(port.energy_wh, 1),
        counts=_counts(port.sessions),
        peak_w=_watts(port.peak_w),
        charging_s=round(port.charging_s, 1),
        plugged_s=round(port.plugged_s, 1),
        curtailed_s=round(port.curtailed_s, 1),
        outage_min=round(port.outage_min, 2),
        excluded_min=round(port.excluded_min, 2),
        utilisation=_share(port.utilisation),
        load_factor=_share(port.load_factor),
        uptime_12_months_pct=round(port.uptime_12_months_pct, 4),
        estimated=port.estimated,
        outages=tuple(
            OutageReport(
                from_=rfc3339(outage.from_s),
                until=_time(outage.until_s),
                cause=outage.cause.value,
                minutes=round(minutes, 2),
                excluded_min=round(excluded_min, 2),
                evidence=outage.evidence,
            )
            for outage, minutes, excluded_min in outages[-OUTAGES_MAX:]
        ),
        outages_left_out=max(0, len(outages) - OUTAGES_MAX) or None,
    )


def _node(node: NodeFigures) -> NodeReport:
    return NodeReport(
        source=node.source,
        energy_import_wh=round(node.energy_import_wh, 1),
        energy_export_wh=round(node.energy_export_wh, 1),
        demand_mean_w=_watts(node.demand_mean_w),
        demand_peak_w=_watts(node.demand_peak_w),
        demand_peak_at=_time(node.demand_peak_at_s),
        load_factor=_share(node.load_factor),
        missing_s=round(node.missing_s, 1),
        estimated=node.estimated,
    )


def _counts(figures: SessionFigures) -> Counts:
    return Counts(
        sessions=figures.sessions,
        attempts=figures.attempts,
        successes=figures.successes,
        success_rate=_share(figures.success_rate),
    )


def _time(at_s: float | None) -> str | None:
    return None if at_s is None else rfc3339(at_s)


def _share(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _watts(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
