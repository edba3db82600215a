"""The outbox's SQLite file: rows, totals and bounds. Everything here runs on the outbox's thread.

1. `synchronous=FULL`: with NORMAL a power failure may take back the last commits, and numbers that
   were published already would be given again; the region would drop the new rows as duplicates.
2. Numbers come from AUTOINCREMENT: a plain key would start again once the table is empty.
3. Acknowledgement times are connected time, counted on over restarts from the newest one that is
   kept: a daemon that is killed again and again does not send an ever longer window again.
4. A file that cannot be opened is tried again with every call, and one whose disk fails is let go
   and opened again: a disk that was full or turned read-only, before the start or at any moment,
   costs no row that was accepted, and none at all once it is mended (`sqlite_faults`). A file that
   then has less than was promised is put aside: its next numbers were given already.
5. A file that turns out to be damaged, in reading or in writing, is put aside and a new stream
   begun; a single row that cannot be unpacked is dropped and counted.
"""

import secrets
import sqlite3
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

from edgectl.adapters.sqlite_faults import ends_handle, is_spoilt, let_go
from edgectl.errors import InvariantBroken, StorageFailed
from edgectl.model.telemetry import RESEND_S, Detail, Lane, OutboxCounts, OutRow, StoredRow

_ROW_BYTES: Final = 150
_COMPRESS_ABOVE: Final = 300
_PAGE_BYTES: Final = 4096
_WHOLE_MAX: Final = _PAGE_BYTES - 35
_LOCAL_MIN: Final = 489
_LOW_WATER: Final = 0.98
_CHUNK: Final = 200
# Queries are put together from this module's own words only; values go in as arguments.

_COUNTED: Final = (
    "waiting",
    "kept",
    "bytes",
    "thinned_values",
    "dropped_rows",
    "dropped_values",
    "aside",
    "set_aside_rows",
    "refused_rows",
    "refused_values",
)
"""The totals, named like the fields of `OutboxCounts`."""
_SCHEMA: Final = f"""
CREATE TABLE IF NOT EXISTS rows (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL, schema TEXT NOT NULL, made_utc_s REAL NOT NULL,
    vals INTEGER NOT NULL, detail INTEGER NOT NULL, response_topic TEXT, correlation BLOB,
    size INTEGER NOT NULL, lane TEXT, acked_s REAL, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS acknowledged ON rows (lane, seq) WHERE lane IS NOT NULL;
CREATE TABLE IF NOT EXISTS totals (
    stream TEXT NOT NULL, thinned_to INTEGER NOT NULL,
    {", ".join(f"{name} INTEGER NOT NULL DEFAULT 0" for name in _COUNTED)});
"""
_KEPT: Final = "topic, schema, made_utc_s, vals, detail, response_topic, correlation, size, body"
"""Everything of a row but its number and where it stands."""
_COLUMNS: Final = "seq, topic, schema, made_utc_s, body, vals, detail, response_topic, correlation"

Thin: TypeAlias = Callable[[OutRow], OutRow]
Operation: TypeAlias = Callable[["OutboxFile"], None]


@dataclass(frozen=True, slots=True)
class Totals:
    """What is known without looking into the file. `thinned_to`: up to this number all is thin."""

    stream: str
    last_seq: int
    thinned_to: int
    counts: OutboxCounts


@dataclass(frozen=True, slots=True)
class _Found:
    """What must be known of a row to remove it. `lane` None: it waits."""

    seq: int
    size: int
    values: int
    lane: str | None


class OutboxFile:
    """The file itself. `totals` is replaced whole after every commit."""

    def __init__(self, path: Path, *, thin: Thin, max_bytes: int, max_rows: int) -> None:
        self._path = path
        self._thin = thin
        self._max_bytes = max_bytes
        self._max_rows = max_rows
        self._open: sqlite3.Connection | None = None
        self._served_before_s = 0.0
        self._known = False
        self.totals = Totals(
            stream=secrets.token_hex(8), last_seq=0, thinned_to=0, counts=OutboxCounts()
        )
        self._next = self.totals

    def open(self) -> None:
        """Open or make the file, unless it is open; `StorageFailed` if it cannot be used."""
        if self._open is not None:
            return
        try:
            self._open, found, served_before_s = _opened(self._path)
        except sqlite3.Error as error:
            if not is_spoilt(error):
                raise self._failed(error) from error
            self._replace()
        else:
            self._take_up(found, served_before_s)
        self._next = self.totals

    def commit(self, operations: Sequence[Operation]) -> list[StorageFailed | None]:
        """Do all in one transaction; if that fails, each in one of its own."""
        try:
            self.open()
        except StorageFailed as failure:
            return [failure] * len(operations)
        try:
            self._transact(operations)
        except sqlite3.Error as error:
            if len(operations) > 1:
                return [outcome for one in operations for outcome in self.commit([one])]
            if is_spoilt(error):
                return [self._retried_in_new_file(operations)]
            self._let_go_if_dead(error)
            return [self._failed(error)]
        return [None] * len(operations)

    def append(self, rows: Sequence[OutRow]) -> None:
        """Insert rows, then keep within the bounds."""
        size = 0
        for row in rows:
            body = _packed(row.body)
            size += _room(body)
            self._db.execute(
                f"INSERT INTO rows ({_KEPT}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
                (
                    row.topic,
                    row.schema,
                    row.made_utc_s,
                    row.values,
                    int(row.detail),
                    row.response_topic,
                    row.correlation,
                    _room(body),
                    body,
                ),
            )
        self._next = replace(self._next, last_seq=self._next.last_seq + len(rows))
        self._count(waiting=len(rows), kept=len(rows), bytes=size)
        self._keep_bounds()

    def acknowledge(self, lane: Lane, seqs: Sequence[int], served_s: float) -> None:
        """Move waiting rows to the window."""
        moved = self._db.executemany(
            "UPDATE rows SET lane = ?, acked_s = ? WHERE seq = ? AND lane IS NULL",
            [(lane.value, self._served_before_s + served_s, seq) for seq in seqs],
        )
        self._count(waiting=-moved.rowcount)

    def set_aside(self, seqs: Sequence[int]) -> None:
        """Take waiting rows out of the lanes."""
        moved = self._db.executemany(
            "UPDATE rows SET lane = 'aside' WHERE seq = ? AND lane IS NULL",
            [(seq,) for seq in seqs],
        ).rowcount
        self._count(waiting=-moved, aside=moved, set_aside_rows=moved)

    def give_up(self, seqs: Sequence[int]) -> None:
        """Drop waiting rows that no broker takes."""
        for seq in seqs:
            for row in self.found("lane IS NULL AND seq = ?", seq, 1):
                self._remove([row])
                self._count(refused_rows=1, refused_values=row.values)

    def offer_again(self, topic: str, limit: int) -> tuple[tuple[int, int], ...]:
        """Put rows that were set aside behind all others; their numbers before and now."""
        found = self._db.execute(
            "SELECT seq FROM rows WHERE lane = 'aside' AND topic = ? ORDER BY seq LIMIT ?",
            (topic, limit),
        ).fetchall()
        again = f"INSERT INTO rows ({_KEPT}) SELECT {_KEPT} FROM rows WHERE seq = ?"  # noqa: S608
        moved = [(seq, self._db.execute(again, (seq,)).lastrowid or 0) for (seq,) in found]
        self._db.executemany("DELETE FROM rows WHERE seq = ?", found)
        self._next = replace(self._next, last_seq=self._next.last_seq + len(found))
        self._count(waiting=len(found), aside=-len(found))
        return tuple(moved)

    def let_go(self, served_s: float) -> None:
        """Delete what was acknowledged long enough ago."""
        self._delete_window("acked_s <= ?", self._served_before_s + served_s - RESEND_S)

    def read(self, where: str, arguments: Sequence[object]) -> tuple[StoredRow, ...]:
        """Rows in order of their numbers; the last argument is how many at most."""
        self.open()
        query = f"SELECT {_COLUMNS} FROM rows WHERE {where} ORDER BY seq LIMIT ?"  # noqa: S608
        try:
            rows = self._db.execute(query, arguments).fetchall()
        except sqlite3.Error as error:
            if is_spoilt(error):
                self.close()
                self._replace()
            self._let_go_if_dead(error)
            raise self._failed(error) from error
        good, damaged = [], []
        for columns in rows:
            try:
                good.append(_stored(columns))
            except zlib.error:
                damaged.append(columns[0])
        if damaged:
            self._give_up(damaged)
            if not good:
                return self.read(where, arguments)
        return tuple(good)

    def close(self) -> None:
        """Let go of the file."""
        if self._open is not None:
            let_go(self._open)
            self._open = None

    @property
    def _db(self) -> sqlite3.Connection:
        if self._open is None:
            raise InvariantBroken("the outbox file is used before it is open")
        return self._open

    def _take_up(self, found: Totals, served_before_s: float) -> None:
        """Go on with a file that was opened, for the first time or again."""
        known, self.totals = self.totals, found
        if not self._known:
            self._known = True
            self._served_before_s = served_before_s
        elif found.stream != known.stream:
            self.totals = replace(found, counts=replace(found.counts, replaced=True))
        elif found.last_seq < known.last_seq:
            self.close()
            self._replace()
        else:
            self.totals = replace(
                found, counts=replace(found.counts, replaced=known.counts.replaced)
            )

    def _let_go_if_dead(self, error: sqlite3.Error) -> None:
        if ends_handle(error):
            self.close()

    def _give_up(self, seqs: Sequence[int]) -> None:
        """Drop rows that the disk has spoilt; raises `StorageFailed` while they cannot be."""

        def drop(store: "OutboxFile") -> None:
            for seq in seqs:
                store.drop(store.found("seq = ?", seq, 1))

        (failure,) = self.commit([drop])
        if failure is not None:
            raise failure

    def _transact(self, operations: Sequence[Operation]) -> None:
        self._next = self.totals
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for operation in operations:
                operation(self)
            if self._next != self.totals:
                _write_totals(self._db, self._next)
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        self.totals = self._next

    def _retried_in_new_file(self, operations: Sequence[Operation]) -> StorageFailed | None:
        try:
            self.close()
            self._replace()
            self._transact(operations)
        except sqlite3.Error as error:
            return self._failed(error)
        except StorageFailed as failure:
            return failure
        return None

    def _replace(self) -> None:
        """Put the unreadable file aside, for whoever wants to look, and begin a new stream."""
        try:
            for suffix in ("-wal", "-shm"):
                Path(f"{self._path}{suffix}").unlink(missing_ok=True)
            self._path.replace(f"{self._path}.unreadable")
            self._open, totals, self._served_before_s = _opened(self._path)
            self._known = True
        except (OSError, sqlite3.Error) as error:
            raise self._failed(error) from error
        self.totals = replace(totals, counts=replace(totals.counts, replaced=True))

    def _keep_bounds(self) -> None:
        if not self._over(1.0):
            return
        # What the broker has taken already goes first: it is only kept for a second delivery.
        oldest_taken = (
            "seq IN (SELECT seq FROM rows WHERE lane IN ('live', 'backfill') ORDER BY seq LIMIT ?)"
        )
        while self._over(_LOW_WATER) and self._delete_window(oldest_taken, _CHUNK):
            pass
        while self._next.counts.bytes > self._max_bytes * _LOW_WATER and self._thin_oldest():
            pass
        while self._over(_LOW_WATER) and self._drop_oldest():
            pass

    def _over(self, share: float) -> bool:
        counts = self._next.counts
        return counts.bytes > self._max_bytes * share or counts.kept > self._max_rows * share

    def _thin_oldest(self) -> bool:
        """Thin the oldest telemetry that is not thin yet; False when there is none left."""
        detailed = self._db.execute(
            f"SELECT {_COLUMNS}, size FROM rows WHERE detail = 1 AND seq > ? ORDER BY seq LIMIT ?",  # noqa: S608
            (self._next.thinned_to, _CHUNK),
        ).fetchall()
        for *columns, size in detailed:
            stored = _stored(columns)
            thinned = self._thin(stored.row)
            if thinned == stored.row:
                continue
            body = _packed(thinned.body)
            self._db.execute(
                "UPDATE rows SET body = ?, vals = ?, size = ? WHERE seq = ?",
                (body, thinned.values, _room(body), stored.seq),
            )
            self._count(
                bytes=_room(body) - size,
                thinned_values=stored.row.values - thinned.values,
            )
        if detailed:
            self._next = replace(self._next, thinned_to=detailed[-1][0])
        return bool(detailed)

    def _drop_oldest(self) -> bool:
        """Drop the oldest telemetry, or the oldest of all; False when nothing is left."""
        share = max(1, min(_CHUNK, self._next.counts.kept // 50))
        oldest = self.found("detail > ?", Detail.NONE, share) or self.found("seq > ?", 0, share)
        self.drop(oldest)
        return bool(oldest)

    def found(self, where: str, argument: int, limit: int) -> list["_Found"]:
        """The oldest rows."""
        query = f"SELECT seq, size, vals, lane FROM rows WHERE {where} ORDER BY seq LIMIT ?"  # noqa: S608
        return [_Found(*row) for row in self._db.execute(query, (argument, limit))]

    def drop(self, rows: Sequence["_Found"]) -> None:
        """Drop rows, and count what is lost."""
        self._remove(rows)
        self._count(dropped_rows=len(rows), dropped_values=sum(row.values for row in rows))

    def _remove(self, rows: Sequence["_Found"]) -> None:
        self._db.executemany("DELETE FROM rows WHERE seq = ?", [(row.seq,) for row in rows])
        self._count(
            waiting=-sum(row.lane is None for row in rows),
            aside=-sum(row.lane == "aside" for row in rows),
            kept=-len(rows),
            bytes=-sum(row.size for row in rows),
        )

    def _delete_window(self, where: str, argument: float) -> bool:
        """Delete rows of the window; they were delivered, so nothing is counted as lost."""
        condition = f"lane IN ('live', 'backfill') AND {where}"
        rows, size = self._db.execute(
            f"SELECT count(*), coalesce(sum(size), 0) FROM rows WHERE {condition}",  # noqa: S608
            (argument,),
        ).fetchone()
        if rows:
            self._db.execute(f"DELETE FROM rows WHERE {condition}", (argument,))  # noqa: S608
            self._count(kept=-rows, bytes=-size)
        return bool(rows)

    def _count(self, **changes: int) -> None:
        counts = self._next.counts
        changed = {name: getattr(counts, name) + change for name, change in changes.items()}
        self._next = replace(self._next, counts=replace(counts, **changed))

    def _failed(self, error: Exception) -> StorageFailed:
        return StorageFailed(
            f"the outbox {self._path} cannot be used: {error}; free space on its disk or mend its"
            " rights; telemetry is held in memory, within bounds, until then"
        )


def _opened(path: Path) -> tuple[sqlite3.Connection, Totals, float]:
    """The file, its totals, and connected time of earlier processes as far as it is known."""
    db = sqlite3.connect(path, isolation_level=None, timeout=1.0)
    try:
        db.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        # Exclusive: a second process on the same file would give the same numbers again.
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA journal_size_limit = 4000000")
        db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
        served = db.execute("SELECT max(acked_s) FROM rows WHERE lane IN ('live', 'backfill')")
        return db, _read_totals(db), served.fetchone()[0] or 0.0
    except BaseException:
        db.close()
        raise


def _read_totals(db: sqlite3.Connection) -> Totals:
    # A file of an older version lacks what it did not count.
    known = {column[1] for column in db.execute("PRAGMA table_info(totals)")}
    for name in _COUNTED:
        if name not in known:
            db.execute(f"ALTER TABLE totals ADD COLUMN {name} INTEGER NOT NULL DEFAULT 0")
    columns = ", ".join(_COUNTED)
    found = db.execute(f"SELECT stream, thinned_to, {columns} FROM totals").fetchone()  # noqa: S608
    if found is None:
        stream = secrets.token_hex(8)
        db.execute("INSERT INTO totals (stream, thinned_to) VALUES (?, 0)", (stream,))
        return Totals(stream=stream, last_seq=0, thinned_to=0, counts=OutboxCounts())
    last = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'rows'").fetchone()
    stream, thinned_to, *counted = found
    return Totals(
        stream=stream,
        last_seq=0 if last is None else last[0],
        thinned_to=thinned_to,
        counts=OutboxCounts(**dict(zip(_COUNTED, counted, strict=True))),
    )


def _write_totals(db: sqlite3.Connection, totals: Totals) -> None:
    columns = ", ".join(f"{name} = ?" for name in _COUNTED)
    db.execute(
        f"UPDATE totals SET thinned_to = ?, {columns}",  # noqa: S608
        (totals.thinned_to, *(getattr(totals.counts, name) for name in _COUNTED)),
    )


def _packed(body: bytes) -> bytes:
    """Shrink telemetry to a seventh; a packed body tells itself by not beginning like JSON."""
    return zlib.compress(body) if len(body) > _COMPRESS_ABOVE else body


def _room(body: bytes) -> int:
    """Say what a row takes of the file, where only whole rows share a page."""
    record = len(body) + _ROW_BYTES
    if record <= _WHOLE_MAX:
        return _PAGE_BYTES // (_WHOLE_MAX // record)
    return _LOCAL_MIN + _PAGE_BYTES * -(-(record - _LOCAL_MIN) // (_PAGE_BYTES - 4))


def _stored(columns: Sequence[Any]) -> StoredRow:
    seq, topic, schema, made_utc_s, body, values, detail, response_topic, correlation = columns
    row = OutRow(
        topic=topic,
        schema=schema,
        made_utc_s=made_utc_s,
        body=body if body.startswith(b"{") else zlib.decompress(body),
        values=values,
        detail=Detail(detail),
        response_topic=response_topic,
        correlation=correlation,
    )
    return StoredRow(seq=seq, row=row)
