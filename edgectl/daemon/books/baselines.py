"""Mean power of past quarter-hours of every metered node: what baselines are made of.

One document for each node and local day, kept for `KEEP_DAYS`; a quarter in which an event held is
marked and not used.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Final, cast
from zoneinfo import ZoneInfo

from edgectl.clock import Instant
from edgectl.daemon.books.power import power_at
from edgectl.errors import StorageFailed
from edgectl.grid.ledger import BEFORE, DAYS, QUARTER_S, Baseline, Tally, baseline_of
from edgectl.grid.targets import Element
from edgectl.model.record import TickRecord
from edgectl.model.site import Site
from edgectl.model.store import Document, Store
from edgectl.units import NodeId

KEEP_DAYS: Final = 45
NODES_MAX: Final = 64
_SEEN_PART: Final = 0.8
_KIND: Final = "baseline"
_WEEKEND: Final = 5


class Baselines:
    """`observe` every tick; `tick` keeps a quarter when it is over."""

    def __init__(self, *, site: Site, store: Store) -> None:
        self._store = store
        self._zone = ZoneInfo(site.timezone)
        metered = {meter.node for meter in site.meters}
        wanted = [node.id for node in site.nodes if node.parent is None or node.id in metered]
        self._elements = {node: Element(node=node) for node in wanted[:NODES_MAX]}
        self._days: dict[tuple[NodeId, date], dict[int, tuple[float, bool]]] = {}
        self._tallies: dict[NodeId, Tally] = {}
        self._quarter: float | None = None
        self._with_event = False
        self._last_mono_s: float | None = None
        self._unsaved: set[tuple[NodeId, date]] = set()

    async def load(self, _now: Instant) -> None:
        """Take up what was kept."""
        for key, doc in (await self._store.load_all(_KIND)).items():
            name, _, day = key.rpartition("/")
            try:
                quarters = {
                    int(number): (float(pair[0]), bool(pair[1]))
                    for number, pair in cast("dict[str, list[float]]", doc["quarters"]).items()
                }
                self._days[NodeId(name), date.fromisoformat(day)] = quarters
            except (KeyError, TypeError, ValueError):
                continue

    def observe(self, record: TickRecord, *, with_event: bool) -> None:
        """Take a tick down; `with_event`: an event holds somewhere."""
        now = record.now
        if not now.utc_trusted:
            return
        quarter = now.utc_s // QUARTER_S * QUARTER_S
        if quarter != self._quarter:
            self._close_quarter()
            self._quarter = quarter
        last_s, self._last_mono_s = self._last_mono_s, now.mono_s
        for_s = 0.0 if last_s is None else min(max(now.mono_s - last_s, 0.0), 5.0)
        self._with_event = self._with_event or with_event
        for node, element in self._elements.items():
            found = power_at(record, element, frozenset())
            if found is not None and found.good:
                tally = self._tallies.get(node, Tally())
                self._tallies[node] = tally.with_reading(
                    found.power_w, for_s=for_s, good=True, over=None, lifted=False
                )

    def baseline(self, element: Element, from_utc_s: float, *, event_from_utc_s: float) -> Baseline:
        """For the quarter-hour of a moment, at a place."""
        if element.node is None:
            return baseline_of((), ())
        day, number = self._place(from_utc_s)
        same = [
            power_w
            for back in range(1, KEEP_DAYS)
            if _alike(other := day - timedelta(days=back), day)
            and (kept := self._days.get((element.node, other), {}).get(number)) is not None
            for power_w, with_event in (kept,)
            if not with_event
        ]
        before: list[float] = []
        for back in range(1, 4 * BEFORE + 1):
            earlier, index = self._place(event_from_utc_s - back * QUARTER_S)
            found = self._days.get((element.node, earlier), {}).get(index)
            if found is not None and not found[1] and len(before) < BEFORE:
                before.append(found[0])
        return baseline_of(same[:DAYS], before)

    async def tick(self, now: Instant) -> None:
        """Keep what is new and forget what is old; a full disk is tried again."""
        for node, day in list(self._unsaved):
            quarters = self._days.get((node, day), {})
            doc: Document = {"quarters": {str(n): list(pair) for n, pair in quarters.items()}}
            try:
                await self._store.put(_KIND, f"{node}/{day.isoformat()}", doc)
            except StorageFailed:
                return
            self._unsaved.discard((node, day))
        if not (now.utc_trusted and self._days):
            return
        try:
            oldest = self._place(now.utc_s)[0] - timedelta(days=KEEP_DAYS)
        except (OverflowError, ValueError):  # a clock out of all calendars says nothing is old
            return
        for node, day in [key for key in self._days if key[1] < oldest]:
            try:
                await self._store.delete(_KIND, f"{node}/{day.isoformat()}")
            except StorageFailed:
                return
            del self._days[node, day]

    def _close_quarter(self) -> None:
        if self._quarter is not None:
            day, number = self._place(self._quarter)
            for node, tally in self._tallies.items():
                mean_w = tally.mean_w
                if mean_w is not None and tally.seen_s >= _SEEN_PART * QUARTER_S:
                    self._days.setdefault((node, day), {})[number] = (mean_w, self._with_event)
                    self._unsaved.add((node, day))
        self._tallies.clear()
        self._with_event = False

    def _place(self, utc_s: float) -> tuple[date, int]:
        """Local day and number of the quarter-hour on the wall clock."""
        wall = datetime.fromtimestamp(utc_s, UTC).astimezone(self._zone)
        return wall.date(), (wall.hour * 60 + wall.minute) // 15


def _alike(one: date, other: date) -> bool:
    return (one.weekday() >= _WEEKEND) == (other.weekday() >= _WEEKEND)
