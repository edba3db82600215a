"""The books of a small site, fed with ticks by hand on the virtual clock."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from edgectl.contract.messages import Event, thin
from edgectl.daemon.books.bookkeeping import Bookkeeping
from edgectl.model.decision import Decision, EvseDecision, Reason, ReasonCode
from edgectl.model.reading import EvseSample, MeterSample, VehicleState
from edgectl.model.record import TickRecord
from edgectl.model.settings import IndicatorSettings
from edgectl.model.snapshot import EvseView, MeterView, Snapshot
from edgectl.model.state import State
from edgectl.simulator.memory.facts import MemoryFacts
from edgectl.simulator.memory.outbox import MemoryOutbox
from edgectl.simulator.virtual_time import START_UTC_S, VirtualClock, run
from edgectl.units import EvseId, MeterId
from tests.mqtt.site import SITE

BAY, OTHER, METER = EvseId("bay01"), EvseId("bay02"), MeterId("m-grid")
STEP_S = 10.0
POWER_W = 7200.0


@dataclass
class Site:
    """bay01 does what a test says; bay02 stands free."""

    clock: VirtualClock = field(default_factory=VirtualClock)
    facts: MemoryFacts = field(default_factory=MemoryFacts)
    outbox: MemoryOutbox = field(default_factory=lambda: MemoryOutbox("s1", thin=thin))
    settings: IndicatorSettings = field(default_factory=IndicatorSettings)
    told: list[Event] = field(default_factory=list)
    vehicle: VehicleState = VehicleState.ABSENT
    power_w: float = 0.0
    wh: float = 50_000.0
    trusted: bool = True
    clock_off_s: float = 0.0
    heard: bool = True
    books: Bookkeeping = field(init=False)
    _running: "asyncio.Task[None] | None" = None

    def start(self) -> None:
        self.books = Bookkeeping(
            site=SITE,
            settings=self.settings,
            facts=self.facts,
            outbox=self.outbox,
            clock=self.clock,
            tell=self.told.append,
        )
        self._running = asyncio.create_task(self.books.run())

    async def stop(self) -> None:
        self.books.stop()
        assert self._running is not None
        await self._running

    async def kill(self) -> None:
        assert self._running is not None
        self._running.cancel()
        await asyncio.wait([self._running])

    async def passes(self, seconds: float) -> None:
        """Let ticks come."""
        for _ in range(round(seconds / STEP_S)):
            await self.clock.sleep_until(self.clock.monotonic_s() + STEP_S)
            self.wh += self.power_w * STEP_S / 3600.0
            self.books.observe(self.record())
            await asyncio.sleep(0)

    async def charges(self, seconds: float) -> None:
        self.vehicle, self.power_w = VehicleState.CHARGING, POWER_W
        await self.passes(seconds)
        self.vehicle, self.power_w = VehicleState.ABSENT, 0.0

    def record(self) -> TickRecord:
        now = self.clock.now()
        now = replace(now, utc_s=now.utc_s + self.clock_off_s, utc_trusted=self.trusted)
        current_a = self.power_w / 690.0
        view = EvseView(
            samples=(EvseSample(now.mono_s, (current_a,) * 3, self.power_w),),
            vehicle=self.vehicle,
            last_answer_s=now.mono_s if self.heard else None,
            energy_wh=self.wh,
            counted_s=now.mono_s,
        )
        free = replace(view, vehicle=VehicleState.ABSENT, energy_wh=1.0)
        free = replace(free, samples=(EvseSample(now.mono_s, (0.0,) * 3, 0.0),))
        meter = MeterView((MeterSample(now.mono_s, (0.0,) * 3, energy_import_wh=self.wh),))
        decision = EvseDecision(
            32.0, 32.0, 32.0, silent=False, reason=Reason(ReasonCode.OWN_MAXIMUM)
        )
        return TickRecord(
            number=1,
            now=now,
            snapshot=Snapshot(SITE, meters={METER: meter}, evses={BAY: view, OTHER: free}),
            state=State(),
            before=State(),
            decision=Decision(
                evses={BAY: decision, OTHER: decision}, nodes={}, alarms=(), wake_above_a={}
            ),
            started_utc_s=START_UTC_S,
            tick_p99_ms=1.0,
        )

    async def rows(self, topic: str) -> list[dict[str, Any]]:
        found = await self.outbox.waiting(after_seq=0, upto_seq=1 << 60, limit=1 << 30)
        return [json.loads(one.row.body) for one in found if one.row.topic == topic]


def play(script: Callable[[Site], Awaitable[None]], **fields: Any) -> None:
    async def main() -> None:
        site = Site(**fields)
        site.start()
        await script(site)

    run(main())
