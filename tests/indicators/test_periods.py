"""Days and months on the wall, uptime and its exclusions."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from edgectl.indicators.blocks import Block, NodeBlock, PortBlock
from edgectl.indicators.exclusions import Exclusions, union_s
from edgectl.indicators.figures import Facts, Place, Tally, figures, uptime_pct
from edgectl.indicators.periods import Period, day_of, month_of, months_before, named
from edgectl.indicators.ports import Outage, OutageCause
from edgectl.indicators.sessions import Session
from edgectl.model.settings import Exclusion, ExclusionCause, Opening

BERLIN = ZoneInfo("Europe/Berlin")
EVERY_DAY = frozenset(range(7))


def utc_s(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-28", 24), ("2026-03-29", 23), ("2026-10-25", 25)]
)
def test_a_day_has_as_many_hours_as_the_clock_on_the_wall_says(day: str, hours: int) -> None:
    period = named(day, BERLIN)
    assert period.seconds == hours * 3600.0
    assert day_of(period.from_s, BERLIN) == period == day_of(period.until_s - 1.0, BERLIN)
    assert day_of(period.until_s, BERLIN).from_s == period.until_s


def test_months_follow_one_another() -> None:
    march = named("2026-03", BERLIN)
    assert march.seconds == 31 * 86_400.0 - 3600.0
    assert [one.name for one in months_before(march, 3, BERLIN)] == [
        "2026-02",
        "2026-01",
        "2025-12",
    ]
    assert month_of(march.until_s, BERLIN).name == "2026-04"
    assert named("2025-12", BERLIN).until_s == named("2026-01", BERLIN).from_s


@pytest.mark.parametrize("name", ["2026", "2026-13", "2026-02-30", "yesterday", "../../x", ""])
def test_a_name_of_no_period_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"2026|isoformat|month|day"):
        named(name, UTC)


def tally_of(period: Period, place: Place, *blocks: Block) -> Tally:
    tally = Tally(period, place)
    for block in blocks:
        tally.add(block)
    return tally


def an_outage(from_text: str, until_text: str | None, port: str = "p") -> Outage:
    until_s = None if until_text is None else utc_s(until_text)
    return Outage(port, OutageCause.FAULT, utc_s(from_text), until_s, "x")


def test_uptime_by_the_formula_of_the_rule() -> None:
    # 262.8 h of outage are exactly 97 %.
    outages = [
        Outage("p", OutageCause.FAULT, 1e9, 1e9 + 200.0 * 3600.0, "x"),
        Outage("p", OutageCause.SILENT, 1.001e9, 1.001e9 + 62.8 * 3600.0, "x"),
        Outage("other", OutageCause.FAULT, 1e9, 1e9 + 1e6, "x"),
        Outage("p", OutageCause.FAULT, 1e6, 2e6, "long ago"),
    ]
    until_s = 1.01e9
    assert uptime_pct("p", outages, until_s=until_s, exclusions=Exclusions()) == pytest.approx(97.0)
    excluded = Exclusions(
        declared=[
            Exclusion(
                frozenset({"p"}), 1e9, 1e9 + 100.0 * 3600.0, ExclusionCause.MAINTENANCE, "t1"
            ),
            # The same hours named twice count once.
            Exclusion(frozenset(), 1e9 + 3600.0, 1e9 + 2 * 3600.0, ExclusionCause.UTILITY, "t2"),
            Exclusion(frozenset({"other"}), 1e9, 2e9, ExclusionCause.VANDALISM, "t3"),
        ]
    )
    assert uptime_pct("p", outages, until_s=until_s, exclusions=excluded) == pytest.approx(
        100.0 * (525_600 - 162.8 * 60) / 525_600
    )


@pytest.mark.parametrize(
    ("day", "closed_h"), [("2026-03-28", 8.0), ("2026-03-29", 7.0), ("2026-10-25", 9.0)]
)
def test_hours_outside_the_opening_hours_are_excluded(day: str, closed_h: float) -> None:
    hours = Exclusions(BERLIN, opening=[Opening(EVERY_DAY, 6 * 60, 22 * 60)])
    period = named(day, BERLIN)
    assert hours.within_s("p", period.from_s, period.until_s) == closed_h * 3600.0


def test_opening_hours_over_midnight_belong_to_the_day_on_which_they_begin() -> None:
    nights = Exclusions(UTC, opening=[Opening(frozenset({0}), 18 * 60, 6 * 60)])
    monday, tuesday, wednesday = (named(f"2026-03-0{n}", UTC) for n in (2, 3, 4))
    assert nights.within_s("p", monday.from_s, monday.until_s) == 18 * 3600.0
    assert nights.within_s("p", tuesday.from_s, tuesday.until_s) == 18 * 3600.0
    assert nights.within_s("p", wednesday.from_s, wednesday.until_s) == 86_400.0


def test_spans_that_lie_in_each_other_count_once() -> None:
    assert union_s([(0.0, 10.0), (2.0, 3.0), (9.0, 12.0), (20.0, 20.0), (30.0, 25.0)]) == 12.0


def test_the_figures_of_a_day() -> None:
    day = named("2026-03-01", UTC)
    blocks = [
        Block(
            day.from_s + 900.0 * k,
            ports={"p": PortBlock(1000.0, 900.0, 450.0, 900.0, 90.0)},
            nodes={"grid": NodeBlock(2500.0 if k == 40 else 1250.0, 0.0, 900.0)},
        )
        for k in range(96)
    ]
    outside = Block(day.until_s, ports={"p": PortBlock(9e9)}, nodes={"grid": NodeBlock(9e9)})
    sessions = [
        Session(
            session_id=str(k),
            port_id="p",
            start_s=day.from_s - 100.0,
            end_s=day.from_s + end_s,
            energy_wh=energy_wh,
            peak_w=peak_w,
            asked=asked,
        )
        for k, (end_s, energy_wh, peak_w, asked) in enumerate(
            [
                (0.0, 5000.0, 7000.0, True),
                (5000.0, 50.0, 9000.0, True),
                (6000.0, 0.0, 0.0, False),
                (86_400.0, 9000.0, 22_000.0, True),
            ]
        )
    ]
    outages = [an_outage("2026-02-28T23:00Z", "2026-03-01T06:00Z")]
    place = Place({"p": 10_000.0}, "grid", frozenset({"grid"}))
    made = figures(
        day,
        Facts(tally_of(day, place, *blocks, outside), sessions, outages, {"p": day.from_s - 1e6}),
        place=place,
        exclusions=Exclusions(),
        now_s=day.until_s + 1e5,
    )
    port = made.ports["p"]
    assert made.complete
    assert made.energy_wh == port.energy_wh == 96_000.0
    assert (made.sessions.sessions, made.sessions.attempts, made.sessions.successes) == (3, 2, 1)
    assert made.sessions.success_rate == 0.5
    assert port.peak_w == 9000.0
    assert port.outage_min == 360.0
    assert port.utilisation == pytest.approx(43_200.0 / 64_800.0)
    assert port.load_factor == pytest.approx(96_000.0 / (10_000.0 * 18.0))
    node = made.nodes["grid"]
    assert node.demand_peak_w == 10_000.0
    assert node.demand_peak_at_s == day.from_s + 40 * 900.0
    assert node.energy_import_wh == 97 * 1250.0
    assert node.load_factor == pytest.approx(97 * 1250.0 / 24.0 / 10_000.0)
    assert node.missing_s == 0.0


def test_a_day_that_runs_and_a_site_without_a_meter() -> None:
    day = named("2026-03-01", UTC)
    block = Block(day.from_s, ports={"p": PortBlock(1000.0, 900.0, 450.0, 900.0)})
    place = Place({"p": 10_000.0}, "grid", frozenset())
    made = figures(
        day,
        Facts(tally_of(day, place, block)),
        place=place,
        exclusions=Exclusions(),
        now_s=day.from_s + 1800.0,
    )
    assert not made.complete
    assert made.until_s == day.from_s + 1800.0
    assert made.sessions.success_rate is None
    assert made.ports["p"].utilisation == 0.25
    assert made.ports["p"].peak_w is None, "no session has ended yet"
    node = made.nodes["grid"]
    assert (node.source, node.demand_peak_w, node.missing_s) == ("ports", 4000.0, 900.0)


def test_a_load_factor_is_never_above_one_however_short_the_quarter_hour_was_watched() -> None:
    day = named("2026-03-01", UTC)
    blocks = [
        Block(day.from_s, nodes={"grid": NodeBlock(1000.0, 0.0, 900.0)}),
        Block(day.from_s + 900.0, nodes={"grid": NodeBlock(900.0, 0.0, 300.0)}),
    ]
    place = Place({}, "grid", frozenset({"grid"}))
    made = figures(
        day,
        Facts(tally_of(day, place, *blocks)),
        place=place,
        exclusions=Exclusions(),
        now_s=day.from_s + 1200.0,
    )
    node = made.nodes["grid"]
    assert (node.demand_mean_w, node.demand_peak_w) == (5700.0, 4000.0)
    assert node.load_factor == 1.0
