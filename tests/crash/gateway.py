"""A real daemon process on real sockets against a simulated depot, to be killed at any moment."""

import asyncio
import os
import random
import signal
import sqlite3
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from edgectl.cli.client import Client
from edgectl.cli.output import CliError
from edgectl.errors import Unreachable
from edgectl.simulator.depot import Depot, Scenario, build_depot
from edgectl.simulator.device.modbus_server import StationServer, serve_stations, stop_servers
from edgectl.sitefile.load import LoadedSite, load_site
from tests.field.yard import stay

ROOT: Final = Path(__file__).parents[2]
LIMIT_A: Final = 40.0
FAILSAFE_A: Final = 6.0
BAYS: Final = ("c1", "k1", "w1")
_LOOK_S: Final = 0.05
_ANSWERS_S: Final = 30.0
_CPU: Final = {**os.environ, "PYTHONPATH": str(ROOT)}

SITE: Final = """\
site: {id: yard, region: field, timezone: UTC, voltage_v: 230, mode: control}
nodes:
  - {id: grid, limit_a: [40, 40, 40], base_max_a: [10, 10, 10], margin_a: 1, trip_s: 60}
links:
  - {id: l-m, kind: tcp, host: 127.0.0.1, port: 11}
  - {id: l-c1, kind: tcp, host: 127.0.0.1, port: 12}
  - {id: l-k1, kind: tcp, host: 127.0.0.1, port: 13}
  - {id: l-w1, kind: tcp, host: 127.0.0.1, port: 14}
meters:
  - {id: m, node: grid, profile: janitza-umg96rm, link: l-m, unit: 1, poll_s: 0.5}
evses:
  - {id: c1, node: grid, profile: phoenix-charx-sec, link: l-c1, unit: 255, connector: 1,
     phases: [1, 2, 3], max_a: 32, failsafe_a: 6, boot_a: 6, watchdog_s: 20}
  - {id: k1, node: grid, profile: keba-p40, link: l-k1, unit: 255, connector: 1,
     phases: [1, 2, 3], max_a: 32, failsafe_a: 6, boot_a: 6, watchdog_s: 20}
  - {id: w1, node: grid, profile: webasto-next, link: l-w1, unit: 255, connector: 1,
     phases: [1, 2, 3], max_a: 32, failsafe_a: 6, boot_a: 6, watchdog_s: 20}
# Nobody listens there: what is to be published waits in the outbox.
mqtt: {brokers: [{host: 127.0.0.1, port: 9}]}
commands: {unsigned: loopback}
"""
_PORTS: Final = {"l-m": 11, "l-c1": 12, "l-k1": 13, "l-w1": 14}


@dataclass
class Gateway:
    """The gateway's folder, and one daemon process at a time."""

    folder: Path
    loaded: LoadedSite
    depot: Depot
    flows_a: list[float] = field(default_factory=list)
    process: asyncio.subprocess.Process | None = None

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def client(self) -> Client:
        return Client(self.folder / "edgectl.sock", timeout_s=2.0)

    async def start(self) -> None:
        log = (self.folder / "log").open("ab")
        with log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "edgectl.cli.main", "run", "--trust-clock"),
                *("--config", str(self.folder / "site.yaml"), "--state", str(self.state)),
                *("--socket", str(self.folder / "edgectl.sock")),
                stdout=log,
                stderr=log,
                env=_CPU,
                cwd=self.folder,
            )

    async def end(self, number: signal.Signals) -> int:
        """Send a signal and wait for the end; the exit status."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(60):
            return await self.process.wait()

    async def status(self) -> dict[str, Any]:
        """What the daemon says once it answers."""
        deadline_s = time.monotonic() + _ANSWERS_S
        while True:
            try:
                return await asyncio.to_thread(self.client().get, "status")
            except (Unreachable, CliError):
                assert self.process is not None
                assert self.process.returncode is None, self.log()
                assert time.monotonic() < deadline_s, self.log()
                await asyncio.sleep(0.05)

    async def limit(self, amps: float) -> str:
        """Ask for a limit at the grid connection; its id once it was acknowledged."""
        body = {"target": "grid", "limit_a": [amps] * 3, "duration_s": 3600.0, "reason": "test"}
        answer = await asyncio.to_thread(lambda: self.client().post("limit", body=body))
        assert answer["result"] == "accepted", answer
        return str(answer["command_id"])

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def outbox(self) -> tuple[str, list[int]] | None:
        """Stream and numbers of what waits to be published; None while the file is being made."""
        with sqlite3.connect(self.state / "outbox.db") as database:
            (fine,) = database.execute("PRAGMA integrity_check").fetchone()
            assert fine == "ok"
            tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            if not {("rows",), ("totals",)} <= set(tables):
                return None
            found = database.execute("SELECT stream FROM totals").fetchone()
            if found is None:
                return None
            (stream,) = found
            rows = database.execute("SELECT seq FROM rows ORDER BY seq").fetchall()
        return stream, [seq for (seq,) in rows]


@asynccontextmanager
async def gateway(folder: Path, *, seed: int) -> AsyncIterator[Gateway]:
    """A depot whose three vehicles take what they get, and a gateway that is switched off."""
    (folder / "plain.yaml").write_text(SITE)
    loaded = load_site(folder / "plain.yaml")
    depot = build_depot(loaded.site, seed=seed, clock=time.monotonic, step_s=0.1, record=True)
    depot.begin(Scenario(sessions=tuple(stay(bay) for bay in BAYS)))
    servers = await serve_stations(depot.stations(), loaded.site.links)
    text = SITE
    for link, server in servers.items():
        assert isinstance(server, StationServer)
        text = text.replace(f"port: {_PORTS[link]}}}", f"port: {server.port}}}")
    (folder / "site.yaml").write_text(text)
    yard = Gateway(folder, loaded, depot)
    (folder / "state").mkdir()

    async def watch() -> None:
        while True:
            yard.flows_a.append(max(depot.true_current_a(loaded.site.nodes[0].id)))
            await asyncio.sleep(_LOOK_S)

    try:
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(watch(), name="watch")
            yield yard
            watching.cancel()
    finally:
        if yard.process is not None and yard.process.returncode is None:
            yard.process.kill()
            await yard.process.wait()
        await stop_servers(servers)


@dataclass(frozen=True)
class Moment:
    """When to kill: so long after the start, or after a command was acknowledged."""

    after_s: float
    acknowledged: bool


def moments(seed: int, count: int) -> list[Moment]:
    """Every other one while the daemon starts and begins its work."""
    rng = random.Random(seed)
    return [
        Moment(rng.uniform(0.0, 0.3), acknowledged=True)
        if n % 2
        else Moment(rng.uniform(0.2, 3.0), acknowledged=False)
        for n in range(count)
    ]
