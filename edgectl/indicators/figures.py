"""The figures of a day or a month, from what was kept: quarter hours, sessions and outages.

Uptime is that of 23 CFR 680.116(b): per port, over the twelve months before, in minutes; what
nobody knows counts as an outage; times that the operator names are excluded, and so are hours
outside the stated opening hours. Sessions count in the period in which they end.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from edgectl.indicators.blocks import Block, NodeBlock, PortBlock
from edgectl.indicators.energy import BLOCK_S
from edgectl.indicators.exclusions import Exclusions, overlap_s
from edgectl.indicators.periods import Period
from edgectl.indicators.ports import Outage
from edgectl.indicators.sessions import Session
from edgectl.units import S_PER_H

YEAR_MIN = 525_600.0
"""Minutes of a year in the formula of 680.116(b), in a leap year too."""

_S_PER_MIN = 60.0


@dataclass(frozen=True, slots=True)
class Place:
    """What the figures need of the site: each port's rated power, the root, and metered nodes."""

    rated_w: Mapping[str, float]
    root: str
    metered: frozenset[str]


class Tally:
    """Sums of quarter hours, added one by one: a month of them need not be held at once."""

    def __init__(self, period: Period, place: Place) -> None:
        self._period = period
        self._place = place
        self.ports: dict[str, PortBlock] = {}
        self.nodes: dict[str, NodeBlock] = {}
        self.peaks: dict[str, tuple[float, float]] = {}

    def add(self, block: Block) -> None:
        """Add a quarter hour; one that does not begin in the period is left out."""
        if not self._period.from_s <= block.start_s < self._period.until_s:
            return
        for port_id, port in block.ports.items():
            self.ports[port_id] = self.ports.get(port_id, PortBlock()) + port
        nodes = dict(block.nodes)
        if self._place.root not in self._place.metered:
            nodes[self._place.root] = _of_ports(block)
        for node, part in nodes.items():
            self.nodes[node] = self.nodes.get(node, NodeBlock()) + part
            # Of equal peaks the first one.
            best = self.peaks.get(node)
            if best is None or (part.demand_w, -block.start_s) > (best[0], -best[1]):
                self.peaks[node] = (part.demand_w, block.start_s)


@dataclass(frozen=True, slots=True)
class Facts:
    """What was kept, as far as it touches a period; of its quarter hours the sums.

    `outages` reach back over the twelve months before the period's end; one that lasts ends now.
    `watched_from_s`: since when each port is known.
    """

    tally: "Tally"
    sessions: Sequence[Session] = ()
    outages: Sequence[Outage] = ()
    watched_from_s: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFigures:
    """Counts of sessions. `success_rate`: of the attempts, None where there was none."""

    sessions: int
    attempts: int
    successes: int
    success_rate: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PortFigures:
    """One port. Utilisation and load factor are parts of the time in service, not percentages.

    `peak_w`: of the sessions that ended in the period, None where none did.
    """

    energy_wh: float
    sessions: SessionFigures
    peak_w: float | None
    charging_s: float
    plugged_s: float
    curtailed_s: float
    outage_min: float
    excluded_min: float
    utilisation: float | None
    load_factor: float | None
    uptime_12_months_pct: float
    estimated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFigures:
    """One node. `demand_peak_at_s`: start of the quarter hour. `source`: its meter, or its ports.

    `missing_s`: time without readings. Load factor: mean by greatest demand; that of a quarter hour
    that runs, or was watched in part only, is not known whole, but never less than the mean.
    """

    source: str
    energy_import_wh: float
    energy_export_wh: float
    demand_mean_w: float | None
    demand_peak_w: float | None
    demand_peak_at_s: float | None
    load_factor: float | None
    missing_s: float
    estimated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """A period's figures; `until_s` is earlier than its end while it lasts."""

    period: str
    from_s: float
    until_s: float
    complete: bool
    energy_wh: float
    sessions: SessionFigures
    ports: dict[str, PortFigures]
    nodes: dict[str, NodeFigures]


def figures(
    period: Period, facts: Facts, *, place: Place, exclusions: Exclusions, now_s: float
) -> Figures:
    """Everything about a period, up to now."""
    until_s = min(period.until_s, now_s)
    ended = [
        session
        for session in facts.sessions
        if session.end_s is not None and period.from_s <= session.end_s < until_s
    ]
    ports = {
        port_id: _port(
            port_id,
            period=Period(period.name, period.from_s, until_s),
            whole=facts.tally.ports.get(port_id, PortBlock()),
            ended=[session for session in ended if session.port_id == port_id],
            outages=[outage for outage in facts.outages if outage.port_id == port_id],
            watched_from_s=facts.watched_from_s.get(port_id, period.from_s),
            rated_w=rated_w,
            exclusions=exclusions,
        )
        for port_id, rated_w in place.rated_w.items()
    }
    return Figures(
        period=period.name,
        from_s=period.from_s,
        until_s=until_s,
        complete=now_s >= period.until_s,
        energy_wh=sum(port.energy_wh for port in ports.values()),
        sessions=_counts(ended),
        ports=ports,
        nodes={
            node: _node(node, facts.tally, place=place, seconds=until_s - period.from_s)
            for node in sorted(place.metered | {place.root})
        },
    )


def uptime_pct(
    port_id: str,
    outages: Iterable[Outage],
    *,
    until_s: float,
    exclusions: Exclusions,
) -> float:
    """680.116(b): of the twelve months before a moment."""
    year = Period("", until_s - YEAR_MIN * _S_PER_MIN, until_s)
    outage_min, excluded_min = outage_minutes(port_id, outages, year, exclusions=exclusions)
    return (YEAR_MIN - (outage_min - excluded_min)) / YEAR_MIN * 100.0


def outage_minutes(
    port_id: str, outages: Iterable[Outage], period: Period, *, exclusions: Exclusions
) -> tuple[float, float]:
    """T_outage and T_excluded of a port in a period."""
    outage_s = excluded_s = 0.0
    for outage in outages:
        ended_s = period.until_s if outage.until_s is None else outage.until_s
        from_s, until_s = max(outage.from_s, period.from_s), min(ended_s, period.until_s)
        if outage.port_id == port_id and until_s > from_s:
            outage_s += until_s - from_s
            excluded_s += exclusions.within_s(port_id, from_s, until_s)
    return outage_s / _S_PER_MIN, excluded_s / _S_PER_MIN


def _port(
    port_id: str,
    *,
    period: Period,
    whole: PortBlock,
    ended: Sequence[Session],
    outages: Sequence[Outage],
    watched_from_s: float,
    rated_w: float,
    exclusions: Exclusions,
) -> PortFigures:
    outage_min, excluded_min = outage_minutes(port_id, outages, period, exclusions=exclusions)
    there_s = overlap_s((watched_from_s, period.until_s), (period.from_s, period.until_s))
    in_service_s = max(0.0, there_s - outage_min * _S_PER_MIN)
    return PortFigures(
        energy_wh=whole.energy_wh,
        sessions=_counts(ended),
        peak_w=max((session.peak_w for session in ended), default=None),
        charging_s=whole.charging_s,
        plugged_s=whole.plugged_s,
        curtailed_s=whole.curtailed_s,
        outage_min=outage_min,
        excluded_min=excluded_min,
        utilisation=whole.charging_s / in_service_s if in_service_s else None,
        load_factor=whole.energy_wh * S_PER_H / (rated_w * in_service_s)
        if rated_w and in_service_s
        else None,
        uptime_12_months_pct=uptime_pct(
            port_id, outages, until_s=period.until_s, exclusions=exclusions
        ),
        estimated=whole.estimated,
    )


def _counts(ended: Sequence[Session]) -> SessionFigures:
    attempts = sum(session.asked for session in ended)
    successes = sum(session.success for session in ended)
    return SessionFigures(
        sessions=len(ended),
        attempts=attempts,
        successes=successes,
        success_rate=successes / attempts if attempts else None,
    )


def _node(node: str, tally: Tally, *, place: Place, seconds: float) -> NodeFigures:
    whole = tally.nodes.get(node, NodeBlock())
    peak = tally.peaks.get(node)
    mean_w = whole.import_wh * S_PER_H / whole.counted_s if whole.counted_s else None
    peak_w = None if peak is None else peak[0]
    return NodeFigures(
        source="meter" if node in place.metered else "ports",
        energy_import_wh=whole.import_wh,
        energy_export_wh=whole.export_wh,
        demand_mean_w=mean_w,
        demand_peak_w=peak_w,
        demand_peak_at_s=None if peak is None else peak[1],
        load_factor=mean_w / max(mean_w, peak_w) if mean_w is not None and peak_w else None,
        missing_s=max(0.0, seconds - whole.counted_s),
        estimated=whole.estimated,
    )


def _of_ports(block: Block) -> NodeBlock:
    """What a root without a meter is known to draw: its ports."""
    watched_s = max((port.watched_s for port in block.ports.values()), default=0.0)
    return NodeBlock(
        import_wh=sum(port.energy_wh for port in block.ports.values()),
        counted_s=min(BLOCK_S, watched_s),
        estimated=any(port.estimated for port in block.ports.values()),
    )
