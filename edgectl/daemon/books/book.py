"""One version of an event under watch, and how that is kept on disk."""

import math
from dataclasses import dataclass, field
from typing import Final, TypeAlias, cast

from edgectl.contract.dr import DrState
from edgectl.contract.record import Recorded
from edgectl.daemon.desk.held_event import EventKey, HeldEvent, from_doc, store_key
from edgectl.grid.ledger import QUARTER_S, Settled, Slice, Tally
from edgectl.grid.plan import EventPlan, plan
from edgectl.grid.targets import Element
from edgectl.model.site import Site
from edgectl.model.store import Document

BookId: TypeAlias = tuple[EventKey, float]

_ROWS: Final = Recorded(tuple[Settled, ...])


@dataclass(slots=True)
class Book:
    """One event version under watch.

    `settled_utc_s`: up to where its rows are made. `ended_utc_s`: when it ceased to hold before its
    own end. `open`: the slices under way and the next ones. `unreported`: rows that the outbox has
    not taken yet. `kept`, `kept_rows`: the event and these rows as the disk has them.
    """

    held: HeldEvent
    plan: EventPlan
    settled_utc_s: float
    tallies: dict[str, Tally] = field(default_factory=dict)
    open: tuple[Slice, ...] = ()
    ended_utc_s: float | None = None
    unreported: tuple[Settled, ...] = ()
    kept: HeldEvent | None = None
    kept_rows: tuple[Settled, ...] = ()

    @property
    def id(self) -> BookId:
        """By which it is known."""
        return self.held.key, self.held.modified_utc_s

    @property
    def ends_utc_s(self) -> float:
        """When the version ceases to hold."""
        end_s = self.plan.schedule.until_utc_s
        return end_s if self.ended_utc_s is None else min(end_s, self.ended_utc_s)

    def follow(self, held: HeldEvent) -> None:
        """Take up what became of the version; it may be in force again after it was not."""
        again_s = held.again_utc_s
        if again_s is not None and again_s != self.held.again_utc_s:
            self.record_again(next_quarter_s(again_s))
        if held.state is DrState.ACTIVE:
            self.ended_utc_s = None
        self.held = held

    def record_again(self, from_utc_s: float) -> None:
        """Forget what was seen and settled from a quarter-hour on."""
        self.settled_utc_s = min(self.settled_utc_s, max(from_utc_s, begun_utc_s(self.held)))
        self.tallies = {k: t for k, t in self.tallies.items() if _until_s(k) <= from_utc_s}


def book_name(book: BookId) -> str:
    """The key on the disk."""
    key, modified_utc_s = book
    return f"{modified_utc_s:.3f}/{store_key(key)}"


def book_of(name: str, doc: Document, event: Document, rows: Document | None, site: Site) -> Book:
    """A book as it was kept; the event may be over, or gone, by now."""
    held = from_doc(name, event, site)
    made = plan(held.event, site, anchor_utc_s=held.anchor_utc_s, draw=held.draw)
    book = Book(held=held, plan=made, settled_utc_s=cast("float", doc["settled"]))
    book.tallies = tallies_of(doc)
    book.ended_utc_s = cast("float | None", doc.get("ended"))
    if rows is not None:
        book.unreported = book.kept_rows = _ROWS.of_document(cast("Document", rows["rows"]))
    return book


def begun_utc_s(held: HeldEvent) -> float:
    """Since when a version is in force; again, from the next whole quarter-hour on."""
    if held.plan is None:
        return held.anchor_utc_s
    again_s = -math.inf if held.again_utc_s is None else next_quarter_s(held.again_utc_s)
    return max(held.plan.schedule.from_utc_s, held.anchor_utc_s, again_s)


def next_quarter_s(utc_s: float) -> float:
    """The first quarter-hour that begins no sooner."""
    return math.ceil(utc_s / QUARTER_S) * QUARTER_S


def slice_key(one: Slice, element: Element) -> str:
    """A slice is known by its place, its interval and its end: its start may be cut."""
    side = "|export" if one.exports else ""
    return f"{element}|{one.interval}|{one.until_utc_s:.3f}{side}"


def _until_s(key: str) -> float:
    """The end of the slice of such a key."""
    return float(key.removesuffix("|export").rpartition("|")[2])


def doc_of(book: Book) -> Document:
    """What was seen so far, for the disk."""
    return {
        "modified": book.held.modified_utc_s,
        "settled": book.settled_utc_s,
        "ended": book.ended_utc_s,
        "tallies": {
            key: [t.seen_s, t.good_s, t.energy_wh, t.lifted_s, dict(t.over_s), t.lifted_wh]
            for key, t in book.tallies.items()
        },
    }


def rows_doc(rows: tuple[Settled, ...]) -> Document:
    """Rows that wait for the outbox, for the disk."""
    return {"rows": _ROWS.document(rows)}


def tallies_of(doc: Document) -> dict[str, Tally]:
    """What was seen, of such a document."""
    found = {}
    for key, parts in cast("dict[str, list[object]]", doc["tallies"]).items():
        seen, good, energy, lifted, over, *more = parts
        found[key] = Tally(
            seen_s=cast("float", seen),
            good_s=cast("float", good),
            energy_wh=cast("float", energy),
            lifted_s=cast("float", lifted),
            lifted_wh=cast("float", more[0]) if more else 0.0,
            over_s=cast("dict[str, float]", over),
        )
    return found
