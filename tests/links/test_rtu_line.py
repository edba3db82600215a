"""What can happen on a serial line, and what the line makes of it."""

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path

import pytest

from edgectl.adapters.clock import SystemClock
from edgectl.adapters.modbus_rtu import RtuLine, rtu_over_tcp_line, serial_line
from edgectl.model.modbus import Answer, Function, Miss, MissCause, Request
from edgectl.model.serial_line import Parity, SerialLine
from tests.links.serial_peer import (
    AskedSerially,
    SerialBehaviour,
    SerialPeer,
    converter,
    on_a_line,
)

LONG_S = 20.0
SHORT_S = 0.15
# An answer late by half of this is neither in time nor beyond the silence, on a busy machine too.
LATE_S = 0.5
# A pseudo terminal takes no parity.
WIRE = SerialLine(baud=115_200, parity=Parity.NONE)

Talk = Callable[[RtuLine, SerialPeer], Awaitable[None]]


def read(address: int, count: int = 2, *, unit: int = 1) -> Request:
    return Request(unit=unit, function=Function.READ_HOLDING, address=address, count=count)


def write(address: int, *words: int) -> Request:
    function = Function.WRITE_SINGLE if len(words) == 1 else Function.WRITE_MULTIPLE
    return Request(unit=1, function=function, address=address, words=words)


def with_peer(
    behaviour: SerialBehaviour, folder: Path, talk: Talk, *, wire: SerialLine = WIRE
) -> None:
    async def main() -> None:
        async with on_a_line(behaviour, folder) as peer:
            line = serial_line(device=str(peer.device), wire=wire, clock=SystemClock())
            assert await line.open(timeout_s=LONG_S) is None
            try:
                await talk(line, peer)
            finally:
                await line.close()

    asyncio.run(main())


def words(outcome: Answer | Miss) -> tuple[int, ...]:
    assert isinstance(outcome, Answer), outcome
    return outcome.words


def missed(outcome: Answer | Miss | None) -> Miss:
    assert isinstance(outcome, Miss), outcome
    assert outcome.detail
    assert outcome.received_s >= outcome.sent_s
    return outcome


def plain(asked: AskedSerially) -> list[bytes | float]:
    return [asked.right()]


def test_a_late_answer_is_never_the_next_requests_value(tmp_path: Path) -> None:
    def late(asked: AskedSerially) -> list[bytes | float]:
        return [1.5 * LATE_S, asked.words(7, 7)] if asked.address == 10 else plain(asked)

    async def talk(line: RtuLine, _peer: SerialPeer) -> None:
        miss = missed(await line.exchange(read(10), timeout_s=LATE_S))
        assert miss.cause is MissCause.TIMEOUT
        assert "it came after" in miss.detail
        assert words(await line.exchange(read(20), timeout_s=LONG_S)) == (20, 21)

    with_peer(late, tmp_path, talk)


def test_the_line_is_silent_as_long_again_for_one_that_says_nothing(tmp_path: Path) -> None:
    async def talk(line: RtuLine, peer: SerialPeer) -> None:
        began_s = asyncio.get_running_loop().time()
        miss = missed(await line.exchange(read(10, unit=9), timeout_s=SHORT_S))
        assert miss.detail == f"no answer within {SHORT_S:g} s"
        assert words(await line.exchange(read(20), timeout_s=LONG_S)) == (20, 21)
        # From before the first: a peer that the machine let wait saw it late.
        assert peer.asked_s[1] - began_s >= 2.0 * SHORT_S

    with_peer(lambda asked: [] if asked.unit == 9 else plain(asked), tmp_path, talk)


def test_a_cancelled_request_leaves_its_silence_to_the_next_one(tmp_path: Path) -> None:
    def late(asked: AskedSerially) -> list[bytes | float]:
        return [0.1, asked.words(7, 7)] if asked.address == 10 else plain(asked)

    async def talk(line: RtuLine, _peer: SerialPeer) -> None:
        task = asyncio.ensure_future(line.exchange(read(10), timeout_s=LONG_S))
        await asyncio.sleep(0.03)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert words(await line.exchange(read(20), timeout_s=LONG_S)) == (20, 21)

    with_peer(late, tmp_path, talk)


def test_a_late_answer_of_another_unit_is_nobodys(tmp_path: Path) -> None:
    async def talk(line: RtuLine, _peer: SerialPeer) -> None:
        assert words(await line.exchange(read(20), timeout_s=LONG_S)) == (20, 21)

    with_peer(lambda asked: [asked.words(7, 7, unit=9), asked.right()], tmp_path, talk)


def test_only_another_units_answer_is_a_timeout_that_names_it(tmp_path: Path) -> None:
    async def talk(line: RtuLine, _peer: SerialPeer) -> None:
        miss = missed(await line.exchange(read(10), timeout_s=SHORT_S))
        assert miss.cause is MissCause.TIMEOUT
        assert miss.detail.endswith("but one of unit 9")

    with_peer(lambda asked: [asked.words(7, 7, unit=9)], tmp_path, talk)


def test_a_checksum_error_is_known_before_the_timeout(tmp_path: Path) -> None:
    def broken(asked: AskedSerially) -> list[bytes | float]:
        frame = bytearray(asked.right())
        frame[4] ^= 0x10
        return [bytes(frame)]

    async def talk(line: RtuLine, peer: SerialPeer) -> None:
        async with asyncio.timeout(LONG_S):
            miss = missed(await line.exchange(read(10), timeout_s=10 * LONG_S))
        assert miss.cause is MissCause.GARBLED
        assert miss.detail.startswith("a checksum error: 01 03 04")
        peer.behaviour = plain
        assert words(await line.exchange(read(20), timeout_s=LONG_S)) == (20, 21)

    with_peer(broken, tmp_path, talk)


@pytest.mark.parametrize("noise", [b"\0", b"\xff\xff", b"\x01\x03\x01\x03"])
def test_noise_before_an_answer_is_passed_over(noise: bytes, tmp_path: Path) -> None:
    async def talk(line: RtuLine, _peer: SerialPeer) -> None:
        assert words(await line.exchange(read(10), timeout_s=LONG_S)) == (10, 11)

    with_peer(lambda asked: [noise + asked.right()], tmp_path, talk)


def test_noise_after_an_answer_does_not_touch_the_next(tmp_path: Path) -> None:
    async def talk(line: RtuLine, _peer: SerialPeer) -> None:
        for address in (10, 20, 30):
            got = words(await line.exchange(read(address), timeout_s=LONG_S))
            assert got == (address, address + 1)

    with_peer(lambda asked: [asked.right() + b"\x01\x03\x04"], tmp_path, talk)


def test_garbage_is_no_answer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def talk(line: RtuLine, peer: SerialPeer) -> None:
        miss = missed(await line.exchange(read(10), timeout_s=SHORT_S))
        assert miss.cause is MissCause.GARBLED
        assert "no answer among what came: 00 01 02" in miss.detail
        peer.behaviour = plain
        assert words(await line.exchange(read(20), timeout_s=LONG_S)) == (20, 21)

    with_peer(lambda _asked: [bytes(range(40))], tmp_path, talk)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_half_an_answer_is_not_completed_by_the_next_one(tmp_path: Path) -> None:
    def half(asked: AskedSerially) -> list[bytes | float]:
        return [asked.words(7, 7)[:5]] if asked.address == 10 else plain(asked)

    async def talk(line: RtuLine, _peer: SerialPeer) -> None:
        miss = missed(await line.exchange(read(10), timeout_s=SHORT_S))
        assert miss.cause is MissCause.GARBLED
        assert words(await line.exchange(read(20), timeout_s=LONG_S)) == (20, 21)

    with_peer(half, tmp_path, talk)


def test_an_answer_in_pieces_is_one(tmp_path: Path) -> None:
    def pieces(asked: AskedSerially) -> list[bytes | float]:
        frame = asked.right()
        return [frame[:1], 0.01, frame[1:3], 0.01, frame[3:]]

    async def talk(line: RtuLine, _peer: SerialPeer) -> None:
        assert words(await line.exchange(read(1000, 125), timeout_s=LONG_S)) == tuple(
            range(1000, 1125)
        )

    with_peer(pieces, tmp_path, talk)


def test_a_second_half_after_the_timeout_belongs_to_nobody(tmp_path: Path) -> None:
    def halves(asked: AskedSerially) -> list[bytes | float]:
        if asked.address != 10:
            return plain(asked)
        frame = asked.words(7, 7)
        return [frame[:5], 1.5 * LATE_S, frame[5:]]

    async def talk(line: RtuLine, _peer: SerialPeer) -> None:
        assert missed(await line.exchange(read(10), timeout_s=LATE_S)).cause is MissCause.TIMEOUT
        assert words(await line.exchange(read(20), timeout_s=LONG_S)) == (20, 21)

    with_peer(halves, tmp_path, talk)


@pytest.mark.parametrize("count", [1, 3])
def test_a_wrong_number_of_registers_is_garbled(count: int, tmp_path: Path) -> None:
    async def talk(line: RtuLine, _peer: SerialPeer) -> None:
        miss = missed(await line.exchange(read(10, 2), timeout_s=LONG_S))
        assert miss.cause is MissCause.GARBLED
        assert miss.detail == f"an answer for {count} where 2 was asked for"

    with_peer(lambda asked: [asked.words(*range(count))], tmp_path, talk)


def test_another_function_code_is_garbled(tmp_path: Path) -> None:
    async def talk(line: RtuLine, _peer: SerialPeer) -> None:
        miss = missed(await line.exchange(read(10), timeout_s=LONG_S))
        assert miss.cause is MissCause.GARBLED
        assert miss.detail == "an answer of function 4 to function 3"

    with_peer(lambda asked: [asked.words(1, 2, function=4)], tmp_path, talk)


@pytest.mark.parametrize("code", [1, 2, 3, 4, 6, 11])
def test_an_exception_is_a_miss_with_the_devices_own_code(code: int, tmp_path: Path) -> None:
    async def talk(line: RtuLine, _peer: SerialPeer) -> None:
        for request in (read(10), write(10, 7)):
            miss = missed(await line.exchange(request, timeout_s=LONG_S))
            assert (miss.cause, miss.exception_code) == (MissCause.EXCEPTION, code)

    refuse: SerialBehaviour = lambda asked: [  # noqa: E731
        asked.frame(bytes([asked.function | 0x80, code]))
    ]
    with_peer(refuse, tmp_path, talk)


def test_a_write_counts_only_with_its_echo(tmp_path: Path) -> None:
    async def talk(line: RtuLine, peer: SerialPeer) -> None:
        assert words(await line.exchange(write(300, 16), timeout_s=LONG_S)) == ()
        assert words(await line.exchange(write(300, 1, 2, 3), timeout_s=LONG_S)) == ()
        peer.behaviour = lambda asked: [asked.frame(b"\x06\x01\x2c\0\x20")]
        outcome = await line.exchange(write(300, 16), timeout_s=LONG_S)
        assert missed(outcome).cause is MissCause.GARBLED

    with_peer(plain, tmp_path, talk)


def test_an_adapter_that_echoes_is_named(tmp_path: Path) -> None:
    async def talk(line: RtuLine, _peer: SerialPeer) -> None:
        miss = missed(await line.exchange(read(0x0A0B), timeout_s=SHORT_S))
        assert miss.cause is MissCause.GARBLED
        assert "switch the adapter's echo off" in miss.detail

    with_peer(lambda asked: [asked.frame(bytes([asked.function]) + asked.body)], tmp_path, talk)


def test_frames_are_three_and_a_half_characters_apart(tmp_path: Path) -> None:
    slow = SerialLine(baud=1200, parity=Parity.NONE, stop_bits=2)

    async def talk(line: RtuLine, peer: SerialPeer) -> None:
        for address in range(5):
            words(await line.exchange(read(address), timeout_s=LONG_S))
        waits = [later - sooner for sooner, later in pairwise(peer.asked_s)]
        assert min(waits) >= 3.5 * 11 / 1200

    with_peer(plain, tmp_path, talk, wire=slow)


def test_who_babbles_without_end_is_talked_over(tmp_path: Path) -> None:
    async def talk(line: RtuLine, peer: SerialPeer) -> None:
        async def babble() -> None:
            while True:
                peer.say(b"\x55" * 4)
                await asyncio.sleep(0.002)

        noise = asyncio.ensure_future(babble())
        async with asyncio.timeout(LONG_S):
            miss = missed(await line.exchange(read(10), timeout_s=SHORT_S))
        assert miss.cause is MissCause.GARBLED
        noise.cancel()

    with_peer(lambda _asked: [], tmp_path, talk)


def test_an_adapter_pulled_out_while_asking_is_noticed_at_once(tmp_path: Path) -> None:
    async def talk(line: RtuLine, peer: SerialPeer) -> None:
        asyncio.get_running_loop().call_later(0.05, peer.pull_out)
        async with asyncio.timeout(LONG_S):
            miss = missed(await line.exchange(read(10), timeout_s=10 * LONG_S))
        assert miss.cause is MissCause.DISCONNECTED
        assert str(peer.device) in miss.detail
        gone = missed(await line.open(timeout_s=LONG_S))
        assert "is the adapter plugged in?" in gone.detail
        peer.plug_in()
        peer.behaviour = plain
        assert await line.open(timeout_s=LONG_S) is None
        assert words(await line.exchange(read(20), timeout_s=LONG_S)) == (20, 21)

    with_peer(lambda _asked: [], tmp_path, talk)


def test_an_adapter_pulled_out_between_requests(tmp_path: Path) -> None:
    async def talk(line: RtuLine, peer: SerialPeer) -> None:
        words(await line.exchange(read(10), timeout_s=LONG_S))
        peer.pull_out()
        await asyncio.sleep(0.02)
        miss = missed(await line.exchange(read(10), timeout_s=LONG_S))
        assert miss.cause is MissCause.DISCONNECTED
        peer.plug_in()
        assert await line.open(timeout_s=LONG_S) is None
        assert words(await line.exchange(read(20), timeout_s=LONG_S)) == (20, 21)

    with_peer(plain, tmp_path, talk)


def test_a_device_that_somebody_has_open_is_refused(tmp_path: Path) -> None:
    async def talk(line: RtuLine, peer: SerialPeer) -> None:
        other = serial_line(device=str(peer.device), wire=WIRE, clock=SystemClock())
        miss = missed(await other.open(timeout_s=LONG_S))
        assert miss.cause is MissCause.DISCONNECTED
        assert "cannot be opened: another program has it" in miss.detail
        assert words(await line.exchange(read(10), timeout_s=LONG_S)) == (10, 11)
        await line.close()
        assert await other.open(timeout_s=LONG_S) is None
        await other.close()

    with_peer(plain, tmp_path, talk)


def test_another_program_cannot_open_the_device(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        # The kernel's own lock does not hold for root: the lock that pyserial's users ask for does.
        script = "import serial,sys; serial.Serial(sys.argv[1], exclusive=True)"
    else:
        script = "import os,sys; os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)"

    async def talk(_line: RtuLine, peer: SerialPeer) -> None:
        tried = subprocess.run(  # noqa: ASYNC221 - nothing else runs
            [sys.executable, "-c", script, str(peer.device)], check=False, capture_output=True
        )
        assert tried.returncode != 0

    with_peer(plain, tmp_path, talk)


@pytest.mark.parametrize(
    ("name", "why"), [("nothing", "no such device"), ("folder", "cannot be opened")]
)
def test_what_cannot_be_opened_is_said(name: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()

    async def main() -> None:
        line = serial_line(device=str(tmp_path / name), wire=WIRE, clock=SystemClock())
        miss = missed(await line.open(timeout_s=LONG_S))
        assert miss.cause is MissCause.DISCONNECTED
        assert why in miss.detail
        assert missed(await line.exchange(read(1), timeout_s=LONG_S)).detail == "not connected"

    asyncio.run(main())


def test_settings_that_the_device_does_not_take_are_said(tmp_path: Path) -> None:
    async def main() -> None:
        async with on_a_line(plain, tmp_path) as peer:
            odd = SerialLine(baud=9600, parity=Parity.EVEN)
            line = serial_line(device=str(peer.device), wire=odd, clock=SystemClock())
            miss = missed(await line.open(timeout_s=LONG_S))
            assert "does not take 9600 baud 8E1" in miss.detail

    asyncio.run(main())


def test_over_tcp_an_answer_that_stays_away_costs_the_connection() -> None:
    async def main() -> None:
        async with converter(lambda a: [] if a.unit == 9 else plain(a)) as (port, connections):
            line = rtu_over_tcp_line(host="127.0.0.1", port=port, wire=WIRE, clock=SystemClock())
            assert await line.open(timeout_s=LONG_S) is None
            missed(await line.exchange(read(10, unit=9), timeout_s=SHORT_S))
            assert words(await line.exchange(read(20), timeout_s=LONG_S)) == (20, 21)
            assert connections == [1, 1]
            await line.close()

    asyncio.run(main())


def test_over_tcp_a_late_answer_costs_only_its_own_request() -> None:
    def late(asked: AskedSerially) -> list[bytes | float]:
        return [1.5 * LATE_S, asked.words(7, 7)] if asked.address == 10 else plain(asked)

    async def main() -> None:
        async with converter(late) as (port, connections):
            line = rtu_over_tcp_line(host="127.0.0.1", port=port, wire=WIRE, clock=SystemClock())
            assert await line.open(timeout_s=LONG_S) is None
            missed(await line.exchange(read(10), timeout_s=LATE_S))
            assert words(await line.exchange(read(20), timeout_s=LONG_S)) == (20, 21)
            assert connections == [2]
            await line.close()

    asyncio.run(main())


def test_over_tcp_a_converter_that_is_gone_is_said() -> None:
    async def main() -> None:
        async with converter(plain) as (port, _):
            pass
        line = rtu_over_tcp_line(host="127.0.0.1", port=port, wire=WIRE, clock=SystemClock())
        miss = missed(await line.open(timeout_s=LONG_S))
        assert miss.cause is MissCause.DISCONNECTED
        assert "Connection refused" in miss.detail

    asyncio.run(main())


def test_times_on_the_wire_by_hand() -> None:
    standard = SerialLine()
    assert standard.character_s == pytest.approx(11 / 19_200)
    assert standard.gap_s == pytest.approx(3.5 * 11 / 19_200)
    assert SerialLine(baud=9600, parity=Parity.NONE).character_s == pytest.approx(10 / 9600)
    assert SerialLine(baud=38_400).gap_s == pytest.approx(0.00175)
    # Eight bytes out, 5 + 2 x 18 back, and a gap after each.
    eighteen = read(0, 18)
    assert standard.wire_s(eighteen) == pytest.approx((8 + 41 + 7) * 11 / 19_200)
    # Function 16 with two words: 9 + 4 bytes out, 8 back; function 6: 8 and 8.
    assert standard.wire_s(write(0, 1, 2)) == pytest.approx((13 + 8 + 7) * 11 / 19_200)
    assert standard.wire_s(write(0, 1)) == pytest.approx((8 + 8 + 7) * 11 / 19_200)
