"""A broker in memory with one client, for a simulation: retained messages, session, will, QoS 1."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from edgectl.errors import Unreachable
from edgectl.model.telemetry import Denial, Incoming, OutMessage, Subscription

NOT_AUTHORIZED: Final = 0x87
TOO_LARGE: Final = 0x95


class MemoryBroker:
    """`edgectl.model.telemetry.Broker`, and the rest of the world behind it.

    `published`: everything that it took, in order. `denied`: topics that it refuses, filters too.
    `payload_max_bytes`: told at the connect. `hangs_up`: whether it ends the connection on a
    message; `says_too_large`: with that word. `shuns`: it ends it on a subscription. While not
    `reachable` nobody connects; while `silent` nothing is acknowledged nor handed out.
    """

    name = "memory"

    def __init__(self, *, timeout_s: float = 10.0) -> None:
        self.reachable = True
        self.silent = False
        self.denied: set[str] = set()
        self.hangs_up: Callable[[OutMessage], bool] = lambda _message: False
        self.says_too_large = False
        self.shuns = False
        self.payload_max_bytes: int | None = None
        self.published: list[OutMessage] = []
        self.retained: dict[str, OutMessage] = {}
        self.connections = 0
        self.timeout_s = timeout_s
        self._filters: dict[str, Subscription] = {}
        self._waiting: list[Incoming] = []
        self._session: MemorySession | None = None
        self._will: OutMessage | None = None
        self._listeners: list[Callable[[OutMessage], None]] = []

    @property
    def connected(self) -> bool:
        """Whether the client is."""
        return self._session is not None

    def listen(self, hear: Callable[[OutMessage], None]) -> None:
        """Have everything told that it takes, at that moment."""
        self._listeners.append(hear)

    @asynccontextmanager
    async def connect(self, *, will: OutMessage) -> AsyncIterator["MemorySession"]:
        """Open a connection; a second one takes the place of the first."""
        await asyncio.sleep(0)
        if self.silent:
            await asyncio.sleep(self.timeout_s)
        if self.silent or not self.reachable:
            raise _unreachable("cannot be reached")
        self.cut()
        self.connections += 1
        self._will = will
        session = self._session = MemorySession(self)
        for message in self._waiting:
            session.deliver(message)
        self._waiting.clear()
        try:
            yield session
        except BaseException:
            if self._session is session:
                self.cut()
            raise
        else:
            if self._session is session:
                self._will = None
                self.cut()

    def cut(self) -> None:
        """Lose the connection; the will is published unless the client had taken leave."""
        session, self._session = self._session, None
        will, self._will = self._will, None
        if session is not None:
            session.lose()
        if will is not None:
            self.take(will)

    def kill(self) -> None:
        """End like a killed broker: sessions and retained messages are forgotten, no will."""
        self._will = None
        self.cut()
        self.retained.clear()
        self._filters.clear()
        self._waiting.clear()

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        retain: bool = False,
        response_topic: str | None = None,
        correlation: bytes | None = None,
    ) -> bool:
        """Publish as somebody else; tells whether the client gets it, now or when it is back."""
        if retain:
            self._keep(OutMessage(topic, payload, retain=True))
        message = Incoming(topic, payload, retain, response_topic, correlation)
        qos = [one.qos for one in self._filters.values() if matches(one.topic, topic)]
        if not qos:
            return False
        if self._session is not None:
            self._session.deliver(message)
        elif max(qos) > 0:
            self._waiting.append(message)
        return self._session is not None or max(qos) > 0

    def take(self, message: OutMessage) -> None:
        """Take what the client publishes."""
        self.published.append(message)
        if message.retain:
            self._keep(message)
        for hear in self._listeners:
            hear(message)

    def subscribe(self, subscription: Subscription, session: "MemorySession") -> None:
        """Keep the filter in the client's session and hand out what is retained under it."""
        self._filters[subscription.topic] = subscription
        for topic, message in self.retained.items():
            if matches(subscription.topic, topic):
                session.deliver(Incoming(topic, message.payload, retain=True))

    def _keep(self, message: OutMessage) -> None:
        if message.payload:
            self.retained[message.topic] = message
        else:
            self.retained.pop(message.topic, None)


class MemorySession:
    """`edgectl.model.telemetry.BrokerSession` with a `MemoryBroker`."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self._arrived: asyncio.Queue[Incoming | None] = asyncio.Queue()
        self._gone = asyncio.Event()

    @property
    def hung_up(self) -> bool:
        """Whether the broker ended it."""
        return self._gone.is_set()

    @property
    def found_too_large(self) -> bool:
        """Whether the broker ended it with that word."""
        return self._gone.is_set() and self._broker.says_too_large

    async def publish(self, message: OutMessage) -> Denial | None:
        """Hand over, and wait one turn for the acknowledgement."""
        if self._gone.is_set():
            raise _unreachable("connection lost")
        most = self._broker.payload_max_bytes
        if most is not None and len(message.payload) > most:
            text = f"{len(message.payload)} bytes, and the broker takes {most}"
            return Denial(topic=message.topic, code=TOO_LARGE, text=text)
        if self._broker.hangs_up(message):
            self._broker.cut()
        elif not self._broker.silent and message.topic not in self._broker.denied:
            self._broker.take(message)
        await asyncio.sleep(0)
        await self._hold_while_silent()
        if self._gone.is_set():
            raise _unreachable("connection lost while a publish was on its way")
        if message.qos > 0 and message.topic in self._broker.denied:
            return Denial(topic=message.topic, code=NOT_AUTHORIZED, text="Not authorized")
        return None

    async def subscribe(self, subscriptions: Sequence[Subscription]) -> tuple[Denial, ...]:
        """Ask for topics."""
        if self._broker.shuns:
            self._broker.cut()
        await asyncio.sleep(0)
        await self._hold_while_silent()
        if self._gone.is_set():
            raise _unreachable("connection lost")
        refused = []
        for subscription in subscriptions:
            if subscription.topic in self._broker.denied:
                refused.append(Denial(subscription.topic, NOT_AUTHORIZED, "Not authorized"))
            else:
                self._broker.subscribe(subscription, self)
        return tuple(refused)

    async def messages(self) -> AsyncIterator[Incoming]:
        """Yield what arrives, in order; raises `Unreachable` at the end."""
        while (message := await self._arrived.get()) is not None:
            yield message
        raise _unreachable("connection lost")

    def deliver(self, message: Incoming) -> None:
        """Put a message on its way to the client."""
        self._arrived.put_nowait(message)

    def lose(self) -> None:
        """End the connection."""
        self._gone.set()
        self._arrived.put_nowait(None)

    async def _hold_while_silent(self) -> None:
        if not self._broker.silent:
            return
        try:
            async with asyncio.timeout(self._broker.timeout_s):
                await self._gone.wait()
        except TimeoutError:
            raise _unreachable("does not answer") from None


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a topic falls under a filter with `+` and `#`."""
    wanted, given = topic_filter.split("/"), topic.split("/")
    if wanted[-1] == "#":
        wanted = wanted[:-1]
        given = given[: len(wanted)] if len(given) >= len(wanted) else given
    return len(wanted) == len(given) and all(
        want in ("+", got) for want, got in zip(wanted, given, strict=True)
    )


def _unreachable(what: str) -> Unreachable:
    return Unreachable(message=f"simulated MQTT broker: {what}", remedy="wait for it")
