"""The port for evidence: rows that nobody can change, take out or reorder unseen.

1. Each row's hash is over the row before it, its number and its text, so any change breaks all that
   follows.
2. Rows at the end could be cut off unseen by the chain alone; so the newest hash is also kept
   elsewhere on this machine, and goes upstream with every report.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from edgectl.model.store import Document


class ChainName(StrEnum):
    """`AUDIT`: who asked for what and what became of it. `LEDGER`: what was delivered."""

    AUDIT = "audit"
    LEDGER = "ledger"


@dataclass(frozen=True, slots=True)
class Head:
    """A row's number and hash; number 0 stands before the first row."""

    number: int
    hash: str


START: Final = Head(0, "0" * 64)


@dataclass(frozen=True, slots=True)
class EvidenceRow:
    """`text`: the row as JSON, exactly as it was hashed."""

    number: int
    text: str
    hash: str

    @property
    def doc(self) -> Document:
        """What it says."""
        doc: Document = json.loads(self.text)
        return doc

    @property
    def head(self) -> Head:
        """Its place in the chain."""
        return Head(self.number, self.hash)


@dataclass(frozen=True, slots=True)
class Tampering:
    """A place where a chain is not whole."""

    number: int
    text: str


class Evidence(Protocol):
    """Appended rows are durable when the method returns; `StorageFailed`: nothing was added."""

    async def append(self, chain: ChainName, docs: Sequence[Document]) -> Head:
        """Add rows at the end; the newest row's place."""

    async def head(self, chain: ChainName) -> Head:
        """The newest row's place."""

    async def at(self, chain: ChainName, number: int) -> Head | None:
        """The place of a row; None: there is none. `StorageFailed` if nobody can tell."""

    async def close(self) -> None:
        """Let go of what is held open."""


def text_of(doc: Document) -> str:
    """The one text of a row."""
    return json.dumps(doc, allow_nan=False, sort_keys=True, separators=(",", ":"))


def linked(chain: ChainName, before: Head, text: str) -> EvidenceRow:
    """The row that follows `before`."""
    number = before.number + 1
    digest = hashlib.sha256(f"{before.hash}\n{chain.value}\n{number}\n{text}".encode()).hexdigest()
    return EvidenceRow(number, text, digest)


def tampering(
    chain: ChainName,
    rows: Iterable[EvidenceRow],
    *,
    before: Head = START,
    known: Iterable[Head] = (),
    thinned_to: int = 0,
) -> list[Tampering]:
    """Everything that is wrong with a chain.

    `rows` in the order of their file; `before`: what stood before the first of them; `known`: heads
    kept elsewhere that must be found in it. `thinned_to`: so many rows at least are left whenever
    the oldest are let go.
    """
    found: list[Tampering] = []
    wanted = {head.number: head.hash for head in known if head.number > before.number}
    last = before
    for row in rows:
        if row.number != last.number + 1:
            missing = f"rows {last.number + 1} to {row.number - 1} are missing"
            order = f"row {row.number} stands after row {last.number}"
            found.append(Tampering(row.number, missing if row.number > last.number else order))
            last = Head(row.number - 1, last.hash)
            expected = None
        else:
            expected = linked(chain, last, row.text)
        if expected is not None and expected.hash != row.hash:
            found.append(Tampering(row.number, f"row {row.number} or the one before was changed"))
        if wanted.pop(row.number, row.hash) != row.hash:
            found.append(Tampering(row.number, f"row {row.number} is not the one told elsewhere"))
        last = row.head
    if before.number > 0 and last.number - before.number < thinned_to:
        text = f"rows 1 to {before.number} are missing, and the bound was never reached"
        found.insert(0, Tampering(before.number, text))
    for number in sorted(wanted):
        if number > last.number:
            text = f"the chain ends at row {last.number}; row {number} is known elsewhere"
            found.append(Tampering(number, text))
    return found
