"""A gateway process to be killed at any moment: the real outbox, publisher and MQTT adapter.

Arguments: outbox file, broker's port, file that says which samples were accepted. 500 samples are
made each second; the numbers of a batch are written to that file when the outbox has accepted it.
"""

import asyncio
import os
import sys
from pathlib import Path
from random import Random
from typing import Final, TextIO

from edgectl.adapters.clock import SystemClock
from edgectl.adapters.outbox import SqliteOutbox
from edgectl.contract.envelope import rfc3339
from edgectl.contract.messages import Sample, telemetry_rows, thin
from edgectl.contract.vocabulary import Quality, Quantity
from edgectl.daemon.region.publisher import Publisher
from tests.mqtt.site import a_publisher
from tests.mqtt.worlds import a_broker

SAMPLES_PER_S: Final = 500
BATCH: Final = 50
PERIOD_S: Final = BATCH / SAMPLES_PER_S


def a_sample(number: int, now_s: float) -> Sample:
    """A sample whose value is its number, so that each of them can be told from all others."""
    return Sample(
        id=f"bay{number % 50:02d}",
        q=Quantity.POWER_W,
        t=rfc3339(now_s),
        v=float(number),
        quality=Quality.GOOD,
    )


def first_number(accepted: Path) -> int:
    """Beyond whatever an earlier process may have put on the disk without being told."""
    said = accepted.read_text(encoding="ascii").split() if accepted.exists() else []
    return (int(said[-1]) if said else 0) + 100 * BATCH


async def main(path: Path, port: int, file: TextIO, number: int) -> None:
    clock = SystemClock()
    outbox = await SqliteOutbox.open(path, thin=thin)
    publisher: Publisher = a_publisher(
        a_broker(port),
        outbox,
        clock,
        random=Random(os.getpid()).random,
        backoff_first_s=0.3,
        backoff_cap_s=0.6,
        backfill_rows_per_s=400.0,
        backfill_chunk=20,
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(publisher.run())
        due_s = clock.monotonic_s()
        while True:
            now_s = clock.now().utc_s
            samples = [a_sample(number + k, now_s) for k in range(BATCH)]
            await outbox.append(telemetry_rows(samples, made_utc_s=now_s))
            file.write(f"{number}\n")
            file.flush()
            number += BATCH
            due_s += PERIOD_S
            await clock.sleep_until(due_s)


if __name__ == "__main__":
    accepted_file = Path(sys.argv[3])
    begin = first_number(accepted_file)
    with accepted_file.open("a", encoding="ascii") as told:
        asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), told, begin))
