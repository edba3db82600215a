"""Events that a higher rank sets aside on site for a time, and takes up again."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from edgectl.clock import Instant
from edgectl.contract.envelope import rfc3339
from edgectl.contract.refusal import RefusalCode, refused
from edgectl.daemon.desk.event_keeping import EventKeeping
from edgectl.daemon.desk.held_event import HeldEvent, Lift
from edgectl.daemon.desk.permission import check_places
from edgectl.model.ceiling import Rank
from edgectl.model.issuer import Seal
from edgectl.model.site import Site
from edgectl.model.store import Entry
from edgectl.units import EventId

_ACTION: Final = "lift"


@dataclass(frozen=True, slots=True)
class EventLifts:
    """Asked by the desk of commands. `lock`: of whatever changes events; `advance`: their time."""

    site: Site
    keeping: EventKeeping
    lock: asyncio.Lock
    advance: Callable[[Instant], None]

    async def lift(
        self,
        name: str,
        lift: Lift,
        *,
        now: Instant,
        seal: Seal | None = None,
        beside: tuple[Entry, ...] = (),
    ) -> bool:
        """Set an event of a lower rank aside for a time. False: no such event is in force.

        `beside`: what is kept together with it. Where several programs have an event of the name,
        it is the one that may be lifted; `program/name` names one of them.
        """
        async with self.lock:
            held = self._liftable(name, lift.rank)
            if held is None or held.plan is None:
                return False
            if seal is not None:
                check_places(seal.issuer, held.plan.elements, self.site)
            word = f"until {rfc3339(lift.until_utc_s)} by {lift.by}"
            await self._change(held.lifted(lift), "lifted", word, now, beside)
            return True

    async def end(
        self, command_id: str, *, rank: Rank, now: Instant, beside: tuple[Entry, ...] = ()
    ) -> str | None:
        """Have what a command set aside in force again; its name, None where there is none.

        `beside`: as for `lift`. Raises `Refused` for the lift of a higher rank.
        """
        async with self.lock:
            for held in self.keeping.shelf:
                lift = held.lift
                if lift is None or lift.command_id != command_id or not held.in_force:
                    continue
                if lift.rank < rank:
                    raise refused(
                        RefusalCode.NOT_PERMITTED,
                        f"the lift {command_id} of {lift.by} has a higher rank",
                        "ask whoever set it to end it",
                    )
                await self._change(held.unlifted(), "ended", f"{command_id} is over", now, beside)
                return "/".join(held.key)
        return None

    async def _change(
        self, held: HeldEvent, result: str, word: str, now: Instant, beside: tuple[Entry, ...]
    ) -> None:
        await self.keeping.put_beside(held, beside)
        self.advance(now)
        self.keeping.note(now, _ACTION, held.event.id, result, word)
        await self.keeping.settle(held.key, now)

    def _liftable(self, name: str, rank: Rank) -> HeldEvent | None:
        """The event of a name that this rank may set aside; `Refused` if it may none of them."""
        program, slash, event_id = name.rpartition("/")
        found = [
            held
            for held in self.keeping.shelf.named(EventId(event_id))
            if held.in_force and (not slash or held.event.program == program)
        ]
        for held in found:
            if held.plan is not None and held.plan.rank > rank:
                return held
        if not found:
            return None
        word = "mandatory" if found[0].plan and found[0].plan.program.mandatory else "voluntary"
        raise refused(
            RefusalCode.WOULD_WIDEN,
            f"event {name} is {word} and above the rank {rank.name.lower()}",
            "ask the utility to change or to cancel it",
        )
