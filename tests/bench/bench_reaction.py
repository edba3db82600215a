"""From a meter above its ceiling to all lower setpoints, on the wire, with 100 chargers on TCP.

A step of base load takes the meter above its ceiling at a random moment; the reaction ends when the
setpoints that the chargers have received fit under the ceiling again. These are wall times on this
machine: a neighbour that takes the processor is in them.
"""

import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.gateway import Yard, daemon, holds
from tests.bench.measure import Figure

CHARGERS = 100
LIMIT_A = 3500.0
STEP_A = 200.0
STEPS = 11
ROUNDS = 3
ALLOWED_S = 0.15


def figures() -> Iterator[Figure]:
    for poll_s in (0.2, 1.0):
        taken_s = asyncio.run(_reactions(poll_s))
        taken_s.sort()
        worst_s = taken_s[min(len(taken_s) - 1, int(0.99 * len(taken_s)))]
        wanted_s = poll_s + ALLOWED_S
        name = f"reaction.poll_{poll_s:g}_s"
        yield Figure(f"{name}.median", 1e3 * statistics.median(taken_s), "ms")
        yield Figure(
            f"{name}.p99_of_{len(taken_s)}",
            1e3 * worst_s,
            "ms",
            wanted_s / worst_s,
            f"the {1e3 * wanted_s:.0f} ms allowed",
        )


async def _reactions(poll_s: float) -> list[float]:
    rng = random.Random(1)
    yard = Yard(chargers=CHARGERS, meters=1)
    yard.show()
    taken_s: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        async with yard.served():
            site = yard.site(limit_a=LIMIT_A, meter_poll_s=poll_s, broker_port=None)
            async with daemon(Path(name), site):
                for _ in range(ROUNDS):
                    yard.base_a = 0.0
                    yard.show()
                    await holds(
                        lambda: all(charger.limit_a == 32 for charger in yard.chargers),
                        within_s=300.0,
                        name="all chargers at 32 A",
                    )
                    # The first step only reaches the ceiling.
                    yard.base_a = LIMIT_A - yard.total_a() - 20.0
                    yard.show()
                    for _ in range(STEPS):
                        await asyncio.sleep(2.0 + rng.random() * poll_s)
                        taken_s.append(await _one(yard))
    return taken_s


async def _one(yard: Yard) -> float:
    back = asyncio.Event()

    def told() -> None:
        if yard.total_a() <= LIMIT_A:
            back.set()

    yard.on_told = told
    yard.base_a += LIMIT_A + STEP_A - yard.total_a()
    yard.show()
    begin_s = time.monotonic()
    async with asyncio.timeout(120.0):
        await back.wait()
    yard.on_told = lambda: None
    return yard.told_s - begin_s
