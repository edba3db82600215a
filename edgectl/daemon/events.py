"""The desk where demand-response events arrive, are kept, and are answered.

1. A ceiling that tightens applies at once; it is acknowledged only when it is on the disk.
2. Every version of an event is judged once; its random draw is kept with it.
3. Answers are owed until the outbox has them: a restart may repeat one, and loses none.
4. A bad new version leaves the old one in force. Absence deletes nothing, but for the index.
5. Without a trusted clock nothing is taken that could leave more, and nothing ends by time.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, TypeAlias

from edgectl.clock import Instant
from edgectl.contract import topics
from edgectl.contract.dr import (
    Deletion,
    DrIndex,
    DrResponse,
    DrState,
    Unusable,
    Upsert,
    is_dr_topic,
    read_notice,
)
from edgectl.contract.envelope import rfc3339
from edgectl.contract.refusal import RefusalCode, refused
from edgectl.daemon.event_rules import clock_untrusted, is_held, not_signed, stale
from edgectl.daemon.held_event import HeldEvent, from_doc
from edgectl.errors import Refused, StorageFailed
from edgectl.grid.ceilings import NEAR_S, ceilings
from edgectl.grid.narrow import adds_only, narrows
from edgectl.grid.plan import EventPlan, plan
from edgectl.model.ceiling import TimedCeiling
from edgectl.model.settings import Unsigned
from edgectl.model.site import Site
from edgectl.model.store import Document, Store
from edgectl.model.trust import Connection, allows_unsigned
from edgectl.units import EventId

Reply: TypeAlias = Callable[[str, DrResponse], Awaitable[None]]
Audit: TypeAlias = Callable[[Document], None]

EVENTS_MAX: Final = 256
ENDED_MAX: Final = 256
_REMEMBER_S: Final = 7 * 86_400.0
_RETRY_S: Final = 10.0
_REFRESH_S: Final = NEAR_S / 2
_KIND: Final = "dr_event"
_INDEX_KIND: Final = "dr_index"
_INDEX_KEY: Final = "index"


class EventDesk:
    """Holds every event of the site. `draw` gives random numbers in [0, 1)."""

    def __init__(
        self,
        *,
        site: Site,
        store: Store,
        unsigned: Unsigned,
        draw: Callable[[], float],
        reply: Reply,
        audit: Audit,
    ) -> None:
        self._site = site
        self._store = store
        self._unsigned = unsigned
        self._draw = draw
        self._reply = reply
        self._audit = audit
        self._held: dict[EventId, HeldEvent] = {}
        self._unsaved: set[EventId] = set()
        self._index: DrIndex | None = None
        self._lock = asyncio.Lock()
        self._retry_mono_s = 0.0
        self._ceilings: tuple[TimedCeiling, ...] = ()
        self._computed: Instant | None = None

    async def load(self, now: Instant) -> None:
        """Take up what was kept; an empty store is as good as any."""
        for key, doc in (await self._store.load_all(_KIND)).items():
            try:
                held = from_doc(key, doc, self._site)
            except (Refused, KeyError, TypeError, ValueError) as fault:
                self._note(now, "load", key, "unreadable", str(fault))
                continue
            self._held[held.event.id] = held
            if held.state is DrState.REFUSED and held.owed:
                self._unsaved.add(held.event.id)
        kept = (await self._store.load_all(_INDEX_KIND)).get(_INDEX_KEY)
        if kept is not None:
            try:
                self._index = DrIndex.model_validate(kept)
            except ValueError as fault:
                self._note(now, "load", _INDEX_KEY, "unreadable", str(fault))
        self.advance(now)

    async def handle(
        self, name: str, payload: bytes, *, retained: bool, connection: Connection, now: Instant
    ) -> None:
        """Take one message; `name` is its topic below the site's prefix. Answers by itself."""
        if not is_dr_topic(name):
            return
        async with self._lock:
            notice = read_notice(name, payload, retained=retained)
            by_topic = name != topics.DR_EVENT
            trusted = allows_unsigned(self._unsigned, connection)
            match notice:
                case Unusable():
                    await self._refuse(notice.fault, now, notice.event_id, notice.program_id)
                case Upsert() if not trusted:
                    event = notice.event
                    await self._refuse(not_signed(), now, event.id, event.program)
                case Deletion() if not trusted:
                    await self._refuse(not_signed(), now, notice.event_id, None)
                case DrIndex() if not trusted:
                    await self._refuse(not_signed(), now, None, None)
                case Upsert():
                    await self._upsert(notice, now, by_topic=by_topic)
                case Deletion():
                    await self._delete(notice, now, by_topic=by_topic)
                case DrIndex():
                    await self._take_index(notice, now)

    def advance(self, now: Instant) -> None:
        """Let time pass: states and ceilings of this moment. No I/O; call it before `ceilings`."""
        for event_id, held in self._held.items():
            moved = held.advanced(now)
            if moved is not held:
                self._put(event_id, moved)
        last = self._computed
        if (
            last is None
            or last.utc_trusted != now.utc_trusted
            or not 0.0 <= now.utc_s - last.utc_s < _REFRESH_S
        ):
            self._computed = now
            self._ceilings = ceilings(
                self._plans(),
                site=self._site,
                now_utc_s=now.utc_s,
                keep_ended=not now.utc_trusted,
            )

    async def tick(self, now: Instant) -> None:
        """Let time pass, then keep and answer what changed, and forget what is long over."""
        self.advance(now)
        async with self._lock:
            if now.mono_s < self._retry_mono_s:
                return
            for event_id in [*self._unsaved, *(e for e, h in self._held.items() if h.owed)]:
                await self._settle(event_id, now)
            await self._prune(now)

    def ceilings(self) -> tuple[TimedCeiling, ...]:
        """What the events ask for now and in the next two days."""
        return self._ceilings

    def view(self) -> list[Document]:
        """Every event that is in force, for people."""
        return [held.view() for held in self._held.values() if held.in_force]

    async def _upsert(self, notice: Upsert, now: Instant, *, by_topic: bool) -> None:
        event = notice.event
        held = self._held.get(event.id)
        try:
            if held is not None and is_held(event, held, by_topic=by_topic):
                if not by_topic:
                    await self._say(held.response(held.state))
                return
            fresh = self._judge(notice, held, now, by_topic=by_topic)
        except Refused as fault:
            await self._refuse(fault, now, event.id, event.program, event.modified_utc_s)
            return
        self._put(event.id, fresh)
        self.advance(now)
        self._note(now, "event", event.id, fresh.state.value, str(event.name or ""))
        await self._settle(event.id, now)

    def _judge(
        self, notice: Upsert, held: HeldEvent | None, now: Instant, *, by_topic: bool
    ) -> HeldEvent:
        """A new version as it will be held, or `Refused`."""
        event = notice.event
        modified_s = now.utc_s if event.modified_utc_s is None else event.modified_utc_s
        if by_topic and self._index_lacks(event.id, modified_s):
            raise refused(
                RefusalCode.STALE,
                f"the index of {rfc3339(self._index.made_at if self._index else 0.0)} lacks it",
                "name it in the index, or send it with a later modificationDateTime",
            )
        old = held.plan if held is not None and held.in_force else None
        anchor_s = modified_s if not now.utc_trusted else min(modified_s, now.utc_s)
        draw = self._draw()
        if held is not None and old is not None and not now.utc_trusted:
            anchor_s, draw = held.anchor_utc_s, held.draw
        judged = plan(event, self._site, anchor_utc_s=anchor_s, draw=draw)
        if judged.program.signed:
            raise not_signed()
        self._check_time(judged, old, now)
        if old is None and sum(h.in_force for h in self._held.values()) >= EVENTS_MAX:
            raise refused(
                RefusalCode.TOO_MANY,
                f"{EVENTS_MAX} events are in force",
                "delete events that are no longer needed",
            )
        made = HeldEvent(
            event=event,
            body=notice.body,
            plan=judged,
            modified_utc_s=modified_s,
            anchor_utc_s=anchor_s,
            draw=draw,
            state=DrState.RECEIVED,
            owed=(DrState.RECEIVED,),
        )
        over = now.utc_trusted and judged.schedule.until_utc_s <= now.utc_s
        if judged.cancels or over:
            return made.moved(DrState.CANCELLED, ended_utc_s=now.utc_s)
        partial = judged.ignored or judged.unknown
        return made.moved(DrState.PARTIAL if partial else DrState.ACCEPTED)

    def _check_time(self, judged: EventPlan, old: EventPlan | None, now: Instant) -> None:
        if now.utc_trusted:
            if old is None and not judged.cancels and judged.schedule.until_utc_s <= now.utc_s:
                raise refused(
                    RefusalCode.EXPIRED,
                    f"the event ended at {rfc3339(judged.schedule.until_utc_s)}",
                    "nothing is left to do",
                )
            return
        others = [p for p in self._plans() if p.event != judged.event]
        if old is not None and not narrows(old, judged):
            raise clock_untrusted("the new version could leave more than the one in force")
        if not judged.cancels and not adds_only(judged, others):
            raise clock_untrusted("the event would replace another one of its program")

    async def _delete(self, notice: Deletion, now: Instant, *, by_topic: bool) -> None:
        held = self._held.get(notice.event_id)
        if held is None:
            self._note(now, "delete", notice.event_id, "unknown", "")
            await self._say(
                DrResponse(
                    event_id=notice.event_id,
                    state=DrState.CANCELLED,
                    message="the event was not held here",
                )
            )
            return
        if not held.in_force:
            if not by_topic:
                await self._say(held.response(held.state))
            return
        program = held.event.program
        if notice.modified_utc_s is not None and notice.modified_utc_s < held.modified_utc_s:
            await self._refuse(stale(held), now, notice.event_id, program, notice.modified_utc_s)
        elif not now.utc_trusted:
            fault = clock_untrusted("a deletion leaves more than before")
            await self._refuse(fault, now, notice.event_id, program)
        else:
            await self._cancel(held, now, by_word=not by_topic)

    async def _cancel(self, held: HeldEvent, now: Instant, *, by_word: bool) -> None:
        gone = replace(
            held.moved(DrState.CANCELLED, ended_utc_s=now.utc_s),
            deleted=True,
            by_word=by_word,
        )
        self._put(held.event.id, gone)
        self.advance(now)
        self._note(now, "delete", held.event.id, "cancelled", "")
        await self._settle(held.event.id, now)

    async def _take_index(self, index: DrIndex, now: Instant) -> None:
        gone = [
            held
            for held in self._held.values()
            if held.in_force
            and held.event.id not in index.events
            and held.modified_utc_s <= index.made_at
        ]
        if self._index is not None and index.made_at < self._index.made_at:
            self._note(now, "index", _INDEX_KEY, RefusalCode.STALE.value, "an older index")
            return
        if gone and not now.utc_trusted:
            code = RefusalCode.CLOCK_UNTRUSTED.value
            self._note(now, "index", _INDEX_KEY, code, "a deletion leaves more than before")
            return
        made: Document = {
            "made_at": rfc3339(index.made_at),
            "events": {name: rfc3339(utc_s) for name, utc_s in index.events.items()},
        }
        self._index = index
        try:
            await self._store.put(_INDEX_KIND, _INDEX_KEY, made)
        except StorageFailed as fault:
            self._note(now, "index", _INDEX_KEY, RefusalCode.NOT_STORED.value, str(fault))
        for held in gone:
            await self._cancel(held, now, by_word=True)

    def _index_lacks(self, event_id: EventId, modified_s: float) -> bool:
        index = self._index
        return index is not None and event_id not in index.events and modified_s <= index.made_at

    def _plans(self) -> list[EventPlan]:
        return [h.plan for h in self._held.values() if h.plan is not None and h.in_force]

    def _put(self, event_id: EventId, held: HeldEvent) -> None:
        self._held[event_id] = held
        self._unsaved.add(event_id)
        self._computed = None

    async def _settle(self, event_id: EventId, now: Instant) -> None:
        """Keep an event, then give the answers that are owed for it; what fails is tried again."""
        try:
            while event_id in self._unsaved or self._held[event_id].owed:
                self._unsaved.discard(event_id)
                held = self._held[event_id]
                try:
                    await self._store.put(_KIND, event_id, held.to_doc())
                except BaseException:
                    self._unsaved.add(event_id)
                    raise
                for state in held.owed:
                    await self._reply(topics.DR_RESPONSE, held.response(state))
                if held.owed:
                    current = self._held[event_id]
                    self._held[event_id] = replace(current, owed=current.owed[len(held.owed) :])
                    self._unsaved.add(event_id)
        except StorageFailed as fault:
            self._retry_mono_s = now.mono_s + _RETRY_S
            self._note(now, "keep", event_id, RefusalCode.NOT_STORED.value, str(fault))

    async def _prune(self, now: Instant) -> None:
        ended = sorted(
            (held.ended_utc_s, event_id)
            for event_id, held in self._held.items()
            if held.ended_utc_s is not None and not held.in_force and not held.owed
        )
        surplus = len(ended) - ENDED_MAX
        for number, (ended_s, event_id) in enumerate(ended):
            old = now.utc_trusted and ended_s < now.utc_s - _REMEMBER_S
            if not old and number >= surplus:
                continue
            try:
                await self._store.delete(_KIND, event_id)
            except StorageFailed:
                self._retry_mono_s = now.mono_s + _RETRY_S
                return
            self._unsaved.discard(event_id)
            del self._held[event_id]

    async def _refuse(
        self,
        fault: Refused,
        now: Instant,
        event_id: str | None,
        program_id: str | None,
        modified_utc_s: float | None = None,
    ) -> None:
        self._note(now, "event", event_id or "", fault.code, fault.message)
        if event_id is None and program_id is None and fault.code == RefusalCode.UNSIGNED.value:
            return
        await self._say(
            DrResponse(
                event_id=event_id,
                program_id=program_id,
                modified=None if modified_utc_s is None else rfc3339(modified_utc_s),
                state=DrState.REFUSED,
                code=RefusalCode(fault.code),
                message=fault.message,
                remedy=fault.remedy,
            )
        )

    async def _say(self, response: DrResponse) -> None:
        try:
            await self._reply(topics.DR_RESPONSE, response)
        except StorageFailed as fault:
            self._audit({"action": "answer", "result": "not_stored", "message": str(fault)})

    def _note(self, now: Instant, action: str, what: str, result: str, message: str) -> None:
        self._audit(
            {
                "t": rfc3339(now.utc_s),
                "mono_s": now.mono_s,
                "source": "mqtt",
                "action": f"dr_{action}",
                "object": what,
                "result": result,
                "message": message,
            }
        )
