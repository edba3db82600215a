"""A clock that is trusted and set all the same: what holds then, and what the ledger writes."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest

from edgectl.clock import Instant
from edgectl.contract.dr_report import DrReport
from edgectl.control.cap import is_active
from edgectl.daemon.books.baselines import Baselines
from edgectl.daemon.books.ledger import Ledger
from edgectl.daemon.desk.held_event import Lift
from edgectl.model.ceiling import Rank
from edgectl.model.evidence import ChainName
from edgectl.simulator.memory.evidence import MemoryEvidence
from tests.grid.samples import SITE, at, event, limit, wire
from tests.grid.test_event_desk import Desk

HOUR_S = 3600.0
FOUR = event(
    intervalPeriod={"start": wire("16:30"), "duration": "PT30M"},
    intervals=[limit(60), limit(45, 1), limit(50, 2), limit(70, 3)],
)


@dataclass
class Set(Desk):
    """`clock` and `days` are the steady time; the wall clock is `ahead_s` before it."""

    ahead_s: float = 0.0
    days: int = 0
    ledgers: list[Ledger] = field(default_factory=list)
    evidence: MemoryEvidence = field(default_factory=MemoryEvidence)

    def now(self) -> Instant:
        steady_s = at(self.clock) + self.days * 86_400.0
        return Instant(
            mono_s=steady_s - at("00:00"),
            utc_s=steady_s + self.ahead_s,
            utc_trusted=self.trusted,
        )

    def kilowatts(self) -> list[float]:
        return sorted(
            c.limit_w / 1000
            for c in self.desk.ceilings()
            if c.limit_w is not None and is_active(c, self.now())
        )

    async def at(self, clock: str, *, ahead_s: float | None = None) -> list[float]:
        """The limits at a steady time, from which on the wall clock may be another."""
        self.clock = clock
        if ahead_s is not None:
            self.ahead_s = ahead_s
        await self.desk.tick(self.now())
        for ledger in self.ledgers:
            await ledger.tick(self.now())
        return self.kilowatts()

    async def minutes(self, start: str, end: str) -> list[list[float]]:
        """The limits at every minute of a steady time."""
        found = []
        for second in range(round(at(start)), round(at(end)), 60):
            minute = round(second - at("00:00")) // 60
            found.append(await self.at(f"{minute // 60:02d}:{minute % 60:02d}"))
        return found

    async def book(self) -> None:
        """Keep the ledger from now on."""

        async def send(_report: DrReport) -> None:
            return

        made = Ledger(
            site=SITE,
            store=self.store,
            evidence=self.evidence,
            baselines=Baselines(site=SITE, store=self.store),
            watched=self.desk.begun,
            send=send,
        )
        await made.load(self.now())
        self.ledgers = [made]

    def rows(self) -> list[tuple[str, str]]:
        """Begin and end of every row of the ledger, by the wall clock."""
        return [
            (str(row.doc["from"])[11:16], str(row.doc["until"])[11:16])
            for row in self.evidence.rows[ChainName.LEDGER]
        ]


Story = Callable[[Set], Coroutine[Any, Any, None]]


def tell(story: Story) -> Set:
    made = Set()
    asyncio.run(story(made))
    return made


@pytest.mark.parametrize("kind", ["mandatory", "voluntary"])
def test_a_clock_set_back_takes_nothing_away_that_is_in_force(kind: str) -> None:
    """It holds by the clock before until that ends it, and again by the clock that is right."""

    async def story(d: Set) -> None:
        await d.send(event(programID="prog-1" if kind == "mandatory" else "prog-2"))
        assert await d.at("16:45") == [60.0]
        assert await d.at("16:46", ahead_s=-HOUR_S) == [60.0]
        assert [one for one in await d.minutes("16:46", "18:30") if one != [60.0]] == []
        assert await d.at("18:30") == []
        assert d.states()[-2:] == ["active", "completed"], "and nobody is told that it ended before"

    tell(story)


def test_by_each_clock_the_interval_that_it_says_holds() -> None:
    """Set back at 17:10 by half an hour: 45 kW by the one, 60 kW by the other, the least holds."""

    async def story(d: Set) -> None:
        await d.send(FOUR)
        assert await d.at("17:10") == [45.0]
        assert await d.at("17:11", ahead_s=-1800.0) == [45.0, 60.0]
        assert await d.at("17:31") == [45.0, 50.0]
        assert await d.at("18:01") == [50.0, 70.0]
        assert await d.at("18:31") == [70.0]
        assert await d.at("19:01") == []

    tell(story)


def test_a_clock_set_back_past_the_whole_event_ends_it_and_begins_it_again() -> None:
    async def story(d: Set) -> None:
        await d.send(event())
        await d.at("16:45")
        assert await d.at("16:46", ahead_s=-3 * HOUR_S) == [60.0]
        d = await reborn(d)
        assert await d.at("17:29") == [60.0], "a restart forgets no clock"
        assert await d.at("17:30") == []
        assert d.states()[-1] == "accepted"
        assert await d.at("19:29") == []
        assert await d.at("19:30") == [60.0]
        assert d.states()[-1] == "active"
        assert await d.at("20:30") == []

    tell(story)


async def reborn(d: Set) -> Set:
    """The next process on the same disk."""
    made = Set(store=d.store, clock=d.clock, ahead_s=d.ahead_s, evidence=d.evidence)
    await made.desk.load(made.now())
    if d.ledgers:
        await made.book()
    return made


def test_a_clock_that_was_years_ahead_binds_a_site_for_a_day_at_most() -> None:
    year_s = 365 * 86_400.0

    async def story(d: Set) -> None:
        start = "2027-11-24T16:30:00Z"
        await d.send(event(intervalPeriod={"start": start}))
        assert await d.at("16:00") == []
        assert await d.at("16:45", ahead_s=year_s) == [60.0]
        assert await d.at("16:46", ahead_s=0.0) == [60.0]
        d.days = 1
        assert await d.at("16:45") == [60.0]
        assert await d.at("16:46") == []
        assert d.states()[-1] == "accepted"

    tell(story)


def test_a_clock_set_back_and_forth_is_forgotten() -> None:
    async def story(d: Set) -> None:
        await d.send(event())
        await d.at("16:45")
        await d.at("16:46", ahead_s=-HOUR_S)
        assert await d.at("16:47", ahead_s=0.0) == [60.0]
        assert len(d.desk.ceilings()) == 1
        assert await d.at("17:30") == []
        assert d.states() == ["received", "accepted", "active", "completed"]

    tell(story)


def test_a_clock_set_forward_starts_what_is_due_and_back_again_ends_nothing_too_early() -> None:
    async def story(d: Set) -> None:
        await d.send(event())
        assert await d.at("14:10", ahead_s=2.5 * HOUR_S) == [60.0]
        assert await d.at("14:20", ahead_s=4.0 * HOUR_S) == []
        assert d.states()[-1] == "completed"
        assert await d.at("14:30", ahead_s=0.0) == []
        assert d.states()[-1] == "accepted", "its hour is still to come"
        assert await d.at("16:30") == [60.0]
        assert await d.at("17:30") == []

    tell(story)


def test_an_end_by_a_clock_that_was_ahead_is_taken_back_after_a_restart_too() -> None:
    async def story(d: Set) -> None:
        await d.send(event())
        await d.at("16:40")
        assert await d.at("16:41", ahead_s=2 * HOUR_S) == []
        d.ahead_s, d.clock = 0.0, "16:45"
        d = await reborn(d)
        assert await d.at("16:46") == [60.0]
        assert d.states()[-1] == "active"

    tell(story)


def test_a_clock_out_of_all_calendars_ends_nothing_for_good() -> None:
    async def story(d: Set) -> None:
        await d.send(event())
        await d.at("16:40")
        d.ahead_s = 1e300
        d.desk.advance(d.now())
        d.ahead_s = 0.0
        assert await d.at("16:45") == [60.0]

    tell(story)


def test_what_was_deleted_stays_deleted() -> None:
    async def story(d: Set) -> None:
        await d.send(event())
        await d.at("16:40", ahead_s=HOUR_S / 2)
        await d.send(None)
        assert await d.at("16:41", ahead_s=0.0) == []

    tell(story)


def test_a_lift_lasts_as_long_as_was_said() -> None:
    async def story(d: Set) -> None:
        await d.send(event(programID="prog-2"))
        await d.at("16:40")
        lift = Lift(at("16:50"), "local:x", "test", Rank.TECHNICIAN, "c-1")
        assert await d.desk.lifts.lift("evt-1", lift, now=d.now())
        assert await d.at("16:41", ahead_s=-HOUR_S) == []
        assert await d.at("16:49") == []
        assert await d.at("16:50") == [60.0]

    tell(story)


QUARTERS = [("16:30", "16:45"), ("16:45", "17:00"), ("17:00", "17:15"), ("17:15", "17:30")]


def test_the_ledger_records_anew_what_comes_again_and_leaves_no_gap() -> None:
    async def story(d: Set) -> None:
        await d.book()
        await d.send(event())
        await d.minutes("16:29", "16:50")
        assert d.rows() == QUARTERS[:1]
        await d.at("16:50", ahead_s=-600.0)
        await d.minutes("16:51", "17:45")
        assert d.rows() == QUARTERS, "the quarter of which only a part came again stands"

    tell(story)


def test_the_last_of_two_rows_of_one_time_is_that_of_the_right_clock() -> None:
    async def story(d: Set) -> None:
        await d.book()
        await d.send(event())
        await d.minutes("16:29", "16:50")
        await d.at("16:50", ahead_s=-HOUR_S)
        await d.minutes("16:51", "18:35")
        assert d.rows() == [QUARTERS[0], *QUARTERS]

    tell(story)


def test_a_time_that_a_clock_left_out_is_told() -> None:
    async def story(d: Set) -> None:
        await d.book()
        await d.send(event())
        await d.minutes("14:00", "14:05")
        await d.at("14:05", ahead_s=4 * HOUR_S)
        await d.minutes("14:06", "14:09")
        assert d.rows() == QUARTERS
        assert {row.doc["cause"] for row in d.evidence.rows[ChainName.LEDGER]} == {"not_watched"}
        await d.at("14:10", ahead_s=0.0)
        await d.minutes("16:29", "17:32")
        assert d.rows() == QUARTERS * 2, "and recorded once it came after all"

    tell(story)


def test_a_site_that_was_off_for_a_whole_event_says_so() -> None:
    async def story(d: Set) -> None:
        await d.book()
        await d.send(event())
        await d.at("14:01")
        d.clock = "18:00"
        d = await reborn(d)
        await d.minutes("18:01", "18:05")
        assert d.rows() == QUARTERS

    tell(story)


def test_what_counts_again_is_recorded_from_the_next_whole_quarter_on() -> None:
    """What was seen of the quarter before the clock ran ahead stands."""

    async def story(d: Set) -> None:
        await d.book()
        await d.send(event())
        await d.minutes("16:29", "16:47")
        await d.at("16:47", ahead_s=2 * HOUR_S)
        assert d.rows() == QUARTERS
        await d.at("16:50", ahead_s=0.0)
        await d.minutes("16:51", "17:32")
        assert d.rows() == [*QUARTERS, *QUARTERS[2:]]

    tell(story)
