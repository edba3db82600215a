"""Facts about the past in a sqlite file, on a thread of its own.

1. A change is one transaction, on the disk (WAL, synchronous FULL) before its method returns.
2. A damaged file is put aside, once, and a new one begun: old figures must not stop new ones.
3. A file that cannot be used now is tried again with every call; one whose disk failed is let go
   and opened again (`sqlite_faults`).
"""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from edgectl.adapters.sqlite_faults import ends_handle, is_spoilt, let_go
from edgectl.errors import StorageFailed
from edgectl.model.facts import Fact

T = TypeVar("T")

_MAKING: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    """CREATE TABLE IF NOT EXISTS facts (
         kind TEXT NOT NULL, key TEXT NOT NULL, from_s REAL NOT NULL, until_s REAL NOT NULL,
         doc TEXT NOT NULL, PRIMARY KEY (kind, key)
       ) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS ends ON facts (kind, until_s)",
)
_COLUMNS: Final = "kind, key, from_s, until_s, doc"


class SqliteFacts:
    """`edgectl.model.facts.FactStore` in one file, which is made where there is none.

    `on_damage` is told when a file was put aside.
    """

    def __init__(self, path: Path, *, on_damage: Callable[[str], None] = lambda _: None) -> None:
        self._path = path
        self._on_damage = on_damage
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="facts")
        self._db: sqlite3.Connection | None = None

    async def change(self, put: Sequence[Fact], forget: Sequence[tuple[str, str]] = ()) -> None:
        """Keep and forget, all or nothing."""
        rows = [
            (
                fact.kind,
                fact.key,
                fact.from_s,
                fact.until_s,
                json.dumps(fact.doc, allow_nan=False, separators=(",", ":")),
            )
            for fact in put
        ]

        def change(db: sqlite3.Connection) -> None:
            db.execute("BEGIN IMMEDIATE")
            try:
                db.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?, ?)", rows)
                db.executemany("DELETE FROM facts WHERE kind = ? AND key = ?", forget)
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

        await self._run(change)

    async def get(self, kind: str, key: str) -> Fact | None:
        """One fact."""
        found = await self._select("kind = ? AND key = ?", kind, key)
        return found[0] if found else None

    async def between(self, kind: str, from_s: float, until_s: float) -> tuple[Fact, ...]:
        """Facts that touch a time, by their beginning."""
        return await self._select("kind = ? AND until_s >= ? AND from_s < ?", kind, from_s, until_s)

    async def prune(self, kind: str, before_s: float) -> None:
        """Forget what was over before a moment."""

        def prune(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM facts WHERE kind = ? AND until_s < ?", (kind, before_s))

        await self._run(prune)

    async def close(self) -> None:
        """Let go of the file."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    async def _select(self, where: str, *values: object) -> tuple[Fact, ...]:
        query = f"SELECT {_COLUMNS} FROM facts WHERE {where} ORDER BY from_s, key"  # noqa: S608 - own words

        def select(db: sqlite3.Connection) -> tuple[Fact, ...]:
            return tuple(
                Fact(kind, key, from_s, until_s, json.loads(doc))
                for kind, key, from_s, until_s, doc in db.execute(query, values)
            )

        return await self._run(select)

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def attempt() -> T:
            try:
                return work(self._opened())
            except sqlite3.Error as fault:
                if ends_handle(fault):
                    self._close()
                if not is_spoilt(fault):
                    raise
                self._put_aside(fault)
                return work(self._opened())

        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, attempt)
        except (sqlite3.Error, OSError, ValueError) as fault:
            raise StorageFailed(
                f"{self._path}: {fault}; see that the disk has room and works; figures are held in"
                " memory, within bounds, until then"
            ) from fault

    def _opened(self) -> sqlite3.Connection:
        if self._db is None:
            db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            try:
                for statement in _MAKING:
                    db.execute(statement)
                self._path.chmod(0o600)
            except BaseException:
                db.close()
                raise
            self._db = db
        return self._db

    def _put_aside(self, fault: sqlite3.Error) -> None:
        self._close()
        for suffix in ("-wal", "-shm"):
            Path(f"{self._path}{suffix}").unlink(missing_ok=True)
        self._path.replace(f"{self._path}.unreadable")
        self._on_damage(f"{self._path} is damaged ({fault}); it was put aside")

    def _close(self) -> None:
        if self._db is not None:
            let_go(self._db)
            self._db = None
