"""What a peer on TCP can do to us, and what the line makes of it."""

import asyncio
import gc
import logging
import struct
from collections.abc import Awaitable, Callable

import pytest

from edgectl.adapters.clock import SystemClock
from edgectl.adapters.modbus import TcpLine
from edgectl.model.modbus import Answer, Function, Miss, MissCause, Request
from tests.links.peer import HANG_UP, Asked, Peer, listening, plain, silent, until

LONG_S = 20.0
SHORT_S = 0.15


def read(address: int, count: int = 2, *, unit: int = 1) -> Request:
    return Request(unit=unit, function=Function.READ_HOLDING, address=address, count=count)


def write(address: int, *words: int) -> Request:
    function = Function.WRITE_SINGLE if len(words) == 1 else Function.WRITE_MULTIPLE
    return Request(unit=1, function=function, address=address, words=words)


def with_peer(
    behaviour: Callable[[Asked], list[bytes]], talk: Callable[[TcpLine, Peer], Awaitable[None]]
) -> None:
    async def main() -> None:
        async with listening(behaviour) as peer:
            line = TcpLine(host="127.0.0.1", port=peer.port, clock=SystemClock())
            assert await line.open(timeout_s=LONG_S) is None
            try:
                await talk(line, peer)
            finally:
                await line.close()

    asyncio.run(main())


def words(outcome: Answer | Miss) -> tuple[int, ...]:
    assert isinstance(outcome, Answer), outcome
    return outcome.words


def missed(outcome: Answer | Miss) -> Miss:
    assert isinstance(outcome, Miss), outcome
    assert outcome.detail
    assert outcome.received_s >= outcome.sent_s
    return outcome


def test_a_late_answer_is_never_the_next_requests_value() -> None:
    first: list[Asked] = []

    def late(asked: Asked) -> list[bytes]:
        if asked.address == 10:
            first.append(asked)
            return []
        return [first[0].words(10, 11), *plain(asked)]

    async def talk(line: TcpLine, _peer: Peer) -> None:
        assert missed(await line.exchange(read(10), timeout_s=SHORT_S)).cause is MissCause.TIMEOUT
        assert words(await line.exchange(read(20), timeout_s=LONG_S)) == (20, 21)

    with_peer(late, talk)


def test_a_late_answer_between_two_requests_is_dropped() -> None:
    async def talk(line: TcpLine, peer: Peer) -> None:
        assert missed(await line.exchange(read(10), timeout_s=SHORT_S)).cause is MissCause.TIMEOUT
        peer.say(peer.asked[0].words(10, 11))
        await asyncio.sleep(0.05)
        peer.behaviour = plain
        assert words(await line.exchange(read(20), timeout_s=LONG_S)) == (20, 21)
        assert peer.connections == 1

    with_peer(silent, talk)


def test_a_long_late_answer_and_the_right_one_in_one_piece() -> None:
    first: list[Asked] = []

    def late(asked: Asked) -> list[bytes]:
        if asked.address == 1000:
            first.append(asked)
            return []
        return [first[0].words(*range(125)) + plain(asked)[0]]

    async def talk(line: TcpLine, _peer: Peer) -> None:
        missed(await line.exchange(read(1000, 125), timeout_s=SHORT_S))
        got = words(await line.exchange(read(2000, 125), timeout_s=LONG_S))
        assert got == tuple(range(2000, 2125))

    with_peer(late, talk)


def test_a_late_answer_without_transaction_id_is_refused() -> None:
    first: list[Asked] = []

    def late(asked: Asked) -> list[bytes]:
        if asked.address == 10:
            first.append(asked)
            return []
        return [first[0].words(10, 11, tid=0), *plain(asked)]

    async def talk(line: TcpLine, _peer: Peer) -> None:
        missed(await line.exchange(read(10), timeout_s=SHORT_S))
        assert missed(await line.exchange(read(20), timeout_s=LONG_S)).cause is MissCause.GARBLED
        assert missed(await line.exchange(read(20), timeout_s=LONG_S)).cause is (
            MissCause.DISCONNECTED
        )

    with_peer(late, talk)


@pytest.mark.parametrize("count", [1, 3])
def test_a_wrong_number_of_registers_is_garbled(count: int) -> None:
    async def talk(line: TcpLine, _peer: Peer) -> None:
        miss = missed(await line.exchange(read(10, 2), timeout_s=LONG_S))
        assert miss.cause is MissCause.GARBLED
        assert miss.detail == f"an answer for {count} where 2 was asked for"

    with_peer(lambda asked: [asked.words(*range(count))], talk)


def test_another_function_code_is_garbled() -> None:
    async def talk(line: TcpLine, _peer: Peer) -> None:
        miss = missed(await line.exchange(read(10), timeout_s=LONG_S))
        assert miss.cause is MissCause.GARBLED
        assert miss.detail == "an answer of function 4 to function 3"

    with_peer(lambda asked: [asked.words(1, 2, function=4)], talk)


def test_another_unit_is_not_heard() -> None:
    async def talk(line: TcpLine, _peer: Peer) -> None:
        outcome = await line.exchange(read(10), timeout_s=SHORT_S)
        assert missed(outcome).cause is MissCause.TIMEOUT

    with_peer(lambda asked: [asked.frame(b"\x03\x04\0\x01\0\x02", unit=9)], talk)


def test_unit_0_takes_no_other_units_answer() -> None:
    async def talk(line: TcpLine, _peer: Peer) -> None:
        outcome = await line.exchange(read(10, unit=0), timeout_s=LONG_S)
        assert missed(outcome).cause is MissCause.GARBLED

    with_peer(lambda asked: [asked.frame(b"\x03\x04\0\x01\0\x02", unit=9)], talk)


@pytest.mark.parametrize(
    "pdu",
    [b"\x03", b"\x63\x01", b"\x83", b"\x03\x7f\0\x01"],
    ids=["no length", "unknown function", "empty exception", "short"],
)
def test_an_unreadable_answer_drops_the_connection(
    pdu: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def talk(line: TcpLine, peer: Peer) -> None:
        miss = missed(await line.exchange(read(10), timeout_s=LONG_S))
        assert miss.cause is MissCause.GARBLED
        assert "no Modbus" in miss.detail
        assert await line.open(timeout_s=LONG_S) is None
        peer.behaviour = plain
        assert words(await line.exchange(read(20), timeout_s=LONG_S)) == (20, 21)

    with_peer(lambda asked: [asked.frame(pdu)], talk)
    assert not caplog.records


def test_garbage_without_a_header_drops_the_connection() -> None:
    async def talk(line: TcpLine, peer: Peer) -> None:
        outcome = await line.exchange(read(10), timeout_s=SHORT_S)
        assert missed(outcome).cause is MissCause.GARBLED
        assert await line.open(timeout_s=LONG_S) is None
        peer.behaviour = plain
        assert words(await line.exchange(read(20), timeout_s=LONG_S)) == (20, 21)

    with_peer(lambda _asked: [bytes(range(1, 40))], talk)


def test_half_an_answer_is_not_completed_by_the_next_one() -> None:
    halves: list[bytes] = []

    def half(asked: Asked) -> list[bytes]:
        answer = plain(asked)[0]
        if not halves:
            halves.extend([answer[:9], answer[9:]])
            return [halves[0]]
        return [halves[1] + answer]

    async def talk(line: TcpLine, peer: Peer) -> None:
        assert missed(await line.exchange(read(10), timeout_s=SHORT_S)).cause is MissCause.GARBLED
        assert missed(await line.exchange(read(20), timeout_s=LONG_S)).cause is (
            MissCause.DISCONNECTED
        )
        assert len(peer.asked) == 1

    with_peer(half, talk)


def test_bytes_that_nobody_asked_for_drop_the_connection() -> None:
    async def talk(line: TcpLine, peer: Peer) -> None:
        assert words(await line.exchange(read(10), timeout_s=LONG_S)) == (10, 11)
        peer.say(b"\0\0\0\0\0\x99\x01\x03\x04")
        await asyncio.sleep(0.05)
        assert missed(await line.exchange(read(20), timeout_s=LONG_S)).cause is (
            MissCause.DISCONNECTED
        )
        assert len(peer.asked) == 1

    with_peer(plain, talk)


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 6, 10, 11])
def test_an_exception_is_a_miss_with_the_devices_own_code(code: int) -> None:
    async def talk(line: TcpLine, peer: Peer) -> None:
        miss = missed(await line.exchange(read(10), timeout_s=LONG_S))
        assert (miss.cause, miss.exception_code) == (MissCause.EXCEPTION, code)
        miss = missed(await line.exchange(write(10, 7), timeout_s=LONG_S))
        assert (miss.cause, miss.exception_code) == (MissCause.EXCEPTION, code)
        assert peer.connections == 1

    with_peer(lambda asked: [asked.frame(bytes([asked.function | 0x80, code]))], talk)


def test_an_exception_of_another_function_is_garbled() -> None:
    async def talk(line: TcpLine, _peer: Peer) -> None:
        outcome = await line.exchange(read(10), timeout_s=LONG_S)
        assert missed(outcome).cause is MissCause.GARBLED

    with_peer(lambda asked: [asked.frame(b"\x86\x02")], talk)


def test_a_write_counts_only_with_its_echo() -> None:
    async def talk(line: TcpLine, peer: Peer) -> None:
        assert words(await line.exchange(write(300, 16), timeout_s=LONG_S)) == ()
        assert words(await line.exchange(write(300, 1, 2, 3), timeout_s=LONG_S)) == ()
        for lie in (struct.pack(">HH", 300, 32), struct.pack(">HH", 301, 16)):
            peer.behaviour = lambda asked, lie=lie: [asked.frame(b"\x06" + lie)]  # type: ignore[misc]
            outcome = await line.exchange(write(300, 16), timeout_s=LONG_S)
            assert missed(outcome).cause is MissCause.GARBLED
        for lie in (struct.pack(">HH", 300, 1), struct.pack(">HH", 9, 2)):
            peer.behaviour = lambda asked, lie=lie: [asked.frame(b"\x10" + lie)]  # type: ignore[misc]
            outcome = await line.exchange(write(300, 1, 2), timeout_s=LONG_S)
            assert missed(outcome).cause is MissCause.GARBLED

    with_peer(plain, talk)


def test_a_peer_that_hangs_up_is_noticed_before_the_timeout() -> None:
    async def talk(line: TcpLine, _peer: Peer) -> None:
        async with asyncio.timeout(LONG_S):
            miss = missed(await line.exchange(read(10), timeout_s=10 * LONG_S))
        assert miss.cause is MissCause.DISCONNECTED
        assert missed(await line.exchange(read(10), timeout_s=LONG_S)).detail == "not connected"

    with_peer(lambda _asked: [HANG_UP], talk)


def test_a_peer_that_hung_up_between_requests() -> None:
    async def talk(line: TcpLine, peer: Peer) -> None:
        assert words(await line.exchange(read(10), timeout_s=LONG_S)) == (10, 11)
        await peer.hang_up()
        await asyncio.sleep(0.05)
        miss = missed(await line.exchange(read(10), timeout_s=LONG_S))
        assert miss.cause is MissCause.DISCONNECTED
        assert await line.open(timeout_s=LONG_S) is None
        assert words(await line.exchange(read(10), timeout_s=LONG_S)) == (10, 11)
        assert peer.connections == 2

    with_peer(plain, talk)


def test_a_peer_that_hangs_up_before_the_first_request(caplog: pytest.LogCaptureFixture) -> None:
    async def talk(line: TcpLine, peer: Peer) -> None:
        await until(lambda: peer.connections == 1)
        await peer.hang_up()
        await asyncio.sleep(0.05)
        outcome = await line.exchange(read(10), timeout_s=LONG_S)
        assert missed(outcome).cause is MissCause.DISCONNECTED

    with_peer(plain, talk)
    gc.collect()
    assert not caplog.records


def test_a_half_open_connection_times_out_and_nothing_reconnects_by_itself() -> None:
    async def talk(line: TcpLine, peer: Peer) -> None:
        for _ in range(8):
            outcome = await line.exchange(read(10), timeout_s=0.02)
            assert missed(outcome).cause is MissCause.TIMEOUT
        assert peer.connections == 1
        assert len(peer.asked) == 8

    with_peer(silent, talk)


def test_a_request_is_sent_once() -> None:
    async def talk(line: TcpLine, peer: Peer) -> None:
        missed(await line.exchange(write(300, 16), timeout_s=SHORT_S))
        await asyncio.sleep(0.1)
        assert len(peer.asked) == 1

    with_peer(silent, talk)


def test_a_cancelled_request_leaves_the_line_in_order() -> None:
    async def talk(line: TcpLine, peer: Peer) -> None:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(line.exchange(read(10), timeout_s=LONG_S))
            await until(lambda: len(peer.asked) == 1)
            task.cancel()
        peer.say(peer.asked[0].words(10, 11))
        peer.behaviour = plain
        assert words(await line.exchange(read(20), timeout_s=LONG_S)) == (20, 21)

    with_peer(silent, talk)


def test_nobody_listens() -> None:
    async def main() -> None:
        async with listening(plain) as peer:
            port = peer.port
        line = TcpLine(host="127.0.0.1", port=port, clock=SystemClock())
        miss = await line.open(timeout_s=LONG_S)
        assert miss is not None
        assert miss.cause is MissCause.DISCONNECTED
        assert f"127.0.0.1 port {port}" in miss.detail
        outcome = await line.exchange(read(1), timeout_s=LONG_S)
        assert missed(outcome).cause is MissCause.DISCONNECTED
        await line.close()

    asyncio.run(main())


def test_opening_again_and_closing_twice_leave_nothing_behind() -> None:
    async def talk(line: TcpLine, peer: Peer) -> None:
        for _ in range(5):
            assert await line.open(timeout_s=LONG_S) is None
            assert words(await line.exchange(read(3), timeout_s=LONG_S)) == (3, 4)
        await line.close()
        await line.close()
        await until(lambda: not peer._writers)

    with_peer(plain, talk)
    gc.collect()


def test_pymodbus_itself_says_nothing() -> None:
    TcpLine(host="127.0.0.1", port=1, clock=SystemClock())
    assert logging.getLogger("pymodbus.logging").level == logging.CRITICAL
