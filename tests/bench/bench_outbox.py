"""The durable outbox: values a second in, out and through a real broker, and 72 hours on disk."""

import asyncio
import logging
import math
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import structlog

from edgectl.adapters.clock import SystemClock
from edgectl.adapters.outbox import SqliteOutbox
from edgectl.contract.envelope import rfc3339
from edgectl.contract.messages import Sample, telemetry_rows, thin
from edgectl.contract.vocabulary import Quality, Quantity
from edgectl.model.telemetry import Lane, OutRow
from tests.bench.measure import Figure
from tests.mqtt.mosquitto import Mosquitto
from tests.mqtt.site import a_publisher
from tests.mqtt.worlds import a_broker

EVSES = 50
QUANTITIES = tuple(Quantity)[:15]
BATCHES = 60
WANTED_PER_S = 20_000.0
WANTED_MB = 512.0
HOURS_72_BATCHES = 72 * 360
START_UTC_S = 1_767_225_600.0


def figures() -> Iterator[Figure]:
    # One line per figure: the publisher's own news would stand between them.
    quiet = structlog.make_filtering_bound_logger(logging.WARNING)
    structlog.configure(wrapper_class=quiet)
    batches = [_batch(number) for number in range(BATCHES)]
    values = sum(row.values for rows in batches for row in rows)
    with tempfile.TemporaryDirectory() as folder:
        made_s, in_s, out_s, stored_bytes = asyncio.run(_in_and_out(Path(folder), batches))
    with tempfile.TemporaryDirectory() as folder:
        through_s = asyncio.run(_through(Path(folder), batches))
    reference = f"the {WANTED_PER_S:.0f}/s wanted"
    for name, taken_s in (
        ("made", made_s),
        ("in", in_s),
        ("out", out_s),
        ("through_broker", through_s),
    ):
        per_s = values / taken_s
        yield Figure(f"outbox.{name}", per_s, "values/s", per_s / WANTED_PER_S, reference)
    megabytes = stored_bytes / BATCHES * HOURS_72_BATCHES / 1e6
    yield Figure(
        "outbox.72h_of_50_chargers", megabytes, "MB", WANTED_MB / megabytes, "the 512 MB allowed"
    )


def _batch(number: int) -> list[OutRow]:
    """Ten seconds of 50 chargers, 15 values each, that move like measured ones."""
    utc_s = START_UTC_S + 10.0 * number
    noise = Random(number)
    samples = []
    for evse in range(EVSES):
        for index, quantity in enumerate(QUANTITIES):
            value = 16.0 + 8.0 * math.sin(number / 20.0 + evse + index) + noise.gauss(0.0, 0.3)
            samples.append(
                Sample(
                    id=f"bay{evse:02d}",
                    q=quantity,
                    t=rfc3339(utc_s - noise.random()),
                    v=round(value, 2),
                    min=round(value - noise.random(), 2),
                    max=round(value + noise.random(), 2),
                    quality=Quality.GOOD,
                )
            )
    return telemetry_rows(samples, made_utc_s=utc_s)


@asynccontextmanager
async def _outbox(folder: Path) -> AsyncIterator[SqliteOutbox]:
    outbox = await SqliteOutbox.open(folder / "outbox.db", thin=thin)
    try:
        yield outbox
    finally:
        await outbox.close()


async def _in_and_out(folder: Path, batches: list[list[OutRow]]) -> tuple[float, float, float, int]:
    begin = time.perf_counter()
    for number in range(BATCHES):
        _batch(number)
    made_s = time.perf_counter() - begin
    async with _outbox(folder) as outbox:
        begin = time.perf_counter()
        for rows in batches:
            await outbox.append(rows)
        in_s = time.perf_counter() - begin
        begin = time.perf_counter()
        while rows_out := await outbox.waiting(after_seq=0, upto_seq=1 << 60, limit=50):
            seqs = [one.seq for one in rows_out]
            await outbox.acknowledge(Lane.LIVE, seqs, served_s=0.0)
        out_s = time.perf_counter() - begin
    # Marked rows stay as long as their window, so the closed file holds all of them.
    return made_s, in_s, out_s, (folder / "outbox.db").stat().st_size


async def _through(folder: Path, batches: list[list[OutRow]]) -> float:
    """From append to the last PUBACK over a real broker on this machine."""
    if shutil.which("mosquitto") is None and shutil.which("mosquitto", path="/usr/sbin") is None:
        raise SystemExit("mosquitto is missing; install it: apt install mosquitto")
    mosquitto = Mosquitto(folder)
    mosquitto.start()
    try:
        async with _outbox(folder) as outbox, asyncio.TaskGroup() as group:
            publisher = a_publisher(a_broker(mosquitto.port), outbox, SystemClock())
            group.create_task(publisher.run())
            while not publisher.status.connected:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.01)
            begin = time.perf_counter()
            for rows in batches:
                await outbox.append(rows)
            while outbox.counts.waiting:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.01)
            taken_s = time.perf_counter() - begin
            publisher.stop()
        return taken_s
    finally:
        mosquitto.end()
