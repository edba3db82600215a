"""Documents in a sqlite file, written by a thread of its own.

1. A change is on the disk (WAL, synchronous FULL) before its method returns.
2. sqlite's errors become `StorageFailed`, which names the file; a failed change changes nothing.
"""

import asyncio
import json
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from edgectl.errors import StorageFailed
from edgectl.model.store import Document

T = TypeVar("T")

_FORMAT: Final = 1
_OPENING: Final = ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL")
_MAKING: Final = (
    """CREATE TABLE IF NOT EXISTS documents (
         kind TEXT NOT NULL, key TEXT NOT NULL, doc TEXT NOT NULL, PRIMARY KEY (kind, key)
       ) WITHOUT ROWID""",
    f"PRAGMA user_version = {_FORMAT}",
)


class SqliteStore:
    """`edgectl.model.store.Store` in one file, which `open` makes where there is none.

    `busy_s`: how long to wait for another process that holds the file, a backup for example.
    """

    def __init__(self, path: Path, *, busy_s: float = 5.0) -> None:
        self._path = path
        self._busy_s = busy_s
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._db: sqlite3.Connection | None = None
        self._closed = False

    async def open(self) -> None:
        """Make ready; `StorageFailed` if the file cannot be used."""
        await self._run(self._open)

    async def put(self, kind: str, key: str, doc: Document) -> None:
        """Keep `doc`, in place of what was there."""
        text = json.dumps(doc, allow_nan=False, separators=(",", ":"))
        await self._change("INSERT OR REPLACE INTO documents VALUES (?, ?, ?)", (kind, key, text))

    async def delete(self, kind: str, key: str) -> None:
        """Forget a document; one that is not there is no fault."""
        await self._change("DELETE FROM documents WHERE kind = ? AND key = ?", (kind, key))

    async def load_all(self, kind: str) -> dict[str, Document]:
        """Every document of a kind by key, in the order of the keys."""

        def load() -> dict[str, Document]:
            rows = self._opened().execute(
                "SELECT key, doc FROM documents WHERE kind = ? ORDER BY key", (kind,)
            )
            return {key: json.loads(text) for key, text in rows}

        return await self._run(load)

    async def close(self) -> None:
        """Let go of the file; a second call does nothing."""
        if self._closed:
            return
        await self._run(self._close)
        self._closed = True
        self._thread.shutdown(wait=False)

    async def _change(self, statement: str, values: tuple[str, ...]) -> None:
        def change() -> None:
            self._opened().execute(statement, values)

        await self._run(change)

    async def _run(self, work: Callable[[], T]) -> T:
        if self._closed:
            raise StorageFailed(f"{self._path} is closed")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except (sqlite3.Error, OSError, ValueError) as fault:
            raise StorageFailed(
                f"{self._path}: {fault}; see that the disk has room and works, and that the file"
                " is whole and belongs to the daemon, or move it away"
            ) from fault

    def _open(self) -> None:
        # Each statement commits by itself, so a change is durable when its statement is done.
        db = sqlite3.connect(
            self._path, timeout=self._busy_s, isolation_level=None, check_same_thread=False
        )
        try:
            found = int(db.execute("PRAGMA user_version").fetchone()[0])
            self._check_format(found)
            for statement in _OPENING:
                db.execute(statement)
            if found == 0:  # nothing is written to a file that is made: it must open on a full disk
                for statement in _MAKING:
                    db.execute(statement)
            self._path.chmod(0o600)
        except BaseException:
            db.close()
            raise
        self._db = db

    def _check_format(self, found: int) -> None:
        if found not in {0, _FORMAT}:
            raise StorageFailed(
                f"{self._path} has format {found}, this version knows {_FORMAT};"
                " install the version that wrote it, or move the file away"
            )

    def _opened(self) -> sqlite3.Connection:
        if self._db is None:
            raise StorageFailed(f"{self._path} is not open")
        return self._db

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None
