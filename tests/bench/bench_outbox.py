"""The durable outbox: values a second in, out and through a real broker, bytes a day, 72 hours.

In and out are held against a bare insert into SQLite and bare QoS 1 publishes of the same bytes.
"""

import asyncio
import json
import logging
import math
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import paho.mqtt.client as paho
import structlog
from paho.mqtt.enums import CallbackAPIVersion

from edgectl.adapters.clock import SystemClock
from edgectl.adapters.outbox import SqliteOutbox
from edgectl.contract.envelope import rfc3339
from edgectl.contract.messages import Sample, telemetry_rows, thin
from edgectl.contract.vocabulary import Quality, Quantity
from edgectl.model.telemetry import Lane, OutRow
from edgectl.simulator import virtual_time
from edgectl.simulator.depot import Scenario
from edgectl.simulator.sessions import built_in_sessions
from tests.bench.measure import Figure
from tests.mqtt.mosquitto import Mosquitto
from tests.mqtt.site import a_publisher
from tests.mqtt.worlds import a_broker
from tests.whole.harness import build, loaded_site, run_for

EVSES = 50
QUANTITIES = tuple(Quantity)[:15]
BATCHES = 60
WANTED_PER_S = 20_000.0
WANTED_MB = 512.0
HOUR_S = 3600.0
START_UTC_S = 1_767_225_600.0


def figures() -> Iterator[Figure]:
    # One line per figure: the publisher's own news would stand between them.
    quiet = structlog.make_filtering_bound_logger(logging.WARNING)
    structlog.configure(wrapper_class=quiet)
    batches = [a_batch(number) for number in range(BATCHES)]
    values = sum(row.values for rows in batches for row in rows)
    with tempfile.TemporaryDirectory() as folder:
        made_s, in_s, out_s = asyncio.run(_in_and_out(Path(folder), batches))
        insert_s = _bare_insert(Path(folder), batches)
    with tempfile.TemporaryDirectory() as folder:
        through_s = asyncio.run(_through(Path(folder), batches))
    with tempfile.TemporaryDirectory() as folder:
        publish_s = _bare_publish(Path(folder), batches)
    wanted = f"the {WANTED_PER_S:.0f}/s wanted"
    insert, publish = "a bare insert into SQLite", "bare QoS 1 publishes"
    for name, taken_s, reference_s, reference in (
        ("made", made_s, values / WANTED_PER_S, wanted),
        ("in", in_s, insert_s, insert),
        ("out", out_s, publish_s, publish),
        ("through_broker", through_s, publish_s, publish),
        ("through_broker_as_wanted", through_s, values / WANTED_PER_S, wanted),
    ):
        yield Figure(
            f"outbox.{name}", values / taken_s, "values/s", reference_s / taken_s, reference
        )
    sent, full = virtual_time.run(_a_day_of_a_charger())
    yield Figure("telemetry.day_of_a_charger", sent / 1e6, "MB", full / sent, "all, every 10 s")
    yield from _backlog()


def a_batch(number: int) -> list[OutRow]:
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


async def _in_and_out(folder: Path, batches: list[list[OutRow]]) -> tuple[float, float, float]:
    begin = time.perf_counter()
    for number in range(BATCHES):
        a_batch(number)
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
    return made_s, in_s, out_s


def _bare_insert(folder: Path, batches: list[list[OutRow]]) -> float:
    """The same bodies as they are, as durable, one commit a batch."""
    db = sqlite3.connect(folder / "bare.db", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE rows (seq INTEGER PRIMARY KEY, body BLOB)")
    begin = time.perf_counter()
    for rows in batches:
        db.execute("BEGIN IMMEDIATE")
        db.executemany("INSERT INTO rows (body) VALUES (?)", [(row.body,) for row in rows])
        db.execute("COMMIT")
    taken_s = time.perf_counter() - begin
    db.close()
    return taken_s


def _bare_publish(folder: Path, batches: list[list[OutRow]]) -> float:
    """The same bodies through the same kind of broker, by paho alone, as fast as it goes."""
    mosquitto = Mosquitto(folder)
    mosquitto.start()
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    try:
        client.connect("127.0.0.1", mosquitto.port)
        client.loop_start()
        begin = time.perf_counter()
        sent = [client.publish("bare", row.body, 1) for rows in batches for row in rows]
        for one in sent:
            one.wait_for_publish(30.0)
        return time.perf_counter() - begin
    finally:
        client.disconnect()
        client.loop_stop()
        mosquitto.end()


async def _a_day_of_a_charger() -> tuple[float, float]:
    """Bytes published a day and charger at a busy depot, and what all values every 10 s would be.

    An hour of the demo's depot, with its sessions and its moving base load, times 24.
    """
    loaded = loaded_site()
    sessions = built_in_sessions(
        loaded.site.evses, duration_s=HOUR_S, voltage_v=loaded.site.voltage_v
    )
    whole = build(loaded, scenario=lambda _: Scenario(sessions=sessions), step_s=0.5, record=False)
    await run_for(whole, HOUR_S)
    chargers = len(loaded.site.evses)
    published = whole.broker.published
    sent = sum(len(one.payload) + len(one.topic) for one in published)
    telemetry = [json.loads(one.payload) for one in published if one.topic.endswith("/telemetry")]
    samples = [sample for body in telemetry for sample in body["samples"]]
    of_sample = sum(len(json.dumps(one, separators=(",", ":"))) for one in samples) / len(samples)
    return sent * 24.0 / chargers, of_sample * len(QUANTITIES) * 8640.0


def _backlog() -> Iterator[Figure]:
    """A process of its own makes and meets 72 hours of backlog, so that its memory is its own."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.backlog", folder],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    told = json.loads(done.stdout)
    megabytes = told["file_bytes"] / 1e6
    reference = f"the {WANTED_MB:.0f} MB allowed"
    yield Figure("outbox.72h_of_50_chargers", megabytes, "MB", WANTED_MB / megabytes, reference)
    resident = told["resident_bytes"] / 1e6
    yield Figure(
        "outbox.72h_of_50_chargers_resident",
        resident,
        "MB",
        resident / (told["empty_bytes"] / 1e6),
        "the same process without it (less is better)",
    )


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
