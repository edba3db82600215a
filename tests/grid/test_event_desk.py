"""The desk of events: answers in time, replacement, deletion, restarts, doubtful clocks."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from edgectl.clock import Instant
from edgectl.contract.dr import DrResponse
from edgectl.daemon.desk.event_shelf import ENDED_MAX, EVENTS_MAX
from edgectl.daemon.desk.events import EventDesk
from edgectl.errors import StorageFailed
from edgectl.model.settings import Unsigned
from edgectl.model.site import Site
from edgectl.model.trust import Connection
from edgectl.simulator.memory.store import MemoryStore
from tests.grid.samples import SITE, at, event, limit, wire

TOPIC = "dr/event/evt-1"


@dataclass
class Desk:
    """A desk with everything around it in memory; `restart` makes the next process."""

    site: Site = SITE
    unsigned: Unsigned = Unsigned.LOOPBACK
    store: MemoryStore = field(default_factory=MemoryStore)
    said: list[DrResponse] = field(default_factory=list)
    audited: list[dict[str, object]] = field(default_factory=list)
    outbox_full: bool = False
    trusted: bool = True
    draws: Iterator[float] = field(default_factory=lambda: iter([n / 1000 for n in range(1, 999)]))
    desk: EventDesk = field(init=False)
    clock: str = "14:00"

    def __post_init__(self) -> None:
        self.desk = EventDesk(
            site=self.site,
            store=self.store,
            unsigned=self.unsigned,
            draw=lambda: next(self.draws),
            reply=self.reply,
            audit=self.audited.append,
        )

    async def reply(self, name: str, body: DrResponse) -> None:
        assert name == "dr/response"
        if self.outbox_full:
            raise StorageFailed("the outbox is full")
        json.dumps(body.model_dump(mode="json", exclude_none=True)).encode()
        self.said.append(body)

    def now(self) -> Instant:
        moment = at(self.clock)
        return Instant(mono_s=moment - at("00:00"), utc_s=moment, utc_trusted=self.trusted)

    async def restart(self, *, site: Site | None = None) -> "Desk":
        made = Desk(
            site=self.site if site is None else site,
            unsigned=self.unsigned,
            store=self.store,
            draws=self.draws,
            clock=self.clock,
            trusted=self.trusted,
        )
        await made.desk.load(made.now())
        return made

    async def send(
        self,
        body: Any = None,
        *,
        topic: str = TOPIC,
        connection: Connection = Connection.LOOPBACK,
        retained: bool = False,
    ) -> list[str]:
        """The answers that a message got."""
        before = len(self.said)
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        await self.desk.handle(
            topic,
            b"" if body is None else payload,
            retained=retained,
            connection=connection,
            now=self.now(),
        )
        return self.states(before)

    async def until(self, clock: str) -> list[str]:
        self.clock = clock
        before = len(self.said)
        await self.desk.tick(self.now())
        return self.states(before)

    def states(self, since: int = 0) -> list[str]:
        return [
            said.state.value + (f":{said.code.value}" if said.code else "")
            for said in self.said[since:]
        ]

    def kilowatts(self) -> list[float]:
        """Limits that apply now."""
        moment = at(self.clock)
        return sorted(
            c.limit_w / 1000
            for c in self.desk.ceilings()
            if c.limit_w is not None
            and c.from_utc_s <= moment
            and (c.until_utc_s is None or moment < c.until_utc_s)
        )


Scenario = Callable[[Desk], Coroutine[Any, Any, None]]


def run(scenario: Scenario, **changes: Any) -> Desk:
    desk = Desk(**changes)

    async def main() -> None:
        await desk.desk.load(desk.now())
        await scenario(desk)

    asyncio.run(main())
    return desk


def test_an_event_is_answered_at_every_turn_of_its_life() -> None:
    async def scenario(d: Desk) -> None:
        assert await d.send(event()) == ["received", "accepted"]
        assert await d.until("16:29") == []
        assert d.kilowatts() == []
        assert await d.until("16:30") == ["active"]
        assert d.kilowatts() == [60.0]
        assert await d.until("17:29:59") == []
        assert await d.until("17:30") == ["completed"]
        assert d.kilowatts() == []
        assert await d.until("17:31") == []

    desk = run(scenario)
    first = desk.said[0]
    assert (first.event_id, first.program_id) == ("evt-1", "prog-1")
    assert first.modified == "2026-11-24T14:00:00.000Z"


def test_an_event_that_has_begun_is_active_at_once() -> None:
    async def scenario(d: Desk) -> None:
        d.clock = "16:45"
        assert await d.send(event()) == ["received", "accepted", "active"]
        assert d.kilowatts() == [60.0]

    run(scenario)


def test_F16_nothing_retained_is_a_normal_state() -> None:  # noqa: N802
    async def scenario(d: Desk) -> None:
        assert await d.until("16:30") == []

    assert run(scenario).desk.ceilings() == ()


REPLACEMENT: dict[str, tuple[dict[str, Any], list[str], list[float]]] = {
    "newer_replaces": (
        {"modificationDateTime": wire("14:30"), "intervals": [limit(50)]},
        ["received", "accepted", "active"],
        [50.0],
    ),
    "older_is_stale": (
        {"modificationDateTime": wire("13:00"), "intervals": [limit(90)]},
        ["refused:stale"],
        [60.0],
    ),
    "same_is_idempotent": ({}, [], [60.0]),
    "same_time_other_content": ({"intervals": [limit(90)]}, ["refused:stale"], [60.0]),
    "no_time_where_one_is_held": (
        {"modificationDateTime": None, "createdDateTime": None},
        ["refused:malformed"],
        [60.0],
    ),
    "bad_new_version_leaves_the_old": (
        {"modificationDateTime": wire("14:30"), "intervals": [limit(-5)]},
        ["refused:malformed"],
        [60.0],
    ),
    "zero_duration_cancels": (
        {"modificationDateTime": wire("14:30"), "duration": "PT0S"},
        ["received", "cancelled"],
        [],
    ),
    "shortened_into_the_past_cancels": (
        {"modificationDateTime": wire("14:30"), "duration": "PT5M"},
        ["received", "cancelled"],
        [],
    ),
    "zero_duration_without_intervals_cancels": (
        {
            "modificationDateTime": wire("14:30"),
            "intervals": [],
            "intervalPeriod": {"start": "0001-01-01", "duration": "PT0S"},
        },
        ["received", "cancelled"],
        [],
    ),
}


@pytest.mark.parametrize("name", REPLACEMENT)
def test_versions(name: str) -> None:
    changes, answers, kilowatts = REPLACEMENT[name]

    async def scenario(d: Desk) -> None:
        await d.send(event())
        await d.until("16:45")
        assert await d.send(event(**changes)) == answers
        assert d.kilowatts() == kilowatts
        again = await d.restart()
        assert again.kilowatts() == kilowatts

    run(scenario)


def test_without_modification_times_the_newest_received_holds() -> None:
    bare: dict[str, Any] = {"modificationDateTime": None, "createdDateTime": None}

    async def scenario(d: Desk) -> None:
        d.clock = "16:45"
        await d.send(event(**bare))
        assert await d.send(event(**bare)) == []
        assert await d.send(event(**bare, intervals=[limit(50)])) == [
            "received",
            "accepted",
            "active",
        ]
        assert d.kilowatts() == [50.0]

    run(scenario)


def test_a_repeated_one_shot_gets_its_present_state() -> None:
    async def scenario(d: Desk) -> None:
        await d.send(event(), topic="dr/event")
        await d.until("16:45")
        assert await d.send(event(), topic="dr/event") == ["active"]

    run(scenario)


DELETIONS: dict[str, tuple[Any, str]] = {
    "empty_payload": (None, TOPIC),
    "word": (
        {"object_type": "EVENT", "operation": "DELETE", "object": {"id": "evt-1"}},
        "dr/event",
    ),
    "word_with_version": (
        {
            "object_type": "EVENT",
            "operation": "DELETE",
            "object": {"id": "evt-1", "modificationDateTime": wire("14:00")},
        },
        "dr/event",
    ),
    "index": ({"made_at": wire("16:00"), "events": {}}, "dr/index"),
}


@pytest.mark.parametrize("name", DELETIONS)
def test_F24_a_cancelled_event_is_gone_at_once(name: str) -> None:  # noqa: N802
    body, topic = DELETIONS[name]

    async def scenario(d: Desk) -> None:
        await d.send(event())
        await d.until("16:45")
        assert d.kilowatts() == [60.0]
        assert await d.send(body, topic=topic) == ["cancelled"]
        assert d.kilowatts() == []
        assert await d.until("16:46") == []
        again = await d.restart()
        assert again.kilowatts() == []
        assert await again.until("17:40") == []

    run(scenario)


@pytest.mark.parametrize("name", DELETIONS)
def test_what_a_killed_broker_brings_back_stays_deleted(name: str) -> None:
    body, topic = DELETIONS[name]

    async def scenario(d: Desk) -> None:
        await d.send(event())
        await d.until("16:45")
        await d.send(body, topic=topic)
        older = event(modificationDateTime=wire("13:59"))
        assert await d.send(older, retained=True) == ["refused:stale"]
        await d.send(event(), retained=True)
        # An emptied topic filled again is a new event; a deletion by word outlives the topic.
        assert d.kilowatts() == ([60.0] if name == "empty_payload" else [])
        newer = event(modificationDateTime=wire("16:50"))
        assert "accepted" in await d.send(newer)

    run(scenario)


def test_absence_deletes_nothing_but_for_the_index() -> None:
    async def scenario(d: Desk) -> None:
        await d.send(event())
        await d.send(event(id="evt-2", modificationDateTime=wire("15:30")), topic="dr/event/evt-2")
        d.clock = "16:45"
        again = await d.restart()
        await again.until("16:45")
        assert again.kilowatts() == [60.0, 60.0]
        # Events made after the index are none of its business, and an older index says nothing.
        assert await again.send({"made_at": wire("15:00"), "events": {}}, topic="dr/index") == [
            "cancelled"
        ]
        assert again.kilowatts() == [60.0]
        assert await again.send({"made_at": wire("14:59"), "events": {}}, topic="dr/index") == []
        named = {"made_at": wire("16:00"), "events": {"evt-2": wire("15:30")}}
        assert await again.send(named, topic="dr/index") == []
        third = await again.restart()
        old = event(id="evt-3", modificationDateTime=wire("15:59"))
        assert await third.send(old, topic="dr/event/evt-3") == ["refused:stale"]

    run(scenario)


def test_an_older_deletion_and_one_of_something_unknown() -> None:
    async def scenario(d: Desk) -> None:
        await d.send(event())
        late = {"id": "evt-1", "modificationDateTime": wire("13:00")}
        word = {"object_type": "EVENT", "operation": "DELETE", "object": late}
        assert await d.send(word, topic="dr/event") == ["refused:stale"]
        assert await d.send(None, topic="dr/event/other") == ["cancelled"]
        await d.until("16:45")
        assert d.kilowatts() == [60.0]

    run(scenario)


def test_F24_a_restart_in_the_middle_keeps_event_and_random_draw() -> None:  # noqa: N802
    period = {"start": wire("16:30"), "duration": "PT1H", "randomizeStart": "PT10M"}

    async def scenario(d: Desk) -> None:
        await d.send(event(intervalPeriod=period))
        before = d.desk.ceilings()
        await d.until("16:50")
        for _ in range(3):
            again = await d.restart()
            assert again.desk.ceilings() == before
            assert await again.send(event(intervalPeriod=period), retained=True) == []
            assert again.desk.ceilings() == before
            assert await again.until("16:50") == []
        newer = event(intervalPeriod=period, modificationDateTime=wire("16:00"))
        await again.send(newer)
        assert again.desk.ceilings() != before
        assert await again.until("17:45") == ["completed"]

    run(scenario)


def test_a_restart_after_the_end_says_so() -> None:
    async def scenario(d: Desk) -> None:
        await d.send(event())
        d.clock = "18:00"
        again = await d.restart()
        assert again.desk.ceilings() == ()
        assert await again.until("18:00") == ["completed"]
        assert await (await again.restart()).until("18:01") == []

    run(scenario)


def test_an_event_that_ended_before_it_came_is_refused() -> None:
    async def scenario(d: Desk) -> None:
        d.clock = "18:00"
        assert await d.send(event()) == ["refused:expired"]

    run(scenario)


ACCESS = [
    (Unsigned.NEVER, Connection.LOOPBACK, False),
    (Unsigned.NEVER, Connection.MTLS, False),
    (Unsigned.MTLS, Connection.MTLS, True),
    (Unsigned.MTLS, Connection.LOOPBACK, False),
    (Unsigned.MTLS, Connection.OTHER, False),
    (Unsigned.LOOPBACK, Connection.LOOPBACK, True),
    (Unsigned.LOOPBACK, Connection.MTLS, False),
    (Unsigned.LOOPBACK, Connection.OTHER, False),
]


@pytest.mark.parametrize(("policy", "connection", "taken"), ACCESS)
def test_unsigned_as_the_site_file_says(
    *, policy: Unsigned, connection: Connection, taken: bool
) -> None:
    async def scenario(d: Desk) -> None:
        answers = await d.send(event(), connection=connection)
        assert answers == (["received", "accepted"] if taken else ["refused:unsigned"])
        deletion = await d.send(None, connection=connection)
        assert deletion == (["cancelled"] if taken else ["refused:unsigned"])

    run(scenario, unsigned=policy)


def test_an_unsigned_index_deletes_nothing_where_it_is_not_allowed() -> None:
    async def scenario(d: Desk) -> None:
        await d.send(event())
        index = {"made_at": wire("16:00"), "events": {}}
        await d.send(index, topic="dr/index", connection=Connection.OTHER)
        await d.until("16:45")
        assert d.kilowatts() == [60.0]
        assert [r["result"] for r in d.audited] == ["accepted", "unsigned"]

    run(scenario)


def test_a_signed_program_takes_no_unsigned_event() -> None:
    async def scenario(d: Desk) -> None:
        assert await d.send(event(programID="prog-signed")) == ["refused:unsigned"]

    run(scenario)


def test_a_broken_jws_is_answered_with_the_id_of_its_topic() -> None:
    async def scenario(d: Desk) -> None:
        assert await d.send(b"eyJh.eyJpZCI6MX0.c2ln") == ["refused:malformed"]

    assert run(scenario).said[0].event_id == "evt-1"


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({"programID": "prog-9"}, "refused:unknown_program"),
        ({"targets": ["tx9"]}, "refused:unknown_target"),
        ({"intervals": []}, "refused:malformed"),
        (
            {"intervals": [{"id": 0, "payloads": [{"type": "CURVE", "values": [0.1]}]}]},
            "refused:not_supported",
        ),
    ],
)
def test_refusals_are_answered_and_audited(changes: dict[str, Any], answer: str) -> None:
    async def scenario(d: Desk) -> None:
        assert await d.send(event(**changes)) == [answer]

    desk = run(scenario)
    assert desk.said[0].event_id == "evt-1"
    assert desk.said[0].message
    assert desk.said[0].remedy
    assert desk.audited[-1]["result"] == answer.partition(":")[2]


def test_what_is_not_acted_on_is_said() -> None:
    mixed = limit(60)
    mixed["payloads"].append({"type": "PRICE", "values": [0.1]})

    async def scenario(d: Desk) -> None:
        assert await d.send(event(intervals=[mixed])) == ["received", "partial:not_supported"]
        assert d.said[-1].not_acted_on == ("PRICE",)
        partly = event(id="b", targets=["grid", "tx9"])
        assert await d.send(partly, topic="dr/event/b") == ["received", "partial:unknown_target"]
        assert d.said[-1].unknown_targets == ("tx9",)
        await d.until("16:45")
        assert d.kilowatts() == [60.0, 60.0]

    run(scenario)


DOUBT: dict[str, tuple[Any, str, str, list[float]]] = {
    "lower": (
        event(modificationDateTime=wire("14:30"), intervals=[limit(50)]),
        TOPIC,
        "accepted",
        [50.0],
    ),
    "higher": (
        event(modificationDateTime=wire("14:30"), intervals=[limit(90)]),
        TOPIC,
        "refused:clock_untrusted",
        [60.0],
    ),
    "cancel": (
        event(modificationDateTime=wire("14:30"), duration="PT0S"),
        TOPIC,
        "refused:clock_untrusted",
        [60.0],
    ),
    "delete": (None, TOPIC, "refused:clock_untrusted", [60.0]),
    "index": ({"made_at": wire("16:00"), "events": {}}, "dr/index", "", [60.0]),
    "another": (event(id="b", intervals=[limit(40)]), "dr/event/b", "accepted", [40.0, 60.0]),
    "another_that_would_replace": (
        event(id="b", priority=0, intervals=[limit(90)]),
        "dr/event/b",
        "refused:clock_untrusted",
        [60.0],
    ),
}


@pytest.mark.parametrize("name", DOUBT)
def test_without_a_trusted_clock_only_tightening_is_taken(name: str) -> None:
    body, topic, answer, kilowatts = DOUBT[name]

    async def scenario(d: Desk) -> None:
        await d.send(event())
        await d.until("16:45")
        d.trusted = False
        answers = await d.send(body, topic=topic)
        assert answer in answers if answer else answers == []
        assert d.kilowatts() == kilowatts

    run(scenario)


def test_a_tightening_version_under_a_clock_in_doubt_keeps_the_random_draw() -> None:
    period = {"start": wire("16:30"), "duration": "PT1H", "randomizeStart": "PT10M"}

    async def scenario(d: Desk) -> None:
        await d.send(event(intervalPeriod=period))
        (before,) = d.desk.ceilings()
        d.trusted = False
        lower = event(
            intervalPeriod=period, modificationDateTime=wire("14:30"), intervals=[limit(50)]
        )
        assert "accepted" in await d.send(lower)
        (after,) = d.desk.ceilings()
        assert (after.from_utc_s, after.limit_w) == (before.from_utc_s, 50_000.0)

    run(scenario)


def test_without_a_trusted_clock_nothing_ends_by_time() -> None:
    async def scenario(d: Desk) -> None:
        await d.send(event())
        await d.until("16:45")
        d.trusted = False
        assert await d.until("18:00") == []
        assert [c.holder.id for c in d.desk.ceilings()] == ["evt-1"]
        d.trusted = True
        assert await d.until("18:00:01") == ["completed"]
        assert d.desk.ceilings() == ()

    run(scenario)


def test_a_full_disk_delays_the_answer_and_not_the_limit() -> None:
    async def scenario(d: Desk) -> None:
        d.clock = "16:45"
        d.store.full = True
        assert await d.send(event()) == []
        assert d.kilowatts() == [60.0]
        d.store.full = False
        assert await d.until("16:45:05") == []
        assert await d.until("16:45:11") == ["received", "accepted", "active"]
        assert (await d.restart()).kilowatts() == [60.0]

    run(scenario)


def test_an_answer_that_the_outbox_did_not_take_is_given_after_the_restart() -> None:
    async def scenario(d: Desk) -> None:
        d.outbox_full = True
        assert await d.send(event()) == []
        again = await d.restart()
        assert await again.until("14:01") == ["received", "accepted"]
        assert await (await again.restart()).until("14:02") == []

    run(scenario)


def test_S23_events_are_bounded() -> None:  # noqa: N802
    async def scenario(d: Desk) -> None:
        for number in range(EVENTS_MAX):
            name = f"e{number}"
            await d.send(event(id=name), topic=f"dr/event/{name}")
        assert await d.send(event(id="more"), topic="dr/event/more") == ["refused:too_many"]
        assert await d.send(event(id="e0", modificationDateTime=wire("14:01")), topic="dr/event/e0")
        await d.until("17:31")
        await d.send(event(id="x", intervals=[limit(1, duration="PT9H")]), topic="dr/event/x")
        await d.until("17:32")
        kept = await d.store.load_all("dr_event")
        assert len(kept) <= ENDED_MAX + 1

    run(scenario)


def test_ended_events_are_forgotten_after_a_week() -> None:
    async def scenario(d: Desk) -> None:
        await d.send(event())
        await d.until("17:31")
        assert await d.store.load_all("dr_event")
        later = Instant(mono_s=8e5, utc_s=at("17:31") + 8 * 86400.0)
        await d.desk.tick(later)
        assert await d.store.load_all("dr_event") == {}

    run(scenario)


def test_a_kept_event_that_the_site_no_longer_fits_is_refused_after_the_restart() -> None:
    async def scenario(d: Desk) -> None:
        await d.send(event())
        again = await d.restart(site=replace(SITE, programs=()))
        assert again.desk.ceilings() == ()
        assert await again.until("14:01") == ["refused:unknown_program"]

    run(scenario)


def test_a_broken_document_is_audited_and_harms_no_other() -> None:
    async def scenario(d: Desk) -> None:
        await d.send(event())
        await d.store.put("dr_event", "zzz", {"body": 7})
        again = await d.restart()
        await again.until("16:45")
        assert again.kilowatts() == [60.0]
        assert again.audited[0]["result"] == "unreadable"

    run(scenario)


def test_other_topics_are_left_alone() -> None:
    async def scenario(d: Desk) -> None:
        assert await d.send(event(), topic="dr/heartbeat/prog-1") == []
        assert await d.send(event(), topic="command/limit") == []

    assert run(scenario).audited == []


def test_view_says_what_is_in_force() -> None:
    async def scenario(d: Desk) -> None:
        await d.send(event(eventName="evening", priority=1, targets=["tx1"]))
        assert d.desk.view() == [
            {
                "event_id": "evt-1",
                "program_id": "prog-1",
                "state": "accepted",
                "mandatory": True,
                "rank": "utility_mandatory",
                "limit_w": 60_000.0,
                "impact": [],
                "targets": ["tx1"],
                "from": "2026-11-24T16:30:00.000Z",
                "until": "2026-11-24T17:30:00.000Z",
                "priority": 1,
                "name": "evening",
            }
        ]
        await d.send(None)
        assert d.desk.view() == []

    run(scenario)
