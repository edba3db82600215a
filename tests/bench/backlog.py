"""A process that fills an outbox with 72 hours, sends from it, and tells what that takes.

Argument: a folder. Prints the size of the file, and resident memory with and without the backlog.
"""

import asyncio
import json
import sys
from pathlib import Path

import structlog

from edgectl.adapters.clock import SystemClock
from edgectl.adapters.outbox import SqliteOutbox
from edgectl.contract.messages import thin
from tests.bench.bench_outbox import a_batch
from tests.mqtt.mosquitto import Mosquitto
from tests.mqtt.site import a_publisher
from tests.mqtt.worlds import a_broker

BATCHES_72_H = 72 * 360
DISTINCT = 30
AT_ONCE = 20
SENT_ROWS = 500


async def main(folder: Path) -> dict[str, int]:
    batches = [a_batch(number) for number in range(DISTINCT)]
    mosquitto = Mosquitto(folder)
    mosquitto.start()
    try:
        outbox = await SqliteOutbox.open(folder / "outbox.db", thin=thin)
        publisher = a_publisher(a_broker(mosquitto.port), outbox, SystemClock())
        async with asyncio.TaskGroup() as group:
            group.create_task(publisher.run())
            while not publisher.status.connected:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.01)
            empty = resident_bytes()
            publisher.stop()
        for start in range(0, BATCHES_72_H, AT_ONCE):
            rows = [row for k in range(start, start + AT_ONCE) for row in batches[k % DISTINCT]]
            await outbox.append(rows)
        waiting = outbox.counts.waiting
        await outbox.close()
        file_bytes = (folder / "outbox.db").stat().st_size
        outbox = await SqliteOutbox.open(folder / "outbox.db", thin=thin)
        publisher = a_publisher(
            a_broker(mosquitto.port), outbox, SystemClock(), backfill_rows_per_s=1000.0
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(publisher.run())
            while outbox.counts.waiting > waiting - SENT_ROWS:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.01)
            resident = resident_bytes()
            publisher.stop()
        await outbox.close()
    finally:
        mosquitto.end()
    return {"file_bytes": file_bytes, "resident_bytes": resident, "empty_bytes": empty}


def resident_bytes() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    sys.stdout.write(json.dumps(asyncio.run(main(Path(sys.argv[1])))))
