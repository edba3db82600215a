"""What goes to the region and what comes from it: rows, messages, and the two ports for them.

1. A row is durable before `Outbox.append` returns; only then may it be sent.
2. `seq` counts up by one per stream over all rows and is never given twice.
3. Only a positive acknowledgement of the broker ends a row's wait; it stays `resend_s` longer. A
   row that is refused again and again is set aside or given up, which is counted.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final, Protocol

RESEND_S: Final = 120.0
"""Connected time for which a row is kept after its PUBACK: a killed broker forgets what it took."""


class Lane(StrEnum):
    """Order holds per (stream, lane). What is older than the connection goes as `BACKFILL`."""

    LIVE = "live"
    BACKFILL = "backfill"


class Detail(IntEnum):
    """What the bound of the outbox may take from a row (S23).

    `FINE` telemetry loses its samples first, then telemetry is dropped, then everything else.
    """

    NONE = 0
    FINE = 1
    COARSE = 2


@dataclass(frozen=True, slots=True)
class OutRow:
    """One message for the outbox; `edgectl.contract.envelope.row` makes it from a body model.

    `topic`: below the site's prefix. `body`: a JSON object without the envelope. `values`: how many
    measured values it carries, for the counts of what was lost. `response_topic` (whole) and
    `correlation`: where an MQTT 5 requester wants the answer as well.
    """

    topic: str
    schema: str
    made_utc_s: float
    body: bytes
    values: int = 0
    detail: Detail = Detail.NONE
    response_topic: str | None = None
    correlation: bytes | None = None


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row with the number that it got."""

    seq: int
    row: OutRow


@dataclass(frozen=True, slots=True)
class OutboxCounts:
    """Where the outbox stands. Totals count since the file was made.

    `waiting`: rows without a PUBACK. `kept`: all rows. `thinned_values`, `dropped_rows`,
    `dropped_values`: what the bounds and damage took (S23). `replaced`: an unreadable file was put
    aside by this process and a new stream begun. `aside`: rows that are set aside now;
    `set_aside_rows`: that ever were; `refused_rows`, `refused_values`: what was given up.
    """

    waiting: int = 0
    kept: int = 0
    bytes: int = 0
    thinned_values: int = 0
    dropped_rows: int = 0
    dropped_values: int = 0
    aside: int = 0
    set_aside_rows: int = 0
    refused_rows: int = 0
    refused_values: int = 0
    replaced: bool = False


class Outbox(Protocol):
    """The durable queue to the region. Every method may raise `StorageFailed`."""

    @property
    def stream(self) -> str:
        """A random id made with the outbox."""

    @property
    def last_seq(self) -> int:
        """The number of the newest row, 0 before the first."""

    @property
    def counts(self) -> OutboxCounts:
        """As of the last operation that ended."""

    async def append(self, rows: Sequence[OutRow]) -> None:
        """Keep the rows in this order; they are durable when it returns, all or none."""

    async def waiting(self, *, after_seq: int, upto_seq: int, limit: int) -> tuple[StoredRow, ...]:
        """Rows without a PUBACK, oldest first."""

    async def window(self, lane: Lane, *, after_seq: int, limit: int) -> tuple[StoredRow, ...]:
        """Rows acknowledged in this lane and still kept, oldest first."""

    async def acknowledge(self, lane: Lane, seqs: Sequence[int], *, served_s: float) -> None:
        """Mark what the broker took; `served_s`: connected time of this process so far.

        A row that is in the window already keeps its lane and its first moment.
        """

    async def let_go(self, *, served_s: float) -> None:
        """Forget the rows that were acknowledged `RESEND_S` of connected time ago."""

    async def set_aside(self, seqs: Sequence[int]) -> None:
        """Take waiting rows out of the lanes; they stay on the disk."""

    async def give_up(self, seqs: Sequence[int]) -> None:
        """Drop waiting rows that no broker takes, and count them."""

    async def offer_again(self, topic: str, *, limit: int) -> tuple[tuple[int, int], ...]:
        """Give rows of a topic that were set aside new numbers, oldest first; old and new ones."""

    async def wait_beyond(self, seq: int) -> None:
        """Return when there is a row with a greater number."""

    async def close(self) -> None:
        """Keep everything and let go of the file."""


@dataclass(frozen=True, slots=True)
class OutMessage:
    """One message as it goes to the broker. `expiry_s`: how long the broker keeps it (MQTT 5)."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    correlation: bytes | None = None
    expiry_s: int | None = None


@dataclass(frozen=True, slots=True)
class Incoming:
    """One message from the broker. `topic` is whole.

    `retain`: it was published with the retain flag (MQTT 5), or comes from the broker's store
    (3.1.1, which cannot tell the first). The MQTT 5 properties are None where they are not given.
    """

    topic: str
    payload: bytes
    retain: bool = False
    response_topic: str | None = None
    correlation: bytes | None = None


@dataclass(frozen=True, slots=True)
class Subscription:
    """A topic filter, whole, and the quality of service asked for."""

    topic: str
    qos: int = 1


@dataclass(frozen=True, slots=True)
class Denial:
    """The broker refused a publish or a subscription. `code`: the MQTT 5 reason code."""

    topic: str
    code: int
    text: str


class BrokerSession(Protocol):
    """One connection. Every method raises `Unreachable` once it is lost."""

    @property
    def hung_up(self) -> bool:
        """Whether it is lost and the other side ended it, as far as can be seen from here.

        A line that broke may look like it; silence, a stop and a session taken over never do.
        """

    @property
    def found_too_large(self) -> bool:
        """Whether it is lost and the other side said that a message was too large for it."""

    async def publish(self, message: OutMessage) -> Denial | None:
        """Send, and wait for the acknowledgement (QoS 1); None when the broker took it.

        Messages leave in the order in which the calls begin to run, however many wait at once.
        """

    async def subscribe(self, subscriptions: Sequence[Subscription]) -> tuple[Denial, ...]:
        """Ask for topics; what the broker refuses comes back, the rest holds."""

    def messages(self) -> AsyncIterator[Incoming]:
        """Yield what arrives, in order, for one task; raises `Unreachable` at the end."""


class Broker(Protocol):
    """A way to the brokers of the region; with several, each failed attempt moves to the next."""

    @property
    def name(self) -> str:
        """Host and port of the one that is tried now, for people."""

    def connect(self, *, will: OutMessage) -> AbstractAsyncContextManager[BrokerSession]:
        """Open a new connection with the same identity as ever, or raise `Unreachable`.

        Left without an error it is closed in order; left by an error or a cancellation it is cut,
        so that the broker publishes the will.
        """
