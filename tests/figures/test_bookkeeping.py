"""What is kept, published and answered, whatever becomes of disk, clock and process."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from edgectl.contract.schemas import schemas
from edgectl.errors import Refused
from edgectl.model.decision import AlarmCode
from edgectl.model.facts import Fact
from edgectl.model.settings import Exclusion, ExclusionCause, IndicatorSettings
from edgectl.model.store import Document
from edgectl.simulator.memory.facts import MemoryFacts
from edgectl.simulator.virtual_time import START_UTC_S
from tests.cli.depot import api, tool
from tests.contract.test_examples import outbox as enveloped
from tests.contract.test_examples import valid
from tests.figures.ticks import POWER_W, Site, play

DAY_S = 86_400.0


def test_a_stay_is_told_once_and_kept() -> None:
    async def script(site: Site) -> None:
        await site.passes(60)
        await site.charges(3600)
        await site.passes(200)
        await site.stop()
        (told,) = await site.rows("report/session")
        assert told["energy_wh"] == pytest.approx(POWER_W, abs=25.0)
        assert (told["station_id"], told["port_id"]) == ("depot-north", "bay01")
        assert told["success"]
        codes = [event["code"] for event in await site.rows("event")]
        assert codes == ["session_started", "session_ended"] == [e.code for e in site.told]
        answer = await site.books.archive.answer(["sessions", "2026-01-01"], {})
        assert answer == {"sessions": [told]}

    play(script)


def test_everything_that_is_published_agrees_with_its_schema() -> None:
    async def script(site: Site) -> None:
        await site.charges(1800)
        await site.passes(3600)
        await site.stop()
        await site.clock.sleep_until(31 * DAY_S)
        site.start()
        await site.passes(600)
        await site.stop()
        known = schemas()
        for name, least in (("interval", 5), ("session", 1), ("daily", 31), ("monthly", 1)):
            found = await site.rows(f"report/{name}")
            assert len(found) >= least, name
            for body in (*found[:3], found[-1]):
                valid(enveloped(**body), known[f"mqtt/report/{name}"])

    play(script)


def test_a_kill_before_the_outbox_has_it_delays_and_loses_nothing() -> None:
    async def script(site: Site) -> None:
        await site.passes(60)
        site.outbox.disk_full = True
        await site.charges(600)
        await site.passes(200)
        assert site.outbox.last_seq == 0
        await site.kill()
        site.outbox.disk_full = False
        site.start()
        await site.passes(20)
        await site.stop()
        assert len(await site.rows("report/session")) == 1
        assert [e["code"] for e in await site.rows("event")] == ["session_started", "session_ended"]
        assert await site.facts.between("unsent", 0.0, float("inf")) == ()

    play(script)


def test_a_disk_that_refuses_facts_costs_none_of_them() -> None:
    async def script(site: Site) -> None:
        await site.passes(60)
        site.facts.full = True
        await site.charges(3600)
        await site.passes(1800)
        assert site.outbox.last_seq == 0
        (alarm,) = site.books.alarms()
        assert alarm.code is AlarmCode.FIGURES_NOT_KEPT
        assert "full" in alarm.text
        site.facts.full = False
        await site.passes(60)
        assert site.books.alarms() == ()
        await site.stop()
        (told,) = await site.rows("report/session")
        assert told["energy_wh"] == pytest.approx(POWER_W, abs=25.0)
        intervals = await site.rows("report/interval")
        total_wh = sum(one["ports"]["bay01"]["energy_wh"] for one in intervals)
        assert total_wh == pytest.approx(POWER_W, abs=25.0)

    play(script)


@pytest.mark.parametrize("at_s", [610.0, 1000.0, 1790.0])
def test_a_kill_at_any_moment_makes_no_energy_count_twice(at_s: float) -> None:
    async def script(site: Site) -> None:
        await site.passes(60)
        await site.charges(at_s)
        site.vehicle = site.vehicle.CHARGING
        await site.kill()
        await site.clock.sleep_until(site.clock.monotonic_s() + 40.0)
        site.wh += POWER_W * 40.0 / 3600.0
        site.start()
        await site.charges(3600.0 - at_s - 40.0)
        await site.passes(1800)
        await site.stop()
        (told,) = await site.rows("report/session")
        assert told["energy_wh"] == pytest.approx(POWER_W, abs=25.0)
        report = await site.books.archive.report("daily", "2026-01-01")
        assert report.energy_wh == pytest.approx(POWER_W, abs=25.0)
        assert report.nodes["grid"].energy_import_wh == pytest.approx(POWER_W, abs=25.0)

    play(script)


def test_nothing_is_kept_before_the_clock_can_be_trusted() -> None:
    async def script(site: Site) -> None:
        site.trusted = False
        site.clock_off_s = -1e9
        await site.charges(600)
        await site.passes(100)
        assert site.facts._facts == {}
        site.trusted = True
        site.clock_off_s = 0.0
        await site.passes(100)
        await site.charges(600)
        await site.passes(100)
        await site.stop()
        (told,) = await site.rows("report/session")
        assert told["from"].startswith("2026-01-01")

    play(script)


def test_a_clock_that_goes_back_runs_through_a_quarter_hour_twice_and_counts_it_once_each() -> None:
    async def script(site: Site) -> None:
        await site.passes(3600)
        await site.charges(900)
        site.clock_off_s = -1800.0
        await site.charges(900)
        await site.passes(3600)
        await site.stop()
        report = await site.books.archive.report("daily", "2026-01-01")
        assert report.energy_wh == pytest.approx(2 * POWER_W / 4, abs=25.0)
        assert report.ports["bay01"].charging_s == pytest.approx(1800.0, abs=40.0)
        assert report.ports["bay01"].outage_min == 0.0

    play(script)


def test_days_that_were_missed_are_reported_after_the_restart_each_once() -> None:
    async def script(site: Site) -> None:
        await site.charges(3600)
        await site.passes(60)
        await site.stop()
        await site.clock.sleep_until(2.5 * DAY_S)
        site.start()
        await site.passes(600)
        await site.stop()
        days = await site.rows("report/daily")
        assert [day["period"] for day in days] == ["2026-01-01", "2026-01-02"]
        assert days[0]["energy_wh"] == pytest.approx(POWER_W, abs=25.0)
        assert days[1]["ports"]["bay01"]["outage_min"] == pytest.approx(1440.0)
        assert days[1]["ports"]["bay01"].get("utilisation") is None
        site.start()
        await site.passes(600)
        await site.stop()
        assert len(await site.rows("report/daily")) == 2

    play(script)


def test_a_silent_port_is_out_from_when_it_answered_last_and_may_be_excluded() -> None:
    exclusion = Exclusion(
        frozenset({"bay01"}),
        START_UTC_S + 600.0,
        START_UTC_S + 900.0,
        ExclusionCause.MAINTENANCE,
        "ticket 7",
    )

    async def script(site: Site) -> None:
        await site.passes(600)
        site.heard = False
        await site.passes(600)
        site.heard = True
        await site.passes(600)
        await site.stop()
        report = await site.books.archive.report("daily", None)
        port = report.ports["bay01"]
        assert port.outage_min == pytest.approx(10.0, abs=0.5)
        assert port.excluded_min == pytest.approx(5.0, abs=0.5)
        (outage,) = port.outages
        assert outage.cause == "silent"
        assert not report.complete

    play(script, settings=IndicatorSettings(exclusions=(exclusion,)))


@pytest.mark.parametrize(
    "words",
    [
        ["weekly"],
        ["daily", "2026-13-01"],
        ["daily", "2026-01"],
        ["daily", "2030-01-01"],
        ["daily", "../../etc"],
        ["monthly", "2026-01-01"],
        ["sessions", "x"],
    ],
)
def test_what_there_is_no_report_of_is_refused(words: list[str]) -> None:
    async def script(site: Site) -> None:
        await site.passes(60)
        with pytest.raises(Refused):
            await site.books.archive.answer(words, {})
        await site.stop()

    play(script)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["report"], ["2026-01-01 (UTC)   so far", "7.2 kWh in 1 sessions, 1 of 1", "bay01"]),
        (["report", "monthly", "2026-01"], ["2026-01 (UTC)", "grid"]),
        (["report", "sessions"], ["bay01", "yes"]),
        (["report", "--csv"], ["period,port_id,sessions,", "2026-01-01,bay01,1,1,1,1.0,7"]),
        (["report", "sessions", "--csv"], ["station_id,port_id,", "depot-north,bay01,bay01-"]),
        (["report", "--json"], ['"period": "2026-01-01"']),
    ],
)
def test_the_tool_shows_it(
    words: list[str], shown: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers: dict[str, object] = {}

    async def script(site: Site) -> None:
        await site.passes(60)
        await site.charges(3600)
        await site.passes(200)
        await site.stop()
        for name, period in (("daily", None), ("monthly", "2026-01"), ("sessions", None)):
            asked = [name] if period is None else [name, period]
            answers[name] = await site.books.archive.answer(asked, {})

    play(script)

    async def look(asked: object, _query: object) -> object:
        assert isinstance(asked, list)
        await asyncio.sleep(0)
        return answers[asked[0]]

    assert tool(tmp_path, *words, handler=api(looks={"report": look}).handle) == 0
    out = capsys.readouterr().out
    for text in shown:
        assert text in out
    assert "--csv" in words or max(len(line) for line in out.splitlines()) <= 80


def test_books_that_cannot_be_read_are_said_and_begun_anew_and_end_nothing() -> None:
    async def script(site: Site) -> None:
        await site.passes(100)
        await site.stop()
        (kept,) = await site.facts.between("kept", 0.0, float("inf"))
        docs: list[Document] = [{"from": "other"}, {"seen_s": 1.0, "ports": {"bay01": 7}}]
        for doc in docs:
            await site.facts.change([replace(kept, doc=doc)])
            site.start()
            await site.charges(600)
            await site.passes(200)
            await site.stop()
        assert len(await site.rows("report/session")) == 2

    play(script)


def test_a_fault_of_the_books_themselves_ends_no_daemon() -> None:
    class Faulty(MemoryFacts):
        async def get(self, kind: str, key: str) -> Fact | None:
            if kind == "block" and not self.full:
                raise ZeroDivisionError
            return await super().get(kind, key)

    async def script(site: Site) -> None:
        await site.charges(1200)
        await site.passes(1200)
        assert site._running is not None
        assert not site._running.done()
        site.books.stop()
        await site._running

    play(script, facts=Faulty())


def test_reports_go_on_after_a_clock_that_was_far_ahead() -> None:
    async def script(site: Site) -> None:
        site.clock_off_s = 400 * DAY_S
        await site.passes(100)
        site.clock_off_s = 0.0
        await site.passes(100)
        await site.stop()
        await site.clock.sleep_until(1.2 * DAY_S)
        site.start()
        await site.passes(600)
        await site.stop()
        assert [day["period"] for day in await site.rows("report/daily")] == ["2026-01-01"]

    play(script)
