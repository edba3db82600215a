"""Documents in a sqlite file, written by a thread of its own.

1. A change is on the disk (WAL, synchronous FULL) before its method returns.
2. sqlite's errors become `StorageFailed`, which names the file; a failed change changes nothing.
3. A daemon must start and go on. A file that is no database any more is put aside and a new one
   begun; on a disk that takes nothing (full, read-only, failing), at the start or at any moment,
   the file is read as it is, and tried again with every change and every `AGAIN_S`. Both are said
   (`alarms`): what was kept is what orders and ceilings stand on.
"""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote

from edgectl.adapters.sqlite_faults import ends_handle, is_hindered, is_spoilt, let_go
from edgectl.errors import StorageFailed
from edgectl.model.decision import Alarm, AlarmCode, Severity
from edgectl.model.store import Document, Entry, Place

T = TypeVar("T")

AGAIN_S: Final = 10.0
_FORMAT: Final = 1
_PROBE: Final = f"PRAGMA user_version = {_FORMAT}"
"""A write that changes nothing."""
_DELETE: Final = "DELETE FROM documents WHERE kind = ? AND key = ?"
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
    `again_s`: how often a disk that takes nothing is tried.
    """

    def __init__(self, path: Path, *, busy_s: float = 5.0, again_s: float = AGAIN_S) -> None:
        self._path = path
        self._busy_s = busy_s
        self._again_s = again_s
        self._again: asyncio.TimerHandle | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._db: sqlite3.Connection | None = None
        self._closed = False
        self._hindered = False
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
        self._try_later()

    async def put(self, kind: str, key: str, doc: Document) -> None:
        """Keep `doc`, in place of what was there."""
        await self.put_all([(kind, key, doc)])

    async def put_all(self, entries: Sequence[Entry], *, gone: Sequence[Place] = ()) -> None:
        """Keep them all and forget what is `gone`, or neither; `gone` may be absent anyway."""
        rows = [
            (kind, key, json.dumps(doc, allow_nan=False, separators=(",", ":")))
            for kind, key, doc in entries
        ]

        def put(db: sqlite3.Connection) -> None:
            db.execute("BEGIN IMMEDIATE")
            try:
                db.executemany("INSERT OR REPLACE INTO documents VALUES (?, ?, ?)", rows)
                db.executemany(_DELETE, gone)
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

        await self._change(put)

    async def delete(self, kind: str, key: str) -> None:
        """Forget a document; one that is not there is no fault."""
        await self._change(lambda db: db.execute(_DELETE, (kind, key)))

    async def load_all(self, kind: str) -> dict[str, Document]:
        """Every document of a kind by key, in the order of the keys."""

        def load() -> dict[str, Document]:
            with self._readable() as db:
                rows = db.execute(
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
        if self._again is not None:
            self._again.cancel()
        self._thread.shutdown(wait=False)

    async def _change(self, work: Callable[[sqlite3.Connection], object]) -> None:
        try:
            await self._run(lambda: self._write(work))
        except StorageFailed:
            self._try_later()
            raise

    def _try_later(self) -> None:
        """Look now and then whether the disk takes writes again, also where nothing is to keep."""
        if self._not_kept and not self._closed and self._again is None:
            loop = asyncio.get_running_loop()
            self._again = loop.call_later(self._again_s, self._try_now)

    def _try_now(self) -> None:
        self._again = None
        trying = asyncio.get_running_loop().run_in_executor(self._thread, self._probe)
        trying.add_done_callback(lambda _: self._try_later())

    def _probe(self) -> None:
        with suppress(sqlite3.Error, OSError, StorageFailed):
            self._write(lambda db: db.execute(_PROBE))

    def _write(self, work: Callable[[sqlite3.Connection], object]) -> None:
        if self._hindered:
            self._db, self._hindered = self._open_sound(), False
        try:
            work(self._opened())
        except sqlite3.Error as fault:
            if is_hindered(fault):
                self._hinder(fault)
            raise
        self._not_kept = ""

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
            self._db = self._open_sound()
        except sqlite3.DatabaseError as fault:
            if not (is_hindered(fault) and self._path.parent.is_dir()):
                raise
            self._hindered = True
            self._say_not_kept(fault)
            let_go(self._open_as_it_is())

    def _open_sound(self) -> sqlite3.Connection:
        """Open it, or a new one in place of a spoilt one."""
        try:
            return self._open_whole()
        except sqlite3.DatabaseError as fault:
            if not is_spoilt(fault):
                raise
            self._put_aside(fault)
            return self._open_whole()

    @contextmanager
    def _readable(self) -> Iterator[sqlite3.Connection]:
        """The file; where its disk takes nothing, for as long as it is read and no longer."""
        db = self._open_as_it_is() if self._hindered else self._opened()
        try:
            yield db
        finally:
            if db is not self._db:
                let_go(db)

    def _hinder(self, fault: sqlite3.Error) -> None:
        """Say it, and let a dead handle go."""
        self._say_not_kept(fault)
        if ends_handle(fault):
            self._close()
            self._hindered = True

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

    def _open_as_it_is(self) -> sqlite3.Connection:
        """Read the file without anything beside it; where there is none yet, nothing is kept."""
        if self._path.exists() and self._path.stat().st_size > 0:
            # Alone on the file and without locks sqlite reads the log beside it too and makes
            # nothing; the daemon locked the folder. Where there is no log it wants to make one.
            log = Path(f"{self._path}-wal")
            how = "mode=ro&vfs=unix-none" if log.exists() else "immutable=1"
            place = f"file:{quote(str(self._path))}?{how}"
            db = sqlite3.connect(place, uri=True, isolation_level=None, check_same_thread=False)
            try:
                db.execute("PRAGMA locking_mode = EXCLUSIVE")
                self._check(db)
            except BaseException:
                let_go(db)
                raise
            return db
        db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        for statement in _MAKING:
            db.execute(statement)
        return db

    def _say_not_kept(self, fault: sqlite3.Error) -> None:
        self._not_kept = (
            f"{self._path} can be read and not written ({fault}): nothing new is kept, and no order"
            f" is taken, until the disk has room and takes writes again"
        )

    def _open_whole(self) -> sqlite3.Connection:
        # Without a transaction of its own a statement commits by itself: it is durable when done.
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
            let_go(self._db)
            self._db = None


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
