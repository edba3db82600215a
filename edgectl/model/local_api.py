"""The local API's port: who asks, what is asked, what is answered; HTTP in meaning only."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end, as the kernel vouches for it. `gids`: every group of the process."""

    pid: int
    uid: int
    gids: frozenset[int]


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One whole request. `path` is decoded, without the query; `body` is bounded by the server."""

    method: str
    path: str
    peer: Peer
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """One answer: a status code and a value that JSON can say."""

    status: int
    json: object


Handler: TypeAlias = Callable[[HttpRequest], Awaitable[HttpResponse]]


class LocalServer(Protocol):
    """Serves the local API. `open` comes first, before anything is written to a charger."""

    def open(self) -> None:
        """Take lock and path; `Refused` if another daemon has them, `Unreachable` if impossible."""

    async def serve(self, handler: Handler) -> None:
        """Answer until cancelled."""

    def close(self) -> None:
        """Let go of path and lock."""
