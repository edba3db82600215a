"""What goes over a Modbus line and what comes back: values, never exceptions."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Protocol


class Function(IntEnum):
    """Modbus function codes that edgectl uses (Modbus application protocol V1.1b3, 6)."""

    READ_HOLDING = 3
    READ_INPUT = 4
    WRITE_SINGLE = 6
    WRITE_MULTIPLE = 16


class MissCause(StrEnum):
    """Why there is no value."""

    TIMEOUT = "timeout"
    DISCONNECTED = "disconnected"
    EXCEPTION = "exception"
    GARBLED = "garbled"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    A read has `count`, a write has `words` (each 0..65535). Addresses are those on the wire.
    """

    unit: int
    function: Function
    address: int
    count: int = 0
    words: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """A good answer.

    `words` is empty for a write. `sent_s`: monotonic time when the request went out.
    """

    words: tuple[int, ...]
    sent_s: float
    received_s: float


@dataclass(frozen=True, slots=True)
class Miss:
    """No value, and why. `exception_code` is the device's own, where it answered with one."""

    cause: MissCause
    sent_s: float
    received_s: float
    detail: str
    exception_code: int | None = None


class Line(Protocol):
    """One Modbus connection, used by one task at a time; no fault of the world is raised."""

    async def open(self, *, timeout_s: float) -> Miss | None:
        """Connect; None when it stands."""

    async def exchange(self, request: Request, *, timeout_s: float) -> Answer | Miss:
        """Send one request, wait for its answer; a late answer never serves another request."""

    async def close(self) -> None:
        """Let go of the connection."""
