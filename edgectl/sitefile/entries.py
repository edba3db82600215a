"""The shape of the site file: every key, its type and range. What needs the whole is in `cross`.

The descriptions below are what an editor shows (`edgectl schema site`).
"""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from edgectl.model.policy import MIN_OFF_S, TURN_S

ID_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9_.:-]*$"
TIME_PATTERN: Final = r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"
PERCENT_PATTERN: Final = r"^[0-9]+(\.[0-9]+)?%$"
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

FORMS: Final = {
    ID_PATTERN: ("a name", "use letters, digits and - _ . : and begin with a letter or digit"),
    TIME_PATTERN: (
        "a time of day",
        'write hours and minutes with two digits each, such as "07:30"',
    ),
    PERCENT_PATTERN: ("a percentage", "write a number with the sign %, such as 40%"),
}
"""What a text must be, for people, and what to do."""


def _no_secret(value: str) -> str:
    """Refuse the secret itself where its file is asked for; the message does not repeat it."""
    if "-----BEGIN" in value or "\n" in value:
        raise PydanticCustomError(
            "secret_inline",
            "this is the content of a key or certificate, not the name of a file",
            {"remedy": "put it into a file that only the service may read and name that file here"},
        )
    return value


def _no_credentials(value: str) -> str:
    """Refuse `user:password@host` and `scheme://host`; the message does not repeat them."""
    if "@" in value:
        raise PydanticCustomError(
            "secret_inline",
            "a host name with a user or password in it",
            {"remedy": "write the host alone; the gateway shows its certificate instead"},
        )
    if "/" in value or " " in value:
        raise PydanticCustomError(
            "bad_text",
            "not a host name or address",
            {"remedy": "write the host alone, such as 10.0.0.21, without http:// or a path"},
        )
    return value


def _one_node(value: object) -> object:
    """Say how one meter serves several nodes, instead of a wrong type."""
    if isinstance(value, list):
        raise PydanticCustomError(
            "several_nodes",
            "a meter's entry names one node",
            {
                "remedy": "write it once for each node, with an id of its own each time and the "
                "same link and unit: the device is read once"
            },
        )
    return value


def _distinct(value: list[Any]) -> list[Any]:
    if len(set(value)) != len(value):
        raise PydanticCustomError(
            "duplicate_value",
            "a value stands twice in this list",
            {"remedy": "name each one once"},
        )
    return value


def _moment(value: str) -> str:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise PydanticCustomError(
            "bad_time",
            "not a time with its offset",
            {"remedy": 'write it in quotes, such as "2026-03-01T06:00:00Z"'},
        )
    return value


Id = Annotated[str, Field(pattern=ID_PATTERN, max_length=64)]
Host = Annotated[str, Field(min_length=1, max_length=253), AfterValidator(_no_credentials)]
Port = Annotated[int, Field(ge=1, le=65535)]
FileName = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_no_secret)]
Current = Annotated[float, Field(ge=0, le=100_000)]
Power = Annotated[float, Field(ge=0, le=1_000_000)]
Apparent = Annotated[float, Field(ge=0, le=1_000_000_000)]
Seconds = Annotated[float, Field(gt=0, le=31_536_000)]
Triple = Annotated[list[Current], Field(min_length=3, max_length=3)]
OptionalTriple = Annotated[list[Current | None], Field(min_length=3, max_length=3)]
PhaseNumber = Annotated[int, Field(ge=1, le=3)]
Phases = Annotated[list[PhaseNumber], Field(min_length=1, max_length=3), AfterValidator(_distinct)]
TimeOfDay = Annotated[str, Field(pattern=TIME_PATTERN)]
Days = Annotated[
    list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]],
    Field(min_length=1),
    AfterValidator(_distinct),
]
Moment = Annotated[str, AfterValidator(_moment)]
SampledQuantity = Literal[
    "current_a",
    "voltage_v",
    "power_w",
    "energy_import_wh",
    "energy_export_wh",
    "session_wh",
    "setpoint_a",
    "ceiling_a",
    "ceiling_va",
    "export_ceiling_a",
    "export_ceiling_w",
    "base_a",
    "committed_a",
]
Percent = Annotated[str, Field(pattern=PERCENT_PATTERN)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


_BY_ALIAS: Final = ConfigDict(
    extra="forbid",
    strict=True,
    frozen=True,
    allow_inf_nan=False,
    validate_by_name=False,
    validate_by_alias=True,
)


class SiteHead(_Entry):
    """The depot itself."""

    id: Id = Field(description="Name of the site; part of every MQTT topic.")
    region: Id = Field(description="Name of the region; part of every MQTT topic.")
    timezone: str = Field(
        min_length=1, max_length=64, description="IANA time zone of `caps`, such as Europe/Berlin."
    )
    voltage_v: float = Field(
        ge=50,
        le=1000,
        description="Nominal voltage between a phase and neutral where no transformer is below, in "
        "V: 120 at 208 V between phases.",
    )
    mode: Literal["control", "observe"] = Field(
        default="control",
        description="observe: read, decide, explain and publish, but write nothing to any charger.",
    )


class Transformer(_Entry):
    """A transformer that feeds this node: everything else of the node is on its secondary side."""

    winding: Literal["delta-wye"] = Field(description="How it is wound.")
    turns_ratio: float = Field(
        ge=0.001,
        le=1000,
        description="Voltage between two primary lines by that between a secondary line and "
        "neutral: 4 for 480 V to 208/120 V.",
    )


class NodeEntry(_Entry):
    """A point of the electrical tree. The one without `parent` is the grid connection."""

    id: Id = Field(description="Name of the node; unique over nodes, meters, EVSEs and groups.")
    parent: Id | None = Field(default=None, description="The node that feeds this one.")
    limit_a: OptionalTriple | None = Field(
        default=None, description="Limit of each site phase L1, L2, L3 in A; null: no limit there."
    )
    limit_va: Apparent | None = Field(
        default=None, description="Limit of the sum over the phases, in VA."
    )
    base_max_a: Triple = Field(
        default=[0.0, 0.0, 0.0],
        description="Worst base load connected at this node itself, per phase in A; "
        "nodes below it are not counted here.",
    )
    margin_a: Current | None = Field(
        default=None, description="Distance kept from each limit, in A; default 2 % of the limit."
    )
    trip_s: Seconds | None = Field(
        default=None,
        description="How long the breaker or fuse surely bears an overload, in s; "
        "`edgectl check` compares the reaction time with it.",
    )
    unbalance_a: Current | None = Field(
        default=None,
        description="By how much the currents of two phases may differ at this node, in A.",
    )
    export_limit_a: OptionalTriple | None = Field(
        default=None,
        description="The most that may be fed back per phase, in A; null on a phase for no limit. "
        "It is watched and said: no charger feeds back.",
    )
    export_limit_va: Apparent | None = Field(
        default=None,
        description="The most that may be fed back over all phases, in VA; it is watched and said.",
    )
    transformer: Transformer | None = Field(
        default=None,
        description="The transformer between this node and its parent; nodes above it count "
        "amperes of its primary side.",
    )
    primary_limit_a: OptionalTriple | None = Field(
        default=None,
        description="Limit of each line that feeds the transformer, in A of its primary side; "
        "null: no limit there.",
    )


class LinkEntry(_Entry):
    """One Modbus connection or one serial line; it may serve many devices."""

    id: Id = Field(description="Name of the link.")
    kind: Literal["tcp", "rtu", "rtu_over_tcp"] = Field(
        description="tcp; rtu, a serial device of this machine; or rtu_over_tcp, a converter that "
        "hands RTU frames on to its serial line."
    )
    host: Host | None = Field(
        default=None, description="Host name or address, for tcp and rtu_over_tcp."
    )
    port: Port | None = Field(
        default=None, description="TCP port; default 502 for tcp, needed for rtu_over_tcp."
    )
    device: str | None = Field(
        default=None,
        max_length=4096,
        pattern=r"^/[^\x00-\x20]+$",
        description="Path of the serial device, for rtu; one below /dev/serial/by-id stays the "
        "same when adapters are plugged in another order.",
    )
    baud: int | None = Field(
        default=None,
        ge=300,
        le=1_000_000,
        description="Speed of the serial line; default 19200, the standard's.",
    )
    parity: Literal["N", "E", "O"] | None = Field(
        default=None, description="Parity of the serial line; default E, the standard's."
    )
    stop_bits: Literal[1, 2] | None = Field(
        default=None, description="Stop bits of the serial line; default 1."
    )


class Overrides(_Entry):
    """What this one device does differently from its profile."""

    sign: Literal[-1, 1] | None = Field(
        default=None, description="-1 where the current transformers are mounted the other way."
    )
    address_offset: int | None = Field(
        default=None, ge=-65535, le=65535, description="Added to every register address."
    )
    word_order: Literal["high", "low"] | None = Field(
        default=None, description="high: the high word of a longer value comes first."
    )


class MeterEntry(_Entry):
    """A meter and the node that it measures."""

    id: Id = Field(description="Name of the meter.")
    node: Annotated[Id, BeforeValidator(_one_node)] = Field(
        description="The node that it measures. A device that stands for several nodes in a row is "
        "written once for each, with the same link and unit."
    )
    profile: Id = Field(description="Device type, such as janitza-umg96rm.")
    link: Id = Field(description="The link that it answers on.")
    unit: int = Field(ge=0, le=255, description="Modbus unit id.")
    sees: Literal["all", "base_only", "part"] = Field(
        default="all",
        description="What it measures of its node: all that flows there, base_only (all but the "
        "EVSEs), or a part, which raises alarms and nothing else.",
    )
    poll_s: float = Field(
        default=1.0, ge=0.05, le=60, description="Time from one reading to the next, in s."
    )
    phases: Phases = Field(
        default=[1, 2, 3],
        description="Entry k is the site phase on the meter's own terminal Lk: "
        "[2, 3, 1] is a rotation.",
    )
    overrides: Overrides | None = Field(default=None)


class EvseEntry(_Entry):
    """One EVSE: it serves one vehicle at a time and gets a setpoint."""

    id: Id = Field(description="Name of the EVSE.")
    node: Id = Field(description="The node that feeds it.")
    profile: Id = Field(description="Device type, such as keba-p40.")
    link: Id = Field(description="The link that its charger answers on.")
    unit: int = Field(ge=0, le=255, description="Modbus unit id.")
    connector: int = Field(default=1, ge=1, le=64, description="Which EVSE of its charger.")
    phases: Phases = Field(
        description="Entry k is the site phase on the EVSE's own terminal Lk: [2, 3, 1] is a "
        "rotation, [1] a single-phase EVSE on L1."
    )
    connection: Literal["line_to_neutral", "line_to_line"] = Field(
        default="line_to_neutral",
        description="line_to_line: between two phases, as at 208 or 240 V in North America; "
        "`phases` then has those two.",
    )
    max_a: float = Field(
        gt=0,
        le=10_000,
        description="Most that this EVSE can draw, in A per phase: what its charger is rated for "
        "or set to, or its cable bears. Set it in the charger too: it counts as hardware maximum.",
    )
    failsafe_a: Current | None = Field(
        default=None,
        description="What the charger falls back to when nobody talks to it, in A per phase; "
        "default: what its profile says.",
    )
    boot_a: Current | None = Field(
        default=None,
        description="What the charger allows after its power returns, before anybody talks to it, "
        "in A per phase; default: what its profile says, else its hardware maximum.",
    )
    watchdog_s: float | None = Field(
        default=None,
        gt=0,
        le=86_400,
        description="Time without the controller after which the charger falls back, in s.",
    )
    poll_s: float | None = Field(
        default=None,
        ge=0.05,
        le=60,
        description="Time from one reading to the next, in s; default: what its profile says.",
    )
    allowed_a: Annotated[list[Current], Field(min_length=1, max_length=64)] | None = Field(
        default=None,
        description="The only currents that this EVSE can be told, rising, in A per phase, where "
        "it takes fewer than its profile says; its pause value goes without saying.",
    )
    weight: float = Field(
        default=1.0, gt=0, le=1_000_000, description="Share relative to others of the same tier."
    )
    tier: int = Field(
        default=0, ge=0, le=1000, description="0 comes first; a higher number gets what is left."
    )
    overrides: Overrides | None = Field(default=None)


class CapEntry(_Entry):
    """The operator's own ceiling by local time of day."""

    model_config = _BY_ALIAS

    node: Id = Field(description="The node that is capped.")
    kw: Power = Field(description="Most that the node may draw, in kW; 0 means 0.")
    from_: TimeOfDay = Field(alias="from", description="Local time, such as 16:00.")
    to: TimeOfDay = Field(description="Local time; before `from` it is on the next day.")
    days: Days = Field(
        default=["mon", "tue", "wed", "thu", "fri", "sat", "sun"],
        description="Days on which it begins; default every day.",
    )


class LinkLossEntry(_Entry):
    """What holds when the utility's heartbeat is gone."""

    after_s: Seconds = Field(description="Time without heartbeat after which it begins, in s.")
    limit_kw: Power = Field(description="The limit that then holds, in kW; 0 means 0.")
    for_s: Seconds = Field(description="Shortest time that it holds, in s.")


class ProgramEntry(_Entry):
    """A demand-response program of the utility."""

    id: Id = Field(description="The programID of its events.")
    kind: Literal["mandatory", "voluntary"] = Field(description="Whether its events bind.")
    signed: bool = Field(
        default=False,
        description="Whether its events must be signed by an issuer of `commands.issuers`.",
    )
    default_unit: Literal["W", "KW", "A", "AMPS", "PERCENT"] | None = Field(
        default=None,
        description="Unit of a limit that comes without one; without this key such a limit is "
        "refused.",
    )
    reference_kw: Power | None = Field(
        default=None, description="What 100 % means in levels and alerts, in kW."
    )
    minimum_kw: Power | None = Field(
        default=None, description="Least that the utility guarantees to leave, in kW."
    )
    below_minimum: Literal["obey", "hold"] = Field(
        default="obey",
        description="What happens to a limit below `minimum_kw`: obey and report it, or hold the "
        "minimum.",
    )
    simple_levels: dict[Annotated[int, Field(ge=1, le=3)], Percent] | None = Field(
        default=None, description="Ceiling of SIMPLE levels 1 to 3 in % of `reference_kw`."
    )
    alerts: dict[Literal["ALERT_GRID_EMERGENCY", "ALERT_BLACK_START"], Percent] | None = Field(
        default=None, description="Ceiling during an alert, in % of `reference_kw`."
    )
    on_link_loss: LinkLossEntry | None = Field(
        default=None,
        description="What holds when the utility is not heard; without it an event holds until its "
        "own end and nothing more.",
    )
    when_missed: Literal["accept", "partial", "refuse"] | None = Field(
        default=None,
        description="What a voluntary event gets that would make a vehicle miss its target: taken "
        "whole, as far as no vehicle misses (default), or refused.",
    )
    recover_within_s: Annotated[float, Field(ge=0, le=3600)] = Field(
        default=60.0,
        description="After an event the site comes back at a random moment of so many seconds.",
    )


class PolicyEntry(_Entry):
    """Who comes first."""

    name: Literal["fair", "priority", "deadline"] = Field(
        description="fair: all alike. priority: strictly by `tier` (or by the `priority` of a "
        "vehicle's target), in a tier by `weight`. deadline: least time to spare first."
    )
    turn_s: float = Field(
        default=TURN_S,
        ge=60,
        le=86400,
        description="Seconds for which an EVSE that charges keeps its place before those that "
        "wait for room.",
    )
    min_off_s: float = Field(
        default=MIN_OFF_S,
        ge=0,
        le=3600,
        description="Seconds for which an EVSE rests after every stop.",
    )


class BrokerEntry(_Entry):
    """Where a broker listens."""

    host: Host = Field(description="Host name or address.")
    port: Port = Field(description="TCP port, 8883 for TLS as a rule.")


class MqttEntry(_Entry):
    """The regional broker. Secrets never stand here: `key` names a file."""

    brokers: Annotated[list[BrokerEntry], Field(min_length=1, max_length=8)] = Field(
        description="Tried in this order."
    )
    protocol: Literal[5, "3.1.1"] = Field(default=5, description="5, or 3.1.1 for old brokers.")
    ca: FileName | None = Field(
        default=None, description="PEM file of the authority that signed the broker's certificate."
    )
    cert: FileName | None = Field(default=None, description="PEM file of our own certificate.")
    key: FileName | None = Field(
        default=None,
        description="PEM file of our own private key, or credential:mqtt.key for one that systemd "
        "gives the service.",
    )
    username: Annotated[str, Field(min_length=1, max_length=256)] | None = Field(
        default=None, description="User name at the broker, where a certificate is not enough."
    )
    password_file: FileName | None = Field(
        default=None,
        description="File with the password alone, or credential:mqtt.password. It never stands "
        "here itself.",
    )


class SamplingEntry(_Entry):
    """How one quantity is sent. What is left out stays as it is by default."""

    every_s: float | None = Field(
        default=None, ge=1, le=86_400, description="Interval of a sample, in s."
    )
    dead_band: float | None = Field(
        default=None,
        ge=0,
        le=1_000_000_000,
        description="In the quantity's unit: a sample within it of the last one sent is left out; "
        "0: left out while nothing changed; null: never left out.",
    )
    on_change: bool | None = Field(
        default=None, description="Send at once when the value leaves the dead band."
    )
    publish: bool = Field(default=True, description="false: never send it.")


class TelemetryEntry(_Entry):
    """What is sent to the region, and what may wait for it on the disk."""

    quantities: dict[SampledQuantity, SamplingEntry] = Field(
        default={}, description="How each quantity is sent; all its phases are alike."
    )
    at_least_s: float = Field(
        default=900.0,
        ge=10,
        le=86_400,
        description="Everything is sent again so often, whatever the dead bands leave out, in s.",
    )
    disk_mb: float = Field(
        default=480.0,
        ge=10,
        le=100_000,
        description="Most that waiting messages may take of the disk, in MB; beyond it the oldest "
        "lose detail, then go.",
    )
    backfill_rows_per_s: float = Field(
        default=50.0,
        ge=1,
        le=1000,
        description="How many waiting messages a second follow the live ones after an outage.",
    )


class OpeningEntry(_Entry):
    """Hours in which the depot is open, in local time."""

    model_config = _BY_ALIAS

    from_: TimeOfDay = Field(alias="from", description="Local time, such as 06:00.")
    to: TimeOfDay = Field(description="Local time; before `from` it is on the next day.")
    days: Days = Field(default=list(DAYS), description="Days on which they begin.")


class ExclusionEntry(_Entry):
    """A time whose outages are not the operator's own, after 23 CFR 680.116(b)."""

    model_config = _BY_ALIAS

    evses: Annotated[list[Id], Field(max_length=10_000), AfterValidator(_distinct)] = Field(
        default=[], description="EVSEs or groups of EVSEs; none: all."
    )
    from_: Moment = Field(alias="from", description="Time with offset: 2026-03-01T06:00:00Z.")
    until: Moment = Field(description="Time with offset.")
    cause: Literal[
        "utility_interruption",
        "vehicle",
        "scheduled_maintenance",
        "vandalism",
        "natural_disaster",
    ] = Field(description="Why it does not count.")
    evidence: str = Field(
        min_length=1, max_length=500, description="What proves it: a ticket, a report."
    )


class IndicatorsEntry(_Entry):
    """What the reports on availability need to be told."""

    opening_hours: Annotated[list[OpeningEntry], Field(max_length=100)] = Field(
        default=[], description="Stated opening hours; none: always open."
    )
    exclusions: Annotated[list[ExclusionEntry], Field(max_length=1000)] = Field(
        default=[], description="Outages that do not count."
    )


class IssuerEntry(_Entry):
    """Who may sign commands and events."""

    id: Id = Field(description="The `iss` of what it signs.")
    rank: Literal["utility_mandatory", "operator", "technician", "utility_voluntary"] = Field(
        description="Its place on the ladder of authority."
    )
    may: Annotated[
        list[Literal["limit", "pause", "resume", "target", "release"]], Field(min_length=1)
    ] = Field(description="What it may command.")
    nodes: list[Id] | None = Field(
        default=None, description="Where, with all below; default everywhere."
    )
    programs: list[Id] | None = Field(
        default=None,
        description="Whose events it may sign; default those of its rank: a utility_mandatory all, "
        "a utility_voluntary the voluntary ones, others none.",
    )
    min_limit_a: Current | None = Field(
        default=None, description="Lowest limit that it may set, in A per phase."
    )
    keys: Annotated[list[FileName], Field(min_length=1)] = Field(
        description="Files with its public keys: JWK or JWK sets, Ed25519 or P-256."
    )


class CommandsEntry(_Entry):
    """What may be commanded from outside."""

    unsigned: Literal["never", "mtls", "loopback"] = Field(
        default="never",
        description="Whether unsigned commands and events are taken: never; over TLS with our "
        "certificate (mtls); or only from a broker on 127.0.0.1 or ::1 (loopback).",
    )
    issuers: Annotated[list[IssuerEntry], Field(max_length=100)] = Field(
        default=[], description="Who may sign commands and events."
    )


class SiteFile(_Entry):
    """Site file of edgectl: one depot behind one gateway."""

    site: SiteHead
    nodes: Annotated[list[NodeEntry], Field(min_length=1, max_length=2000)] = Field(
        description="The electrical tree, as a flat list."
    )
    links: Annotated[list[LinkEntry], Field(max_length=5000)] = Field(
        default=[], description="Modbus connections."
    )
    meters: Annotated[list[MeterEntry], Field(max_length=2000)] = Field(
        default=[], description="Meters."
    )
    evses: Annotated[list[EvseEntry], Field(min_length=1, max_length=10_000)] = Field(
        description="EVSEs."
    )
    groups: dict[Id, Annotated[list[Id], Field(min_length=1), AfterValidator(_distinct)]] = Field(
        default={}, description="Further names for nodes and EVSEs."
    )
    caps: Annotated[list[CapEntry], Field(max_length=1000)] = Field(
        default=[], description="The operator's own ceilings by time of day."
    )
    programs: Annotated[list[ProgramEntry], Field(max_length=100)] = Field(
        default=[], description="Demand-response programs."
    )
    policy: PolicyEntry = Field(default=PolicyEntry(name="fair"))
    mqtt: MqttEntry | None = Field(default=None)
    telemetry: TelemetryEntry = Field(default=TelemetryEntry())
    indicators: IndicatorsEntry = Field(default=IndicatorsEntry())
    commands: CommandsEntry = Field(default=CommandsEntry())
    accept_risks: Annotated[list[str], Field(max_length=1000), AfterValidator(_distinct)] = Field(
        default=[], description="Names of risks, as `edgectl check` prints them."
    )
