"""A process that meets a full and a read-only disk: a small tmpfs in a mount namespace of its own.

Argument: a folder, over which the disk is mounted. Says what happened, one line each.
"""

import asyncio
import sys
from pathlib import Path

from edgectl.adapters.outbox import SqliteOutbox
from edgectl.errors import StorageFailed
from edgectl.model.telemetry import Lane
from tests.disks.small_disk import mount, remount, say
from tests.outbox.rows import emptied, event, telemetry

EVER = 1 << 60


async def refused(outbox: SqliteOutbox, number: int) -> str:
    try:
        await outbox.append([event(number)])
    except StorageFailed as failure:
        return str(failure)
    return "accepted"


async def fill(outbox: SqliteOutbox) -> int:
    number = 0
    try:
        while True:
            await outbox.append([telemetry(number, size=250)])
            number += 1
    except StorageFailed:
        return number


async def main(folder: Path) -> None:
    mount(folder, "size=1m")
    ballast = folder / "ballast"
    ballast.write_bytes(b"x" * 300_000)
    path = folder / "outbox.db"
    outbox = await SqliteOutbox.open(path, thin=emptied)
    number = await fill(outbox)
    say(f"full {number > 20} {outbox.last_seq == number}")
    await outbox.close()

    # A daemon that starts on the full disk can still send what it has.
    outbox = await SqliteOutbox.open(path, thin=emptied)
    say(f"reopened {outbox.last_seq == number} {outbox.counts.waiting == number}")
    ballast.unlink()
    await outbox.append([event(0)])
    await outbox.acknowledge(Lane.LIVE, [1, 2, 3], served_s=1.0)
    say(f"room {outbox.last_seq == number + 1} {outbox.counts.waiting == number - 2}")

    await outbox.close()

    remount(folder, "ro")
    told: list[StorageFailed] = []
    outbox = await SqliteOutbox.open(path, thin=emptied, on_failure=told.append)
    first = outbox.stream
    say(f"read-only {await refused(outbox, 1)}")
    remount(folder, "rw")
    say(f"mended {await refused(outbox, 1)} {outbox.last_seq == number + 2}")
    say(f"stream {bool(told)} {outbox.stream != first}")
    await outbox.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
