"""A device type as data: what a profile file says, checked and frozen.

1. Addresses are those on the wire. A point of a connector counts from the connector's own start.
2. Ranges and values are in the units of `edgectl.units`; scale and sign belong to the codec alone.
3. What a profile does not say is not done: no point is written that is not declared writable.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from edgectl.errors import InvariantBroken
from edgectl.model.reading import VehicleState
from edgectl.model.site import KeepAlive


class ProfileKind(StrEnum):
    """What a device is to the site."""

    CHARGER = "charger"
    METER = "meter"


class RegisterKind(StrEnum):
    """The register space of a point; the same number can mean two things in two spaces."""

    HOLDING = "holding"
    INPUT = "input"


class PointType(StrEnum):
    """How the words of a point are read."""

    U16 = "u16"
    I16 = "i16"
    U32 = "u32"
    I32 = "i32"
    U64 = "u64"
    I64 = "i64"
    F32 = "f32"
    F64 = "f64"
    ASCII = "ascii"


class WordOrder(StrEnum):
    """Which word of a longer value comes first."""

    HIGH = "high"
    LOW = "low"


class Access(StrEnum):
    """What may be done with a point."""

    READ = "r"
    WRITE = "w"
    READ_WRITE = "rw"


class PollClass(StrEnum):
    """How often a point is read: every poll, now and then, or only when somebody asks."""

    FAST = "fast"
    SLOW = "slow"
    NEVER = "never"


class Scope(StrEnum):
    """Whether a point belongs to the whole device or to each of its connectors."""

    DEVICE = "device"
    CONNECTOR = "connector"


class Sure(StrEnum):
    """A: maker's document and an implementation agree; B: one of them; C: uncertain."""

    A = "A"
    B = "B"
    C = "C"


@dataclass(frozen=True, slots=True)
class Point:
    """One value of a device. `value = raw * scale`, in `unit`.

    `least`..`greatest` is the device's own range after scaling. `invalid`: raw values that mean "no
    value". `mask` picks bits of the raw value and shifts them down. `words_of` turns a raw code
    into a word; a code that is not listed is bad.
    """

    name: str
    kind: RegisterKind
    address: int
    type: PointType
    count: int
    scope: Scope = Scope.DEVICE
    word_order: WordOrder | None = None
    scale: float = 1.0
    unit: str | None = None
    least: float | None = None
    greatest: float | None = None
    invalid: tuple[int, ...] = ()
    mask: int | None = None
    words_of: tuple[tuple[int, str], ...] = ()
    access: Access = Access.READ
    poll: PollClass = PollClass.NEVER
    sure: Sure = Sure.C
    source: str = ""

    @property
    def readable(self) -> bool:
        """Tell whether it may be read."""
        return self.access is not Access.WRITE

    @property
    def writable(self) -> bool:
        """Tell whether it may be written."""
        return self.access is not Access.READ


@dataclass(frozen=True, slots=True)
class ReadRules:
    """How a device lets itself be read in blocks.

    `boundaries`: no block holds registers on both sides of one. `never_read`: no request touches
    them. `alone`: they answer otherwise inside a block, so each is read by itself only. All of them
    count as the points of the same numbers do.
    """

    max_registers: int = 125
    allow_gaps: bool = False
    single_value: bool = False
    boundaries: tuple[int, ...] = ()
    never_read: tuple[int, ...] = ()
    alone: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Transport:
    """How the device wants to be talked to. `request_gap_s`: silence between two requests to it."""

    timeout_s: float
    request_gap_s: float
    poll_s: float
    slow_poll_s: float
    reconnect_min_s: float


@dataclass(frozen=True, slots=True)
class Connectors:
    """Numbers `first`..`last`; connector n starts at `base + (n - first) * stride`."""

    first: int = 1
    last: int = 1
    base: int = 0
    stride: int = 0

    def start(self, connector: int) -> int:
        """Give the address that the points of a connector count from."""
        return self.base + (connector - self.first) * self.stride


@dataclass(frozen=True, slots=True)
class Expect:
    """What a point must say. `blocks`: until it does, the device is not believed nor written."""

    point: str
    one_of: tuple[float | str, ...] = ()
    starts_with: str | None = None
    at_least: float | None = None
    at_most: float | None = None
    blocks: bool = True
    why: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Setpoint:
    """The limit that a charger takes. A value below `min_a` is written as the pause value.

    All currents are those on each phase of the mains. `pause_w` is given, and `pause_a` 0, where
    the limit is told in watts. `readback` None: write-only, a positive answer is the confirmation.
    `function`: 6 or 16.
    """

    point: str
    min_a: float
    max_a: float
    step_a: float
    pause_a: float
    function: int
    min_write_interval_s: float = 0.0
    readback: str | None = None
    pause_w: float | None = None


@dataclass(frozen=True, slots=True)
class WriteValue:
    """A fixed value for a point."""

    point: str
    value: float


@dataclass(frozen=True, slots=True)
class Failsafe:
    """What the charger does by itself when nobody talks to it, and how that is set.

    Each value has a point to write and one to read (often the same). `zero_a`: 0 A is allowed
    beside `min_a`..`max_a`. `before`: writes that the device needs before the block can be read.
    `order`: point names to write, first to last.
    """

    current_write: str
    current_read: str
    timeout_write: str
    timeout_read: str
    min_a: float
    max_a: float
    zero_a: bool
    default_a: float
    min_timeout_s: float
    max_timeout_s: float
    default_timeout_s: float
    order: tuple[str, ...]
    function: int
    before: tuple[WriteValue, ...] = ()


@dataclass(frozen=True, slots=True)
class FailsafeOutside:
    """A failsafe that is set at the charger by other means and cannot be read.

    What it is has to be said in the site file. `timeout_s`: what the feeding reckons with.
    """

    timeout_s: float


@dataclass(frozen=True, slots=True)
class Mains:
    """How the power of a charger becomes the current on each phase of the mains.

    `power`: the point whose watts stand for the current, after `efficiency`, where the charger does
    not measure it. `power_factor` also turns the limit into watts where it is told so.
    """

    power: str | None
    efficiency: float
    power_factor: float


@dataclass(frozen=True, slots=True)
class Mirror:
    """A bit that the charger toggles and wants to see copied.

    `write` gets `high` while the point `read` is not 0, else `low`. `toggles_s`: for how long the
    charger leaves it as it is.
    """

    read: str
    write: str
    low: float
    high: float
    toggles_s: float


@dataclass(frozen=True, slots=True)
class Feeding:
    """What rearms the watchdog. `certain` False: undocumented, any request may feed it.

    `write` belongs to LIFE_BIT and TOKEN, `mirror` to MIRROR.
    """

    kind: KeepAlive
    certain: bool
    share: float
    write: WriteValue | None = None
    function: int = 6
    mirror: Mirror | None = None


@dataclass(frozen=True, slots=True)
class StateRule:
    """If every named point says one of its words, the vehicle is in `state`."""

    when: tuple[tuple[str, tuple[float | str, ...]], ...]
    state: VehicleState


@dataclass(frozen=True, slots=True)
class ChargerPart:
    """What only a charger has. `failsafe` None: the profile states that there is none to be set.

    `mains` None: limit and measurement are currents. `boot_a` None: unknown, the hardware maximum
    counts. `states`: the first rule that holds decides.
    """

    setpoint: Setpoint
    failsafe: Failsafe | None
    feeding: Feeding
    states: tuple[StateRule, ...]
    settle_s: float
    pause_settle_s: float
    boot_a: float | None
    outside: FailsafeOutside | None = None
    mains: Mains | None = None

    @property
    def told_in_watts(self) -> bool:
        """Whether the limit is a power."""
        return self.setpoint.pause_w is not None


@dataclass(frozen=True, slots=True)
class Caveat:
    """Something to know before trusting the device, with where it is from."""

    text: str
    source: str
    sure: Sure


@dataclass(frozen=True, slots=True)
class Profile:
    """A device type. `file` is where it was read; `charger` is None for a meter."""

    id: str
    file: str
    title: str
    kind: ProfileKind
    word_order: WordOrder
    transport: Transport
    read: ReadRules
    connectors: Connectors
    points: tuple[Point, ...]
    identify: tuple[Expect, ...]
    require: tuple[Expect, ...]
    refresh_s: float
    charger: ChargerPart | None
    caveats: tuple[Caveat, ...]
    sure: Sure
    source: str
    _by_name: dict[str, Point] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {point.name: point for point in self.points})

    def point(self, name: str) -> Point:
        """Give the point of that name; `KeyError` if the profile has none."""
        return self._by_name[name]

    def charging(self) -> ChargerPart:
        """Give the charger's part; a meter has none, and asking for it is a fault of ours."""
        if self.charger is None:
            raise InvariantBroken(f"{self.id} is not a charger's profile")
        return self.charger

    def has(self, name: str) -> bool:
        """Tell whether the profile has a point of that name."""
        return name in self._by_name
