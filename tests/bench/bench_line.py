"""One serial line at 19,200 baud with ten units, one of them dead and one slow: intervals kept.

Four SDM630 each second, one of them taking 0.2 s to answer, and six Heidelberg every two seconds,
one of them dead. The line is a pseudo terminal whose characters take the time of 19,200 baud 8E1.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import yaml

from edgectl.model.modbus import Function, Request
from edgectl.model.serial_line import SerialLine
from edgectl.simulator.device.charge_point import ChargePoint
from edgectl.simulator.device.heidelberg import HeidelbergControl
from edgectl.simulator.device.serial_meters import Sdm630
from edgectl.simulator.device.serial_server import PtyServer
from edgectl.simulator.device.simulated_device import Device
from edgectl.simulator.device.simulated_meters import Measured
from edgectl.simulator.memory.line import ExceptionCode
from tests.bench.gateway import daemon, holds
from tests.bench.measure import Figure

WIRE = SerialLine(baud=19_200)
METERS, CHARGERS = (1, 2, 3, 4), (11, 12, 13, 14, 15, 16)
SLOW, DEAD = 3, 14
ANSWER_S, SLOW_S = 0.02, 0.2
SETTLE_S, MEASURED_S = 20.0, 90.0


class Line:
    """The station at the far end; notes when each unit was asked for its measurements."""

    def __init__(self) -> None:
        self.devices: dict[int, Device] = {unit: Sdm630() for unit in METERS}
        for unit in CHARGERS:
            point = ChargePoint(terminals=3, max_a=16.0)
            self.devices[unit] = HeidelbergControl(point, boot_a=16.0)
        for device in self.devices.values():
            if isinstance(device, Sdm630):
                measured = Measured(voltage_v=(230.0,) * 3, current_a=(5.0,) * 3)
                device.sample(measured)
        self.polls_s: dict[int, list[float]] = {unit: [] for unit in self.devices}
        self.busy_s = 0.0
        self.dead_asked_s: list[float] = []

    def delay_s(self, unit: int, request: Request) -> float:
        if (request.function, request.address) in {(4, 0), (4, 5)}:
            self.polls_s[unit].append(time.monotonic())
        if unit == DEAD:
            self.dead_asked_s.append(time.monotonic())
            return float("inf")
        answer_s = SLOW_S if unit == SLOW else ANSWER_S
        self.busy_s += WIRE.wire_s(request) + answer_s
        return answer_s

    def read(
        self, unit: int, function: Function, address: int, count: int
    ) -> tuple[int, ...] | ExceptionCode:
        return self.devices[unit].read(function, address, count, time.monotonic())

    def write(
        self, unit: int, function: Function, address: int, words: tuple[int, ...]
    ) -> ExceptionCode | None:
        return self.devices[unit].write(function, address, words, time.monotonic())


def figures() -> Iterator[Figure]:
    line = asyncio.run(_run())
    for name, units, period_s in (("meters", METERS, 1.0), ("chargers", CHARGERS, 2.0)):
        gaps_s = [
            later - sooner
            for unit in units
            if unit != DEAD
            for sooner, later in pairwise(line.polls_s[unit])
        ]
        mean_s = statistics.mean(gaps_s)
        wanted = f"the {period_s:g} s asked for"
        yield Figure(f"line.{name}.interval_mean", mean_s, "s", period_s / mean_s, wanted)
        late = sum(gap_s > 1.25 * period_s for gap_s in gaps_s)
        yield Figure(f"line.{name}.interval_longest", max(gaps_s), "s")
        yield Figure(f"line.{name}.late_of_{len(gaps_s)}", float(late), "")
    yield Figure("line.dead_unit_asked", float(len(line.dead_asked_s)), "")
    yield Figure("line.busy", 100.0 * line.busy_s / MEASURED_S, "%")


async def _run() -> Line:
    line = Line()
    server = PtyServer(line, WIRE)
    keys = server.link_keys(WIRE)
    site = {
        "site": {"id": "bench", "region": "bench", "timezone": "UTC", "voltage_v": 230},
        "nodes": [
            {"id": "grid", "limit_a": [200] * 3, "base_max_a": [10] * 3},
            *(
                {"id": f"n{unit}", "parent": "grid", "limit_a": [100] * 3, "base_max_a": [5] * 3}
                for unit in METERS[1:]
            ),
        ],
        "links": [{"id": "bus", "kind": "rtu", **keys}],
        "meters": [
            {
                "id": f"m{unit}",
                "node": "grid" if unit == 1 else f"n{unit}",
                "profile": "eastron-sdm630",
                "link": "bus",
                "unit": unit,
                "poll_s": 1.0,
            }
            for unit in METERS
        ],
        "evses": [
            {
                "id": f"c{unit}",
                "node": "grid",
                "profile": "heidelberg-energy-control",
                "link": "bus",
                "unit": unit,
                "phases": [1, 2, 3],
                "max_a": 16,
                "boot_a": 16,
            }
            for unit in CHARGERS
        ],
    }
    site["site"]["mode"] = "control"  # type: ignore[index]
    try:
        with tempfile.TemporaryDirectory() as name:
            async with daemon(Path(name), yaml.safe_dump(site)):
                await holds(
                    lambda: all(
                        line.polls_s[unit] for unit in (*METERS, *CHARGERS) if unit != DEAD
                    ),
                    within_s=60.0,
                    name="every living unit polled",
                )
                await asyncio.sleep(SETTLE_S)
                for polls_s in line.polls_s.values():
                    polls_s.clear()
                line.dead_asked_s.clear()
                line.busy_s = 0.0
                await asyncio.sleep(MEASURED_S)
    finally:
        await server.stop()
    return line
