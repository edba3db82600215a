"""The flight recorder at 50 chargers and 10 meters: bytes a day, time for one step.

Recorded on the virtual clock with what makes a real site's numbers long: every answer takes a time
of its own, clocks have microseconds, meters send single precision.
"""

import math
import random
import time
from collections.abc import Iterator, Sequence

from edgectl.contract.record import SNAPSHOT
from edgectl.contract.segment import SegmentWriter
from edgectl.model.modbus import Answer, Line, Miss, Request
from edgectl.model.record import TickRecord
from edgectl.simulator import virtual_time
from edgectl.simulator.depot import Scenario
from edgectl.simulator.virtual_time import VirtualClock
from edgectl.sitefile.load import LoadedSite
from tests.bench.measure import Figure
from tests.field.yard import running, stay
from tests.sitefile.sites import load_text
from tests.whole.harness import build

BEGIN_S = 123_456.789012
SETTLE_S = 60
RECORDED_S = 300
DAY_S = 86_400


def figures() -> Iterator[Figure]:
    records = virtual_time.run(_recorded(), start_s=BEGIN_S)[SETTLE_S:]
    writer = SegmentWriter(version="bench")
    begin = time.perf_counter()
    packed = [len(writer.add(record)) for record in records]
    taken_s = (time.perf_counter() - begin) / len(records)
    plain = len(SNAPSHOT.dump(records[-1].snapshot))
    seconds = records[-1].now.mono_s - records[0].now.mono_s
    a_day = sum(packed) / seconds * DAY_S
    yield Figure(
        "journal.50.a_day", a_day / 1e6, "MB", plain * DAY_S / a_day, "smaller than whole snapshots"
    )
    yield Figure("journal.50.step", taken_s * 1e3, "ms")


def depot() -> LoadedSite:
    """A grid connection with nine metered feeders, and fifty chargers of three kinds."""
    nodes = ["grid", *(f"f{n}" for n in range(9))]
    lines = ["site: {id: big, region: r, timezone: UTC, voltage_v: 230, mode: control}", "nodes:"]
    lines.append("  - {id: grid, limit_a: [600, 600, 600], base_max_a: [100, 100, 100]}")
    lines += [
        f"  - {{id: {node}, parent: grid, limit_a: [100, 100, 100], base_max_a: [20, 20, 20]}}"
        for node in nodes[1:]
    ]
    places = [(f"c{n}-{k}", f"c{n}", "phoenix-charx-sec", k) for n in range(5) for k in range(1, 5)]
    places += [(f"k{n}", f"k{n}", "keba-p40", 1) for n in range(15)]
    places += [(f"w{n}", f"w{n}", "webasto-next", 1) for n in range(15)]
    links = list(dict.fromkeys([*nodes, *(link for _, link, _, _ in places)]))
    lines.append("links:")
    lines += [
        f"  - {{id: l-{name}, kind: tcp, host: 127.0.0.1, port: {15_020 + port}}}"
        for port, name in enumerate(links)
    ]
    lines.append("meters:")
    lines += [
        f"  - {{id: m-{node}, node: {node}, profile: janitza-umg96rm, link: l-{node}, unit: 1,"
        " poll_s: 1}"
        for node in nodes
    ]
    lines.append("evses:")
    lines += [
        f"  - {{id: {id_}, node: f{n % 9}, profile: {profile}, link: l-{link}, unit: 255,"
        f" connector: {connector}, phases: [1, 2, 3], max_a: 32, failsafe_a: 6, boot_a: 6,"
        " poll_s: 1}"
        for n, (id_, link, profile, connector) in enumerate(places)
    ]
    return load_text("\n".join(lines) + "\n")


class _Microseconds(VirtualClock):
    """Reads as this machine's clock does."""

    def monotonic_s(self) -> float:
        return (math.floor(super().monotonic_s() * 1e6) + 1) / 1e6


class _Unsteady:
    """A line on which every answer takes a time of its own."""

    def __init__(self, line: Line, clock: VirtualClock) -> None:
        self._line = line
        self._clock = clock
        self._rng = random.Random(5)

    async def open(self, *, timeout_s: float) -> Miss | None:
        return await self._line.open(timeout_s=timeout_s)

    async def exchange(self, request: Request, *, timeout_s: float) -> Answer | Miss:
        wait_s = self._rng.uniform(0.002, 0.02)
        await self._clock.sleep_until(self._clock.monotonic_s() + wait_s)
        return await self._line.exchange(request, timeout_s=timeout_s)

    async def close(self) -> None:
        await self._line.close()


async def _recorded() -> Sequence[TickRecord]:
    clock = _Microseconds()
    loaded = depot()
    stays = tuple(
        stay(evse.id, energy_wh=60_000.0, taper_from=0.8)
        for number, evse in enumerate(loaded.site.evses)
        if number % 10
    )
    whole = build(
        loaded,
        scenario=lambda _: Scenario(sessions=stays),
        wrap=lambda line: _Unsteady(line, clock),
        clock=clock,
    )
    async with running(whole):
        await whole.until(BEGIN_S + SETTLE_S + RECORDED_S)
    return whole.records
