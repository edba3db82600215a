"""Keeps the events, and gives the answers that are owed for them.

1. An event is on the disk before it is answered.
2. Answers are owed until the outbox has them: a restart may repeat one, and loses none.
3. An event is known by its program and its id: nobody can take an id from another program.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, TypeAlias

from edgectl.clock import Instant
from edgectl.contract import topics
from edgectl.contract.dr import DrResponse, DrState
from edgectl.contract.envelope import rfc3339
from edgectl.contract.refusal import RefusalCode
from edgectl.daemon.desk.event_shelf import ENDED_MAX, EventShelf
from edgectl.daemon.desk.held_event import EventKey, HeldEvent, from_doc, store_key
from edgectl.errors import Refused, StorageFailed
from edgectl.model.issuer import Seal
from edgectl.model.site import Site
from edgectl.model.store import Document, Entry, Store

Reply: TypeAlias = Callable[[str, DrResponse], Awaitable[None]]
Audit: TypeAlias = Callable[[Document], None]

_REMEMBER_S: Final = 7 * 86_400.0
_RETRY_S: Final = 10.0
_PRUNE_S: Final = 60.0
_KIND: Final = "dr_event"


class EventKeeping:
    """The shelf with the disk under it. `changed` is called after every change of what is held."""

    def __init__(
        self,
        *,
        site: Site,
        store: Store,
        reply: Reply,
        audit: Audit,
        changed: Callable[[], None],
    ) -> None:
        self.shelf = EventShelf()
        self._site = site
        self._store = store
        self._reply = reply
        self._audit = audit
        self._changed = changed
        self._unsaved: dict[EventKey, None] = {}
        self._outdated: dict[EventKey, str] = {}
        self._retry_mono_s = 0.0
        self._prune_mono_s = 0.0

    async def load(self, now: Instant) -> None:
        """Take up what was kept; an empty store is as good as any."""
        for name, doc in (await self._store.load_all(_KIND)).items():
            try:
                held = from_doc(name, doc, self._site)
            except (Refused, KeyError, TypeError, ValueError) as fault:
                self.note(now, "load", name, "unreadable", str(fault))
                continue
            by_id_alone = name != store_key(held.key)
            if by_id_alone:
                self._outdated[held.key] = name
                self._unsaved[held.key] = None
                if self.shelf.get(held.key) is not None:
                    continue
            if held.state is DrState.REFUSED and held.owed:
                self._unsaved[held.key] = None
            self.shelf.put(held)

    def put(self, held: HeldEvent) -> None:
        """Hold it from now on; it is kept and answered for by `settle`."""
        self.shelf.put(held)
        self._unsaved[held.key] = None
        self._changed()

    async def put_beside(self, held: HeldEvent, beside: tuple[Entry, ...]) -> None:
        """Keep it together with other documents, all or none, then hold it as it is by then.

        What cannot be kept has no effect: `StorageFailed`.
        """
        await self._store.put_all([(_KIND, store_key(held.key), held.to_doc()), *beside])
        self.put(held)

    async def settle_all(self, now: Instant) -> bool:
        """Keep and answer what changed; False while the disk has refused and is left in peace."""
        if now.mono_s < self._retry_mono_s:
            return False
        for key in dict.fromkeys((*self._unsaved, *self.shelf.owing())):
            await self.settle(key, now)
        return True

    async def settle(self, key: EventKey, now: Instant) -> None:
        """Keep an event, then give the answers that are owed for it; what fails is tried again."""
        try:
            while (held := self.shelf.get(key)) is not None:
                if key not in self._unsaved and not held.owed:
                    return
                self._unsaved.pop(key, None)
                try:
                    before = [(_KIND, self._outdated[key])] if key in self._outdated else []
                    entry = (_KIND, store_key(key), held.to_doc())
                    await self._store.put_all([entry], gone=before)
                    self._outdated.pop(key, None)
                except BaseException:
                    self._unsaved[key] = None
                    raise
                for state in held.owed:
                    await self._reply(topics.DR_RESPONSE, held.response(state))
                if held.owed:
                    current = self.shelf.get(key) or held
                    self.shelf.put(replace(current, owed=current.owed[len(held.owed) :]))
                    self._unsaved[key] = None
        except StorageFailed as fault:
            self._retry_mono_s = now.mono_s + _RETRY_S
            self.note(now, "keep", key[1], RefusalCode.NOT_STORED.value, str(fault))

    async def prune(self, now: Instant) -> None:
        """Forget what ended long ago, and the oldest of each program beyond its bound."""
        if now.mono_s < self._prune_mono_s:
            return
        self._prune_mono_s = now.mono_s + _PRUNE_S
        for ended in self.shelf.ended().values():
            ended.sort()
            surplus = len(ended) - ENDED_MAX
            for number, (ended_s, key) in enumerate(ended):
                old = now.utc_trusted and ended_s < now.utc_s - _REMEMBER_S
                if (old and not self._sealed(key, now)) or number < surplus:
                    try:
                        await self._store.delete(_KIND, store_key(key))
                    except StorageFailed:
                        self._retry_mono_s = now.mono_s + _RETRY_S
                        return
                    self._unsaved.pop(key, None)
                    self.shelf.drop(key)

    async def refuse(
        self,
        fault: Refused,
        now: Instant,
        event_id: str | None,
        program_id: str | None,
        modified_utc_s: float | None = None,
    ) -> None:
        """Answer what is not taken, and record it."""
        self.note(now, "event", event_id or "", fault.code, fault.message)
        if event_id is None and program_id is None and fault.code == RefusalCode.UNSIGNED.value:
            return
        await self.say(
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

    async def say(self, response: DrResponse) -> None:
        """Give an answer that nothing is kept for."""
        try:
            await self._reply(topics.DR_RESPONSE, response)
        except StorageFailed as fault:
            self._audit({"action": "answer", "result": "not_stored", "message": str(fault)})

    def note(
        self,
        now: Instant,
        action: str,
        what: str,
        result: str,
        message: str,
        *,
        seal: Seal | None = None,
    ) -> None:
        """Record what was done."""
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

    def _sealed(self, key: EventKey, now: Instant) -> bool:
        """Whether its signature is still good, so that it could come again."""
        held = self.shelf.get(key)
        return held is not None and held.seal is not None and now.utc_s < held.seal.expires_utc_s
