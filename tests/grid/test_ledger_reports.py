"""Every settled row is reported, whatever is killed, full or both."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest

from edgectl.contract.dr_report import DrReport
from edgectl.daemon.books.baselines import Baselines
from edgectl.daemon.books.ledger import Ledger
from edgectl.errors import StorageFailed
from edgectl.model.evidence import ChainName, Head
from edgectl.model.store import Document, Entry, Place
from edgectl.simulator.memory.evidence import MemoryEvidence
from edgectl.simulator.memory.store import MemoryStore
from tests.grid.samples import SITE, event
from tests.grid.test_event_desk import Desk

NEVER = 10**9


class Killed(BaseException):
    """The process is gone."""


class Gateway:
    """What outlives a process, and when the process dies: before or after its write number so."""

    def __init__(self, writes: int = NEVER, *, after: bool = False) -> None:
        self.left = writes
        self.after = after
        self.killed = self.full = False
        self.store = Disk(self)
        self.evidence = Chains(self)
        self.reports: list[DrReport] = []

    def write(self, *, done: bool) -> None:
        """One write that is about to be made, or is `done`."""
        if done is self.after:
            self.left -= 1
            if self.left < 0:
                self.killed = True
                raise Killed

    async def send(self, report: DrReport) -> None:
        self.write(done=False)
        if self.full:
            raise StorageFailed("the outbox takes nothing")
        self.reports.append(report)
        self.write(done=True)

    def ledger(self, desk: Desk) -> Ledger:
        return Ledger(
            site=SITE,
            store=self.store,
            evidence=self.evidence,
            baselines=Baselines(site=SITE, store=MemoryStore()),
            watched=desk.desk.begun,
            send=self.send,
        )


class Disk(MemoryStore):
    def __init__(self, gateway: Gateway) -> None:
        super().__init__()
        self._gateway = gateway

    async def put_all(self, entries: Sequence[Entry], *, gone: Sequence[Place] = ()) -> None:
        self._gateway.write(done=False)
        await super().put_all(entries, gone=gone)
        self._gateway.write(done=True)


class Chains(MemoryEvidence):
    def __init__(self, gateway: Gateway) -> None:
        super().__init__()
        self._gateway = gateway

    async def append(self, chain: ChainName, docs: Sequence[Document]) -> Head:
        self._gateway.write(done=False)
        head = await super().append(chain, docs)
        self._gateway.write(done=True)
        return head


CLOCKS = ("16:30:01", "16:31", "16:46", "17:01", "17:16", "17:31", "17:32")


async def tick(d: Desk, ledger: Ledger, clock: str) -> None:
    d.clock = clock
    await d.desk.tick(d.now())
    await ledger.tick(d.now())


async def restart(d: Desk, gateway: Gateway) -> tuple[Desk, Ledger]:
    gateway.left = NEVER
    again = await d.restart()
    ledger = gateway.ledger(again)
    await ledger.load(again.now())
    return again, ledger


def told(gateway: Gateway) -> Counter[tuple[str, str]]:
    return Counter((row.from_, row.until) for report in gateway.reports for row in report.rows)


def settled(gateway: Gateway) -> set[tuple[str, str]]:
    rows = gateway.evidence.rows[ChainName.LEDGER]
    return {(str(row.doc["from"]), str(row.doc["until"])) for row in rows}


def check(gateway: Gateway) -> None:
    assert set(told(gateway)) == settled(gateway)
    assert len(settled(gateway)) == 4
    by_id: dict[str, set[str]] = {}
    for report in gateway.reports:
        by_id.setdefault(report.report_id, set()).add(str(report.rows))
    assert {len(same) for same in by_id.values()} == {1}, "an id stands for the same rows"
    assert asyncio.run(gateway.store.load_all("dr_ledger_rows")) == {}


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("after", [False, True])
def test_a_kill_at_any_write_costs_no_report(*, full: bool, after: bool) -> None:
    """`full`: the outbox takes nothing before the kill."""

    async def main(writes: int) -> Gateway:
        gateway, d = Gateway(writes, after=after), Desk()
        gateway.full = full
        await d.send(event())
        ledger = gateway.ledger(d)
        await ledger.load(d.now())
        for clock in (*CLOCKS, "17:33"):
            gateway.full = gateway.full and clock != "17:33"
            try:
                await tick(d, ledger, clock)
            except Killed:
                gateway.full = False
                d, ledger = await restart(d, gateway)
                await tick(d, ledger, clock)
        return gateway

    writes, killed = 0, True
    while killed:
        gateway = asyncio.run(main(writes))
        check(gateway)
        killed = gateway.killed
        writes += 1
    assert writes > 12, "every write of the event's life was tried"


def test_what_the_outbox_never_took_is_told_by_the_next_process() -> None:
    async def main() -> Gateway:
        gateway, d = Gateway(), Desk()
        gateway.full = True
        await d.send(event())
        ledger = gateway.ledger(d)
        await ledger.load(d.now())
        for clock in CLOCKS:
            await tick(d, ledger, clock)
        assert gateway.reports == []
        d, ledger = await restart(d, gateway)
        gateway.full = False
        await tick(d, ledger, "18:00")
        return gateway

    gateway = asyncio.run(main())
    check(gateway)
    (report,) = gateway.reports
    newest = gateway.evidence.rows[ChainName.LEDGER][-1]
    assert report.chain is not None
    assert (report.chain.number, report.chain.hash) == (newest.number, newest.hash)


def test_a_report_that_is_told_again_has_its_id_again() -> None:
    async def main() -> Gateway:
        gateway, d = Gateway(), Desk()
        await d.send(event())
        ledger = gateway.ledger(d)
        await ledger.load(d.now())
        for clock in CLOCKS[:2]:
            await tick(d, ledger, clock)
        gateway.left, gateway.after = 2, True  # the chain, the rows, and the report the last
        with pytest.raises(Killed):
            await tick(d, ledger, CLOCKS[2])
        assert len(gateway.reports) == 1
        d, ledger = await restart(d, gateway)
        for clock in CLOCKS[2:]:
            await tick(d, ledger, clock)
        return gateway

    gateway = asyncio.run(main())
    check(gateway)
    ids = [report.report_id for report in gateway.reports]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 4
