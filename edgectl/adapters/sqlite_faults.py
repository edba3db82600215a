"""What sqlite's errors say of the disk below a file.

1. A spoilt file is put aside by its owner and a new one begun.
2. A disk that takes nothing (full, read-only, failing) leaves the file as it is, to be tried again.
3. A handle on a disk that failed is let go, and the file is opened again by its name: a file system
   that turned read-only after an error is mended by mounting it anew, and a handle of before keeps
   the dead one in use and sees nothing of the mended one. A full disk only wants room.
"""

import sqlite3
from contextlib import suppress
from typing import Final

_SPOILT: Final = frozenset({sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT})
_FAILED: Final = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY})


def is_spoilt(fault: sqlite3.Error) -> bool:
    """Whether the file is no database, or no longer one."""
    return _kind(fault) in _SPOILT


def is_hindered(fault: sqlite3.Error) -> bool:
    """Whether the disk does not take what sqlite needs; the file itself may be good."""
    return _kind(fault) in _FAILED or _kind(fault) == sqlite3.SQLITE_FULL


def ends_handle(fault: sqlite3.Error) -> bool:
    """Whether what is open is worth nothing any more (rule 3)."""
    return _kind(fault) in _FAILED


def let_go(db: sqlite3.Connection) -> None:
    """Close, on a failing disk too."""
    with suppress(sqlite3.Error):
        db.close()


def _kind(fault: sqlite3.Error) -> int:
    """The primary result code: the low byte is the cause, the rest says more about it."""
    return int(getattr(fault, "sqlite_errorcode", 0)) & 0xFF
