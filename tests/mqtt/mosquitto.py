"""A real broker on a free loopback port, a line to it that can be cut, and a consumer."""

import asyncio
import json
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiomqtt
import pytest


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Mosquitto:
    """One mosquitto process; started again it listens on the same port."""

    def __init__(
        self, folder: Path, *, acl: str | None = None, extra: str = "", persistent: bool = False
    ) -> None:
        self.port = free_port()
        self._folder = folder
        self.acl_file = folder / "acl"
        self._config = folder / "mosquitto.conf"
        self._log = folder / "mosquitto.log"
        lines = [f"listener {self.port} 127.0.0.1", "allow_anonymous true"]
        lines.append(f"persistence {str(persistent).lower()}")
        lines.append(f"persistence_location {folder}/")
        # Without this a broker that root starts gives up the right to read its own files.
        lines.append("user root")
        if acl is not None:
            self.acl_file.write_text(acl)
            lines.append(f"acl_file {self.acl_file}")
        self._lines = lines
        self.configure(extra)
        self._process: subprocess.Popen[bytes] | None = None

    def configure(self, extra: str) -> None:
        """Write the configuration anew; it holds from the next start on."""
        self._config.write_text("\n".join([*self._lines, extra, ""]))

    def start(self) -> None:
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
        if program is None:
            pytest.fail("mosquitto is missing; install it: apt install mosquitto")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [program, "-c", str(self._config)], stdout=log, stderr=log
            )
        for _ in range(500):
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1.0):
                return
            if self._process.poll() is not None:
                break
            time.sleep(0.02)
        self.end()
        pytest.fail(f"mosquitto did not start: {self._log.read_text()}")

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def save(self) -> None:
        """Return when the broker's own file has what it knows now."""
        file = self._folder / "mosquitto.db"
        before_ns = file.stat().st_mtime_ns if file.exists() else 0
        self.send(signal.SIGUSR1)
        for _ in range(3000):
            if file.exists() and file.stat().st_mtime_ns > before_ns:
                return
            time.sleep(0.02)
        pytest.fail(f"mosquitto did not save: {self._log.read_text()}")

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    def end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self.kill()


class Line:
    """A TCP line to a port, through which everything goes until it is cut."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self.accepted = 0
        self.open = True
        self._target = target
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def end(self) -> None:
        self.cut()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._writers.add(writer)
        far_writer = None
        try:
            if self.open:
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
                self._writers.add(far_writer)
                await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        except OSError:
            pass
        finally:
            for one in (writer, far_writer):
                if one is not None:
                    one.transport.abort()
                    self._writers.discard(one)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()


@dataclass
class Seen:
    """What a consumer got. `rows` keeps duplicates."""

    messages: list[tuple[str, bytes, bool]] = field(default_factory=list)

    def bodies(self, ending: str) -> list[dict[str, Any]]:
        return [json.loads(load) for topic, load, _ in self.messages if topic.endswith(ending)]

    @property
    def rows(self) -> list[dict[str, Any]]:
        bodies = [json.loads(load) for _, load, _ in self.messages if load.startswith(b"{")]
        return [body for body in bodies if "seq" in body]

    async def hears(self, port: int) -> None:
        """Return when this consumer is subscribed (again)."""
        before = len(self.messages)
        async with foreign_client(port) as beacon:
            while len(self.messages) == before:
                await beacon.publish("beacon", b"-")
                await asyncio.sleep(0.01)

    def fresh_rows(self) -> list[dict[str, Any]]:
        """Without the duplicates, as the contract tells consumers to drop them."""
        known: set[tuple[str, int]] = set()
        fresh = []
        for body in self.rows:
            if (body["stream"], body["seq"]) not in known:
                known.add((body["stream"], body["seq"]))
                fresh.append(body)
        return fresh


@asynccontextmanager
async def consumer(port: int, *, identifier: str = "consumer") -> AsyncIterator[Seen]:
    """A subscriber to everything that comes back by itself after every loss."""
    seen = Seen()
    subscribed = asyncio.Event()

    async def consume() -> None:
        while True:
            client = aiomqtt.Client(
                "127.0.0.1",
                port,
                identifier=identifier,
                protocol=aiomqtt.ProtocolVersion.V5,
                clean_start=False,
                timeout=30,
            )
            with suppress(aiomqtt.MqttError):
                async with client:
                    await client.subscribe("#", 1)
                    subscribed.set()
                    async for message in client.messages:
                        load = message.payload
                        assert isinstance(load, bytes)
                        seen.messages.append((message.topic.value, load, message.retain))
            if client._disconnected.done():
                client._disconnected.exception()
            await asyncio.sleep(0.02)

    task = asyncio.create_task(consume())
    try:
        await subscribed.wait()
        yield seen
    finally:
        task.cancel()
        await asyncio.wait([task])


@asynccontextmanager
async def foreign_client(port: int, **options: Any) -> AsyncIterator[aiomqtt.Client]:
    """Somebody else at the broker."""
    async with aiomqtt.Client(
        "127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5, **options
    ) as client:
        yield client


async def until(condition: Any, *, within_s: float = 30.0) -> None:
    """Wait for something to become true; the bound only ends a test that has failed."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.01)
