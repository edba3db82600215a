"""A Modbus line without sockets: the same promises as the real one, over a station in memory.

1. A request reaches the station the moment it is sent; its answer takes `delay_s` to come back.
2. A delay that is infinite means that the request never arrived: nothing is read or written.
3. A finite delay beyond the timeout means that the answer was lost: a write has happened.
4. On a serial line every character takes its time, and an answer that is missed holds the line for
   as long again, or until it has come.
"""

import math
from enum import IntEnum
from typing import Final, Protocol

from edgectl.model.modbus import Answer, Function, Miss, MissCause, Request
from edgectl.model.ports import Clock
from edgectl.model.serial_line import SerialLine

_READS: Final = frozenset({Function.READ_HOLDING, Function.READ_INPUT})


class ExceptionCode(IntEnum):
    """Modbus exception codes (Modbus application protocol V1.1b3, 7)."""

    ILLEGAL_FUNCTION = 1
    ILLEGAL_ADDRESS = 2
    ILLEGAL_VALUE = 3
    DEVICE_FAILURE = 4
    ACKNOWLEDGE = 5
    DEVICE_BUSY = 6
    NEGATIVE_ACKNOWLEDGE = 7
    MEMORY_PARITY = 8
    GATEWAY_PATH = 10
    GATEWAY_TARGET = 11


class Station(Protocol):
    """Everything that answers at the far end of one connection. Addresses are those on the wire."""

    def read(
        self, unit: int, function: Function, address: int, count: int
    ) -> tuple[int, ...] | ExceptionCode:
        """Give the registers as they stand now; a wrong number of them is garbled to the caller."""

    def write(
        self, unit: int, function: Function, address: int, words: tuple[int, ...]
    ) -> ExceptionCode | None:
        """Take the words; None when they were taken."""

    def delay_s(self, unit: int, request: Request) -> float:
        """Give the time from the request to its answer; infinite when the request gets lost."""


class MemoryLine:
    """`edgectl.model.modbus.Line` over a station; `reachable` cuts and mends the connection."""

    def __init__(
        self,
        station: Station,
        clock: Clock,
        *,
        connect_s: float = 0.0,
        serial: SerialLine | None = None,
    ) -> None:
        self.reachable = True
        self._station = station
        self._clock = clock
        self._connect_s = connect_s
        self._serial = serial
        self._open = False

    async def open(self, *, timeout_s: float) -> Miss | None:
        """Connect; None when it stands."""
        sent_s = self._clock.monotonic_s()
        await self._clock.sleep_until(sent_s + min(self._connect_s, timeout_s))
        if self._cut() or self._connect_s > timeout_s:
            return self._miss(MissCause.DISCONNECTED, sent_s, "the station cannot be reached")
        self._open = True
        return None

    async def exchange(self, request: Request, *, timeout_s: float) -> Answer | Miss:
        """Send one request and wait for its answer."""
        sent_s = self._clock.monotonic_s()
        if self._cut() or not self._open:
            return self._miss(MissCause.DISCONNECTED, sent_s, "not connected")
        delay_s = self._station.delay_s(request.unit, request)
        outcome = None if math.isinf(delay_s) else self._serve(request)
        wire_s = 0.0 if self._serial is None else self._serial.wire_s(request)
        patience_s = timeout_s if self._serial is None or delay_s <= timeout_s else 2.0 * timeout_s
        await self._clock.sleep_until(sent_s + wire_s + min(delay_s, patience_s))
        if self._cut():
            return self._miss(MissCause.DISCONNECTED, sent_s, "the connection was lost")
        if delay_s > timeout_s or outcome is None:
            return self._miss(MissCause.TIMEOUT, sent_s, f"no answer within {timeout_s:g} s")
        if isinstance(outcome, ExceptionCode):
            return Miss(
                cause=MissCause.EXCEPTION,
                sent_s=sent_s,
                received_s=self._clock.monotonic_s(),
                detail=f"the device answered with exception {outcome.value}",
                exception_code=outcome.value,
            )
        if len(outcome) != request.count:
            detail = f"{len(outcome)} registers came where {request.count} were asked for"
            return self._miss(MissCause.GARBLED, sent_s, detail)
        return Answer(words=outcome, sent_s=sent_s, received_s=self._clock.monotonic_s())

    async def close(self) -> None:
        """Let go of the connection."""
        self._open = False

    def _cut(self) -> bool:
        if not self.reachable:
            self._open = False
        return not self.reachable

    def _serve(self, request: Request) -> tuple[int, ...] | ExceptionCode:
        if request.function in _READS:
            return self._station.read(
                request.unit, request.function, request.address, request.count
            )
        refused = self._station.write(
            request.unit, request.function, request.address, request.words
        )
        return () if refused is None else refused

    def _miss(self, cause: MissCause, sent_s: float, detail: str) -> Miss:
        return Miss(cause=cause, sent_s=sent_s, received_s=self._clock.monotonic_s(), detail=detail)
