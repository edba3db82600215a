"""The two ways down, on the whole daemon: a fault inside the step, and SIGTERM."""

import asyncio
import json
from dataclasses import replace

import pytest

from edgectl.clock import Instant
from edgectl.contract.envelope import rfc3339
from edgectl.contract.journal_reading import chapters_of, read_steps
from edgectl.contract.segment import Damage, lines_of
from edgectl.model.telemetry import Lane
from edgectl.simulator import virtual_time
from edgectl.simulator.depot import Scenario
from edgectl.simulator.faults import Fault, FaultKind
from edgectl.simulator.memory.journal import MemoryJournal
from edgectl.simulator.virtual_time import VirtualClock
from tests.field.yard import Bay, Place, Seen, fault, stay, yard
from tests.whole.harness import Whole, build, restarted

BAYS = ("c1", "k1", "w1")
MIXED = yard(
    Bay(id="c1"),
    Bay(id="k1", kind="keba"),
    Bay(id="w1", kind="webasto"),
    nodes=[Place(limit_a=(80.0,) * 3, base_max_a=(10.0,) * 3)],
    more='caps: [{node: grid, kw: 40, from: "00:00", to: "23:59"}]',
)
FAILSAFE_A = 6.0
AT_S = 94.0


class WildClock(VirtualClock):
    """Its wall clock jumps out of all calendars, as a dying clock chip's may."""

    wild = False

    def now(self) -> Instant:
        now = super().now()
        return replace(now, utc_s=1e300) if self.wild else now


async def breaks(whole: Whole) -> None:
    with pytest.raises((OverflowError, ValueError)):
        await whole.daemon.run()


def test_s18_a_fault_inside_the_step_ends_in_the_safe_decision_a_record_and_a_restart() -> None:
    async def main() -> tuple[Whole, Whole, Seen, MemoryJournal, float]:
        clock, journal = WildClock(), MemoryJournal()
        scenario = Scenario(sessions=tuple(stay(bay) for bay in BAYS))
        whole = build(MIXED, scenario=lambda _: scenario, clock=clock, journal=journal)
        seen = Seen(whole)
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(seen.watch(), name="watch")
            daemon = group.create_task(breaks(whole), name="daemon")
            await whole.until(AT_S)
            clock.wild = True
            await daemon
            seen.look()
            ended_s = whole.clock.monotonic_s()
            clock.wild = False
            after = restarted(whole)
            again = group.create_task(after.daemon.run(), name="daemon again")
            after.daemon.tick.observe(after.records.append)
            await whole.until(AT_S + 120.0)
            after.daemon.stop()
            await again
            watching.cancel()
        return whole, after, seen, journal, ended_s

    whole, after, seen, journal, ended_s = virtual_time.run(main())
    for bay in BAYS:
        assert seen.limits_a(bay, until_s=AT_S)[-1] > FAILSAFE_A
        assert seen.limits_a(bay, until_s=ended_s + 1e-6)[-1] <= FAILSAFE_A
        assert seen.limits_a(bay, until_s=AT_S + 119.0)[-1] > FAILSAFE_A, "and it goes on"
    assert len(whole.crashes.errors) == 1
    assert whole.watchdog.said[-1] == "stopping"
    steps = [one for _, one in read_steps(chapters_of(lines_of(journal.data, Damage())))]
    assert [one.safe for one in steps] == [False] * (len(steps) - 1) + [True]
    assert after.records[0].before.started_s is None
    assert not after.crashes.errors


async def _rows_of(whole: Whole) -> tuple[list[int], str]:
    """Numbers of all rows that the outbox keeps, and when its newest sample was taken."""
    kept = [
        *await whole.outbox.waiting(after_seq=0, upto_seq=whole.outbox.last_seq, limit=10**6),
        *[
            row
            for lane in Lane
            for row in await whole.outbox.window(lane, after_seq=0, limit=10**6)
        ],
    ]
    taken = [
        sample["t"]
        for one in kept
        if one.row.topic.endswith("telemetry")
        for sample in json.loads(one.row.body)["samples"]
    ]
    return sorted(one.seq for one in kept), max(taken)


@pytest.mark.parametrize("silent", [(), ("k1",), BAYS])
def test_s18_sigterm_the_safe_decision_and_the_outbox_take_no_longer_than_check_says(
    silent: tuple[str, ...],
) -> None:
    """In under 5 s and the time to write each EVSE of a link once, whoever of them answers."""
    write_s = max(link.write_all_s for link in MIXED.proof.links.values())

    async def main() -> tuple[Whole, Seen, float]:
        faults: list[Fault] = [
            fault(FaultKind.CHARGER_SILENT, bay, at_s=AT_S - 0.5) for bay in silent
        ]
        scenario = Scenario(sessions=tuple(stay(bay) for bay in BAYS), faults=tuple(faults))
        whole = build(MIXED, scenario=lambda _: scenario)
        seen = Seen(whole)
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(seen.watch(), name="watch")
            daemon = group.create_task(whole.daemon.run(), name="daemon")
            await whole.until(AT_S)
            whole.daemon.stop()
            await daemon
            ended_s = whole.clock.monotonic_s()
            seen.look()
            watching.cancel()
        return whole, seen, ended_s

    whole, seen, ended_s = virtual_time.run(main())
    for bay in BAYS:
        assert seen.limits_a(bay, until_s=AT_S)[-1] > FAILSAFE_A
        if bay not in silent:
            assert seen.limits_a(bay)[-1] <= FAILSAFE_A
    assert ended_s - AT_S < 5.0 + write_s
    numbers, newest = asyncio.run(_rows_of(whole))
    assert numbers == list(range(1, whole.outbox.last_seq + 1))
    assert newest >= rfc3339(virtual_time.START_UTC_S + AT_S - 2.0), "up to the last moment"
