"""One daemon per state folder: two would steer the same chargers, each with half of the orders.

The lock is the kernel's and ends with the process, however it ends; no stale file can be left.
"""

import fcntl
import os
from pathlib import Path

from edgectl.errors import Refused, StorageFailed


class FolderLock:
    """Holds a folder for this process until `close`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._fd: int | None = None

    def take(self) -> None:
        """Take it or raise: Refused where another process has it, StorageFailed where none can."""
        try:
            fd = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as fault:
            raise StorageFailed(
                f"cannot open the folder {self._folder}: {fault.strerror}"
            ) from fault
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as fault:
            os.close(fd)
            raise Refused(
                code="already_running",
                message=f"another edgectl daemon keeps its state in {self._folder}",
                remedy="use that one, stop it first (`systemctl stop edgectl`), or give a daemon "
                "of another site its own folder with --state",
            ) from fault
        except OSError as fault:
            os.close(fd)
            raise StorageFailed(
                f"cannot lock the folder {self._folder}: {fault.strerror}"
            ) from fault
        self._fd = fd

    def close(self) -> None:
        """Let go of it; twice does no harm."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
