"""Evidence in a sqlite file, written by a thread of its own.

1. Rows are on the disk (WAL, synchronous FULL) before `append` returns; all of a call or none.
2. Bounded: beyond `ROWS_MAX` of a chain the oldest go, and what stood before the first one left is
   kept, so that the rest can still be verified.
3. Reading for verification and export needs no daemon and opens the file read-only.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Final, TypeVar

from edgectl.adapters.sqlite_faults import ends_handle, let_go
from edgectl.errors import StorageFailed
from edgectl.model.evidence import START, ChainName, EvidenceRow, Head, linked, text_of
from edgectl.model.store import Document

T = TypeVar("T")

ROWS_MAX: Final = {ChainName.AUDIT: 1_000_000, ChainName.LEDGER: 1_000_000}
"""Some two years of a busy site; 300 bytes each."""

THINNED_TO: Final = {chain: most - most // 10 for chain, most in ROWS_MAX.items()}
"""A tenth goes at a time: the bound need not be looked after at every row."""

_FORMAT: Final = 1
_OPENING: Final = ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL")
_MAKING: Final = (
    """CREATE TABLE IF NOT EXISTS rows (
         chain TEXT NOT NULL, number INTEGER NOT NULL, text TEXT NOT NULL, hash TEXT NOT NULL,
         PRIMARY KEY (chain, number)
       ) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS before_first (
         chain TEXT NOT NULL PRIMARY KEY, number INTEGER NOT NULL, hash TEXT NOT NULL
       ) WITHOUT ROWID""",
    f"PRAGMA user_version = {_FORMAT}",
)


class SqliteEvidence:
    """`edgectl.model.evidence.Evidence` in one file, which `open` makes where there is none.

    A file that could not be opened, or whose disk failed, is tried again with every append.
    """

    def __init__(
        self, path: Path, *, busy_s: float = 5.0, rows_max: dict[ChainName, int] | None = None
    ) -> None:
        self._path = path
        self._busy_s = busy_s
        self._rows_max = ROWS_MAX if rows_max is None else rows_max
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="evidence")
        self._db: sqlite3.Connection | None = None
        self._heads: dict[ChainName, Head] = {}
        self._closed = False

    async def open(self) -> None:
        """Make ready; `StorageFailed` if the file cannot be used."""
        await self._run(self._open)

    async def append(self, chain: ChainName, docs: Sequence[Document]) -> Head:
        """Add rows at the end; the newest row's place."""
        texts = [text_of(doc) for doc in docs]
        return await self._run(lambda: self._append(chain, texts))

    async def head(self, chain: ChainName) -> Head:
        """The newest row's place."""
        return self._heads.get(chain, START)

    async def at(self, chain: ChainName, number: int) -> Head | None:
        """The place of a row; None: there is none. `StorageFailed` if nobody can tell."""

        def look() -> Head | None:
            row = (
                self._opened()
                .execute("SELECT hash FROM rows WHERE chain = ? AND number = ?", (chain, number))
                .fetchone()
            )
            return None if row is None else Head(number, row[0])

        return await self._run(look)

    async def close(self) -> None:
        """Let go of the file; a second call does nothing."""
        if self._closed:
            return
        await self._run(self._close)
        self._closed = True
        self._thread.shutdown(wait=False)

    async def _run(self, work: Callable[[], T]) -> T:
        if self._closed:
            raise StorageFailed(f"{self._path} is closed")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except (sqlite3.Error, OSError, ValueError) as fault:
            raise _failed(self._path, fault) from fault

    def _open(self) -> None:
        db = sqlite3.connect(
            self._path, timeout=self._busy_s, isolation_level=None, check_same_thread=False
        )
        try:
            found = int(db.execute("PRAGMA user_version").fetchone()[0])
            _check_format(self._path, found)
            for statement in _OPENING:
                db.execute(statement)
            if found == 0:
                for statement in _MAKING:
                    db.execute(statement)
            self._path.chmod(0o600)
            for name in ChainName:
                self._heads[name] = _head(db, name)
        except BaseException:
            db.close()
            raise
        self._db = db

    def _append(self, chain: ChainName, texts: Sequence[str]) -> Head:
        try:
            if self._db is None:
                self._open()
            return self._add(self._opened(), chain, texts)
        except sqlite3.Error as fault:
            if ends_handle(fault):
                self._close()
            raise

    def _opened(self) -> sqlite3.Connection:
        if self._db is None:
            raise StorageFailed(f"{self._path} is not open")
        return self._db

    def _add(self, db: sqlite3.Connection, chain: ChainName, texts: Sequence[str]) -> Head:
        head = self._heads[chain]
        db.execute("BEGIN IMMEDIATE")
        try:
            for text in texts:
                row = linked(chain, head, text)
                db.execute(
                    "INSERT INTO rows VALUES (?, ?, ?, ?)", (chain, row.number, row.text, row.hash)
                )
                head = row.head
            self._thin(db, chain, head)
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        self._heads[chain] = head
        return head

    def _thin(self, db: sqlite3.Connection, chain: ChainName, head: Head) -> None:
        most = self._rows_max[chain]
        before = _before_first(db, chain)
        if head.number - before.number <= most:
            return
        last = head.number - most + most // 10
        gone = db.execute(
            "SELECT hash FROM rows WHERE chain = ? AND number = ?", (chain, last)
        ).fetchone()
        if gone is None:
            return
        db.execute("INSERT OR REPLACE INTO before_first VALUES (?, ?, ?)", (chain, last, gone[0]))
        db.execute("DELETE FROM rows WHERE chain = ? AND number <= ?", (chain, last))

    def _close(self) -> None:
        if self._db is not None:
            let_go(self._db)
            self._db = None


def read_evidence(path: Path, chain: ChainName) -> Iterator[EvidenceRow]:
    """Every row of a chain in the order of its numbers; `StorageFailed` if it cannot be read."""
    with closing(_reader(path)) as db:
        try:
            for number, text, digest in db.execute(
                "SELECT number, text, hash FROM rows WHERE chain = ? ORDER BY number", (chain,)
            ):
                yield EvidenceRow(number, text, digest)
        except sqlite3.Error as fault:
            raise _failed(path, fault) from fault


def read_before_first(path: Path, chain: ChainName) -> Head:
    """What stood before the first row that is left."""
    with closing(_reader(path)) as db:
        try:
            return _before_first(db, chain)
        except sqlite3.Error as fault:
            raise _failed(path, fault) from fault


def _reader(path: Path) -> sqlite3.Connection:
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        _check_format(path, int(db.execute("PRAGMA user_version").fetchone()[0]))
    except (sqlite3.Error, OSError) as fault:
        raise _failed(path, fault) from fault
    return db


def _before_first(db: sqlite3.Connection, chain: ChainName) -> Head:
    row = db.execute("SELECT number, hash FROM before_first WHERE chain = ?", (chain,)).fetchone()
    return START if row is None else Head(*row)


def _head(db: sqlite3.Connection, chain: ChainName) -> Head:
    row = db.execute(
        "SELECT number, hash FROM rows WHERE chain = ? ORDER BY number DESC LIMIT 1", (chain,)
    ).fetchone()
    return _before_first(db, chain) if row is None else Head(*row)


def _check_format(path: Path, found: int) -> None:
    if found not in {0, _FORMAT}:
        raise StorageFailed(
            f"{path} has format {found}, this version knows {_FORMAT};"
            " install the version that wrote it, or move the file away"
        )


def _failed(path: Path, fault: Exception) -> StorageFailed:
    return StorageFailed(
        f"{path}: {fault}; see that the disk has room and works, and that the file is whole and may"
        " be read by this user"
    )
