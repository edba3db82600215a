"""A segment of the journal as bytes: gzip, chapter after chapter, that `zcat` reads as lines.

1. A chapter is a gzip member of its own, with a head, a whole step and the changes of a minute. It
   needs no other: damage in one, or a file cut in two between them, leaves the rest readable.
2. What was added is out of the compressor at once: a killed process loses nothing of it.
3. A torn end is normal: whoever was killed while writing left it. It is said, never guessed at.
"""

import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile
from typing import Final

from edgectl.contract.journal_lines import head_line, step_line
from edgectl.model.record import TickRecord

CHAPTER_S: Final = 60.0
"""Monotonic time from one whole step to the next."""

LINE_BYTES_MAX: Final = 64_000_000
"""A line beyond it is no journal's: a thousand EVSEs need a fiftieth of it."""

SUFFIX: Final = ".jsonl.gz"
_NAME: Final = re.compile(r"(\d{6,})-\d{8}T\d{6}Z" + re.escape(SUFFIX))
_LEVEL: Final = 9
_GZIP: Final = 31
_MAGIC: Final = b"\x1f\x8b\x08"
_PIECE_BYTES: Final = 65536


class SegmentWriter:
    """Makes the bytes of one segment; its caller appends them to a file."""

    def __init__(self, *, version: str, part: int = 1, first_part: int = 1) -> None:
        self._version = version
        self._part = part
        self._first_part = first_part
        self._gzip = _pack()
        self._open = False
        self._last: TickRecord | None = None
        self._chapter_s = 0.0

    def begins_chapter(self, record: TickRecord) -> bool:
        """Whether a chapter begins with this record: one segment may follow another here."""
        last = self._last
        return (
            last is None
            or record.number != last.number + 1
            or record.snapshot.site is not last.snapshot.site
            or record.now.mono_s - self._chapter_s >= CHAPTER_S
        )

    def add(self, record: TickRecord) -> bytes:
        """The bytes of one more step."""
        if not self.begins_chapter(record):
            line = step_line(record, last=self._last)
            self._last = record
            return self._packed(line)
        ended = self.end()
        head = head_line(
            record.snapshot.site,
            version=self._version,
            part=self._part,
            first_part=self._first_part,
        )
        line = step_line(record, last=None)
        self._gzip, self._open = _pack(), True
        self._chapter_s = record.now.mono_s
        self._last = record
        return ended + self._packed(f"{head}\n{line}")

    def end(self) -> bytes:
        """The bytes that close the chapter under way; whatever is added next begins another."""
        was_open, self._open, self._last = self._open, False, None
        return self._gzip.flush() if was_open else b""

    def _packed(self, text: str) -> bytes:
        return self._gzip.compress(f"{text}\n".encode()) + self._gzip.flush(zlib.Z_SYNC_FLUSH)


def segment_name(part: int, *, begin_utc_s: float) -> str:
    """The file name of a segment: its number, which only ever grows, and when it began."""
    return f"{part:06d}-{datetime.fromtimestamp(begin_utc_s, UTC):%Y%m%dT%H%M%SZ}{SUFFIX}"


def part_of(name: str) -> int:
    """The number in a segment's file name."""
    return int(name.partition("-")[0])


def segments_among(names: Iterable[str]) -> list[str]:
    """The names that are those of segments, oldest first."""
    return sorted((name for name in names if _NAME.fullmatch(name)), key=part_of)


@dataclass(slots=True)
class Damage:
    """What could not be read. `torn`: segments whose end is missing; `holes`: broken chapters."""

    torn: int = 0
    holes: int = 0


def lines_of(data: bytes, damage: Damage) -> Iterator[str]:
    """Every line of a segment that can be read; what cannot is counted in `damage`.

    Of a chapter that is not what was written nothing is believed.
    """
    at = 0
    while at < len(data):
        try:
            lines, end = _chapter(data, at)
        except zlib.error:
            damage.holes += 1
            found = data.find(_MAGIC, at + 1)
            at = len(data) if found < 0 else found
            continue
        yield from (line.decode("ascii", errors="replace") for line in lines)
        if end is None:
            damage.torn += 1
            return
        at = end


def _chapter(data: bytes, at: int) -> tuple[list[bytes], int | None]:
    """The lines of the chapter that begins at `at` and where it ends, None where it is torn."""
    unpack = zlib.decompressobj(_GZIP)
    whole: list[bytes] = []
    rest = b""
    for start in range(at, len(data), _PIECE_BYTES):
        piece = data[start : start + _PIECE_BYTES]
        *lines, rest = (rest + unpack.decompress(piece, LINE_BYTES_MAX)).split(b"\n")
        whole += lines
        if unpack.unconsumed_tail or len(rest) > LINE_BYTES_MAX:
            raise zlib.error("a line without end")
        if unpack.eof:  # its checksum was right
            return whole, start + len(piece) - len(unpack.unused_data)
    return list(takewhile(lambda line: line[:1] == b"{" and line[-1:] == b"}", whole)), None


def _pack() -> "zlib._Compress":
    return zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
