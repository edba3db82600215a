"""Where a replay's steps come from: a segment, a folder of them, or the record of a broken step."""

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Final

from edgectl.contract.journal import Head, JournalStep
from edgectl.contract.journal_reading import Chapter, chapters_of, chapters_within, read_steps
from edgectl.contract.record import INSTANT, SNAPSHOT, STATE
from edgectl.contract.segment import Damage, lines_of, part_of, segments_among
from edgectl.errors import BadInput, Finding

_GZIP: Final = b"\x1f\x8b"


class JournalSource:
    """A journal on disk, and what of it could not be read.

    `first_part` is the number of the oldest segment read and `head` the first head, once there is
    one; `parts` counts segments, `missing` those whose numbers are left out between others.
    `passed_over`: steps after a gap.
    """

    def __init__(self, path: Path) -> None:
        self.damage = Damage()
        self.head: Head | None = None
        self.parts = 0
        self.missing = 0
        self.passed_over = 0
        self._path = path

    def begin_utc_s(self) -> float:
        """When its first step was; BadInput where there is none."""
        return self._first()[0].begin_utc_s

    def steps(self, *, from_utc_s: float, until_utc_s: float) -> Iterator[tuple[Head, JournalStep]]:
        """Every chapter that has to do with the interval, step by step."""
        first, others = self._first()
        chapters = chapters_within(
            chain([first], others), from_utc_s=from_utc_s, until_utc_s=until_utc_s
        )
        try:
            for head, one in read_steps(chapters, passed_over=self._pass_over):
                self.head = self.head or head
                yield head, one
        except ValueError as fault:
            raise self._unread(fault) from fault

    def _first(self) -> tuple[Chapter, Iterator[Chapter]]:
        self.damage, self.parts = Damage(), 0
        chapters = self._chapters()
        try:
            first = next(chapters, None)
        except ValueError as fault:
            raise self._unread(fault) from fault
        if first is None:
            raise bad(
                self._path, "there is no journal in it", "name a segment, or the folder of them"
            )
        return first, chapters

    def _chapters(self) -> Iterator[Chapter]:
        for path in self._files():
            self.parts += 1
            data = _read(path)
            # In a folder it is a segment by its name, whatever a power failure left of it.
            packed = path != self._path or data.startswith(_GZIP)
            yield from chapters_of(
                lines_of(data, self.damage) if packed else _text(data).splitlines()
            )

    def _files(self) -> Iterable[Path]:
        if not self._path.is_dir():
            return [self._path]
        names = segments_among(path.name for path in self._path.iterdir())
        if names:
            self.missing = part_of(names[-1]) - part_of(names[0]) + 1 - len(names)
        return [self._path / name for name in names]

    def _pass_over(self, _number: int) -> None:
        self.passed_over += 1

    def _unread(self, fault: ValueError) -> BadInput:
        said = str(fault).splitlines()[0]
        return bad(self._path, f"this is no journal: {said}", "name what `edgectl run` recorded")


def broken_step(path: Path) -> tuple[Head, JournalStep, str] | None:
    """The record of a broken step and its error; None where the file is something else."""
    if path.is_dir():
        return None
    data = _read(path)
    if not data.startswith(b'{"error":'):
        return None
    try:
        error, now, state, snapshot = _text(data).splitlines()
        seen = SNAPSHOT.load(snapshot)
        one = JournalStep(
            number=1,
            now=INSTANT.load(now),
            snapshot=seen,
            before=STATE.load(state),
            evses={},
            safe=True,
            checksum="",
        )
    except ValueError as fault:
        said = str(fault).splitlines()[0]
        raise bad(
            path, f"the record of a broken step is not whole: {said}", "name another one"
        ) from fault
    head = Head(site=seen.site, version="", part=1, first_part=1, rows={}, shape="")
    return head, one, str(json.loads(error)["error"])


def bad(path: Path, message: str, remedy: str) -> BadInput:
    """A file that cannot be used."""
    return BadInput(
        [
            Finding(
                file=str(path), line=0, path="", code="bad_journal", message=message, remedy=remedy
            )
        ]
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as fault:
        raise bad(path, f"{fault.strerror}", "name a file that you may read") from fault


def _text(data: bytes) -> str:
    return data.decode("utf-8", errors="replace")
