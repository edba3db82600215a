"""What the step says: setpoints with reasons, the account of every node, and the alarms."""

from dataclasses import dataclass, field
from enum import StrEnum

from edgectl.model.ceiling import Holder
from edgectl.model.reading import Quality
from edgectl.units import EvseId, MeterId, NodeId, OptionalTriple, Triple


class ReasonCode(StrEnum):
    """Why a setpoint is what it is. The first nine are the kernel's (`edgectl allocate`)."""

    OWN_MAXIMUM = "own_maximum"
    NODE_CEILING = "node_ceiling"
    PRIMARY_CEILING = "primary_ceiling"
    VA_CEILING = "va_ceiling"
    UNBALANCE = "unbalance"
    INCREMENT = "increment"
    NOT_ADMITTED = "not_admitted"
    BASE_OVER_CEILING = "base_over_ceiling"
    NO_DEMAND = "no_demand"
    FIXED_OVER_CEILING = "fixed_over_ceiling"
    EVSE_CEILING = "evse_ceiling"
    PAUSED = "paused"
    NO_VEHICLE = "no_vehicle"
    FAULT = "fault"
    SILENT = "silent"
    MIN_OFF = "min_off"
    WAITS_FOR_ROOM = "waits_for_room"
    DRAWS_LESS = "draws_less"
    SAFE_DECISION = "safe_decision"


class AlarmCode(StrEnum):
    """What is wrong. Members may be added, never renamed."""

    OVER_CEILING = "over_ceiling"
    EXPORT_OVER_CEILING = "export_over_ceiling"
    UNBALANCE = "unbalance"
    ACCOUNT_OVER_CEILING = "account_over_ceiling"
    BASE_OVER_CEILING = "base_over_ceiling"
    METER_STALE = "meter_stale"
    METER_LOST = "meter_lost"
    METER_FROZEN = "meter_frozen"
    METER_WITHOUT_DATA = "meter_without_data"
    CHARGER_SILENT = "charger_silent"
    BOOT_CURRENT = "boot_current"
    CHARGER_WITHOUT_DATA = "charger_without_data"
    EXCEEDS_SETPOINT = "exceeds_setpoint"
    SETPOINT_CONFLICT = "setpoint_conflict"
    SETPOINT_REFUSED = "setpoint_refused"
    FAILSAFE_NOT_SET = "failsafe_not_set"
    KEEPALIVE_REFUSED = "keepalive_refused"
    DEVICE_REFUSES = "device_refuses"
    DEVICE_UNFIT = "device_unfit"
    DEVICE_SETTING = "device_setting"
    LINK_DOWN = "link_down"
    STATE_REPLACED = "state_replaced"
    STATE_NOT_KEPT = "state_not_kept"
    TELEMETRY_NOT_KEPT = "telemetry_not_kept"
    FIGURES_NOT_KEPT = "figures_not_kept"
    BROKER_REFUSES = "broker_refuses"
    CERTIFICATE_ENDS = "certificate_ends"
    SITE_FILE_REFUSED = "site_file_refused"
    JOURNAL_FAILED = "journal_failed"
    UTILITY_LOST = "utility_lost"
    SEAL_EXPIRED = "seal_expired"
    EVIDENCE_BROKEN = "evidence_broken"


class Severity(StrEnum):
    """How loud an alarm is."""

    INFO = "info"
    WARNING = "warning"
    ALARM = "alarm"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason with the numbers that bound it. `row`: `1`, `2`, `3` or `va`.

    `side`: `primary` where the row is one of the lines that feed the node's transformer.
    """

    code: ReasonCode
    node: NodeId | None = None
    row: str | None = None
    holder: Holder | None = None
    limit: float | None = None
    until_s: float | None = None
    side: str | None = None


@dataclass(frozen=True, slots=True)
class Urgency:
    """How pressing a vehicle's target is.

    `laxity_s`: how long it could wait and still be ready, charging at its fastest; below 0 it
    cannot make it.
    """

    need_wh: float
    departure_utc_s: float
    laxity_s: float


@dataclass(frozen=True, slots=True)
class EvseDecision:
    """What one EVSE gets. A silent one is only called, with `setpoint_a` (S10).

    `allocation_a`: its share; `setpoint_a`: what it may be told now; `committed_a`: the most it may
    draw now. `place`: where it stands among those of its tier that wait, 1 is next. `urgency`: of
    its vehicle's target, where the policy looks at it.
    """

    allocation_a: float
    setpoint_a: float
    committed_a: float
    silent: bool
    reason: Reason
    place: int | None = None
    urgency: Urgency | None = None


@dataclass(frozen=True, slots=True)
class PrimaryDecision:
    """The account of the lines that feed a node's transformer, in primary amperes.

    `base_a`: what base load alone draws there; nobody but the owner sets these ceilings.
    """

    ceiling_a: OptionalTriple
    margin_a: OptionalTriple
    base_a: Triple
    account_a: Triple
    promise_a: Triple
    deficit_a: Triple
    holder_a: tuple[Holder, Holder, Holder]


@dataclass(frozen=True, slots=True)
class NodeDecision:
    """One node's account per phase and in VA, and that of its transformer's `primary` side.

    Absent ceilings are None; `holder_*` says who set each one, `holder` who narrows the limit.
    Where currents are phasors an account is no sum: it is the most that flows for any draw up to
    what is committed.
    """

    ceiling_a: OptionalTriple
    ceiling_va: float | None
    margin_a: OptionalTriple
    margin_va: float | None
    base_a: Triple
    base_va: float
    account_a: Triple
    account_va: float
    promise_a: Triple
    promise_va: float
    deficit_a: Triple
    deficit_va: float
    quality: Quality
    holder: Holder
    holder_a: tuple[Holder, Holder, Holder]
    holder_va: Holder
    primary: PrimaryDecision | None = None


@dataclass(frozen=True, slots=True)
class ExportDecision:
    """What one node may feed back, per phase in A, in VA and net in W, and what it does.

    All are positive; None: no such ceiling, or not known. `holder_*` says who set each one; the one
    in VA is configured.
    """

    ceiling_a: OptionalTriple
    ceiling_va: float | None
    ceiling_w: float | None
    holder: Holder
    holder_a: tuple[Holder, Holder, Holder]
    holder_w: Holder
    fed_a: OptionalTriple = (None, None, None)
    fed_va: float | None = None
    fed_w: float | None = None


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something a person should know now, the same while its cause lasts.

    `id` names the node, EVSE or meter.
    """

    code: AlarmCode
    severity: Severity
    id: str
    text: str
    data: dict[str, int | float | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome of one step.

    `wake_above_a`: a meter value above it on a phase brings the next tick forward. `exports`: the
    nodes that have a ceiling of what they feed back.
    """

    evses: dict[EvseId, EvseDecision]
    nodes: dict[NodeId, NodeDecision]
    alarms: tuple[Alarm, ...]
    wake_above_a: dict[MeterId, OptionalTriple]
    safe: bool = False
    exports: dict[NodeId, ExportDecision] = field(default_factory=dict)
