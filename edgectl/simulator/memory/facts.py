"""Facts in memory, for a simulation; `full` refuses every change."""

import json
from collections.abc import Sequence

from edgectl.errors import StorageFailed
from edgectl.model.facts import Fact


class MemoryFacts:
    """`edgectl.model.facts.FactStore` that outlives a simulated restart."""

    def __init__(self) -> None:
        self.full = False
        self._facts: dict[tuple[str, str], Fact] = {}

    async def change(self, put: Sequence[Fact], forget: Sequence[tuple[str, str]] = ()) -> None:
        """Keep and forget."""
        if self.full:
            raise StorageFailed("the simulated disk is full")
        for fact in put:
            json.dumps(fact.doc, allow_nan=False)
            self._facts[fact.kind, fact.key] = fact
        for kind, key in forget:
            self._facts.pop((kind, key), None)

    async def get(self, kind: str, key: str) -> Fact | None:
        """One fact."""
        return self._facts.get((kind, key))

    async def between(self, kind: str, from_s: float, until_s: float) -> tuple[Fact, ...]:
        """Facts that touch a time."""
        found = [
            fact
            for fact in self._facts.values()
            if fact.kind == kind and fact.from_s < until_s and fact.until_s >= from_s
        ]
        return tuple(sorted(found, key=lambda fact: (fact.from_s, fact.key)))

    async def prune(self, kind: str, before_s: float) -> None:
        """Forget what was over."""
        if self.full:
            raise StorageFailed("the simulated disk is full")
        over = [
            key
            for key, fact in self._facts.items()
            if fact.kind == kind and fact.until_s < before_s
        ]
        for key in over:
            del self._facts[key]

    async def close(self) -> None:
        """Nothing to let go of."""
