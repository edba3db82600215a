"""The books of a site: looks at all its ports and meters, and what is kept over restarts."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from edgectl.indicators.blocks import Block, Blocks
from edgectl.indicators.energy import Reading, gain, integrated
from edgectl.indicators.ports import Outage, Port, PortNews, look, moved
from edgectl.indicators.sessions import PortSeen, Session


@dataclass(frozen=True, slots=True)
class MeterSeen:
    """One look at a node's meter. `power_w`: mean since the last look, where no register counts."""

    imported: Reading | None = None
    exported: Reading | None = None
    power_w: float | None = None


@dataclass(frozen=True, slots=True)
class SiteSeen:
    """One look at everything (UTC)."""

    at_s: float
    ports: Mapping[str, PortSeen]
    meters: Mapping[str, MeterSeen]


@dataclass(frozen=True, slots=True)
class Kept:
    """What outlives a restart. `seen_s`: the last look."""

    seen_s: float
    ports: Mapping[str, Port] = field(default_factory=dict)
    counters: Mapping[str, Reading] = field(default_factory=dict)
    blocks: Mapping[float, Block] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class News:
    """What one look brought."""

    started: tuple[Session, ...] = ()
    ended: tuple[Session, ...] = ()
    outages: tuple[Outage, ...] = ()


class Books:
    """Sums up look after look.

    `port_most_w`, `meter_most_w`: what a port or a node cannot exceed, so that a register that
    jumps is not believed.
    """

    def __init__(
        self,
        kept: Kept | None,
        *,
        port_most_w: Mapping[str, float],
        meter_most_w: Mapping[str, float],
    ) -> None:
        self._port_most_w = port_most_w
        self._meter_most_w = meter_most_w
        self._seen_s = None if kept is None else kept.seen_s
        self._ports = dict(kept.ports) if kept is not None else {}
        self._counters = dict(kept.counters) if kept is not None else {}
        self.blocks = Blocks(None if kept is None else kept.blocks)

    @property
    def seen_s(self) -> float | None:
        """The last look; None before the first ever."""
        return self._seen_s

    def kept(self) -> Kept:
        """Everything that must outlive a restart."""
        return Kept(
            seen_s=self._seen_s or 0.0,
            ports=dict(self._ports),
            counters=dict(self._counters),
            blocks=self.blocks.as_kept(),
        )

    def watched_from_s(self) -> dict[str, float]:
        """Since when each port is known."""
        return {port_id: port.first_s for port_id, port in self._ports.items()}

    def open_outages(self) -> tuple[Outage, ...]:
        """Outages that last."""
        return tuple(port.outage for port in self._ports.values() if port.outage is not None)

    def open_sessions(self) -> tuple[Session, ...]:
        """Stays that last, or whose last reading is waited for."""
        return tuple(
            session
            for port in self._ports.values()
            for session in (port.ending, port.session)
            if session is not None
        )

    def move(self, by_s: float) -> None:
        """The clock was set: what is going on keeps its length."""
        self._ports = {port_id: moved(port, by_s) for port_id, port in self._ports.items()}
        self._counters = {
            name: Reading(reading.at_s + by_s, reading.wh)
            for name, reading in self._counters.items()
        }
        if self._seen_s is not None:
            self._seen_s += by_s

    def look(self, seen: SiteSeen) -> News:
        """Take one look into account."""
        started: list[Session] = []
        ended: list[Session] = []
        outages: list[Outage] = []
        for port_id, port_seen in seen.ports.items():
            news = self._look_at_port(port_id, port_seen)
            ended += news.ended
            outages += news.outages
            if news.started is not None:
                started.append(news.started)
        for node, meter in seen.meters.items():
            self._look_at_meter(node, meter, at_s=seen.at_s)
        for port_id in self._ports.keys() - seen.ports.keys():
            ended += self._remove(port_id)
        self._seen_s = seen.at_s
        return News(tuple(started), tuple(ended), tuple(outages))

    def _look_at_port(self, port_id: str, seen: PortSeen) -> PortNews:
        port, news = look(
            self._ports.get(port_id),
            port_id,
            seen,
            session_id=f"{port_id}-{round(seen.at_s * 1000.0):d}",
            most_w=self._port_most_w[port_id],
        )
        self._ports[port_id] = port
        if news.gain is not None:
            self.blocks.port_energy(port_id, news.gain)
        if news.span_s > 0.0:
            self.blocks.port_time(
                port_id,
                news.passed_in,
                until_s=seen.at_s,
                span_s=news.span_s,
                curtailed=seen.curtailed,
            )
        return news

    def _look_at_meter(self, node: str, meter: MeterSeen, *, at_s: float) -> None:
        if meter.imported is None and f"{node}/import" not in self._counters:
            if meter.power_w is not None:
                name = f"{node}/power"
                counted = integrated(self._counters.get(name), meter.power_w, at_s=at_s)
                self._count(node, name, counted, export=False)
            return
        self._counters.pop(f"{node}/power", None)
        for name, reading, export in (
            (f"{node}/import", meter.imported, False),
            (f"{node}/export", meter.exported, True),
        ):
            if reading is not None:
                self._count(node, name, reading, export=export)

    def _count(self, node: str, name: str, reading: Reading, *, export: bool) -> None:
        before = self._counters.get(name)
        if before is not None and reading.at_s <= before.at_s:
            return
        self._counters[name] = reading
        if before is not None:
            counted = gain(before, reading, most_w=self._meter_most_w[node])
            self.blocks.node_energy(node, counted, export=export)

    def _remove(self, port_id: str) -> list[Session]:
        """A port that the site file names no more ends with what is known of it."""
        port = self._ports.pop(port_id)
        found = [session for session in (port.ending, port.session) if session is not None]
        return [
            session if session.end_s is not None else replace(session, end_s=port.seen_s)
            for session in found
        ]
