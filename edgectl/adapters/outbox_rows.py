"""What one transaction does to the outbox's rows, and the totals that they come to by it.

Acknowledgement times are connected time, counted on over restarts from the newest one that is kept:
a daemon that is killed again and again does not send an ever longer window again.
"""

import sqlite3
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from edgectl.adapters.outbox_format import COLUMNS, KEPT, Totals, packed, room, stored
from edgectl.model.telemetry import RESEND_S, Lane, OutRow, StoredRow

WINDOW: Final = "lane IN ('live', 'backfill')"
"""What the broker has taken, and what is only kept for a second delivery."""


@dataclass(frozen=True, slots=True)
class Found:
    """What must be known of a row to remove it. `lane` None: it waits."""

    seq: int
    size: int
    values: int
    lane: str | None


class OutboxRows:
    """The rows within a transaction; `totals` becomes true with its commit.

    `served_before_s`: connected time of earlier processes.
    """

    def __init__(self, db: sqlite3.Connection, totals: Totals, *, served_before_s: float) -> None:
        self.totals = totals
        self._db = db
        self._served_before_s = served_before_s

    def append(self, rows: Sequence[OutRow]) -> None:
        """Insert rows."""
        size = 0
        for row in rows:
            body = packed(row.body)
            size += room(body)
            self._db.execute(
                f"INSERT INTO rows ({KEPT}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
                (
                    row.topic,
                    row.schema,
                    row.made_utc_s,
                    row.values,
                    int(row.detail),
                    row.response_topic,
                    row.correlation,
                    room(body),
                    body,
                ),
            )
        self.totals = replace(self.totals, last_seq=self.totals.last_seq + len(rows))
        self._count(waiting=len(rows), kept=len(rows), bytes=size)

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
        again = f"INSERT INTO rows ({KEPT}) SELECT {KEPT} FROM rows WHERE seq = ?"  # noqa: S608
        moved = [(seq, self._db.execute(again, (seq,)).lastrowid or 0) for (seq,) in found]
        self._db.executemany("DELETE FROM rows WHERE seq = ?", found)
        self.totals = replace(self.totals, last_seq=self.totals.last_seq + len(found))
        self._count(waiting=len(found), aside=-len(found))
        return tuple(moved)

    def let_go(self, served_s: float) -> None:
        """Delete what was acknowledged long enough ago."""
        self.delete_window("acked_s <= ?", self._served_before_s + served_s - RESEND_S)

    def found(self, where: str, argument: int, limit: int) -> list[Found]:
        """The oldest rows."""
        query = f"SELECT seq, size, vals, lane FROM rows WHERE {where} ORDER BY seq LIMIT ?"  # noqa: S608
        return [Found(*row) for row in self._db.execute(query, (argument, limit))]

    def drop(self, rows: Sequence[Found]) -> None:
        """Drop rows, and count what is lost."""
        self._remove(rows)
        self._count(dropped_rows=len(rows), dropped_values=sum(row.values for row in rows))

    def thin_oldest(self, limit: int, thin: Callable[[OutRow], OutRow]) -> bool:
        """Take detail out of the oldest telemetry that has it; False when there is none left.

        A row that the disk has spoilt has none to give, and is dropped.
        """
        where = "detail = 1 AND seq > ?"
        query = f"SELECT {COLUMNS}, size FROM rows WHERE {where} ORDER BY seq LIMIT ?"  # noqa: S608
        detailed = self._db.execute(query, (self.totals.thinned_to, limit)).fetchall()
        for *columns, size in detailed:
            try:
                one = stored(columns)
            except zlib.error:
                self.drop(self.found("seq = ?", columns[0], 1))
                continue
            thinned = thin(one.row)
            if thinned != one.row:
                self._put_thinned(one, thinned, size)
        if detailed:
            self.totals = replace(self.totals, thinned_to=detailed[-1][0])
        return bool(detailed)

    def delete_window(self, where: str, argument: float) -> bool:
        """Delete rows of the window; they were delivered, so nothing is counted as lost."""
        condition = f"{WINDOW} AND {where}"
        rows, size = self._db.execute(
            f"SELECT count(*), coalesce(sum(size), 0) FROM rows WHERE {condition}",  # noqa: S608
            (argument,),
        ).fetchone()
        if rows:
            self._db.execute(f"DELETE FROM rows WHERE {condition}", (argument,))  # noqa: S608
            self._count(kept=-rows, bytes=-size)
        return bool(rows)

    def _put_thinned(self, one: StoredRow, thinned: OutRow, size: int) -> None:
        body = packed(thinned.body)
        self._db.execute(
            "UPDATE rows SET body = ?, vals = ?, size = ? WHERE seq = ?",
            (body, thinned.values, room(body), one.seq),
        )
        self._count(bytes=room(body) - size, thinned_values=one.row.values - thinned.values)

    def _remove(self, rows: Sequence[Found]) -> None:
        self._db.executemany("DELETE FROM rows WHERE seq = ?", [(row.seq,) for row in rows])
        self._count(
            waiting=-sum(row.lane is None for row in rows),
            aside=-sum(row.lane == "aside" for row in rows),
            kept=-len(rows),
            bytes=-sum(row.size for row in rows),
        )

    def _count(self, **changes: int) -> None:
        counts = self.totals.counts
        changed = {name: getattr(counts, name) + change for name, change in changes.items()}
        self.totals = replace(self.totals, counts=replace(counts, **changed))
