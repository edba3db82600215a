"""Modbus TCP on pymodbus: every answer is checked here before anybody believes it.

pymodbus takes any function code, any number of registers, a transaction id of zero and, for unit 0,
any unit for an answer; it lets a request wait for its timeout when the peer has hung up, and raises
before the await when there is no connection. So:

1. An answer counts only with the transaction id, unit and function of its request, and with the
   number of registers asked for, or the echo of what was written.
2. What is late, belongs to nobody or cannot be read is nobody's answer. Where the stream itself is
   in doubt the connection is dropped, so that no rest of it can be taken for something else.
3. One request is out at a time; there are no retries and no reconnects but those that the caller
   asks for.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException
from pymodbus.framer import FramerSocket
from pymodbus.pdu import DecodePDU, ModbusPDU

from edgectl.adapters.modbus_pdu import judged, pdu_of
from edgectl.model.modbus import Answer, Miss, MissCause, Request
from edgectl.model.ports import Clock

# The waits of this module end first, always.
_NEVER_S: Final = 3600.0
_NEVER_COUNT: Final = 1_000_000_000

# Room for a late answer and the one after it, which may come in one piece.
_BUFFER_BYTES: Final = 4096


class TcpLine:
    """`edgectl.model.modbus.Line` over one TCP connection."""

    def __init__(self, *, host: str, port: int, clock: Clock) -> None:
        # Its error lines dump frames of any connection; the owner of the line says what matters.
        logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)
        self._host = host
        self._port = port
        self._clock = clock
        self._client: AsyncModbusTcpClient | None = None
        self._doubt = ""
        self._asking = False

    async def open(self, *, timeout_s: float) -> Miss | None:
        """Connect; None when it stands. A connection that stood before is let go first."""
        await self.close()
        sent_s = self._clock.monotonic_s()
        client = AsyncModbusTcpClient(
            self._host,
            port=self._port,
            timeout=_NEVER_S,
            retries=0,
            reconnect_delay=0,
            trace_connect=self._on_connection,
        )
        client.set_max_no_responses(_NEVER_COUNT)
        self._doubt = ""
        client.ctx.framer = _Framer(self._on_unreadable)
        client.ctx.max_buffer_size = _BUFFER_BYTES
        where = f"{self._host} port {self._port}"
        try:
            async with asyncio.timeout(timeout_s):
                connected = await client.connect()
        except TimeoutError:
            client.close()
            detail = f"no connection to {where} within {timeout_s:g} s"
            return self._miss(MissCause.DISCONNECTED, sent_s, detail)
        except BaseException:
            client.close()
            raise
        if not connected:
            client.close()
            detail = f"{where} refuses the connection or cannot be reached"
            return self._miss(MissCause.DISCONNECTED, sent_s, detail)
        self._client = client
        return None

    async def exchange(self, request: Request, *, timeout_s: float) -> Answer | Miss:
        """Send one request and wait for its answer; a late answer never serves another request."""
        client = self._client
        sent_s = self._clock.monotonic_s()
        if client is None or not client.connected:
            return self._miss(MissCause.DISCONNECTED, sent_s, "not connected")
        if self._doubt or _leftover(client):
            await self.close()
            detail = self._doubt or "bytes that belong to no request"
            return self._miss(MissCause.DISCONNECTED, sent_s, f"dropped the connection: {detail}")
        pdu = pdu_of(request)
        self._asking = True
        try:
            async with asyncio.timeout(timeout_s):
                response: ModbusPDU = await client.execute(False, pdu)
        except TimeoutError:
            if _leftover(client):
                await self.close()
                detail = f"half an answer within {timeout_s:g} s"
                return self._miss(MissCause.GARBLED, sent_s, detail)
            return self._miss(MissCause.TIMEOUT, sent_s, f"no answer within {timeout_s:g} s")
        except ConnectionException:
            await self.close()
            return self._miss(MissCause.DISCONNECTED, sent_s, "the connection was lost")
        except ModbusException as fault:
            await self.close()
            return self._miss(MissCause.GARBLED, sent_s, str(fault))
        finally:
            self._asking = False
        return await self._checked(request, pdu, response, sent_s)

    async def close(self) -> None:
        """Let go of the connection."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    async def _checked(
        self, request: Request, pdu: ModbusPDU, response: ModbusPDU, sent_s: float
    ) -> Answer | Miss:
        if response.transaction_id != pdu.transaction_id or response.dev_id != request.unit:
            await self.close()
            detail = (
                f"an answer of unit {response.dev_id} to transaction {response.transaction_id},"
                f" asked were unit {request.unit} and transaction {pdu.transaction_id}"
            )
            return self._miss(MissCause.GARBLED, sent_s, detail)
        return judged(request, response, sent_s=sent_s, received_s=self._clock.monotonic_s())

    def _on_connection(self, connected: bool) -> None:  # noqa: FBT001 - pymodbus calls it so
        # pymodbus leaves a waiting request to its timeout when the peer hangs up.
        if not connected:
            self._end_waiting(ConnectionException("the peer hung up"))

    def _on_unreadable(self, detail: str) -> None:
        self._doubt = detail
        self._end_waiting(ModbusException(detail))

    def _end_waiting(self, fault: ModbusException) -> None:
        if self._client is None or not self._asking:
            return
        waiting = self._client.ctx.response_future
        if not waiting.done():
            waiting.set_exception(fault)

    def _miss(self, cause: MissCause, sent_s: float, detail: str) -> Miss:
        return Miss(cause=cause, sent_s=sent_s, received_s=self._clock.monotonic_s(), detail=detail)


class _Framer(FramerSocket):
    """A framer that reports what it cannot read; pymodbus would raise into the event loop."""

    def __init__(self, on_unreadable: Callable[[str], None]) -> None:
        super().__init__(DecodePDU(False))
        self._on_unreadable = on_unreadable

    def handleFrame(  # noqa: N802 - the name is pymodbus's
        self, data: bytes, exp_devid: int, exp_tid: int
    ) -> tuple[int, ModbusPDU | None]:
        """Find the answer in `data`; what cannot be read is dropped and reported."""
        try:
            return super().handleFrame(data, exp_devid, exp_tid)
        except ModbusException:
            self._on_unreadable(f"an answer that is no Modbus: {data[:16].hex(' ')}")
            return len(data), None


def _leftover(client: AsyncModbusTcpClient) -> int:
    return len(client.ctx.recv_buffer)
