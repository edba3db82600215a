"""Several brokers in their order: the next when one fails, and back when it answers again."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from edgectl.adapters.clock import SystemClock
from edgectl.adapters.mqtt import MqttBroker
from edgectl.adapters.mqtt_choice import LOOK_MOST_S, BrokerChoice
from edgectl.adapters.outbox import SqliteOutbox
from edgectl.contract.messages import thin
from edgectl.errors import Unreachable
from edgectl.model.settings import BrokerAddress, MqttSettings
from edgectl.model.telemetry import Incoming
from tests.mqtt.keys import make_keys, tls_mosquitto
from tests.mqtt.mosquitto import until
from tests.mqtt.site import a_publisher
from tests.mqtt.test_mosquitto import QUICK
from tests.mqtt.worlds import WILL


def three() -> MqttSettings:
    return MqttSettings(
        brokers=tuple(BrokerAddress(host="127.0.0.1", port=port) for port in (1, 2, 3))
    )


def port_of(choice: BrokerChoice) -> int:
    return choice.address.port


def test_the_next_one_after_a_failure_and_the_first_after_the_last() -> None:
    choice = BrokerChoice(three(), look_s=60.0, timeout_s=1.0)
    tried = []
    for _ in range(5):
        tried.append(port_of(choice))
        choice.failed()
    assert tried == [1, 2, 3, 1, 2]
    choice.connected()
    choice.ended()
    assert port_of(choice) == 1


def test_the_first_one_in_use_needs_no_looks() -> None:
    async def main() -> None:
        choice = BrokerChoice(three(), look_s=0.001, timeout_s=0.1)
        said: list[str] = []
        watch = choice.watch(said.append)
        await asyncio.sleep(0.05)
        watch.close()
        assert said == []
        assert watch._timer is None

    asyncio.run(main())


def test_looks_become_rarer_when_a_return_fails_and_are_bounded() -> None:
    choice = BrokerChoice(three(), look_s=60.0, timeout_s=1.0)
    for expected in (120.0, 240.0, 480.0, 960.0, 1920.0, LOOK_MOST_S, LOOK_MOST_S):
        choice.failed()
        choice.connected()
        choice._returning = True
        choice.ended()
        choice.failed()
        assert choice._look_s == expected
        choice.connected()
        choice.ended()
    choice._returning = True
    choice.connected()
    assert choice._look_s == 60.0


def test_the_session_moves_back_to_the_preferred_broker_when_it_returns(tmp_path: Path) -> None:
    keys = make_keys(tmp_path)
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    first = tls_mosquitto(tmp_path / "first", keys)
    second = tls_mosquitto(tmp_path / "second", keys)
    settings = MqttSettings(
        brokers=tuple(
            BrokerAddress(host="127.0.0.1", port=port) for port in (first.port, second.port)
        ),
        ca=str(keys.ca),
        cert=str(keys.cert),
        key=str(keys.key),
    )

    async def main() -> None:
        outbox = await SqliteOutbox.open(tmp_path / "outbox.db", thin=thin)
        broker = MqttBroker(
            settings,
            identifier="edgectl-test",
            timeout_s=3.0,
            keepalive_s=5,
            will_delay_s=0,
            look_s=0.2,
        )

        async def take(_message: Incoming) -> None:
            return None

        pace: dict[str, Any] = dict(QUICK)
        publisher = a_publisher(broker, outbox, SystemClock(), handler=take, **pace)
        running = asyncio.create_task(publisher.run())

        def at(port: int) -> bool:
            return publisher.status.connected and publisher.status.broker.endswith(f":{port}")

        try:
            await until(lambda: at(second.port))
            first.start()
            await until(lambda: at(first.port))
            first.kill()
            await until(lambda: at(second.port))
            first.start()
            await until(lambda: at(first.port))
        finally:
            publisher.stop()
            await running
            await outbox.close()

    second.start()
    try:
        asyncio.run(main())
    finally:
        first.end()
        second.end()


def test_a_preferred_one_that_only_takes_connections_does_not_make_it_flap(
    tmp_path: Path,
) -> None:
    """The port answers, but no broker is behind it: it is tried, and then ever more rarely."""
    (tmp_path / "second").mkdir()
    keys = make_keys(tmp_path)
    second = tls_mosquitto(tmp_path / "second", keys)
    second.start()

    async def main() -> int:
        answering: set[asyncio.Task[object] | None] = set()

        async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            answering.add(asyncio.current_task())
            await asyncio.sleep(0.05)
            writer.close()

        server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        plain = MqttSettings(
            brokers=(
                BrokerAddress(host="127.0.0.1", port=port),
                BrokerAddress(host="127.0.0.1", port=second.port),
            ),
            ca=str(keys.ca),
            cert=str(keys.cert),
            key=str(keys.key),
        )
        broker = MqttBroker(plain, identifier="edgectl-test", timeout_s=2.0, look_s=0.05)
        left = 0
        with pytest.raises(Unreachable):
            async with broker.connect(will=WILL):
                pass
        async with broker.connect(will=WILL) as session:
            try:
                async with asyncio.timeout(1.0):
                    async for _ in session.messages():
                        pass
            except Unreachable:
                left += 1
            except TimeoutError:
                pass
        server.close()
        await asyncio.wait([task for task in answering if task is not None])
        return left

    try:
        assert asyncio.run(main()) == 0, "whoever does not speak TLS is not back"
    finally:
        second.end()
