"""Demand response through the whole daemon: promised, delivered, recorded, reported, lifted."""

import asyncio
import json
from typing import Any

import pytest

from edgectl.contract.envelope import rfc3339
from edgectl.model.evidence import ChainName, tampering
from edgectl.simulator import virtual_time
from tests.field.yard import (
    PREFIX,
    Bay,
    Place,
    limit_event,
    running,
    stay,
    told,
    whole_yard,
    yard,
)
from tests.whole.harness import Whole, restarted

SITE = yard(Bay(id="bay"), Bay(id="other"), nodes=[Place(limit_a=(80.0,) * 3)])
FULL_W = 2 * 32.0 * 690.0
TWO = (stay("bay"), stay("other"))
VOLUNTARY = "prog, kind: voluntary, default_unit: KW, recover_within_s: 0"


def ledger(whole: Whole) -> list[dict[str, Any]]:
    rows = whole.evidence.rows[ChainName.LEDGER]
    assert tampering(ChainName.LEDGER, rows) == []
    return [dict(row.doc) for row in rows]


def target(whole: Whole, bay: str, *, wh: float, in_s: float) -> None:
    utc_s = whole.clock.now().utc_s
    body = {
        "command_id": f"t-{bay}",
        "issuer": "fleet",
        "made_at": rfc3339(utc_s),
        "expires_at": rfc3339(utc_s + 60.0),
        "evse": bay,
        "energy_wh": wh,
        "departure": rfc3339(utc_s + in_s),
    }
    whole.broker.publish(f"{PREFIX}command/target", json.dumps(body).encode())


def test_an_event_is_settled_in_quarters_against_the_time_before() -> None:
    async def main() -> Whole:
        whole = whole_yard(SITE, *TWO)
        async with running(whole):
            await whole.until(1900.0)
            limit_event(whole, kw=15.0, from_s=100.0, duration="PT1200S")
            await whole.until(3400.0)
        return whole

    whole = virtual_time.run(main())
    rows = ledger(whole)
    assert [(row["from"][11:16], row["until"][11:16]) for row in rows] == [
        ("00:33", "00:45"),
        ("00:45", "00:53"),
    ]
    for row in rows:
        assert (row["event"], row["program"], row["at"]) == ("evt", "prog", "grid")
        assert (row["limit_w"], row["promised_w"]) == (15_000.0, 15_000.0)
        assert row["baseline_method"] == "before_event"
        assert row["baseline_w"] == pytest.approx(FULL_W, rel=0.02)
        assert 10_000.0 < row["measured_w"] <= 15_000.0
        assert row["delivered_w"] == pytest.approx(row["baseline_w"] - row["measured_w"], abs=0.2)
        assert (row["shortfall_w"], row["quality"]) == (0.0, "OK")
        assert row["good_part"] > 0.99
    reports = told(whole, "report/dr")
    assert [len(report["rows"]) for report in reports] == [1, 1]
    last = whole.evidence.rows[ChainName.LEDGER][-1]
    assert reports[-1]["chain"] == {"number": last.number, "hash": last.hash}
    assert reports[-1]["report"]["eventID"] == "evt"
    states = [body["state"] for body in told(whole, "dr/response")]
    assert states == ["received", "accepted", "active", "completed"]


def test_a_kill_and_an_outage_are_told_in_the_ledger() -> None:
    async def main() -> Whole:
        whole = whole_yard(SITE, *TWO)
        running_ = asyncio.create_task(whole.daemon.run())
        await whole.until(100.0)
        limit_event(whole, kw=15.0, from_s=800.0, duration="PT2700S")
        await whole.until(1300.0)
        for task in (running_,):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        whole.broker.cut()
        await whole.until(2705.0)
        after = restarted(whole)
        async with asyncio.TaskGroup() as group:
            daemon = group.create_task(after.daemon.run())
            await after.until(3700.0)
            after.daemon.stop()
            await daemon
        return after

    rows = ledger(virtual_time.run(main()))
    assert [row["from"][14:16] for row in rows] == ["15", "30", "45"]
    kinds = [(row["quality"], row.get("cause")) for row in rows]
    assert kinds == [("ESTIMATED", None), ("MISSING", "not_watched"), ("OK", None)]
    assert 0.35 < rows[0]["good_part"] < 0.5, "what was seen before the kill is not lost"
    assert "measured_w" not in rows[1]
    assert 10_000.0 < rows[2]["measured_w"] <= 15_000.0


@pytest.mark.parametrize("ends", ["by itself", "by deletion", "by another version"])
def test_a_kill_right_after_the_end_costs_no_row(ends: str) -> None:
    """The last row waits for its last tick; by then its event may be over or another."""

    async def main() -> Whole:
        whole = whole_yard(SITE, *TWO)
        running_ = asyncio.create_task(whole.daemon.run())
        await whole.until(100.0)
        limit_event(whole, kw=15.0, duration="PT300S")
        await whole.until(395.0 if ends == "by itself" else 350.0)
        if ends == "by deletion":
            whole.broker.publish(f"{PREFIX}dr/event/evt", b"", retain=True)
        elif ends == "by another version":
            limit_event(whole, kw=20.0, duration="PT50S")
        await whole.until(400.6 if ends == "by itself" else 351.2)
        running_.cancel()
        await asyncio.gather(running_, return_exceptions=True)
        whole.broker.cut()
        assert ledger(whole) == []
        await whole.until(420.0)
        after = restarted(whole)
        async with asyncio.TaskGroup() as group:
            daemon = group.create_task(after.daemon.run())
            await after.until(500.0)
            after.daemon.stop()
            await daemon
        assert await after.store.load_all("dr_ledger") == {}
        assert await after.store.load_all("dr_ledger_event") == {}
        return after

    rows = ledger(virtual_time.run(main()))
    first = rows[0]
    assert (first["event"], first["promised_w"]) == ("evt", 15_000.0)
    assert first["good_part"] > 0.9
    assert len(rows) == (2 if ends == "by another version" else 1)


def test_a_deleted_event_is_settled_up_to_its_end() -> None:
    async def main() -> Whole:
        whole = whole_yard(SITE, *TWO)
        async with running(whole):
            await whole.until(60.0)
            limit_event(whole, kw=15.0)
            await whole.until(360.0)
            whole.broker.publish(f"{PREFIX}dr/event/evt", b"", retain=True)
            await whole.until(400.0)
        return whole

    (row,) = ledger(virtual_time.run(main()))
    assert (row["from"][14:19], row["until"][14:17]) == ("01:00", "06:")


def test_a_base_load_above_the_limit_is_the_cause_of_the_shortfall() -> None:
    from tests.field.yard import base_step

    site = yard(Bay(id="bay"), nodes=[Place(limit_a=(80.0,) * 3, base_max_a=(60.0,) * 3)])

    async def main() -> Whole:
        whole = whole_yard(site, stay("bay"), faults=[base_step(40.0, 40.0, 40.0, at_s=0.0)])
        async with running(whole):
            await whole.until(60.0)
            limit_event(whole, kw=15.0, duration="PT120S")
            await whole.until(200.0)
        return whole

    (row,) = ledger(virtual_time.run(main()))
    assert row["cause"] == "base_load"
    assert row["shortfall_w"] > 10_000.0


@pytest.mark.parametrize("rule", ["accept", "partial", "refuse"])
def test_a_voluntary_event_is_promised_by_the_programs_rule(rule: str) -> None:
    """40 kWh in two hours are 20 kW; the event leaves 15 kW for both vehicles in the first one."""
    site = yard(
        Bay(id="bay"),
        Bay(id="other"),
        nodes=[Place(limit_a=(40.0,) * 3)],
        program=f"{VOLUNTARY}, when_missed: {rule}",
    )

    async def main() -> Whole:
        whole = whole_yard(site, *TWO)
        async with running(whole):
            await whole.until(60.0)
            target(whole, "bay", wh=26_000.0, in_s=7200.0)
            await whole.until(65.0)
            limit_event(whole, kw=8.0, from_s=60.0, duration="PT1H")
            await whole.until(200.0)
        return whole

    whole = virtual_time.run(main())
    answers = told(whole, "dr/response")
    verdict = answers[1]
    flow_w = [
        record.decision.nodes[site.site.nodes[0].id].ceiling_va
        for record in whole.records
        if record.now.mono_s > 150.0
    ]
    match rule:
        case "accept":
            assert verdict["state"] == "accepted"
            assert verdict["promised_w"] == 8_000.0
            assert verdict["impact"][0]["evse"] == "bay"
            assert flow_w[-1] == 8_000.0
        case "partial":
            assert (verdict["state"], verdict["code"]) == ("partial", "vehicles_first")
            assert 9_000.0 < verdict["promised_w"] < 27_000.0
            assert "impact" not in verdict
            assert flow_w[-1] == verdict["promised_w"]
        case _:
            assert (verdict["state"], verdict["code"]) == ("refused", "vehicles_first")
            assert verdict["impact"][0]["missing_wh"] > 1_000.0
            assert flow_w[-1] is None


def test_a_mandatory_event_is_kept_and_its_impact_told_and_told_again() -> None:
    site = yard(Bay(id="bay"), Bay(id="other"), nodes=[Place(limit_a=(40.0,) * 3)])

    async def main() -> Whole:
        whole = whole_yard(site, *TWO)
        async with running(whole):
            await whole.until(60.0)
            target(whole, "bay", wh=26_000.0, in_s=7200.0)
            await whole.until(65.0)
            limit_event(whole, kw=8.0, duration="PT1H")
            await whole.until(100.0)
            target(whole, "other", wh=26_000.0, in_s=7200.0)
            await whole.until(400.0)
        return whole

    whole = virtual_time.run(main())
    answers = told(whole, "dr/response")
    assert [one["evse"] for one in answers[1]["impact"]] == ["bay"]
    assert answers[1]["state"] == "accepted"
    assert {one["evse"] for one in answers[-1]["impact"]} == {"bay", "other"}, "told again"
    assert answers[-1]["state"] == "active"
    assert len(answers) < 9, "and not at every tick"


def test_the_ramp_of_an_event_is_no_part_of_a_baseline() -> None:
    """The site goes down before the quarter-hour in which the event begins."""

    async def main() -> Whole:
        whole = whole_yard(SITE, *TWO)
        async with running(whole):
            await whole.until(1600.0)
            limit_event(whole, kw=9.0, from_s=200.0, duration="PT300S")
            await whole.until(2200.0)
        return whole

    (row,) = ledger(virtual_time.run(main()))
    assert row["from"][14:19] == "30:00"
    assert row["baseline_method"] == "before_event"
    assert row["baseline_w"] > 0.975 * FULL_W, "without the first minute of the first vehicles"
