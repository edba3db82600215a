"""A publisher at work in virtual time, with broker and outbox in memory."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from edgectl.daemon.region.publisher import Publisher
from edgectl.simulator.memory.broker import MemoryBroker
from edgectl.simulator.memory.outbox import MemoryOutbox
from edgectl.simulator.virtual_time import VirtualClock, run
from tests.mqtt.mosquitto import until
from tests.mqtt.site import PREFIX, a_publisher, memory_outbox


class Scene:
    """A publisher at work, what it reaches, and what the broker took from it."""

    def __init__(self, **options: Any) -> None:
        self.broker = MemoryBroker()
        self.outbox: MemoryOutbox = memory_outbox()
        self.publisher: Publisher = a_publisher(self.broker, self.outbox, VirtualClock(), **options)

    def told(self, ending: str) -> list[dict[str, Any]]:
        return [
            json.loads(one.payload) for one in self.broker.published if one.topic == PREFIX + ending
        ]

    async def connected(self) -> None:
        await until(lambda: self.publisher.status.connected, within_s=120)

    def rows(self) -> list[tuple[str, int]]:
        bodies = [json.loads(one.payload) for one in self.broker.published]
        return [(body["lane"], body["seq"]) for body in bodies if "seq" in body]

    def fresh(self) -> list[tuple[str, int]]:
        known: set[int] = set()
        fresh = []
        for lane, seq in self.rows():
            if seq not in known:
                known.add(seq)
                fresh.append((lane, seq))
        return fresh


def play(script: Callable[[Scene], Awaitable[None]], **options: Any) -> Scene:
    async def main() -> Scene:
        scene = Scene(**options)
        running = asyncio.create_task(scene.publisher.run())
        try:
            await script(scene)
        finally:
            scene.publisher.stop()
            await running
        return scene

    return run(main())


def lane_never_goes_back(fresh: list[tuple[str, int]]) -> None:
    for lane in ("live", "backfill"):
        seqs = [seq for of, seq in fresh if of == lane]
        assert seqs == sorted(seqs)
