"""Documents in a sqlite file, written by a thread of its own.

1. A change is on the disk (WAL, synchronous FULL) before its method returns.
2. sqlite's errors become `StorageFailed`, which names the file; a failed change changes nothing.
3. A daemon must start. A file that is no database any more is put aside and a new one begun; on a
   disk that takes nothing (full, read-only) the file is read as it is and tried again with every
   change. Both are said (`alarms`): what was kept is what orders and ceilings stand on.
"""

import asyncio
import json
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote

from edgectl.errors import StorageFailed
from edgectl.model.decision import Alarm, AlarmCode, Severity
from edgectl.model.store import Document

T = TypeVar("T")

_FORMAT: Final = 1
_HINDERED: Final = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}
)
"""The disk does not take what sqlite needs beside the file; the file itself may be read."""
_SPOILT: Final = frozenset({sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT})
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
        self._reading_only = False
        self._replaced = ""
        self._not_kept = ""

    def alarms(self) -> tuple[Alarm, ...]:
        """What is wrong with what was or should be kept; a replaced file is said until the end."""
        return tuple(
            Alarm(code=code, severity=Severity.ALARM, id=self._path.name, text=text)
            for code, text in (
                (AlarmCode.STATE_REPLACED, self._replaced),
                (AlarmCode.STATE_NOT_KEPT, self._not_kept),
            )
            if text
        )

    async def open(self) -> None:
        """Make ready; `StorageFailed` if the file can neither be used nor put aside."""
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
            return {key: _document(text) for key, text in rows}

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
            if self._reading_only:
                self._try_again()
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
        try:
            self._db = self._open_whole()
        except sqlite3.DatabaseError as fault:
            kind = _kind(fault)
            if kind in _SPOILT:
                self._put_aside(fault)
                self._db = self._open_whole()
            elif kind in _HINDERED and self._path.parent.is_dir():
                self._db = self._open_as_it_is(fault)
                self._reading_only = True
            else:
                raise

    def _try_again(self) -> None:
        whole = self._open_whole()
        self._close()
        self._db, self._reading_only, self._not_kept = whole, False, ""

    def _put_aside(self, fault: sqlite3.DatabaseError) -> None:
        aside = self._path.with_name(self._path.name + ".unreadable")
        for suffix in ("-wal", "-shm"):
            Path(f"{self._path}{suffix}").unlink(missing_ok=True)
        self._path.replace(aside)
        self._replaced = (
            f"{self._path} could not be read ({fault}) and is put aside as {aside}: limits, pauses,"
            " isolations, targets, held events and their draws, and which commands were taken, are"
            " forgotten; set again what must hold, retained events come again from the broker"
        )

    def _open_as_it_is(self, fault: sqlite3.DatabaseError) -> sqlite3.Connection:
        """Read the file without anything beside it; where there is none yet, nothing is kept."""
        newer = Path(f"{self._path}-wal")
        lost = ""
        if self._path.exists() and self._path.stat().st_size > 0:
            place = f"file:{quote(str(self._path))}?immutable=1"
            db = sqlite3.connect(place, uri=True, isolation_level=None, check_same_thread=False)
            self._check(db)
            if newer.exists() and newer.stat().st_size > 0:
                lost = "; what was kept last may be missing until then"
        else:
            db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            for statement in _MAKING:
                db.execute(statement)
        self._not_kept = (
            f"{self._path} can be read and not written ({fault}): nothing new is kept, and no order"
            f" is taken, until the disk has room and takes writes again{lost}"
        )
        return db

    def _open_whole(self) -> sqlite3.Connection:
        # Each statement commits by itself, so a change is durable when its statement is done.
        db = sqlite3.connect(
            self._path, timeout=self._busy_s, isolation_level=None, check_same_thread=False
        )
        try:
            found = self._check(db)
            for statement in _OPENING:
                db.execute(statement)
            if found == 0:  # nothing is written to a file that is made: it must open on a full disk
                for statement in _MAKING:
                    db.execute(statement)
            self._path.chmod(0o600)
        except BaseException:
            db.close()
            raise
        return db

    def _check(self, db: sqlite3.Connection) -> int:
        """Give the format of the file, 0 for a new one; raise where it is not sound."""
        found = int(db.execute("PRAGMA user_version").fetchone()[0])
        self._check_format(found)
        said = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if said != "ok":
            spoilt = sqlite3.DatabaseError(said)
            spoilt.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise spoilt
        return found

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


def _kind(fault: sqlite3.DatabaseError) -> int:
    """The primary result code."""
    return int(getattr(fault, "sqlite_errorcode", 0)) & 0xFF


def _document(text: str) -> Document:
    """A document; what is none is empty, which its owner says and forgets."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def read_documents(path: Path, kind: str) -> dict[str, Document]:
    """Every document of a kind, read beside a daemon that may be running; none without a file."""
    if not path.exists():
        return {}
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            rows = db.execute("SELECT key, doc FROM documents WHERE kind = ?", (kind,))
            return {key: json.loads(text) for key, text in rows}
        finally:
            db.close()
    except (sqlite3.Error, OSError, ValueError) as fault:
        raise StorageFailed(f"{path}: {fault}; see that this user may read it") from fault
