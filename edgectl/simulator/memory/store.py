"""A store in memory, for simulations; it can play a full disk."""

import json
from collections.abc import Sequence

from edgectl.errors import StorageFailed
from edgectl.model.store import Document, Entry, Place


class MemoryStore:
    """`edgectl.model.store.Store`. While `full` is set every change fails and changes nothing.

    What it holds outlives the daemon that wrote it: hand the same store on for a restart.
    """

    def __init__(self) -> None:
        self.full = False
        self._kept: dict[tuple[str, str], str] = {}

    async def put(self, kind: str, key: str, doc: Document) -> None:
        """Keep `doc`, in place of what was there."""
        await self.put_all([(kind, key, doc)])

    async def put_all(self, entries: Sequence[Entry], *, gone: Sequence[Place] = ()) -> None:
        """Keep them all and forget what is `gone`, or neither; `gone` may be absent anyway."""
        texts = {(kind, key): json.dumps(doc, allow_nan=False) for kind, key, doc in entries}
        self._check_room()
        self._kept |= texts
        for place in gone:
            self._kept.pop(place, None)

    async def delete(self, kind: str, key: str) -> None:
        """Forget a document; one that is not there is no fault."""
        self._check_room()
        self._kept.pop((kind, key), None)

    async def load_all(self, kind: str) -> dict[str, Document]:
        """Every document of a kind by key, in the order of the keys."""
        return {
            key: json.loads(text) for (of, key), text in sorted(self._kept.items()) if of == kind
        }

    async def close(self) -> None:
        """Nothing is open."""

    def _check_room(self) -> None:
        if self.full:
            raise StorageFailed("the simulated disk is full")
