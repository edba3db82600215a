"""The whole daemon and a simulated depot on a virtual clock, with everything in memory."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from edgectl.clock import Instant
from edgectl.contract.messages import thin
from edgectl.daemon.assemble import Ports, assemble
from edgectl.daemon.lifecycle import Daemon
from edgectl.model.modbus import Line
from edgectl.model.ports import Journal
from edgectl.model.record import TickRecord
from edgectl.model.site import Link
from edgectl.model.snapshot import Snapshot
from edgectl.model.state import State
from edgectl.simulator.depot import Depot, Scenario, build_depot
from edgectl.simulator.device.device_catalog import ChargerOf, simulated_charger
from edgectl.simulator.memory.broker import MemoryBroker
from edgectl.simulator.memory.evidence import MemoryEvidence
from edgectl.simulator.memory.facts import MemoryFacts
from edgectl.simulator.memory.line import MemoryLine
from edgectl.simulator.memory.outbox import MemoryOutbox
from edgectl.simulator.memory.store import MemoryStore
from edgectl.simulator.virtual_time import VirtualClock
from edgectl.sitefile.load import LoadedSite, load_site
from edgectl.units import LinkId

CONFIG = Path(__file__).parents[2] / "config"


class StillWatchdog:
    """Counts what the service manager would hear."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.fed = 0

    def ready(self) -> None:
        self.said.append("ready")

    def feed(self) -> None:
        self.fed += 1

    def status(self, text: str) -> None:
        self.said.append(text)

    def reloading(self) -> None:
        self.said.append("reloading")

    def stopping(self) -> None:
        self.said.append("stopping")


class KeptCrashes:
    """Keeps crash records in a list."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def keep(self, *, snapshot: Snapshot, state: State, now: Instant, error: str) -> None:
        assert snapshot.site.id
        assert state is not None
        assert now is not None
        self.errors.append(error)


@dataclass
class Whole:
    """One run: everything that a test may look at or turn."""

    loaded: LoadedSite
    clock: VirtualClock
    depot: Depot
    broker: MemoryBroker
    store: MemoryStore
    facts: MemoryFacts
    outbox: MemoryOutbox
    evidence: MemoryEvidence
    watchdog: StillWatchdog
    crashes: KeptCrashes
    daemon: Daemon
    lines: dict[LinkId, MemoryLine]
    records: list[TickRecord] = field(default_factory=list)

    def latest(self) -> TickRecord:
        record = self.daemon.tick.latest
        assert record is not None
        return record

    async def until(self, mono_s: float) -> None:
        await self.clock.sleep_until(mono_s)


def loaded_site(name: str = "demo-depot.yaml") -> LoadedSite:
    return load_site(CONFIG / name)


def build(
    loaded: LoadedSite,
    *,
    seed: int = 1,
    scenario: Callable[[LoadedSite], Scenario] | None = None,
    store: MemoryStore | None = None,
    wrap: Callable[[Line], Line] = lambda line: line,
    clock: VirtualClock | None = None,
    journal: Journal | None = None,
    step_s: float = 0.25,
    record: bool = True,
    charger_of: ChargerOf = simulated_charger,
) -> Whole:
    """Everything wired, nothing started; call it on the virtual-time loop.

    `wrap` goes around every line. `step_s` of the physics; `record` keeps its trace.
    """
    clock = clock or VirtualClock()
    depot = build_depot(
        loaded.site,
        seed=seed,
        clock=clock.monotonic_s,
        step_s=step_s,
        record=record,
        charger_of=charger_of,
    )
    depot.begin(Scenario() if scenario is None else scenario(loaded))
    return _assembled(
        loaded,
        seed=seed,
        clock=clock,
        depot=depot,
        broker=MemoryBroker(),
        store=store or MemoryStore(),
        facts=MemoryFacts(),
        outbox=MemoryOutbox("stream-1", thin=thin),
        evidence=MemoryEvidence(),
        wrap=wrap,
        journal=journal,
    )


def restarted(whole: Whole, *, seed: int = 2) -> Whole:
    """The next process on the same gateway: the depot, the broker and the disk are the same."""
    return _assembled(
        whole.loaded,
        seed=seed,
        clock=whole.clock,
        depot=whole.depot,
        broker=whole.broker,
        store=whole.store,
        facts=whole.facts,
        outbox=whole.outbox,
        evidence=whole.evidence,
        wrap=lambda line: line,
    )


def _assembled(
    loaded: LoadedSite,
    *,
    seed: int,
    clock: VirtualClock,
    depot: Depot,
    broker: MemoryBroker,
    store: MemoryStore,
    facts: MemoryFacts,
    outbox: MemoryOutbox,
    evidence: MemoryEvidence,
    wrap: Callable[[Line], Line],
    journal: Journal | None = None,
) -> Whole:
    watchdog, crashes = StillWatchdog(), KeptCrashes()
    lines: dict[LinkId, MemoryLine] = {}

    def line(link: Link) -> Line:
        lines[link.id] = MemoryLine(
            depot.station_for(link.id), clock, connect_s=0.01, serial=link.serial
        )
        return wrap(lines[link.id])

    daemon = assemble(
        loaded,
        Ports(
            clock=clock,
            rng=random.Random(seed),
            watchdog=watchdog,
            crash_record=crashes,
            store=store,
            line=line,
            journal=journal,
            facts=facts,
            outbox=outbox,
            broker=broker,
            evidence=evidence,
        ),
        version="test",
    )
    return Whole(
        loaded=loaded,
        clock=clock,
        depot=depot,
        broker=broker,
        store=store,
        facts=facts,
        outbox=outbox,
        evidence=evidence,
        watchdog=watchdog,
        crashes=crashes,
        daemon=daemon,
        lines=lines,
    )


async def run_for(whole: Whole, seconds: float) -> None:
    """Run the daemon, then let it go its way down."""
    async with asyncio.TaskGroup() as group:
        running = group.create_task(whole.daemon.run(), name="daemon")
        end_s = whole.clock.monotonic_s() + seconds
        whole.daemon.tick.observe(whole.records.append)
        await whole.until(end_s)
        whole.daemon.stop()
        await running
