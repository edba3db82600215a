"""What is told and asked at every connect, and a broker that does not take some of it."""

import asyncio
import json

import pytest

from edgectl.contract.birth import birth
from edgectl.contract.envelope import to_json
from edgectl.model.decision import AlarmCode, Severity
from edgectl.model.telemetry import OutMessage
from tests.mqtt.scene import Scene, play
from tests.mqtt.site import FACTS, PREFIX, facts_of, row

LARGE = facts_of(300)
DAY_S = 86_400.0


def births(scene: Scene) -> list[bool]:
    """Of every birth that the broker took, whether it was a brief one."""
    return [body.get("brief", False) for body in scene.told("site")]


async def rows_go(scene: Scene, *, n: int) -> None:
    """See that what is appended now reaches the broker on this connection."""
    before = scene.broker.connections
    await scene.outbox.append([row(n)])
    await asyncio.sleep(5)
    assert n in [body["n"] for body in scene.told("telemetry")]
    assert scene.broker.connections == before


def test_a_brief_birth_says_no_more_than_what_is_needed_to_read_the_samples() -> None:
    whole = birth(LARGE, stream="s1", made_utc_s=0.0)
    brief = birth(LARGE, stream="s1", made_utc_s=0.0, brief=True)
    told = json.loads(to_json(brief))
    assert told["brief"] is True
    assert told["evses"][7] == {"id": "bay0007", "node": "tx1"}
    assert told["meters"] == [{"id": "m-grid", "node": "grid"}]
    assert told["nodes"] == [{"id": "grid"}, {"id": "tx1", "parent": "grid"}]
    assert brief.quantities == whole.quantities
    assert "brief" not in json.loads(to_json(whole))


def test_a_birth_beyond_the_bound_that_the_broker_told_is_brief_and_a_warning_says_it() -> None:
    async def script(scene: Scene) -> None:
        scene.broker.payload_max_bytes = 20_000
        await scene.connected()
        await rows_go(scene, n=1)
        (alarm,) = scene.publisher.alarms()
        assert (alarm.code, alarm.id) == (AlarmCode.BROKER_REFUSES, "site")
        assert alarm.severity is Severity.WARNING
        assert "the broker takes 20000" in alarm.text
        assert "max_packet_size" in alarm.text
        assert scene.publisher.status.denied == ()
        await asyncio.sleep(3600)
        assert len(births(scene)) == 1, "the brief one is there, and is not told again"
        scene.broker.payload_max_bytes = None
        scene.broker.cut()
        await asyncio.sleep(15)
        assert scene.publisher.alarms() == ()

    assert births(play(script, facts=LARGE)) == [True, False]


def test_a_birth_that_is_too_long_even_when_brief_stops_no_row() -> None:
    async def script(scene: Scene) -> None:
        scene.broker.payload_max_bytes = 1000
        await scene.connected()
        await rows_go(scene, n=1)
        (alarm,) = scene.publisher.alarms()
        assert (alarm.id, alarm.severity) == ("site", Severity.ALARM)
        assert "no birth message" in alarm.text
        assert scene.publisher.status.denied == (PREFIX + "site",)

    assert births(play(script, facts=LARGE)) == []


def test_a_broker_that_hangs_up_on_the_birth_gets_a_brief_one_and_the_whole_one_seldom() -> None:
    async def script(scene: Scene) -> None:
        scene.broker.hangs_up = lambda message: len(message.payload) > 20_000
        await asyncio.sleep(600)
        assert scene.broker.connections == 4, "three that the whole one ended, and this"
        await rows_go(scene, n=1)
        (alarm,) = scene.publisher.alarms()
        assert (alarm.id, alarm.severity) == ("site", Severity.WARNING)
        assert "ends the connection" in alarm.text
        await asyncio.sleep(10 * DAY_S)
        assert scene.broker.connections < 4 + 16, "five in the first day, then one a day"
        await rows_go(scene, n=2)

        scene.broker.hangs_up = lambda _message: False
        before = scene.broker.connections
        await asyncio.sleep(DAY_S)
        assert scene.broker.connections == before, "it needs no new connection to be mended"
        assert scene.publisher.alarms() == ()

    told = births(play(script, facts=LARGE))
    assert told[0] is True
    assert told[-1] is False


def test_a_broker_that_takes_no_birth_at_all_gets_the_rows_and_later_the_birth() -> None:
    async def script(scene: Scene) -> None:
        scene.broker.hangs_up = lambda message: message.topic == PREFIX + "site"
        await asyncio.sleep(600)
        assert scene.broker.connections == 7, "three for each form, and this"
        await rows_go(scene, n=1)
        (alarm,) = scene.publisher.alarms()
        assert (alarm.id, alarm.severity) == ("site", Severity.ALARM)
        scene.broker.hangs_up = lambda _message: False
        await asyncio.sleep(3600)
        assert scene.publisher.alarms() == ()

    assert births(play(script, facts=LARGE))[-1] is False


def test_a_broker_that_says_too_large_when_it_hangs_up_is_believed_at_once() -> None:
    async def script(scene: Scene) -> None:
        scene.broker.says_too_large = True
        scene.broker.hangs_up = lambda message: len(message.payload) > 20_000
        await asyncio.sleep(60)
        assert scene.broker.connections == 2
        await rows_go(scene, n=1)

    assert births(play(script, facts=LARGE)) == [True]


@pytest.mark.parametrize("part", ["status", "site"])
def test_a_right_that_is_missing_for_the_greeting_is_an_alarm_until_it_is_given(part: str) -> None:
    async def script(scene: Scene) -> None:
        scene.broker.denied.add(PREFIX + part)
        await scene.connected()
        await rows_go(scene, n=1)
        (alarm,) = scene.publisher.alarms()
        assert (alarm.code, alarm.id) == (AlarmCode.BROKER_REFUSES, part)
        assert "the right to publish retained messages below its prefix" in alarm.text
        scene.broker.denied.clear()
        await asyncio.sleep(120)
        assert scene.publisher.alarms() == ()
        assert scene.publisher.status.denied == ()
        assert scene.broker.connections == 1, "rights are mended without a new connection"

    scene = play(script, facts=FACTS)
    assert births(scene) == [False]
    assert [body["state"] for body in scene.told("status")] == ["online", "offline"]


def test_a_subscription_that_is_refused_is_an_alarm() -> None:
    async def script(scene: Scene) -> None:
        scene.broker.denied |= {PREFIX + "dr/event/+", PREFIX + "command/+"}
        await scene.connected()
        (alarm,) = scene.publisher.alarms()
        assert alarm.id == "dr/event/+"
        assert f"{PREFIX}dr/event/+, {PREFIX}command/+" in alarm.text
        assert "does not arrive" in alarm.text

    play(script)


def test_a_broker_that_hangs_up_on_subscriptions_or_on_status_gets_everything_else() -> None:
    async def script(scene: Scene) -> None:
        scene.broker.shuns = True
        scene.broker.hangs_up = lambda message: message.topic == PREFIX + "status"
        await asyncio.sleep(600)
        await rows_go(scene, n=1)
        assert [alarm.id for alarm in scene.publisher.alarms()] == ["status", "dr/event/+"]
        scene.broker.shuns = False
        scene.broker.hangs_up = lambda _message: False
        await asyncio.sleep(3600)
        assert scene.publisher.alarms() == ()
        scene.broker.publish(PREFIX + "dr/event/e1", b"{}", retain=True)

    scene = play(script)
    assert births(scene)[-1] is False
    assert scene.told("status")[-2]["state"] == "online"


def test_a_line_that_breaks_under_the_greeting_now_and_then_leaves_nothing_out() -> None:
    async def script(scene: Scene) -> None:
        count = 0

        def breaks(message: OutMessage) -> bool:
            nonlocal count
            count += message.topic == PREFIX + "site"
            return message.topic == PREFIX + "site" and count % 3 != 0

        scene.broker.hangs_up = breaks
        for _ in range(50):
            await asyncio.sleep(120)
            assert scene.publisher.alarms() == ()
            scene.broker.cut()

    assert set(births(play(script, facts=LARGE))) == {False}
