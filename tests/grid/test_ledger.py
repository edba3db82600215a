"""The arithmetic of the delivery ledger: slices, baselines, shortfalls and their causes."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from edgectl.contract.dr_report import DrReport, ledger_row, openadr_report
from edgectl.contract.openadr import parse_event
from edgectl.daemon.books.baselines import Baselines
from edgectl.daemon.books.ledger import ROWS_A_TICK, Ledger
from edgectl.errors import StorageFailed
from edgectl.grid.ledger import (
    Baseline,
    Cause,
    DataQuality,
    Method,
    Slice,
    Tally,
    baseline_of,
    settle,
    slices,
)
from edgectl.grid.limit import Limit
from edgectl.grid.targets import Element
from edgectl.model.evidence import ChainName
from edgectl.model.store import Document
from edgectl.simulator.memory.evidence import MemoryEvidence
from edgectl.simulator.memory.store import MemoryStore
from edgectl.units import EvseId, NodeId
from tests.grid.samples import EVSES, SITE, at, event, limit, planned, wire
from tests.grid.test_event_desk import Desk
from tests.grid.test_openadr_schema import published

GRID = Element(node=NodeId("grid"))
ONE = Slice(0, at("16:30"), at("16:45"), Limit(power_w=60_000.0))


def clock(utc_s: float) -> str:
    second = round(utc_s - at("00:00"))
    return f"{second // 3600:02d}:{second % 3600 // 60:02d}"


def cut(start: str, end: str, **changes: object) -> list[tuple[int, str, str]]:
    plan = planned(**changes)  # type: ignore[arg-type]
    return [
        (one.interval, clock(one.from_utc_s), clock(one.until_utc_s))
        for one in slices(plan, from_utc_s=at(start), until_utc_s=at(end))
    ]


def test_intervals_are_cut_at_the_quarters_of_the_clock() -> None:
    found = cut(
        "16:00",
        "20:00",
        intervalPeriod={"start": wire("16:40"), "duration": "PT20M"},
        intervals=[limit(60), limit(40, 1)],
    )
    assert found == [
        (0, "16:40", "16:45"),
        (0, "16:45", "17:00"),
        (1, "17:00", "17:15"),
        (1, "17:15", "17:20"),
    ]


def test_an_interval_without_an_end_is_settled_as_it_goes() -> None:
    found = cut("17:05", "17:31", intervalPeriod={"start": wire("16:30")})
    assert found == [(0, "17:05", "17:15"), (0, "17:15", "17:30"), (0, "17:30", "17:31")]


def test_a_loop_has_the_slices_of_its_pass() -> None:
    found = cut(
        "18:00",
        "18:30",
        duration="PT4H",
        intervalPeriod={"start": wire("16:00"), "duration": "PT1H"},
        intervals=[limit(60), limit(40, 1)],
    )
    assert found == [(0, "18:00", "18:15"), (0, "18:15", "18:30")]


def test_a_baseline_is_the_mean_of_comparable_days_or_of_the_time_before() -> None:
    days = [100.0, 90.0, 80.0, *[50.0] * 20]
    assert baseline_of(days, [1.0]) == Baseline(62.0, Method.COMPARABLE_DAYS, 10)
    assert baseline_of(days[:3], [1.0]) == Baseline(90.0, Method.COMPARABLE_DAYS, 3)
    assert baseline_of(days[:2], [10.0, 20.0]) == Baseline(15.0, Method.BEFORE_EVENT)
    assert baseline_of([], []) == Baseline(None, Method.NONE)


def seen(power_w: float, *, seconds: int = 900, **how: object) -> Tally:
    tally = Tally()
    for _ in range(seconds):
        tally = tally.with_reading(
            power_w,
            for_s=1.0,
            good=how.get("good", True) is True,
            over=how.get("over"),  # type: ignore[arg-type]
            lifted=how.get("lifted", False) is True,
        )
    return tally


def test_what_was_delivered_is_baseline_less_measured() -> None:
    row = settle(
        ONE,
        seen(50_000.0),
        at=GRID,
        promised_w=60_000.0,
        limit_w=60_000.0,
        baseline=Baseline(90_000.0, Method.COMPARABLE_DAYS, 5),
    )
    assert row.measured_w == pytest.approx(50_000.0)
    assert row.delivered_w == pytest.approx(40_000.0)
    assert (row.shortfall_w, row.cause, row.quality) == (0.0, None, DataQuality.OK)


def test_a_shortfall_has_the_cause_that_was_there_for_longest() -> None:
    tally = seen(70_000.0, seconds=600, over=Cause.BASE_LOAD)
    for _ in range(300):
        tally = tally.with_reading(
            70_000.0, for_s=1.0, good=True, over=Cause.SETTLING, lifted=False
        )
    row = settle(
        ONE, tally, at=GRID, promised_w=60_000.0, limit_w=50_000.0, baseline=baseline_of((), ())
    )
    assert row.shortfall_w == pytest.approx(10_000.0)
    assert (row.cause, row.delivered_w) == (Cause.BASE_LOAD, None)


@pytest.mark.parametrize(
    ("tally", "quality", "cause"),
    [
        (Tally(), DataQuality.MISSING, Cause.NOT_WATCHED),
        (seen(1.0, seconds=400), DataQuality.ESTIMATED, None),
        (seen(1.0, good=False), DataQuality.ESTIMATED, None),
        (seen(99_000.0, lifted=True), DataQuality.OK, Cause.LIFTED),
    ],
)
def test_what_was_not_measured_is_said(
    tally: Tally, quality: DataQuality, cause: Cause | None
) -> None:
    row = settle(
        ONE, tally, at=GRID, promised_w=60_000.0, limit_w=60_000.0, baseline=baseline_of((), ())
    )
    assert (row.quality, row.cause) == (quality, cause)
    if cause in {Cause.NOT_WATCHED, Cause.LIFTED}:
        assert row.shortfall_w is None


@pytest.mark.parametrize(
    ("lifted_s", "kept_w", "shortfall_w", "cause"),
    [
        (600, 90_000.0, 10_000.0, Cause.BASE_LOAD),  # 30 kW for a third of the quarter-hour
        (600, 60_000.0, 0.0, Cause.LIFTED),
        (300, 60_000.0, 0.0, Cause.LIFTED),
        (300, 90_000.0, 20_000.0, Cause.BASE_LOAD),
        (890, 90_000.0, 30_000.0 / 90.0, Cause.BASE_LOAD),
    ],
)
def test_a_lift_hides_no_shortfall_of_the_rest_and_is_none(
    lifted_s: int, kept_w: float, shortfall_w: float, cause: Cause
) -> None:
    tally = seen(140_000.0, seconds=lifted_s, lifted=True)
    over = Cause.BASE_LOAD if kept_w > 60_000.0 else None
    for _ in range(900 - lifted_s):
        tally = tally.with_reading(kept_w, for_s=1.0, good=True, over=over, lifted=False)
    row = settle(
        ONE, tally, at=GRID, promised_w=60_000.0, limit_w=60_000.0, baseline=baseline_of((), ())
    )
    assert row.promised_w == 60_000.0
    assert row.shortfall_w == pytest.approx(shortfall_w)
    assert (row.cause, ledger_row(row).lifted_part) == (cause, round(lifted_s / 900, 4))


@pytest.mark.parametrize("file", ["openadr3-3.0.1.yaml", "openadr3-3.1.1.yaml"])
def test_the_report_is_one_of_openadr(file: str) -> None:
    rows = [
        settle(ONE, tally, at=GRID, promised_w=60_000.0, limit_w=60_000.0, baseline=baseline)
        for tally in (Tally(), seen(50_000.0))
        for baseline in (baseline_of((), ()), Baseline(90_000.0, Method.COMPARABLE_DAYS, 3))
    ]
    made = openadr_report(parse_event(event()), rows, client="depot-north")
    name = "report" if file == "openadr3-3.0.1.yaml" else "reportRequest"
    published(file, name).validate(made)
    payloads = made["resources"][0]["intervals"][-1]["payloads"]
    assert {p["type"]: p["values"][0] for p in payloads} == {
        "DATA_QUALITY": "OK",
        "DEMAND": 50.0,
        "BASELINE": 90.0,
    }


def test_s23_an_event_beyond_the_bound_gets_its_rows_when_there_is_room() -> None:
    """What was not watched of it is said to be missing; nothing is left out unsaid."""

    async def main() -> list[Document]:
        evidence, store, d = MemoryEvidence(), MemoryStore(), Desk()
        for name in ("a", "b"):
            await d.send(event(id=name), topic=f"dr/event/{name}")

        async def send(_report: DrReport) -> None:
            return

        ledger = Ledger(
            site=SITE,
            store=store,
            evidence=evidence,
            baselines=Baselines(site=SITE, store=store),
            watched=d.desk.begun,
            send=send,
            events_max=1,
        )
        await ledger.load(d.now())
        for name in ("16:30:01", "17:00", "17:30:05", "17:30:06", "17:30:10"):
            d.clock = name
            await d.desk.tick(d.now())
            await ledger.tick(d.now())
        return [row.doc for row in evidence.rows[ChainName.LEDGER]]

    rows = asyncio.run(main())
    assert [row["event"] for row in rows] == ["a"] * 4 + ["b"] * 4
    assert {row["quality"] for row in rows} == {"MISSING"}


SECONDS: dict[str, Any] = {
    "modificationDateTime": wire("10:00"),
    "intervalPeriod": {"start": wire("10:00"), "duration": "PT1S"},
    "duration": "P1D",
}


async def booked(d: Desk, *clocks: str) -> tuple[MemoryStore, list[int]]:
    """How many rows there are after the ledger's turn at each time; its disk."""
    evidence, store = MemoryEvidence(), MemoryStore()

    async def send(_report: DrReport) -> None:
        return

    ledger = Ledger(
        site=SITE,
        store=store,
        evidence=evidence,
        baselines=Baselines(site=SITE, store=store),
        watched=d.desk.begun,
        send=send,
    )
    await ledger.load(d.now())
    counts = []
    for clock in clocks:
        d.clock = clock
        await d.desk.tick(d.now())
        await ledger.tick(d.now())
        counts.append(len(evidence.rows[ChainName.LEDGER]))
    return store, counts


def test_s23_what_limits_nothing_has_no_book() -> None:
    """A price for every second of a day was looked through at every tick: 86,400 slices."""

    async def main() -> None:
        d = Desk()
        price = [{"id": 0, "payloads": [{"type": "PRICE", "values": [0.2]}]}]
        await d.send(event(**SECONDS, intervals=price))
        store, counts = await booked(d, "14:00", "14:01")
        assert d.states()[-1] == "active"
        assert counts == [0, 0]
        assert await store.load_all("dr_ledger") == {}

    asyncio.run(main())


def test_s23_all_events_together_have_so_many_rows_in_a_turn() -> None:
    async def main() -> None:
        d = Desk()
        for name in ("a", "b", "c"):
            await d.send(event(id=name, **SECONDS), topic=f"dr/event/{name}")
        _, counts = await booked(d, *(f"14:00:{n:02d}" for n in range(10, 16)))
        assert counts == [ROWS_A_TICK * (n + 1) for n in range(6)]

    asyncio.run(main())


def test_every_row_of_a_wide_event_is_reported_in_messages_that_brokers_take() -> None:
    """Also those that a full outbox did not take at first."""
    fleet = tuple(replace(EVSES[0], id=EvseId(f"bay-{number:03d}")) for number in range(250))
    names = tuple(evse.id for evse in fleet)
    site = replace(SITE, evses=(*EVSES, *fleet), groups={**SITE.groups, "fleet": names})
    full = True
    reports: list[DrReport] = []

    async def send(report: DrReport) -> None:
        if full:
            raise StorageFailed("the outbox is full")
        reports.append(report)

    async def main() -> list[Document]:
        nonlocal full
        evidence, store, d = MemoryEvidence(), MemoryStore(), Desk(site=site)
        await d.send(event(targets=["fleet"]))
        ledger = Ledger(
            site=site,
            store=store,
            evidence=evidence,
            baselines=Baselines(site=site, store=store),
            watched=d.desk.begun,
            send=send,
        )
        await ledger.load(d.now())
        for name in ("16:30:01", "16:46"):
            d.clock = name
            await d.desk.tick(d.now())
            await ledger.tick(d.now())
        full = False
        await ledger.tick(d.now())
        return [row.doc for row in evidence.rows[ChainName.LEDGER]]

    kept = asyncio.run(main())
    assert sorted(row.at for report in reports for row in report.rows) == sorted(names)
    assert [row["at"] for row in kept] == [row.at for report in reports for row in report.rows]
    assert max(len(report.model_dump_json(by_alias=True)) for report in reports) < 32_000
