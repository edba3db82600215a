"""The outbox in memory, for a simulation: the file's promises without a disk and a thread."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from edgectl.errors import StorageFailed
from edgectl.model.telemetry import RESEND_S, Detail, Lane, OutboxCounts, OutRow, StoredRow

_ROW_BYTES = 150


@dataclass(frozen=True, slots=True)
class _Entry:
    row: OutRow
    lane: Lane | None = None
    acked_s: float = 0.0
    aside: bool = False

    @property
    def size(self) -> int:
        return len(self.row.body) + _ROW_BYTES


class MemoryOutbox:
    """`edgectl.model.telemetry.Outbox`.

    While `disk_full` nothing is accepted; while `disk_failed` nothing can be read either.
    """

    def __init__(
        self,
        stream: str,
        *,
        thin: Callable[[OutRow], OutRow],
        max_bytes: int = 400_000_000,
        max_rows: int = 1_000_000,
    ) -> None:
        self.disk_full = False
        self.disk_failed = False
        self._stream = stream
        self._thin = thin
        self._max_bytes = max_bytes
        self._max_rows = max_rows
        self._entries: dict[int, _Entry] = {}
        self._last_seq = 0
        self._thinned_to = 0
        self._counts = OutboxCounts()
        self._grown = asyncio.Event()

    @property
    def stream(self) -> str:
        """The id given at the start."""
        return self._stream

    @property
    def last_seq(self) -> int:
        """The number of the newest row, 0 before the first."""
        return self._last_seq

    @property
    def counts(self) -> OutboxCounts:
        """As of now."""
        return self._counts

    async def append(self, rows: Sequence[OutRow]) -> None:
        """Keep the rows, then keep within the bounds."""
        self._fail_if_full()
        for row in rows:
            self._last_seq += 1
            entry = self._entries[self._last_seq] = _Entry(row)
            self._count(waiting=1, kept=1, bytes=entry.size)
        self._keep_bounds()
        if rows:
            self._grown.set()

    async def waiting(self, *, after_seq: int, upto_seq: int, limit: int) -> tuple[StoredRow, ...]:
        """Rows without a PUBACK, oldest first."""
        self._fail_if_failed()
        found = (
            StoredRow(seq, entry.row)
            for seq, entry in self._entries.items()
            if entry.lane is None and not entry.aside and after_seq < seq <= upto_seq
        )
        return tuple(row for row, _ in zip(found, range(limit), strict=False))

    async def window(self, lane: Lane, *, after_seq: int, limit: int) -> tuple[StoredRow, ...]:
        """Rows acknowledged in this lane and still kept, oldest first."""
        self._fail_if_failed()
        found = (
            StoredRow(seq, entry.row)
            for seq, entry in self._entries.items()
            if entry.lane is lane and seq > after_seq
        )
        return tuple(row for row, _ in zip(found, range(limit), strict=False))

    async def acknowledge(self, lane: Lane, seqs: Sequence[int], *, served_s: float) -> None:
        """Mark what the broker took."""
        self._fail_if_full()
        for seq in seqs:
            entry = self._entries.get(seq)
            if entry is not None and entry.lane is None:
                self._entries[seq] = replace(entry, lane=lane, acked_s=served_s)
                self._count(waiting=-1)

    async def let_go(self, *, served_s: float) -> None:
        """Forget the rows that were acknowledged long enough ago."""
        self._fail_if_full()
        for seq, entry in list(self._entries.items()):
            if entry.lane is not None and entry.acked_s <= served_s - RESEND_S:
                self._delete(seq)

    async def set_aside(self, seqs: Sequence[int]) -> None:
        """Take waiting rows out of the lanes."""
        self._fail_if_full()
        for seq in self._waiting_among(seqs):
            self._entries[seq] = replace(self._entries[seq], aside=True)
            self._count(waiting=-1, aside=1, set_aside_rows=1)

    async def give_up(self, seqs: Sequence[int]) -> None:
        """Drop waiting rows, and count them."""
        self._fail_if_full()
        for seq in self._waiting_among(seqs):
            values = self._entries[seq].row.values
            self._delete(seq)
            self._count(waiting=-1, refused_rows=1, refused_values=values)

    async def offer_again(self, topic: str, *, limit: int) -> tuple[tuple[int, int], ...]:
        """Give rows that were set aside new numbers."""
        self._fail_if_full()
        found = [seq for seq, one in self._entries.items() if one.aside and one.row.topic == topic]
        moved = []
        for seq in found[:limit]:
            self._last_seq += 1
            self._entries[self._last_seq] = _Entry(self._entries.pop(seq).row)
            self._count(waiting=1, aside=-1)
            moved.append((seq, self._last_seq))
        if moved:
            self._grown.set()
        return tuple(moved)

    async def wait_beyond(self, seq: int) -> None:
        """Return when there is a row with a greater number."""
        while self._last_seq <= seq:
            self._grown.clear()
            await self._grown.wait()

    async def close(self) -> None:
        """Nothing to let go of: memory ends with its owner."""

    def _waiting_among(self, seqs: Sequence[int]) -> list[int]:
        entries = self._entries
        return [
            seq
            for seq in seqs
            if seq in entries and entries[seq].lane is None and not entries[seq].aside
        ]

    def _keep_bounds(self) -> None:
        if not self._over():
            return
        for seq, entry in list(self._entries.items()):
            if self._over() and entry.lane is not None:
                self._delete(seq)
        self._thin_oldest()
        for telemetry in (True, False):
            for seq, entry in list(self._entries.items()):
                if not self._over():
                    return
                if (entry.row.detail is not Detail.NONE) is telemetry:
                    self._delete(seq)
                    self._count(dropped_rows=1, dropped_values=entry.row.values)
                    self._count(aside=-1) if entry.aside else self._count(waiting=-1)

    def _thin_oldest(self) -> None:
        for seq, entry in list(self._entries.items()):
            if self._counts.bytes <= self._max_bytes:
                return
            if entry.row.detail is Detail.FINE and seq > self._thinned_to:
                thinned = replace(entry, row=self._thin(entry.row))
                self._entries[seq] = thinned
                self._thinned_to = seq
                self._count(
                    bytes=thinned.size - entry.size,
                    thinned_values=entry.row.values - thinned.row.values,
                )

    def _over(self) -> bool:
        return self._counts.bytes > self._max_bytes or self._counts.kept > self._max_rows

    def _delete(self, seq: int) -> None:
        self._count(kept=-1, bytes=-self._entries.pop(seq).size)

    def _count(self, **changes: int) -> None:
        changed = {name: getattr(self._counts, name) + change for name, change in changes.items()}
        self._counts = replace(self._counts, **changed)

    def _fail_if_failed(self) -> None:
        if self.disk_failed:
            raise StorageFailed("the outbox cannot be used: the simulated disk has failed")

    def _fail_if_full(self) -> None:
        self._fail_if_failed()
        if self.disk_full:
            raise StorageFailed("the outbox cannot be used: the simulated disk is full")
