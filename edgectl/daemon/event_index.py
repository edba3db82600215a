"""The retained lists of events: what they do not name is deleted.

A signed list and an unsigned one are kept apart, so that nothing unsigned can stand in the way of
what is signed.
"""

from typing import Final

from edgectl.contract.dr import DrIndex
from edgectl.contract.envelope import rfc3339
from edgectl.model.store import Store
from edgectl.units import EventId

_KIND: Final = "dr_index"
_KEYS: Final = {False: "index", True: "signed"}


class EventIndex:
    """The newest list of each kind."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lists: dict[bool, DrIndex] = {}

    async def load(self) -> list[str]:
        """Take up what was kept; the faults of what cannot be read."""
        kept = await self._store.load_all(_KIND)
        faults = []
        for signed, key in _KEYS.items():
            if key in kept:
                try:
                    self._lists[signed] = DrIndex.model_validate(kept[key])
                except ValueError as fault:
                    faults.append(str(fault))
        return faults

    def is_older(self, index: DrIndex, *, signed: bool) -> bool:
        """Whether a newer list of its kind is known."""
        known = self._lists.get(signed)
        return known is not None and index.made_at < known.made_at

    def lacks(self, event_id: EventId, modified_s: float, *, signed: bool) -> bool:
        """Whether the list that speaks for an event was made after this version and lacks it."""
        speaking = [known for key, known in self._lists.items() if key or not signed]
        return any(
            event_id not in known.events and modified_s <= known.made_at for known in speaking
        )

    async def take(self, index: DrIndex, *, signed: bool) -> None:
        """Know the list, then keep it; `StorageFailed` if the disk refuses."""
        self._lists[signed] = index
        await self._store.put(
            _KIND,
            _KEYS[signed],
            {
                "made_at": rfc3339(index.made_at),
                "events": {name: rfc3339(utc_s) for name, utc_s in index.events.items()},
            },
        )
