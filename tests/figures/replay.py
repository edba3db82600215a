"""Sessions of a file, replayed through the whole daemon on the virtual clock."""

import asyncio
import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from edgectl.simulator.depot import Scenario
from edgectl.simulator.device.charge_point import Vehicle
from edgectl.simulator.sessions import Session
from edgectl.simulator.virtual_time import run
from edgectl.sitefile.load import LoadedSite
from edgectl.units import EvseId
from tests.figures.independent import Stay
from tests.sitefile.sites import load_text
from tests.whole.harness import Whole, build, restarted

PREFIX: Final = "edgectl/v1/field/yard/"
VOLTAGE_V: Final = 230.0
MAX_A: Final = 32.0
TOLD_S: Final = 7.0
"""From when the daemon sees a vehicle to full current: the charger is told, the vehicle follows."""


def wide_site(ports: Sequence[str], *, timezone: str, poll_s: float) -> LoadedSite:
    """A connection that is never tight, so that the file alone says what happens."""
    lines = [f"site: {{id: yard, region: field, timezone: {timezone}, voltage_v: 230}}"]
    lines.append("nodes: [{id: grid, limit_a: [20000, 20000, 20000], trip_s: 600}]")
    lines.append("links:")
    for number, name in enumerate(("meter", *ports)):
        lines.append(f"  - {{id: l-{name}, kind: tcp, host: 127.0.0.1, port: {15020 + number}}}")
    lines.append(
        "meters: [{id: m, node: grid, profile: janitza-umg96rm, link: l-meter, unit: 1, poll_s: 3}]"
    )
    lines.append("evses:")
    for number, name in enumerate(ports):
        lines.append(
            f"  - {{id: {name}, node: grid, profile: phoenix-charx-sec, link: l-{name}, unit: 255,"
            f" connector: 1, phases: [{number % 3 + 1}], max_a: {MAX_A:g}, failsafe_a: 6,"
            f" boot_a: 6, watchdog_s: 60, poll_s: {poll_s:g}}}"
        )
    lines.append("mqtt: {brokers: [{host: 127.0.0.1, port: 1883}]}")
    return load_text("\n".join(lines) + "\n")


def stays_of(path: Path, *, from_utc: str, days: float, ports: int, poll_s: float) -> list[Stay]:
    """The stays of the busiest ports that begin in a time of the file; names become bay00 on.

    A vehicle is seen half a poll after it comes, on average.
    """
    begin_s = datetime.fromisoformat(from_utc).timestamp()
    with path.open(encoding="utf-8") as file:
        rows = [
            row
            for row in csv.DictReader(file)
            if 0.0 <= seconds(row["arrival_utc"]) - begin_s < days * 86_400.0
        ]
    sizes: dict[str, int] = {}
    for row in rows:
        sizes[row["evse"]] = sizes.get(row["evse"], 0) + 1
    busiest = sorted(sizes, key=lambda name: (-sizes[name], name))[:ports]
    names = {name: f"bay{number:02d}" for number, name in enumerate(busiest)}
    return [
        Stay(
            port=names[row["evse"]],
            arrival_s=seconds(row["arrival_utc"]) - begin_s,
            departure_s=seconds(row["departure_utc"]) - begin_s,
            energy_wh=float(row["energy_kwh"]) * 1000.0,
            power_w=MAX_A * VOLTAGE_V,
            start_s=poll_s / 2.0 + TOLD_S,
        )
        for row in rows
        if row["evse"] in names
    ]


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def scenario(stays: Sequence[Stay]) -> Scenario:
    return Scenario(
        sessions=tuple(
            Session(
                evse=EvseId(stay.port),
                vehicle=Vehicle(energy_wh=stay.energy_wh, max_a=MAX_A, phases=1, taper_from=1.0),
                arrival_s=stay.arrival_s,
                departure_s=stay.departure_s,
            )
            for stay in stays
        )
    )


@dataclass
class Replay:
    """A run, and what it published."""

    whole: Whole
    published: list[Any] = field(default_factory=list)

    def reports(self, name: str) -> list[dict[str, Any]]:
        return [
            json.loads(message.payload)
            for message in self.published
            if message.topic == f"{PREFIX}report/{name}"
        ]


def replay(
    stays: Sequence[Stay],
    *,
    ports: int,
    until_s: float,
    poll_s: float,
    timezone: str = "UTC",
    restarts_s: Sequence[float] = (),
) -> Replay:
    """Run the daemon over the stays; at each of `restarts_s` it is killed and started again."""
    loaded = wide_site(
        [f"bay{number:02d}" for number in range(ports)], timezone=timezone, poll_s=poll_s
    )

    async def main() -> Replay:
        whole = build(loaded, scenario=lambda _: scenario(stays), step_s=1.0, record=False)
        for end_s in (*sorted(restarts_s), until_s):
            running = asyncio.create_task(whole.daemon.run())
            await whole.until(end_s)
            if end_s == until_s:
                whole.daemon.stop()
                await running
            else:
                running.cancel()
                await asyncio.wait([running])
                await whole.until(end_s + 20.0)
                whole = restarted(whole)
        return Replay(whole, whole.broker.published)

    return run(main())
