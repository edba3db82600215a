"""Deletions of events: one by one, and by the index of what there still is.

A deletion names an id, which events of several programs may have: it deletes those that its sender
may delete, and is refused where there is none.
"""

from collections.abc import Mapping
from dataclasses import replace

from edgectl.clock import Instant
from edgectl.contract.dr import Deletion, DrIndex, DrResponse, DrState
from edgectl.contract.refusal import RefusalCode, refused
from edgectl.daemon.desk.event_index import EventIndex
from edgectl.daemon.desk.event_keeping import EventKeeping
from edgectl.daemon.desk.event_rules import check_sender, clock_untrusted, not_signed, stale
from edgectl.daemon.desk.held_event import EventSeal, HeldEvent
from edgectl.daemon.desk.permission import check_places
from edgectl.errors import Refused, StorageFailed
from edgectl.model.issuer import Seal
from edgectl.model.site import Program, Site
from edgectl.units import ProgramId


class Deletions:
    """What ends events before their time."""

    def __init__(
        self,
        *,
        site: Site,
        programs: Mapping[ProgramId, Program],
        keeping: EventKeeping,
        index: EventIndex,
    ) -> None:
        self._site = site
        self._programs = programs
        self._keeping = keeping
        self._index = index

    async def delete(
        self, notice: Deletion, now: Instant, *, by_topic: bool, seal: Seal | None, unsigned: bool
    ) -> None:
        """End what a deletion names, and answer for it."""
        named = [
            held
            for held in self._keeping.shelf.named(notice.event_id)
            if notice.program_id in (None, held.event.program)
        ]
        named = [held for held in named if held.in_force] or named
        if not named:
            await self._delete_unknown(notice, now, seal=seal, unsigned=unsigned)
            return
        faults = [(held, self._fault(held, seal, unsigned=unsigned)) for held in named]
        allowed = [held for held, fault in faults if fault is None]
        for held in allowed:
            await self._delete_one(held, notice, now, by_topic=by_topic, seal=seal)
        for held, fault in faults:
            if fault is not None and not allowed:
                program_id = held.event.program
                await self._keeping.refuse(fault, now, notice.event_id, program_id)

    async def take_index(
        self, index: DrIndex, now: Instant, *, seal: Seal | None, unsigned: bool
    ) -> None:
        """End what the list of an issuer does not name, of all that the issuer may touch."""
        if seal is None and not unsigned:
            await self._keeping.refuse(not_signed(), now, None, None)
            return
        if seal is not None and not seal.issuer.programs:
            fault = refused(
                RefusalCode.NOT_PERMITTED,
                f"{seal.issuer.id} may sign for no program",
                "see `rank` and `programs` of the issuer in the site file",
            )
            await self._keeping.refuse(fault, now, None, None)
            return
        issuer = None if seal is None else seal.issuer.id
        if self._index.is_older(index, issuer):
            self._keeping.note(now, "index", "index", RefusalCode.STALE.value, "an older index")
            return
        gone = [
            held
            for held in self._keeping.shelf
            if held.in_force
            and held.event.id not in index.events
            and held.modified_utc_s <= index.made_at
            and self._fault(held, seal, unsigned=True) is None
        ]
        if gone and not now.utc_trusted:
            code = RefusalCode.CLOCK_UNTRUSTED.value
            self._keeping.note(now, "index", "index", code, "a deletion leaves more than before")
            return
        try:
            await self._index.take(index, issuer)
        except StorageFailed as full:
            self._keeping.note(now, "index", "index", RefusalCode.NOT_STORED.value, str(full))
        for held in gone:
            await self.cancel(held, now, by_word=True, seal=seal)

    async def cancel(
        self, held: HeldEvent, now: Instant, *, by_word: bool, seal: Seal | None
    ) -> None:
        """End an event by somebody's word."""
        gone = replace(
            held.moved(DrState.CANCELLED, ended_utc_s=now.utc_s),
            deleted=True,
            by_word=by_word,
            lift=None,
        )
        if seal is not None and gone.seal is not None:
            longer_s = max(seal.expires_utc_s, gone.seal.expires_utc_s)
            gone = replace(gone, seal=EventSeal(seal.issuer.id, longer_s))
        self._keeping.put(gone)
        self._keeping.note(now, "delete", held.event.id, "cancelled", "", seal=seal)
        await self._keeping.settle(held.key, now)

    async def _delete_one(
        self, held: HeldEvent, notice: Deletion, now: Instant, *, by_topic: bool, seal: Seal | None
    ) -> None:
        event_id, program_id = held.event.id, held.event.program
        if not held.in_force:
            if not by_topic:
                await self._keeping.say(held.response(held.state))
            return
        modified_s = notice.modified_utc_s
        if modified_s is not None and modified_s < held.modified_utc_s:
            await self._keeping.refuse(stale(held), now, event_id, program_id, modified_s)
        elif not now.utc_trusted:
            doubt = clock_untrusted("a deletion leaves more than before")
            await self._keeping.refuse(doubt, now, event_id, program_id)
        else:
            await self.cancel(held, now, by_word=not by_topic, seal=seal)

    async def _delete_unknown(
        self, notice: Deletion, now: Instant, *, seal: Seal | None, unsigned: bool
    ) -> None:
        try:
            check_sender(None, seal, unsigned=unsigned)
        except Refused as fault:
            await self._keeping.refuse(fault, now, notice.event_id, notice.program_id)
            return
        self._keeping.note(now, "delete", notice.event_id, "unknown", "")
        await self._keeping.say(
            DrResponse(
                event_id=notice.event_id,
                program_id=notice.program_id,
                state=DrState.CANCELLED,
                message="the event was not held here",
            )
        )

    def _fault(self, held: HeldEvent, seal: Seal | None, *, unsigned: bool) -> Refused | None:
        """Why the sender may not delete an event."""
        try:
            check_sender(self._programs.get(held.event.program), seal, unsigned=unsigned)
            if seal is not None and held.plan is not None:
                check_places(seal.issuer, held.plan.elements, self._site)
        except Refused as fault:
            return fault
        return None
