"""The site: its electrical tree, its meters, EVSEs and links, as frozen facts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import sqrt
from typing import Final

from edgectl.model.policy import Sharing
from edgectl.model.serial_line import SerialLine
from edgectl.units import EvseId, LinkId, MeterId, NodeId, OptionalTriple, ProgramId, Triple

SILENT_AFTER_POLLS: Final = 3
SILENT_AFTER_S: Final = 5.0
_ROOT_3: Final = sqrt(3.0)


class KeepAlive(StrEnum):
    """What rearms a charger's watchdog. `NONE`: there is none, the last value stays for ever."""

    ANY_ACCESS = "any_access"
    READ = "read"
    REWRITE = "rewrite"
    TOKEN = "token"  # noqa: S105 - a kind of keep-alive
    LIFE_BIT = "life_bit"
    MIRROR = "mirror"
    NONE = "none"


class Mode(StrEnum):
    """`OBSERVE` reads, decides, explains and publishes, and writes nothing to any charger."""

    CONTROL = "control"
    OBSERVE = "observe"


class Connection(StrEnum):
    """How an EVSE is wired. `LINE_TO_LINE`: between two lines (North America, 208 or 240 V)."""

    LINE_TO_NEUTRAL = "line_to_neutral"
    LINE_TO_LINE = "line_to_line"


class LinkKind(StrEnum):
    """How a link carries Modbus. Both RTU kinds are one serial line, here or behind a converter."""

    TCP = "tcp"
    RTU = "rtu"
    RTU_OVER_TCP = "rtu_over_tcp"


@dataclass(frozen=True, slots=True)
class ChargerTraits:
    """What the judgement must know of an EVSE's charger. Currents are per phase, in A.

    `settle_s`: from a write to the vehicle's current having followed it; `pause_settle_s` the same
    for a pause. `refresh_s`: how old a measured value may be when it is read. `watchdog_s` is None
    where there is no watchdog. `step_a` 0 means continuous; `allowed_a` replaces it where only
    listed values exist. `readback`: the setpoint can be read back. `metered`: the charger measures
    its own current.
    """

    hardware_max_a: float
    min_a: float = 6.0
    step_a: float = 1.0
    allowed_a: tuple[float, ...] = ()
    pause_a: float = 0.0
    settle_s: float = 10.0
    pause_settle_s: float = 6.0
    refresh_s: float = 3.0
    poll_s: float = 1.0
    keepalive: KeepAlive = KeepAlive.NONE
    watchdog_s: float | None = None
    failsafe_a: float = 0.0
    boot_a: float = 0.0
    metered: bool = True
    readback: bool = True
    min_write_interval_s: float = 0.0

    @property
    def silent_after_s(self) -> float:
        """Without a good answer for so long it counts as silent (S9)."""
        return max(SILENT_AFTER_POLLS * self.poll_s, SILENT_AFTER_S)


@dataclass(frozen=True, slots=True)
class Transformer:
    """A delta-wye transformer between a node, its secondary side, and the node's parent.

    `turns_ratio`: primary line-to-line volts over secondary line-to-neutral volts.
    """

    turns_ratio: float


@dataclass(frozen=True, slots=True)
class Node:
    """A point of the electrical tree with limits.

    `limit_a` per phase and `limit_va` for the sum: None where there is no such limit. `base_max_a`:
    the worst base load connected at this node itself, nodes below not counted. `margin_a` None: 2 %
    of each row. `unbalance_a`: by how much the currents of two phases may differ.
    `primary_limit_a`: limits of the lines that feed its transformer; everything else of such a node
    is that of the secondary side, and the nodes above it count amperes of the primary one.
    `export_limit_a`, `export_limit_va`: of what is fed back, as positive numbers.
    """

    id: NodeId
    parent: NodeId | None
    limit_a: OptionalTriple = (None, None, None)
    limit_va: float | None = None
    base_max_a: Triple = (0.0, 0.0, 0.0)
    margin_a: float | None = None
    trip_s: float | None = None
    unbalance_a: float | None = None
    transformer: Transformer | None = None
    primary_limit_a: OptionalTriple = (None, None, None)
    export_limit_a: OptionalTriple = (None, None, None)
    export_limit_va: float | None = None


class Sees(StrEnum):
    """What a meter measures of its node: all that flows there, all but the EVSEs, or some of it.

    One that sees a part raises alarms and nothing else.
    """

    ALL = "all"
    BASE_ONLY = "base_only"
    PART = "part"


@dataclass(frozen=True, slots=True)
class Meter:
    """A meter at a node. One device may be the meter of several nodes that lie in a row.

    `phases`: entry k is the site phase on the meter's own terminal k+1. `refresh_s`: how old a
    value may be when it is read.
    """

    id: MeterId
    node: NodeId
    profile: str
    link: LinkId
    unit: int
    poll_s: float
    phases: tuple[int, ...] = (1, 2, 3)
    refresh_s: float = 1.0
    sign: int = 1
    address_offset: int = 0
    word_order: str | None = None
    sees: Sees = Sees.ALL


@dataclass(frozen=True, slots=True)
class Evse:
    """An EVSE.

    `phases`: entry k is the site phase on its own terminal k+1. `max_a`: cable and site limit.
    """

    id: EvseId
    node: NodeId
    profile: str
    link: LinkId
    unit: int
    connector: int
    phases: tuple[int, ...]
    max_a: float
    traits: ChargerTraits
    weight: float = 1.0
    tier: int = 0
    address_offset: int = 0
    word_order: str | None = None
    connection: Connection = Connection.LINE_TO_NEUTRAL

    @property
    def voltages(self) -> float:
        """See `voltages_of`."""
        return voltages_of(self.connection, len(self.phases))


@dataclass(frozen=True, slots=True)
class Link:
    """One Modbus TCP connection or one serial line; it may serve many devices.

    `device` in place of `host` and `port` for RTU. `serial` is None for TCP.
    """

    id: LinkId
    kind: LinkKind
    host: str = ""
    port: int = 0
    device: str = ""
    serial: SerialLine | None = None

    @property
    def where(self) -> str:
        """What it goes to, for people."""
        return self.device or f"{self.host} port {self.port}"


@dataclass(frozen=True, slots=True)
class Cap:
    """The operator's own ceiling by local time of day.

    `days`: 0 is Monday. A start after the end runs over midnight.
    """

    node: NodeId
    limit_w: float
    from_minute: int
    to_minute: int
    days: frozenset[int]


class WhenMissed(StrEnum):
    """What a voluntary event gets when a vehicle would miss its target because of it."""

    ACCEPT = "accept"
    PARTIAL = "partial"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class LinkLoss:
    """`limit_w` holds once nothing was heard for `after_s`, then for at least `for_s`."""

    after_s: float
    limit_w: float
    for_s: float


@dataclass(frozen=True, slots=True)
class Program:
    """A demand-response program. `hold_minimum`: a limit never goes below `minimum_w`.

    `simple_levels` 1, 2 and 3 and `alerts` are parts of `reference_w`; None: not mapped. After an
    event the site comes back within `recover_within_s`, at a moment of its own.
    """

    id: ProgramId
    mandatory: bool
    signed: bool = False
    default_unit: str | None = None
    reference_w: float | None = None
    minimum_w: float | None = None
    hold_minimum: bool = False
    simple_levels: OptionalTriple = (None, None, None)
    alerts: dict[str, float] = field(default_factory=dict)
    link_loss: LinkLoss | None = None
    when_missed: WhenMissed = WhenMissed.PARTIAL
    recover_within_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Site:
    """Everything the site file says that the judgement needs.

    `nodes` lists every parent before its children. `voltage_v`: line to neutral, of the sides that
    feed no transformer; `nominal_voltages` has that of every node.
    """

    id: str
    region: str
    timezone: str
    voltage_v: float
    mode: Mode
    nodes: tuple[Node, ...]
    meters: tuple[Meter, ...]
    evses: tuple[Evse, ...]
    links: tuple[Link, ...]
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    caps: tuple[Cap, ...] = ()
    programs: tuple[Program, ...] = ()
    sharing: Sharing = field(default_factory=Sharing)


def has_phasors(site: Site) -> bool:
    """Whether currents of a site cannot be added as amounts."""
    return any(node.transformer is not None for node in site.nodes) or any(
        evse.connection is Connection.LINE_TO_LINE for evse in site.evses
    )


def fed_by(lines: frozenset[int]) -> frozenset[int]:
    """The primary lines of a delta-wye transformer that carry what flows on secondary ones."""
    return lines | frozenset(line % 3 + 1 for line in lines)


def voltages_of(connection: Connection, phases: int) -> float:
    """The power of one ampere in phase voltages: the phases, or root 3 between two lines."""
    return _ROOT_3 if connection is Connection.LINE_TO_LINE else phases


def nominal_v(site: Site, *, node: NodeId | None = None, evse: EvseId | None = None) -> float:
    """Nominal voltage, line to neutral, at a node or where an EVSE is; else at the grid node."""
    if evse is not None:
        node = next((one.node for one in site.evses if one.id == evse), None)
    volts = nominal_voltages(site.nodes, site.voltage_v)
    return volts[site.nodes[0].id if node is None else node]


def nominal_voltages(nodes: Sequence[Node], voltage_v: float) -> dict[NodeId, float]:
    """Nominal voltage of every node, line to neutral, on the secondary side of a transformer.

    Between transformers it is one: that of the site where none is below, else what follows from a
    transformer that it feeds. Parents stand before their children.
    """
    top: dict[NodeId, NodeId] = {}
    for node in nodes:
        own = node.parent is None or node.transformer is not None
        top[node.id] = node.id if own or node.parent is None else top[node.parent]
    volts = dict.fromkeys(top.values(), voltage_v)
    for node in reversed(nodes):
        if node.parent is not None and node.transformer is not None:
            volts[top[node.parent]] = volts[node.id] * node.transformer.turns_ratio / _ROOT_3
    return {name: volts[side] for name, side in top.items()}
