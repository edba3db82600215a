"""The connection to the region: one loop that connects, greets, drains the outbox and listens.

1. Control never waits for anything here; a broker that is away is a normal state.
2. What is newer than the connection goes at once in lane `live`; what was left behind follows at a
   bounded rate in lane `backfill`, oldest first. The window of each lane goes before its new rows.
3. A row that the broker refuses keeps its number and moves to `backfill`, where it is offered again
   and holds back what is newer than it: no lane ever goes backwards.
4. Attempts are spaced by a capped, jittered back-off that only a connection that lasted ends, and
   the first one is spread already: the gateways of a region lose their broker in one moment and
   must not come back in one.
5. An outbox that cannot be read now costs time, never the connection.
6. A requester's response topic is believed only below this site's own prefix, where the broker's
   rights end as well.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

import structlog

from edgectl.contract import topics
from edgectl.contract.birth import BirthFacts, birth, presence
from edgectl.contract.envelope import payload, to_json
from edgectl.errors import EdgectlError, StorageFailed, Unreachable
from edgectl.model.ports import Clock
from edgectl.model.telemetry import (
    Broker,
    BrokerSession,
    Denial,
    Incoming,
    Lane,
    Outbox,
    OutMessage,
    StoredRow,
    Subscription,
)

Handler: TypeAlias = Callable[[Incoming], Awaitable[None]]

ANSWER_EXPIRY_S: Final = 3600
"""How long a broker keeps an answer for the one who asked; it stands on `command/response` too."""

RESEND_FASTER: Final = 4.0
"""The window of the backfill lane goes again faster than what is new in it, or a connection that
is lost often would never come beyond it."""

_EVER: Final = 1 << 62
_log: Final = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Bounds of the connection loop and of sending.

    A pause lies between `backoff_least` of the back-off and all of it. A connection that lasted
    `stable_s` ends the back-off. `in_flight`: rows of the live lane that
    wait for their PUBACK at once. `denied_retry_s`: until a refused row is offered again;
    `storage_retry_s`: until an outbox that failed is read again.
    `flush_s`: how long a stop waits for the live lane.
    """

    backoff_first_s: float = 10.0
    backoff_least: float = 0.1
    backoff_cap_s: float = 60.0
    stable_s: float = 30.0
    in_flight: int = 50
    backfill_rows_per_s: float = 50.0
    backfill_chunk: int = 10
    denied_retry_s: float = 30.0
    storage_retry_s: float = 5.0
    let_go_every_s: float = 10.0
    flush_s: float = 3.0


@dataclass(frozen=True, slots=True)
class PublisherStatus:
    """How the way to the region stands. `denied`: topics that the broker refused last."""

    connected: bool
    broker: str
    backlog: int
    denied: tuple[str, ...]
    last_error: str | None


class Publisher:
    """Owns the connection. `random` gives numbers from 0 to 1 for the jitter."""

    def __init__(
        self,
        *,
        broker: Broker,
        outbox: Outbox,
        clock: Clock,
        random: Callable[[], float],
        facts: BirthFacts,
        handler: Handler,
        pace: Pace | None = None,
    ) -> None:
        self._broker = broker
        self._outbox = outbox
        self._clock = clock
        self._random = random
        self._facts = facts
        self._handler = handler
        self._pace = pace or Pace()
        self._topics = topics.Topics(region=facts.site.region, site=facts.site.id)
        self._stopping = asyncio.Event()
        self._connected_s: float | None = None
        self._served_before_s = 0.0
        self._denied: dict[str, Denial] = {}
        self._unmarked: dict[Lane, list[int]] = {lane: [] for lane in Lane}
        self._last_error: str | None = None
        self._failures = 0

    @property
    def status(self) -> PublisherStatus:
        """As of now."""
        return PublisherStatus(
            connected=self._connected_s is not None,
            broker=self._broker.name,
            backlog=self._outbox.counts.waiting,
            denied=tuple(sorted(self._denied)),
            last_error=self._last_error,
        )

    def stop(self) -> None:
        """Let `run` flush, take leave and return."""
        self._stopping.set()

    async def run(self) -> None:
        """Keep the connection until `stop`; a cancellation cuts it, and the will is published."""
        while not self._stopping.is_set():
            try:
                await self._connect_and_serve()
            except* (Unreachable, StorageFailed) as failures:
                self._note(failures)
            if self._stopping.is_set():
                return
            await self._pause(self._backoff_s())

    async def _connect_and_serve(self) -> None:
        async with self._broker.connect(will=self._presence("offline", will=True)) as session:
            began_s = self._connected_s = self._clock.monotonic_s()
            try:
                await self._serve(session)
            finally:
                lasted_s = self._clock.monotonic_s() - began_s
                self._served_before_s += lasted_s
                self._connected_s = None
                if lasted_s >= self._pace.stable_s:
                    self._failures = 0

    async def _serve(self, session: BrokerSession) -> None:
        """Work until `stop`, then flush and take leave. Ends with `Unreachable` when it is lost."""
        lanes = _Lanes(boundary=self._outbox.last_seq, stream=self._outbox.stream)
        async with asyncio.TaskGroup() as group:
            receiving = group.create_task(self._receive(session), name="mqtt receive")
            await self._greet(session)
            _log.info(
                "broker_connected", broker=self._broker.name, backlog=self._outbox.counts.waiting
            )
            work = [
                receiving,
                group.create_task(self._drain_live(session, lanes), name="mqtt live"),
                group.create_task(self._drain_backfill(session, lanes), name="mqtt backfill"),
                group.create_task(self._let_go(lanes), name="mqtt window"),
            ]
            await self._stopping.wait()
            await self._flush(lanes)
            for task in work:
                task.cancel()
        await self._publish(session, self._presence("offline"))

    async def _greet(self, session: BrokerSession) -> None:
        self._last_error = None
        self._denied.clear()
        await self._publish(session, self._presence("online"))
        made_utc_s = self._clock.now().utc_s
        told = birth(self._facts, stream=self._outbox.stream, made_utc_s=made_utc_s)
        await self._publish(
            session, OutMessage(self._topics.whole(topics.SITE), to_json(told), retain=True)
        )
        wanted = [Subscription(self._topics.whole(name), qos) for name, qos in topics.SUBSCRIBED]
        for denial in await session.subscribe(wanted):
            self._note_denial(denial)

    async def _receive(self, session: BrokerSession) -> None:
        own_answers = self._topics.whole(topics.COMMAND_RESPONSE)
        async for message in session.messages():
            if message.topic == own_answers:
                continue
            try:
                await self._handler(message)
            except EdgectlError as error:
                _log.warning("message_not_handled", topic=message.topic, error=str(error))
            except Exception:  # noqa: BLE001 - no message from outside may end the daemon
                _log.exception("message_not_handled", topic=message.topic)

    async def _drain_live(self, session: BrokerSession, lanes: "_Lanes") -> None:
        await self._send_window_again(session, Lane.LIVE, lanes)
        while True:
            newest = self._outbox.last_seq
            rows = await self._read(
                lanes,
                partial(
                    self._outbox.waiting,
                    after_seq=lanes.live_done,
                    upto_seq=_EVER,
                    limit=self._pace.in_flight,
                ),
            )
            if not rows:
                lanes.live_done = max(lanes.live_done, newest)
                await self._outbox.wait_beyond(lanes.live_done)
                continue
            accepted = await self._send(session, rows, Lane.LIVE)
            lanes.live_done = rows[-1].seq
            if len(accepted) < len(rows):
                # Whatever of these still waits was refused and goes on in the other lane.
                lanes.backfill_upto = lanes.live_done
                lanes.more_backfill.set()

    async def _drain_backfill(self, session: BrokerSession, lanes: "_Lanes") -> None:
        await self._send_window_again(session, Lane.BACKFILL, lanes)
        proven: set[str] = set()
        done = 0
        while True:
            lanes.more_backfill.clear()
            found = await self._read(
                lanes,
                partial(
                    self._outbox.waiting,
                    after_seq=done,
                    upto_seq=lanes.backfill_upto,
                    limit=self._pace.backfill_chunk,
                ),
            )
            if not found:
                await lanes.more_backfill.wait()
                continue
            rows = _provable(found, proven)
            began_s = self._clock.monotonic_s()
            accepted = await self._send(session, rows, Lane.BACKFILL)
            if len(accepted) == len(rows):
                done = rows[-1].seq
                proven.add(rows[0].row.topic)
                pause_s = len(rows) / self._pace.backfill_rows_per_s
            else:
                refused = next(one for one in rows if one.seq not in accepted)
                done = refused.seq - 1
                proven.discard(refused.row.topic)
                pause_s = self._pace.denied_retry_s
            await self._clock.sleep_until(began_s + pause_s)

    async def _send_window_again(self, session: BrokerSession, lane: Lane, lanes: "_Lanes") -> None:
        """Send again what the broker may have forgotten; the consumers drop what they have."""
        done = 0
        chunk = self._pace.in_flight if lane is Lane.LIVE else self._pace.backfill_chunk
        while rows := await self._read(
            lanes, partial(self._outbox.window, lane, after_seq=done, limit=chunk)
        ):
            began_s = self._clock.monotonic_s()
            await self._publish_all(session, rows, lane)
            done = rows[-1].seq
            if lane is Lane.BACKFILL:
                pause_s = len(rows) / (self._pace.backfill_rows_per_s * RESEND_FASTER)
                await self._clock.sleep_until(began_s + pause_s)

    async def _read(
        self, lanes: "_Lanes", find: Callable[[], Awaitable[tuple[StoredRow, ...]]]
    ) -> tuple[StoredRow, ...]:
        """Rows, as soon as the outbox can be read."""
        while True:
            try:
                rows = await find()
            except StorageFailed as error:
                _log.debug("outbox_not_readable", error=str(error))
            else:
                self._require_same_stream(lanes)
                return rows
            self._require_same_stream(lanes)
            await self._clock.sleep_until(self._clock.monotonic_s() + self._pace.storage_retry_s)

    async def _send(
        self, session: BrokerSession, rows: Sequence[StoredRow], lane: Lane
    ) -> set[int]:
        """Publish rows in order, all in flight at once; the numbers that the broker took."""
        outcomes = await self._publish_all(session, rows, lane)
        accepted = [one.seq for one, denial in zip(rows, outcomes, strict=True) if denial is None]
        await self._mark(lane, accepted)
        for one, denial in zip(rows, outcomes, strict=True):
            if denial is not None:
                self._note_denial(denial)
                continue
            self._denied.pop(self._topics.whole(one.row.topic), None)
            if one.row.response_topic is not None:
                await self._answer(session, one, lane)
        return set(accepted)

    async def _publish_all(
        self, session: BrokerSession, rows: Sequence[StoredRow], lane: Lane
    ) -> list[Denial | None]:
        messages = [
            OutMessage(topic=self._topics.whole(one.row.topic), payload=self._payload(one, lane))
            for one in rows
        ]
        outcomes = await asyncio.gather(
            *(session.publish(message) for message in messages), return_exceptions=True
        )
        failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        if failures:
            taken = [
                one.seq for one, outcome in zip(rows, outcomes, strict=True) if outcome is None
            ]
            await self._mark(lane, taken)
            raise failures[0]
        return [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]

    async def _answer(self, session: BrokerSession, stored: StoredRow, lane: Lane) -> None:
        """Send the same payload where the requester wants it; a refusal there is theirs."""
        topic = stored.row.response_topic
        if topic is None:
            return
        if not self._topics.may_answer(topic):
            _log.info("response_topic_refused", topic=topic)
            return
        await session.publish(
            OutMessage(
                topic=topic,
                payload=self._payload(stored, lane),
                correlation=stored.row.correlation,
                expiry_s=ANSWER_EXPIRY_S,
            )
        )

    async def _mark(self, lane: Lane, seqs: Sequence[int]) -> None:
        """Mark in the outbox, or remember until its disk takes it; unmarked means sent again."""
        unmarked = self._unmarked[lane]
        unmarked.extend(seqs)
        if not unmarked:
            return
        marking, self._unmarked[lane] = unmarked, []
        try:
            await self._outbox.acknowledge(lane, marking, served_s=self._served_s())
        except StorageFailed as error:
            self._unmarked[lane][:0] = marking
            _log.debug("acknowledgement_not_kept", error=str(error))

    async def _let_go(self, lanes: "_Lanes") -> None:
        while True:
            self._require_same_stream(lanes)
            for lane in Lane:
                await self._mark(lane, ())
            with suppress(StorageFailed):
                await self._outbox.let_go(served_s=self._served_s())
            await self._clock.sleep_until(self._clock.monotonic_s() + self._pace.let_go_every_s)

    async def _flush(self, lanes: "_Lanes") -> None:
        """Give the live lane a little time for what it has."""
        until_s = self._clock.monotonic_s() + self._pace.flush_s
        newest = self._outbox.last_seq
        while lanes.live_done < newest and self._clock.monotonic_s() < until_s:
            await self._clock.sleep_until(self._clock.monotonic_s() + 0.05)

    async def _publish(self, session: BrokerSession, message: OutMessage) -> None:
        denial = await session.publish(message)
        if denial is not None:
            self._note_denial(denial)

    def _require_same_stream(self, lanes: "_Lanes") -> None:
        """Begin anew when the outbox had to replace its file: numbers mean other rows now."""
        if self._outbox.stream != lanes.stream:
            raise StorageFailed("the outbox was replaced; the connection begins anew")

    def _payload(self, stored: StoredRow, lane: Lane) -> bytes:
        site = self._facts.site.id
        return payload(stored, site=site, stream=self._outbox.stream, lane=lane)

    def _presence(self, state: str, *, will: bool = False) -> OutMessage:
        told = presence(
            self._facts,
            online=state == "online",
            stream=self._outbox.stream,
            made_utc_s=self._clock.now().utc_s,
            will=will,
        )
        return OutMessage(self._topics.whole(topics.STATUS), to_json(told), retain=True)

    def _served_s(self) -> float:
        if self._connected_s is None:
            return self._served_before_s
        return self._served_before_s + self._clock.monotonic_s() - self._connected_s

    def _backoff_s(self) -> float:
        self._failures += 1
        # The exponent is bounded because a float is not: years of failures must not overflow it.
        longest_s = self._pace.backoff_first_s * 2.0 ** min(self._failures - 1, 30)
        least = self._pace.backoff_least
        return min(longest_s, self._pace.backoff_cap_s) * (least + (1.0 - least) * self._random())

    async def _pause(self, pause_s: float) -> None:
        """Sleep, or return at once when stopped."""
        waking_s = self._clock.monotonic_s() + pause_s
        async with asyncio.TaskGroup() as group:
            sleeping = group.create_task(self._clock.sleep_until(waking_s), name="mqtt back-off")
            stopping = group.create_task(self._stopping.wait(), name="mqtt stop")
            await asyncio.wait((sleeping, stopping), return_when=asyncio.FIRST_COMPLETED)
            sleeping.cancel()
            stopping.cancel()

    def _note(self, failures: BaseExceptionGroup[EdgectlError]) -> None:
        first: BaseException = failures
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        self._last_error = str(first)
        tell = _log.debug if self._failures else _log.warning
        tell("broker_unreachable", broker=self._broker.name, error=self._last_error)

    def _note_denial(self, denial: Denial) -> None:
        tell = _log.debug if denial.topic in self._denied else _log.warning
        self._denied[denial.topic] = denial
        tell("broker_refuses", topic=denial.topic, code=denial.code, text=denial.text)


class _Lanes:
    """How far each lane is on one connection; `boundary`: the newest row that is older than it."""

    def __init__(self, *, boundary: int, stream: str) -> None:
        self.stream = stream
        self.live_done = boundary
        self.backfill_upto = boundary
        self.more_backfill = asyncio.Event()


def _provable(rows: Sequence[StoredRow], proven: set[str]) -> Sequence[StoredRow]:
    """The rows that may go at once: a topic not yet proven on this connection goes alone.

    A refusal then finds nothing newer on its way.
    """
    known = 0
    while known < len(rows) and rows[known].row.topic in proven:
        known += 1
    return rows[: max(known, 1)]
