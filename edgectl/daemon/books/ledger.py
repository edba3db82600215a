"""Keeps the delivery ledger: watches active events at every tick, settles what is over, reports it.

1. What was seen so far is kept every `CHECKPOINT_S`, with the event that it is about: a kill loses
   no more than that, whatever has become of the event meanwhile, and what nobody watched is said
   to be missing.
2. A row is in the chain of evidence, then kept as unreported, then in the outbox, then kept no
   more: a kill at any point may repeat a row or a report, never lose one. Of rows of one event and
   place whose times overlap the last one holds; a report told again has its id again.
3. A row whose report was not taken is reported with the next one of its event, `ROWS_AT_ONCE` in
   one message.
4. An event that was over before it could be watched has its rows too. A clock that is set back has
   the quarter-hours that come whole again recorded anew.
5. Bounded: `EVENTS_MAX` events are watched at a time, `ROWS_A_TICK` rows settled in a turn,
   `UNREPORTED_MAX` rows of each wait for the outbox; older ones stand in the chain alone. One event
   more is taken up when there is room, and what was not watched of it is said to be missing.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Final, TypeAlias, cast

from edgectl.clock import Instant
from edgectl.contract.dr import DrState
from edgectl.contract.dr_report import ChainHead, DrReport, ledger_row, openadr_report, report_id
from edgectl.contract.envelope import rfc3339
from edgectl.control.cap import is_active
from edgectl.daemon.books.baselines import Baselines
from edgectl.daemon.books.book import (
    Book,
    BookId,
    begun_utc_s,
    book_name,
    book_of,
    doc_of,
    next_quarter_s,
    rows_doc,
    slice_key,
    tallies_of,
)
from edgectl.daemon.books.power import cause_at, power_at
from edgectl.daemon.desk.held_event import STEP_S, HeldEvent
from edgectl.errors import Refused, StorageFailed
from edgectl.grid.ledger import (
    QUARTER_S,
    TOLERANCE,
    Baseline,
    Cause,
    Method,
    Settled,
    Slice,
    Tally,
    settle,
    slices,
)
from edgectl.grid.targets import Element
from edgectl.model.evidence import ChainName, Evidence
from edgectl.model.record import TickRecord
from edgectl.model.site import Site
from edgectl.model.store import Document, Store
from edgectl.units import EvseId, NodeId

Send: TypeAlias = Callable[[DrReport], Awaitable[None]]

CHECKPOINT_S: Final = 10.0
EVENTS_MAX: Final = 128
ROWS_A_TICK: Final = 200
"""Of all events together, the longest due first: a turn takes some 30 ms at most."""
ROWS_AT_ONCE: Final = 40
"""A message stays below 32 kB."""
UNREPORTED_MAX: Final = 4000
LATE_S: Final = 2.0
"""A slice is settled so long after its end, for the last tick to be in it."""

_GAP_S: Final = 5.0
_KIND: Final = "dr_ledger"
_EVENT_KIND: Final = "dr_ledger_event"
_ROWS_KIND: Final = "dr_ledger_rows"


_BACK_S: Final = 86_400.0


class Ledger:
    """`watched`: every event that is active or just over. `send` takes a report for the outbox."""

    def __init__(
        self,
        *,
        site: Site,
        store: Store,
        evidence: Evidence | None,
        baselines: Baselines,
        watched: Callable[[], Iterable[HeldEvent]],
        send: Send,
        events_max: int = EVENTS_MAX,
    ) -> None:
        self._site = site
        self._store = store
        self._evidence = evidence
        self._baselines = baselines
        self._watched = watched
        self._send = send
        self._below = _below(site)
        self._events_max = events_max
        self._books: dict[BookId, Book] = {}
        self._put_off: set[BookId] = set()
        self._closed: set[BookId] = set()
        self._offset_s: float | None = None
        self._by_id_alone: dict[str, Document] = {}
        self._head: ChainHead | None = None
        self._last_mono_s: float | None = None
        self._checkpoint_mono_s = 0.0

    async def load(self, now: Instant) -> None:
        """Take up what was seen before the restart."""
        await self._baselines.load(now)
        events = await self._store.load_all(_EVENT_KIND)
        rows = await self._store.load_all(_ROWS_KIND)
        if self._evidence is not None:
            newest = await self._evidence.head(ChainName.LEDGER)
            if newest.number > 0:
                self._head = ChainHead(number=newest.number, hash=newest.hash)
        for name, doc in (await self._store.load_all(_KIND)).items():
            if name not in events:
                self._by_id_alone[name] = doc
                continue
            try:
                book = book_of(name, doc, events[name], rows.get(name), self._site)
            except (Refused, KeyError, TypeError, ValueError):
                await self._forget(name)
                continue
            self._books[book.id] = book

    def observe(self, record: TickRecord) -> None:
        """Take a tick down; never waits."""
        now = record.now
        # The ramp before an event and the way back after it are no ordinary hours either.
        with_event = any(b.open for b in self._books.values()) or any(
            ceiling.holder.kind == "event" and is_active(ceiling, now)
            for ceiling in record.snapshot.ceilings
        )
        self._baselines.observe(record, with_event=with_event)
        last_s, self._last_mono_s = self._last_mono_s, now.mono_s
        for_s = 0.0 if last_s is None else now.mono_s - last_s
        if not 0.0 < for_s <= _GAP_S:
            return
        for book in self._books.values():
            for one in book.open:
                if one.from_utc_s <= now.utc_s < one.until_utc_s and book.ended_utc_s is None:
                    for element in book.plan.elements:
                        self._see(book, one, element, record, for_s)

    async def tick(self, now: Instant) -> None:
        """Settle what is over and report it; a full disk is tried again."""
        await self._baselines.tick(now)
        if not now.utc_trusted:
            return
        self._follow_clock(now)
        for book in self._take_up(now):
            await self._checkpoint(book)
        left = ROWS_A_TICK
        for book_id, book in sorted(self._books.items(), key=lambda one: one[1].settled_utc_s):
            await self._report(book)
            if left > 0:
                left -= await self._settle(book, now, left)
            end_s = book.ends_utc_s
            over = book.settled_utc_s >= end_s or (not book.open and end_s + LATE_S <= now.utc_s)
            if over and not book.unreported:
                del self._books[book_id]
                self._closed.add(book_id)
                await self._forget(book_name(book_id))
        if now.mono_s - self._checkpoint_mono_s >= CHECKPOINT_S:
            self._checkpoint_mono_s = now.mono_s
            for book in self._books.values():
                await self._checkpoint(book)

    def view(self, program_id: str, event_id: str) -> Document:
        """What was promised and delivered so far in the slice under way, for people."""
        books = [b for (key, _), b in self._books.items() if key == (program_id, event_id)]
        book = next((b for b in books if b.open and b.ended_utc_s is None), None)
        if book is None:
            return {}
        one = next((o for o in book.open if not o.exports), book.open[0])
        element = book.plan.elements[0]
        tally = book.tallies.get(slice_key(one, element), Tally())
        row = self._row(book, one, element, tally)
        found: Document = {"baseline_method": row.baseline.method.value}
        for name, value in (
            ("baseline_w", row.baseline.power_w),
            ("promised_w", row.promised_w),
            ("measured_w", row.measured_w),
            ("delivered_w", row.delivered_w),
            ("shortfall_w", row.shortfall_w),
        ):
            if value is not None:
                found[name] = round(value, 1)
        if row.cause is not None:
            found["cause"] = row.cause.value
        return found

    def _take_up(self, now: Instant) -> list[Book]:
        """Open a book for every event version that is active; those that are not any more end.

        Gives those that opened or ended.
        """
        changed: list[Book] = []
        found: set[BookId] = set()
        for held in self._watched():
            book_id = (held.key, held.modified_utc_s)
            found.add(book_id)
            book = self._books.get(book_id)
            if book is not None:
                book.follow(held)
                continue
            kept = self._by_id_alone.get(held.event.id)
            if kept is not None and kept.get("modified") != held.modified_utc_s:
                kept = None
            unseen = book_id in self._put_off or (held.skipped and book_id not in self._closed)
            over = held.state is not DrState.ACTIVE and kept is None and not unseen
            if (
                held.plan is None
                or over
                or not any(map(held.plan.asks, range(len(held.plan.limits))))
            ):
                continue
            if len(self._books) >= self._events_max:
                self._put_off.add(book_id)
                continue
            self._put_off.discard(book_id)
            begun_s = max(begun_utc_s(held), now.utc_s - _BACK_S)
            if begun_s >= held.plan.schedule.until_utc_s:
                continue
            book = Book(held=held, plan=held.plan, settled_utc_s=begun_s)
            if kept is not None:
                book.settled_utc_s = cast("float", kept["settled"])
                book.tallies = tallies_of(kept)
            self._books[book_id] = book
            changed.append(book)
        self._put_off &= found
        self._closed &= found
        for book_id, book in self._books.items():
            if book_id not in found and book.ended_utc_s is None:
                book.ended_utc_s = now.utc_s
                changed.append(book)
        return changed

    def _follow_clock(self, now: Instant) -> None:
        """Have recorded anew what comes again as a whole after the clock was set back."""
        offset_s = now.utc_s - now.mono_s
        before_s, self._offset_s = self._offset_s, offset_s
        if before_s is not None and offset_s - before_s < -STEP_S:
            for book in self._books.values():
                if book.ended_utc_s is None:
                    book.record_again(next_quarter_s(now.utc_s))

    async def _settle(self, book: Book, now: Instant, rows_most: int) -> int:
        """Make the rows of what is over, and say how many; `open` is what is not.

        Of one slice all rows or none, so that there may be more than `rows_most`.
        """
        end_s = book.ends_utc_s
        done: list[tuple[Slice, Settled]] = []
        rest: list[Slice] = []
        ahead_s = now.utc_s + 2 * QUARTER_S
        for one in slices(book.plan, from_utc_s=book.settled_utc_s, until_utc_s=ahead_s):
            if one.from_utc_s >= end_s or len(rest) > 3 or len(done) >= rows_most:
                break
            cut = replace(one, until_utc_s=min(one.until_utc_s, end_s))
            if cut.until_utc_s + LATE_S > now.utc_s:
                rest.append(one)
                continue
            for element in book.plan.elements:
                tally = book.tallies.get(slice_key(one, element), Tally())
                done.append((one, self._row(book, cut, element, tally)))
        book.open = tuple(rest)
        if not done:
            return 0
        rows = [row for _, row in done]
        if self._evidence is not None:
            try:
                docs = [self._doc(book, row) for row in rows]
                head = await self._evidence.append(ChainName.LEDGER, docs)
                self._head = ChainHead(number=head.number, hash=head.hash)
            except StorageFailed:
                return len(done)
        for one, row in done:
            for element in book.plan.elements:
                book.tallies.pop(slice_key(one, element), None)
            book.settled_utc_s = max(book.settled_utc_s, row.until_utc_s)
        book.unreported = (*book.unreported, *rows)[-UNREPORTED_MAX:]
        await self._checkpoint(book)
        await self._report(book)
        return len(rows)

    def _see(
        self, book: Book, one: Slice, element: Element, record: TickRecord, for_s: float
    ) -> None:
        below = self._below.get(str(element), frozenset())
        found = power_at(record, element, below)
        if found is None:
            return
        power_w = max(0.0, -found.power_w) if one.exports else found.power_w
        promised_w = self._promised_w(book, one, element)
        lifted = book.held.lift is not None
        over = None
        if promised_w is not None and not lifted and power_w > promised_w * (1 + TOLERANCE):
            over = Cause.GENERATION if one.exports else cause_at(record, element.node, below)
        key = slice_key(one, element)
        book.tallies[key] = book.tallies.get(key, Tally()).with_reading(
            power_w, for_s=for_s, good=found.good, over=over, lifted=lifted
        )

    def _row(self, book: Book, one: Slice, element: Element, tally: Tally) -> Settled:
        started_s = book.plan.schedule.from_utc_s
        return settle(
            one,
            tally,
            at=element,
            promised_w=self._promised_w(book, one, element),
            limit_w=one.limit.whole_w(element, self._site),
            baseline=Baseline(None, Method.NONE)
            if one.exports
            else self._baselines.baseline(element, one.from_utc_s, event_from_utc_s=started_s),
        )

    def _promised_w(self, book: Book, one: Slice, element: Element) -> float | None:
        promise = book.held.promise
        made = replace(book.plan, floor_w=None if promise is None else promise.floor_w)
        limit = one.limit if one.exports else made.held(one.limit, element, self._site)
        return limit.whole_w(element, self._site)

    async def _report(self, book: Book) -> None:
        """Tell what is settled; what the outbox does not take is told with the next."""
        event, before = book.held.event, book.unreported
        while rows := book.unreported[:ROWS_AT_ONCE]:
            report = DrReport(
                report_id=report_id(event, book.held.modified_utc_s, rows),
                **{"from": rfc3339(min(row.from_utc_s for row in rows))},
                until=rfc3339(max(row.until_utc_s for row in rows)),
                event_id=event.id,
                program_id=event.program,
                modified=rfc3339(book.held.modified_utc_s),
                rows=tuple(ledger_row(row) for row in rows),
                report=openadr_report(event, rows, client=self._site.id),
                chain=self._head,
            )
            try:
                await self._send(report)
            except StorageFailed:
                break
            book.unreported = book.unreported[len(rows) :]
        if book.unreported is not before:
            await self._checkpoint(book)

    def _doc(self, book: Book, row: Settled) -> Document:
        event = book.held.event
        return {
            "event": event.id,
            "program": event.program,
            "modified": rfc3339(book.held.modified_utc_s),
            **ledger_row(row).model_dump(mode="json", exclude_none=True, by_alias=True),
        }

    async def _checkpoint(self, book: Book) -> None:
        try:
            name = book_name(book.id)
            entries = [(_KIND, name, doc_of(book))]
            held = book.held
            if held is not book.kept:
                entries.append((_EVENT_KIND, name, held.to_doc()))
            rows, gone = book.unreported, []
            if rows is not book.kept_rows:
                if rows:
                    entries.append((_ROWS_KIND, name, rows_doc(rows)))
                else:
                    gone.append((_ROWS_KIND, name))
            await self._store.put_all(entries, gone=gone)
            book.kept, book.kept_rows = held, rows
            if self._by_id_alone.pop(held.event.id, None) is not None:
                await self._store.delete(_KIND, held.event.id)
        except StorageFailed:
            return

    async def _forget(self, name: str) -> None:
        try:
            kinds = (_KIND, _EVENT_KIND, _ROWS_KIND)
            await self._store.put_all((), gone=[(kind, name) for kind in kinds])
        except StorageFailed:
            return


def _below(site: Site) -> dict[str, frozenset[EvseId]]:
    """The EVSEs at or below each node, by its id, and each EVSE by its own."""
    parents = {node.id: node.parent for node in site.nodes}
    found: dict[str, set[EvseId]] = {evse.id: {evse.id} for evse in site.evses}
    for evse in site.evses:
        name: NodeId | None = evse.node
        while name is not None:
            found.setdefault(name, set()).add(evse.id)
            name = parents[name]
    return {name: frozenset(evses) for name, evses in found.items()}
