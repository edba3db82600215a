"""The stations on real sockets, seen by a real client."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusIOException

from edgectl.simulator.depot import Depot, Scenario, build_depot
from edgectl.simulator.device.modbus_server import StationServer, serve_stations, stop_servers
from edgectl.simulator.faults import Fault, FaultKind
from edgectl.units import LinkId
from tests.simulator.world import CHARX, KEBA, METERS, NEXT, Clock, site

Dial = Callable[[LinkId], Awaitable[AsyncModbusTcpClient]]


def with_servers(scenario: Callable[[Dial, Depot], Awaitable[None]], *faults: Fault) -> None:
    async def main() -> None:
        depot = build_depot(
            site(), seed=1, clock=Clock(), scenario=Scenario(faults=faults), record=True
        )
        servers = await serve_stations(depot.stations(), depot.site.links)
        clients: list[AsyncModbusTcpClient] = []

        async def dial(link: LinkId) -> AsyncModbusTcpClient:
            server = servers[link]
            assert isinstance(server, StationServer)
            client = AsyncModbusTcpClient(
                "127.0.0.1", port=server.port, timeout=0.5, retries=0, reconnect_delay=0
            )
            assert await client.connect()
            clients.append(client)
            return client

        try:
            await scenario(dial, depot)
        finally:
            for client in clients:
                client.close()
            await stop_servers(servers)

    asyncio.run(main())


def test_reads_and_writes_reach_the_devices() -> None:
    async def scenario(dial: Dial, depot: Depot) -> None:
        charx, keba, station = await dial(CHARX), await dial(KEBA), await dial(NEXT)
        assert not (await charx.write_register(1301, 16, device_id=255)).isError()
        assert not (await charx.write_registers(2306, [8, 60], device_id=255)).isError()
        answer = await charx.read_holding_registers(1301, count=1, device_id=255)
        assert answer.registers == [16]
        assert (await charx.read_input_registers(2306, count=2, device_id=7)).registers == [8, 60]
        answer = await keba.read_holding_registers(1110, count=2, device_id=255)
        assert answer.registers == [0, 32000]
        answer = await station.read_holding_registers(1000, count=3, device_id=255)
        assert answer.registers == [0, 0, 1]
        meter = await dial(METERS)
        answer = await meter.read_holding_registers(0xA000, count=1, device_id=2)
        assert answer.registers == [7]
        assert sum(map(len, depot.trace.meter_answers_s.values())) == 1

    with_servers(scenario)


def test_refusals_come_as_modbus_exceptions() -> None:
    async def scenario(dial: Dial, _: Depot) -> None:
        keba = await dial(KEBA)
        assert (await keba.read_input_registers(1110, count=2, device_id=255)).exception_code == 1
        assert (await keba.read_holding_registers(1, count=2, device_id=255)).exception_code == 2
        assert (await keba.write_register(5004, 100, device_id=255)).exception_code == 3
        assert not (await keba.write_register(5004, 8000, device_id=255)).isError()
        assert (await keba.write_register(5004, 7000, device_id=255)).exception_code == 6
        assert (await keba.read_holding_registers(1110, count=2, device_id=3)).exception_code == 11
        assert (await keba.read_coils(1, count=1, device_id=255)).exception_code == 1

    with_servers(scenario)


def test_a_silent_charger_lets_the_client_time_out_and_keeps_the_connection() -> None:
    async def scenario(dial: Dial, depot: Depot) -> None:
        keba = await dial(KEBA)
        with pytest.raises(ModbusIOException):
            await keba.read_holding_registers(1110, count=2, device_id=255)
        depot.advance(20.0)
        answer = await keba.read_holding_registers(1110, count=2, device_id=255)
        assert answer.registers == [0, 32000]

    fault = Fault(kind=FaultKind.CHARGER_SILENT, id="k1", at_s=0.0, until_s=20.0)
    with_servers(scenario, fault)


def test_a_late_answer_carries_its_own_transaction_and_serves_no_other_request() -> None:
    async def scenario(dial: Dial, depot: Depot) -> None:
        keba = await dial(KEBA)
        with pytest.raises(ModbusIOException):
            await keba.read_holding_registers(1110, count=2, device_id=255)
        depot.advance(20.0)
        answers = [
            (await keba.read_holding_registers(1040, count=2, device_id=255)).registers
            for _ in range(20)
        ]
        assert answers == [[0, 230]] * 20
        await asyncio.sleep(0.2)
        answer = await keba.read_holding_registers(1040, count=2, device_id=255)
        assert answer.registers == [0, 230]

    fault = Fault(kind=FaultKind.SLOW_REPLIES, id="k1", at_s=0.0, until_s=20.0, delay_s=0.6)
    with_servers(scenario, fault)


def test_a_garbled_answer_is_one_register_short() -> None:
    async def scenario(dial: Dial, _: Depot) -> None:
        meter = await dial(METERS)
        answer = await meter.read_holding_registers(19012, count=6, device_id=1)
        assert len(answer.registers) == 5

    with_servers(scenario, Fault(kind=FaultKind.GARBLED, id="m-grid", at_s=0.0))


def test_nonsense_on_the_wire_does_not_stop_the_server() -> None:
    async def scenario(dial: Dial, _: Depot) -> None:
        keba = await dial(KEBA)
        port = keba.comm_params.port
        _reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x00\x01\x00\x00\x00\x03\xff\x03\x01" + b"\xff" * 300)
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        answer = await keba.read_holding_registers(1110, count=2, device_id=255)
        assert answer.registers == [0, 32000]

    with_servers(scenario)
