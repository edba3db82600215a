"""Records of broken steps as files in the state directory, the newest few of them."""

import json
import os
from pathlib import Path
from typing import Final

from edgectl.clock import Instant
from edgectl.contract.record import INSTANT, SNAPSHOT, STATE
from edgectl.errors import StorageFailed
from edgectl.model.snapshot import Snapshot
from edgectl.model.state import State

KEPT: Final = 10
NAME: Final = "broken-step-{:.0f}.json"


class CrashRecordFiles:
    """`edgectl.model.ports.CrashRecord` in a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def keep(self, *, snapshot: Snapshot, state: State, now: Instant, error: str) -> None:
        """Write one record and let go of the oldest beyond `KEPT`."""
        text = "\n".join(
            (
                json.dumps({"error": error}),
                INSTANT.dump(now),
                STATE.dump(state),
                SNAPSHOT.dump(snapshot),
            )
        )
        target = self._directory / NAME.format(now.utc_s * 1000)
        try:
            with target.open("w", encoding="utf-8") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())
            for old in sorted(self._directory.glob("broken-step-*.json"))[:-KEPT]:
                old.unlink()
        except OSError as error_of_disk:
            raise StorageFailed(f"{target}: {error_of_disk.strerror}") from error_of_disk
