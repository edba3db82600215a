"""The flight recorder's segments as files of one folder, written on a thread of their own.

1. A segment is named by its number, which only ever grows, and when it began. What is missing at
   the front was dropped at the bound, oldest first: the numbers are the count (S23).
2. A new process, and whoever failed to write, begins a new segment: nothing follows a torn end.
3. The disk is the outbox's and the store's first: with little room left on it nothing is recorded.
"""

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from edgectl.contract.segment import SegmentWriter, part_of, segment_name, segments_among
from edgectl.errors import StorageFailed
from edgectl.model.record import TickRecord

MAX_BYTES: Final = 500_000_000
"""Five days of a site that fills 100 MB a day."""

SEGMENT_BYTES: Final = 4_000_000
RESERVE_BYTES: Final = 200_000_000


class JournalFiles:
    """`edgectl.model.ports.Journal` in a folder, which is made when the first tick comes."""

    def __init__(
        self,
        folder: Path,
        *,
        version: str,
        max_bytes: int = MAX_BYTES,
        segment_bytes: int = SEGMENT_BYTES,
        reserve_bytes: int = RESERVE_BYTES,
    ) -> None:
        self._folder = folder
        self._writer = partial(SegmentWriter, version=version)
        self._max_bytes = max_bytes
        self._segment_bytes = segment_bytes
        self._reserve_bytes = reserve_bytes
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self._segment: _Segment | None = None

    async def append(self, records: Sequence[TickRecord]) -> None:
        """Keep these ticks; they are the kernel's when it returns, and on disk within a minute."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._append, tuple(records))

    async def close(self) -> None:
        """End the segment and let go of it."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._end)
        self._thread.shutdown()

    def _append(self, records: Sequence[TickRecord]) -> None:
        try:
            for record in records:
                segment = self._segment
                if segment is None or segment.is_full(record, self._segment_bytes):
                    self._end()
                    segment = self._segment = self._begin(record)
                segment.add(record)
        except OSError as fault:
            self._abandon()
            raise StorageFailed(f"{self._folder}: {fault.strerror or fault}") from fault

    def _begin(self, record: TickRecord) -> "_Segment":
        self._folder.mkdir(mode=0o750, exist_ok=True)
        names = segments_among(path.name for path in self._folder.iterdir())
        kept = [self._folder / name for name in names]
        part = 1 + (part_of(kept[-1].name) if kept else 0)
        sizes = [path.stat().st_size for path in kept]
        while kept and (
            sum(sizes) + self._segment_bytes > self._max_bytes or self._free() < self._reserve_bytes
        ):
            kept.pop(0).unlink()
            sizes.pop(0)
        if self._free() < self._reserve_bytes:
            room = f"{self._reserve_bytes / 1e6:.0f} MB"
            raise OSError(f"less than {room} are free, which are left for what matters more")
        return _Segment(
            self._folder / segment_name(part, begin_utc_s=record.now.utc_s),
            self._writer(part=part, first_part=part_of(kept[0].name) if kept else part),
        )

    def _free(self) -> int:
        disk = os.statvfs(self._folder)
        return disk.f_bavail * disk.f_frsize

    def _end(self) -> None:
        segment, self._segment = self._segment, None
        if segment is not None:
            with suppress(OSError):
                segment.end()
            segment.close()

    def _abandon(self) -> None:
        """Leave the segment as it is, torn perhaps; an empty one goes."""
        segment, self._segment = self._segment, None
        if segment is not None:
            segment.close()
            if segment.bytes == 0:
                with suppress(OSError):
                    segment.path.unlink()


class _Segment:
    """One open file."""

    def __init__(self, path: Path, writer: SegmentWriter) -> None:
        self.path = path
        self.bytes = 0
        self._writer = writer
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)

    def is_full(self, record: TickRecord, most_bytes: int) -> bool:
        """Whether the record begins the next segment."""
        return self.bytes >= most_bytes and self._writer.begins_chapter(record)

    def add(self, record: TickRecord) -> None:
        """Write one tick; the disk has everything before the chapter that it may begin."""
        if self.bytes and self._writer.begins_chapter(record):
            os.fdatasync(self._fd)
        self._write(self._writer.add(record))

    def end(self) -> None:
        """Close the chapter under way."""
        self._write(self._writer.end())
        os.fdatasync(self._fd)

    def close(self) -> None:
        """Let go of the file."""
        with suppress(OSError):
            os.close(self._fd)

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            written = os.write(self._fd, left)
            self.bytes += written
            left = left[written:]
