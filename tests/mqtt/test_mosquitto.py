"""Publisher, file outbox and MQTT adapter against a real broker that is cut, killed and stopped."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from edgectl.adapters.clock import SystemClock
from edgectl.adapters.outbox import SqliteOutbox
from edgectl.contract.birth import BirthFacts
from edgectl.contract.messages import thin
from edgectl.daemon.region.publisher import Publisher
from edgectl.model.decision import AlarmCode
from edgectl.model.telemetry import Incoming
from tests.mqtt.mosquitto import Line, Mosquitto, Seen, consumer, foreign_client, until
from tests.mqtt.site import FACTS, PREFIX, a_publisher, facts_of, row
from tests.mqtt.worlds import a_broker

QUICK = {"backoff_first_s": 0.4, "backoff_cap_s": 1.0, "backfill_rows_per_s": 2000.0}

SOON_REFUSED: dict[str, Any] = {
    "backoff_first_s": 0.1,
    "backoff_cap_s": 0.1,
    "stable_s": 0.3,
    "denied_retry_s": 0.05,
    "denied_tries": 3,
    "hang_ups_doubted": 2,
    "hang_ups_proven": 4,
    "let_go_every_s": 0.1,
}


@dataclass
class Depot:
    """A daemon's whole way to the region."""

    mosquitto: Mosquitto
    line: Line
    seen: Seen
    outbox: SqliteOutbox
    publisher: Publisher
    taken: list[Incoming] = field(default_factory=list)
    appended: int = 0

    async def append(self, count: int, topic: str = "telemetry") -> None:
        for _ in range(count):
            await self.outbox.append([row(self.appended, topic)])
            self.appended += 1

    async def append_long(self, count: int, topic: str) -> None:
        """Rows of 12 kB that carry 7 values."""
        for _ in range(count):
            body = b'{"n":%d,"x":"%s"}' % (self.appended, b"x" * 12_000)
            await self.outbox.append([replace(row(0, topic), body=body, values=7)])
            self.appended += 1

    async def connected(self) -> None:
        await until(lambda: self.publisher.status.connected)

    def all_arrived(self) -> bool:
        return {body["seq"] for body in self.seen.rows} == set(range(1, self.appended + 1))


@asynccontextmanager
async def a_depot(
    folder: Path,
    *,
    acl: str | None = None,
    extra: str = "",
    protocol: str = "5",
    facts: BirthFacts = FACTS,
    **pace: Any,
) -> AsyncIterator[Depot]:
    mosquitto = Mosquitto(folder, acl=acl, extra=extra)
    mosquitto.start()
    line = Line(mosquitto.port)
    await line.start()
    outbox = await SqliteOutbox.open(folder / "outbox.db", thin=thin)
    taken: list[Incoming] = []

    async def take(message: Incoming) -> None:
        taken.append(message)

    broker = a_broker(line.port, protocol=protocol, timeout_s=2.0)
    publisher = a_publisher(
        broker, outbox, SystemClock(), handler=take, facts=facts, **(QUICK | pace)
    )
    running = asyncio.create_task(publisher.run())
    try:
        async with consumer(mosquitto.port) as seen:
            yield Depot(mosquitto, line, seen, outbox, publisher, taken)
    finally:
        publisher.stop()
        await running
        await outbox.close()
        await line.end()
        mosquitto.end()


def in_depot(folder: Path, use: Callable[[Depot], Awaitable[None]], **options: Any) -> None:
    async def main() -> None:
        async with a_depot(folder, **options) as depot:
            await use(depot)

    asyncio.run(main())


def lanes_never_go_back(seen: Seen) -> None:
    for lane in ("live", "backfill"):
        seqs = [body["seq"] for body in seen.fresh_rows() if body["lane"] == lane]
        assert seqs == sorted(seqs)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_birth_telemetry_will_and_return(tmp_path: Path, protocol: str) -> None:
    async def use(depot: Depot) -> None:
        await depot.connected()
        await depot.append(5)
        await until(depot.all_arrived)
        (birth,) = depot.seen.bodies("/site")
        assert [node["id"] for node in birth["nodes"]] == ["grid", "tx1"]
        assert all(topic.startswith(PREFIX) for topic, _, _ in depot.seen.messages)

        depot.line.open = False
        depot.line.cut()
        await until(lambda: depot.seen.bodies("/status")[-1]["state"] == "offline")
        async with consumer(depot.mosquitto.port, identifier="late") as late:
            await until(lambda: len(late.messages) >= 2)
            held = {topic: retained for topic, _, retained in late.messages}
            assert held == {PREFIX + "status": True, PREFIX + "site": True}
            assert late.bodies("/status")[0]["version"] == "0.1.0"

        depot.line.open = True
        await until(lambda: depot.seen.bodies("/status")[-1]["state"] == "online")
        await depot.append(5)
        await until(depot.all_arrived)
        lanes_never_go_back(depot.seen)

    in_depot(tmp_path, use, protocol=protocol)


def test_a_clean_stop_says_offline_and_leaves_it_retained(tmp_path: Path) -> None:
    async def use(depot: Depot) -> None:
        await depot.connected()
        await depot.append(3)
        await until(depot.all_arrived)
        depot.publisher.stop()
        await until(lambda: depot.seen.bodies("/status")[-1]["state"] == "offline")
        assert "since" in depot.seen.bodies("/status")[-1], "said by itself, not by the will"

    in_depot(tmp_path, use)


def test_a_topic_that_the_acl_denies_is_kept_until_it_is_allowed(tmp_path: Path) -> None:
    async def use(depot: Depot) -> None:
        await depot.connected()
        for _ in range(4):
            await depot.append(1)
            await depot.append(1, "event")
        await until(lambda: len(depot.seen.bodies("/telemetry")) >= 4)
        await until(lambda: PREFIX + "event" in depot.publisher.status.denied)
        assert depot.seen.bodies("/event") == []
        await until(lambda: depot.outbox.counts.waiting == 4)
        depot.mosquitto.acl_file.write_text("topic readwrite #\n")
        depot.mosquitto.send(signal.SIGHUP)
        await until(depot.all_arrived)
        await until(lambda: depot.outbox.counts.waiting == 0)
        lanes_never_go_back(depot.seen)

    acl = f"topic deny {PREFIX}event\ntopic readwrite #\n"
    in_depot(tmp_path, use, acl=acl, denied_retry_s=0.3)


def test_a_topic_that_is_refused_for_long_stops_no_lane_and_comes_back_whole(
    tmp_path: Path,
) -> None:
    async def use(depot: Depot) -> None:
        await depot.connected()
        # Left behind: events among telemetry, then the connection comes back.
        depot.line.open = False
        depot.line.cut()
        await until(lambda: not depot.publisher.status.connected)
        for _ in range(4):
            await depot.append(3)
            await depot.append(1, "event")
        depot.line.open = True
        await until(lambda: len(depot.seen.bodies("/telemetry")) == 12)
        await until(lambda: depot.publisher.status.aside == 4)
        assert depot.publisher.status.backlog == 0, "what is set aside waits for nobody"
        (alarm,) = depot.publisher.alarms()
        assert (alarm.code, alarm.id) == (AlarmCode.BROKER_REFUSES, "event")
        assert "Not authorized" in alarm.text
        await depot.append(3)
        await until(lambda: len(depot.seen.bodies("/telemetry")) == 15)

        depot.mosquitto.acl_file.write_text("topic readwrite #\n")
        depot.mosquitto.send(signal.SIGHUP)
        await depot.append(1, "event")
        await until(lambda: len({body["n"] for body in depot.seen.bodies("/event")}) == 5)
        await until(lambda: depot.outbox.counts.waiting == 0)
        assert depot.publisher.alarms() == ()
        assert depot.publisher.status.aside == 0
        counts = depot.outbox.counts
        assert (counts.aside, counts.set_aside_rows, counts.refused_rows) == (0, 4, 0)
        fresh = depot.seen.fresh_rows()
        assert len(fresh) == 20
        assert len({body["n"] for body in fresh}) == 20, "none came twice under two numbers"
        lanes_never_go_back(depot.seen)

    acl = f"topic deny {PREFIX}event\ntopic readwrite #\n"
    in_depot(
        tmp_path,
        use,
        acl=acl,
        denied_retry_s=0.05,
        denied_tries=3,
        let_go_every_s=0.1,
        backfill_rows_per_s=200.0,
    )


SIZE_LIMITS = pytest.mark.parametrize(
    ("protocol", "limit"),
    [("5", "max_packet_size"), ("5", "message_size_limit"), ("3.1.1", "max_packet_size")],
)


@SIZE_LIMITS
def test_a_topic_of_which_all_is_too_large_is_set_aside_until_there_is_room(
    tmp_path: Path, protocol: str, limit: str
) -> None:
    async def use(depot: Depot) -> None:
        await depot.connected()
        await depot.append_long(3, "report/daily")
        for _ in range(1000):
            await depot.append(1)
            await asyncio.sleep(0.02)
            if depot.publisher.status.aside == 3:
                break
        assert depot.publisher.status.aside == 3
        (alarm,) = depot.publisher.alarms()
        assert (alarm.code, alarm.id) == (AlarmCode.BROKER_REFUSES, "report/daily")
        assert "3 rows are set aside" in alarm.text
        assert "room for packets" in alarm.text

        depot.mosquitto.kill()
        depot.mosquitto.configure("")
        depot.mosquitto.start()
        await depot.seen.hears(depot.mosquitto.port)
        await depot.append_long(1, "report/daily")
        await until(lambda: len({one["n"] for one in depot.seen.bodies("/report/daily")}) == 4)
        await until(lambda: depot.publisher.status.backlog == 0)
        assert depot.publisher.status.aside == 0
        assert depot.publisher.alarms() == ()
        assert depot.outbox.counts.refused_rows == 0
        lanes_never_go_back(depot.seen)

    in_depot(
        tmp_path,
        use,
        protocol=protocol,
        extra=f"{limit} 8000\n",
        **SOON_REFUSED,
        probe_every_s=0.1,
        backfill_rows_per_s=200.0,
    )


@pytest.mark.parametrize("denied", ["event", "status", "site"])
def test_a_broker_that_hangs_up_after_every_refusal_costs_no_row_of_others(
    tmp_path: Path, denied: str
) -> None:
    """As mosquitto before 2.0.22 does with this setting."""

    async def use(depot: Depot) -> None:
        for number in range(200):
            await depot.append(1)
            await depot.append(1, "event" if number % 20 == 0 else "telemetry")
            await asyncio.sleep(0.02)
        await until(lambda: len({one["n"] for one in depot.seen.bodies("/telemetry")}) == 390)
        await until(lambda: [one.id for one in depot.publisher.alarms()] == [denied])
        counts = depot.outbox.counts
        assert counts.refused_rows == 0
        if denied != "event":
            await until(lambda: depot.outbox.counts.waiting == 0)
            assert counts.set_aside_rows == 0
            return
        await until(lambda: depot.publisher.status.aside == 10)
        depot.mosquitto.acl_file.write_text("topic readwrite #\n")
        depot.mosquitto.send(signal.SIGHUP)
        await depot.append(1, "event")
        await until(lambda: len({one["n"] for one in depot.seen.bodies("/event")}) == 11)
        assert depot.publisher.status.aside == depot.outbox.counts.refused_rows == 0
        lanes_never_go_back(depot.seen)

    acl = f"topic deny {PREFIX}{denied}\ntopic readwrite #\n"
    extra = "max_queued_messages 0\n"
    in_depot(
        tmp_path,
        use,
        acl=acl,
        extra=extra,
        **SOON_REFUSED,
        probe_every_s=1.0,
        backfill_rows_per_s=500.0,
    )


@SIZE_LIMITS
def test_a_row_that_no_broker_takes_is_given_up_and_counted(
    tmp_path: Path, protocol: str, limit: str
) -> None:
    """mosquitto says what it takes at the connect, or in a PUBACK, or it just hangs up."""

    async def use(depot: Depot) -> None:
        await depot.connected()
        await depot.append_long(1, "telemetry")
        for _ in range(1000):
            await depot.append(1)
            await asyncio.sleep(0.02)
            if depot.outbox.counts.refused_rows:
                break
        assert depot.outbox.counts.refused_rows == 1
        assert depot.outbox.counts.refused_values == 7
        await until(lambda: depot.outbox.counts.waiting == 0)
        await until(lambda: len(depot.seen.fresh_rows()) == depot.appended - 1)
        numbers = {body["n"] for body in depot.seen.rows}
        assert numbers == set(range(1, depot.appended)), "the others, and only they"
        lanes_never_go_back(depot.seen)

    in_depot(
        tmp_path,
        use,
        protocol=protocol,
        extra=f"{limit} 8000\n",
        **SOON_REFUSED,
    )


@SIZE_LIMITS
def test_a_birth_that_the_broker_does_not_take_stops_nothing(
    tmp_path: Path, protocol: str, limit: str
) -> None:
    async def use(depot: Depot) -> None:
        await until(lambda: bool(depot.publisher.alarms()))
        await until(lambda: depot.publisher.status.connected)
        (alarm,) = depot.publisher.alarms()
        assert (alarm.code, alarm.id) == (AlarmCode.BROKER_REFUSES, "site")
        await depot.append(20)
        await until(depot.all_arrived)
        await until(lambda: bool(depot.seen.bodies("/site")))
        assert [body["brief"] for body in depot.seen.bodies("/site")] == [True]

    in_depot(tmp_path, use, protocol=protocol, extra=f"{limit} 20000\n", facts=facts_of(300))


def test_f18_killing_the_broker_loses_nothing_that_the_outbox_accepted(tmp_path: Path) -> None:
    async def use(depot: Depot) -> None:
        await depot.connected()
        for _ in range(3):
            await depot.append(60)
            # A killed broker forgets what waits in it, so the gateway must come back after the
            # consumer; the rows that only the killed one had then come a second time.
            depot.line.open = False
            depot.mosquitto.kill()
            await depot.append(40)
            depot.mosquitto.start()
            await depot.seen.hears(depot.mosquitto.port)
            depot.line.open = True
            await depot.connected()
        await depot.append(20)
        await until(depot.all_arrived)
        assert len(depot.seen.fresh_rows()) == 320
        lanes_never_go_back(depot.seen)
        await until(lambda: depot.outbox.counts.waiting == 0)

    in_depot(tmp_path, use)


def test_a_silent_broker_is_left_and_taken_up_again(tmp_path: Path) -> None:
    async def use(depot: Depot) -> None:
        await depot.connected()
        await depot.append(20)
        await until(depot.all_arrived)
        depot.mosquitto.send(signal.SIGSTOP)
        await depot.append(20)
        await until(lambda: not depot.publisher.status.connected)
        # An attempt to connect meets the same silence.
        error = depot.publisher.status.last_error
        await until(lambda: depot.publisher.status.last_error != error)
        depot.mosquitto.send(signal.SIGCONT)
        await until(depot.all_arrived)
        lanes_never_go_back(depot.seen)

    in_depot(tmp_path, use)


def test_retained_truth_comes_at_every_connect_and_commands_that_waited_once(
    tmp_path: Path,
) -> None:
    async def use(depot: Depot) -> None:
        await depot.connected()
        async with foreign_client(depot.mosquitto.port) as utility:
            await utility.publish(PREFIX + "dr/event/e1", b'{"id":"e1"}', qos=1, retain=True)
            await until(lambda: len(depot.taken) == 1)
            depot.line.open = False
            depot.line.cut()
            await until(lambda: not depot.publisher.status.connected)
            await utility.publish(PREFIX + "command/pause", b"{}", qos=1)
            depot.line.open = True
            await until(lambda: len(depot.taken) == 3)
        names = sorted(one.topic.removeprefix(PREFIX) for one in depot.taken)
        assert names == ["command/pause", "dr/event/e1", "dr/event/e1"]
        assert [one.retain for one in depot.taken if "command" in one.topic] == [False]

    in_depot(tmp_path, use)


def test_a_line_cut_again_and_again_loses_nothing(tmp_path: Path) -> None:
    async def use(depot: Depot) -> None:
        for _ in range(8):
            await depot.connected()
            await depot.append(25)
            depot.line.cut()
            await depot.append(5)
        # A row that was on its way at three of the cuts waits for a connection that lasted 30 s.
        await until(depot.all_arrived, within_s=90.0)
        assert len(depot.seen.fresh_rows()) == 240
        lanes_never_go_back(depot.seen)

    in_depot(tmp_path, use)
