"""Both brokers behind one face, for the tests that hold for either."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from edgectl.adapters.mqtt import MqttBroker
from edgectl.model.settings import BrokerAddress, MqttProtocol, MqttSettings
from edgectl.model.telemetry import Broker, OutMessage
from edgectl.simulator.memory.broker import MemoryBroker
from tests.mqtt.mosquitto import Line, Mosquitto, Seen, consumer, foreign_client

KINDS = ("memory", "mosquitto", "mosquitto-3.1.1")
DENIED = "site/denied"
WILL = OutMessage("site/status", b"gone", retain=True)


class World(Protocol):
    """A broker, the line to it, and a consumer beside us."""

    broker: Broker

    def seen(self) -> list[tuple[str, bytes]]: ...

    def cut(self) -> None: ...

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None: ...


class MemoryWorld:
    def __init__(self) -> None:
        self.memory = MemoryBroker()
        self.memory.denied.add(DENIED)
        self.broker: Broker = self.memory

    def seen(self) -> list[tuple[str, bytes]]:
        return [(one.topic, one.payload) for one in self.memory.published]

    def cut(self) -> None:
        self.memory.cut()

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self.memory.publish(topic, payload, retain=retain)


class RealWorld:
    def __init__(self, mosquitto: Mosquitto, line: Line, seen: Seen, protocol: str) -> None:
        self._mosquitto = mosquitto
        self._line = line
        self._seen = seen
        self.broker: Broker = a_broker(line.port, protocol=protocol)

    def seen(self) -> list[tuple[str, bytes]]:
        return [(topic, payload) for topic, payload, _ in self._seen.messages]

    def cut(self) -> None:
        self._line.cut()

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        async with foreign_client(self._mosquitto.port) as client:
            await client.publish(topic, payload, qos=1, retain=retain)


def a_broker(port: int, *, protocol: str = "5", timeout_s: float = 5.0) -> MqttBroker:
    return MqttBroker(
        MqttSettings(
            brokers=(BrokerAddress(host="127.0.0.1", port=port),), protocol=MqttProtocol(protocol)
        ),
        identifier="edgectl-test",
        timeout_s=timeout_s,
        keepalive_s=5,
        will_delay_s=0,
    )


@asynccontextmanager
async def a_world(kind: str, folder: Path) -> AsyncIterator[World]:
    if kind == "memory":
        yield MemoryWorld()
        return
    acl = f"topic deny {DENIED}\ntopic readwrite #\n"
    mosquitto = Mosquitto(folder, acl=acl)
    mosquitto.start()
    line = Line(mosquitto.port)
    try:
        await line.start()
        async with consumer(mosquitto.port) as seen:
            yield RealWorld(mosquitto, line, seen, "3.1.1" if "3.1.1" in kind else "5")
    finally:
        await line.end()
        mosquitto.end()


def in_world(kind: str, folder: Path, use: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        async with a_world(kind, folder) as world:
            await use(world)

    asyncio.run(main())
