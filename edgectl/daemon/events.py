"""The desk where demand-response events arrive, are kept, and are answered.

1. A ceiling that tightens applies at once; it is acknowledged only when it is on the disk.
2. Every version of an event is judged once; its random draw is kept with it.
3. Answers are owed until the outbox has them: a restart may repeat one, and loses none.
4. A bad new version leaves the old one in force. Absence deletes nothing, but for the index.
5. Without a trusted clock nothing is taken that could leave more, and nothing ends by time.
6. Where a program is signed nothing unsigned counts, and nothing unsigned deletes.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, TypeAlias

from edgectl.clock import Instant
from edgectl.contract import topics
from edgectl.contract.dr import (
    EVENT_BYTES_MAX,
    INDEX_BYTES_MAX,
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
from edgectl.daemon.event_index import EventIndex
from edgectl.daemon.event_rules import (
    check_limits,
    check_sender,
    check_time,
    clock_untrusted,
    is_held,
    not_signed,
    stale,
)
from edgectl.daemon.event_shelf import ENDED_MAX, EVENTS_MAX, EventShelf
from edgectl.daemon.held_event import EventSeal, HeldEvent, Lift, Promise, from_doc
from edgectl.daemon.permission import check_places
from edgectl.daemon.seals import Seals
from edgectl.errors import Refused, StorageFailed
from edgectl.grid.ceilings import Lead, ceilings, no_lead
from edgectl.grid.plan import EventPlan, plan
from edgectl.model.ceiling import Rank, TimedCeiling
from edgectl.model.decision import Alarm, AlarmCode, Severity
from edgectl.model.issuer import Seal
from edgectl.model.settings import Unsigned
from edgectl.model.site import Site
from edgectl.model.store import Document, Store
from edgectl.model.trust import Connection, allows_unsigned
from edgectl.units import EventId, ProgramId

Reply: TypeAlias = Callable[[str, DrResponse], Awaitable[None]]
Audit: TypeAlias = Callable[[Document], None]
Assess: TypeAlias = Callable[[EventPlan, Instant], Awaitable[Promise]]
"""What an event costs and what can be promised for it."""

_REMEMBER_S: Final = 7 * 86_400.0
_RETRY_S: Final = 10.0
_REFRESH_S: Final = 60.0
_PRUNE_S: Final = 60.0
_PROMISE_AGAIN_S: Final = 60.0
_KIND: Final = "dr_event"


async def no_promise(_plan: EventPlan, _now: Instant) -> Promise:
    """Nobody knows what vehicles need."""
    return Promise()


def _nobody(_program: ProgramId, _now: Instant) -> None:
    """Nobody watches the utility's link."""


class EventDesk:
    """Holds every event of the site. `draw` gives random numbers in [0, 1).

    `seals` opens what is signed. `lead`: how early a ceiling must begin. `assess`: what an event
    costs. `limited` is told of every new valid limit.
    """

    def __init__(
        self,
        *,
        site: Site,
        store: Store,
        unsigned: Unsigned,
        draw: Callable[[], float],
        reply: Reply,
        audit: Audit,
        seals: Seals | None = None,
        lead: Lead = no_lead,
        assess: Assess = no_promise,
        limited: Callable[[ProgramId, Instant], None] = _nobody,
    ) -> None:
        self._site = site
        self._programs = {program.id: program for program in site.programs}
        self._store = store
        self._unsigned = unsigned
        self._draw = draw
        self._reply = reply
        self._audit = audit
        self._seals = seals or Seals(site=site.id)
        self._lead = lead
        self._assess = assess
        self._limited = limited
        self._shelf = EventShelf()
        self._index = EventIndex(store)
        self._unsaved: dict[EventId, None] = {}
        self._lock = asyncio.Lock()
        self._retry_mono_s = 0.0
        self._prune_mono_s = 0.0
        self._promised_mono_s: dict[EventId, float] = {}
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
            self._shelf.put(held.event.id, held)
            if held.in_force:
                self._promised_mono_s[held.event.id] = now.mono_s
            if held.state is DrState.REFUSED and held.owed:
                self._unsaved[held.event.id] = None
        for unreadable in await self._index.load():
            self._note(now, "load", "index", "unreadable", unreadable)
        self.advance(now)

    async def handle(
        self, name: str, payload: bytes, *, retained: bool, connection: Connection, now: Instant
    ) -> None:
        """Take one message; `name` is its topic below the site's prefix. Answers by itself."""
        if not is_dr_topic(name):
            return
        async with self._lock:
            most = INDEX_BYTES_MAX if name == topics.DR_INDEX else EVENT_BYTES_MAX
            try:
                seal, body = self._seals.open(payload, max_bytes=most, what="the event", now=now)
            except Refused as fault:
                event_id = name.removeprefix(f"{topics.DR_EVENT}/")[:128]
                known = None if event_id == name else event_id
                await self._refuse(fault, now, known, None)
                return
            unsigned = allows_unsigned(self._unsigned, connection)
            notice = read_notice(name, body, retained=retained)
            by_topic = name != topics.DR_EVENT
            if seal is not None and isinstance(notice, Deletion) and notice.modified_utc_s is None:
                undated = refused(
                    RefusalCode.MALFORMED,
                    "a signed deletion without modificationDateTime could be played again",
                    "sign the version that is deleted, too",
                )
                notice = Unusable(undated, notice.event_id)
            match notice:
                case Unusable():
                    await self._refuse(notice.fault, now, notice.event_id, notice.program_id)
                case Upsert():
                    await self._upsert(notice, now, by_topic=by_topic, seal=seal, unsigned=unsigned)
                case Deletion():
                    await self._delete(notice, now, by_topic=by_topic, seal=seal, unsigned=unsigned)
                case DrIndex():
                    await self._take_index(notice, now, seal=seal, unsigned=unsigned)

    def advance(self, now: Instant) -> None:
        """Let time pass: states and ceilings of this moment. No I/O; call it before `ceilings`."""
        for event_id, moved in self._shelf.moved(now):
            self._put(event_id, moved)
        last = self._computed
        if (
            last is None
            or last.utc_trusted != now.utc_trusted
            or not 0.0 <= now.utc_s - last.utc_s < _REFRESH_S
        ):
            self._computed = now
            at_s = now.utc_s if now.utc_trusted else max(now.utc_s, self._shelf.not_before_utc_s())
            made = ceilings(
                self._shelf.plans(now_utc_s=at_s),
                site=self._site,
                now_utc_s=at_s,
                keep_ended=not now.utc_trusted,
                lead=self._lead,
            )
            # A clock that is behind what has begun already takes nothing of it back.
            self._ceilings = tuple(
                replace(c, from_utc_s=min(c.from_utc_s, now.utc_s)) if c.from_utc_s <= at_s else c
                for c in made
            )

    async def tick(self, now: Instant) -> None:
        """Let time pass, then keep and answer what changed, and forget what is long over."""
        self.advance(now)
        async with self._lock:
            if now.mono_s < self._retry_mono_s:
                return
            for event_id in dict.fromkeys((*self._unsaved, *self._shelf.owing())):
                await self._settle(event_id, now)
            await self._promise_again(now)
            if now.mono_s >= self._prune_mono_s:
                self._prune_mono_s = now.mono_s + _PRUNE_S
                await self._prune(now)

    def ceilings(self) -> tuple[TimedCeiling, ...]:
        """What the events ask for now and in the next two days."""
        return self._ceilings

    def begun(self) -> list[HeldEvent]:
        """Every event whose time it is, lifted or not, and those that completed since the start."""
        return self._shelf.begun()

    def view(self) -> list[Document]:
        """Every event that is in force, for people."""
        return [held.view() for held in self._shelf if held.in_force]

    def alarms(self, now: Instant) -> tuple[Alarm, ...]:
        """Ceilings without an end whose signature is not valid any more: they stay."""
        return tuple(
            Alarm(
                code=AlarmCode.SEAL_EXPIRED,
                severity=Severity.ALARM,
                id=held.event.id,
                text=f"event {held.event.id} has no end and its signature expired; it stays",
            )
            for held in self._shelf
            if held.in_force
            and held.seal is not None
            and now.utc_trusted
            and held.seal.expires_utc_s <= now.utc_s
        )

    async def lift(
        self,
        name: str,
        *,
        rank: Rank,
        by: str,
        reason: str,
        until_utc_s: float,
        now: Instant,
        seal: Seal | None = None,
    ) -> bool:
        """Set an event of a lower rank aside for a time. False: no such event is in force."""
        async with self._lock:
            event_id = EventId(name)
            held = self._shelf.get(event_id)
            if held is None or held.plan is None or not held.in_force:
                return False
            if held.plan.rank <= rank:
                raise refused(
                    RefusalCode.WOULD_WIDEN,
                    f"event {name} is {'mandatory' if held.plan.program.mandatory else 'voluntary'}"
                    f" and above the rank {rank.name.lower()}",
                    "ask the utility to change or to cancel it",
                )
            if seal is not None:
                check_places(seal.issuer, held.plan.elements, self._site)
            lift = Lift(until_utc_s=until_utc_s, by=by, reason=reason)
            # What cannot be kept has no effect.
            await self._store.put(_KIND, event_id, held.lifted(lift).to_doc())
            self._put(event_id, (self._shelf.get(event_id) or held).lifted(lift))
            self.advance(now)
            self._note(now, "lift", name, "lifted", f"until {rfc3339(until_utc_s)} by {by}")
            await self._settle(event_id, now)
            return True

    async def _upsert(
        self, notice: Upsert, now: Instant, *, by_topic: bool, seal: Seal | None, unsigned: bool
    ) -> None:
        event = notice.event
        held = self._shelf.get(event.id)
        try:
            check_sender(self._programs.get(event.program), seal, unsigned=unsigned)
            if held is not None:
                check_sender(self._programs.get(held.event.program), seal, unsigned=unsigned)
            if held is not None and is_held(event, held, by_topic=by_topic):
                if not by_topic:
                    await self._say(held.response(held.state))
                return
            fresh = self._judge(notice, held, now, by_topic=by_topic, seal=seal)
        except Refused as fault:
            await self._refuse(fault, now, event.id, event.program, event.modified_utc_s)
            return
        # Mandatory: whatever it costs, so its ceilings hold before that is worked out.
        mandatory = fresh.plan is not None and fresh.plan.program.mandatory
        if mandatory or not fresh.in_force:
            self._put(event.id, fresh)
            self.advance(now)
        if fresh.in_force and fresh.plan is not None:
            fresh = self._promised(fresh, await self._assess(fresh.plan, now), now)
            self._promised_mono_s[event.id] = now.mono_s
            self._put(event.id, fresh)
            self.advance(now)
            asks = fresh.plan is not None and any(lim and not lim.free for lim in fresh.plan.limits)
            if fresh.in_force and asks:
                self._limited(event.program, now)
        self._note(now, "event", event.id, fresh.state.value, str(event.name or ""), seal=seal)
        await self._settle(event.id, now)

    def _judge(
        self,
        notice: Upsert,
        held: HeldEvent | None,
        now: Instant,
        *,
        by_topic: bool,
        seal: Seal | None,
    ) -> HeldEvent:
        """A new version as it will be held, or `Refused`."""
        event = notice.event
        modified_s = now.utc_s if event.modified_utc_s is None else event.modified_utc_s
        program = self._programs.get(event.program)
        signed = program is not None and program.signed
        if by_topic and self._index.lacks(event.id, modified_s, signed=signed):
            raise refused(
                RefusalCode.STALE,
                "the index lacks it",
                "name it in the index, or send it with a later modificationDateTime",
            )
        old = held.plan if held is not None and held.in_force else None
        anchor_s = modified_s if not now.utc_trusted else min(modified_s, now.utc_s)
        draw = self._draw()
        if held is not None and old is not None and not now.utc_trusted:
            anchor_s, draw = held.anchor_utc_s, held.draw
        judged = plan(event, self._site, anchor_utc_s=anchor_s, draw=draw)
        check_limits(judged, seal, self._site)
        if seal is not None and old is not None:
            check_places(seal.issuer, old.elements, self._site)
        others = [] if now.utc_trusted else self._shelf.plans()
        check_time(judged, old, [p for p in others if p.event != judged.event], now)
        if old is None and not self._shelf.room(event.program):
            raise refused(
                RefusalCode.TOO_MANY,
                f"{EVENTS_MAX} events of program {event.program} are in force",
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
            seal=None if seal is None else EventSeal(seal.issuer.id, seal.expires_utc_s),
        )
        over = now.utc_trusted and judged.schedule.until_utc_s <= now.utc_s
        if judged.cancels or over:
            return made.moved(DrState.CANCELLED, ended_utc_s=now.utc_s)
        partial = judged.ignored or judged.unknown
        return made.moved(DrState.PARTIAL if partial else DrState.ACCEPTED)

    def _promised(self, fresh: HeldEvent, promise: Promise, now: Instant) -> HeldEvent:
        """The verdict on a new version once it is known what it costs."""
        made = replace(fresh, promise=promise)
        if promise.refused:
            fault = refused(
                RefusalCode.VEHICLES_FIRST,
                f"{len(promise.missing_wh)} vehicles would miss their departure",
                "see `impact`; ask for less, or have `when_missed` of the program changed",
            )
            gone = replace(made, state=DrState.REFUSED, fault=fault, ended_utc_s=now.utc_s)
            return replace(gone, owed=(*made.owed[:-1], DrState.REFUSED))
        if promise.floor_w is not None and made.state is DrState.ACCEPTED:
            made = replace(made, state=DrState.PARTIAL, owed=(*made.owed[:-1], DrState.PARTIAL))
        return made

    async def _promise_again(self, now: Instant) -> None:
        """Look at the event whose promise is oldest, and say it again where it is another now."""
        due = sorted(
            (told_s, event_id)
            for event_id, told_s in self._promised_mono_s.items()
            if now.mono_s - told_s >= _PROMISE_AGAIN_S
        )
        for _, event_id in due[:1]:
            held = self._shelf.get(event_id)
            if held is None or held.plan is None or not held.in_force:
                del self._promised_mono_s[event_id]
                continue
            self._promised_mono_s[event_id] = now.mono_s
            promise = replace(await self._assess(held.plan, now), refused=False)
            held = self._shelf.get(event_id)
            if held is None or not held.in_force or held.promise == promise:
                continue
            self._put(event_id, replace(held, promise=promise, owed=(*held.owed, held.state)))
            self.advance(now)
            self._note(now, "promise", event_id, held.state.value, f"{promise.ceiling_w} W")
            await self._settle(event_id, now)

    async def _delete(
        self, notice: Deletion, now: Instant, *, by_topic: bool, seal: Seal | None, unsigned: bool
    ) -> None:
        held = self._shelf.get(notice.event_id)
        program_id = None if held is None else held.event.program
        try:
            check_sender(
                None if program_id is None else self._programs.get(program_id),
                seal,
                unsigned=unsigned,
            )
            if seal is not None and held is not None and held.plan is not None:
                check_places(seal.issuer, held.plan.elements, self._site)
        except Refused as fault:
            await self._refuse(fault, now, notice.event_id, program_id)
            return
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
        if notice.modified_utc_s is not None and notice.modified_utc_s < held.modified_utc_s:
            await self._refuse(stale(held), now, notice.event_id, program_id, notice.modified_utc_s)
        elif not now.utc_trusted:
            doubt = clock_untrusted("a deletion leaves more than before")
            await self._refuse(doubt, now, notice.event_id, program_id)
        else:
            await self._cancel(held, now, by_word=not by_topic, seal=seal)

    async def _cancel(
        self, held: HeldEvent, now: Instant, *, by_word: bool, seal: Seal | None
    ) -> None:
        gone = replace(
            held.moved(DrState.CANCELLED, ended_utc_s=now.utc_s),
            deleted=True,
            by_word=by_word,
            lift=None,
        )
        if seal is not None and gone.seal is not None:
            longer_s = max(seal.expires_utc_s, gone.seal.expires_utc_s)
            gone = replace(gone, seal=EventSeal(seal.issuer.id, longer_s))
        self._put(held.event.id, gone)
        self.advance(now)
        self._note(now, "delete", held.event.id, "cancelled", "", seal=seal)
        await self._settle(held.event.id, now)

    async def _take_index(
        self, index: DrIndex, now: Instant, *, seal: Seal | None, unsigned: bool
    ) -> None:
        if seal is None and not unsigned:
            await self._refuse(not_signed(), now, None, None)
            return
        speaks_for = {p.id for p in self._programs.values() if p.signed}
        if seal is not None and not (seal.issuer.programs and speaks_for <= seal.issuer.programs):
            fault = refused(
                RefusalCode.NOT_PERMITTED,
                f"{seal.issuer.id} may not sign for every program that the index speaks for",
                "have the issuer of all signed programs sign it",
            )
            await self._refuse(fault, now, None, None)
            return
        if self._index.is_older(index, signed=seal is not None):
            self._note(now, "index", "index", RefusalCode.STALE.value, "an older index")
            return
        gone = [
            held
            for held in self._shelf
            if held.in_force
            and held.event.id not in index.events
            and held.modified_utc_s <= index.made_at
            and self._may_delete(held, seal)
        ]
        if gone and not now.utc_trusted:
            code = RefusalCode.CLOCK_UNTRUSTED.value
            self._note(now, "index", "index", code, "a deletion leaves more than before")
            return
        try:
            await self._index.take(index, signed=seal is not None)
        except StorageFailed as full:
            self._note(now, "index", "index", RefusalCode.NOT_STORED.value, str(full))
        for held in gone:
            await self._cancel(held, now, by_word=True, seal=seal)

    def _may_delete(self, held: HeldEvent, seal: Seal | None) -> bool:
        """Whether an index speaks for an event; what it does not speak for it does not delete."""
        try:
            check_sender(self._programs.get(held.event.program), seal, unsigned=True)
            if seal is not None and held.plan is not None:
                check_places(seal.issuer, held.plan.elements, self._site)
        except Refused:
            return False
        return True

    def _put(self, event_id: EventId, held: HeldEvent) -> None:
        self._shelf.put(event_id, held)
        self._unsaved[event_id] = None
        self._computed = None

    async def _settle(self, event_id: EventId, now: Instant) -> None:
        """Keep an event, then give the answers that are owed for it; what fails is tried again."""
        try:
            while (held := self._shelf.get(event_id)) is not None:
                if event_id not in self._unsaved and not held.owed:
                    return
                self._unsaved.pop(event_id, None)
                try:
                    await self._store.put(_KIND, event_id, held.to_doc())
                except BaseException:
                    self._unsaved[event_id] = None
                    raise
                for state in held.owed:
                    await self._reply(topics.DR_RESPONSE, held.response(state))
                if held.owed:
                    current = self._shelf.get(event_id) or held
                    told = replace(current, owed=current.owed[len(held.owed) :])
                    self._shelf.put(event_id, told)
                    self._unsaved[event_id] = None
        except StorageFailed as fault:
            self._retry_mono_s = now.mono_s + _RETRY_S
            self._note(now, "keep", event_id, RefusalCode.NOT_STORED.value, str(fault))

    async def _prune(self, now: Instant) -> None:
        """Forget what ended long ago, and the oldest of each program beyond its bound."""
        for ended in self._shelf.ended().values():
            ended.sort()
            surplus = len(ended) - ENDED_MAX
            for number, (ended_s, event_id) in enumerate(ended):
                old = now.utc_trusted and ended_s < now.utc_s - _REMEMBER_S
                if (old and not self._sealed(event_id, now)) or number < surplus:
                    try:
                        await self._store.delete(_KIND, event_id)
                    except StorageFailed:
                        self._retry_mono_s = now.mono_s + _RETRY_S
                        return
                    self._unsaved.pop(event_id, None)
                    self._shelf.drop(event_id)

    def _sealed(self, event_id: EventId, now: Instant) -> bool:
        """Whether its signature is still good, so that it could come again."""
        held = self._shelf.get(event_id)
        return held is not None and held.seal is not None and now.utc_s < held.seal.expires_utc_s

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

    def _note(
        self,
        now: Instant,
        action: str,
        what: str,
        result: str,
        message: str,
        *,
        seal: Seal | None = None,
    ) -> None:
        record: Document = {
            "t": rfc3339(now.utc_s),
            "mono_s": now.mono_s,
            "source": "mqtt",
            "action": f"dr_{action}",
            "object": what,
            "result": result,
            "message": message,
        }
        if seal is not None:
            record |= {"actor": f"issuer:{seal.issuer.id}", "key": seal.key_id}
        self._audit(record)
