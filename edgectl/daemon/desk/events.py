"""The desk where demand-response events arrive, are judged, and put their ceilings.

1. A ceiling that tightens applies at once; it is acknowledged only when it is on the disk.
2. Every version of an event is judged once; its random draw is kept with it.
3. A bad new version leaves the old one in force. Absence deletes nothing, but for the index.
4. Without a trusted clock nothing is taken that could leave more, and nothing ends by time; what
   began by its word `now` is moved with the clock when that is set. A trusted clock that is set
   back takes nothing away that is in force: that holds on as it would have by the clock before.
5. Where a program is signed nothing unsigned counts, and nothing unsigned deletes.
6. What is not acted on at all is refused, and kept all the same: the record shows what was asked.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, Protocol, TypeAlias

from edgectl.clock import Instant
from edgectl.contract import topics
from edgectl.contract.dr import (
    EVENT_BYTES_MAX,
    INDEX_BYTES_MAX,
    Deletion,
    DrIndex,
    DrState,
    Unusable,
    Upsert,
    is_dr_topic,
    read_notice,
)
from edgectl.contract.refusal import RefusalCode, refused
from edgectl.daemon.desk.event_clock import EventClock
from edgectl.daemon.desk.event_deletions import Deletions
from edgectl.daemon.desk.event_index import EventIndex
from edgectl.daemon.desk.event_keeping import Audit, EventKeeping, Reply
from edgectl.daemon.desk.event_lifts import EventLifts
from edgectl.daemon.desk.event_rules import (
    check_dated,
    check_limits,
    check_sender,
    check_time,
    is_held,
)
from edgectl.daemon.desk.event_shelf import EVENTS_MAX
from edgectl.daemon.desk.event_view import event_view
from edgectl.daemon.desk.held_event import EventKey, EventSeal, HeldEvent, Promise
from edgectl.daemon.desk.permission import check_places
from edgectl.daemon.desk.seals import Seals
from edgectl.errors import Refused
from edgectl.grid.ceilings import Lead, ceilings, no_lead
from edgectl.grid.plan import EventPlan, plan
from edgectl.model.ceiling import TimedCeiling
from edgectl.model.decision import Alarm, AlarmCode, Severity
from edgectl.model.issuer import Seal
from edgectl.model.settings import Unsigned
from edgectl.model.site import Site
from edgectl.model.store import Document, Store
from edgectl.model.trust import Connection, allows_unsigned
from edgectl.units import ProgramId

Assess: TypeAlias = Callable[[EventPlan, Instant], Awaitable[Promise]]
"""What an event costs and what can be promised for it."""

_REFRESH_S: Final = 60.0
_PROMISE_AGAIN_S: Final = 60.0


class Limited(Protocol):
    """Told of every new valid limit of a program."""

    def __call__(self, program: ProgramId, now: Instant, /, *, in_force: bool) -> None:
        """`in_force`: it limits now, not only later."""


async def no_promise(_plan: EventPlan, _now: Instant) -> Promise:
    """Nobody knows what vehicles need."""
    return Promise()


def _nobody(_program: ProgramId, _now: Instant, *, in_force: bool) -> None:
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
        limited: Limited = _nobody,
    ) -> None:
        self._site = site
        self._programs = {program.id: program for program in site.programs}
        self._unsigned = unsigned
        self._draw = draw
        self._seals = seals or Seals(site=site.id)
        self._lead = lead
        self._assess = assess
        self._limited = limited
        self._keeping = EventKeeping(
            site=site, store=store, reply=reply, audit=audit, changed=self._forget_ceilings
        )
        self._shelf = self._keeping.shelf
        self._clock = EventClock(site=site, keeping=self._keeping)
        self._index = EventIndex(site=site, store=store, seals=self._seals)
        self._deletions = Deletions(
            site=site, programs=self._programs, keeping=self._keeping, index=self._index
        )
        self._lock = asyncio.Lock()
        self.lifts = EventLifts(
            site=site, keeping=self._keeping, lock=self._lock, advance=self.advance
        )
        self._promised_mono_s: dict[EventKey, float] = {}
        """When each promise was last looked at, the oldest first."""
        self._ceilings: tuple[TimedCeiling, ...] = ()
        self._computed: Instant | None = None

    async def load(self, now: Instant) -> None:
        """Take up what was kept; an empty store is as good as any."""
        await self._keeping.load(now)
        for unreadable in await self._index.load():
            self._keeping.note(now, "load", "index", "unreadable", unreadable)
        self._clock.start(now)
        for held in self._shelf:
            if held.in_force:
                self._promised_mono_s[held.key] = now.mono_s
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
                await self._keeping.refuse(fault, now, known, None)
                return
            unsigned = allows_unsigned(self._unsigned, connection)
            notice = read_notice(name, body, retained=retained)
            by_topic = name != topics.DR_EVENT
            match notice:
                case Upsert() | Deletion() if seal is not None and (undated := check_dated(notice)):
                    event_id, program_id = notice.event_id, notice.program_id
                    await self._keeping.refuse(undated, now, event_id, program_id)
                case Unusable():
                    await self._keeping.refuse(
                        notice.fault, now, notice.event_id, notice.program_id
                    )
                case Upsert():
                    await self._upsert(notice, now, by_topic=by_topic, seal=seal, unsigned=unsigned)
                case Deletion():
                    await self._deletions.delete(
                        notice, now, by_topic=by_topic, seal=seal, unsigned=unsigned
                    )
                case DrIndex():
                    await self._deletions.take_index(notice, now, seal=seal, unsigned=unsigned)
            self.advance(now)

    def advance(self, now: Instant) -> None:
        """Let time pass: states and ceilings of this moment. No I/O; call it before `ceilings`."""
        self._clock.follow(now)
        for moved in self._shelf.moved(now):
            self._keeping.put(moved)
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
            if await self._keeping.settle_all(now):
                await self._promise_again(now)
                await self._keeping.prune(now)

    def ceilings(self) -> tuple[TimedCeiling, ...]:
        """What the events ask for now and in the next two days."""
        return self._ceilings

    def begun(self) -> list[HeldEvent]:
        """Every event whose time it is, lifted or not, and those that completed since the start."""
        return self._shelf.begun()

    def view(self) -> list[Document]:
        """Every event that is in force, and what was refused and is kept, for people."""
        return [event_view(held) for held in self._shelf if held.in_force or held.only_recorded]

    def alarms(self, now: Instant) -> tuple[Alarm, ...]:
        """Ceilings without an end whose signature is not valid any more: they stay."""
        outlived = self._shelf.outlived(now.utc_s) if now.utc_trusted else ()
        return tuple(
            Alarm(
                code=AlarmCode.SEAL_EXPIRED,
                severity=Severity.ALARM,
                id=held.event.id,
                text=f"event {held.event.id} has no end and its signature expired; it stays",
            )
            for held in outlived
        )

    async def _upsert(
        self, notice: Upsert, now: Instant, *, by_topic: bool, seal: Seal | None, unsigned: bool
    ) -> None:
        event = notice.event
        held = self._known(notice, seal)
        try:
            check_sender(self._programs.get(event.program), seal, unsigned=unsigned)
            if held is not None:
                check_sender(self._programs.get(held.event.program), seal, unsigned=unsigned)
            if held is not None and is_held(event, held, by_topic=by_topic):
                if not by_topic:
                    await self._keeping.say(held.response(held.state))
                return
            fresh = self._judge(notice, held, now, by_topic=by_topic, seal=seal)
        except Refused as fault:
            await self._keeping.refuse(fault, now, event.id, event.program, event.modified_utc_s)
            return
        # Mandatory: whatever it costs, so its ceilings hold before that is worked out.
        mandatory = fresh.plan is not None and fresh.plan.program.mandatory
        if mandatory or not fresh.in_force:
            self._keeping.put(fresh)
            self.advance(now)
        if fresh.in_force and fresh.plan is not None:
            fresh = self._promised(fresh, await self._assess(fresh.plan, now), now)
            known = None if held is None else self._shelf.get(held.key)
            if not fresh.in_force and known is not None and known.in_force:
                # What was promised for the version before still is: a refusal changes nothing.
                self._keeping.note(now, "event", event.id, RefusalCode.VEHICLES_FIRST.value, "")
                await self._keeping.say(fresh.response(DrState.REFUSED))
                return
            self._promised_mono_s.pop(fresh.key, None)
            self._promised_mono_s[fresh.key] = now.mono_s
            self._keeping.put(fresh)
            self.advance(now)
            self._tell_limited(fresh, now)
        said = "" if fresh.fault is None else fresh.fault.message
        result = fresh.state.value if fresh.fault is None else fresh.fault.code
        self._keeping.note(now, "event", event.id, result, event.name or said, seal=seal)
        await self._keeping.settle(fresh.key, now)
        if held is not None and held.key != fresh.key:
            await self._deletions.cancel(held, now, by_word=True, seal=seal)

    def _known(self, notice: Upsert, seal: Seal | None) -> HeldEvent | None:
        """The version held: of the same program, else what the sender itself has in another."""
        event = notice.event
        held = self._shelf.get((event.program, event.id))
        if held is not None:
            return held
        sender = None if seal is None else seal.issuer.id
        for other in self._shelf.named(event.id):
            owner = None if other.seal is None else other.seal.issuer
            if other.in_force and owner == sender:
                return other
        return None

    def _tell_limited(self, fresh: HeldEvent, now: Instant) -> None:
        made = fresh.plan
        if not fresh.in_force or made is None:
            return
        if any(limit is not None and not limit.free for limit in made.limits):
            at_s = now.utc_s if now.utc_trusted else max(now.utc_s, self._shelf.not_before_utc_s())
            self._limited(made.program.id, now, in_force=made.limits_at(at_s))

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
        old = held.plan if held is not None and held.in_force else None
        anchor_s = min(modified_s, now.utc_s)
        draw = self._draw()
        if held is not None and old is not None and not now.utc_trusted:
            anchor_s, draw = held.anchor_utc_s, held.draw
        judged = plan(event, self._site, anchor_utc_s=anchor_s, draw=draw)
        if by_topic:
            self._index.check(judged, modified_s)
        check_limits(judged, seal, self._site)
        if seal is not None and old is not None:
            check_places(seal.issuer, old.elements, self._site)
        others = [] if now.utc_trusted else self._shelf.plans()
        check_time(judged, old, [p for p in others if p.key != judged.key], now)
        moves = held is not None and held.event.program != event.program
        if (old is None or moves) and not self._shelf.room(event.program):
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
            anchor_trusted=now.utc_trusted,
        )
        if (fault := judged.fault()) is not None:
            if old is not None:
                raise fault
            gone = replace(made, state=DrState.REFUSED, fault=fault, ended_utc_s=now.utc_s)
            return replace(gone, owed=(DrState.REFUSED,))
        over = now.utc_trusted and judged.schedule.until_utc_s <= now.utc_s
        if judged.cancels or over:
            return made.moved(DrState.CANCELLED, ended_utc_s=now.utc_s)
        return made.moved(made.verdict)

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
        key, told_s = next(iter(self._promised_mono_s.items()), (None, math.inf))
        if key is None or now.mono_s - told_s < _PROMISE_AGAIN_S:
            return
        del self._promised_mono_s[key]
        held = self._shelf.get(key)
        if held is None or held.plan is None or not held.in_force:
            return
        self._promised_mono_s[key] = now.mono_s
        promise = replace(await self._assess(held.plan, now), refused=False)
        held = self._shelf.get(key)
        if held is None or not held.in_force or held.promise == promise:
            return
        self._keeping.put(replace(held, promise=promise, owed=(*held.owed, held.state)))
        self.advance(now)
        word = f"{promise.ceiling_w} W"
        self._keeping.note(now, "promise", held.event.id, held.state.value, word)
        await self._keeping.settle(key, now)

    def _forget_ceilings(self) -> None:
        self._computed = None
