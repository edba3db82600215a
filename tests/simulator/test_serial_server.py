"""Simulated serial lines, seen by raw bytes and by a real client."""

import asyncio
import os
from dataclasses import dataclass, field

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.framer import FramerRTU, FramerType

from edgectl.model.modbus import Function, Request
from edgectl.model.serial_line import Parity, SerialLine
from edgectl.simulator.device.serial_server import PtyServer, SerialSpeaker, serve_converter
from edgectl.simulator.memory.line import ExceptionCode

FAST = SerialLine(baud=115_200)


@dataclass
class Sevens:
    """Unit 1 has sevens everywhere; nothing else is there."""

    delays_s: float = 0.0
    heard: list[Request] = field(default_factory=list)

    def delay_s(self, _unit: int, request: Request) -> float:
        self.heard.append(request)
        return self.delays_s

    def read(
        self, unit: int, _function: Function, _address: int, count: int
    ) -> tuple[int, ...] | ExceptionCode:
        return (7,) * count if unit == 1 else ExceptionCode.GATEWAY_TARGET

    def write(
        self, _unit: int, _function: Function, address: int, _words: tuple[int, ...]
    ) -> ExceptionCode | None:
        return ExceptionCode.ILLEGAL_ADDRESS if address == 99 else None


def frame(*body: int) -> bytes:
    return bytes(body) + FramerRTU.compute_CRC(bytes(body)).to_bytes(2, "big")


def said(*heard: bytes | float, station: Sevens | None = None, wire: SerialLine = FAST) -> bytes:
    """What the line says to these bytes, with pauses in between."""
    answers: list[bytes] = []

    async def main() -> None:
        speaker = SerialSpeaker(station or Sevens(), wire, answers.append)
        for piece in heard:
            if isinstance(piece, bytes):
                speaker.hear(piece)
            else:
                await asyncio.sleep(piece)
        await asyncio.sleep(0.1)
        speaker.stop()

    asyncio.run(main())
    return b"".join(answers)


READ_TWO = frame(1, 3, 0, 10, 0, 2)


def test_a_read_is_answered_with_a_checksum() -> None:
    assert said(READ_TWO) == frame(1, 3, 4, 0, 7, 0, 7)


def test_a_request_may_come_in_pieces() -> None:
    assert said(READ_TWO[:3], 0.005, READ_TWO[3:]) == frame(1, 3, 4, 0, 7, 0, 7)


def test_writes_are_echoed_and_refusals_are_exceptions() -> None:
    assert said(frame(1, 6, 0, 10, 0, 5)) == frame(1, 6, 0, 10, 0, 5)
    assert said(frame(1, 16, 0, 10, 0, 2, 4, 0, 1, 0, 2)) == frame(1, 16, 0, 10, 0, 2)
    assert said(frame(1, 6, 0, 99, 0, 5)) == frame(1, 0x86, 2)
    assert said(frame(1, 5, 0, 99, 0, 0)) == frame(1, 0x85, 1)


def test_nobody_answers_for_another_unit_or_a_broken_frame() -> None:
    assert said(frame(2, 3, 0, 10, 0, 2)) == b""
    assert said(READ_TWO[:-1] + b"\0") == b""


def test_who_speaks_into_an_answer_spoils_both() -> None:
    slow = Sevens(delays_s=0.03)
    assert said(READ_TWO, 0.01, READ_TWO, station=slow) == b""
    assert len(slow.heard) == 1


def test_characters_take_their_time() -> None:
    # 8 + 9 characters of 10 bits at 1200 baud, and a gap: 0.17 s, which 0.1 s do not hold.
    assert said(READ_TWO, wire=SerialLine(baud=1200, parity=Parity.NONE)) == b""


def test_a_pseudo_terminal_is_a_line() -> None:
    async def main() -> bytes:
        server = PtyServer(Sevens(), FAST)
        assert server.link_keys(FAST)["parity"] == "N"
        opened = os.open(server.device, os.O_RDWR | os.O_NOCTTY)
        try:
            os.write(opened, READ_TWO)
            await asyncio.sleep(0.05)
            return os.read(opened, 100)
        finally:
            os.close(opened)
            await server.stop()

    assert asyncio.run(main()) == frame(1, 3, 4, 0, 7, 0, 7)


def test_a_converter_speaks_rtu_over_tcp() -> None:
    async def main() -> None:
        server = await serve_converter(Sevens(), FAST)
        client = AsyncModbusTcpClient(
            "127.0.0.1", port=server.port, framer=FramerType.RTU, timeout=5, retries=0
        )
        try:
            assert await client.connect()
            answer = await client.read_holding_registers(10, count=3, device_id=1)
            assert answer.registers == [7, 7, 7]
        finally:
            client.close()
            await server.stop()

    asyncio.run(main())
