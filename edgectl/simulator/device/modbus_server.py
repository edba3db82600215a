"""A station behind a real Modbus server on this machine, its faults included.

pymodbus frames, decodes and encodes. Its own data model gives way to the station, whose registers
move with the physics. Every answer carries the transaction id of its own request, also when it
comes late.
"""

import logging
import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pymodbus.exceptions import ModbusIOException
from pymodbus.pdu import ExceptionResponse, ModbusPDU
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersResponse,
    ReadInputRegistersResponse,
    WriteMultipleRegistersResponse,
    WriteSingleRegisterResponse,
)
from pymodbus.server import ModbusTcpServer
from pymodbus.server.requesthandler import ServerRequestHandler
from pymodbus.simulator import DataType, SimData, SimDevice
from pymodbus.transaction import TransactionManager

from edgectl.model.modbus import Function, Request
from edgectl.model.serial_line import SerialLine
from edgectl.model.site import Link, LinkKind
from edgectl.simulator.device.serial_server import (
    LOOPBACK,
    ConverterServer,
    PtyServer,
    serve_converter,
)
from edgectl.simulator.memory.line import ExceptionCode, Station
from edgectl.units import LinkId

_WORTH_WAITING_S: Final = 0.01
_FUNCTIONS: Final = {function.value: function for function in Function}


class StationServer(ModbusTcpServer):
    """Serves one station on a free port of the loopback interface."""

    def __init__(self, station: Station) -> None:
        # pymodbus wants a data model; requests never reach it.
        unused = SimDevice(id=0, simdata=[SimData(0, values=0, datatype=DataType.REGISTERS)])
        super().__init__(unused, address=(LOOPBACK, 0))
        self.station = station

    @property
    def port(self) -> int:
        """Give the port that it listens on."""
        listener: Any = self.transport
        port: int = listener.sockets[0].getsockname()[1]
        return port

    def link_keys(self, wire: SerialLine) -> dict[str, object]:  # noqa: ARG002 - no serial line
        """Give what a site file says to reach it."""
        return {"host": LOOPBACK, "port": self.port}

    async def stop(self) -> None:
        """Stop listening and drop every connection."""
        await self.shutdown()  # type: ignore[no-untyped-call]

    def callback_new_connection(self) -> ServerRequestHandler:
        """Serve a connection from the station."""
        return _Handler(self)


class _Handler(ServerRequestHandler):
    """One connection. Requests are answered independently of each other."""

    def __init__(self, server: StationServer) -> None:
        super().__init__(server, None, None, None)  # type: ignore[no-untyped-call]
        self._station = server.station

    def callback_data(self, data: bytes, addr: tuple[Any, ...] | None = None) -> int:
        """Take a whole request out of the stream; what cannot be one is dropped."""
        try:
            # pymodbus' own handler would answer it from its data model.
            used = TransactionManager.callback_data(self, data, addr)
        except ModbusIOException:
            return len(data)
        if self.last_pdu is not None:
            self._answer(self.last_pdu)
        return used

    def _answer(self, asked: ModbusPDU) -> None:
        function = _FUNCTIONS.get(asked.function_code)
        if function is None:
            refusal = ExceptionCode.ILLEGAL_FUNCTION.value
            self._send(asked, ExceptionResponse(asked.function_code, refusal))
            return
        words = tuple(asked.registers)
        count = 0 if words else asked.count
        request = Request(asked.dev_id, function, asked.address, count, words)
        delay_s = self._station.delay_s(asked.dev_id, request)
        if math.isinf(delay_s):
            return
        response = self._serve(request)
        if delay_s > _WORTH_WAITING_S:
            self.loop.call_later(delay_s, self._send, asked, response)
        else:
            self._send(asked, response)

    def _serve(self, request: Request) -> ModbusPDU:
        function, address = request.function, request.address
        outcome: tuple[int, ...] | ExceptionCode | None
        if function in {Function.READ_HOLDING, Function.READ_INPUT}:
            outcome = self._station.read(request.unit, function, address, request.count)
        else:
            outcome = self._station.write(request.unit, function, address, request.words)
        if isinstance(outcome, ExceptionCode):
            return ExceptionResponse(function.value, outcome.value)
        words = list(outcome or ())
        if function is Function.READ_HOLDING:
            return ReadHoldingRegistersResponse(registers=words)
        if function is Function.READ_INPUT:
            return ReadInputRegistersResponse(registers=words)
        if function is Function.WRITE_SINGLE:
            return WriteSingleRegisterResponse(address=address, registers=list(request.words))
        return WriteMultipleRegistersResponse(address=address, count=len(request.words))

    def _send(self, asked: ModbusPDU, response: ModbusPDU) -> None:
        response.transaction_id = asked.transaction_id
        response.dev_id = asked.dev_id
        if self.transport:
            self.pdu_send(response)


Server = StationServer | PtyServer | ConverterServer


async def serve_stations(
    stations: Mapping[LinkId, Station], links: Iterable[Link]
) -> dict[LinkId, Server]:
    """Start a server of its kind for every link."""
    logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)
    servers: dict[LinkId, Server] = {}
    for link in links:
        station, wire = stations[link.id], link.serial or SerialLine()
        match link.kind:
            case LinkKind.TCP:
                server = StationServer(station)
                await server.serve_forever(background=True)
                servers[link.id] = server
            case LinkKind.RTU:
                servers[link.id] = PtyServer(station, wire)
            case LinkKind.RTU_OVER_TCP:
                servers[link.id] = await serve_converter(station, wire)
    return servers


async def stop_servers(servers: Mapping[LinkId, Server]) -> None:
    """Stop listening and drop every connection."""
    for server in servers.values():
        await server.stop()
