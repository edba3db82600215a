"""The local API's transport: HTTP with JSON over a Unix socket, on h11.

1. One daemon per socket: a lock beside it is held for as long as the process lives, so that a stale
   file can be removed safely and the path of a living daemon is never taken over.
2. Who asks is what the kernel says of the peer, never what the request says.
3. Everything is bounded (S23): connections, head, body, the time for each of them. What is beyond a
   bound is answered with a clean error where the peer still listens, and the connection is closed.
"""

import asyncio
import contextlib
import errno
import fcntl
import grp
import json
import os
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast
from urllib.parse import parse_qsl, unquote, urlsplit

import h11

from edgectl.errors import Refused, Unreachable, invariant
from edgectl.model.local_api import Handler, HttpRequest, HttpResponse, Peer

_SO_PEERGROUPS: Final = 59
"""Supplementary groups of the peer (Linux 4.13); the socket module has no name for it."""
_PEER_GROUPS_BYTES: Final = 1024
_READ_CHUNK: Final = 16384
_BACKLOG: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds of one server.

    `head_bytes`: what an unfinished head may hold (one read more where it comes in one piece);
    `request_s`: from a request's first byte to its last; `idle_s`: between two requests, or
    `idle_least_s` where somebody else needs the connection's place; `answer_s`: for the handler;
    `send_s`: for the peer to take the answer.
    """

    connections: int = 16
    head_bytes: int = 16384
    body_bytes: int = 65536
    request_s: float = 5.0
    idle_s: float = 30.0
    idle_least_s: float = 1.0
    answer_s: float = 10.0
    send_s: float = 5.0


class LocalSocket:
    """Fulfils `model.local_api.LocalServer` on the Unix socket `path`, open to `group_id`."""

    def __init__(
        self, path: Path, *, limits: Limits | None = None, group_id: int | None = None
    ) -> None:
        self._path = path
        self._limits = limits or Limits()
        self._group_id = group_id
        self._lock_fd: int | None = None
        self._listening: socket.socket | None = None
        self._talking: dict[asyncio.Task[None], _Conversation] = {}

    def open(self) -> None:
        """Take the lock, remove a stale file, listen; nothing happens where it is open already."""
        if self._listening is not None:
            return
        self._take_lock()
        try:
            self._listening = self._listen()
        except OSError as fault:
            self.close()
            raise Unreachable(
                message=f"cannot listen on {self._path}: {fault.strerror or fault}",
                remedy="choose another path with --socket, or let this user write to its directory",
            ) from fault

    async def serve(self, handler: Handler) -> None:
        """Answer until cancelled, then again if asked; each connection's task is this call's."""
        self.open()
        stopping = False
        async with asyncio.TaskGroup() as group:

            def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                if stopping:
                    writer.close()
                    return
                conversation = _Conversation(reader, writer, self._limits)
                room = len(self._talking) < self._limits.connections or self._end_idle()
                task = group.create_task(
                    _converse(conversation, writer, handler if room else None),
                    name="local-api-connection",
                )
                if room:
                    self._talking[task] = conversation
                    task.add_done_callback(lambda done: self._talking.pop(done, None))

            # A copy is served, so that the next daemon in this process can serve the same path:
            # whoever asks in between waits in the kernel's queue.
            server = await asyncio.start_server(
                connected, sock=self._listen_again(), limit=_READ_CHUNK
            )
            try:
                await server.serve_forever()
            finally:
                stopping = True
                server.close()

    def close(self) -> None:
        """Remove the socket's file and let go of the lock; twice does no harm."""
        if self._listening is not None:
            self._listening.close()
            self._listening = None
            with contextlib.suppress(OSError):
                self._path.unlink()
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def _take_lock(self) -> None:
        lock_path = self._path.with_name(self._path.name + ".lock")
        try:
            lock_fd = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as fault:
            raise Unreachable(
                message=f"cannot create the lock {lock_path}: {fault.strerror or fault}",
                remedy="create its directory and let this user write to it, or choose another path "
                "with --socket",
            ) from fault
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as fault:
            os.close(lock_fd)
            raise Refused(
                code="already_running",
                message=f"another edgectl daemon already serves {self._path}",
                remedy="use that one, or stop it first (`systemctl stop edgectl`)",
            ) from fault
        self._lock_fd = lock_fd

    def _listen(self) -> socket.socket:
        if self._path.is_socket():
            self._path.unlink()
        elif self._path.exists():
            raise FileExistsError(errno.EEXIST, "there is a file that is not a socket")
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listening.bind(str(self._path))
            self._path.chmod(0o660)
            if self._group_id is not None:
                with contextlib.suppress(PermissionError):
                    os.chown(self._path, -1, self._group_id)
            listening.listen(_BACKLOG)
            listening.setblocking(False)
        except OSError:
            listening.close()
            raise
        return listening

    def _listen_again(self) -> socket.socket:
        invariant(self._listening is not None, "the local socket is served before it is open")
        return cast("socket.socket", self._listening).dup()

    def _end_idle(self) -> bool:
        """Make room by ending the conversation that asks nothing for longest; whether there was."""
        for task, conversation in self._talking.items():
            if conversation.idle_s() >= self._limits.idle_least_s:
                del self._talking[task]
                conversation.end()
                return True
        return False


async def _converse(
    conversation: "_Conversation", writer: asyncio.StreamWriter, handler: Handler | None
) -> None:
    try:
        if handler is None:
            await conversation.refuse_for_load()
        else:
            await conversation.run(handler, _peer_of(writer))
    except ConnectionError:
        pass  # the peer is gone: nobody is left to answer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


class _Conversation:
    """One connection: requests and answers in turn."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limits: Limits
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._limits = limits
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.head_bytes)
        self._bodiless = False
        self._idle_since_s: float | None = None

    def idle_s(self) -> float:
        """How long it has been waited for a request's first byte."""
        if self._idle_since_s is None:
            return 0.0
        return asyncio.get_running_loop().time() - self._idle_since_s

    def end(self) -> None:
        """Let go of a peer that asks nothing."""
        self._writer.transport.abort()

    async def run(self, handler: Handler, peer: Peer) -> None:
        while True:
            try:
                request = await self._receive(peer)
            except _RejectedError as rejected:
                await self._send(rejected.response)
                return
            if request is None:
                return
            try:
                async with asyncio.timeout(self._limits.answer_s):
                    response = await handler(request)
            except TimeoutError:
                response = _error(
                    503,
                    code="overloaded",
                    message="no answer in time",
                    remedy="try again; if it stays so, see `journalctl -u edgectl`",
                )
            if not await self._send(response):
                return
            if self._http.our_state is h11.MUST_CLOSE:
                return
            self._http.start_next_cycle()

    async def refuse_for_load(self) -> None:
        """Answer one connection too many, without waiting for what it asks."""
        await self._send(
            _error(
                503,
                code="overloaded",
                message=f"{self._limits.connections} connections are open, more are not taken",
                remedy="close one, or try again in a moment",
            )
        )

    async def _receive(self, peer: Peer) -> HttpRequest | None:
        """Wait for the next whole request; None when the peer is done."""
        if not await self._wait_for_first_byte():
            return None
        try:
            async with asyncio.timeout(self._limits.request_s):
                head = await self._next_event()
                if not isinstance(head, h11.Request):
                    return None
                self._bodiless = head.method == b"HEAD"
                body = await self._body(head)
        except TimeoutError:
            raise _RejectedError(
                _error(
                    408,
                    code="too_slow",
                    message=f"the request was not complete after {self._limits.request_s:g} s",
                    remedy="send head and body at once",
                )
            ) from None
        except h11.RemoteProtocolError as fault:
            raise _RejectedError(_protocol_error(fault)) from fault
        return _request(head, body, peer)

    async def _wait_for_first_byte(self) -> bool:
        if self._http.trailing_data[0]:
            return True
        self._idle_since_s = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self._limits.idle_s):
                data = await self._reader.read(_READ_CHUNK)
        except TimeoutError:
            return False
        finally:
            self._idle_since_s = None
        if data:
            self._http.receive_data(data)
        return bool(data)

    async def _next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[])
                self._writer.write(self._http.send(go_on))
            self._http.receive_data(await self._reader.read(_READ_CHUNK))
        return event

    async def _body(self, head: h11.Request) -> bytes:
        announced = dict(head.headers).get(b"content-length", b"0")
        if int(announced) > self._limits.body_bytes:
            raise _RejectedError(self._too_large())
        body = bytearray()
        while isinstance(event := await self._next_event(), h11.Data):
            body += event.data
            if len(body) > self._limits.body_bytes:
                raise _RejectedError(self._too_large())
        return bytes(body)

    def _too_large(self) -> HttpResponse:
        return _error(
            413,
            code="too_large",
            message=f"the body is larger than {self._limits.body_bytes} bytes",
            remedy="send less",
        )

    async def _send(self, response: HttpResponse) -> bool:
        """Whether the peer took the answer within its time."""
        body = json.dumps(response.json, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        headers = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
        ]
        if self._http.their_state not in (h11.DONE, h11.MUST_CLOSE):
            headers.append(("Connection", "close"))
        head = h11.Response(status_code=response.status, headers=headers)
        content = h11.Data(data=b"" if self._bodiless else body)
        for part in (head, content, h11.EndOfMessage()):
            self._writer.write(self._http.send(part) or b"")
        try:
            async with asyncio.timeout(self._limits.send_s):
                await self._writer.drain()
        except TimeoutError:
            self._writer.transport.abort()
            return False
        return True


class _RejectedError(Exception):
    """The request ends here, with this answer, and the connection with it."""

    def __init__(self, response: HttpResponse) -> None:
        super().__init__(response.status)
        self.response = response


def group_id_of(name: str) -> int | None:
    """Return the group's number on this machine, None when there is no such group."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None


def _peer_of(writer: asyncio.StreamWriter) -> Peer:
    connection = writer.get_extra_info("socket")
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    pid, uid, gid = struct.unpack("3i", credentials)
    try:
        groups = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _PEER_GROUPS_BYTES)
    except OSError:
        # More groups than fit, or a kernel that does not tell: the rights are those of the first.
        groups = b""
    gids = struct.unpack(f"{len(groups) // 4}I", groups)
    return Peer(pid=pid, uid=uid, gids=frozenset((gid, *gids)))


def _request(head: h11.Request, body: bytes, peer: Peer) -> HttpRequest:
    try:
        target = urlsplit(head.target.decode("ascii"))
        path = unquote(target.path, errors="strict")
        query = dict(parse_qsl(target.query, keep_blank_values=True, errors="strict"))
    except ValueError as fault:
        raise _RejectedError(
            _error(
                400,
                code="malformed",
                message=f"the request's target cannot be read: {fault}",
                remedy="percent-encode names as UTF-8",
            )
        ) from fault
    return HttpRequest(
        method=head.method.decode("ascii"), path=path, query=query, body=body, peer=peer
    )


def _protocol_error(fault: h11.RemoteProtocolError) -> HttpResponse:
    if fault.error_status_hint == 431:
        return _error(
            431,
            code="too_large",
            message="the request's head is too large",
            remedy="send fewer or shorter headers",
        )
    return _error(
        400,
        code="malformed",
        message=f"not HTTP/1.1 as this server reads it: {fault}",
        remedy="use `edgectl`, or `curl --unix-socket PATH http://localhost/v1/status`",
    )


def _error(status: int, *, code: str, message: str, remedy: str) -> HttpResponse:
    error = {"code": code, "message": message, "remedy": remedy}
    return HttpResponse(status, {"error": error})
