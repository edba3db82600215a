"""Evidence in memory, for simulations; it can play a full disk."""

from collections.abc import Sequence

from edgectl.errors import StorageFailed
from edgectl.model.evidence import START, ChainName, EvidenceRow, Head, linked, text_of
from edgectl.model.store import Document


class MemoryEvidence:
    """`edgectl.model.evidence.Evidence`. While `full` is set nothing is added."""

    def __init__(self) -> None:
        self.full = False
        self.rows: dict[ChainName, list[EvidenceRow]] = {name: [] for name in ChainName}

    async def append(self, chain: ChainName, docs: Sequence[Document]) -> Head:
        """Add rows at the end; the newest row's place."""
        if self.full:
            raise StorageFailed("the simulated disk is full")
        for doc in docs:
            self.rows[chain].append(linked(chain, await self.head(chain), text_of(doc)))
        return await self.head(chain)

    async def head(self, chain: ChainName) -> Head:
        """The newest row's place."""
        return self.rows[chain][-1].head if self.rows[chain] else START

    async def at(self, chain: ChainName, number: int) -> Head | None:
        """The place of a row; None: there is none."""
        rows = self.rows[chain]
        return rows[number - 1].head if 0 < number <= len(rows) else None

    async def close(self) -> None:
        """Nothing is open."""
