"""A gateway to measure: the real daemon in a process of its own, against devices on real sockets.

The devices are arrays of registers behind a few lines of asyncio, so that their server costs next
to nothing: what is measured is the daemon. Addresses are those of the makers' documents.
"""

import asyncio
import os
import signal
import struct
import sys
import time
from array import array
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

VOLTAGE_V: Final = 230.0
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


class Registers(asyncio.Protocol):
    """65536 holding registers behind Modbus TCP; `wrote` is told of every write."""

    def __init__(self, wrote: Callable[[int, int], None] = lambda _address, _word: None) -> None:
        self.words = array("H", bytes(2 * 65536))
        self._wrote = wrote
        self._transport: asyncio.WriteTransport | None = None
        self.port = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        tid, _, _, unit, function, address, count = struct.unpack(">HHHBBHH", data[:12])
        if function in {3, 4}:
            words = self.words[address : address + count]
            body = struct.pack(f">BB{count}H", function, 2 * count, *words)
        else:
            new = struct.unpack(f">{count}H", data[13:]) if function == 16 else (count,)
            for k, word in enumerate(new):
                self.words[address + k] = word
                self._wrote(address + k, word)
            body = struct.pack(">BHH", function, address, count)
        self._transport.write(struct.pack(">HHHB", tid, 0, len(body) + 1, unit) + body)

    def put_u32(self, address: int, value: int) -> None:
        self.words[address], self.words[address + 1] = value >> 16, value & 0xFFFF

    def put_f32(self, address: int, value: float) -> None:
        self.words[address], self.words[address + 1] = struct.unpack(
            ">HH", struct.pack(">f", value)
        )


class Charx(Registers):
    """A CHARX charging point whose vehicle follows its limit at once."""

    def __init__(self, told: Callable[[], None]) -> None:
        super().__init__(self._take)
        self.limit_a = 0
        self._told = told
        self.words[114] = 1
        self.words[1112], self.words[1120] = 3, 0
        self.words[1299] = 0x4332
        self.words[1306], self.words[1307] = 6, 60
        for k in range(3):
            self.put_u32(1232 + 2 * k, int(VOLTAGE_V * 1000))

    def _take(self, address: int, word: int) -> None:
        if address != 1301:
            return
        self.limit_a = word
        for k in range(3):
            self.put_u32(1238 + 2 * k, word * 1000)
        self._told()


class Umg(Registers):
    """A UMG 96RM."""

    def __init__(self) -> None:
        super().__init__()
        self.put_f32(19050, 50.0)

    def show(self, current_a: float) -> None:
        for k in range(3):
            self.put_f32(19000 + 2 * k, VOLTAGE_V)
            self.put_f32(19012 + 2 * k, current_a)
            self.put_f32(19020 + 2 * k, VOLTAGE_V * current_a)


class Yard:
    """Chargers under one grid connection, with a base load that can be set, and further meters."""

    def __init__(self, *, chargers: int, meters: int) -> None:
        self.base_a = 0.0
        self.chargers = [Charx(self._moved) for _ in range(chargers)]
        self.meters = [Umg() for _ in range(meters)]
        self.told_s = 0.0
        self.on_told: Callable[[], None] = lambda: None

    def total_a(self) -> float:
        return self.base_a + sum(charger.limit_a for charger in self.chargers)

    def show(self) -> None:
        """Have the meter of the grid connection show what flows."""
        self.meters[0].show(self.total_a())
        for meter in self.meters[1:]:
            meter.show(1.0)

    def _moved(self) -> None:
        self.told_s = time.monotonic()
        self.meters[0].show(self.total_a())
        self.on_told()

    @asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        servers = []
        for device in (*self.chargers, *self.meters):
            server = await loop.create_server(_always(device), "127.0.0.1", 0)
            device.port = server.sockets[0].getsockname()[1]
            servers.append(server)
        try:
            yield
        finally:
            for server in servers:
                server.close()

    def site(self, *, limit_a: float, meter_poll_s: float, broker_port: int | None) -> str:
        """The site file. Every device has a link of its own."""
        devices: dict[str, Registers] = {f"c{n}": one for n, one in enumerate(self.chargers)}
        devices |= {f"m{n}": one for n, one in enumerate(self.meters)}
        nodes = [{"id": "grid", "limit_a": [limit_a] * 3, "base_max_a": [100] * 3, "margin_a": 10}]
        nodes += [
            {"id": f"n{n}", "parent": "grid", "limit_a": [100] * 3, "base_max_a": [5] * 3}
            for n in range(1, len(self.meters))
        ]
        site: dict[str, object] = {
            "site": {
                "id": "bench",
                "region": "bench",
                "timezone": "UTC",
                "voltage_v": VOLTAGE_V,
                "mode": "control",
            },
            "nodes": nodes,
            "links": [
                {"id": f"l-{name}", "kind": "tcp", "host": "127.0.0.1", "port": device.port}
                for name, device in devices.items()
            ],
            "meters": [
                {
                    "id": f"m{n}",
                    "node": "grid" if n == 0 else f"n{n}",
                    "profile": "janitza-umg96rm",
                    "link": f"l-m{n}",
                    "unit": 1,
                    "poll_s": meter_poll_s if n == 0 else 1.0,
                }
                for n in range(len(self.meters))
            ],
            "evses": [
                {
                    "id": f"c{n}",
                    "node": "grid",
                    "profile": "phoenix-charx-sec",
                    "link": f"l-c{n}",
                    "unit": 255,
                    "connector": 1,
                    "phases": [1, 2, 3],
                    "max_a": 32,
                    "failsafe_a": 6,
                    "boot_a": 6,
                }
                for n in range(len(self.chargers))
            ],
        }
        if broker_port is not None:
            site["mqtt"] = {"brokers": [{"host": "127.0.0.1", "port": broker_port}]}
            site["commands"] = {"unsigned": "loopback"}
        return yaml.safe_dump(site)


def _always(device: Registers) -> Callable[[], Registers]:
    return lambda: device


@dataclass(frozen=True, slots=True)
class Running:
    """A daemon's process; everything of it is read from the kernel."""

    pid: int
    started_s: float

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S

    def resident_mb(self) -> float:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1000.0
        return 0.0


@asynccontextmanager
async def daemon(folder: Path, site: str) -> AsyncIterator[Running]:
    """The real daemon on a site file; its log goes into the folder."""
    config = folder / "site.yaml"
    config.write_text(site)
    (folder / "state").mkdir(exist_ok=True)
    command = [sys.executable, "-m", "edgectl.cli.main", "run", "--config", str(config)]
    command += ["--state", str(folder / "state"), "--socket", str(folder / "edgectl.sock")]
    with (folder / "daemon.log").open("w") as log:
        started_s = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            *command, "--trust-clock", stdout=log, stderr=log
        )
    try:
        yield Running(process.pid, started_s)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()


async def holds(what: Callable[[], bool], *, within_s: float, name: str) -> None:
    """Wait until something holds; a benchmark that cannot begin says so."""
    end_s = time.monotonic() + within_s
    while not what():
        if time.monotonic() > end_s:
            raise SystemExit(f"{name}: not within {within_s:g} s")
        await asyncio.sleep(0.01)
