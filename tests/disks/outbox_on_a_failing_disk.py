"""An outbox under which the disk turns read-only, and one that comes back with less than it had.

Argument: a folder, over which the disk is mounted. Says what happened, one line each.
"""

import asyncio
import shutil
import sys
from pathlib import Path

from edgectl.adapters.outbox import SqliteOutbox
from edgectl.errors import StorageFailed
from edgectl.model.telemetry import Lane
from tests.disks.small_disk import failing_disk, say
from tests.outbox.rows import emptied, event

EVER = 1 << 60


async def outcome(outbox: SqliteOutbox, number: int) -> str:
    try:
        await outbox.append([event(number)])
    except StorageFailed as failure:
        return "refused, says what to do" if "mend its rights" in str(failure) else str(failure)
    return "accepted"


async def seqs(outbox: SqliteOutbox) -> str:
    try:
        rows = await outbox.waiting(after_seq=0, upto_seq=EVER, limit=99)
    except StorageFailed:
        return "not readable"
    return ",".join(str(one.seq) for one in rows)


def put_back(copy: Path, path: Path) -> None:
    for file in path.parent.glob("outbox.db*"):
        file.unlink()
    shutil.copy(copy, path)


async def main(folder: Path) -> None:
    disk = failing_disk(folder)
    path, copy = folder / "outbox.db", folder.parent / "copy"
    outbox = await SqliteOutbox.open(path, thin=emptied)
    for number in range(5):
        await outbox.append([event(number)])
    await outbox.acknowledge(Lane.LIVE, [1], served_s=200.0)
    stream = outbox.stream

    disk.fail()
    say(f"failed: {await outcome(outbox, 5)}; {await seqs(outbox)}")
    say(f"counts stay: {outbox.counts.waiting} of {outbox.last_seq}")
    say(f"in use: {disk.is_in_use()}")
    disk.mend()
    say(f"mended: {await outcome(outbox, 5)}; {await seqs(outbox)}")
    say(f"the same stream: {outbox.stream == stream and not outbox.counts.replaced}")
    await outbox.let_go(served_s=300.0)
    kept = await outbox.window(Lane.LIVE, after_seq=0, limit=9)
    say(f"window counts on: {[one.seq for one in kept]}")
    await outbox.let_go(served_s=320.0)
    say(f"and ends: {await outbox.window(Lane.LIVE, after_seq=0, limit=9)}")

    # What a file system loses when it is mended must not be numbered again.
    await outbox.close()
    shutil.copy(path, copy)
    outbox = await SqliteOutbox.open(path, thin=emptied)
    await outbox.append([event(number) for number in range(7)])
    disk.fail()
    await outcome(outbox, 0)
    disk.is_in_use()
    disk.mend()
    put_back(copy, path)
    say(f"an older file: {await outcome(outbox, 0)}; {await seqs(outbox)}")
    say(f"a new stream, and said: {outbox.stream != stream and outbox.counts.replaced}")
    await outbox.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
