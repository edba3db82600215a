"""A process that writes rows and says which ones were accepted; to be killed at any moment.

Arguments: file, and the size limit in bytes for any file it writes (0: none).
"""

import asyncio
import resource
import sys
from pathlib import Path

from edgectl.adapters.outbox import SqliteOutbox
from edgectl.errors import StorageFailed
from tests.outbox.rows import emptied, telemetry


async def main(path: str) -> None:
    outbox = await SqliteOutbox.open(Path(path), thin=emptied)
    say(f"stream {outbox.stream}")
    number = 0
    while True:
        batches = [[telemetry(number + 3 * k + j) for j in range(3)] for k in range(5)]
        number += 15
        await asyncio.gather(*(outbox.append(batch) for batch in batches))
        say(f"kept {number}")


async def meet_full_disk(path: str, limit: int) -> None:
    outbox = await SqliteOutbox.open(Path(path), thin=emptied)
    # Python ignores SIGXFSZ, so that the write fails as on a full disk.
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    number = 0
    try:
        while True:
            await outbox.append([telemetry(number, size=250)])
            number += 1
    except StorageFailed as failure:
        say(f"failed {failure}")
    say(f"kept {number} last {outbox.last_seq}")
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    await outbox.append([telemetry(number)])
    (found,) = await outbox.waiting(after_seq=number, upto_seq=1 << 60, limit=10)
    say(f"then {found.seq}")
    await outbox.close()


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    file, size_limit = sys.argv[1], int(sys.argv[2])
    asyncio.run(meet_full_disk(file, size_limit) if size_limit else main(file))
