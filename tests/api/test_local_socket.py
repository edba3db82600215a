"""The real Unix socket: what a plain client gets, what a hostile one cannot do."""

import asyncio
import json
import os
import socket
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from edgectl.adapters.local_socket import Limits, LocalSocket, group_id_of
from edgectl.errors import Refused, Unreachable
from edgectl.model.local_api import Handler, HttpRequest, HttpResponse

PATIENT = Limits(
    connections=2,
    head_bytes=2048,
    body_bytes=1000,
    request_s=20.0,
    idle_s=20.0,
    idle_least_s=20.0,
    answer_s=20.0,
    send_s=20.0,
)


async def echo(request: HttpRequest) -> HttpResponse:
    return HttpResponse(
        200,
        {
            "method": request.method,
            "path": request.path,
            "query": dict(request.query),
            "body": request.body.decode(),
            "pid": request.peer.pid,
            "uid": request.peer.uid,
            "gids": sorted(request.peer.gids),
        },
    )


@dataclass
class Raw:
    """A curl-like client that sends what it is told."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> tuple[int, Any]:
        """Status and JSON of the next answer; a 100 is passed over."""
        while True:
            head = await self.reader.readuntil(b"\r\n\r\n")
            status = int(head.split()[1])
            if status != 100:
                break
        lines = head.decode().lower().split("\r\n")
        length = next(int(line[16:]) for line in lines if line.startswith("content-length: "))
        return status, json.loads(await self.reader.readexactly(length))

    async def at_end(self) -> bool:
        try:
            return await self.reader.read(1) == b""
        except ConnectionError:
            return True


@asynccontextmanager
async def connected(path: Path) -> AsyncIterator[Raw]:
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        yield Raw(reader, writer)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def serve(
    folder: Path,
    scenario: Callable[[Path], Awaitable[None]],
    *,
    handler: Handler = echo,
    limits: Limits = PATIENT,
) -> None:
    """Run `scenario` against a served socket, with a bound on everything."""

    async def both() -> None:
        path = folder / "edgectl.sock"
        server = LocalSocket(path, limits=limits)
        server.open()
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            serving = group.create_task(server.serve(handler), name="server")
            await scenario(path)
            serving.cancel()
        server.close()
        assert not path.exists()

    asyncio.run(both())


async def drip(client: Raw) -> None:
    while True:
        await client.send(b"x")
        await asyncio.sleep(0.02)


async def ask(path: Path, request: bytes) -> tuple[int, Any]:
    async with connected(path) as client:
        await client.send(request)
        return await client.answer()


def test_a_request_arrives_whole_with_who_asks(tmp_path: Path) -> None:
    async def scenario(path: Path) -> None:
        status, seen = await ask(
            path,
            b"POST /v1/why/b%20%C3%A4?x=1&y= HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
        )
        assert status == 200
        assert seen["method"] == "POST"
        assert seen["path"] == "/v1/why/b ä"
        assert seen["query"] == {"x": "1", "y": ""}
        assert seen["body"] == "hello"
        assert (seen["pid"], seen["uid"]) == (os.getpid(), os.getuid())
        assert set(seen["gids"]) == {os.getgid(), *os.getgroups()}

    serve(tmp_path, scenario)


def test_connections_are_kept_and_requests_in_one_packet_are_answered_in_turn(
    tmp_path: Path,
) -> None:
    async def scenario(path: Path) -> None:
        async with connected(path) as client:
            one = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
            two = b"GET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            await client.send(one + two)
            assert [(await client.answer())[1]["path"] for _ in range(2)] == ["/a", "/b"]
            assert await client.at_end()

    serve(tmp_path, scenario)


def test_http_1_0_chunks_and_expect_are_understood(tmp_path: Path) -> None:
    async def scenario(path: Path) -> None:
        status, _ = await ask(path, b"GET / HTTP/1.0\r\n\r\n")
        assert status == 200
        chunked = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        _, seen = await ask(path, chunked + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        assert seen["body"] == "abcde"
        async with connected(path) as client:
            await client.send(
                b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
            )
            assert b"100" in await client.reader.readuntil(b"\r\n\r\n")
            await client.send(b"ok")
            assert (await client.answer())[1]["body"] == "ok"

    serve(tmp_path, scenario)


def test_a_head_request_gets_no_body(tmp_path: Path) -> None:
    async def scenario(path: Path) -> None:
        async with connected(path) as client:
            await client.send(b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            whole = await client.reader.read()
            assert whole.startswith(b"HTTP/1.1 200")
            assert whole.endswith(b"\r\n\r\n")

    serve(tmp_path, scenario)


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (b"hello\r\n\r\n", 400, "malformed"),
        (b"\x00\x01\x02\x03\r\n\r\n", 400, "malformed"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "malformed"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "malformed"),
        (b"GET /%ff HTTP/1.1\r\nHost: x\r\n\r\n", 400, "malformed"),
        (b"GET /?a=%ff HTTP/1.1\r\nHost: x\r\n\r\n", 400, "malformed"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400, "malformed"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, ""),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 4000, 431, "too_large"),
        (b"GET /" + b"a" * 4000, 431, "too_large"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n", 413, "too_large"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", 413, "too_large"),
        (
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n"
            + b"a" * 1001
            + b"\r\n",
            413,
            "too_large",
        ),
    ],
)
def test_bad_requests_get_a_clean_error_and_the_server_goes_on(
    tmp_path: Path, request_: bytes, status: int, code: str
) -> None:
    async def scenario(path: Path) -> None:
        async with connected(path) as client:
            await client.send(request_)
            seen_status, answer = await client.answer()
            assert seen_status == status
            assert set(answer["error"]) == {"code", "message", "remedy"}
            assert answer["error"]["code"] == (code or answer["error"]["code"])
            assert await client.at_end()
        assert (await ask(path, b"GET / HTTP/1.0\r\n\r\n"))[0] == 200

    serve(tmp_path, scenario)


def test_a_body_that_is_not_http_text_is_carried_as_bytes(tmp_path: Path) -> None:
    async def length(request: HttpRequest) -> HttpResponse:
        return HttpResponse(200, len(request.body))

    async def scenario(path: Path) -> None:
        request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n\xff\x00\xfe"
        assert await ask(path, request) == (200, 3)

    serve(tmp_path, scenario, handler=length)


@pytest.mark.parametrize(
    "part",
    [b"G", b"GET / HTTP/1.1\r\nX: ", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc"],
)
def test_a_slow_request_is_ended(tmp_path: Path, part: bytes) -> None:
    async def scenario(path: Path) -> None:
        async with connected(path) as client:
            await client.send(part)
            status, answer = await client.answer()
            assert (status, answer["error"]["code"]) == (408, "too_slow")
            assert await client.at_end()

    serve(tmp_path, scenario, limits=replace(PATIENT, request_s=0.2))


def test_a_drip_of_bytes_does_not_prolong_a_request(tmp_path: Path) -> None:
    async def scenario(path: Path) -> None:
        # A stream would lose the answer when a write finds the other end closed.
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX) as raw:
            raw.setblocking(False)
            await loop.sock_connect(raw, str(path))
            hearing = loop.create_task(loop.sock_recv(raw, 4096), name="hearing")
            while not hearing.done():
                with suppress(OSError):
                    await loop.sock_sendall(raw, b"G")
                await asyncio.wait((hearing,), timeout=0.02)
            assert (await hearing).split()[1] in {b"400", b"408"}

    serve(tmp_path, scenario, limits=replace(PATIENT, request_s=0.2))


def test_an_idle_connection_is_closed_without_a_word(tmp_path: Path) -> None:
    async def scenario(path: Path) -> None:
        async with connected(path) as client:
            assert await client.at_end()

    serve(tmp_path, scenario, limits=replace(PATIENT, idle_s=0.2))


def test_a_peer_that_goes_away_in_the_middle_harms_nobody(tmp_path: Path) -> None:
    async def scenario(path: Path) -> None:
        for part in (b"", b"GET", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab"):
            async with connected(path) as client:
                await client.send(part)
        for _ in range(3):
            async with connected(path) as client:
                await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        for _ in range(50):
            status, _ = await ask(path, b"GET / HTTP/1.0\r\n\r\n")
            if status == 200:
                return
            await asyncio.sleep(0.02)
        pytest.fail("the server does not answer any more")

    serve(tmp_path, scenario)


def test_one_connection_too_many_is_told_so_and_room_comes_back(tmp_path: Path) -> None:
    async def scenario(path: Path) -> None:
        request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        async with connected(path) as first, connected(path) as second:
            for client in (first, second):
                await client.send(request)
                assert (await client.answer())[0] == 200
            async with connected(path) as third:
                status, answer = await third.answer()
                assert (status, answer["error"]["code"]) == (503, "overloaded")
                assert await third.at_end()
            await first.send(request)
            assert (await first.answer())[0] == 200
        for _ in range(50):
            status, _ = await ask(path, b"GET / HTTP/1.0\r\n\r\n")
            if status == 200:
                return
            await asyncio.sleep(0.02)
        pytest.fail("no room came back")

    serve(tmp_path, scenario)


def test_many_at_once_are_served_up_to_the_bound_and_the_rest_told_so(tmp_path: Path) -> None:
    async def scenario(path: Path) -> None:
        request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

        async def one() -> int:
            async with connected(path) as client:
                with suppress(ConnectionError):
                    await client.send(request)
                return (await client.answer())[0]

        answers = await asyncio.gather(*(one() for _ in range(20)))
        assert set(answers) == {200, 503}
        assert answers.count(200) >= 2

    serve(tmp_path, scenario)


def test_whoever_asks_nothing_makes_room_for_one_who_asks(tmp_path: Path) -> None:
    async def scenario(path: Path) -> None:
        async with connected(path) as first, connected(path) as second:
            await second.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await second.answer())[0] == 200
            await asyncio.sleep(0.1)
            assert (await ask(path, b"GET / HTTP/1.0\r\n\r\n"))[0] == 200
            assert await first.at_end(), "it was the first to be idle"
            await second.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await second.answer())[0] == 200

    serve(tmp_path, scenario, limits=replace(PATIENT, idle_least_s=0.05))


def test_an_answer_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    async def never(_: HttpRequest) -> HttpResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async def scenario(path: Path) -> None:
        status, answer = await ask(path, b"GET / HTTP/1.0\r\n\r\n")
        assert (status, answer["error"]["code"]) == (503, "overloaded")

    serve(tmp_path, scenario, handler=never, limits=replace(PATIENT, answer_s=0.2))


def test_a_peer_that_does_not_read_is_cut(tmp_path: Path) -> None:
    async def much(_: HttpRequest) -> HttpResponse:
        return HttpResponse(200, "x" * 4_000_000)

    async def scenario(path: Path) -> None:
        async with connected(path) as client:
            await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            with pytest.raises(ConnectionError):
                await drip(client)

    serve(tmp_path, scenario, handler=much, limits=replace(PATIENT, send_s=0.2))


def test_the_file_is_for_owner_and_group(tmp_path: Path) -> None:
    path = tmp_path / "edgectl.sock"
    server = LocalSocket(path)
    server.open()
    mode = path.stat().st_mode
    server.close()
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o660


def test_a_second_daemon_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    async def scenario(path: Path) -> None:
        second = LocalSocket(path)
        with pytest.raises(Refused, match="another edgectl daemon") as refusal:
            second.open()
        assert refusal.value.code == "already_running"
        second.close()
        assert (await ask(path, b"GET / HTTP/1.0\r\n\r\n"))[0] == 200

    serve(tmp_path, scenario)


def test_a_stale_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "edgectl.sock"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()

    async def scenario(of: Path) -> None:
        assert (await ask(of, b"GET / HTTP/1.0\r\n\r\n"))[0] == 200

    serve(tmp_path, scenario)


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "edgectl.sock"
    path.write_text("precious")
    server = LocalSocket(path)
    with pytest.raises(Unreachable, match="not a socket"):
        server.open()
    assert path.read_text() == "precious"
    path.unlink()
    server.open()
    server.close()


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="cannot create the lock"):
        LocalSocket(tmp_path / "none" / "edgectl.sock").open()


def test_groups_of_this_machine() -> None:
    assert group_id_of("root") == 0
    assert group_id_of("no-such-group-here") is None
