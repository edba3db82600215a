"""Modbus RTU on pymodbus, over a serial device or over TCP to a converter.

A frame has neither length nor transaction id, only a checksum and silence around it. pymodbus takes
a late answer for the next request's, throws away what follows a byte of noise, and says nothing of
a device that cannot be opened. So:

1. An answer counts only with the unit, function and size of its request and a right checksum.
   Noise before it is passed over; frames of other units are nobody's answer.
2. Who has not answered in time may still do so. The line then stays silent for as long again, or
   until the late answer has come, before `exchange` returns; over TCP, where a network can hold
   bytes longer than that, the connection is opened anew as well. A request that was cancelled
   leaves the same silence to the next one.
3. Between two frames there is the silence of the line's speed. A timeout is the device's own time:
   what the characters take on the wire is added.
4. A serial device belongs to one process: locked, and closed to others, while it is open.
"""

import asyncio
import contextlib
import errno
import fcntl
import logging
import os
import termios
from collections.abc import Callable
from typing import Final

from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException
from pymodbus.framer import FramerRTU
from pymodbus.framer.base import FramerType
from pymodbus.pdu import DecodePDU, ModbusPDU

from edgectl.adapters.modbus_pdu import judged, pdu_of
from edgectl.model.modbus import Answer, Miss, MissCause, Request
from edgectl.model.ports import Clock
from edgectl.model.serial_line import SerialLine, frame_bytes

# The waits of this module end first, always.
_NEVER_S: Final = 3600.0
_NEVER_COUNT: Final = 1_000_000_000
_BUFFER_BYTES: Final = 4096

# Adapters hand bytes on in lumps: a silence is one only if it is longer than the space between two.
_LUMP_S: Final = 0.02
_BABBLE_S: Final = 1.0

_FIXED_SIZES: Final = {6: 8, 16: 8}
_SIZES_BY_COUNT: Final = frozenset({3, 4})
_EXCEPTION_SIZE: Final = 5
_LEAST_SIZE: Final = 5

_PLAIN: Final = {
    errno.EACCES: "no permission; the daemon's user must be in the device's group (dialout)",
    errno.EAGAIN: "another program has it locked",
    errno.EBUSY: "another program has it open",
    errno.ENOENT: "no such device; is the adapter plugged in?",
}

Client = AsyncModbusSerialClient | AsyncModbusTcpClient


class RtuLine:
    """`edgectl.model.modbus.Line` with RTU frames. Made by `serial_line` or `rtu_over_tcp_line`."""

    def __init__(
        self,
        *,
        client: Callable[[Callable[[bool], None]], Client],
        where: str,
        wire: SerialLine,
        clock: Clock,
        reopens: bool,
    ) -> None:
        # Its error lines dump frames of any connection; the owner of the line says what matters.
        logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)
        self._make_client = client
        self._where = where
        self._wire = wire
        self._clock = clock
        self._reopens = reopens
        self._client: Client | None = None
        self._framer = _Framer(self._on_frame, self._on_broken)
        self._asking = False
        self._heard_s = -_NEVER_S
        self._silent_until_s = -_NEVER_S
        self._late = asyncio.Event()
        self._stale = False

    async def open(self, *, timeout_s: float) -> Miss | None:
        """Open the device or connect; None when it stands. What stood before is let go first."""
        await self.close()
        sent_s = self._clock.monotonic_s()
        client = self._make_client(self._on_connection)
        client.set_max_no_responses(_NEVER_COUNT)
        client.ctx.framer = self._framer
        client.ctx.max_buffer_size = _BUFFER_BYTES
        why = _why_of(client)
        try:
            async with asyncio.timeout(timeout_s):
                connected = await client.connect()
                # pymodbus sets a serial device up in the loop's next turn.
                await asyncio.sleep(0)
        except TimeoutError:
            client.close()
            detail = f"no connection to {self._where} within {timeout_s:g} s"
            return self._miss(MissCause.DISCONNECTED, sent_s, detail)
        except termios.error as fault:
            detail = f"{self._where} does not take {self._wire}: {fault.args[-1]}"
            return self._miss(MissCause.DISCONNECTED, sent_s, detail)
        except BaseException:
            client.close()
            raise
        if not connected:
            client.close()
            detail = f"{self._where} cannot be opened: {why() or 'no reason given'}"
            return self._miss(MissCause.DISCONNECTED, sent_s, detail)
        _close_to_others(client)
        self._client = client
        self._stale = False
        return None

    async def exchange(self, request: Request, *, timeout_s: float) -> Answer | Miss:
        """Send one request and wait for its answer; a late answer never serves another request.

        `timeout_s` is the device's own time. Returns when the line is free again.
        """
        await self._free_line()
        sent_s = self._clock.monotonic_s()
        if self._stale and (miss := await self.open(timeout_s=timeout_s)) is not None:
            return miss
        client = self._client
        if client is None or not client.connected:
            return self._miss(MissCause.DISCONNECTED, sent_s, "not connected")
        sent_s = self._clock.monotonic_s()
        waits_s = timeout_s + self._wire.wire_s(request)
        self._framer.expect(request)
        self._late.clear()
        self._asking = True
        try:
            async with asyncio.timeout(waits_s):
                response = await client.execute(False, pdu_of(request))
        except TimeoutError:
            self._asking = False
            return await self._unanswered(client, sent_s, timeout_s=timeout_s)
        except asyncio.CancelledError:
            self._silent_until_s = sent_s + waits_s + timeout_s
            raise
        except ConnectionException as fault:
            await self.close()
            return self._miss(MissCause.DISCONNECTED, sent_s, f"{self._where} is gone: {fault}")
        except ModbusException as fault:
            return self._miss(MissCause.GARBLED, sent_s, fault.string)
        finally:
            self._asking = False
        received_s = self._clock.monotonic_s()
        return judged(request, response, sent_s=sent_s, received_s=received_s)

    async def close(self) -> None:
        """Let go of the device or connection."""
        client, self._client = self._client, None
        if client is not None:
            _open_to_others(client)
            client.close()

    async def _free_line(self) -> None:
        """Wait until no late answer can come any more, and until the gap between two frames."""
        left_s = self._silent_until_s - self._clock.monotonic_s()
        if left_s > 0.0:
            try:
                async with asyncio.timeout(left_s):
                    await self._late.wait()
            except TimeoutError:
                self._stale = self._reopens
                await self._hush(_LUMP_S)
            self._silent_until_s = -_NEVER_S
        await self._hush(self._wire.gap_s)

    async def _hush(self, silence_s: float) -> None:
        """Wait until nothing has come for so long; who babbles without end is talked over."""
        end_s = self._clock.monotonic_s() + _BABBLE_S
        while (free_s := min(self._heard_s + silence_s, end_s)) > self._clock.monotonic_s():
            await self._clock.sleep_until(free_s)

    async def _unanswered(self, client: Client, sent_s: float, *, timeout_s: float) -> Miss:
        """Stay silent while the answer may still come, and say what came of the request."""
        came = bytes(client.ctx.recv_buffer)
        others = self._framer.others
        self._silent_until_s = self._clock.monotonic_s() + timeout_s
        await self._free_line()
        if self._late.is_set():
            took_s = self._clock.monotonic_s() - sent_s
            detail = f"no answer within {timeout_s:g} s, it came after {took_s:.2f} s"
            return self._miss(MissCause.TIMEOUT, sent_s, detail)
        if came:
            shown = came[:16].hex(" ")
            return self._miss(MissCause.GARBLED, sent_s, self._framer.unreadable(came, shown))
        detail = f"no answer within {timeout_s:g} s"
        if others:
            detail += f", but one of unit {others[-1]}"
        return self._miss(MissCause.TIMEOUT, sent_s, detail)

    def _on_frame(self, *, whole: bool) -> None:
        """Take that bytes came; `whole`: a frame of the unit and function last asked for."""
        self._heard_s = self._clock.monotonic_s()
        if whole and not self._asking:
            self._late.set()

    def _on_broken(self, detail: str) -> None:
        self._end_waiting(ModbusException(detail))

    def _on_connection(self, connected: bool) -> None:  # noqa: FBT001 - pymodbus calls it so
        # pymodbus leaves a waiting request to its timeout when the other end is gone.
        if not connected:
            self._end_waiting(ConnectionException("unplugged or switched off"))

    def _end_waiting(self, fault: ModbusException) -> None:
        if self._client is None or not self._asking:
            return
        waiting = self._client.ctx.response_future
        if not waiting.done():
            waiting.set_exception(fault)

    def _miss(self, cause: MissCause, sent_s: float, detail: str) -> Miss:
        return Miss(cause=cause, sent_s=sent_s, received_s=self._clock.monotonic_s(), detail=detail)


def serial_line(*, device: str, wire: SerialLine, clock: Clock) -> RtuLine:
    """Make the line of a serial device."""

    def client(on_connection: Callable[[bool], None]) -> Client:
        return AsyncModbusSerialClient(
            device,
            baudrate=wire.baud,
            parity=wire.parity.value,
            stopbits=wire.stop_bits,
            timeout=_NEVER_S,
            retries=0,
            reconnect_delay=0,
            trace_connect=on_connection,
        )

    return RtuLine(client=client, where=device, wire=wire, clock=clock, reopens=False)


def rtu_over_tcp_line(*, host: str, port: int, wire: SerialLine, clock: Clock) -> RtuLine:
    """Make the line of a converter that hands on RTU frames; `wire` is the line behind it."""

    def client(on_connection: Callable[[bool], None]) -> Client:
        return AsyncModbusTcpClient(
            host,
            port=port,
            framer=FramerType.RTU,
            timeout=_NEVER_S,
            retries=0,
            reconnect_delay=0,
            trace_connect=on_connection,
        )

    where = f"{host} port {port}"
    return RtuLine(client=client, where=where, wire=wire, clock=clock, reopens=True)


class _Framer(FramerRTU):
    """Finds the frame that was asked for among the bytes that came, and nothing else."""

    def __init__(self, on_frame: Callable[..., None], on_broken: Callable[[str], None]) -> None:
        super().__init__(DecodePDU(False))
        self._on_frame = on_frame
        self._on_broken = on_broken
        self._unit = 0
        self._function = 0
        self._sent = b""
        self._answer_bytes = 0
        self.others: list[int] = []

    def expect(self, request: Request) -> None:
        """Know what answer may come."""
        self._unit, self._function = request.unit, int(request.function)
        self._sent = self.buildFrame(pdu_of(request))
        self._answer_bytes = frame_bytes(request)[1]
        self.others = []

    def unreadable(self, came: bytes, shown: str) -> str:
        """Say what is wrong with bytes that hold no answer."""
        if came.startswith(self._sent) and self._function != 6:
            return "the line echoes what is sent: switch the adapter's echo off"
        return f"no answer among what came: {shown}"

    def handleFrame(  # noqa: N802 - the name is pymodbus's
        self,
        data: bytes,
        exp_devid: int,  # noqa: ARG002 - of the last request, as `expect` knows
        exp_tid: int,  # noqa: ARG002 - RTU has none
    ) -> tuple[int, ModbusPDU | None]:
        """Find the answer; tells how many bytes are done with."""
        used = 0
        while (size := _size(data[used:])) and self._sound(data[used : used + size]):
            unit, function = data[used], data[used + 1]
            if unit == self._unit:
                exact = function & 0x7F == self._function
                return len(data), self._decoded(data[used : used + size], exact=exact)
            self.others.append(unit)
            used += size
        for start in range(used, len(data) - 1):
            if data[start] != self._unit or data[start + 1] & 0x7F != self._function:
                continue
            frame = data[start : start + _size(data[start:])]
            if self._sound(frame):
                return len(data), self._decoded(frame, exact=True)
            if len(frame) == self._answer_bytes:
                self._on_frame(whole=False)
                self._on_broken(f"a checksum error: {frame[:16].hex(' ')}")
                return len(data), None
        self._on_frame(whole=False)
        return used, None

    def _sound(self, frame: bytes) -> bool:
        if not frame:
            return False
        return self.check_CRC(frame[:-2], int.from_bytes(frame[-2:], "big"))

    def _decoded(self, frame: bytes, *, exact: bool) -> ModbusPDU | None:
        self._on_frame(whole=exact)
        try:
            pdu = self.decoder.decode(frame[1:-2])
        except ModbusException:
            pdu = None
        if pdu is None:
            self._on_broken(f"an answer that is no Modbus: {frame[:16].hex(' ')}")
            return None
        pdu.dev_id = frame[0]
        pdu.transaction_id = 0
        return pdu


def _size(data: bytes) -> int:
    """Size of the frame at the start of the bytes; 0: none that is known, or not all of it yet."""
    if len(data) < _LEAST_SIZE:
        return 0
    function = data[1]
    if function & 0x80:
        size = _EXCEPTION_SIZE
    elif function in _SIZES_BY_COUNT:
        size = 5 + data[2]
    else:
        size = _FIXED_SIZES.get(function, 0)
    return size if size <= len(data) else 0


def _why_of(client: Client) -> Callable[[], str]:
    """Have the reason of a failed opening kept; pymodbus gives False alone."""
    inner = client.ctx.call_create
    faults: list[OSError] = []

    async def create() -> object:
        try:
            return await inner()
        except OSError as fault:
            faults.append(fault)
            raise

    def why() -> str:
        if not faults:
            return ""
        number = faults[-1].errno
        if number in _PLAIN:
            return _PLAIN[number]
        return os.strerror(number) if number else str(faults[-1])

    client.ctx.call_create = create
    return why


def _descriptor(client: Client) -> int | None:
    """Descriptor of an open serial device; None for a connection."""
    port = getattr(client.ctx.transport, "sync_serial", None)
    return None if port is None else int(port.fileno())


def _close_to_others(client: Client) -> None:
    """Beside pyserial's lock, which only those heed that ask for it, refuse every other opening."""
    descriptor = _descriptor(client)
    if descriptor is not None:
        with contextlib.suppress(OSError):
            fcntl.ioctl(descriptor, termios.TIOCEXCL)


def _open_to_others(client: Client) -> None:
    with contextlib.suppress(OSError):
        descriptor = _descriptor(client)
        if descriptor is not None:
            fcntl.ioctl(descriptor, termios.TIOCNXCL)
