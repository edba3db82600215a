"""What pending events cost a tick: the desk and the step of 100 EVSEs, with 10,000 and with none.

The events lie in the next seven days, 250 in each of 40 programs. Two minutes of ticks are taken,
so that the ceilings are worked out anew at least once, and promises are looked at again.
"""

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import replace

import structlog

from edgectl.clock import Instant
from edgectl.contract.dr import DrResponse
from edgectl.contract.envelope import rfc3339
from edgectl.daemon.desk.events import EventDesk
from edgectl.model.settings import Unsigned
from edgectl.model.site import Program, Site
from edgectl.model.store import Document
from edgectl.model.trust import Connection
from edgectl.simulator.memory.store import MemoryStore
from edgectl.units import ProgramId
from tests.bench.bench_step import BusyDepot
from tests.bench.measure import Figure

PENDING = 10_000
PROGRAMS = 40
TICKS = 120
TELLERS = 3
"""Chronicle, books and telemetry ask for the alarms at every tick."""

EVSES = 100
ROUNDS = 3
START_S = 1.7e9
WEEK_S = 7 * 86_400.0


def figures() -> Iterator[Figure]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    plain_s: list[float] = []
    loaded_s: list[float] = []
    for _ in range(ROUNDS):  # in turns, so that a busy machine is unfair to both
        for count, taken_s in ((0, plain_s), (PENDING, loaded_s)):
            busy = BusyDepot(EVSES)
            taken_s.append(_ticks(_desk(busy.site, count), busy))
    plain, loaded = min(plain_s), min(loaded_s)
    name = f"events.{PENDING}.tick"
    yield Figure(name, loaded * 1e3, "ms", plain / loaded, "the tick without events")


def _ticks(desk: EventDesk, busy: BusyDepot) -> float:
    """Mean seconds of what a tick does: events, snapshot, step, alarms for all who tell them."""

    async def one(now: Instant) -> float:
        began_s = time.perf_counter()
        desk.advance(now)
        ceilings = desk.ceilings()
        for _ in range(TELLERS):
            desk.alarms(now)
        await desk.tick(now)
        return time.perf_counter() - began_s + sum(busy.tick(ceilings))

    async def all_() -> float:
        begin = (Instant(1.0 + tick, START_S + tick) for tick in range(TICKS))
        return sum([await one(now) for now in begin])

    return asyncio.run(all_()) / TICKS


def _desk(site: Site, count: int) -> EventDesk:
    programs = tuple(
        Program(id=ProgramId(f"p{n}"), mandatory=True, default_unit="KW") for n in range(PROGRAMS)
    )
    site = replace(site, programs=programs)

    async def reply(_name: str, _body: DrResponse) -> None:
        return

    def audit(_record: Document) -> None:
        return

    desk = EventDesk(
        site=site,
        store=MemoryStore(),
        unsigned=Unsigned.LOOPBACK,
        draw=lambda: 0.5,
        reply=reply,
        audit=audit,
    )

    async def fill() -> None:
        now = Instant(mono_s=1.0, utc_s=START_S, utc_trusted=True)
        for number in range(count):
            body = {
                "programID": f"p{number % PROGRAMS}",
                "modificationDateTime": rfc3339(START_S - 60.0),
                "intervalPeriod": {
                    "start": rfc3339(START_S + 600.0 + number * WEEK_S / count),
                    "duration": "PT1H",
                },
                "intervals": [
                    {"id": 0, "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "values": [9e3]}]}
                ],
            }
            await desk.handle(
                f"dr/event/e{number}",
                json.dumps(body).encode(),
                retained=True,
                connection=Connection.LOOPBACK,
                now=now,
            )

    asyncio.run(fill())
    if len(desk.view()) != count:
        raise RuntimeError("not every event was taken")
    return desk
