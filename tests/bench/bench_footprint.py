"""What the daemon costs with 50 chargers and 10 meters at 1 Hz, a broker included; its cold start.

Processor time is that of the daemon's process, so a busy machine does not add to it.
"""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.gateway import Yard, daemon, holds
from tests.bench.measure import Figure
from tests.mqtt.mosquitto import Mosquitto

CHARGERS, METERS = 50, 10
SETTLE_S = 30.0
MEASURED_S = 60.0
CORE_SHARE = 0.10
RESIDENT_MB = 80.0
START_S = 2.0


def figures() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as name:
        mosquitto = Mosquitto(Path(name))
        mosquitto.start()
        try:
            start_s, start_cpu_s, share, resident_mb = asyncio.run(
                _measured(Path(name), mosquitto.port)
            )
        finally:
            mosquitto.end()
    yield Figure(
        "footprint.core", 100.0 * share, "%", CORE_SHARE / share, f"the {CORE_SHARE:.0%} allowed"
    )
    yield Figure(
        "footprint.resident",
        resident_mb,
        "MB",
        RESIDENT_MB / resident_mb,
        f"the {RESIDENT_MB:.0f} MB allowed",
    )
    yield Figure(
        "cold_start.first_setpoint_on_the_wire",
        start_s,
        "s",
        START_S / start_s,
        f"the {START_S:g} s allowed",
    )
    yield Figure("cold_start.processor_time", start_cpu_s, "s")


async def _measured(folder: Path, broker_port: int) -> tuple[float, float, float, float]:
    yard = Yard(chargers=CHARGERS, meters=METERS)
    yard.base_a = 20.0
    yard.show()
    async with yard.served():
        site = yard.site(limit_a=1000.0, meter_poll_s=1.0, broker_port=broker_port)
        async with daemon(folder, site) as running:
            await holds(lambda: yard.told_s > 0.0, within_s=60.0, name="a first setpoint")
            start_s, start_cpu_s = yard.told_s - running.started_s, running.cpu_s()
            await asyncio.sleep(SETTLE_S)
            begin_s, begin_cpu_s = time.monotonic(), running.cpu_s()
            end_s = begin_s + MEASURED_S
            while time.monotonic() < end_s:
                # A base load that moves, so that the daemon has something to decide.
                yard.base_a = 20.0 + 30.0 * (time.monotonic() % 20.0 > 10.0)
                yard.show()
                await asyncio.sleep(1.0)
            share = (running.cpu_s() - begin_cpu_s) / (time.monotonic() - begin_s)
            return start_s, start_cpu_s, share, running.resident_mb()
