"""A limit of what is fed back, through the whole daemon: answered, said, measured, recorded."""

import json

import pytest

from edgectl.contract.envelope import rfc3339
from edgectl.contract.explain import Why, why
from edgectl.model.evidence import ChainName
from edgectl.simulator import virtual_time
from tests.field.yard import (
    GRID,
    PREFIX,
    Bay,
    Place,
    base_step,
    running,
    stay,
    told,
    whole_yard,
    yard,
)
from tests.whole.harness import Whole

SITE = yard(
    Bay(id="bay"),
    nodes=[Place(limit_a=(80.0,) * 3, base_max_a=(10.0,) * 3, more=", export_limit_va: 20000")],
)


def export_event(whole: Whole, *, kw: float, duration: str) -> None:
    utc_s = whole.clock.now().utc_s
    body = {
        "id": "sun",
        "programID": "prog",
        "modificationDateTime": rfc3339(utc_s),
        "intervalPeriod": {"start": rfc3339(utc_s), "duration": duration},
        "intervals": [{"id": 0, "payloads": [{"type": "EXPORT_CAPACITY_LIMIT", "values": [kw]}]}],
    }
    whole.broker.publish(f"{PREFIX}dr/event/sun", json.dumps(body).encode(), retain=True)


def test_what_is_fed_back_is_watched_and_settled() -> None:
    async def main() -> tuple[Whole, Why, float]:
        sun = base_step(-10.0, -10.0, -10.0, at_s=0.0)
        whole = whole_yard(SITE, stay("bay", from_s=400.0), faults=[sun])
        async with running(whole):
            await whole.until(60.0)
            export_event(whole, kw=2.0, duration="PT240S")
            await whole.until(200.0)
            explained = why(whole.latest(), "bay", now=whole.clock.now())
            sun_w = -sum(whole.depot.true_current_a(GRID)) * 230.0
            await whole.until(390.0)
        return whole, explained, sun_w

    whole, explained, sun_w = virtual_time.run(main())
    assert sun_w > 4_000.0
    answers = [(body["state"], body.get("code")) for body in told(whole, "dr/response")]
    assert answers == [
        ("received", None),
        ("partial", "watched_only"),
        ("active", None),
        ("completed", None),
    ]
    assert "no charger" in told(whole, "dr/response")[1]["message"]
    assert explained.exports is not None
    (export,) = explained.exports
    assert (export.node, export.ceiling_w, export.holder.kind) == ("grid", 2_000.0, "event")
    assert export.fed_w == pytest.approx(sun_w, rel=0.05)
    said = [body for body in told(whole, "event") if "export_over_ceiling" in json.dumps(body)]
    assert said, "an alarm, since the sun goes on"
    samples = [
        (sample["q"], sample["v"])
        for body in told(whole, "telemetry")
        for sample in body["samples"]
        if sample["q"].startswith("export_ceiling")
    ]
    assert {("export_ceiling_w", 20_000.0), ("export_ceiling_w", 2_000.0)} <= set(samples)
    rows = [row.doc for row in whole.evidence.rows[ChainName.LEDGER]]
    assert [row["side"] for row in rows] == ["export"]
    (row,) = rows
    assert (row["limit_w"], row["promised_w"], row["cause"]) == (2_000.0, 2_000.0, "generation")
    assert row["measured_w"] == pytest.approx(sun_w, rel=0.1)
    assert row["shortfall_w"] == pytest.approx(sun_w - 2_000.0, rel=0.2)
    (resource,) = told(whole, "report/dr")[0]["report"]["resources"]
    assert resource["resourceName"] == "grid.export"
    demand = {p["type"]: p["values"][0] for p in resource["intervals"][0]["payloads"]}["DEMAND"]
    assert demand == pytest.approx(-sun_w / 1000.0, rel=0.1)


def test_a_limit_of_both_sides_has_a_row_for_each() -> None:
    async def main() -> Whole:
        whole = whole_yard(SITE, stay("bay"))
        async with running(whole):
            await whole.until(60.0)
            utc_s = whole.clock.now().utc_s
            body = {
                "id": "both",
                "programID": "prog",
                "modificationDateTime": rfc3339(utc_s),
                "intervalPeriod": {"start": rfc3339(utc_s), "duration": "PT120S"},
                "intervals": [
                    {
                        "id": 0,
                        "payloads": [
                            {"type": "IMPORT_CAPACITY_LIMIT", "values": [10]},
                            {"type": "EXPORT_CAPACITY_LIMIT", "values": [0]},
                        ],
                    }
                ],
            }
            whole.broker.publish(f"{PREFIX}dr/event/both", json.dumps(body).encode(), retain=True)
            await whole.until(200.0)
        return whole

    whole = virtual_time.run(main())
    rows = {row.doc.get("side"): row.doc for row in whole.evidence.rows[ChainName.LEDGER]}
    assert set(rows) == {None, "export"}
    assert rows[None]["promised_w"] == 10_000.0
    assert 5_000.0 < float(str(rows[None]["measured_w"])) < 15_000.0
    assert (rows["export"]["measured_w"], rows["export"]["shortfall_w"]) == (0.0, 0.0)
