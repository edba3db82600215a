"""A journal in memory, for simulations; it can play a full disk."""

from collections.abc import Sequence

from edgectl.contract.segment import SegmentWriter
from edgectl.errors import StorageFailed
from edgectl.model.record import TickRecord


class MemoryJournal:
    """`edgectl.model.ports.Journal` as one segment; while `full` is set nothing is kept."""

    def __init__(self) -> None:
        self.full = False
        self.data = b""
        self._writer = SegmentWriter(version="simulated")

    async def append(self, records: Sequence[TickRecord]) -> None:
        """Keep these ticks."""
        if self.full:
            self.data += self._writer.end()
            raise StorageFailed("the simulated disk is full")
        for record in records:
            self.data += self._writer.add(record)

    async def close(self) -> None:
        """End the segment."""
        self.data += self._writer.end()
