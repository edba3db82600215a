"""The outbox in one SQLite file, on a thread of its own that owns the connection.

One commit serves everything that was asked for while the one before ran: a group commit without a
timer. What the file promises stands in `outbox_file`.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from edgectl.adapters.outbox_bounds import Bounds, Thin, keep_within
from edgectl.adapters.outbox_file import Operation, OutboxFile
from edgectl.adapters.outbox_rows import OutboxRows
from edgectl.errors import StorageFailed
from edgectl.model.telemetry import Lane, OutboxCounts, OutRow, StoredRow

MAX_BYTES: Final = 480_000_000
MAX_ROWS: Final = 1_000_000


class SqliteOutbox:
    """`edgectl.model.telemetry.Outbox` in a file; made by `open`."""

    def __init__(self, store: OutboxFile, bounds: Bounds, thread: ThreadPoolExecutor) -> None:
        self._store = store
        self._bounds = bounds
        self._thread = thread
        self._asked: list[tuple[Operation, asyncio.Future[None]]] = []
        self._committing = False
        self._closed = False
        self._grown = asyncio.Event()
        self._totals = store.totals

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        thin: Thin,
        max_bytes: int = MAX_BYTES,
        max_rows: int = MAX_ROWS,
        on_failure: Callable[[StorageFailed], None] | None = None,
    ) -> "SqliteOutbox":
        """Open or make the file. One that cannot be read is put aside and a new stream begins.

        With `on_failure`, a file that cannot be used now is told there and tried again with every
        row; without, `StorageFailed` is raised.
        """
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="outbox")
        store = OutboxFile(path)
        try:
            await asyncio.get_running_loop().run_in_executor(thread, store.open)
        except StorageFailed as failure:
            if on_failure is None:
                thread.shutdown(wait=False)
                raise
            on_failure(failure)
        return cls(store, Bounds(thin=thin, max_bytes=max_bytes, max_rows=max_rows), thread)

    @property
    def stream(self) -> str:
        """A random id made with the file."""
        return self._totals.stream

    @property
    def last_seq(self) -> int:
        """The number of the newest row, 0 before the first."""
        return self._totals.last_seq

    @property
    def counts(self) -> OutboxCounts:
        """As of the last commit."""
        return self._totals.counts

    async def append(self, rows: Sequence[OutRow]) -> None:
        """Keep the rows; they are on disk when it returns."""
        if not rows:
            return
        appended = tuple(rows)

        def append(kept: OutboxRows) -> None:
            kept.append(appended)
            keep_within(kept, self._bounds)

        await self._commit(append)

    async def waiting(self, *, after_seq: int, upto_seq: int, limit: int) -> tuple[StoredRow, ...]:
        """Rows without a PUBACK, oldest first."""
        return await self._read("lane IS NULL AND seq > ? AND seq <= ?", after_seq, upto_seq, limit)

    async def window(self, lane: Lane, *, after_seq: int, limit: int) -> tuple[StoredRow, ...]:
        """Rows acknowledged in this lane and still kept, oldest first."""
        return await self._read("lane = ? AND seq > ?", lane.value, after_seq, limit)

    async def acknowledge(self, lane: Lane, seqs: Sequence[int], *, served_s: float) -> None:
        """Mark what the broker took."""
        if seqs:
            taken = tuple(seqs)
            await self._commit(lambda rows: rows.acknowledge(lane, taken, served_s))

    async def let_go(self, *, served_s: float) -> None:
        """Forget the rows that were acknowledged long enough ago."""
        await self._commit(lambda rows: rows.let_go(served_s))

    async def set_aside(self, seqs: Sequence[int]) -> None:
        """Take waiting rows out of the lanes."""
        await self._commit(lambda rows: rows.set_aside(seqs))

    async def give_up(self, seqs: Sequence[int]) -> None:
        """Drop waiting rows, and count them."""
        await self._commit(lambda rows: rows.give_up(seqs))

    async def offer_again(self, topic: str, *, limit: int) -> tuple[tuple[int, int], ...]:
        """Give rows that were set aside new numbers."""
        moved: tuple[tuple[int, int], ...] = ()

        def offer(rows: OutboxRows) -> None:
            nonlocal moved
            moved = rows.offer_again(topic, limit)

        await self._commit(offer)
        return moved

    async def wait_beyond(self, seq: int) -> None:
        """Return when there is a row with a greater number."""
        while self.last_seq <= seq:
            self._grown.clear()
            await self._grown.wait()

    async def close(self) -> None:
        """Finish what was asked for and let go of the file; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        loop = asyncio.get_running_loop()
        with suppress(StorageFailed):
            await self._commit(lambda _rows: None)
        await loop.run_in_executor(self._thread, self._store.close)
        self._thread.shutdown()

    async def _read(self, where: str, *arguments: object) -> tuple[StoredRow, ...]:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, self._store.read, where, arguments)
        finally:
            # Whoever reads may find damage, and then it is another file.
            if not self._committing:
                self._totals = self._store.totals

    async def _commit(self, operation: Operation) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asked.append((operation, done))
        self._begin()
        await done

    def _begin(self) -> None:
        """Hand everything asked for to the thread, unless it is at work; then it follows after."""
        if self._committing or not self._asked:
            return
        self._committing = True
        asked, self._asked = self._asked, []
        operations = [operation for operation, _ in asked]
        running = asyncio.get_running_loop().run_in_executor(
            self._thread, self._store.commit, operations
        )
        running.add_done_callback(partial(self._finished, [done for _, done in asked]))

    def _finished(
        self,
        waiters: list["asyncio.Future[None]"],
        running: "asyncio.Future[list[StorageFailed | None]]",
    ) -> None:
        self._committing = False
        self._closed = False
        before, self._totals = self._totals, self._store.totals
        failure = running.exception()
        outcomes = running.result() if failure is None else [failure] * len(waiters)
        for waiter, outcome in zip(waiters, outcomes, strict=True):
            if waiter.done():
                continue
            if outcome is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(outcome)
        if self._totals.last_seq != before.last_seq:
            self._grown.set()
        self._begin()
