"""Whose an event is: its id within its program, the lists that may shut it out, and replays."""

import asyncio

import pytest

from edgectl.simulator.memory.store import MemoryStore
from tests.commands.signer import Signer, Trusted
from tests.grid.samples import event, limit, wire
from tests.grid.test_event_desk import Desk, run
from tests.grid.test_event_safety import signed_desk
from tests.grid.test_signed_events import SignedDesk

UNSIGNED = event(programID="prog-2", intervals=[limit(90)])


def test_nobody_takes_an_id_from_a_signed_program() -> None:
    async def main() -> None:
        d = SignedDesk()
        assert await d.send(UNSIGNED) == ["received", "accepted"]
        assert await d.sign(event()) == ["received", "accepted"]
        await d.until("16:45")
        assert d.kilowatts() == [60.0, 90.0]
        after = await d.restart(site=d.site)
        assert after.kilowatts() == [60.0, 90.0]

    asyncio.run(main())


def test_an_event_moves_to_another_program_where_its_sender_speaks_for_both() -> None:
    async def scenario(d: Desk) -> None:
        await d.send(event())
        moved = event(programID="prog-2", modificationDateTime=wire("14:10"), intervals=[limit(90)])
        assert await d.send(moved) == ["received", "accepted", "cancelled"]
        assert d.said[-1].program_id == "prog-1"
        await d.until("16:45")
        assert d.kilowatts() == [90.0]

    run(scenario)


def test_a_one_shot_deletion_may_name_the_program() -> None:
    async def main() -> None:
        d = SignedDesk()
        await d.send(UNSIGNED)
        await d.sign(event())
        gone = {"id": "evt-1", "programID": "prog-2", "modificationDateTime": wire("14:30")}
        body = {"object_type": "EVENT", "operation": "DELETE", "object": gone}
        assert await d.send(body, topic="dr/event") == ["cancelled"]
        await d.until("16:45")
        assert d.kilowatts() == [60.0]

    asyncio.run(main())


def test_events_kept_by_their_id_alone_are_taken_up_and_kept_anew() -> None:
    async def main() -> None:
        before = Desk()
        await before.send(event())
        ((key, doc),) = (await before.store.load_all("dr_event")).items()
        assert key == "prog-1/evt-1"
        store = MemoryStore()
        await store.put("dr_event", "evt-1", doc)
        before.store = store
        after = await before.restart()
        await after.until("16:45")
        assert after.kilowatts() == [60.0]
        assert list(await store.load_all("dr_event")) == ["prog-1/evt-1"]

    asyncio.run(main())


def test_a_kill_between_both_keys_keeps_the_newer_one() -> None:
    async def main() -> None:
        d = Desk()
        await d.send(event(intervals=[limit(90)]))
        (old,) = (await d.store.load_all("dr_event")).values()
        await d.send(event(modificationDateTime=wire("14:10")))
        await d.store.put("dr_event", "evt-1", old)
        after = await d.restart()
        await after.until("16:45")
        assert after.kilowatts() == [60.0]
        assert list(await d.store.load_all("dr_event")) == ["prog-1/evt-1"]

    asyncio.run(main())


EMPTY: dict[str, object] = {"made_at": "2026-11-24T20:00:00Z", "events": {}}
FLEET = Signer("f1", number=4)


@pytest.mark.parametrize(
    ("programs", "nodes", "shut_out"),
    [(("prog-2",), None, False), (("prog-1",), ("tx1",), False), (("prog-1",), None, True)],
)
def test_an_index_speaks_for_what_its_issuer_may_touch(
    programs: tuple[str, ...], nodes: tuple[str, ...] | None, *, shut_out: bool
) -> None:
    """Neither what is held nor what comes later, nor after a restart."""

    async def main() -> None:
        other = Trusted(id="fleet", nodes=nodes, programs=programs, signers=(FLEET,))
        d = signed_desk(Trusted(), other)
        await d.sign(event(id="first"), topic="dr/event/first")
        await d.sign(EMPTY, topic="dr/index", signer=FLEET, iss="fleet")
        assert bool(d.desk.ceilings()) is not shut_out
        taken = await d.sign(event())
        assert ("accepted" in taken) is not shut_out
        after = signed_desk(Trusted(), other, store=d.store)
        await after.desk.load(after.now())
        later = await after.sign(event(id="last"), topic="dr/event/last")
        assert ("accepted" in later) is not shut_out

    asyncio.run(main())


def test_one_issuers_index_is_not_older_than_anothers() -> None:
    async def main() -> None:
        other = Trusted(id="fleet", programs=("prog-2",), signers=(FLEET,))
        d = signed_desk(Trusted(programs=("prog-1",)), other)
        await d.sign(EMPTY, topic="dr/index", signer=FLEET, iss="fleet")
        await d.sign(event())
        assert d.desk.ceilings()
        earlier = EMPTY | {"made_at": wire("19:00")}
        await d.sign(earlier, topic="dr/index")
        assert not d.desk.ceilings()

    asyncio.run(main())


def test_a_list_of_all_issuers_from_before_goes_on_speaking_for_what_is_signed() -> None:
    async def main() -> None:
        d = signed_desk(Trusted())
        await d.store.put("dr_index", "signed", EMPTY)
        await d.desk.load(d.now())
        assert await d.sign(event()) == ["refused:stale"]
        assert "accepted" in await d.send(UNSIGNED | {"id": "evt-2"}, topic="dr/event/evt-2")

    asyncio.run(main())


def test_a_signed_event_names_its_version_or_could_be_played_again() -> None:
    async def main() -> None:
        d = SignedDesk()
        undated = event(modificationDateTime=None, createdDateTime=None, intervals=[limit(0)])
        assert await d.sign(undated) == ["refused:malformed"]
        assert "played again" in str(d.said[-1].message)
        assert not d.desk.ceilings()

    asyncio.run(main())


def test_what_nothing_acts_on_is_refused_and_kept() -> None:
    curve = event(intervals=[{"id": 0, "payloads": [{"type": "CURVE", "values": [0.1]}]}])

    async def scenario(d: Desk) -> None:
        assert await d.send(curve) == ["refused:not_supported"]
        assert d.said[-1].not_acted_on == ("CURVE",)
        (doc,) = (await d.store.load_all("dr_event")).values()
        assert doc["body"] == curve
        (seen,) = d.desk.view()
        assert (seen["state"], seen["code"]) == ("refused", "not_supported")
        d.outbox_full = True
        await d.send(curve | {"modificationDateTime": wire("14:01")})
        after = await d.restart()
        assert await after.until("14:01") == ["refused:not_supported"]
        assert after.desk.view()
        d.outbox_full = False
        await d.send(event(id="evt-2"), topic="dr/event/evt-2")
        worse = curve | {"id": "evt-2", "modificationDateTime": wire("14:02")}
        assert await d.send(worse, topic="dr/event/evt-2") == ["refused:not_supported"]
        await d.until("16:45")
        assert d.kilowatts() == [60.0], "a bad version leaves the good one in force"

    run(scenario)
