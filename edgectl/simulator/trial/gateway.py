"""The site's gateway: a disk that outlives its processes, and processes that may be killed.

1. A killed process does nothing more, at whatever await it stood: its ports are dead.
2. A disk takes a moment to write; a process killed in that moment does not know whether it did.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, TypeVar

from edgectl.clock import Instant
from edgectl.contract.messages import thin
from edgectl.daemon.assemble import Ports, assemble
from edgectl.daemon.lifecycle import Daemon
from edgectl.model.evidence import ChainName, Head
from edgectl.model.facts import Fact
from edgectl.model.modbus import Answer, Line, Miss, Request
from edgectl.model.record import TickRecord
from edgectl.model.rules import Rules
from edgectl.model.site import Link
from edgectl.model.snapshot import Snapshot
from edgectl.model.state import State
from edgectl.model.store import Document, Entry, Place
from edgectl.model.telemetry import (
    BrokerSession,
    Denial,
    Incoming,
    Lane,
    OutboxCounts,
    OutMessage,
    OutRow,
    StoredRow,
    Subscription,
)
from edgectl.simulator.depot import Depot
from edgectl.simulator.memory.broker import MemoryBroker
from edgectl.simulator.memory.evidence import MemoryEvidence
from edgectl.simulator.memory.facts import MemoryFacts
from edgectl.simulator.memory.journal import MemoryJournal
from edgectl.simulator.memory.line import MemoryLine
from edgectl.simulator.memory.outbox import MemoryOutbox
from edgectl.simulator.memory.store import MemoryStore
from edgectl.simulator.virtual_time import VirtualClock
from edgectl.sitefile.load import LoadedSite
from edgectl.units import LinkId

CONNECT_S: Final = 0.01
_WRITE_S: Final = (0.0005, 0.02)
T = TypeVar("T")


class Disk:
    """What is on the gateway's disk, and how many writes it has taken."""

    def __init__(self, stream: str) -> None:
        self.store = MemoryStore()
        self.outbox = MemoryOutbox(stream, thin=thin)
        self.facts = MemoryFacts()
        self.evidence = MemoryEvidence()
        self.journals: list[MemoryJournal] = []
        self._full = False

    def fill(self, *, full: bool) -> None:
        """Let it be full, or have room again."""
        self._full = full
        self.store.full = full
        self.outbox.disk_full = full
        self.facts.full = full
        self.evidence.full = full
        for journal in self.journals:
            journal.full = full

    def new_journal(self) -> MemoryJournal:
        """Begin the segment of one more process."""
        journal = MemoryJournal()
        journal.full = self._full
        self.journals.append(journal)
        return journal


class Process:
    """One run of the daemon on the gateway, from its start until it ends or is killed.

    `crashes`: what broke a step. `fed`: how often the service manager heard of it. `talked_s`: when
    each link last did anything. `writes`: how many it has sent.
    """

    def __init__(
        self,
        loaded: LoadedSite,
        *,
        seed: str,
        clock: VirtualClock,
        depot: Depot,
        broker: MemoryBroker,
        disk: Disk,
        down: set[LinkId],
        rules: Rules,
        recorded: bool,
    ) -> None:
        self.clock = clock
        self.started_s = clock.monotonic_s()
        self.dead = False
        self.crashes: list[str] = []
        self.fed = 0
        self.lines: dict[LinkId, MemoryLine] = {}
        self.talked_s: dict[LinkId, float] = {}
        self.writes = 0
        self._rng = random.Random(f"disk {seed}")
        self._moment = ""
        self._struck = asyncio.Event()
        self._depot = depot
        self._down = down
        self.daemon: Daemon = assemble(
            loaded,
            Ports(
                clock=clock,
                rng=random.Random(seed),
                watchdog=self,
                crash_record=self,
                store=_Store(self, disk.store),
                journal=_Journal(self, disk.new_journal()) if recorded else None,
                facts=_Facts(self, disk.facts),
                evidence=_Evidence(self, disk.evidence),
                line=self._line,
                outbox=_Outbox(self, disk.outbox),
                broker=_Broker(self, broker),
            ),
            version="trial",
            rules=rules,
        )

    def kill(self) -> None:
        """Let nothing leave it any more; whoever owns its task cancels it."""
        self.dead = True

    def alive(self) -> None:
        """Raise `CancelledError` once it is killed: no code of a dead process runs."""
        if self.dead:
            raise asyncio.CancelledError

    async def write(self, act: Callable[[], Awaitable[T]]) -> T:
        """Do something on the disk, which takes a moment."""
        self.alive()
        before_s, after_s = (self._rng.uniform(*_WRITE_S) for _ in range(2))
        await asyncio.sleep(before_s)
        self._pass("before")
        done = await act()
        self._pass("after")
        await asyncio.sleep(after_s)
        self.alive()
        return done

    async def killed_at(self, moment: str, *, within_s: float) -> None:
        """Be killed at the next write to the disk, at the latest after `within_s`."""
        self._moment = moment
        try:
            async with asyncio.timeout(within_s):
                await self._struck.wait()
        except TimeoutError:
            self.kill()

    def _pass(self, moment: str) -> None:
        if moment == self._moment:
            self.kill()
            self._struck.set()
        self.alive()

    # The service manager's port and that for crash records.

    def ready(self) -> None:
        """Nobody waits for it."""

    def feed(self) -> None:
        """Count."""
        self.fed += 1

    def status(self, text: str) -> None:
        """Nobody reads it."""

    def stopping(self) -> None:
        """Nobody waits for it."""

    def reloading(self) -> None:
        """Nobody waits for it."""

    def keep(self, *, snapshot: Snapshot, state: State, now: Instant, error: str) -> None:  # noqa: ARG002
        """Note what broke a step."""
        self.crashes.append(error)

    def _line(self, link: Link) -> Line:
        line = self.lines[link.id] = MemoryLine(
            self._depot.station_for(link.id), self.clock, connect_s=CONNECT_S, serial=link.serial
        )
        line.reachable = link.id not in self._down
        return _Line(self, link.id, line)


class _Line:
    def __init__(self, process: Process, link: LinkId, line: MemoryLine) -> None:
        self._process = process
        self._link = link
        self._line = line

    async def open(self, *, timeout_s: float) -> Miss | None:
        self._talk()
        return await self._line.open(timeout_s=timeout_s)

    async def exchange(self, request: Request, *, timeout_s: float) -> Answer | Miss:
        self._talk()
        self._process.writes += bool(request.words)
        return await self._line.exchange(request, timeout_s=timeout_s)

    async def close(self) -> None:
        await self._line.close()

    def _talk(self) -> None:
        self._process.alive()
        self._process.talked_s[self._link] = self._process.clock.monotonic_s()


class _Store:
    def __init__(self, process: Process, store: MemoryStore) -> None:
        self._process = process
        self._store = store

    async def put(self, kind: str, key: str, doc: Document) -> None:
        await self._process.write(lambda: self._store.put(kind, key, doc))

    async def put_all(self, entries: Sequence[Entry], *, gone: Sequence[Place] = ()) -> None:
        await self._process.write(lambda: self._store.put_all(entries, gone=gone))

    async def delete(self, kind: str, key: str) -> None:
        await self._process.write(lambda: self._store.delete(kind, key))

    async def load_all(self, kind: str) -> dict[str, Document]:
        self._process.alive()
        return await self._store.load_all(kind)

    async def close(self) -> None:
        await self._store.close()


class _Journal:
    def __init__(self, process: Process, journal: MemoryJournal) -> None:
        self._process = process
        self._journal = journal

    async def append(self, records: Sequence[TickRecord]) -> None:
        await self._process.write(lambda: self._journal.append(records))

    async def close(self) -> None:
        await self._journal.close()


class _Facts:
    def __init__(self, process: Process, facts: MemoryFacts) -> None:
        self._process = process
        self._facts = facts

    async def change(self, put: Sequence[Fact], forget: Sequence[tuple[str, str]] = ()) -> None:
        await self._process.write(lambda: self._facts.change(put, forget))

    async def get(self, kind: str, key: str) -> Fact | None:
        self._process.alive()
        return await self._facts.get(kind, key)

    async def between(self, kind: str, from_s: float, until_s: float) -> tuple[Fact, ...]:
        self._process.alive()
        return await self._facts.between(kind, from_s, until_s)

    async def prune(self, kind: str, before_s: float) -> None:
        await self._process.write(lambda: self._facts.prune(kind, before_s))

    async def close(self) -> None:
        await self._facts.close()


class _Evidence:
    def __init__(self, process: Process, evidence: MemoryEvidence) -> None:
        self._process = process
        self._evidence = evidence

    async def append(self, chain: ChainName, docs: Sequence[Document]) -> Head:
        return await self._process.write(lambda: self._evidence.append(chain, docs))

    async def head(self, chain: ChainName) -> Head:
        self._process.alive()
        return await self._evidence.head(chain)

    async def at(self, chain: ChainName, number: int) -> Head | None:
        self._process.alive()
        return await self._evidence.at(chain, number)

    async def close(self) -> None:
        await self._evidence.close()


class _Outbox:
    def __init__(self, process: Process, outbox: MemoryOutbox) -> None:
        self._process = process
        self._outbox = outbox

    @property
    def stream(self) -> str:
        return self._outbox.stream

    @property
    def last_seq(self) -> int:
        return self._outbox.last_seq

    @property
    def counts(self) -> OutboxCounts:
        return self._outbox.counts

    async def append(self, rows: Sequence[OutRow]) -> None:
        await self._process.write(lambda: self._outbox.append(rows))

    async def waiting(self, *, after_seq: int, upto_seq: int, limit: int) -> tuple[StoredRow, ...]:
        self._process.alive()
        return await self._outbox.waiting(after_seq=after_seq, upto_seq=upto_seq, limit=limit)

    async def window(self, lane: Lane, *, after_seq: int, limit: int) -> tuple[StoredRow, ...]:
        self._process.alive()
        return await self._outbox.window(lane, after_seq=after_seq, limit=limit)

    async def acknowledge(self, lane: Lane, seqs: Sequence[int], *, served_s: float) -> None:
        await self._process.write(lambda: self._outbox.acknowledge(lane, seqs, served_s=served_s))

    async def let_go(self, *, served_s: float) -> None:
        await self._process.write(lambda: self._outbox.let_go(served_s=served_s))

    async def set_aside(self, seqs: Sequence[int]) -> None:
        await self._process.write(lambda: self._outbox.set_aside(seqs))

    async def give_up(self, seqs: Sequence[int]) -> None:
        await self._process.write(lambda: self._outbox.give_up(seqs))

    async def offer_again(self, topic: str, *, limit: int) -> tuple[tuple[int, int], ...]:
        moved: tuple[tuple[int, int], ...] = ()

        async def offer() -> None:
            nonlocal moved
            moved = await self._outbox.offer_again(topic, limit=limit)

        await self._process.write(offer)
        return moved

    async def wait_beyond(self, seq: int) -> None:
        self._process.alive()
        await self._outbox.wait_beyond(seq)

    async def close(self) -> None:
        await self._outbox.close()


class _Broker:
    def __init__(self, process: Process, broker: MemoryBroker) -> None:
        self._process = process
        self._broker = broker

    @property
    def name(self) -> str:
        return self._broker.name

    def connect(self, *, will: OutMessage) -> AbstractAsyncContextManager[BrokerSession]:
        return self._connect(will)

    @asynccontextmanager
    async def _connect(self, will: OutMessage) -> AsyncIterator[BrokerSession]:
        self._process.alive()
        async with self._broker.connect(will=will) as session:
            yield _Session(self._process, session)


class _Session:
    def __init__(self, process: Process, session: BrokerSession) -> None:
        self._process = process
        self._session = session

    @property
    def hung_up(self) -> bool:
        return self._session.hung_up

    @property
    def found_too_large(self) -> bool:
        return self._session.found_too_large

    async def publish(self, message: OutMessage) -> Denial | None:
        self._process.alive()
        return await self._session.publish(message)

    async def subscribe(self, subscriptions: Sequence[Subscription]) -> tuple[Denial, ...]:
        self._process.alive()
        return await self._session.subscribe(subscriptions)

    def messages(self) -> AsyncIterator[Incoming]:
        self._process.alive()
        return self._session.messages()
