"""A whole daemon, in real time, under whose files the disk turns read-only and comes back.

Argument: a folder, over which the disk is mounted. Says what happened, one line each.
"""

import asyncio
import json
import random
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import structlog

from edgectl.adapters.clock import SystemClock
from edgectl.adapters.evidence import SqliteEvidence
from edgectl.adapters.facts import SqliteFacts
from edgectl.adapters.journal import JournalFiles
from edgectl.adapters.outbox import SqliteOutbox
from edgectl.adapters.store import SqliteStore
from edgectl.contract.messages import thin
from edgectl.daemon.assemble import Ports, assemble
from edgectl.daemon.desk.audit import Audit
from edgectl.daemon.lifecycle import Daemon
from edgectl.errors import StorageFailed
from edgectl.model.reading import VehicleState
from edgectl.model.site import Link, Site
from edgectl.simulator.depot import Scenario, build_depot
from edgectl.simulator.device.charge_point import Vehicle
from edgectl.simulator.memory.broker import MemoryBroker
from edgectl.simulator.memory.line import MemoryLine
from edgectl.simulator.sessions import Session
from edgectl.sitefile.load import LoadedSite
from edgectl.units import EvseId
from tests.disks.small_disk import FailingDisk, failing_disk, say
from tests.whole.harness import KeptCrashes, StillWatchdog, loaded_site

NAMED = {"telemetry_not_kept", "figures_not_kept", "state_not_kept", "journal_failed"}


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
        await asyncio.sleep(0.05)


async def main(folder: Path) -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    disk = failing_disk(folder)
    clock, loaded = SystemClock(always_trusted=True), loaded_site("demo-depot.yaml")
    store = SqliteStore(folder / "state.db", again_s=0.2)
    await store.open()
    facts = SqliteFacts(folder / "facts.db")
    evidence = SqliteEvidence(folder / "evidence.db")
    await evidence.open()
    journal = JournalFiles(folder / "journal", version="test", reserve_bytes=0)
    outbox = await SqliteOutbox.open(folder / "outbox.db", thin=thin)
    broker = MemoryBroker()
    depot = build_depot(loaded.site, seed=1, clock=clock.monotonic_s)
    depot.begin(arrivals(loaded))

    def line(link: Link) -> MemoryLine:
        return MemoryLine(depot.station_for(link.id), clock, connect_s=0.01, serial=link.serial)

    daemon = assemble(
        loaded,
        Ports(
            clock=clock,
            rng=random.Random(1),
            watchdog=StillWatchdog(),
            crash_record=KeptCrashes(),
            store=store,
            line=line,
            journal=journal,
            facts=facts,
            outbox=outbox,
            broker=broker,
            evidence=evidence,
            alarms=store.alarms,
        ),
        version="test",
    )
    async with asyncio.TaskGroup() as group:
        running = group.create_task(daemon.run())
        await script(daemon, disk, store, outbox)
        daemon.stop()
        await running
    rows = [json.loads(one.payload) for one in broker.published if b'"seq"' in one.payload]
    seqs = [row["seq"] for row in rows]
    say(f"published without a gap: {sorted(set(seqs)) == list(range(1, outbox.last_seq + 1))}")
    (failed,) = [row for row in rows if row.get("code") == "outbox_failed"]
    say(f"said with its count: {failed['severity']} {failed['data']}")
    began = {row["id"] for row in rows if row.get("code") == "session_started"}
    missing = sorted(set(bays(loaded.site)) - began)
    say(f"sessions that began meanwhile and are not told: {missing}")
    for part in (outbox, store, facts, evidence, journal):
        await part.close()


async def script(
    daemon: Daemon, disk: FailingDisk, store: SqliteStore, outbox: SqliteOutbox
) -> None:
    def ticks() -> int:
        return 0 if daemon.tick.latest is None else daemon.tick.latest.number

    def codes() -> set[str]:
        assert daemon._telemetry is not None
        return {alarm.code.value for alarm in daemon._telemetry._alarms()} & NAMED

    await until(lambda: ticks() > 2 and outbox.last_seq > 0 and outbox.counts.waiting == 0)
    kept, before = outbox.last_seq, ticks()
    disk.fail()
    with suppress(StorageFailed):
        await store.put("order", "one", {})
        say("an order was taken that is not kept")
    audit = daemon._desks[0]
    assert isinstance(audit, Audit)
    audit.note({"action": "limit", "result": "refused"})
    await until(lambda: codes() == NAMED)
    say(f"alarms: {', '.join(sorted(codes()))}")
    await until(lambda: plugged(daemon) and ticks() > before + 5)
    say(f"control goes on, nothing is numbered: {outbox.last_seq == kept}")
    say(f"the store is read: {await store.load_all('order')}")

    # Everybody lets go of the dead disk, so that it can be mended under the daemon.
    await until(lambda: not disk.is_in_use())
    disk.mend()
    await until(lambda: not codes() and outbox.last_seq > kept)
    say("mended: no alarm, and the rows are in")
    await store.put("order", "two", {})
    say(f"kept: {sorted(await store.load_all('order'))}")
    await until(lambda: outbox.counts.waiting == 0)


def plugged(daemon: Daemon) -> bool:
    """Whether a vehicle is seen everywhere."""
    views = daemon.tick.freeze().evses
    unplugged = {VehicleState.UNKNOWN, VehicleState.ABSENT}
    return all(views[id_].vehicle not in unplugged for id_ in bays(daemon.tick.freeze().site))


def bays(site: Site) -> list[EvseId]:
    """Those that are heard within a second: the beginning of their stays is seen."""
    return [evse.id for evse in site.evses if evse.profile != "keba-p40"]


def arrivals(loaded: LoadedSite) -> Scenario:
    """One vehicle after the other at every bay."""
    return Scenario(
        sessions=tuple(
            Session(
                evse=evse,
                vehicle=Vehicle(energy_wh=9000.0, max_a=16.0, phases=1),
                arrival_s=4.0 + 2.0 * number,
                departure_s=9000.0,
            )
            for number, evse in enumerate(bays(loaded.site))
        )
    )


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
