"""A station on a simulated serial line: a pseudo terminal, or RTU frames over TCP on loopback.

1. Every character takes the time that the line's speed gives it, in requests and in answers.
2. There is one pair of wires: whoever speaks while an answer is under way spoils both.
3. Nobody answers for a unit that is not there.
"""

import asyncio
import math
import os
import pty
import tty
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU

from edgectl.model.modbus import Function, Request
from edgectl.model.serial_line import SerialLine
from edgectl.simulator.memory.line import ExceptionCode, Station

LOOPBACK: Final = "127.0.0.1"
_FUNCTIONS: Final = {function.value: function for function in Function}


class SerialSpeaker:
    """Takes the bytes of a line and answers for the station."""

    def __init__(self, station: Station, wire: SerialLine, send: Callable[[bytes], None]) -> None:
        self._station = station
        self._wire = wire
        self._send = send
        self._framer = FramerRTU(DecodePDU(True))
        self._got = b""
        self._answering: asyncio.TimerHandle | None = None

    def hear(self, data: bytes) -> None:
        """Take bytes; a whole request is answered when its time has come."""
        if self._answering is not None:
            self._answering.cancel()
            self._answering = None
            self._got = b""
            return
        self._got += data
        size = _request_bytes(self._got)
        if size == 0 or len(self._got) < size:
            return
        frame, self._got = self._got[:size], b""
        answer = self._answer(frame)
        if answer is None:
            return
        pdu, delay_s = answer
        back = self._framer.encode(pdu, frame[0], 0)
        wire_s = (len(frame) + len(back)) * self._wire.character_s + self._wire.gap_s
        loop = asyncio.get_running_loop()
        self._answering = loop.call_later(wire_s + delay_s, self._say, back)

    def stop(self) -> None:
        """Say no more."""
        if self._answering is not None:
            self._answering.cancel()

    def _say(self, frame: bytes) -> None:
        self._answering = None
        self._send(frame)

    def _answer(self, frame: bytes) -> tuple[bytes, float] | None:
        """Give the answer's function and data, and what the device takes for it."""
        try:
            _, asked = self._framer.handleFrame(frame, 0, 0)
        except ModbusException:
            return None
        if asked is None:
            return None
        function = _FUNCTIONS.get(asked.function_code)
        if function is None:
            return bytes([asked.function_code | 0x80, ExceptionCode.ILLEGAL_FUNCTION]), 0.0
        words = tuple(asked.registers)
        count = 0 if words else asked.count
        request = Request(asked.dev_id, function, asked.address, count, words)
        delay_s = self._station.delay_s(asked.dev_id, request)
        if math.isinf(delay_s):
            return None
        outcome: tuple[int, ...] | ExceptionCode | None
        if words:
            outcome = self._station.write(request.unit, function, request.address, words)
        else:
            outcome = self._station.read(request.unit, function, request.address, count)
        if outcome is ExceptionCode.GATEWAY_TARGET:
            return None
        return _pdu(request, frame, outcome), delay_s


class PtyServer:
    """A station at the far end of a pseudo terminal. `device` is the path to open."""

    def __init__(self, station: Station, wire: SerialLine) -> None:
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self._speaker = SerialSpeaker(station, wire, self._write)
        self.device = os.ttyname(self._slave)
        asyncio.get_running_loop().add_reader(self._master, self._read)

    def link_keys(self, wire: SerialLine) -> dict[str, object]:
        """Give what a site file says to reach it; a pseudo terminal takes no parity."""
        return {"device": self.device, "baud": wire.baud, "parity": "N", "stop_bits": 2}

    async def stop(self) -> None:
        """Pull the adapter out."""
        asyncio.get_running_loop().remove_reader(self._master)
        self._speaker.stop()
        for descriptor in (self._master, self._slave):
            os.close(descriptor)

    def _read(self) -> None:
        with suppress(BlockingIOError):
            self._speaker.hear(os.read(self._master, 4096))

    def _write(self, data: bytes) -> None:
        with suppress(BlockingIOError):
            os.write(self._master, data)


class ConverterServer:
    """A station behind a converter that hands RTU frames on."""

    def __init__(self, server: asyncio.Server, protocols: set["_Converted"]) -> None:
        self._server = server
        self._protocols = protocols
        self.port: int = server.sockets[0].getsockname()[1]

    def link_keys(self, wire: SerialLine) -> dict[str, object]:
        """Give what a site file says to reach it."""
        return {"host": LOOPBACK, "port": self.port, "baud": wire.baud, "parity": wire.parity.value}

    async def stop(self) -> None:
        """Stop listening and drop every connection."""
        self._server.close()
        for protocol in tuple(self._protocols):
            protocol.drop()
        await self._server.wait_closed()


class _Converted(asyncio.Protocol):
    def __init__(self, station: Station, wire: SerialLine, others: set["_Converted"]) -> None:
        self._others = others
        self._transport: asyncio.WriteTransport | None = None
        self._speaker = SerialSpeaker(station, wire, self._write)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.WriteTransport):
            self._transport = transport
            self._others.add(self)

    def data_received(self, data: bytes) -> None:
        self._speaker.hear(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio calls it so
        self._speaker.stop()
        self._transport = None
        self._others.discard(self)

    def drop(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


async def serve_converter(station: Station, wire: SerialLine) -> ConverterServer:
    """Serve RTU frames on a free port of the loopback interface."""
    protocols: set[_Converted] = set()
    server = await asyncio.get_running_loop().create_server(
        lambda: _Converted(station, wire, protocols), LOOPBACK, 0
    )
    return ConverterServer(server, protocols)


def _request_bytes(data: bytes) -> int:
    """Length of the request at the start of the bytes; 0 where that cannot be told yet."""
    if len(data) < 8:
        return 0
    return 9 + data[6] if data[1] == Function.WRITE_MULTIPLE else 8


def _pdu(request: Request, frame: bytes, outcome: tuple[int, ...] | ExceptionCode | None) -> bytes:
    if isinstance(outcome, ExceptionCode):
        return bytes([request.function | 0x80, outcome.value])
    if request.words:
        return bytes([request.function]) + frame[2:6]
    words = outcome or ()
    data = b"".join(word.to_bytes(2, "big") for word in words)
    return bytes([request.function, len(data)]) + data
