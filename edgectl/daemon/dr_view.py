"""Demand response at a glance, for the local API: events, programs' links, the chains' ends."""

from collections.abc import Mapping, Sequence
from typing import Any

from edgectl.contract.refusal import RefusalCode, refused
from edgectl.daemon.books.ledger import Ledger
from edgectl.daemon.desk.events import EventDesk
from edgectl.daemon.desk.utility_links import UtilityLinks
from edgectl.model.evidence import ChainName, Evidence
from edgectl.model.store import Document


class DrView:
    """Answers `GET /v1/dr`."""

    def __init__(
        self,
        *,
        events: EventDesk,
        links: UtilityLinks,
        ledger: Ledger,
        evidence: Evidence | None,
    ) -> None:
        self._events = events
        self._links = links
        self._ledger = ledger
        self._evidence = evidence

    async def look(self, words: Sequence[str], _query: Mapping[str, str]) -> dict[str, Any]:
        """Every event that is in force with what it delivers now."""
        if words:
            raise refused(RefusalCode.UNKNOWN_TARGET, "there is nothing there", "use /v1/dr")
        heads: dict[str, Any] = {}
        if self._evidence is not None:
            for name in ChainName:
                head = await self._evidence.head(name)
                heads[name.value] = {"rows": head.number, "hash": head.hash}
        return {
            "events": [
                event | ({"now": now} if (now := self._now(event)) else {})
                for event in self._events.view()
            ],
            "links": self._links.view(),
            "chains": heads,
        }

    def _now(self, event: Document) -> Document:
        return self._ledger.view(str(event["program_id"]), str(event["event_id"]))
