"""The outbox's SQLite file through full, failing and spoilt disks. All runs on the outbox's thread.

1. A file that cannot be opened is tried again with every call, and one whose disk fails is let go
   and opened again: a disk that was full or turned read-only, before the start or at any moment,
   costs no row that was accepted, and none at all once it is mended (`sqlite_faults`). A file that
   then has less than was promised is put aside: its next numbers were given already.
2. A file that turns out to be damaged, in reading or in writing, is put aside and a new stream
   begun; a single row that cannot be unpacked is dropped and counted.
"""

import secrets
import sqlite3
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from edgectl.adapters.outbox_format import COLUMNS, Totals, opened, stored, write_totals
from edgectl.adapters.outbox_rows import OutboxRows
from edgectl.adapters.sqlite_faults import ends_handle, is_spoilt, let_go
from edgectl.errors import InvariantBroken, StorageFailed
from edgectl.model.telemetry import OutboxCounts, StoredRow

Operation: TypeAlias = Callable[[OutboxRows], None]


class OutboxFile:
    """The file itself. `totals` is replaced whole after every commit."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: sqlite3.Connection | None = None
        self._served_before_s = 0.0
        self._known = False
        self.totals = Totals(
            stream=secrets.token_hex(8), last_seq=0, thinned_to=0, counts=OutboxCounts()
        )

    def open(self) -> None:
        """Open or make the file, unless it is open; `StorageFailed` if it cannot be used."""
        if self._open is not None:
            return
        try:
            self._open, found, served_before_s = opened(self._path)
        except sqlite3.Error as error:
            if not is_spoilt(error):
                raise self._failed(error) from error
            self._replace()
        else:
            self._take_up(found, served_before_s)

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

    def read(self, where: str, arguments: Sequence[object]) -> tuple[StoredRow, ...]:
        """Rows in order of their numbers; the last argument is how many at most."""
        self.open()
        query = f"SELECT {COLUMNS} FROM rows WHERE {where} ORDER BY seq LIMIT ?"  # noqa: S608
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
                good.append(stored(columns))
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

        def drop(rows: OutboxRows) -> None:
            for seq in seqs:
                rows.drop(rows.found("seq = ?", seq, 1))

        (failure,) = self.commit([drop])
        if failure is not None:
            raise failure

    def _transact(self, operations: Sequence[Operation]) -> None:
        rows = OutboxRows(self._db, self.totals, served_before_s=self._served_before_s)
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for operation in operations:
                operation(rows)
            if rows.totals != self.totals:
                write_totals(self._db, rows.totals)
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        self.totals = rows.totals

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
            self._open, totals, self._served_before_s = opened(self._path)
            self._known = True
        except (OSError, sqlite3.Error) as error:
            raise self._failed(error) from error
        self.totals = replace(totals, counts=replace(totals.counts, replaced=True))

    def _failed(self, error: Exception) -> StorageFailed:
        return StorageFailed(
            f"the outbox {self._path} cannot be used: {error}; free space on its disk or mend its"
            " rights; telemetry is held in memory, within bounds, until then"
        )
