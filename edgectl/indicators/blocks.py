"""Quarter hours: what flowed at every port and meter, and how each port spent its time.

A block is written in parts: readings come late, and a clock that was set back runs through the same
quarter hour twice. Parts of one block add up.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from edgectl.indicators.energy import BLOCK_S, Gain, pieces
from edgectl.indicators.sessions import PRESENT, PortState


@dataclass(frozen=True, slots=True)
class PortBlock:
    """One port in a quarter hour. `watched_s`: time of which its state is known."""

    energy_wh: float = 0.0
    watched_s: float = 0.0
    charging_s: float = 0.0
    plugged_s: float = 0.0
    curtailed_s: float = 0.0
    estimated: bool = False

    def __add__(self, other: "PortBlock") -> "PortBlock":
        return PortBlock(
            energy_wh=self.energy_wh + other.energy_wh,
            watched_s=self.watched_s + other.watched_s,
            charging_s=self.charging_s + other.charging_s,
            plugged_s=self.plugged_s + other.plugged_s,
            curtailed_s=self.curtailed_s + other.curtailed_s,
            estimated=self.estimated or other.estimated,
        )


@dataclass(frozen=True, slots=True)
class NodeBlock:
    """The meter of a node in a quarter hour. `counted_s`: time between its readings."""

    import_wh: float = 0.0
    export_wh: float = 0.0
    counted_s: float = 0.0
    estimated: bool = False

    def __add__(self, other: "NodeBlock") -> "NodeBlock":
        return NodeBlock(
            import_wh=self.import_wh + other.import_wh,
            export_wh=self.export_wh + other.export_wh,
            counted_s=self.counted_s + other.counted_s,
            estimated=self.estimated or other.estimated,
        )

    @property
    def demand_w(self) -> float:
        """Mean power drawn over the quarter hour, or over longer if it ran twice."""
        return self.import_wh * 3600.0 / max(BLOCK_S, self.counted_s)


@dataclass(frozen=True, slots=True)
class Block:
    """One quarter hour from `start_s` (UTC) on, or a part of it."""

    start_s: float
    ports: Mapping[str, PortBlock] = field(default_factory=dict)
    nodes: Mapping[str, NodeBlock] = field(default_factory=dict)

    def __add__(self, other: "Block") -> "Block":
        ports, nodes = dict(self.ports), dict(self.nodes)
        for port_id, port in other.ports.items():
            ports[port_id] = ports.get(port_id, PortBlock()) + port
        for node_id, node in other.nodes.items():
            nodes[node_id] = nodes.get(node_id, NodeBlock()) + node
        return Block(self.start_s, ports, nodes)


class Blocks:
    """The blocks that are not written yet, by their start."""

    def __init__(self, open_blocks: Mapping[float, Block] | None = None) -> None:
        self._open = {start: _Growing(block) for start, block in (open_blocks or {}).items()}

    def port_energy(self, port_id: str, counted: Gain) -> None:
        """Lay a port's energy over the time in which it flowed."""
        if counted.wh == 0.0:
            return
        for start_s, part in _shares(counted):
            port = self._of(start_s).port(port_id)
            port.energy_wh += part
            port.estimated = port.estimated or _guess(counted, part)

    def node_energy(self, node_id: str, counted: Gain, *, export: bool = False) -> None:
        """Lay a meter's energy over the time in which it flowed; time counts with the import."""
        if counted.wh == 0.0 and counted.estimated:
            return
        for (start_s, part), (_, seconds) in zip(
            _shares(counted), pieces(counted.from_s, counted.until_s), strict=True
        ):
            made = (
                NodeBlock(export_wh=part, estimated=_guess(counted, part))
                if export
                else NodeBlock(import_wh=part, counted_s=seconds, estimated=_guess(counted, part))
            )
            nodes = self._of(start_s).nodes
            nodes[node_id] = nodes.get(node_id, NodeBlock()) + made

    def port_time(
        self, port_id: str, state: PortState, *, until_s: float, span_s: float, curtailed: bool
    ) -> None:
        """Lay time that passed in one state."""
        for start_s, seconds in pieces(until_s - span_s, until_s):
            if seconds > 0.0:
                self._of(start_s).port(port_id).add_time(state, seconds, curtailed=curtailed)

    def finished(self, before_s: float) -> tuple[Block, ...]:
        """Blocks that were over before a moment, oldest first."""
        starts = sorted(start for start in self._open if start + BLOCK_S <= before_s)
        return tuple(self._open[start].block(start) for start in starts)

    def drop(self, blocks: tuple[Block, ...]) -> None:
        """Forget blocks that are written."""
        for block in blocks:
            self._open.pop(block.start_s, None)

    def as_kept(self) -> dict[float, Block]:
        """Everything that is not written yet, as values."""
        return {start: growing.block(start) for start, growing in self._open.items()}

    def _of(self, start_s: float) -> "_Growing":
        growing = self._open.get(start_s)
        if growing is None:
            growing = self._open[start_s] = _Growing(Block(start_s))
        return growing


class _Growing:
    """A block that can still be added to: to its ports at every tick."""

    def __init__(self, block: Block) -> None:
        self.nodes = dict(block.nodes)
        self._ports = {port_id: _GrowingPort(port) for port_id, port in block.ports.items()}

    def port(self, port_id: str) -> "_GrowingPort":
        growing = self._ports.get(port_id)
        if growing is None:
            growing = self._ports[port_id] = _GrowingPort(PortBlock())
        return growing

    def block(self, start_s: float) -> Block:
        ports = {port_id: growing.block() for port_id, growing in self._ports.items()}
        return Block(start_s, ports, dict(self.nodes))


class _GrowingPort:
    __slots__ = (
        "charging_s",
        "curtailed_s",
        "energy_wh",
        "estimated",
        "plugged_s",
        "watched_s",
    )

    def __init__(self, port: PortBlock) -> None:
        self.energy_wh = port.energy_wh
        self.watched_s = port.watched_s
        self.charging_s = port.charging_s
        self.plugged_s = port.plugged_s
        self.curtailed_s = port.curtailed_s
        self.estimated = port.estimated

    def add_time(self, state: PortState, seconds: float, *, curtailed: bool) -> None:
        self.watched_s += seconds
        if state is PortState.CHARGING:
            self.charging_s += seconds
        if state in PRESENT:
            self.plugged_s += seconds
            if curtailed:
                self.curtailed_s += seconds

    def block(self) -> PortBlock:
        return PortBlock(
            energy_wh=self.energy_wh,
            watched_s=self.watched_s,
            charging_s=self.charging_s,
            plugged_s=self.plugged_s,
            curtailed_s=self.curtailed_s,
            estimated=self.estimated,
        )


def _shares(counted: Gain) -> list[tuple[float, float]]:
    span_s = counted.until_s - counted.from_s
    parts = list(pieces(counted.from_s, counted.until_s))
    if span_s <= 0.0:
        return [(parts[0][0], counted.wh)]
    return [(start_s, counted.wh * (seconds / span_s)) for start_s, seconds in parts]


def _guess(counted: Gain, part_wh: float) -> bool:
    return counted.estimated and part_wh > 0.0
