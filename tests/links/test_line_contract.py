"""What every `Line` promises: the real one on a pymodbus server, and the one in memory."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from pymodbus.framer import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from edgectl.adapters.clock import SystemClock
from edgectl.adapters.modbus import TcpLine
from edgectl.adapters.modbus_rtu import rtu_over_tcp_line, serial_line
from edgectl.model.modbus import Answer, Function, Line, Miss, MissCause, Request
from edgectl.model.serial_line import Parity, SerialLine
from edgectl.simulator.memory.line import ExceptionCode, MemoryLine
from tests.links.serial_peer import cable

FIRST, COUNT = 100, 130
PATIENCE_S = 20.0
LATE, LATE_S = 9, 0.3
# A pseudo terminal takes no parity.
WIRE = SerialLine(baud=115_200, parity=Parity.NONE)


@dataclass
class Memory:
    """Two units with registers 100 to 229, holding and input; one answers late."""

    words: dict[int, int] = field(default_factory=lambda: {FIRST + n: n for n in range(COUNT)})

    def delay_s(self, unit: int, _request: Request) -> float:
        return LATE_S if unit == LATE else 0.0

    def read(
        self, _unit: int, _function: Function, address: int, count: int
    ) -> tuple[int, ...] | ExceptionCode:
        if any(address + n not in self.words for n in range(count)):
            return ExceptionCode.ILLEGAL_ADDRESS
        return tuple(self.words[address + n] for n in range(count))

    def write(
        self, _unit: int, _function: Function, address: int, words: tuple[int, ...]
    ) -> ExceptionCode | None:
        if any(address + n not in self.words for n in range(len(words))):
            return ExceptionCode.ILLEGAL_ADDRESS
        self.words |= {address + n: word for n, word in enumerate(words)}
        return None


@asynccontextmanager
async def in_memory() -> AsyncIterator[Line]:
    yield MemoryLine(Memory(), SystemClock())


@asynccontextmanager
async def over_tcp() -> AsyncIterator[Line]:
    async with tcp_server(FramerType.SOCKET) as port:
        yield TcpLine(host="127.0.0.1", port=port, clock=SystemClock())


@asynccontextmanager
async def rtu_over_tcp() -> AsyncIterator[Line]:
    async with tcp_server(FramerType.RTU) as port:
        yield rtu_over_tcp_line(host="127.0.0.1", port=port, wire=WIRE, clock=SystemClock())


@asynccontextmanager
async def over_a_serial_line() -> AsyncIterator[Line]:
    async with cable() as (ours, theirs):
        server = ModbusSerialServer(_devices(), port=theirs, baudrate=WIRE.baud, parity="N")
        await server.serve_forever(background=True)
        try:
            yield serial_line(device=ours, wire=WIRE, clock=SystemClock())
        finally:
            await server.shutdown()  # type: ignore[no-untyped-call]


@asynccontextmanager
async def tcp_server(framer: FramerType) -> AsyncIterator[int]:
    server = ModbusTcpServer(_devices(), framer=framer, address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    listening: Any = server.transport
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        await server.shutdown()  # type: ignore[no-untyped-call]


def _devices() -> list[SimDevice]:
    return [
        SimDevice(id=1, simdata=_registers()),
        SimDevice(id=LATE, simdata=_registers(), action=_dawdle),
    ]


def _registers() -> list[SimData]:
    return [SimData(FIRST, values=list(range(COUNT)), datatype=DataType.REGISTERS)]


async def _dawdle(*_asked: Any) -> None:
    await asyncio.sleep(LATE_S)


Place = Callable[[], AbstractAsyncContextManager[Line]]
everywhere = pytest.mark.parametrize(
    "place", [in_memory, over_tcp, rtu_over_tcp, over_a_serial_line]
)


def on(place: Place, talk: Callable[[Line], Awaitable[None]]) -> None:
    async def main() -> None:
        async with place() as line:
            try:
                await talk(line)
            finally:
                await line.close()

    asyncio.run(main())


def read(address: int, count: int, *, unit: int = 1, function: int = 3) -> Request:
    return Request(unit=unit, function=Function(function), address=address, count=count)


def write(address: int, *words: int, function: int = 16) -> Request:
    return Request(unit=1, function=Function(function), address=address, words=words)


@everywhere
@pytest.mark.parametrize("function", [Function.READ_HOLDING, Function.READ_INPUT])
def test_a_read_gives_the_words_and_both_times(place: Place, function: Function) -> None:
    async def talk(line: Line) -> None:
        assert await line.open(timeout_s=PATIENCE_S) is None
        for count in (1, 2, 125):
            answer = await line.exchange(
                read(FIRST + 3, count, function=function), timeout_s=PATIENCE_S
            )
            assert isinstance(answer, Answer)
            assert answer.words == tuple(range(3, 3 + count))
            assert answer.sent_s <= answer.received_s

    on(place, talk)


@everywhere
def test_a_write_is_answered_without_words_and_can_be_read(place: Place) -> None:
    async def talk(line: Line) -> None:
        assert await line.open(timeout_s=PATIENCE_S) is None
        for request in (write(FIRST, 65535, function=6), write(FIRST + 1, 7, 8, 9)):
            answer = await line.exchange(request, timeout_s=PATIENCE_S)
            assert isinstance(answer, Answer)
            assert answer.words == ()
        answer = await line.exchange(read(FIRST, 4), timeout_s=PATIENCE_S)
        assert isinstance(answer, Answer)
        assert answer.words == (65535, 7, 8, 9)

    on(place, talk)


@everywhere
def test_an_address_that_is_not_there_is_exception_2(place: Place) -> None:
    async def talk(line: Line) -> None:
        assert await line.open(timeout_s=PATIENCE_S) is None
        for request in (read(FIRST - 1, 2), write(FIRST + COUNT, 1)):
            miss = await line.exchange(request, timeout_s=PATIENCE_S)
            assert isinstance(miss, Miss)
            assert (miss.cause, miss.exception_code) == (MissCause.EXCEPTION, 2)

    on(place, talk)


@everywhere
def test_a_late_answer_is_a_timeout_and_nobody_elses_value(place: Place) -> None:
    async def talk(line: Line) -> None:
        assert await line.open(timeout_s=PATIENCE_S) is None
        miss = await line.exchange(read(FIRST, 1, unit=LATE), timeout_s=0.05)
        assert isinstance(miss, Miss)
        assert miss.cause is MissCause.TIMEOUT
        assert miss.received_s - miss.sent_s >= 0.04
        answer = await line.exchange(read(FIRST + 5, 1), timeout_s=PATIENCE_S)
        assert isinstance(answer, Answer)
        assert answer.words == (5,)

    on(place, talk)


@everywhere
def test_without_a_connection_every_request_is_a_miss(place: Place) -> None:
    async def talk(line: Line) -> None:
        for _ in range(2):
            miss = await line.exchange(read(FIRST, 1), timeout_s=PATIENCE_S)
            assert isinstance(miss, Miss)
            assert miss.cause is MissCause.DISCONNECTED
            assert await line.open(timeout_s=PATIENCE_S) is None
            assert isinstance(await line.exchange(read(FIRST, 1), timeout_s=PATIENCE_S), Answer)
            await line.close()
            await line.close()

    on(place, talk)


@everywhere
def test_a_cancelled_request_leaves_the_line_usable(place: Place) -> None:
    async def talk(line: Line) -> None:
        assert await line.open(timeout_s=PATIENCE_S) is None
        late = read(FIRST, 1, unit=LATE)
        task = asyncio.ensure_future(line.exchange(late, timeout_s=PATIENCE_S))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        answer = await line.exchange(read(FIRST + 6, 1), timeout_s=PATIENCE_S)
        assert isinstance(answer, Answer)
        assert answer.words == (6,)

    on(place, talk)
