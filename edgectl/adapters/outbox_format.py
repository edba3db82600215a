"""The outbox's file as it lies on the disk: its tables, its totals, a packed row and its room.

1. `synchronous=FULL`: with NORMAL a power failure may take back the last commits, and numbers that
   were published already would be given again; the region would drop the new rows as duplicates.
2. Numbers come from AUTOINCREMENT: a plain key would start again once the table is empty.
"""

import secrets
import sqlite3
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edgectl.model.telemetry import Detail, OutboxCounts, OutRow, StoredRow

_ROW_BYTES: Final = 150
_COMPRESS_ABOVE: Final = 300
_PAGE_BYTES: Final = 4096
_WHOLE_MAX: Final = _PAGE_BYTES - 35
_LOCAL_MIN: Final = 489
# Queries are put together from this package's own words only; values go in as arguments.

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
KEPT: Final = "topic, schema, made_utc_s, vals, detail, response_topic, correlation, size, body"
"""Everything of a row but its number and where it stands."""
COLUMNS: Final = "seq, topic, schema, made_utc_s, body, vals, detail, response_topic, correlation"


@dataclass(frozen=True, slots=True)
class Totals:
    """What is known without looking into the file. `thinned_to`: up to this number all is thin."""

    stream: str
    last_seq: int
    thinned_to: int
    counts: OutboxCounts


def opened(path: Path) -> tuple[sqlite3.Connection, Totals, float]:
    """The file, its totals, and connected time of earlier processes as far as it is known."""
    # Before sqlite: what it puts beside the file has the file's rights. A disk that fails tells
    # sqlite so as well.
    with suppress(OSError):
        path.touch(mode=0o600)
        path.chmod(0o600)
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


def write_totals(db: sqlite3.Connection, totals: Totals) -> None:
    """Put the totals in place of those that are there."""
    columns = ", ".join(f"{name} = ?" for name in _COUNTED)
    db.execute(
        f"UPDATE totals SET thinned_to = ?, {columns}",  # noqa: S608
        (totals.thinned_to, *(getattr(totals.counts, name) for name in _COUNTED)),
    )


def packed(body: bytes) -> bytes:
    """Shrink telemetry to a seventh; a packed body tells itself by not beginning like JSON."""
    return zlib.compress(body) if len(body) > _COMPRESS_ABOVE else body


def room(body: bytes) -> int:
    """Say what a row takes of the file, where only whole rows share a page."""
    record = len(body) + _ROW_BYTES
    if record <= _WHOLE_MAX:
        return _PAGE_BYTES // (_WHOLE_MAX // record)
    return _LOCAL_MIN + _PAGE_BYTES * -(-(record - _LOCAL_MIN) // (_PAGE_BYTES - 4))


def stored(columns: Sequence[Any]) -> StoredRow:
    """A row of `COLUMNS`; `zlib.error` if the disk has spoilt its body."""
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
