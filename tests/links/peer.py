"""A peer that speaks raw bytes, so that it can say what no library would."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

HANG_UP = b""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came over the wire."""

    tid: int
    unit: int
    function: int
    body: bytes

    @property
    def address(self) -> int:
        return int(struct.unpack(">H", self.body[:2])[0])

    @property
    def count(self) -> int:
        return int(struct.unpack(">H", self.body[2:4])[0])

    def frame(self, pdu: bytes, *, tid: int | None = None, unit: int | None = None) -> bytes:
        """Frame `pdu` as an answer to this request, or to another one."""
        return (
            struct.pack(
                ">HHHB",
                self.tid if tid is None else tid,
                0,
                len(pdu) + 1,
                self.unit if unit is None else unit,
            )
            + pdu
        )

    def words(self, *words: int, function: int | None = None, tid: int | None = None) -> bytes:
        """Answer a read with `words`."""
        body = struct.pack(f">{len(words)}H", *words)
        code = self.function if function is None else function
        return self.frame(bytes([code, len(body)]) + body, tid=tid)


Behaviour = Callable[[Asked], list[bytes]]
"""What to send for a request, piece by piece; `HANG_UP` closes the connection."""


class Peer:
    """A listening socket with a behaviour that may be changed at any time."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.asked: list[Asked] = []
        self.connections = 0
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()

    async def hang_up(self) -> None:
        """Close every connection and wait until nobody is served any more."""
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*self._serving)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            while True:
                tid, _, length, unit = struct.unpack(">HHHB", await reader.readexactly(7))
                pdu = await reader.readexactly(length - 1)
                asked = Asked(tid=tid, unit=unit, function=pdu[0], body=pdu[1:])
                self.asked.append(asked)
                for piece in self.behaviour(asked):
                    if piece == HANG_UP:
                        return
                    writer.write(piece)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self._writers.discard(writer)
            self._serving.discard(task)
            writer.close()

    def say(self, piece: bytes) -> None:
        """Send bytes that nobody asked for."""
        for writer in self._writers:
            writer.write(piece)


@asynccontextmanager
async def listening(behaviour: Behaviour) -> AsyncIterator[Peer]:
    """A peer on a free loopback port."""
    peer = Peer(behaviour)
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield peer
    finally:
        server.close()
        await peer.hang_up()
        await server.wait_closed()


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds; the test's own timeout is the limit."""
    while not holds():  # noqa: ASYNC110 - what holds is no event of ours
        await asyncio.sleep(0.005)


def silent(_asked: Asked) -> list[bytes]:
    return []


def plain(asked: Asked) -> list[bytes]:
    """Every register holds its own address; writes are echoed."""
    if asked.function in {3, 4}:
        return [asked.words(*range(asked.address, asked.address + asked.count))]
    return [asked.frame(bytes([asked.function]) + asked.body[:4])]
