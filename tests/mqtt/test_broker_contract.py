"""What every broker port promises, asked of the one in memory and of mosquitto."""

import asyncio
from pathlib import Path

import pytest

from edgectl.errors import Unreachable
from edgectl.model.telemetry import BrokerSession, Incoming, OutMessage, Subscription
from tests.mqtt.mosquitto import until
from tests.mqtt.worlds import DENIED, KINDS, WILL, World, in_world

every_kind = pytest.mark.parametrize("kind", KINDS)


async def first_message(session: BrokerSession) -> Incoming:
    async with asyncio.timeout(10):
        async for message in session.messages():
            return message
    raise AssertionError


@every_kind
def test_messages_leave_in_order_with_many_in_flight(kind: str, tmp_path: Path) -> None:
    async def use(world: World) -> None:
        async with world.broker.connect(will=WILL) as session:
            wanted = [OutMessage("site/t", b"%d" % number) for number in range(150)]
            outcomes = await asyncio.gather(*(session.publish(one) for one in wanted))
            assert outcomes == [None] * 150
            await until(lambda: len(world.seen()) == 150)
            assert [payload for _, payload in world.seen()] == [one.payload for one in wanted]

    in_world(kind, tmp_path, use)


@every_kind
def test_a_cut_line_brings_the_will_and_ends_all_calls(kind: str, tmp_path: Path) -> None:
    async def lose(world: World) -> None:
        async with world.broker.connect(will=WILL) as session:
            assert await session.publish(OutMessage("site/t", b"1")) is None
            reading = asyncio.create_task(first_message(session))
            await asyncio.sleep(0)
            world.cut()
            with pytest.raises(Unreachable):
                await reading
            with pytest.raises(Unreachable):
                await session.publish(OutMessage("site/t", b"2"))
            await session.subscribe([Subscription("x")])

    async def use(world: World) -> None:
        with pytest.raises(Unreachable):
            await lose(world)
        await until(lambda: ("site/status", b"gone") in world.seen())

    in_world(kind, tmp_path, use)


@every_kind
def test_an_orderly_leave_brings_no_will_and_a_cancelled_one_does(
    kind: str, tmp_path: Path
) -> None:
    async def use(world: World) -> None:
        async with world.broker.connect(will=WILL) as session:
            await session.publish(OutMessage("site/t", b"1"))
        connected = asyncio.Event()

        async def stay() -> None:
            async with world.broker.connect(will=WILL) as session:
                await session.publish(OutMessage("site/t", b"2"))
                connected.set()
                await asyncio.Event().wait()

        staying = asyncio.create_task(stay())
        await connected.wait()
        assert ("site/status", b"gone") not in world.seen()
        staying.cancel()
        await asyncio.wait([staying])
        await until(lambda: ("site/status", b"gone") in world.seen())

    in_world(kind, tmp_path, use)


@every_kind
def test_retained_messages_come_after_the_subscription(kind: str, tmp_path: Path) -> None:
    async def use(world: World) -> None:
        await world.publish("site/dr/event/e1", b"{}", retain=True)
        async with world.broker.connect(will=WILL) as session:
            assert await session.subscribe([Subscription("site/dr/event/+")]) == ()
            message = await first_message(session)
            assert message == Incoming("site/dr/event/e1", b"{}", retain=True)

    in_world(kind, tmp_path, use)


@every_kind
def test_what_was_sent_while_away_arrives(kind: str, tmp_path: Path) -> None:
    async def use(world: World) -> None:
        async with world.broker.connect(will=WILL) as session:
            await session.subscribe([Subscription("site/command/+")])
        await world.publish("site/command/limit", b"held")
        async with world.broker.connect(will=WILL) as session:
            message = await first_message(session)
            assert (message.payload, message.retain) == (b"held", False)

    in_world(kind, tmp_path, use)


@pytest.mark.parametrize("kind", ["memory", "mosquitto"])
def test_a_refused_publish_is_not_acknowledged(kind: str, tmp_path: Path) -> None:
    async def use(world: World) -> None:
        async with world.broker.connect(will=WILL) as session:
            denial = await session.publish(OutMessage(DENIED, b"1"))
            assert denial is not None
            assert (denial.topic, denial.code) == (DENIED, 0x87)
            assert await session.publish(OutMessage("site/t", b"1")) is None

    in_world(kind, tmp_path, use)


@pytest.mark.parametrize("kind", ["memory", "mosquitto"])
def test_a_command_published_as_retained_shows_it_also_when_live(kind: str, tmp_path: Path) -> None:
    async def use(world: World) -> None:
        async with world.broker.connect(will=WILL) as session:
            await session.subscribe([Subscription("site/command/+")])
            await world.publish("site/command/limit", b"x", retain=True)
            assert (await first_message(session)).retain

    in_world(kind, tmp_path, use)
