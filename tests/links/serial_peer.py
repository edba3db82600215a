"""Serial lines without hardware: pseudo terminals, and a peer on one that can say anything."""

import asyncio
import os
import pty
import struct
import tty
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pymodbus.framer import FramerRTU

Piece = bytes | float
"""Bytes to send, or seconds to wait."""


def with_crc(body: bytes) -> bytes:
    return body + FramerRTU.compute_CRC(body).to_bytes(2, "big")


@dataclass(frozen=True, slots=True)
class AskedSerially:
    """A request as it came over the line."""

    unit: int
    function: int
    body: bytes

    @property
    def address(self) -> int:
        return int(struct.unpack(">H", self.body[:2])[0])

    @property
    def count(self) -> int:
        return int(struct.unpack(">H", self.body[2:4])[0])

    def frame(self, pdu: bytes, *, unit: int | None = None) -> bytes:
        return with_crc(bytes([self.unit if unit is None else unit]) + pdu)

    def words(self, *words: int, function: int | None = None, unit: int | None = None) -> bytes:
        body = struct.pack(f">{len(words)}H", *words)
        code = self.function if function is None else function
        return self.frame(bytes([code, len(body)]) + body, unit=unit)

    def right(self) -> bytes:
        """Every register holds its own address; writes are echoed."""
        if self.function in {3, 4}:
            return self.words(*range(self.address, self.address + self.count))
        return self.frame(bytes([self.function]) + self.body[:4])


SerialBehaviour = Callable[[AskedSerially], list[Piece]]


class SerialPeer:
    """Everything that hangs on a line, as one behaviour. `device` is the path to open.

    The path stays the same when the adapter is pulled out and put back.
    """

    def __init__(self, behaviour: SerialBehaviour, folder: Path) -> None:
        self.behaviour = behaviour
        self.device = folder / "ttyUSB0"
        self.asked: list[AskedSerially] = []
        self.asked_s: list[float] = []
        self._master = -1
        self._slave = -1
        self._got = b""
        self._talking: set[asyncio.Task[None]] = set()

    def plug_in(self) -> None:
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.device.symlink_to(os.ttyname(self._slave))
        asyncio.get_running_loop().add_reader(self._master, self._read)

    def pull_out(self) -> None:
        """The device node goes, and whoever has it open is hung up on."""
        asyncio.get_running_loop().remove_reader(self._master)
        self.device.unlink()
        for descriptor in (self._slave, self._master):
            os.close(descriptor)
        self._master = self._slave = -1

    def say(self, piece: bytes) -> None:
        """Send bytes that nobody asked for."""
        os.write(self._master, piece)

    async def end(self) -> None:
        for task in self._talking:
            task.cancel()
        await asyncio.gather(*self._talking, return_exceptions=True)
        if self._master >= 0:
            self.pull_out()

    def _read(self) -> None:
        with suppress(BlockingIOError):
            self._got += os.read(self._master, 4096)
        while (asked := self._take()) is not None:
            self.asked.append(asked)
            self.asked_s.append(asyncio.get_running_loop().time())
            task = asyncio.ensure_future(self._answer(self.behaviour(asked)))
            self._talking.add(task)
            task.add_done_callback(self._talking.discard)

    def _take(self) -> AskedSerially | None:
        got = self._got
        if len(got) < 8:
            return None
        size = 9 + got[6] if got[1] == 16 else 8
        if len(got) < size:
            return None
        frame, self._got = got[:size], got[size:]
        assert with_crc(frame[:-2]) == frame, f"a broken request: {frame.hex(' ')}"
        return AskedSerially(unit=frame[0], function=frame[1], body=frame[2:-2])

    async def _answer(self, pieces: list[Piece]) -> None:
        for piece in pieces:
            if isinstance(piece, bytes):
                os.write(self._master, piece)
            else:
                await asyncio.sleep(piece)


@asynccontextmanager
async def on_a_line(behaviour: SerialBehaviour, folder: Path) -> AsyncIterator[SerialPeer]:
    """A peer on a plugged-in line."""
    peer = SerialPeer(behaviour, folder)
    peer.plug_in()
    try:
        yield peer
    finally:
        await peer.end()


@asynccontextmanager
async def cable() -> AsyncIterator[tuple[str, str]]:
    """Two serial devices joined to each other; gives their paths."""
    loop = asyncio.get_running_loop()
    masters, slaves, names = [], [], []
    for _ in range(2):
        master, slave = pty.openpty()
        tty.setraw(slave)
        os.set_blocking(master, False)
        masters.append(master)
        slaves.append(slave)
        names.append(os.ttyname(slave))

    def pump(source: int, target: int) -> None:
        with suppress(BlockingIOError, OSError):
            os.write(target, os.read(source, 4096))

    loop.add_reader(masters[0], pump, masters[0], masters[1])
    loop.add_reader(masters[1], pump, masters[1], masters[0])
    try:
        yield names[0], names[1]
    finally:
        for master in masters:
            loop.remove_reader(master)
        for descriptor in (*masters, *slaves):
            os.close(descriptor)


@asynccontextmanager
async def converter(behaviour: SerialBehaviour) -> AsyncIterator[tuple[int, list[int]]]:
    """A converter on TCP with a line behind it; gives its port and the requests per connection."""
    per_connection: list[int] = []
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        at = len(per_connection)
        per_connection.append(0)
        try:
            while True:
                head = await reader.readexactly(8)
                if head[1] == 16:
                    head += await reader.readexactly(1 + head[6])
                per_connection[at] += 1
                asked = AskedSerially(unit=head[0], function=head[1], body=head[2:-2])
                for piece in behaviour(asked):
                    if isinstance(piece, bytes):
                        writer.write(piece)
                    else:
                        await asyncio.sleep(piece)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            serving.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], per_connection
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        await server.wait_closed()
