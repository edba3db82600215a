"""Sending the rows of the outbox over one connection: lanes, windows and refusals.

1. What is newer than the connection goes at once in lane `live`; what was left behind follows at a
   bounded rate in lane `backfill`, oldest first. The window of each lane goes before its new rows.
2. A row that the broker refuses keeps its number and moves to `backfill`, where it is offered again
   and holds back what is newer than it: no lane ever goes backwards.
3. `refusals` says for how long it holds the lane, and whether it is set aside or given up then.
   What was set aside comes back under a new number, at a bounded rate, once the broker takes its
   topic again. Both are counted and published; nothing else ever leaves without a PUBACK.
4. An outbox that cannot be read now costs time, never the connection.
5. A requester's response topic is believed only below this site's own prefix, where the broker's
   rights end as well.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from typing import Final

import structlog

from edgectl.contract.envelope import payload
from edgectl.contract.topics import Topics
from edgectl.daemon.region.pace import Pace
from edgectl.daemon.region.refusals import Fate, Refusals
from edgectl.errors import StorageFailed
from edgectl.model.decision import Alarm, AlarmCode, Severity
from edgectl.model.ports import Clock
from edgectl.model.telemetry import BrokerSession, Denial, Lane, Outbox, OutMessage, StoredRow

ANSWER_EXPIRY_S: Final = 3600
"""How long a broker keeps an answer for the one who asked; it stands on `command/response` too."""

RESEND_FASTER: Final = 4.0
"""The window of the backfill lane goes again faster than what is new in it, or a connection that
is lost often would never come beyond it."""

_EVER: Final = 1 << 62
_SAID: Final = 500
_log: Final = structlog.get_logger(__name__)


class Sender:
    """Sends over one connection after the other; what it knows of the lanes goes on."""

    def __init__(self, *, outbox: Outbox, clock: Clock, pace: Pace, names: Topics) -> None:
        self.refusals = Refusals(pace)
        self._outbox = outbox
        self._clock = clock
        self._pace = pace
        self._topics = names
        self._connected_s: float | None = None
        self._served_before_s = 0.0
        self._unmarked: dict[Lane, list[int]] = {lane: [] for lane in Lane}

    def alarms(self) -> tuple[Alarm, ...]:
        """Rows that are set aside, by topic where the refusal is known."""
        aside = self._outbox.counts.aside
        closed = self.refusals.closed()
        if not (aside or closed):
            return ()
        told = {
            topic: f"the broker refuses {self._topics.whole(topic)}: {why}; {aside} rows are set"
            " aside until it takes them; give this client the right to publish below its prefix,"
            " and room for packets of 64 kB"
            for topic, why in closed
        }
        if aside and not closed:
            told["outbox"] = (
                f"{aside} rows that the broker refused are set aside on the disk; they are sent"
                " again when it takes a row of their topic"
            )
        return tuple(
            Alarm(code=AlarmCode.BROKER_REFUSES, severity=Severity.ALARM, id=name, text=text)
            for name, text in told.items()
        )

    def began(self) -> "Lanes":
        """Begin on a new connection."""
        self._connected_s = self._clock.monotonic_s()
        self.refusals.began()
        return Lanes(boundary=self._outbox.last_seq, stream=self._outbox.stream)

    def ended(self) -> float:
        """End on a connection; how long it lasted."""
        lasted_s = 0.0
        if self._connected_s is not None:
            lasted_s = self._clock.monotonic_s() - self._connected_s
        self._served_before_s += lasted_s
        self._connected_s = None
        return lasted_s

    async def drain_live(self, session: BrokerSession, lanes: "Lanes") -> None:
        """Send what is newer than the connection, until cancelled."""
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
            sendable = [one for one in rows if not self.refusals.is_shut(one.row.topic)]
            async with lanes.calm:
                accepted = await self._send(session, sendable, Lane.LIVE)
            lanes.live_done = rows[-1].seq
            if len(accepted) < len(rows):
                # Whatever of these still waits was not taken and goes on in the other lane.
                lanes.backfill_upto = lanes.live_done
                lanes.more_backfill.set()

    async def drain_backfill(self, session: BrokerSession, lanes: "Lanes") -> None:
        """Send what was left behind, until cancelled."""
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
            if await self._is_out_of_the_way(found[0]):
                done = found[0].seq
                continue
            rows = self.refusals.together(found, proven)
            began_s = self._clock.monotonic_s()
            if self.refusals.needs_calm(rows[0]):
                accepted = await self._send_in_calm(session, rows, lanes)
            else:
                accepted = await self._send(session, rows, Lane.BACKFILL)
            if len(accepted) == len(rows):
                done = rows[-1].seq
                proven.add(rows[0].row.topic)
                pause_s = len(rows) / self._pace.backfill_rows_per_s
            else:
                refused = next(one for one in rows if one.seq not in accepted)
                proven.discard(refused.row.topic)
                done, pause_s = refused.seq - 1, self._pace.denied_retry_s
                if self.refusals.refused(refused):
                    pause_s = len(rows) / self._pace.backfill_rows_per_s
            await self._clock.sleep_until(began_s + pause_s)

    async def _send_in_calm(
        self, session: BrokerSession, rows: Sequence[StoredRow], lanes: "Lanes"
    ) -> set[int]:
        """Offer a row that may end the connection where its end tells something."""
        if self._connected_s is not None:
            await self._clock.sleep_until(self._connected_s + self._pace.stable_s)
        async with lanes.calm:
            return await self._send(session, rows, Lane.BACKFILL)

    async def _is_out_of_the_way(self, first: StoredRow) -> bool:
        """Take a row out of the lane that was not taken often enough; True when it is out."""
        topic, now_s = first.row.topic, self._clock.monotonic_s()
        fate = self.refusals.fate(first, now_s)
        if fate is Fate.OFFERED:
            return False
        why = self.refusals.why(first, self._topics.whole(topic))
        try:
            if fate is Fate.GIVEN_UP:
                await self._outbox.give_up([first.seq])
            else:
                await self._outbox.set_aside([first.seq])
        except StorageFailed as error:
            _log.debug("refused_row_not_moved", seq=first.seq, error=str(error))
            return False
        if fate is Fate.GIVEN_UP:
            said = first.row.body[:_SAID].decode("utf-8", "replace")
            _log.error("row_given_up", seq=first.seq, topic=topic, why=why, body=said)
        self.refusals.out_of_the_way(first, fate, why=why, now_s=now_s)
        return True

    async def _bring_back(self) -> None:
        """Give rows of topics that are taken again new numbers, at the rate of the backfill."""
        if self._outbox.counts.aside == 0:
            return
        most = max(1, round(self._pace.backfill_rows_per_s * self._pace.let_go_every_s))
        for topic in self.refusals.opened():
            moved = await self._outbox.offer_again(topic, limit=most)
            self.refusals.moved(moved)
            if not moved:
                self.refusals.came_back(topic)

    async def _send_window_again(self, session: BrokerSession, lane: Lane, lanes: "Lanes") -> None:
        """Send again what the broker may have forgotten; the consumers drop what they have."""
        done = 0
        chunk = self._pace.in_flight if lane is Lane.LIVE else self._pace.backfill_chunk
        while rows := await self._read(
            lanes, partial(self._outbox.window, lane, after_seq=done, limit=chunk)
        ):
            began_s = self._clock.monotonic_s()
            part = self.refusals.together(rows)
            done = part[-1].seq
            if self.refusals.needs_calm(part[0]):
                # It was taken once, and is not worth a connection for the second time.
                continue
            async with lanes.calm if lane is Lane.LIVE else nullcontext():
                await self._publish_all(session, part, lane)
            for one in part:
                self.refusals.cleared(one.seq)
            if lane is Lane.BACKFILL:
                pause_s = len(part) / (self._pace.backfill_rows_per_s * RESEND_FASTER)
                await self._clock.sleep_until(began_s + pause_s)

    async def _read(
        self, lanes: "Lanes", find: Callable[[], Awaitable[tuple[StoredRow, ...]]]
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
                continue
            self.refusals.taken(one, self._topics.whole(one.row.topic))
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
        told: dict[int, Denial | None] = {}

        async def publish(one: StoredRow, message: OutMessage) -> None:
            denial = told[one.seq] = await session.publish(message)
            if denial is not None:
                self.refusals.note(denial, self._clock.monotonic_s(), one)

        try:
            ended = await asyncio.gather(*map(publish, rows, messages), return_exceptions=True)
        finally:
            # Whoever hears first of the end cancels the others, so it is not told by an error.
            lost = [one for one in rows if one.seq not in told]
            if lost and session.hung_up:
                self.refusals.hung_up(lost, self._clock.monotonic_s())
        for failure in ended:
            if isinstance(failure, BaseException):
                await self._mark(lane, [seq for seq, denial in told.items() if denial is None])
                raise failure
        return [told[one.seq] for one in rows]

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

    async def let_go(self, lanes: "Lanes") -> None:
        """End windows and bring back what was set aside, now and then, until cancelled."""
        while True:
            self._require_same_stream(lanes)
            for lane in Lane:
                await self._mark(lane, ())
            with suppress(StorageFailed):
                await self._outbox.let_go(served_s=self._served_s())
                await self._bring_back()
            await self._clock.sleep_until(self._clock.monotonic_s() + self._pace.let_go_every_s)

    async def flush(self, lanes: "Lanes") -> None:
        """Give the live lane a little time for what it has."""
        until_s = self._clock.monotonic_s() + self._pace.flush_s
        newest = self._outbox.last_seq
        while lanes.live_done < newest and self._clock.monotonic_s() < until_s:
            await self._clock.sleep_until(self._clock.monotonic_s() + 0.05)

    def _require_same_stream(self, lanes: "Lanes") -> None:
        """Begin anew when the outbox had to replace its file: numbers mean other rows now."""
        if self._outbox.stream != lanes.stream:
            raise StorageFailed("the outbox was replaced; the connection begins anew")

    def _payload(self, stored: StoredRow, lane: Lane) -> bytes:
        return payload(stored, site=self._topics.site, stream=self._outbox.stream, lane=lane)

    def _served_s(self) -> float:
        if self._connected_s is None:
            return self._served_before_s
        return self._served_before_s + self._clock.monotonic_s() - self._connected_s


class Lanes:
    """How far each lane is on one connection; `boundary`: the newest row that is older than it.

    `calm`: held by the live lane while it sends, and by whoever must be the only one to do so.
    """

    def __init__(self, *, boundary: int, stream: str) -> None:
        self.stream = stream
        self.live_done = boundary
        self.backfill_upto = boundary
        self.more_backfill = asyncio.Event()
        self.calm = asyncio.Lock()
