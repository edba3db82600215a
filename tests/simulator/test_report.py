"""The report: each condition of `ok` is made false once, on a trace written by hand."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from edgectl.model.site import Cap
from edgectl.simulator.allowance import STALE_S, allowance
from edgectl.simulator.demo.report import DrEvidence, Evidence, judge
from edgectl.simulator.faults import Fault, FaultKind
from edgectl.simulator.trace import NodeTruth, Trace
from edgectl.units import MeterId
from tests.simulator.world import FEEDER, GRID, LINKS, TRAITS, site

PLACE = site()
# m-grid polls at 0.5 s; KEBA: (0.1 + 0.5) s to write, 1 s timeout, 10 s; others 0.1 or 0.2 + 1 + 10
GRID_PHYSICS_S = 0.5 + 0.15 + (0.6 + 1.0 + 10.0)
FEEDER_PHYSICS_S = 1.0 + 0.15 + (0.2 + 1.0 + 10.0)
MONDAY_NOON_S = 1_767_614_400.0  # 2026-01-05 12:00 UTC


def trace(
    grid_a: Callable[[float], float],
    *,
    until_s: float = 90.0,
    base_w: float = 0.0,
) -> Trace:
    times_s = [0.25 * k for k in range(int(until_s / 0.25))]
    grid = [
        NodeTruth(
            current_a=(grid_a(t), 10.0, 10.0),
            power_w=230.0 * (grid_a(t) + 20.0),
            base_power_w=base_w,
        )
        for t in times_s
    ]
    quiet = [NodeTruth(current_a=(5.0, 5.0, 5.0), power_w=3450.0, base_power_w=0.0)] * len(times_s)
    return Trace(times_s=times_s, nodes={GRID: grid, FEEDER: quiet})


def evidence(grid_a: Callable[[float], float] = lambda _: 90.0, **more: object) -> Evidence:
    facts = {
        "site": PLACE,
        "links": LINKS,
        "trace": trace(grid_a),
        "faults": (),
        "duration_s": 90.0,
        "start_utc_s": MONDAY_NOON_S,
        "delivered_wh": 1234.5,
        "published": 100,
        "received": 100,
    }
    return Evidence(**{**facts, **more})  # type: ignore[arg-type]


def event(**more: object) -> DrEvidence:
    facts = {
        "node": GRID,
        "from_s": 30.0,
        "until_s": 60.0,
        "limit_w": 20_000.0,
        "pause_w": 0.0,
        "received": True,
        "responded": True,
    }
    return DrEvidence(**{**facts, **more})  # type: ignore[arg-type]


def burst(from_s: float, length_s: float, high_a: float = 110.0) -> Callable[[float], float]:
    return lambda t: high_a if from_s <= t < from_s + length_s else 50.0


def test_a_quiet_run_is_ok_and_has_the_fields_of_the_contract() -> None:
    report = judge(evidence(dr=event(limit_w=30_000.0)))
    assert report == {
        "ok": True,
        "duration_s": 90.0,
        "nodes": {
            # The row in A is the tightest (0.90), from the first moment on, when no event holds.
            "grid": {
                "ceiling_a": [100.0, 100.0, 100.0],
                "peak_a": [90.0, 10.0, 10.0],
                "peak_va": 25_300.0,
                "overload_max_s": 0.0,
                "allowed_s": GRID_PHYSICS_S,
            },
            "feeder": {
                "ceiling_a": [50.0, 50.0, 50.0],
                "peak_a": [5.0, 5.0, 5.0],
                "peak_va": 3450.0,
                "overload_max_s": 0.0,
                "allowed_s": FEEDER_PHYSICS_S,
            },
        },
        "energy_kwh": 1.234,
        "telemetry": {"published": 100, "received": 100},
        "faults": [],
        "dr": {"received": True, "responded": True, "kept": True},
    }
    assert next(iter(report)) == "ok"


def test_an_overload_as_long_as_physics_is_ok_and_a_longer_one_is_not() -> None:
    short = judge(evidence(burst(20.0, 12.0)))
    assert short["ok"]
    assert short["nodes"]["grid"]["overload_max_s"] == 12.0
    assert short["nodes"]["grid"]["peak_a"][0] == 110.0
    long = judge(evidence(burst(20.0, 12.5)))
    assert not long["ok"]
    assert long["nodes"]["grid"]["overload_max_s"] == 12.5
    assert long["nodes"]["grid"]["allowed_s"] == GRID_PHYSICS_S


def test_an_overload_at_the_end_of_the_run_counts() -> None:
    assert not judge(evidence(burst(70.0, 100.0)))["ok"]


def test_exactly_at_the_ceiling_is_no_overload() -> None:
    assert judge(evidence(lambda _: 100.0))["nodes"]["grid"]["overload_max_s"] == 0.0


def test_the_sum_has_its_own_row() -> None:
    nodes = tuple(replace(n, limit_va=15_000.0) if n.id == GRID else n for n in PLACE.nodes)
    place = replace(PLACE, nodes=nodes)
    report = judge(evidence(lambda _: 50.0, site=place))
    assert not report["ok"]
    assert report["nodes"]["grid"]["ceiling_va"] == 15_000.0
    assert report["nodes"]["grid"]["peak_va"] == 16_100.0


def test_while_the_meter_is_silent_the_stale_time_stands_in_place_of_the_poll() -> None:
    fault = Fault(kind=FaultKind.METER_SILENT, id="m-grid", at_s=20.0, until_s=32.0)
    run = trace(burst(25.0, 25.0))
    run.meter_answers_s[MeterId("m-grid")] = [19.5, 33.0]
    report = judge(evidence(trace=run, faults=(fault,)))
    assert report["ok"]
    assert report["nodes"]["grid"]["allowed_s"] == round(GRID_PHYSICS_S - 0.5 + STALE_S, 3)
    run = trace(burst(33.5, 25.0))
    run.meter_answers_s[MeterId("m-grid")] = [19.5, 33.0]
    assert not judge(evidence(trace=run, faults=(fault,)))["ok"]


def test_whoever_does_not_ask_the_meter_again_is_not_excused_for_ever() -> None:
    fault = Fault(kind=FaultKind.METER_SILENT, id="m-grid", at_s=20.0, until_s=32.0)
    run = trace(burst(50.0, 15.0))
    run.meter_answers_s[MeterId("m-grid")] = [19.5]
    assert not judge(evidence(trace=run, faults=(fault,)))["ok"]


def test_a_too_short_allowance_is_shown_before_a_longer_overload_that_was_allowed() -> None:
    fault = Fault(kind=FaultKind.METER_SILENT, id="m-grid", at_s=50.0, until_s=60.0)
    run = trace(lambda t: 110.0 if 5.0 <= t < 19.0 or 55.0 <= t < 75.0 else 50.0)
    report = judge(evidence(trace=run, faults=(fault,)))
    assert not report["ok"]
    assert report["nodes"]["grid"]["overload_max_s"] == 14.0


def test_the_event_is_kept_but_for_physics() -> None:
    def follows(after_s: float) -> Callable[[float], float]:
        return lambda t: 60.0 if 30.0 + after_s <= t < 60.0 else 95.0

    report = judge(evidence(follows(12.0), dr=event()))
    assert report["dr"] == {"received": True, "responded": True, "kept": True}
    assert report["ok"]
    report = judge(evidence(follows(13.0), dr=event()))
    assert not report["dr"]["kept"]
    assert not report["ok"]


def test_the_event_may_be_exceeded_by_one_percent_and_by_base_load() -> None:
    just = (20_000.0 * 1.01) / 230.0 - 20.0 - 0.01
    report = judge(evidence(lambda t: just if t >= 30.0 else 50.0, dr=event()))
    assert report["dr"]["kept"]
    run = trace(lambda _: 90.0, base_w=25_000.0)
    assert judge(evidence(trace=run, dr=event(pause_w=300.0)))["dr"]["kept"]
    run = trace(lambda _: 90.0, base_w=24_900.0)
    assert not judge(evidence(trace=run, dr=event(pause_w=300.0)))["dr"]["kept"]


@pytest.mark.parametrize("missing", ["received", "responded"])
def test_an_event_without_answer_is_not_ok(missing: str) -> None:
    report = judge(evidence(lambda _: 40.0, dr=event(**{missing: False})))
    assert report["dr"]["kept"]
    assert not report["ok"]


def test_missing_telemetry_is_not_ok() -> None:
    assert not judge(evidence(received=99))["ok"]
    assert not judge(evidence(published=0, received=0))["ok"]


def test_a_run_without_samples_is_not_ok() -> None:
    assert not judge(evidence(trace=Trace(nodes={GRID: [], FEEDER: []})))["ok"]


def test_caps_by_time_of_day_are_ceilings() -> None:
    every_day = frozenset(range(7))
    noon = Cap(node=GRID, limit_w=16_000.0, from_minute=11 * 60, to_minute=13 * 60, days=every_day)
    night = replace(noon, from_minute=22 * 60, to_minute=6 * 60)
    over_noon = replace(noon, from_minute=22 * 60, to_minute=12 * 60 + 1, days=frozenset({6}))
    for cap, holds in ((noon, True), (night, False), (over_noon, True)):
        report = judge(evidence(lambda _: 60.0, site=replace(PLACE, caps=(cap,))))
        assert report["ok"] is not holds


def test_a_node_without_evses_is_shown_and_not_judged() -> None:
    place = replace(PLACE, evses=tuple(e for e in PLACE.evses if e.node == GRID))
    report = judge(evidence(site=place))
    assert "allowed_s" not in report["nodes"]["feeder"]


def test_physics_counts_write_intervals_and_shared_links() -> None:
    slow = replace(TRAITS, min_write_interval_s=5.0)
    evses = tuple(replace(e, traits=slow) if e.id == "k1" else e for e in PLACE.evses)
    found = allowance(replace(PLACE, evses=evses), GRID, links=LINKS)
    assert found is not None
    assert found.physics_s == pytest.approx(GRID_PHYSICS_S + 5.0)
    no_meter = allowance(replace(PLACE, meters=()), FEEDER, links=LINKS)
    assert no_meter is not None
    assert no_meter.physics_s == pytest.approx(TRAITS.poll_s + 0.15 + 0.2 + 1.0 + 10.0)


def test_a_stuck_meter_allows_ten_seconds_more() -> None:
    fault = Fault(kind=FaultKind.METER_STUCK, id="m-grid", at_s=20.0, until_s=40.0)
    found = allowance(PLACE, GRID, links=LINKS, faults=(fault,))
    assert found is not None
    assert found.during_s(25.0, 30.0) == pytest.approx(GRID_PHYSICS_S - 0.5 + 25.0)
    assert found.during_s(0.0, 19.0) == pytest.approx(GRID_PHYSICS_S)
