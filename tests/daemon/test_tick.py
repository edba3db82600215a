"""The tick around the step: what it renews, what it wakes for, and how it breaks."""

import asyncio
from itertools import pairwise

import pytest
import structlog

from edgectl.clock import Instant
from edgectl.daemon.lines.image import Image
from edgectl.daemon.lines.lease import Lease
from edgectl.daemon.tick import PERIOD_S, Tick
from edgectl.model.ceiling import TimedCeiling
from edgectl.model.decision import Decision, ReasonCode
from edgectl.model.reading import MeterSample
from edgectl.model.record import TickRecord
from edgectl.model.site import Site
from edgectl.simulator import virtual_time
from edgectl.simulator.virtual_time import VirtualClock
from edgectl.units import EvseId
from tests.control.world import M_GRID, evse, site
from tests.whole.harness import KeptCrashes, StillWatchdog


class KeptDecisions:
    """Takes decisions and carries nothing."""

    def __init__(self) -> None:
        self.decisions: list[Decision] = []

    def apply(self, decision: Decision) -> None:
        self.decisions.append(decision)


class Desk:
    """Gives no ceilings, or breaks."""

    def __init__(self) -> None:
        self.broken = False

    def __call__(self, now: Instant) -> tuple[TimedCeiling, ...]:
        if self.broken:
            raise ZeroDivisionError(f"at {now.mono_s}")
        return ()


class Bench:
    """One tick with everything around it kept."""

    def __init__(self, depot: Site) -> None:
        self.clock = VirtualClock()
        self.wake = asyncio.Event()
        self.image = Image(depot, on_wake=self.wake.set)
        self.lease, self.desk = Lease(), Desk()
        self.actuator, self.watchdog = KeptDecisions(), StillWatchdog()
        self.crashes = KeptCrashes()
        self.seen: list[TickRecord] = []
        self.tick = Tick(
            site=depot,
            image=self.image,
            ceilings=self.desk,
            actuator=self.actuator,
            lease=self.lease,
            clock=self.clock,
            watchdog=self.watchdog,
            wake=self.wake,
            crash_record=self.crashes,
            observers=(self.seen.append,),
            log=structlog.get_logger(),
        )


def test_s16_a_verified_tick_renews_the_lease_and_feeds_the_watchdog() -> None:
    async def main() -> None:
        bench = Bench(site(evses=[evse(1)]))
        assert not bench.lease.held(bench.clock.monotonic_s())
        bench.tick.once()
        assert bench.lease.held(bench.clock.monotonic_s())
        assert bench.watchdog.fed == 1

    virtual_time.run(main())


def test_s16_s18_a_broken_tick_earns_nothing_and_tells_the_safe_decision() -> None:
    async def main() -> None:
        bench = Bench(site(evses=[evse(1)]))
        bench.desk.broken = True
        with pytest.raises(ZeroDivisionError):
            await bench.tick.run()
        assert bench.watchdog.fed == 0
        assert not bench.lease.held(bench.clock.monotonic_s())
        (decision,) = bench.actuator.decisions
        assert decision.safe
        assert decision.evses[EvseId("e1")].reason.code is ReasonCode.SAFE_DECISION
        assert bench.crashes.errors == ["ZeroDivisionError('at 0.0')"]
        assert bench.tick.safe().safe

    virtual_time.run(main())


def test_ticks_come_once_a_period_and_do_not_drift() -> None:
    async def main() -> None:
        bench = Bench(site(evses=[evse(1)]))
        async with asyncio.TaskGroup() as group:
            running = group.create_task(bench.tick.run())
            await bench.clock.sleep_until(10.5)
            running.cancel()
        assert [record.now.mono_s for record in bench.seen] == pytest.approx(
            [PERIOD_S * n for n in range(11)]
        )

    virtual_time.run(main())


def test_ticks_that_were_brought_forward_put_off_no_other() -> None:
    async def main() -> None:
        bench = Bench(site(evses=[evse(1)]))
        async with asyncio.TaskGroup() as group:
            running = group.create_task(bench.tick.run())
            for n in range(20):
                await bench.clock.sleep_until(3.25 + 0.5 * n)
                bench.image.meter_sample(M_GRID, MeterSample(3.25 + 0.5 * n, (130.0, 0.0, 0.0)))
            await bench.clock.sleep_until(30.0)
            running.cancel()
        at_s = [record.now.mono_s for record in bench.seen]
        assert len(at_s) > 40
        assert max(b - a for a, b in pairwise(at_s)) <= PERIOD_S + 1e-9

    virtual_time.run(main())


def test_s15_a_meter_above_its_ceiling_brings_the_tick_forward() -> None:
    async def main() -> None:
        bench = Bench(site(evses=[evse(1)]))
        async with asyncio.TaskGroup() as group:
            running = group.create_task(bench.tick.run())
            await bench.clock.sleep_until(3.25)
            bench.image.meter_sample(M_GRID, MeterSample(3.2, (90.0, 0.0, 0.0)))
            await bench.clock.sleep_until(3.5)
            bench.image.meter_sample(M_GRID, MeterSample(3.4, (130.0, 0.0, 0.0)))
            await bench.clock.sleep_until(3.75)
            running.cancel()
        assert bench.seen[-1].now.mono_s == pytest.approx(3.5)
        assert bench.seen[-2].now.mono_s == pytest.approx(3.0)

    virtual_time.run(main())
