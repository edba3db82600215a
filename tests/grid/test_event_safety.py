"""What a held limit outlives: restarts, wrong clocks, other issuers, replays, full disks."""

import asyncio
import json
from collections.abc import Callable, Sequence

import pytest

from edgectl.clock import Instant
from edgectl.contract.commands import CommandResponse
from edgectl.control.cap import is_active
from edgectl.daemon.desk.commands import CommandDesk
from edgectl.daemon.desk.events import EventDesk
from edgectl.daemon.desk.held_event import Promise
from edgectl.errors import StorageFailed
from edgectl.grid.plan import EventPlan
from edgectl.model.ceiling import Rank
from edgectl.model.settings import Unsigned
from edgectl.model.site import Site
from edgectl.model.store import Entry, Place
from edgectl.model.trust import Connection
from edgectl.simulator.memory.store import MemoryStore
from edgectl.units import ProgramId
from tests.commands.signer import FIRST, Signer, Trusted, claims, seals
from tests.grid import test_link_loss
from tests.grid.samples import SITE, at, event, limit, wire
from tests.grid.test_event_desk import Desk
from tests.grid.test_signed_events import SignedDesk

VOLUNTARY = event(
    programID="prog-2", payloadDescriptors=[{"payloadType": "IMPORT_CAPACITY_LIMIT", "units": "KW"}]
)


def signed_desk(*trusted: Trusted, store: MemoryStore | None = None) -> SignedDesk:
    desk = SignedDesk(store=store or MemoryStore())
    desk.desk = EventDesk(
        site=desk.site,
        store=desk.store,
        unsigned=desk.unsigned,
        draw=lambda: 0.5,
        reply=desk.reply,
        audit=desk.audited.append,
        seals=seals(*trusted),
    )
    return desk


def test_s19_a_restart_does_not_end_a_lost_utility_s_limit() -> None:
    async def main() -> None:
        store = MemoryStore()
        before = test_link_loss.desk(store)
        await before.load(test_link_loss.now(0.0))
        for mono_s in (130.0, 5000.0):
            await before.tick(test_link_loss.now(mono_s))
        assert before.ceilings()
        after = test_link_loss.desk(store)
        await after.load(test_link_loss.now(5.0, 1e9 + 5000.0))
        after.advance(test_link_loss.now(6.0, 1e9 + 5001.0))
        assert after.ceilings()

    asyncio.run(main())


def test_what_asks_for_no_limit_does_not_end_it_either() -> None:
    async def main() -> None:
        told: list[tuple[ProgramId, bool]] = []

        def limited(program: ProgramId, _now: Instant, *, in_force: bool) -> None:
            told.append((program, in_force))

        d = Desk()
        d.desk = EventDesk(
            site=d.site,
            store=d.store,
            unsigned=d.unsigned,
            draw=lambda: 0.5,
            reply=d.reply,
            audit=d.audited.append,
            limited=limited,
        )
        await d.send(event(intervals=[{"id": 0, "payloads": [{"type": "PRICE", "values": [0.2]}]}]))
        assert told == []
        await d.send(event(id="evt-2"), topic="dr/event/evt-2")
        d.clock = "16:45"
        await d.send(event(id="evt-3"), topic="dr/event/evt-3")
        assert told == [("prog-1", False), ("prog-1", True)], "one for later limits nothing yet"

    asyncio.run(main())


def test_an_event_that_ran_goes_on_under_a_clock_that_stands_before_it() -> None:
    async def main() -> None:
        d = Desk()
        await d.send(event())
        d.clock = "16:45"
        await d.desk.tick(d.now())
        d.clock, d.trusted = "15:45", False
        again = await d.restart()
        assert any(is_active(one, again.now()) for one in again.desk.ceilings())

    asyncio.run(main())


def test_nobody_replaces_an_event_at_a_node_that_is_not_theirs() -> None:
    async def main() -> None:
        local = Trusted(
            id="local", nodes=("tx1",), programs=("prog-1",), signers=(Signer("l1", number=3),)
        )
        d = signed_desk(Trusted(), local)
        await d.sign(event())
        newer = event(
            modificationDateTime=wire("14:00").replace("14:00:00", "14:00:30"),
            targets=["tx1"],
            intervals=[limit(149)],
        )
        answers = await d.sign(newer, signer=Signer("l1", number=3), iss="local")
        assert answers == ["refused:not_permitted"]
        assert any(one.node == "grid" for one in d.desk.ceilings())

    asyncio.run(main())


def test_an_index_is_signed_by_who_speaks_for_all_that_it_may_delete() -> None:
    async def main() -> None:
        other = Trusted(id="fleet", may=("target",), programs=(), signers=(Signer("f1", number=4),))
        d = signed_desk(Trusted(), other)
        await d.sign(
            {"made_at": "2099-01-01T00:00:00Z", "events": {}},
            topic="dr/index",
            signer=Signer("f1", number=4),
            iss="fleet",
        )
        assert "accepted" in await d.sign(event())

    asyncio.run(main())


def test_a_signed_deletion_names_the_version_that_it_deletes() -> None:
    async def main() -> None:
        d = SignedDesk()
        await d.sign(event())
        body = {"object_type": "EVENT", "operation": "DELETE", "object": {"id": "evt-1"}}
        raw = FIRST.sign(body | claims(at("14:00"), seq=None, exp=at("23:00")))
        await d.send(raw, topic="dr/event")
        d.clock = "14:10"
        await d.sign(event(modificationDateTime=wire("14:10")))
        await d.send(raw, topic="dr/event")
        assert d.desk.ceilings()

    asyncio.run(main())


def test_a_promise_is_worked_out_again_after_a_restart() -> None:
    async def main() -> None:
        asked: list[EventPlan] = []

        async def assess(plan: EventPlan, _now: Instant) -> Promise:
            asked.append(plan)
            return Promise(floor_w=1e5)

        d = Desk()

        def made() -> EventDesk:
            return EventDesk(
                site=d.site,
                store=d.store,
                unsigned=d.unsigned,
                draw=lambda: 0.5,
                reply=d.reply,
                audit=d.audited.append,
                assess=assess,
            )

        d.desk = made()
        await d.send(VOLUNTARY)
        d.desk = made()
        await d.desk.load(d.now())
        asked.clear()
        for clock in ("15:00", "16:00"):
            d.clock = clock
            await d.desk.tick(d.now())
        assert asked

    asyncio.run(main())


def command_desk(
    store: MemoryStore, *, site: Site = SITE, audit: Callable[[dict[str, object]], None]
) -> CommandDesk:
    async def reply(_name: str, _body: CommandResponse) -> None:
        return

    return CommandDesk(site=site, store=store, unsigned=Unsigned.LOOPBACK, reply=reply, audit=audit)


def test_what_lasts_to_the_end_of_time_leaves_the_technician_room() -> None:
    async def main() -> None:
        store, audited = MemoryStore(), list[dict[str, object]]()
        desk = command_desk(store, audit=audited.append)
        then = Instant(mono_s=1000.0, utc_s=at("14:00"))
        for n in range(700):
            body = {
                "command_id": f"x{n}",
                "issuer": "any",
                "made_at": wire("14:00"),
                "expires_at": "2026-12-01T14:00:00Z",
                "evse": "bay01",
                "reason": "r",
            }
            await desk.handle(
                "command/resume",
                json.dumps(body).encode(),
                retained=False,
                connection=Connection.LOOPBACK,
                now=then,
            )
        answer = await desk.local("pause", {"evse": "bay01", "reason": "smoke"}, who="t", now=then)
        assert answer.result == "accepted"

    asyncio.run(main())


async def release(d: Desk, store: MemoryStore, *, seq: int) -> None:
    """An operator's signed command sets the event aside, by a desk that keeps in `store`."""
    operator = Trusted(
        id="op", rank=Rank.OPERATOR, may=("release",), signers=(Signer("o1", number=5),)
    )

    async def reply(_name: str, _body: CommandResponse) -> None:
        return

    desk = CommandDesk(
        site=SITE,
        store=store,
        unsigned=Unsigned.NEVER,
        reply=reply,
        audit=d.audited.append,
        seals=seals(operator),
        lifts=d.desk.lifts,
    )
    body = {
        "command_id": "c1",
        "issuer": "op",
        "made_at": wire("16:45"),
        "expires_at": wire("16:50"),
        "target_command_id": "evt-1",
    }
    await desk.handle(
        "command/release",
        Signer("o1", number=5).sign(body | claims(at("16:45"), iss="op", seq=seq)),
        retained=False,
        connection=Connection.OTHER,
        now=d.now(),
    )


def test_a_lift_that_cannot_be_kept_lifts_nothing() -> None:
    async def main() -> None:
        d = Desk()
        store = MemoryStore()
        d.store = store
        d.desk = EventDesk(
            site=d.site,
            store=store,
            unsigned=d.unsigned,
            draw=lambda: 0.5,
            reply=d.reply,
            audit=d.audited.append,
        )
        await d.send(VOLUNTARY)
        d.clock = "16:45"
        await d.desk.tick(d.now())
        store.full = True
        await release(d, store, seq=1)
        assert d.desk.ceilings()

    asyncio.run(main())


class Spent(MemoryStore):
    """A disk that takes so many writes more; then the process is gone."""

    def __init__(self) -> None:
        super().__init__()
        self.left = 10**9

    async def put_all(self, entries: Sequence[Entry], *, gone: Sequence[Place] = ()) -> None:
        if self.left == 0:
            raise StorageFailed("the process is gone")
        self.left -= 1
        await super().put_all(entries, gone=gone)


@pytest.mark.parametrize("writes", range(5))
def test_a_kill_leaves_a_lift_and_its_number_both_or_neither(writes: int) -> None:
    """Else a lift that has its effect could be played again, and last longer."""

    async def main() -> None:
        d, store = Desk(), Spent()
        d.store = store
        d.__post_init__()
        await d.send(VOLUNTARY)
        d.clock = "16:45"
        await d.desk.tick(d.now())
        store.left = writes
        await release(d, store, seq=7)
        (event_doc,) = (await store.load_all("dr_event")).values()
        lifted = event_doc["lift"] is not None
        numbers = [doc["seq"] for doc in (await store.load_all("command")).values()]
        assert numbers == ([7] if lifted else [])
        assert lifted is (writes > 0)

    asyncio.run(main())
