"""Sessions, outages, quarter hours and their reports: kept on disk and published.

1. `observe` only takes a record down; the tick feels neither a slow disk nor a full one.
2. Facts, what is to be published of them, and the state that they came from are kept in one
   change: a kill between two changes costs no energy and makes nothing count twice. What was to be
   published is forgotten when the outbox has it.
3. Nothing is kept before the clock was trusted once: a fact needs its true time. A clock that is
   set later moves what is going on, and what is written stays.
4. No fault in here ends control: what cannot be understood is said, and the books begin anew with
   what was kept.
5. A day or month is reported some minutes after it is over, each once, and those that were missed
   after a restart.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, TypeVar

import structlog

from edgectl.contract.envelope import rfc3339
from edgectl.contract.messages import Event, event_row
from edgectl.contract.record import Recorded
from edgectl.contract.reports import (
    interval_report,
    report_rows,
    session_report,
)
from edgectl.contract.vocabulary import EventCode, Severity
from edgectl.daemon.books.archive import BLOCK, OUTAGE, PERIODS, SESSION, Archive, FactsDue, rated_w
from edgectl.daemon.books.looking import Looking
from edgectl.errors import StorageFailed
from edgectl.indicators.books import Books, Kept, News
from edgectl.indicators.energy import BLOCK_S
from edgectl.indicators.periods import Period
from edgectl.indicators.ports import Outage
from edgectl.indicators.sessions import Session
from edgectl.model.decision import Alarm, AlarmCode
from edgectl.model.facts import Fact, FactStore
from edgectl.model.ports import Clock
from edgectl.model.record import TickRecord
from edgectl.model.settings import IndicatorSettings
from edgectl.model.site import Node, Site, nominal_v
from edgectl.model.store import Document
from edgectl.model.telemetry import Detail, Outbox, OutRow

RECORDS_MAX: Final = 120
SAVE_S: Final = 60.0
SETTLE_S: Final = 90.0
"""How long after a quarter hour its last readings may come."""

REPORT_AFTER_S: Final = 300.0
STEP_S: Final = 1.0
"""The wall clock was set when it moves so much beside the steady one."""

WAITING_MAX: Final = 20_000
"""Facts, and messages made of them, that wait in memory for a disk that refuses."""

MISSED_MAX: Final = 62
DAY_S: Final = 86_400.0
BLOCKS_KEPT_S: Final = 70 * 86_400.0
FACTS_KEPT_S: Final = 430 * 86_400.0
PORT_MARGIN: Final = 1.25
NODE_MARGIN: Final = 2.0
_NO_LIMIT_W: Final = 1e9

_KEPT: Final = Recorded(Kept)

K = TypeVar("K")
T = TypeVar("T")

_log: Final = structlog.get_logger(__name__)


class Bookkeeping:
    """Keeps the books of one site. `alarms` gives what is wrong beside the decision's own alarms.

    `outbox` None: nothing is published; the figures are there all the same. `tell` hears of every
    stay that begins or ends.
    """

    def __init__(
        self,
        *,
        site: Site,
        settings: IndicatorSettings,
        facts: FactStore,
        outbox: Outbox | None,
        clock: Clock,
        alarms: Callable[[], tuple[Alarm, ...]] = tuple,
        tell: Callable[[Event], None] = lambda _: None,
    ) -> None:
        self._site = site
        self._facts = FactsDue(facts)
        self._outbox = outbox
        self._clock = clock
        self._alarms = alarms
        self._tell = tell
        self._looking = Looking(site)
        self._records: deque[TickRecord] = deque(maxlen=RECORDS_MAX)
        self._arrived = asyncio.Event()
        self._stopping = False
        self._books: Books | None = None
        self.archive = Archive(
            site=site,
            settings=settings,
            facts=self._facts,
            clock=clock,
            books=lambda: self._books,
        )
        self._steady_s = 0.0
        self._saved_s = float("-inf")
        self._rows_due: list[OutRow] = []
        self._unsent: dict[str, OutRow] = {}
        self._waits_for_clock = False
        self._row_number = 0
        self._reported: dict[str, float] = {}
        self._running: dict[str, Period] = {}
        self._failing = False
        self._failure: StorageFailed | None = None

    def alarms(self) -> tuple[Alarm, ...]:
        """What is wrong with what is kept of the past now."""
        if self._failure is None:
            return ()
        text = f"{self._failure}; {len(self._facts.due)} wait"
        return (
            Alarm(code=AlarmCode.FIGURES_NOT_KEPT, severity=Severity.ALARM, id="books", text=text),
        )

    def observe(self, record: TickRecord) -> None:
        """Take a finished tick down; never waits."""
        self._records.append(record)
        self._arrived.set()

    def stop(self) -> None:
        """Let `run` keep what there is, and return."""
        self._stopping = True
        self._arrived.set()

    async def run(self) -> None:
        """Keep the books until `stop`."""
        while not self._stopping:
            await self._arrived.wait()
            self._arrived.clear()
            await self._work()
        await self._work(last=True)

    async def _work(self, *, last: bool = False) -> None:
        """Digest what arrived; a disk that refuses costs nothing but time, within bounds."""
        try:
            if self._books is None and not await self._begin():
                return
            self._digest()
            await self._write_finished()
            await self._report_periods()
            if self._facts.due or self._rows_due or self._due_to_save() or last:
                await self._save()
            await self._send()
        except StorageFailed as error:
            tell = _log.debug if self._failing else _log.error
            tell("facts_not_kept", error=str(error), waiting=len(self._facts.due))
            self._failing, self._failure = True, error
            self._keep_bounds()
        except Exception as error:  # noqa: BLE001 - see rule 4
            if not self._failing:
                _log.exception("books_failed", error=repr(error))
            self._failing = True
            self._books = None
        else:
            self._failing, self._failure = False, None

    def _keep_bounds(self) -> None:
        """Let the oldest go where a disk refuses for very long, and say how much (S23)."""
        dropped = _drop_oldest(self._facts.due) + _drop_oldest(self._unsent)
        if dropped:
            _log.critical("facts_dropped", number=dropped)

    async def _begin(self) -> bool:
        """Take up what was kept, once the clock is trusted."""
        if not self._records:
            return False
        now = self._records[-1].now
        if not now.utc_trusted:
            self._records.clear()
            if not self._waits_for_clock:
                self._waits_for_clock = True
                _log.warning("books_wait_for_clock")
            return False
        kept = await self._kept()
        for unsent in await self._facts.between("unsent", float("-inf"), float("inf")):
            self._unsent[unsent.key] = _row_of(unsent.doc)
            self._row_number = max(self._row_number, int(unsent.key))
        for name in PERIODS:
            mark = await self._facts.get("reported", name)
            if mark is not None:
                self._reported[name] = mark.until_s
        books = Books(
            kept,
            port_most_w={
                evse.id: rated_w(evse, self._site) * PORT_MARGIN for evse in self._site.evses
            },
            meter_most_w={node.id: _most_w(node, self._site) for node in self._site.nodes},
        )
        if books.seen_s is not None and books.seen_s > now.utc_s:
            # The clock went back while nobody ran: how long that was, nobody knows.
            books.move(now.utc_s - books.seen_s)
        self._steady_s = now.utc_s - now.mono_s
        self._books = books
        return True

    async def _kept(self) -> Kept | None:
        fact = await self._facts.get("kept", "books")
        try:
            return None if fact is None else _KEPT.of_document(fact.doc)
        except ValueError as error:
            _log.critical("books_not_readable", error=str(error)[:500])
            return None

    def _digest(self) -> None:
        books = self._books
        if books is None:
            return
        while self._records:
            record = self._records.popleft()
            now = record.now
            moved_s = (now.utc_s - now.mono_s) - self._steady_s
            self._steady_s += moved_s
            if abs(moved_s) > STEP_S:
                _log.warning("clock_was_set", by_s=round(moved_s, 3))
                books.move(moved_s)
            alarms = (*record.decision.alarms, *self._alarms())
            self._take(books.look(self._looking.look(record, alarms)), record.now.utc_s)

    def _take(self, news: News, now_s: float) -> None:
        for session in news.started:
            if session.start_known:
                self._say(_started(session), now_s)
        for session in news.ended:
            self._facts.keep(_session_fact(session))
            self._say(_ended(session, now_s), now_s)
            report = session_report(session, station_id=self._site.id)
            self._rows_due += report_rows("session", report, made_utc_s=now_s)
        for outage in news.outages:
            self._facts.keep(_outage_fact(outage))

    def _say(self, event: Event, now_s: float) -> None:
        self._tell(event)
        self._rows_due.append(event_row(event, made_utc_s=now_s))

    async def _write_finished(self) -> None:
        """Hand over the quarter hours that are over, each with what was written of it before."""
        books = self._books
        if books is None or books.seen_s is None:
            return
        finished = books.blocks.finished(books.seen_s - SETTLE_S)
        for part in finished:
            key = f"{part.start_s:.0f}"
            known = await self._facts.get("block", key)
            block = part if known is None else BLOCK.of_document(known.doc) + part
            end_s = part.start_s + BLOCK_S
            self._facts.keep(Fact("block", key, part.start_s, end_s, BLOCK.document(block)))
            self._rows_due += report_rows(
                "interval", interval_report(part), made_utc_s=books.seen_s
            )
            books.blocks.drop((part,))

    async def _report_periods(self) -> None:
        books = self._books
        if books is None or books.seen_s is None:
            return
        now_s = books.seen_s
        over_s = now_s - REPORT_AFTER_S
        for name, of in PERIODS.items():
            running = self._running.get(name)
            if running is None or not running.from_s <= over_s < running.until_s:
                running = self._running[name] = of(over_s, self.archive.zone)
            done_s = self._reported.get(name)
            if done_s is None or done_s > now_s + DAY_S:
                # The first time; or a clock was far ahead when it was marked.
                self._mark(name, of(now_s, self.archive.zone).from_s)
                continue
            if done_s >= running.from_s:
                continue
            missed = [of(done_s, self.archive.zone)]
            while missed[-1].until_s < running.from_s:
                missed.append(of(missed[-1].until_s, self.archive.zone))
            rows: list[OutRow] = []
            for period in missed[-MISSED_MAX:]:
                report = await self.archive.period_report(name, period, now_s=now_s)
                rows += report_rows(name, report, made_utc_s=now_s)
            self._rows_due += rows
            self._mark(name, running.from_s)
            await self._facts.store.prune("block", now_s - BLOCKS_KEPT_S)
            for kind in ("session", "outage"):
                await self._facts.store.prune(kind, now_s - FACTS_KEPT_S)

    def _mark(self, name: str, done_s: float) -> None:
        self._reported[name] = done_s
        self._facts.keep(Fact("reported", name, done_s, done_s, {}))

    def _due_to_save(self) -> bool:
        return self._clock.monotonic_s() - self._saved_s >= SAVE_S

    async def _save(self) -> None:
        """Keep everything in one change."""
        books = self._books
        if books is None:
            return
        rows, self._rows_due = self._rows_due, []
        for made in rows:
            self._row_number += 1
            key = f"{self._row_number:012d}"
            if self._outbox is not None:
                self._facts.keep(_unsent_fact(key, made))
                self._unsent[key] = made
        seen_s = books.seen_s or 0.0
        kept = Fact("kept", "books", seen_s, seen_s, _KEPT.document(books.kept()))
        await self._facts.store.change((*self._facts.due.values(), kept))
        self._facts.due.clear()
        self._saved_s = self._clock.monotonic_s()

    async def _send(self) -> None:
        """Give the outbox what was kept for it; it is forgotten here when it is on disk there."""
        if self._outbox is None or not self._unsent or self._facts.due:
            return
        sending = dict(self._unsent)
        await self._outbox.append(list(sending.values()))
        for key in sending:
            self._unsent.pop(key, None)
        await self._facts.store.change((), [("unsent", key) for key in sending])


def _drop_oldest(waiting: dict[K, T]) -> int:
    surplus = max(0, len(waiting) - WAITING_MAX)
    for key in list(waiting)[:surplus]:
        del waiting[key]
    return surplus


def _session_fact(session: Session) -> Fact:
    end_s = session.start_s if session.end_s is None else session.end_s
    doc = SESSION.document(session)
    return Fact("session", session.session_id, session.start_s, end_s, doc)


def _outage_fact(outage: Outage) -> Fact:
    key = f"{outage.port_id}-{round(outage.from_s * 1000.0)}"
    end_s = outage.from_s if outage.until_s is None else outage.until_s
    return Fact("outage", key, outage.from_s, end_s, OUTAGE.document(outage))


def _started(session: Session) -> Event:
    return Event(
        code=EventCode.SESSION_STARTED,
        severity=Severity.INFO,
        id=session.port_id,
        t=rfc3339(session.start_s),
        text=f"a vehicle was plugged in at {session.port_id}",
        data={"session_id": session.session_id},
    )


def _ended(session: Session, now_s: float) -> Event:
    end_s = now_s if session.end_s is None else session.end_s
    data: dict[str, float | int | str] = {
        "session_id": session.session_id,
        "session_wh": round(session.energy_wh, 1),
    }
    if session.start_known:
        data["duration_s"] = round(end_s - session.start_s, 1)
    return Event(
        code=EventCode.SESSION_ENDED,
        severity=Severity.INFO,
        id=session.port_id,
        t=rfc3339(end_s),
        text=f"the vehicle left {session.port_id}",
        data=data,
    )


def _unsent_fact(key: str, made: OutRow) -> Fact:
    doc: Document = {
        "topic": made.topic,
        "schema": made.schema,
        "made_utc_s": made.made_utc_s,
        "body": made.body.decode(),
    }
    return Fact("unsent", key, made.made_utc_s, made.made_utc_s, doc)


def _row_of(doc: Document) -> OutRow:
    made_utc_s = doc["made_utc_s"]
    return OutRow(
        topic=str(doc["topic"]),
        schema=str(doc["schema"]),
        made_utc_s=float(made_utc_s) if isinstance(made_utc_s, int | float) else 0.0,
        body=str(doc["body"]).encode(),
        detail=Detail.NONE,
    )


def _most_w(node: Node, site: Site) -> float:
    """More than a node can carry, with room for an overload and a high voltage."""
    known = [limit for limit in node.limit_a if limit is not None]
    limits = [] if node.limit_va is None else [node.limit_va]
    if len(known) == len(node.limit_a):
        limits.append(sum(known) * nominal_v(site, node=node.id))
    return min(limits) * NODE_MARGIN if limits else _NO_LIMIT_W
