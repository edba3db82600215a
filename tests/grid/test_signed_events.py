"""Signed events: who may send, change and delete what; lifts; room for each program."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from edgectl.daemon.desk.event_shelf import EVENTS_MAX
from edgectl.daemon.desk.events import EventDesk
from edgectl.daemon.desk.held_event import Lift
from edgectl.errors import Refused
from edgectl.model.ceiling import Rank
from edgectl.model.decision import AlarmCode
from edgectl.model.settings import Unsigned
from edgectl.model.site import Program
from edgectl.units import ProgramId
from tests.commands.signer import FIRST, OTHER, SECOND, Signer, Trusted, claims, seals
from tests.grid.samples import MANDATORY, SITE, VOLUNTARY, at, event, limit, wire
from tests.grid.test_event_desk import TOPIC, Desk

SIGNED = replace(MANDATORY, signed=True)
SITE_SIGNED = replace(SITE, programs=(SIGNED, VOLUNTARY))
LOCAL = Trusted(
    id="local",
    rank=Rank.UTILITY_VOLUNTARY,
    nodes=("tx1",),
    min_limit_a=20.0,
    programs=("prog-2",),
    signers=(Signer("l1", number=3),),
)
Scenario = Callable[["SignedDesk"], Coroutine[Any, Any, None]]


class SignedDesk(Desk):
    """One signed program, one that is not, and two issuers."""

    def __post_init__(self) -> None:
        self.site = SITE_SIGNED
        self.unsigned = Unsigned.LOOPBACK
        self.desk = EventDesk(
            site=self.site,
            store=self.store,
            unsigned=self.unsigned,
            draw=lambda: next(self.draws),
            reply=self.reply,
            audit=self.audited.append,
            seals=seals(Trusted(), LOCAL),
        )

    async def sign(
        self,
        body: dict[str, Any],
        *,
        signer: Signer = FIRST,
        topic: str = TOPIC,
        header: dict[str, Any] | None = None,
        **claim: Any,
    ) -> list[str]:
        given = claims(at(self.clock), seq=None, exp=at("23:00"), **claim)
        return await self.send(signer.sign(body | given, **(header or {})), topic=topic)


def run(scenario: Scenario) -> SignedDesk:
    desk = SignedDesk()
    asyncio.run(scenario(desk))
    return desk


@pytest.mark.parametrize("signer", [FIRST, SECOND], ids=["EdDSA", "ES256"])
def test_a_signed_event_is_taken_and_kept_with_its_issuer(signer: Signer) -> None:
    async def scenario(d: SignedDesk) -> None:
        assert await d.sign(event(), signer=signer) == ["received", "accepted"]
        assert d.audited[-1]["actor"] == "issuer:utility-x"
        assert d.desk.view()[0]["issuer"] == "utility-x"
        await d.until("16:45")
        d.__post_init__()
        await d.desk.load(d.now())
        assert d.kilowatts() == [60.0]
        assert d.desk.view()[0]["issuer"] == "utility-x"

    run(scenario)


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "foreign key": ({}, {"signer": OTHER}, "bad_signature"),
    "another site": ({}, {"aud": "depot-south"}, "wrong_audience"),
    "unknown issuer": ({}, {"iss": "nobody"}, "unknown_issuer"),
    "not yet": ({}, {"nbf": at("15:00")}, "not_yet_valid"),
    "another id than its topic": ({"id": "evt-2"}, {}, "malformed"),
    "signature ends before the event": (
        {"intervalPeriod": {"start": wire("22:30"), "duration": "PT1H"}},
        {},
        "expired",
    ),
    "alg none": ({}, {"header": {"alg": "none"}}, "bad_signature"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    changes, how, code = REFUSED[name]

    async def scenario(d: SignedDesk) -> None:
        assert await d.sign(event(**changes), **how) == [f"refused:{code}"]
        assert d.audited[-1]["result"] == code
        await d.until("16:45")
        assert d.kilowatts() == []

    run(scenario)


def test_nothing_unsigned_touches_a_signed_program() -> None:
    async def scenario(d: SignedDesk) -> None:
        assert await d.send(event()) == ["refused:unsigned"]
        assert await d.sign(event()) == ["received", "accepted"]
        await d.until("16:45")
        wider = event(modificationDateTime=wire("14:30"), intervals=[limit(90)])
        assert await d.send(wider) == ["refused:unsigned"]
        beside = event(modificationDateTime=wire("14:30"), programID="prog-2")
        assert await d.send(beside) == ["received", "accepted", "active"]
        assert d.kilowatts() == [60.0, 60.0], "nor takes it into another program"
        assert await d.send(None) == ["cancelled"], "it deletes what is unsigned"
        assert d.said[-1].program_id == "prog-2"
        assert await d.send(None) == ["refused:unsigned"], "an empty payload deletes nothing else"
        delete = {"object_type": "EVENT", "operation": "DELETE", "object": event()}
        assert await d.send(delete, topic="dr/event") == ["refused:unsigned"]
        await d.send({"made_at": wire("20:00"), "events": {}}, topic="dr/index")
        assert d.kilowatts() == [60.0]

    run(scenario)


@pytest.mark.parametrize("how", ["PT0S", "DELETE", "index"])
def test_a_signed_word_deletes(how: str) -> None:
    async def scenario(d: SignedDesk) -> None:
        await d.sign(event())
        await d.until("16:45")
        # An unsigned list from far ahead stands in nobody's way.
        await d.send({"made_at": wire("22:00"), "events": {}}, topic="dr/index")
        if how == "PT0S":
            await d.sign(event(modificationDateTime=wire("16:45"), duration="PT0S"))
        elif how == "DELETE":
            body = {"object_type": "EVENT", "operation": "DELETE", "object": event()}
            await d.sign(body, topic="dr/event")
        else:
            await d.sign({"made_at": wire("16:45"), "events": {}}, topic="dr/index")
        assert d.kilowatts() == []
        assert (await d.sign(event()))[-1:] != ["accepted"], "a replay brings nothing back"
        assert d.kilowatts() == []

    run(scenario)


def test_a_deleted_id_is_remembered_until_its_signature_ends() -> None:
    async def scenario(d: SignedDesk) -> None:
        await d.sign(event())
        body = {"object_type": "EVENT", "operation": "DELETE", "object": event()}
        await d.sign(body, topic="dr/event")
        for number in range(20):
            d.clock = f"{14 + number // 4}:{number % 4 * 15:02d}"
            await d.desk.tick(d.now())
        assert await d.store.load_all("dr_event") != {}

    run(scenario)


def test_an_open_end_outlives_its_signature_with_an_alarm() -> None:
    async def scenario(d: SignedDesk) -> None:
        await d.sign(event(intervalPeriod={"start": wire("16:30")}))
        await d.until("22:59")
        assert d.desk.alarms(d.now()) == ()
        await d.until("23:30")
        assert d.kilowatts() == [60.0]
        assert [a.code for a in d.desk.alarms(d.now())] == [AlarmCode.SEAL_EXPIRED]

    run(scenario)


def test_the_same_signed_version_is_idempotent_and_an_older_one_stale() -> None:
    async def scenario(d: SignedDesk) -> None:
        await d.sign(event(modificationDateTime=wire("14:10")))
        assert await d.sign(event(modificationDateTime=wire("14:10"))) == []
        assert await d.sign(event()) == ["refused:stale"]

    run(scenario)


RIGHTS: dict[str, tuple[dict[str, Any], str]] = {
    "another program": ({}, "not_permitted"),
    "above its node": ({"programID": "prog-2"}, "not_permitted"),
    "too low": ({"programID": "prog-2", "targets": ["tx1"], "intervals": [limit(13)]}, "*"),
    "as it may": ({"programID": "prog-2", "targets": ["tx1"], "intervals": [limit(14)]}, ""),
}


@pytest.mark.parametrize("name", RIGHTS)
def test_an_issuer_may_what_the_site_file_says(name: str) -> None:
    changes, code = RIGHTS[name]

    async def scenario(d: SignedDesk) -> None:
        got = await d.sign(event(**changes), signer=LOCAL.signers[0], iss="local")
        assert got == (["refused:not_permitted"] if code else ["received", "accepted"])

    run(scenario)


LIFT = Lift(
    until_utc_s=at("16:50"),
    by="technician (local:uid-7)",
    reason="bus 12 must leave",
    rank=Rank.TECHNICIAN,
    command_id="local-1",
)


def test_a_technician_sets_a_voluntary_event_aside_for_a_time() -> None:
    async def scenario(d: SignedDesk) -> None:
        body = event(programID="prog-2", payloadDescriptors=None)
        body["payloadDescriptors"] = [
            {"payloadType": "IMPORT_CAPACITY_LIMIT", "units": "KW"},
        ]
        await d.send(body)
        await d.until("16:35")
        assert d.kilowatts() == [60.0]
        before = len(d.said)
        assert await d.desk.lifts.lift("evt-1", LIFT, now=d.now())
        assert d.kilowatts() == []
        assert d.states(before) == ["refused:lifted"]
        assert "bus 12 must leave" in (d.said[-1].message or "")
        assert d.desk.view()[0]["lifted_by"] == "technician (local:uid-7)"
        d.__post_init__()
        await d.desk.load(d.now())
        assert d.kilowatts() == [], "a restart keeps it"
        assert await d.until("16:50") == ["active"], "and it ends by itself, which is said"
        assert d.kilowatts() == [60.0]

    run(scenario)


def test_a_lift_ends_by_the_id_of_what_set_it_for_no_lower_rank() -> None:
    async def scenario(d: SignedDesk) -> None:
        await d.send(event(programID="prog-2"))
        await d.until("16:35")
        await d.desk.lifts.lift("evt-1", LIFT, now=d.now())
        d.__post_init__()
        await d.desk.load(d.now())
        lifts = d.desk.lifts
        with pytest.raises(Refused, match="higher rank"):
            await lifts.end("local-1", rank=Rank.UTILITY_VOLUNTARY, now=d.now())
        assert await lifts.end("local-2", rank=Rank.TECHNICIAN, now=d.now()) is None
        assert d.kilowatts() == []
        assert await lifts.end("local-1", rank=Rank.TECHNICIAN, now=d.now()) == "prog-2/evt-1"
        assert d.kilowatts() == [60.0]
        assert d.states()[-1] == "active", "which is said"
        assert await lifts.end("local-1", rank=Rank.TECHNICIAN, now=d.now()) is None

    run(scenario)


def test_S17_nobody_lifts_a_higher_rank_and_nothing_that_is_not_there() -> None:  # noqa: N802
    async def scenario(d: SignedDesk) -> None:
        await d.sign(event())
        await d.until("16:35")
        for rank in (Rank.TECHNICIAN, Rank.UTILITY_MANDATORY):
            with pytest.raises(Refused) as caught:
                await d.desk.lifts.lift("evt-1", replace(LIFT, rank=rank), now=d.now())
            assert caught.value.code == "would_widen"
        assert not await d.desk.lifts.lift("evt-9", LIFT, now=d.now())
        assert d.kilowatts() == [60.0]

    run(scenario)


def test_S23_a_flood_in_one_program_leaves_room_in_another() -> None:  # noqa: N802
    loud = Program(id=ProgramId("loud"), mandatory=True, default_unit="KW")

    async def scenario(d: Desk) -> None:
        for number in range(EVENTS_MAX):
            name = f"e-{number}"
            body = event(id=name, programID="loud")
            assert (await d.send(body, topic=f"dr/event/{name}"))[-1] == "accepted"
        one_more = event(id="more", programID="loud")
        assert await d.send(one_more, topic="dr/event/more") == ["refused:too_many"]
        assert await d.send(event()) == ["received", "accepted"]

    asyncio.run(scenario(Desk(site=replace(SITE, programs=(loud, MANDATORY)))))


def test_a_megabyte_is_answered_too_large_with_the_id_of_its_topic() -> None:
    async def scenario(d: SignedDesk) -> None:
        assert await d.send(b"x" * 1_000_000) == ["refused:too_large"]
        assert d.said[-1].event_id == "evt-1"
        sealed = FIRST.sign({"iss": "utility-x", "eventName": "x" * 1_000_000})
        assert await d.send(sealed) == ["refused:too_large"]
        assert await d.send(json.dumps({"a": "x" * 1_000_000}).encode(), topic="dr/index") == [
            "refused:too_large"
        ]

    run(scenario)
