"""The shape of a profile file: every key, its type and its range.

What needs the whole file is in `profile_checks`.
The descriptions below are what an editor shows (`edgectl schema profile`).
"""

from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

PROFILE_ID_PATTERN: Final = r"^[a-z0-9][a-z0-9-]*$"
POINT_PATTERN: Final = r"^[a-z][a-z0-9_]*(\.[123])?$"


def _none_word(value: object) -> object:
    """Take the word none for nothing; an empty value is not an answer."""
    if value == "none":
        return None
    if value is None:
        raise PydanticCustomError(
            "wrong_type", "nothing stands here", {"remedy": "write it out, or the word none"}
        )
    return value


def _unknown_word(value: object) -> object:
    if value == "unknown":
        return None
    if value is None:
        raise PydanticCustomError(
            "wrong_type", "nothing stands here", {"remedy": "write a number, or the word unknown"}
        )
    return value


def _instead_of_null(word: str) -> Callable[[dict[str, Any]], None]:
    """Show editors the word that stands for nothing, in place of null."""

    def change(schema: dict[str, Any]) -> None:
        schema["anyOf"] = [
            {"const": word} if option == {"type": "null"} else option for option in schema["anyOf"]
        ]

    return change


def _listed(value: object) -> object:
    """Take one value for a list of one."""
    return value if isinstance(value, list) else [value]


def _said(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise PydanticCustomError(
            "wrong_type", "neither a word nor a number", {"remedy": "write what the point says"}
        )
    return value if isinstance(value, str) else float(value)


PointName = Annotated[str, Field(pattern=POINT_PATTERN, max_length=64)]
Address = Annotated[int, Field(ge=0, le=65535)]
Text = Annotated[str, Field(min_length=1, max_length=2000)]
_SAID: Final = {"type": ["string", "number"]}
Said = Annotated[Any, BeforeValidator(_said), WithJsonSchema(_SAID)]
SaidList = Annotated[
    list[Said],
    BeforeValidator(_listed),
    WithJsonSchema({"anyOf": [_SAID, {"type": "array", "items": _SAID}]}),
]
SureLevel = Literal["A", "B", "C"]
WriteFunction = Literal[6, 16]
Share = Annotated[float, Field(gt=0, le=0.5)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class PointEntry(_Entry):
    """One value of the device."""

    kind: Literal["holding", "input"] = Field(description="Register space.")
    address: Address = Field(
        description="Address on the wire; with scope connector, counted from the connector's start."
    )
    type: Literal["u16", "i16", "u32", "i32", "u64", "i64", "f32", "f64", "ascii"]
    count: int | None = Field(
        default=None, ge=1, le=125, description="Registers of a text; numbers know their own."
    )
    scope: Literal["device", "connector"] = Field(
        default="device", description="Once per device, or once per connector."
    )
    word_order: Literal["high", "low"] | None = Field(
        default=None,
        description="Where it differs from the profile's; the site cannot override it.",
    )
    scale: float = Field(
        default=1.0, description="Value = raw times scale, in `unit`; negative turns the sign."
    )
    unit: str | None = Field(default=None, max_length=16, description="Unit after scaling.")
    range: list[float] | None = Field(
        default=None,
        min_length=2,
        max_length=2,
        description="The device's own range after scaling; what lies outside is no data.",
    )
    invalid: list[int] = Field(
        default=[], max_length=16, description="Raw values that mean: there is no value."
    )
    mask: int | None = Field(
        default=None, ge=1, le=2**64 - 1, description="Bits to pick; they are shifted down."
    )
    codes: dict[int, Text] = Field(
        default={}, description="Word of each raw code; any other code is no data."
    )
    access: Literal["r", "w", "rw"] = "r"
    poll: Literal["fast", "slow", "never"] = Field(
        default="never", description="never: read only when somebody asks."
    )
    sure: SureLevel | None = Field(default=None, description="Where it differs from the profile's.")
    source: Text | None = None


class TransportEntry(_Entry):
    """How the device wants to be talked to."""

    timeout_s: float = Field(gt=0, le=30)
    request_gap_s: float = Field(
        ge=0, le=10, description="Silence between the requests to the device."
    )
    poll_s: float = Field(gt=0, le=60)
    slow_poll_s: float = Field(gt=0, le=3600)
    reconnect_min_s: float = Field(gt=0, le=600)


class ReadEntry(_Entry):
    """How the device lets itself be read in blocks. Numbers count as those of the points do."""

    max_registers: int = Field(default=125, ge=1, le=125)
    allow_gaps: bool = Field(default=False, description="A block may span registers of no point.")
    single_value: bool = Field(default=False, description="One value per request.")
    boundaries: list[Address] = Field(
        default=[], description="No block has registers on both sides of one."
    )
    never_read: list[Address] = Field(default=[], description="No request touches these.")
    alone: list[Address] = Field(
        default=[], description="These answer otherwise inside a block: each is read by itself."
    )


class ConnectorsEntry(_Entry):
    """Connector n starts at base + (n - first) * stride."""

    first: int = Field(ge=0, le=64)
    last: int = Field(ge=0, le=64)
    base: Address
    stride: Address


class ExpectEntry(_Entry):
    """What a point must say."""

    point: PointName
    one_of: SaidList = []
    starts_with: Text | None = Field(
        default=None, description="First characters of a text, or first decimal digits."
    )
    at_least: float | None = None
    at_most: float | None = None
    why: Text
    remedy: Text


class RequireEntry(ExpectEntry):
    """Configuration that the device must have: checked and reported, never set."""

    blocks: bool = Field(
        default=True, description="Until it holds, the device is not believed and not written."
    )


class SetpointEntry(_Entry):
    """The limit that the charger takes; its point is in A, or in W.

    Currents are those on each phase of the mains. A value below min_a is written as the pause.
    """

    point: PointName
    min_a: float = Field(gt=0, le=10_000)
    max_a: float = Field(gt=0, le=10_000)
    step_a: float = Field(ge=0, le=1000, description="0: as fine as the register.")
    pause_a: float | None = Field(
        default=None, ge=0, le=10_000, description="What is written for a pause, for a limit in A."
    )
    pause_w: float | None = Field(
        default=None, ge=0, le=10_000_000, description="The same for a limit in W."
    )
    function: WriteFunction
    min_write_interval_s: float = Field(default=0.0, ge=0, le=600)
    readback: Annotated[PointName | None, BeforeValidator(_none_word)] = Field(
        description="The point that says what limit holds, or none: a positive answer confirms.",
        json_schema_extra=_instead_of_null("none"),
    )


class WriteEntry(_Entry):
    """A fixed value for a point."""

    point: PointName
    value: float


class FailsafeCurrentEntry(_Entry):
    """The current that the charger falls back to."""

    write: PointName
    read: PointName
    min_a: float = Field(gt=0, le=10_000)
    max_a: float = Field(gt=0, le=10_000)
    zero: bool = Field(description="0 A is allowed beside min_a to max_a.")
    default_a: float = Field(ge=0, le=10_000, description="Set where the site file says nothing.")


class FailsafeTimeoutEntry(_Entry):
    """The silence after which it falls back."""

    write: PointName
    read: PointName
    min_s: float = Field(gt=0, le=65535)
    max_s: float = Field(gt=0, le=65535)
    default_s: float = Field(gt=0, le=65535)


class FailsafeEntry(_Entry):
    """What the charger does by itself when nobody talks to it."""

    before: list[WriteEntry] = Field(
        default=[], description="Writes that the device needs before the block can be read."
    )
    current: FailsafeCurrentEntry
    timeout: FailsafeTimeoutEntry
    order: list[PointName] = Field(description="Both written points, first to last.")
    function: WriteFunction


class FailsafeOutsideEntry(_Entry):
    """A failsafe that is set at the charger by other means and cannot be read."""

    timeout_s: float = Field(
        gt=0, le=65535, description="The shortest silence known after which it acts: feeds to it."
    )
    where: Text = Field(description="Where it is set, for whoever writes it into the site file.")


class MainsEntry(_Entry):
    """How the power of a charger becomes the current on each phase of the mains."""

    power: PointName | None = Field(
        default=None,
        description="The point whose watts stand for the current, where it is not measured.",
    )
    efficiency: float = Field(
        default=1.0, gt=0.5, le=1, description="What of the mains' power arrives at that point."
    )
    power_factor: float = Field(gt=0.5, le=1)


class MirrorEntry(_Entry):
    """A bit to be copied."""

    read: PointName = Field(description="The bit that the charger toggles; a mask may cut it out.")
    write: PointName
    low: float = Field(description="What is written while the bit is 0.")
    high: float = Field(description="What is written while it is not.")
    toggles_s: float = Field(
        gt=0, le=60, description="The shortest time for which the charger leaves it as it is."
    )


class KeepAliveEntry(_Entry):
    """What rearms the watchdog."""

    kind: Literal["any_access", "read", "rewrite", "token", "life_bit", "mirror", "none"] = Field(
        description="any_access: every request. read: every read. rewrite: writing the setpoint, "
        "the same value too. token, life_bit: what `write` says, to a register of its own. mirror: "
        "a bit that the charger toggles is copied, as `mirror` says. none: there is no watchdog."
    )
    certain: bool = Field(
        default=True, description="false: not documented, any request may rearm it."
    )
    share: Share = Field(default=0.333, description="Period as a share of the watchdog time.")
    write: WriteEntry | None = Field(
        default=None, description="For token and life_bit: what to write."
    )
    mirror: MirrorEntry | None = None
    function: WriteFunction = 6


class StateEntry(_Entry):
    """If every point says one of its words, the vehicle is in this state. The first one counts."""

    when: dict[PointName, SaidList] = Field(min_length=1)
    state: Literal["absent", "plugged", "asking", "charging", "fault", "unknown"] = Field(
        alias="is"
    )


class CaveatEntry(_Entry):
    """Something to know before trusting the device."""

    text: Text
    source: Text
    sure: SureLevel


class ProfileFile(_Entry):
    """A device type; a meter needs no more than this."""

    profile: str = Field(pattern=PROFILE_ID_PATTERN, max_length=64, description="The file's name.")
    kind: Literal["charger", "meter"]
    title: Text
    sure: SureLevel = Field(
        description="A: maker's document and an implementation agree; B: one of them; C: uncertain."
    )
    source: Text
    word_order: Literal["high", "low"] = Field(description="Word of a longer value that is first.")
    transport: TransportEntry
    read: ReadEntry
    connectors: ConnectorsEntry | None = None
    refresh_s: float | None = Field(
        default=None,
        gt=0,
        le=60,
        description="How old a value may be when it is read; default 1 for meters, 3 for chargers.",
    )
    points: dict[PointName, PointEntry] = Field(min_length=1)
    identify: list[ExpectEntry] = Field(
        default=[], description="What one read says of the right device; must fit one request."
    )
    require: list[RequireEntry] = []
    caveats: list[CaveatEntry] = []


class ChargerProfileFile(ProfileFile):
    """A charger's profile."""

    setpoint: SetpointEntry
    failsafe: Annotated[FailsafeEntry | None, BeforeValidator(_none_word)] = Field(
        description="What it does when nobody talks to it, or none.",
        json_schema_extra=_instead_of_null("none"),
    )
    failsafe_outside: FailsafeOutsideEntry | None = Field(
        default=None,
        description="With `failsafe: none`: it has one all the same, which is set at the charger.",
    )
    mains: MainsEntry | None = Field(
        default=None, description="For a limit in W, or a charger that measures no current."
    )
    keepalive: KeepAliveEntry
    boot_a: Annotated[float | None, BeforeValidator(_unknown_word)] = Field(
        description="What it allows after a restart, in A, or unknown.",
        json_schema_extra=_instead_of_null("unknown"),
    )
    states: list[StateEntry] = Field(min_length=1)
    settle_s: float = Field(default=10.0, gt=0, le=120)
    pause_settle_s: float = Field(default=6.0, gt=0, le=120)


def profile_schema() -> dict[str, Any]:
    """JSON Schema of a profile file, for editors."""
    schema = ChargerProfileFile.model_json_schema(by_alias=True)
    schema["required"] = [
        name for name in schema["required"] if name in ProfileFile.model_json_schema()["required"]
    ]
    return schema
