"""Reports of the whole daemon against figures worked out from the session file alone."""

from pathlib import Path
from typing import Any

import pytest

from edgectl.simulator.virtual_time import START_UTC_S
from tests.figures.independent import Expected, Stay, expected, without_overlap
from tests.figures.replay import MAX_A, VOLTAGE_V, Replay, replay, seconds, stays_of

SLICE = Path(__file__).parent / "slice.csv"
DATA = Path(__file__).parents[3] / "shared" / "data" / "sessions"
WEEK = DATA / "acn_caltech_2019-05_2019-08.csv"
HOUR_S = 3600.0
DAY_S = 86_400.0

POWER_W = MAX_A * VOLTAGE_V


def reaction_s(poll_s: float) -> float:
    """How far the beginning of a stay lies from what is worked out: it comes within a poll."""
    return poll_s / 2.0 + 3.0


def holds(
    report: dict[str, Any],
    should: Expected,
    stays: list[Stay],
    *,
    poll_s: float,
    day_s: float = DAY_S,
    outage_s: float = 0.0,
) -> None:
    """Within rounding: each stay may begin some seconds sooner or later than worked out."""
    for port, figures in report["ports"].items():
        number = sum(stay.port == port for stay in stays)
        slack_s = reaction_s(poll_s) * (number + 1)
        assert figures["energy_wh"] == pytest.approx(
            should.energy_wh.get(port, 0.0), abs=2.0 + POWER_W * slack_s / HOUR_S
        ), port
        assert figures["counts"]["sessions"] == should.sessions.get(port, 0), port
        charging_s = should.charging_s.get(port, 0.0)
        assert figures["charging_s"] == pytest.approx(charging_s, abs=slack_s + outage_s), port
        assert figures["outage_min"] * 60.0 <= outage_s
        in_service_s = day_s - figures["outage_min"] * 60.0
        utilisation = charging_s / in_service_s
        assert figures["utilisation"] == pytest.approx(
            utilisation, abs=(slack_s + outage_s) / in_service_s
        ), port
        load_factor = should.energy_wh.get(port, 0.0) * HOUR_S / (POWER_W * in_service_s)
        assert figures["load_factor"] == pytest.approx(
            load_factor, abs=slack_s / in_service_s + 0.0005
        ), port
    total_wh = sum(should.energy_wh.values())
    assert report["energy_wh"] == pytest.approx(total_wh, rel=0.005)
    grid = report["nodes"]["grid"]
    assert grid["energy_import_wh"] == pytest.approx(total_wh, rel=0.005)
    if should.peak_w:
        assert grid["demand_peak_w"] == pytest.approx(should.peak_w, rel=0.015)


def test_an_evening_over_midnight_with_a_kill_is_reported_as_the_file_says() -> None:
    poll_s = 2.0
    stays = stays_of(SLICE, from_utc="2026-01-01T00:00:00Z", days=1.0, ports=3, poll_s=poll_s)
    ran = replay(
        stays,
        ports=3,
        poll_s=poll_s,
        until_s=2 * HOUR_S + 400.0,
        # Midnight is two hours after the run begins.
        timezone="Etc/GMT+2",
        restarts_s=[5000.0],
    )
    (day,) = ran.reports("daily")
    assert (day["period"], day["complete"]) == ("2025-12-31", True)
    outage_s = max(port["outage_min"] for port in day["ports"].values()) * 60.0
    assert 20.0 <= outage_s <= 100.0, "what nobody saw is an outage"
    assert {port["outages"][0]["cause"] for port in day["ports"].values()} == {"no_data"}
    should = expected(stays, from_s=0.0, until_s=2 * HOUR_S)
    holds(day, should, stays, poll_s=poll_s, day_s=2 * HOUR_S, outage_s=outage_s)
    ended = [stay for stay in stays if stay.departure_s < 2 * HOUR_S]
    each_session_is_told(ran, ended, poll_s=poll_s)
    blocks_add_up_to_the_day(ran, day)


def each_session_is_told(ran: Replay, ended: list[Stay], *, poll_s: float) -> None:
    told = sorted(ran.reports("session"), key=lambda one: (one["port_id"], one["from"]))
    assert len(told) == len(ended)
    ended = sorted(ended, key=lambda stay: (stay.port, stay.arrival_s))
    for session, stay in zip(told, ended, strict=True):
        assert session["port_id"] == stay.port
        began_s = seconds(session["from"]) - START_UTC_S
        assert began_s == pytest.approx(stay.arrival_s, abs=poll_s + 3.0)
        slack_wh = 2.0 + POWER_W * 2.0 * reaction_s(poll_s) / HOUR_S
        assert session["energy_wh"] == pytest.approx(stay.taken_wh, abs=slack_wh)
        assert session["attempt"]
        assert session["success"]
        assert session["peak_w"] == pytest.approx(POWER_W, rel=0.005)


def blocks_add_up_to_the_day(ran: Replay, day: dict[str, Any]) -> None:
    intervals = [
        one for one in ran.reports("interval") if day["from"] <= one["from"] < day["until"]
    ]
    for port, figures in day["ports"].items():
        parts_wh = sum(one["ports"][port]["energy_wh"] for one in intervals if port in one["ports"])
        assert parts_wh == pytest.approx(figures["energy_wh"], abs=1.0)


@pytest.mark.timeout(7200)
def test_a_week_of_the_data_is_reported_as_the_file_says(*, prove: bool) -> None:
    if not prove:
        pytest.skip("takes ten minutes of a core: make prove")
    if not WEEK.exists():
        pytest.skip(f"the session data is not beside this repository ({WEEK})")
    ports, days, poll_s = 3, 7, 5.0
    found = stays_of(WEEK, from_utc="2019-05-06T00:00:00Z", days=days, ports=ports, poll_s=poll_s)
    stays = without_overlap(found, apart_s=60.0)
    ran = replay(stays, ports=ports, until_s=days * DAY_S + 600.0, poll_s=poll_s)
    reports = ran.reports("daily")
    assert len(reports) == days
    for number, report in enumerate(reports):
        from_s = number * DAY_S
        should = expected(stays, from_s=from_s, until_s=from_s + DAY_S)
        holds(report, should, stays, poll_s=poll_s)
        blocks_add_up_to_the_day(ran, report)
    ended = [stay for stay in stays if stay.departure_s < days * DAY_S]
    assert sum(report["counts"]["sessions"] for report in reports) == len(ended)
    each_session_is_told(ran, ended, poll_s=poll_s)
