"""What is particular to the real thing: plain refused, ways that lead nowhere."""

import asyncio
import socket
from pathlib import Path

import pytest

from edgectl.adapters.mqtt import MqttBroker
from edgectl.errors import BadInput, Unreachable
from edgectl.model.settings import BrokerAddress, MqttSettings
from edgectl.model.telemetry import Broker, OutMessage
from tests.mqtt.mosquitto import Mosquitto, free_port
from tests.mqtt.worlds import WILL, a_broker


async def visit(broker: Broker) -> None:
    async with broker.connect(will=WILL) as session:
        assert await session.publish(OutMessage("t", b"x")) is None


def failure_of(broker: Broker) -> str:
    with pytest.raises(Unreachable) as failed:
        asyncio.run(visit(broker))
    return str(failed.value)


def test_a_plain_connection_off_this_machine_is_refused() -> None:
    settings = MqttSettings(
        brokers=(
            BrokerAddress(host="127.0.0.1", port=1883),
            BrokerAddress(host="broker.region.example", port=1883),
        )
    )
    with pytest.raises(BadInput, match=r"mqtt\.ca.*broker\.region\.example:1883.*TLS"):
        MqttBroker(settings, identifier="x")


def test_nobody_there_is_said_with_host_and_port() -> None:
    port = free_port()
    assert f"127.0.0.1:{port}" in failure_of(a_broker(port))


def test_a_server_that_never_answers_is_left_in_time() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        assert "timed out" in failure_of(a_broker(silent.getsockname()[1], timeout_s=0.3))


def test_the_next_broker_is_tried_when_one_fails(tmp_path: Path) -> None:
    mosquitto = Mosquitto(tmp_path)
    mosquitto.start()
    ports = (free_port(), mosquitto.port)
    broker = MqttBroker(
        MqttSettings(brokers=tuple(BrokerAddress(host="127.0.0.1", port=port) for port in ports)),
        identifier="edgectl-test",
    )
    try:
        assert str(ports[0]) in failure_of(broker)
        asyncio.run(visit(broker))
        # After a connection that ended the first one has its turn again.
        assert broker.name == f"127.0.0.1:{ports[0]}"
    finally:
        mosquitto.end()


def test_a_cancelled_attempt_leaves_nothing_open() -> None:
    async def main() -> None:
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            attempt = asyncio.create_task(visit(a_broker(silent.getsockname()[1], timeout_s=1.0)))
            await asyncio.sleep(0.1)
            attempt.cancel()
            await asyncio.wait([attempt])
            assert attempt.cancelled()
            peer, _ = silent.accept()
            with peer:
                peer.settimeout(10)
                # The CONNECT packet, then the end.
                while await asyncio.to_thread(peer.recv, 4096):
                    pass

    asyncio.run(main())
