"""MQTT 5 as it goes over the wire: what we ask for, and what the broker asks of us."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edgectl.adapters.mqtt import MqttBroker
from edgectl.errors import Unreachable
from edgectl.model.settings import BrokerAddress, MqttProtocol, MqttSettings
from edgectl.model.telemetry import OutMessage, Subscription
from tests.mqtt.mosquitto import Mosquitto, consumer, foreign_client, until
from tests.mqtt.worlds import WILL, a_broker


def with_mosquitto(
    folder: Path, use: Callable[[Mosquitto], Coroutine[Any, Any, None]], *, extra: str = ""
) -> None:
    mosquitto = Mosquitto(folder, extra=extra)
    mosquitto.start()
    try:
        asyncio.run(use(mosquitto))
    finally:
        mosquitto.end()


def delayed(port: int, *, will_delay_s: int, identifier: str = "edgectl-test") -> MqttBroker:
    return MqttBroker(
        MqttSettings(
            brokers=(BrokerAddress(host="127.0.0.1", port=port),), protocol=MqttProtocol.V5
        ),
        identifier=identifier,
        will_delay_s=will_delay_s,
        timeout_s=5.0,
    )


async def lose(broker: MqttBroker) -> None:
    with pytest.raises(ZeroDivisionError):
        async with broker.connect(will=WILL):
            raise ZeroDivisionError


def test_a_short_loss_is_not_told_and_a_long_one_is(tmp_path: Path) -> None:
    async def use(mosquitto: Mosquitto) -> None:
        async with consumer(mosquitto.port) as seen:
            await lose(delayed(mosquitto.port, will_delay_s=2))
            async with delayed(mosquitto.port, will_delay_s=2).connect(will=WILL):
                await asyncio.sleep(3)
                assert seen.messages == []
            await lose(delayed(mosquitto.port, will_delay_s=1))
            await until(lambda: (WILL.topic, WILL.payload) in [one[:2] for one in seen.messages])

    with_mosquitto(tmp_path, use)


def test_publishes_say_what_they_are_and_an_answer_when_it_is_of_no_use_any_more(
    tmp_path: Path,
) -> None:
    async def use(mosquitto: Mosquitto) -> None:
        async with foreign_client(mosquitto.port, identifier="desk") as desk:
            await desk.subscribe("#", 1)
            async with a_broker(mosquitto.port).connect(will=WILL) as session:
                await session.publish(OutMessage("a", b"{}"))
                await session.publish(OutMessage("b", b"{}", correlation=b"\x07", expiry_s=60))
            got: list[aiomqtt.Message] = []
            async for message in desk.messages:
                got.append(message)
                if len(got) == 2:
                    break
        plain: Any = got[0].properties
        answer: Any = got[1].properties
        assert plain.ContentType == "application/json"
        assert plain.PayloadFormatIndicator == 1
        assert not hasattr(plain, "MessageExpiryInterval")
        assert answer.CorrelationData == b"\x07"
        assert 50 < answer.MessageExpiryInterval <= 60

    with_mosquitto(tmp_path, use)


def test_a_command_whose_time_ran_out_at_the_broker_does_not_come(tmp_path: Path) -> None:
    async def use(mosquitto: Mosquitto) -> None:
        broker = a_broker(mosquitto.port)
        async with broker.connect(will=WILL) as session:
            await session.subscribe([Subscription("command/+")])
        async with foreign_client(mosquitto.port) as utility:
            for name, expiry_s in (("old", 1), ("good", 600)):
                properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
                properties.MessageExpiryInterval = expiry_s
                await utility.publish(f"command/{name}", b"{}", qos=1, properties=properties)
        await asyncio.sleep(2.5)
        async with broker.connect(will=WILL) as session:
            async with asyncio.timeout(10):
                async for message in session.messages():
                    assert message.topic == "command/good"
                    break

    with_mosquitto(tmp_path, use)


def test_no_more_is_in_flight_than_the_broker_receives_and_the_order_stays(
    tmp_path: Path,
) -> None:
    async def use(mosquitto: Mosquitto) -> None:
        async with (
            consumer(mosquitto.port) as seen,
            a_broker(mosquitto.port).connect(will=WILL) as session,
        ):
            assert session._room._value == 3
            messages = [OutMessage("t", b"%d" % number) for number in range(200)]
            outcomes = await asyncio.gather(*(session.publish(one) for one in messages))
            assert outcomes == [None] * 200
            await until(lambda: len(seen.messages) == 200)
            assert [payload for _, payload, _ in seen.messages] == [one.payload for one in messages]

    with_mosquitto(tmp_path, use, extra="max_inflight_messages 3")


def test_a_packet_beyond_the_brokers_bound_is_not_sent_and_ends_nothing(tmp_path: Path) -> None:
    async def use(mosquitto: Mosquitto) -> None:
        async with a_broker(mosquitto.port).connect(will=WILL) as session:
            denial = await session.publish(OutMessage("t", b"x" * 5000))
            assert denial is not None
            assert (denial.code, "4096" in denial.text) == (149, True)
            assert await session.publish(OutMessage("t", b"x" * 3900)) is None

    with_mosquitto(tmp_path, use, extra="max_packet_size 4096")


def test_two_gateways_with_one_identity_are_told_apart_from_a_bad_network() -> None:
    """This broker says why it ends a connection; mosquitto 2.0.11 only ends it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(b"\x20\x03\x00\x00\x00")
        await asyncio.sleep(0.1)
        writer.write(b"\xe0\x02\x8e\x00")
        await writer.drain()
        writer.close()

    async def visit(port: int) -> None:
        async with a_broker(port).connect(will=WILL) as session:
            async for message in session.messages():
                assert message is None

    async def main() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(Unreachable, match="two gateways with one site id"):
                await visit(port)

    asyncio.run(main())
