"""The connection loop in virtual time, with broker and outbox in memory."""

import asyncio
import json
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from edgectl.model.decision import AlarmCode
from edgectl.model.telemetry import Incoming, OutMessage, OutRow
from edgectl.simulator.memory.broker import MemoryBroker
from edgectl.simulator.virtual_time import VirtualClock, run
from tests.mqtt.scene import Scene, lane_never_goes_back, play
from tests.mqtt.site import PREFIX, a_publisher, memory_outbox, row


def test_it_tells_online_then_birth_and_offline_at_a_clean_stop() -> None:
    async def script(_scene: Scene) -> None:
        await asyncio.sleep(5)

    scene = play(script)
    topics = [one.topic.removeprefix(PREFIX) for one in scene.broker.published]
    assert topics == ["status", "site", "status"]
    assert [body["state"] for body in scene.told("status")] == ["online", "offline"]
    assert all(one.retain and one.qos == 1 for one in scene.broker.published)
    (birth,) = scene.told("site")
    assert [evse["id"] for evse in birth["evses"]] == ["bay01", "bay02"]
    assert birth["programs"] == [{"id": "prog-1", "kind": "mandatory"}]
    assert birth["quantities"]["power_w"] == {
        "unit": "W",
        "scale": 1.0,
        "every_s": 10.0,
        "dead_band": 100.0,
        "on_change": False,
    }
    assert birth["stream"] == "s1"


def test_f16_missing_remote_input_is_a_normal_state() -> None:
    async def script(scene: Scene) -> None:
        await asyncio.sleep(60)
        assert scene.publisher.status.connected
        assert scene.publisher.status.last_error is None

    play(script)


def test_the_will_is_published_when_the_publisher_is_killed() -> None:
    async def main() -> MemoryBroker:
        scene = Scene()
        running = asyncio.create_task(scene.publisher.run())
        await asyncio.sleep(5)
        running.cancel()
        await asyncio.wait([running])
        return scene.broker

    broker = run(main())
    will = json.loads(broker.retained[PREFIX + "status"].payload)
    assert will["state"] == "offline"
    assert "since" not in will
    assert {"schema", "site", "stream", "made_at", "version"} <= will.keys()


def test_f17_attempts_are_capped_and_jittered_and_recovery_is_complete() -> None:
    attempts: list[float] = []

    class Watched(MemoryBroker):
        def connect(self, *, will: Any) -> Any:
            attempts.append(asyncio.get_running_loop().time())
            return super().connect(will=will)

    async def main() -> Scene:
        scene = Scene()
        scene.broker = Watched()
        scene.publisher = a_publisher(scene.broker, scene.outbox, VirtualClock())
        scene.broker.reachable = False
        running = asyncio.create_task(scene.publisher.run())
        await asyncio.sleep(3600)
        assert scene.publisher.status.last_error is not None
        await scene.outbox.append([row(1)])
        scene.broker.reachable = True
        await asyncio.sleep(120)
        assert scene.publisher.status.connected
        scene.publisher.stop()
        await running
        return scene

    scene = run(main())
    gaps = [after - before for before, after in pairwise(attempts)]
    assert all(1.0 <= gap <= 60.0 for gap in gaps)
    assert gaps[0] <= 10.0
    late = gaps[8:]
    assert min(late) >= 6.0
    assert sum(late) / len(late) > 25.0
    assert len({round(gap, 3) for gap in late}) > len(late) // 2, "jittered"
    assert scene.fresh() == [("backfill", 1)]


def test_f17_a_connection_that_does_not_last_does_not_end_the_back_off() -> None:
    async def script(scene: Scene) -> None:
        for _ in range(3600):
            await asyncio.sleep(1)
            scene.broker.cut()

    scene = play(script)
    assert scene.broker.connections < 150


def test_f17_a_regions_gateways_do_not_come_back_in_one_second() -> None:
    back_s: list[float] = []

    class Watched(MemoryBroker):
        def connect(self, *, will: Any) -> Any:
            back_s.append(asyncio.get_running_loop().time())
            return super().connect(will=will)

    async def main() -> None:
        brokers = [Watched() for _ in range(300)]
        rng = Random(1)
        publishers = [
            a_publisher(broker, memory_outbox(), VirtualClock(), random=rng.random)
            for broker in brokers
        ]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one.run()) for one in publishers]
            await asyncio.sleep(100)
            back_s.clear()
            for broker in brokers:
                broker.cut()
            await asyncio.sleep(60)
            assert all(one.status.connected for one in publishers)
            for task in tasks:
                task.cancel()

    run(main())
    assert len(back_s) == 300
    busiest = max(sum(at <= other < at + 1.0 for other in back_s) for at in back_s)
    assert busiest < 60, "a fifth of them at the most in any one second"


def test_f18_every_row_arrives_once_it_was_appended_and_no_lane_goes_back() -> None:
    async def script(scene: Scene) -> None:
        for number in range(600):
            await scene.outbox.append([row(2 * number), row(2 * number + 1, "event")])
            await asyncio.sleep(1)
            if number % 97 == 50:
                scene.broker.cut()
            scene.broker.reachable = number % 200 not in range(100, 140)
            scene.broker.silent = number % 200 in range(150, 190)
            if not scene.broker.reachable:
                scene.broker.cut()
        scene.broker.silent = False
        scene.broker.reachable = True
        await asyncio.sleep(300)

    scene = play(script)
    fresh = scene.fresh()
    assert sorted(seq for _, seq in fresh) == list(range(1, 1201))
    assert {lane for lane, _ in fresh} == {"live", "backfill"}
    lane_never_goes_back(fresh)


def test_live_rows_go_first_while_a_backlog_follows_at_a_bounded_rate() -> None:
    async def script(scene: Scene) -> None:
        scene.broker.reachable = False
        await scene.outbox.append([row(number) for number in range(1000)])
        await asyncio.sleep(1)
        scene.broker.reachable = True
        await scene.connected()
        for number in range(10):
            await scene.outbox.append([row(1000 + number)])
            await asyncio.sleep(1)
            lane_of = {seq: lane for lane, seq in scene.rows()}
            assert lane_of[1001 + number] == "live"
        backfilled = [seq for lane, seq in scene.rows() if lane == "backfill"]
        assert 400 < len(backfilled) < 600
        assert backfilled == list(range(1, len(backfilled) + 1))
        await asyncio.sleep(20)

    scene = play(script)
    assert sorted(seq for _, seq in scene.fresh()) == list(range(1, 1011))


def test_after_a_reconnect_the_window_goes_again_in_its_lane_before_what_is_new() -> None:
    async def script(scene: Scene) -> None:
        await asyncio.sleep(1)
        await scene.outbox.append([row(1)])
        await asyncio.sleep(70)
        await scene.outbox.append([row(2)])
        await asyncio.sleep(70)
        # The outage is longer than the window, but only connected time counts.
        scene.broker.reachable = False
        scene.broker.kill()
        await asyncio.sleep(400)
        await scene.outbox.append([row(3)])
        scene.broker.reachable = True
        await scene.connected()
        await scene.outbox.append([row(4)])
        await asyncio.sleep(5)

    scene = play(script)
    assert [one for one in scene.rows() if one[0] == "live"] == [
        ("live", 1),
        ("live", 2),
        ("live", 2),
        ("live", 4),
    ]
    assert ("backfill", 3) in scene.rows()
    twice = [
        one.payload for one in scene.broker.published if json.loads(one.payload).get("seq") == 2
    ]
    assert twice[0] == twice[1], "the same bytes again"


def test_a_refused_row_is_kept_and_offered_again_and_holds_nothing_live_back() -> None:
    async def script(scene: Scene) -> None:
        scene.broker.denied.add(PREFIX + "event")
        await asyncio.sleep(1)
        for number in range(20):
            await scene.outbox.append([row(2 * number, "event"), row(2 * number + 1)])
            await asyncio.sleep(1)
        assert [seq for _, seq in scene.rows()] == list(range(2, 41, 2))
        assert scene.outbox.counts.waiting == 20
        assert scene.publisher.status.denied == (PREFIX + "event",)
        scene.broker.denied.clear()
        await asyncio.sleep(60)
        assert scene.outbox.counts.waiting == 0

    scene = play(script)
    fresh = scene.fresh()
    assert sorted(seq for _, seq in fresh) == list(range(1, 41))
    assert [seq for lane, seq in fresh if lane == "backfill"] == list(range(1, 41, 2))
    lane_never_goes_back(fresh)


def test_a_refused_backlog_never_goes_back_either() -> None:
    async def script(scene: Scene) -> None:
        scene.broker.reachable = False
        scene.broker.denied.add(PREFIX + "event")
        await scene.outbox.append(
            [row(number, "event" if number % 5 == 3 else "telemetry") for number in range(40)]
        )
        await asyncio.sleep(5)
        scene.broker.reachable = True
        await asyncio.sleep(60)
        scene.broker.denied.clear()
        await asyncio.sleep(60)

    scene = play(script)
    assert [seq for _, seq in scene.fresh()] == list(range(1, 41))


def test_a_full_disk_sends_again_but_never_stops_the_live_lane() -> None:
    async def script(scene: Scene) -> None:
        await scene.outbox.append([row(1), row(2)])
        scene.outbox.disk_full = True
        await asyncio.sleep(30)
        assert [seq for _, seq in scene.rows()] == [1, 2]
        scene.outbox.disk_full = False
        await scene.outbox.append([row(3)])
        await asyncio.sleep(11)
        assert scene.outbox.counts.waiting == 0

    play(script)


def test_a_disk_that_fails_costs_time_and_never_the_connection() -> None:
    async def script(scene: Scene) -> None:
        await scene.outbox.append([row(1), row(2)])
        await asyncio.sleep(5)
        scene.outbox.disk_failed = True
        await asyncio.sleep(300)
        assert scene.publisher.status.connected
        scene.outbox.disk_failed = False
        await scene.outbox.append([row(3), row(4)])
        await asyncio.sleep(11)
        assert scene.outbox.counts.waiting == 0

    scene = play(script)
    assert [seq for _, seq in scene.fresh()] == [1, 2, 3, 4]
    assert scene.broker.connections == 1, "one connection served all"


def test_an_answer_also_goes_where_the_requester_wants_it_below_our_own_prefix() -> None:
    def answer(response_topic: str) -> OutRow:
        return OutRow(
            topic="command/response",
            schema="c",
            made_utc_s=1.0,
            body=b"{}",
            response_topic=response_topic,
            correlation=b"\x07",
        )

    good = [PREFIX + "desk/7", PREFIX + "command/response/7"]
    bad = [
        "desk/7",
        "edgectl/v1/bay/other/desk/7",
        PREFIX + "desk/#",
        PREFIX + "status",
        PREFIX + "dr/event/e1",
        PREFIX + "command/limit",
        PREFIX,
        "",
    ]

    async def script(scene: Scene) -> None:
        await scene.outbox.append([answer(topic) for topic in (*good, *bad)])
        await asyncio.sleep(5)

    scene = play(script)
    answers = [one for one in scene.broker.published if json.loads(one.payload).get("seq")]
    elsewhere = [one for one in answers if one.topic != PREFIX + "command/response"]
    assert [one.topic for one in elsewhere] == good
    assert {(one.correlation, one.expiry_s, one.retain) for one in elsewhere} == {
        (b"\x07", 3600, False)
    }
    told = scene.told("command/response")
    assert [body["seq"] for body in told] == list(range(1, len(good) + len(bad) + 1))
    assert json.loads(elsewhere[0].payload) == told[0]


def test_messages_reach_the_handler_and_its_faults_end_nothing() -> None:
    taken: list[Incoming] = []

    async def handler(message: Incoming) -> None:
        taken.append(message)
        raise ValueError(message.topic)

    async def script(scene: Scene) -> None:
        scene.broker.publish(PREFIX + "dr/event/e1", b"{}", retain=True)
        await asyncio.sleep(5)
        scene.broker.publish(PREFIX + "command/limit", b"x", response_topic="desk/7")
        scene.broker.publish(PREFIX + "command/response", b"our own")
        scene.broker.publish(PREFIX + "dr/heartbeat/prog-1", b"")
        scene.broker.publish("edgectl/v1/bay/other/command/limit", b"x")
        await asyncio.sleep(5)
        assert scene.publisher.status.connected

    play(script, handler=handler)
    assert [one.topic.removeprefix(PREFIX) for one in taken] == [
        "dr/event/e1",
        "command/limit",
        "dr/heartbeat/prog-1",
    ]
    assert taken[0].retain
    assert taken[1].response_topic == "desk/7"


def test_a_replaced_outbox_begins_anew_with_its_own_numbers() -> None:
    async def script(scene: Scene) -> None:
        await scene.outbox.append([row(number) for number in range(50)])
        await asyncio.sleep(60)
        scene.outbox._entries.clear()
        scene.outbox._stream, scene.outbox._last_seq = "s2", 0
        await scene.outbox.append([row(99)])
        await asyncio.sleep(60)
        assert scene.publisher.status.connected

    scene = play(script)
    assert {
        (body["stream"], body["seq"]) for body in scene.told("telemetry") if body["n"] == 99
    } == {("s2", 1)}


def test_a_stop_waits_for_what_is_live() -> None:
    async def script(scene: Scene) -> None:
        await asyncio.sleep(5)
        await scene.outbox.append([row(number) for number in range(300)])

    scene = play(script)
    assert len(scene.fresh()) == 300
    assert scene.told("status")[-1]["state"] == "offline"


def test_a_stop_while_the_broker_is_away_returns_at_once() -> None:
    async def main() -> float:
        scene = Scene()
        scene.broker.reachable = False
        running = asyncio.create_task(scene.publisher.run())
        await asyncio.sleep(1000)
        before_s = asyncio.get_running_loop().time()
        scene.publisher.stop()
        await running
        return asyncio.get_running_loop().time() - before_s

    assert run(main()) < 1.0


def test_a_topic_on_which_the_broker_hangs_up_is_set_aside_whole_and_comes_back() -> None:
    async def script(scene: Scene) -> None:
        scene.broker.hangs_up = lambda message: message.topic == PREFIX + "event"
        for number in range(40):
            await scene.outbox.append([row(2 * number, "event"), row(2 * number + 1)])
            await asyncio.sleep(30)
        assert scene.outbox.counts.aside > 20
        (alarm,) = scene.publisher.alarms()
        assert (alarm.code, alarm.id) == (AlarmCode.BROKER_REFUSES, "event")
        before = scene.broker.connections
        for number in range(40, 80):
            await scene.outbox.append([row(2 * number, "event"), row(2 * number + 1)])
            await asyncio.sleep(30)
        assert scene.broker.connections - before <= 2, "no row of it ends a connection, but a probe"
        assert scene.outbox.counts.refused_rows == 0

        scene.broker.hangs_up = lambda _message: False
        for number in range(80, 160):
            await scene.outbox.append([row(2 * number, "event"), row(2 * number + 1)])
            await asyncio.sleep(60)
        assert scene.publisher.alarms() == ()
        counts = scene.outbox.counts
        assert (counts.aside, counts.refused_rows, counts.waiting) == (0, 0, 0)

    scene = play(script)
    bodies = [json.loads(one.payload) for one in scene.broker.published]
    assert {body["n"] for body in bodies if "n" in body} == set(range(320)), "nothing is lost"
    lane_never_goes_back(scene.fresh())


def test_one_row_on_which_the_broker_hangs_up_is_given_up_and_no_other() -> None:
    async def script(scene: Scene) -> None:
        scene.broker.hangs_up = lambda message: json.loads(message.payload).get("n") == 7
        for number in range(60):
            await scene.outbox.append([row(number)])
            await asyncio.sleep(15)
        counts = scene.outbox.counts
        assert (counts.refused_rows, counts.aside, counts.waiting) == (1, 0, 0)
        assert scene.publisher.alarms() == ()

    scene = play(script)
    bodies = [json.loads(one.payload) for one in scene.broker.published]
    assert {body["n"] for body in bodies if "n" in body} == set(range(60)) - {7}
    lane_never_goes_back(scene.fresh())


def test_a_row_of_the_window_on_which_the_broker_hangs_up_now_ends_connections_no_longer() -> None:
    async def script(scene: Scene) -> None:
        await scene.connected()
        for number in range(10):
            await scene.outbox.append([row(number)])
            await asyncio.sleep(1)
        scene.broker.hangs_up = lambda message: json.loads(message.payload).get("n") == 7
        scene.broker.cut()
        await asyncio.sleep(600)
        assert scene.publisher.status.connected
        before = scene.broker.connections
        await scene.outbox.append([row(10)])
        await asyncio.sleep(600)
        assert scene.broker.connections == before
        assert scene.outbox.counts.waiting == scene.outbox.counts.refused_rows == 0

    lane_never_goes_back(play(script).fresh())


@pytest.mark.parametrize("seed", range(5))
def test_a_line_that_breaks_again_and_again_under_rows_costs_none_of_them(seed: int) -> None:
    chance = Random(seed)

    async def script(scene: Scene) -> None:
        lost = 0

        def breaks(message: OutMessage) -> bool:
            nonlocal lost
            breaking = b'"seq"' in message.payload and chance.random() < 0.3
            lost += breaking
            return breaking

        scene.broker.hangs_up = breaks
        for number in range(300):
            await scene.outbox.append([row(number), row(number, "event")])
            await asyncio.sleep(chance.choice([1, 10, 60]))
        assert lost > 100
        scene.broker.hangs_up = lambda _message: False
        await asyncio.sleep(600)
        counts = scene.outbox.counts
        assert (counts.set_aside_rows, counts.refused_rows, counts.waiting) == (0, 0, 0)

    scene = play(script)
    assert sorted(seq for _, seq in scene.fresh()) == list(range(1, 601))
    lane_never_goes_back(scene.fresh())


def test_silence_never_tells_against_a_row() -> None:
    async def script(scene: Scene) -> None:
        await scene.connected()
        for number in range(60):
            scene.broker.silent = True
            await scene.outbox.append([row(number)])
            await asyncio.sleep(40)
            scene.broker.silent = False
            await asyncio.sleep(1 if number % 2 else 40)
        await asyncio.sleep(300)
        counts = scene.outbox.counts
        assert (counts.set_aside_rows, counts.refused_rows, counts.waiting) == (0, 0, 0)

    assert sorted(seq for _, seq in play(script).fresh()) == list(range(1, 61))
