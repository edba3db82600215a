"""What the step sees: the process image, frozen. Samples are oldest first and bounded."""

from dataclasses import dataclass

from edgectl.model.ceiling import TimedCeiling
from edgectl.model.reading import EvseSample, MeterSample, VehicleState
from edgectl.model.site import Site
from edgectl.model.target import ChargeTarget
from edgectl.units import EvseId, MeterId


@dataclass(frozen=True, slots=True)
class Sent:
    """A setpoint write, entered before it goes out."""

    value_a: float
    sent_s: float


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A setpoint that the charger was seen to hold.

    Read back, or positively answered where it is write-only.
    """

    value_a: float
    sent_s: float
    confirmed_s: float


@dataclass(frozen=True, slots=True)
class MeterView:
    """A meter's recent samples."""

    samples: tuple[MeterSample, ...] = ()


@dataclass(frozen=True, slots=True)
class EvseView:
    """What is known of one EVSE.

    `sent`: every setpoint written since the confirmed one was written, oldest first.
    `last_answer_s`: send time of the last good answer; None: not heard since start. `last_feed_s`:
    the last ordinary request that could have fed its watchdog (calls to a silent charger do not
    count, S10). `failsafe_a`, `watchdog_s`: as read from the charger. `counted_s`: send time of the
    request that read `session_wh` or `energy_wh` last.
    """

    samples: tuple[EvseSample, ...] = ()
    vehicle: VehicleState = VehicleState.UNKNOWN
    last_answer_s: float | None = None
    last_feed_s: float | None = None
    sent: tuple[Sent, ...] = ()
    confirmed: Confirmed | None = None
    failsafe_a: float | None = None
    watchdog_s: float | None = None
    session_wh: float | None = None
    energy_wh: float | None = None
    counted_s: float | None = None


@dataclass(frozen=True, slots=True)
class KeptTurn:
    """The place of one EVSE in the queue, as the daemon before kept it.

    The fields are those of `EvseState`; instants are monotonic and may lie before this process.
    """

    evse: EvseId
    asked_s: float | None = None
    admitted_s: float | None = None
    stopped_s: float | None = None
    displaced: int = 0
    energy_from_wh: float | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything one step may look at, beside its own state and the time.

    `isolated`: EVSEs that somebody has locked off and that have not answered since (S11).
    `targets`: what vehicles need by when, one for an EVSE. `queue`: who waited before whom, and how
    much of a turn is used, when the daemon before ended; only the first step after a start has it.
    """

    site: Site
    meters: dict[MeterId, MeterView]
    evses: dict[EvseId, EvseView]
    ceilings: tuple[TimedCeiling, ...] = ()
    isolated: tuple[EvseId, ...] = ()
    targets: tuple[ChargeTarget, ...] = ()
    queue: tuple[KeptTurn, ...] = ()
