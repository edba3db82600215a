"""Reports of the whole daemon against figures worked out from the session file alone."""

from pathlib import Path
from typing import Any

import pytest

from tests.figures.independent import Expected, Stay, expected, without_overlap
from tests.figures.replay import MAX_A, VOLTAGE_V, Replay, replay, stays_of

SLICE = Path(__file__).parent / "slice.csv"
DATA = Path(__file__).parents[3] / "shared" / "data" / "sessions"
WEEK = DATA / "acn_caltech_2019-05_2019-08.csv"
HOUR_S = 3600.0
DAY_S = 86_400.0

# What a vehicle takes while its current rises and while it is told: seconds of full power.
REACTION_S = 4.0
POWER_W = MAX_A * VOLTAGE_V


def holds(
    report: dict[str, Any], should: Expected, stays: list[Stay], *, unseen_s: float = 0.0
) -> None:
    """Within rounding: each stay may begin some seconds sooner or later than worked out."""
    for port, figures in report["ports"].items():
        number = sum(stay.port == port for stay in stays)
        slack_s = REACTION_S * (number + 1)
        assert figures["energy_wh"] == pytest.approx(
            should.energy_wh.get(port, 0.0), abs=2.0 + POWER_W * slack_s / HOUR_S
        ), port
        assert figures["counts"]["sessions"] == should.sessions.get(port, 0), port
        charging_s = should.charging_s.get(port, 0.0)
        assert figures["charging_s"] == pytest.approx(charging_s, abs=slack_s + unseen_s), port
    total_wh = sum(should.energy_wh.values())
    assert report["energy_wh"] == pytest.approx(total_wh, rel=0.005)
    grid = report["nodes"]["grid"]
    assert grid["energy_import_wh"] == pytest.approx(total_wh, rel=0.005)
    if should.peak_w:
        assert grid["demand_peak_w"] == pytest.approx(should.peak_w, rel=0.015)


def test_an_evening_over_midnight_with_a_kill_is_reported_as_the_file_says() -> None:
    stays = stays_of(SLICE, from_utc="2026-01-01T00:00:00Z", days=1.0, ports=3)
    ran = replay(
        stays,
        ports=3,
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
    holds(day, should, stays, unseen_s=outage_s)
    for port, figures in day["ports"].items():
        in_service_s = 2 * HOUR_S - figures["outage_min"] * 60.0
        utilisation = should.charging_s[port] / in_service_s
        assert figures["utilisation"] == pytest.approx(utilisation, abs=0.02)
        load_factor = should.energy_wh[port] * HOUR_S / (POWER_W * in_service_s)
        assert figures["load_factor"] == pytest.approx(load_factor, abs=0.005)
    each_session_is_told(ran, [stay for stay in stays if stay.departure_s < 2 * HOUR_S])
    blocks_add_up_to_the_day(ran, day)


def each_session_is_told(ran: Replay, ended: list[Stay]) -> None:
    told = {(one["port_id"], one["from"][11:16]): one for one in ran.reports("session")}
    assert len(told) == len(ran.reports("session")) == len(ended)
    for stay in ended:
        began = f"{int(stay.arrival_s // 3600):02d}:{int(stay.arrival_s % 3600 // 60):02d}"
        session = told[stay.port, began]
        slack_wh = 2.0 + POWER_W * 2.0 * REACTION_S / HOUR_S
        assert session["energy_wh"] == pytest.approx(stay.taken_wh, abs=slack_wh)
        assert session["attempt"]
        assert session["success"]
        assert session["peak_w"] == pytest.approx(POWER_W, rel=0.005)


def blocks_add_up_to_the_day(ran: Replay, day: dict[str, Any]) -> None:
    intervals = [one for one in ran.reports("interval") if one["from"] < day["until"]]
    for port, figures in day["ports"].items():
        parts_wh = sum(one["ports"][port]["energy_wh"] for one in intervals if port in one["ports"])
        assert parts_wh == pytest.approx(figures["energy_wh"], abs=1.0)


@pytest.mark.timeout(7200)
def test_a_week_of_the_data_is_reported_as_the_file_says(*, prove: bool) -> None:
    if not prove:
        pytest.skip("takes half an hour: make prove")
    if not WEEK.exists():
        pytest.skip(f"the session data is not beside this repository ({WEEK})")
    ports, days = 3, 7
    found = stays_of(WEEK, from_utc="2019-05-06T00:00:00Z", days=days, ports=ports)
    stays = without_overlap(found, apart_s=60.0)
    ran = replay(stays, ports=ports, until_s=days * DAY_S + 600.0)
    reports = ran.reports("daily")
    assert len(reports) == days
    for number, report in enumerate(reports):
        from_s = number * DAY_S
        should = expected(stays, from_s=from_s, until_s=from_s + DAY_S)
        holds(report, should, stays)
    assert sum(report["counts"]["sessions"] for report in reports) == len(
        [stay for stay in stays if stay.departure_s < days * DAY_S]
    )
