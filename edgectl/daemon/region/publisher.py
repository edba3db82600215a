"""The connection to the region: one loop that connects, greets, drains the outbox and listens.

1. Control never waits for anything here; a broker that is away is a normal state.
2. Attempts are spaced by a capped, jittered back-off that only a connection that lasted ends, and
   the first one is spread already: the gateways of a region lose their broker in one moment and
   must not come back in one.
3. What is told at the connect stands in `greeting`; what is sent after it, and in which order, in
   `sending`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import structlog

from edgectl.contract import topics
from edgectl.contract.birth import BirthFacts
from edgectl.daemon.region.greeting import Greeting
from edgectl.daemon.region.pace import Pace
from edgectl.daemon.region.sending import Lanes, Sender
from edgectl.errors import EdgectlError, StorageFailed, Unreachable
from edgectl.model.decision import Alarm
from edgectl.model.ports import Clock
from edgectl.model.telemetry import Broker, BrokerSession, Incoming, Outbox

Handler: TypeAlias = Callable[[Incoming], Awaitable[None]]

_log: Final = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PublisherStatus:
    """How the way to the region stands.

    `aside`: rows that are set aside. `denied`: topics that the broker refused last.
    """

    connected: bool
    broker: str
    backlog: int
    aside: int
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
        self._handler = handler
        self._pace = pace or Pace()
        names = topics.Topics(region=facts.site.region, site=facts.site.id)
        self._own_answers = names.whole(topics.COMMAND_RESPONSE)
        self._stopping = asyncio.Event()
        self._sender = Sender(outbox=outbox, clock=clock, pace=self._pace, names=names)
        self._greeting = Greeting(
            facts=facts,
            outbox=outbox,
            clock=clock,
            pace=self._pace,
            names=names,
            refusals=self._sender.refusals,
        )
        self._connected = False
        self._last_error: str | None = None
        self._failures = 0

    @property
    def status(self) -> PublisherStatus:
        """As of now."""
        return PublisherStatus(
            connected=self._connected,
            broker=self._broker.name,
            backlog=self._outbox.counts.waiting,
            aside=self._outbox.counts.aside,
            denied=self._sender.refusals.denied(),
            last_error=self._last_error,
        )

    def alarms(self) -> tuple[Alarm, ...]:
        """What is wrong with the way to the region, beside that it may be away."""
        return (*self._greeting.alarms(), *self._sender.alarms())

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
        async with self._broker.connect(
            will=self._greeting.presence("offline", will=True)
        ) as session:
            self._greeting.began(self._broker.name)
            lanes, self._connected = self._sender.began(), True
            try:
                await self._serve(session, lanes)
            finally:
                self._connected = False
                lasted_s = self._sender.ended()
                if lasted_s >= self._pace.stable_s:
                    self._failures = 0
                elif session.hung_up:
                    self._greeting.hung_up_early()

    async def _serve(self, session: BrokerSession, lanes: Lanes) -> None:
        """Work until `stop`, then flush and take leave. Ends with `Unreachable` when it is lost."""
        sender = self._sender
        async with asyncio.TaskGroup() as group:
            receiving = group.create_task(self._receive(session), name="mqtt receive")
            self._last_error = None
            await self._greeting.say(session)
            _log.info(
                "broker_connected", broker=self._broker.name, backlog=self._outbox.counts.waiting
            )
            work = [
                receiving,
                group.create_task(sender.drain_live(session, lanes), name="mqtt live"),
                group.create_task(sender.drain_backfill(session, lanes), name="mqtt backfill"),
                group.create_task(sender.let_go(lanes), name="mqtt window"),
                group.create_task(self._offer_again(session, lanes), name="mqtt greeting"),
            ]
            await self._stopping.wait()
            await sender.flush(lanes)
            for task in work:
                task.cancel()
        denial = await session.publish(self._greeting.presence("offline"))
        if denial is not None:
            self._sender.refusals.note(denial, self._clock.monotonic_s())

    async def _offer_again(self, session: BrokerSession, lanes: Lanes) -> None:
        """Offer what was left out of the greeting, each part when it is due."""
        while (due_s := self._greeting.next_probe_s()) is not None:
            await self._clock.sleep_until(due_s)
            async with lanes.calm:
                await self._greeting.offer_again(session)

    async def _receive(self, session: BrokerSession) -> None:
        async for message in session.messages():
            if message.topic == self._own_answers:
                continue
            try:
                await self._handler(message)
            except EdgectlError as error:
                _log.warning("message_not_handled", topic=message.topic, error=str(error))
            except Exception:  # noqa: BLE001 - no message from outside may end the daemon
                _log.exception("message_not_handled", topic=message.topic)

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
        tell("broker_unreachable", error=self._last_error)
