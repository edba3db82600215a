"""What holds when a utility is not heard: F11, F23, S19."""

import asyncio

import pytest

from edgectl.clock import Instant
from edgectl.daemon.desk.utility_links import UtilityLinks
from edgectl.grid.link_loss import LinkWatch
from edgectl.model.ceiling import Rank
from edgectl.model.site import LinkLoss, Program
from edgectl.model.store import Document
from edgectl.simulator.memory.store import MemoryStore
from edgectl.units import ProgramId
from tests.grid.samples import with_program

RULE = LinkLoss(after_s=120.0, limit_w=50_000.0, for_s=600.0)
PROGRAM = ProgramId("p")
SITE = with_program(Program(id=PROGRAM, mandatory=True, link_loss=RULE))
BEAT = "dr/heartbeat/p"


def lost_s(*heard_s: float, until_s: float, limits_s: tuple[float, ...] = ()) -> list[float]:
    """The whole seconds in which the rule's limit holds."""
    watch, found = LinkWatch(heard_s=0.0), []
    for second in range(int(until_s)):
        if float(second) in heard_s:
            watch = watch.heard(float(second))
        if float(second) in limits_s:
            watch = watch.limited(float(second))
        watch = watch.advanced(float(second), RULE)
        if watch.lost_s is not None:
            found.append(float(second))
    return found


def test_s19_it_begins_after_the_gap_and_never_runs_out() -> None:
    assert lost_s(until_s=5000.0) == [float(n) for n in range(120, 5000)]
    assert lost_s(*range(0, 5000, 60), until_s=5000.0) == []


def test_a_heartbeat_alone_ends_it_only_after_its_time() -> None:
    found = lost_s(*range(200, 2000, 60), until_s=2000.0)
    assert found == [float(n) for n in range(120, 720)]


def test_one_heartbeat_in_between_ends_nothing() -> None:
    assert lost_s(300.0, until_s=2000.0) == [float(n) for n in range(120, 2000)]


def test_a_new_limit_ends_it_at_once_and_counts_as_hearing() -> None:
    found = lost_s(until_s=300.0, limits_s=(150.0,))
    assert found == [*map(float, range(120, 150)), *map(float, range(270, 300))]


def now(mono_s: float, utc_s: float | None = None, *, trusted: bool = True) -> Instant:
    return Instant(
        mono_s=mono_s, utc_s=1e9 + mono_s if utc_s is None else utc_s, utc_trusted=trusted
    )


def desk(store: MemoryStore, audited: list[Document] | None = None) -> UtilityLinks:
    found = [] if audited is None else audited
    return UtilityLinks(site=SITE, store=store, audit=found.append)


@pytest.mark.parametrize(
    ("then", "later"), [(True, True), (True, False), (False, True), (False, False)]
)
def test_a_restart_does_not_end_it(*, then: bool, later: bool) -> None:
    async def main() -> None:
        store = MemoryStore()
        audited: list[Document] = []
        before = desk(store, audited)
        await before.load(now(0.0))
        assert before.ceilings() == ()
        await before.tick(now(130.0, trusted=then))
        assert [c.limit_w for c in before.ceilings()] == [50_000.0]
        assert [record["result"] for record in audited] == ["lost"]
        after = desk(store)
        await after.load(now(5.0, 1e9 + 400.0, trusted=later))
        (ceiling,) = after.ceilings()
        assert (ceiling.limit_w, ceiling.holder.rank) == (50_000.0, Rank.UTILITY_MANDATORY)
        assert (ceiling.holder.kind, ceiling.until_utc_s) == ("failsafe", None)
        # 270 s of the 600 s are over, where clocks can tell; else they begin anew.
        rest_s = 330.0 if then and later else 600.0
        for second in range(10, 700, 10):
            after.hear(BEAT, retained=False, now=now(float(second)))
            await after.tick(now(float(second)))
            assert bool(after.ceilings()) is (second < 5.0 + rest_s)
        assert await store.load_all("dr_link") == {}

    asyncio.run(main())


def test_a_retained_heartbeat_and_one_of_a_stranger_say_nothing() -> None:
    async def main() -> None:
        links = desk(MemoryStore())
        await links.load(now(0.0))
        for name, retained in ((BEAT, True), ("dr/heartbeat/q", False), ("dr/event/p", False)):
            links.hear(name, retained=retained, now=now(100.0))
        links.advance(now(121.0))
        assert [alarm.code.value for alarm in links.alarms()] == ["utility_lost"]
        assert links.view() == [
            {"program_id": "p", "lost": True, "since": "2001-09-09T01:48:41.000Z"}
        ]

    asyncio.run(main())


def test_a_limit_for_later_is_a_word_and_ends_nothing() -> None:
    """It was lost; a limit for next week says that the utility is there, and leaves its rule."""

    async def main() -> None:
        links = desk(MemoryStore())
        await links.load(now(0.0))
        links.advance(now(130.0))
        assert links.ceilings()
        links.limited(PROGRAM, now(200.0), in_force=False)
        links.advance(now(201.0))
        assert links.ceilings(), "next week's limit leaves today without one"
        links.limited(PROGRAM, now(210.0), in_force=True)
        assert not links.ceilings()

    asyncio.run(main())
