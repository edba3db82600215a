"""A broker for the demo: mosquitto where it is installed, else amqtt inside this process.

amqtt speaks MQTT 3.1.1 only, and its retained messages cannot be relied on.
"""

import asyncio
import importlib.util
import logging
import os
import shutil
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgectl.errors import Unreachable

LOOPBACK: Final = "127.0.0.1"
_START_S: Final = 10.0
_STOP_S: Final = 5.0
_ALSO_LOOKED_IN: Final = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """Where a broker listens. `protocol` as in a site file: 5 or 3.1.1."""

    name: str
    host: str
    port: int
    protocol: int | str


@asynccontextmanager
async def own_broker(
    folder: Path, *, search: Sequence[str] | None = None, embedded: bool | None = None
) -> AsyncIterator[Broker]:
    """Run a broker on a free loopback port; its files go into `folder`.

    `search`: where mosquitto may be, by default PATH and the usual places; `embedded`: whether
    amqtt may stand in, by default if it is installed.
    """
    if search is None:
        search = (*os.environ.get("PATH", os.defpath).split(os.pathsep), *_ALSO_LOOKED_IN)
    if embedded is None:
        embedded = importlib.util.find_spec("amqtt") is not None
    program = shutil.which("mosquitto", path=os.pathsep.join(search))
    if program is not None:
        async with _mosquitto(program, folder) as broker:
            yield broker
    elif embedded:
        async with embedded_broker() as broker:
            yield broker
    else:
        raise Unreachable(
            message="there is no MQTT broker for the demo",
            remedy="install mosquitto (Debian: apt install mosquitto), or the package extra "
            "`demo`, or name a running broker with --broker HOST:PORT",
        )


@asynccontextmanager
async def _mosquitto(program: str, folder: Path) -> AsyncIterator[Broker]:
    port = free_port()
    configuration = folder / "mosquitto.conf"
    configuration.write_text(
        f"listener {port} {LOOPBACK}\nallow_anonymous true\npersistence false\n", encoding="utf-8"
    )
    with (folder / "mosquitto.log").open("wb") as log:
        # A session of its own: Ctrl-C in the terminal must not end the broker before the daemon.
        process = await asyncio.create_subprocess_exec(
            program, "-c", str(configuration), stdout=log, stderr=log, start_new_session=True
        )
    try:
        await _listening(port, process, folder / "mosquitto.log")
        yield Broker(name="mosquitto", host=LOOPBACK, port=port, protocol=5)
    finally:
        await end_process(process, patience_s=_STOP_S)


@asynccontextmanager
async def embedded_broker() -> AsyncIterator[Broker]:
    """Run amqtt in this process."""
    # An extra that may be absent.
    from amqtt.broker import Broker as Amqtt  # type: ignore[import-untyped]  # noqa: PLC0415

    for name in ("amqtt", "transitions"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    port = free_port()
    anonymous = "amqtt.plugins.authentication.AnonymousAuthPlugin"
    listener = {"type": "tcp", "bind": f"{LOOPBACK}:{port}"}
    broker = Amqtt(
        {
            "listeners": {"default": listener},
            "plugins": {anonymous: {"allow_anonymous": True}},
        }
    )
    await broker.start()
    try:
        yield Broker(name="amqtt (embedded)", host=LOOPBACK, port=port, protocol="3.1.1")
    finally:
        await broker.shutdown()


async def end_process(process: asyncio.subprocess.Process, *, patience_s: float) -> int:
    """Ask a child to end, wait, and kill it if it does not; gives its exit status."""
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(patience_s):
                await process.wait()
        except TimeoutError:
            process.kill()
    return await process.wait()


def free_port() -> int:
    """Give a TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def _said(log: Path) -> list[str]:
    return log.read_text(encoding="utf-8", errors="replace").strip().splitlines()


async def _listening(port: int, process: asyncio.subprocess.Process, log: Path) -> None:
    try:
        async with asyncio.timeout(_START_S):
            while process.returncode is None:
                try:
                    _, writer = await asyncio.open_connection(LOOPBACK, port)
                except OSError:
                    await asyncio.sleep(0.05)
                    continue
                writer.close()
                await writer.wait_closed()
                return
    except TimeoutError:
        pass
    said = _said(log)
    raise Unreachable(
        message=f"mosquitto did not start: {said[-1] if said else 'it said nothing'}",
        remedy="start it by hand to see why, or name a running broker with --broker HOST:PORT",
    )
