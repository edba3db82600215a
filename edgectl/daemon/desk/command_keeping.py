"""The commands that are in force or could come again, with the disk under them.

1. A command is on the disk before it has an effect, together with all that it changes.
2. Durations run on the monotonic clock: when the wall clock is set, their ends move with it.
3. An issuer's sequence goes to the disk in the same write as the command that raised it.
4. Commands are remembered until they expire, so that none is taken twice; for no longer than
   `REMEMBERED_S`, whatever they say.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, cast

from edgectl.clock import Instant
from edgectl.contract.commands import VALID_MAX_S, Verb
from edgectl.daemon.desk.held_command import HeldCommand, from_doc
from edgectl.grid.targets import find
from edgectl.model.site import Site
from edgectl.model.store import Entry, Store

REMEMBERED_S: Final = VALID_MAX_S
_STEP_S: Final = 2.0
_KIND: Final = "command"
_MARK_KIND: Final = "issuer_mark"


class CommandKeeping:
    """`held`: every command by its id. `lapsed` is told of each that ends by itself."""

    def __init__(
        self, *, site: Site, store: Store, lapsed: Callable[[HeldCommand, Instant], None]
    ) -> None:
        self.held: dict[str, HeldCommand] = {}
        self._site = site
        self._store = store
        self._lapsed = lapsed
        self._marks: dict[str, int] = {}
        self._unsaved: set[str] = set()
        self._offset_s: float | None = None

    async def load(self, now: Instant) -> list[tuple[str, str]]:
        """Take up what was kept; the keys of what cannot be read, each with its fault."""
        faults = []
        for issuer, doc in (await self._store.load_all(_MARK_KIND)).items():
            if isinstance(doc.get("seq"), int):
                self._raise_mark(issuer, cast("int", doc["seq"]))
        for key, doc in (await self._store.load_all(_KIND)).items():
            try:
                kept = from_doc(key, doc)
            except (KeyError, TypeError, ValueError) as fault:
                faults.append((key, str(fault)))
                continue
            known = tuple(e for e in kept.elements if e in find(self._site, str(e)))
            held = replace(kept, elements=known).after_restart(now)
            self.held[key] = held
            self._raise_mark(held.issuer, held.seq)
            if held != kept:
                self._unsaved.add(key)
        return faults

    def mark(self, issuer: str) -> int | None:
        """The highest number that an issuer has used."""
        return self._marks.get(issuer)

    def advance(self, now: Instant) -> None:
        """Let time pass. No I/O."""
        offset_s = now.utc_s - now.mono_s
        step_s = 0.0 if self._offset_s is None else offset_s - self._offset_s
        if self._offset_s is None or abs(step_s) > _STEP_S:
            self._offset_s = offset_s
        for held in self.held.values():
            moved = held.shifted(step_s) if abs(step_s) > _STEP_S else held
            if now.utc_trusted and not moved.trusted:
                # A made_at that is still to come by then is no reason to remember it for longer.
                expires_s = min(moved.expires_utc_s, now.utc_s + REMEMBERED_S)
                moved = replace(moved, trusted=True, expires_utc_s=expires_s)
            if moved.elements and moved.until_utc_s is not None and moved.until_utc_s <= now.utc_s:
                self._lapsed(moved, now)
                moved = replace(moved, elements=())
            if moved is not held:
                self.change(moved)

    def change(self, held: HeldCommand) -> None:
        """Hold it from now on; `save` keeps it."""
        self.held[held.id] = held
        self._unsaved.add(held.id)

    def entries(self, changes: Sequence[HeldCommand]) -> tuple[Entry, ...]:
        """What is to be kept of changes."""
        return tuple((_KIND, held.id, held.to_doc()) for held in changes)

    async def keep(self, changes: Sequence[HeldCommand]) -> None:
        """Keep all of them or none, then let them have their effect; `StorageFailed`: none has."""
        offset_s = self._offset_s
        await self._store.put_all(self.entries(changes))
        self.take_effect(changes, offset_s)

    def take_effect(self, changes: Sequence[HeldCommand], offset_s: float | None) -> None:
        """Hold what is on the disk. `offset_s`: of the wall clock when the disk began to work."""
        for held in changes:
            self.held[held.id] = held
            self._unsaved.discard(held.id)
            self._raise_mark(held.issuer, held.seq)
            if offset_s is not None and self._offset_s is not None and self._offset_s != offset_s:
                self.change(held.shifted(self._offset_s - offset_s))

    @property
    def offset_s(self) -> float | None:
        """The wall clock less the monotonic one."""
        return self._offset_s

    async def save(self) -> None:
        """Keep what time has changed; it may change again meanwhile."""
        for key in list(self._unsaved):
            held = self.held[key]
            await self._store.put(_KIND, key, held.to_doc())
            if self.held[key] is held:
                self._unsaved.discard(key)

    async def forget(self, now: Instant) -> list[str]:
        """Forget what has no effect and cannot come again; their ids."""
        over = [
            key
            for key, held in self.held.items()
            if not held.elements and held.expires_utc_s <= now.utc_s
        ]
        issuers = {i for key in over if (i := self.held[key].issuer) is not None}
        if issuers:
            marks = self._marks
            await self._store.put_all([(_MARK_KIND, i, {"seq": marks[i]}) for i in sorted(issuers)])
        for key in over:
            await self._store.delete(_KIND, key)
            self._unsaved.discard(key)
            del self.held[key]
        return over

    def isolations(self) -> list[HeldCommand]:
        """Those that somebody has locked an EVSE off with."""
        return [held for held in self.held.values() if held.verb is Verb.ISOLATE]

    def _raise_mark(self, issuer: str | None, seq: int | None) -> None:
        if issuer is not None and seq is not None:
            self._marks[issuer] = max(seq, self._marks.get(issuer, seq))
