"""The retained lists of events, one of each issuer: what they do not name is deleted.

A list speaks for the programs and places that its issuer may touch, an unsigned one for the
programs that are not signed: nobody can shut out what another one signs.
"""

from typing import Final

from edgectl.contract.dr import DrIndex
from edgectl.contract.envelope import rfc3339
from edgectl.contract.refusal import RefusalCode, refused
from edgectl.daemon.desk.permission import check_places
from edgectl.daemon.desk.seals import Seals
from edgectl.errors import Refused
from edgectl.grid.plan import EventPlan
from edgectl.model.site import Site
from edgectl.model.store import Store

_KIND: Final = "dr_index"
_UNSIGNED: Final = "index"
_ANY_ISSUER: Final = "signed"
"""Kept where a list was not yet told from that of another issuer: it spoke for all of them."""
_ISSUER: Final = "issuer:"


class EventIndex:
    """The newest list of each issuer, and the newest unsigned one."""

    def __init__(self, *, site: Site, store: Store, seals: Seals) -> None:
        self._site = site
        self._store = store
        self._seals = seals
        self._lists: dict[str, DrIndex] = {}

    async def load(self) -> list[str]:
        """Take up what was kept; the faults of what cannot be read."""
        faults = []
        for key, doc in (await self._store.load_all(_KIND)).items():
            try:
                self._lists[key] = DrIndex.model_validate(doc)
            except ValueError as fault:
                faults.append(str(fault))
        return faults

    def is_older(self, index: DrIndex, issuer: str | None) -> bool:
        """Whether a newer list of this issuer is known; None: an unsigned one."""
        known = self._lists.get(_key(issuer))
        return known is not None and index.made_at < known.made_at

    def check(self, plan: EventPlan, modified_s: float) -> None:
        """Raise `Refused` for a version that lacks in a later list which speaks for it."""
        for key, known in self._lists.items():
            if plan.event in known.events or modified_s > known.made_at:
                continue
            if self._speaks_for(key, plan):
                raise refused(
                    RefusalCode.STALE,
                    "the index lacks it",
                    "name it in the index, or send it with a later modificationDateTime",
                )

    async def take(self, index: DrIndex, issuer: str | None) -> None:
        """Know the list, then keep it; `StorageFailed` if the disk refuses."""
        self._lists[_key(issuer)] = index
        await self._store.put(
            _KIND,
            _key(issuer),
            {
                "made_at": rfc3339(index.made_at),
                "events": {name: rfc3339(utc_s) for name, utc_s in index.events.items()},
            },
        )

    def _speaks_for(self, key: str, plan: EventPlan) -> bool:
        if key == _UNSIGNED:
            return not plan.program.signed
        if key == _ANY_ISSUER:
            return plan.program.signed
        issuer = self._seals.issuer(key.removeprefix(_ISSUER))
        if issuer is None or plan.program.id not in issuer.programs:
            return False
        try:
            check_places(issuer, plan.elements, self._site)
        except Refused:
            return False
        return True


def _key(issuer: str | None) -> str:
    return _UNSIGNED if issuer is None else _ISSUER + issuer
