"""What meters say and do not say: silence, age, sign."""

import asyncio
from itertools import pairwise

from edgectl.simulator import virtual_time
from edgectl.simulator.faults import FaultKind
from edgectl.units import EvseId, MeterId
from tests.field.yard import (
    LOOK_S,
    Bay,
    Place,
    Seen,
    base_step,
    fault,
    physics_s,
    running,
    stay,
    told,
    whole_yard,
    yard,
)
from tests.whole.harness import Whole

BAYS = ("c1", "k1", "w1")
MIXED = (Bay(id="c1"), Bay(id="k1", kind="keba"), Bay(id="w1", kind="webasto"))
LIMIT_A = 60.0
WORST_A = 40.0
MARGIN_A = 1.0
STALE_S = 15.0

SITE_NODE = Place(limit_a=(LIMIT_A,) * 3, base_max_a=(WORST_A,) * 3)
SITE = yard(*MIXED, nodes=[SITE_NODE])
FOLLOWED_S = physics_s(SITE)


def test_f1_a_silent_meter_counts_as_the_worst_case_and_setpoints_follow() -> None:
    """Nothing is known while the load rises, and the fuse holds all the same."""

    async def main() -> Seen:
        whole = whole_yard(
            SITE,
            *(stay(bay) for bay in BAYS),
            faults=[
                fault(FaultKind.METER_SILENT, "m-grid", at_s=60.0, until_s=120.0),
                base_step(40.0, 40.0, 40.0, at_s=70.0, until_s=110.0),
            ],
        )
        async with running(whole) as seen:
            await whole.until(160.0)
        return seen

    seen = virtual_time.run(main())
    before_a = sum(seen.drawn_a(bay, from_s=58.0, until_s=60.0)[-1] for bay in BAYS)
    assert before_a > LIMIT_A - WORST_A + 10.0, "there was more than the worst case leaves"
    blind_s = 60.0 + STALE_S + FOLLOWED_S
    for bay in BAYS:
        falling = seen.limits_a(bay, from_s=62.0, until_s=120.0)
        assert all(after <= before for before, after in pairwise(falling))
    left_a = sum(seen.limits_a(bay, until_s=120.0)[-1] for bay in BAYS)
    assert 17.0 < left_a <= LIMIT_A - MARGIN_A - WORST_A
    assert max(seen.flow_a(from_s=blind_s, until_s=120.0)) <= LIMIT_A
    assert seen.longest_over_s(LIMIT_A) <= STALE_S + FOLLOWED_S
    assert sum(seen.drawn_a(bay)[-1] for bay in BAYS) > 30.0, "with the meter the room is back"


def test_f1_when_the_judgement_dies_chargers_fall_to_their_failsafe() -> None:
    """Everything else of the daemon lives on, and no charger's watchdog is fed by it."""

    async def main() -> Seen:
        whole = whole_yard(SITE, *(stay(bay) for bay in BAYS))
        async with running(whole) as seen:
            await whole.until(60.0)
            (tick,) = (task for task in asyncio.all_tasks() if task.get_name() == "tick")
            tick.cancel()
            await whole.until(120.0)
        return seen

    seen = virtual_time.run(main())
    for bay in BAYS:
        assert seen.limits_a(bay, until_s=60.0)[-1] > 10.0
        watched_s = 60.0 + 3.0 + 20.0 + 2.0
        assert set(seen.limits_a(bay, from_s=watched_s, until_s=120.0)) == {6.0}, bay


def test_f10_what_is_fed_back_adds_room_on_its_phase_up_to_the_limits_below() -> None:
    solar = [
        Place(limit_a=(25.0, 25.0, 25.0), base_max_a=(6.0, 6.0, 6.0)),
        Place(id="feeder", parent="grid", limit_a=(40.0, 40.0, 40.0)),
    ]
    site = yard(
        Bay(id="one", kind="keba", node="feeder", phases=[1]),
        Bay(id="two", node="feeder", phases=[1]),
        Bay(id="other", node="feeder", phases=[2]),
        nodes=solar,
    )

    async def main() -> Seen:
        whole = whole_yard(
            site,
            *(stay(bay) for bay in ("one", "two", "other")),
            faults=[base_step(-30.0, at_s=0.0, until_s=90.0)],
        )
        async with running(whole) as seen:
            await whole.until(140.0)
        return seen

    seen = virtual_time.run(main())
    sunny, dark = {"from_s": 60.0, "until_s": 90.0}, {"from_s": 90.0 + FOLLOWED_S}
    assert min(seen.flow_a("feeder", 1, **sunny)) > 37.0, "more than the grid connection alone"
    assert max(seen.flow_a("feeder", 1)) <= 40.0, "but no more than the feeder takes"
    assert max(seen.flow_a("grid", 1, **sunny)) < 25.0
    assert max(seen.flow_a("grid", 2)) <= 25.0, "the sun on L1 gives nothing on L2"
    assert max(seen.flow_a("grid", 1, **dark)) <= 25.0
    assert min(seen.flow_a("feeder", 1, **dark)) > 17.0


def test_f13_a_high_value_of_a_dead_meter_is_not_new_again_and_stops_nobody() -> None:
    silent_s, back_s = 60.6, 76.0

    async def main() -> tuple[Whole, Seen]:
        whole = whole_yard(
            SITE,
            *(stay(bay) for bay in BAYS),
            faults=[
                base_step(20.0, 20.0, 20.0, at_s=60.0),
                fault(FaultKind.METER_SILENT, "m-grid", at_s=silent_s, until_s=back_s),
            ],
        )
        async with running(whole) as seen:
            await whole.until(110.0)
        return whole, seen

    whole, seen = virtual_time.run(main())
    ticks = [r for r in whole.records if r.now.mono_s > 62.0]
    over = [r for r in ticks if any(alarm.code == "over_ceiling" for alarm in r.decision.alarms)]
    assert not [r for r in over if r.now.mono_s < back_s]
    for bay in BAYS:
        assert min(seen.limits_a(bay, from_s=40.0)) >= 6.0, "nobody is stopped"
    samples = [
        (body["made_at"], sample)
        for body in told(whole, "telemetry")
        for sample in body["samples"]
        if sample["id"] == "m-grid" and sample["q"] == "current_a.1"
    ]
    (made_at, sample) = next(one for one in samples if "00:01:1" in one[0])
    assert "T00:01:00" in sample["t"], f"told at {made_at}, taken before the silence"
    assert sample["quality"] == "stale"
    taken = [r.snapshot.meters[MeterId("m-grid")].samples[-1].taken_s for r in ticks]
    assert max(t for t in taken if t < back_s) < silent_s


def test_f20_headroom_from_the_sun_ends_with_the_age_of_its_reading() -> None:
    """The meter dies in the sunshine, and the sun sets."""
    site = yard(
        Bay(id="one", phases=[1]),
        Bay(id="two", phases=[1]),
        nodes=[Place(limit_a=(30.0, 30.0, 30.0), base_max_a=(6.0, 6.0, 6.0))],
    )

    async def main() -> Seen:
        whole = whole_yard(
            site,
            stay("one"),
            stay("two"),
            faults=[
                base_step(-30.0, at_s=0.0, until_s=62.0),
                fault(FaultKind.METER_SILENT, "m-grid", at_s=60.0),
            ],
        )
        async with running(whole) as seen:
            await whole.until(130.0)
        return seen

    seen = virtual_time.run(main())
    assert sum(seen.drawn_a(bay, until_s=60.0)[-1] for bay in ("one", "two")) > 45.0
    assert seen.longest_over_s(30.0) <= STALE_S + FOLLOWED_S
    late_a = seen.flow_a(from_s=60.0 + STALE_S + FOLLOWED_S)
    assert min(late_a) > 20.0
    assert max(late_a) <= 30.0


def test_f22_without_fresh_readings_nobody_is_raised() -> None:
    """The load falls away, but nobody could know: first the meter is silent, then a charger."""
    bays = ("c1", "c2", "w1")
    loaded = yard(Bay(id="c1"), Bay(id="c2"), Bay(id="w1", kind="webasto"), nodes=[SITE_NODE])

    async def main() -> tuple[Whole, Seen]:
        whole = whole_yard(
            loaded,
            *(stay(bay) for bay in bays),
            faults=[
                base_step(15.0, 15.0, 15.0, at_s=0.0, until_s=61.0),
                fault(FaultKind.METER_SILENT, "m-grid", at_s=60.0, until_s=90.0),
                fault(FaultKind.CHARGER_SILENT, "c2", at_s=130.0, until_s=150.0),
            ],
        )
        async with running(whole) as seen:
            await whole.until(160.0)
        return whole, seen

    whole, seen = virtual_time.run(main())
    for bay in bays:
        blind = seen.limits_a(bay, from_s=62.0, until_s=90.0 + LOOK_S)
        assert all(after <= before for before, after in pairwise(blind)), bay
        assert max(seen.limits_a(bay, from_s=100.0, until_s=130.0)) > blind[-1], bay
    called = [
        r.decision.evses[EvseId("c2")].setpoint_a
        for r in whole.records
        if 142.0 < r.now.mono_s < 150.0
    ]
    assert set(called) == {6.0}, "a silent charger is only called, and not with its share"
    silent = seen.limits_a("c2", from_s=130.0, until_s=150.0)
    assert all(after <= before for before, after in pairwise(silent))
    assert seen.longest_over_s(LIMIT_A) <= FOLLOWED_S


def test_f13_a_meter_that_repeats_one_value_is_not_believed_for_long() -> None:
    """It answers all the time, always the same, while a vehicle begins to draw and a load comes."""
    frozen_s = 10.0

    async def main() -> tuple[Whole, Seen]:
        whole = whole_yard(
            SITE,
            stay("c1"),
            stay("w1"),
            stay("k1", from_s=75.0),
            faults=[
                fault(FaultKind.METER_STUCK, "m-grid", at_s=60.0, until_s=200.0),
                base_step(30.0, 30.0, 30.0, at_s=100.0, until_s=180.0),
            ],
        )
        async with running(whole) as seen:
            await whole.until(260.0)
        return whole, seen

    whole, seen = virtual_time.run(main())
    assert seen.longest_over_s(LIMIT_A) <= STALE_S + frozen_s + FOLLOWED_S
    assert max(seen.flow_a(from_s=140.0, until_s=180.0)) <= LIMIT_A
    alarms = [
        (event["code"], event["t"][14:19])
        for event in told(whole, "event")
        if event.get("data", {}).get("alarm") == "meter_frozen"
    ]
    assert [code for code, _ in alarms] == ["alarm_raised", "alarm_cleared"]
    assert "01:15" < alarms[0][1] < "01:55"
    assert "03:20" <= alarms[1][1] < "03:40"
    assert sum(seen.drawn_a(bay)[-1] for bay in BAYS) > 30.0, "with the meter the room is back"


def test_f13_a_meter_that_stands_still_while_vehicles_begin_hides_no_overload() -> None:
    """It stands still at the little that one vehicle draws; believed, all seems to be free."""
    frozen_s, begin_s = 10.0, 75.0

    async def main() -> tuple[Whole, Seen]:
        whole = whole_yard(
            SITE,
            stay("c1", max_a=10.0),
            stay("w1", from_s=begin_s),
            stay("k1", from_s=begin_s + 10.0),
            faults=[fault(FaultKind.METER_STUCK, "m-grid", at_s=60.0)],
        )
        async with running(whole) as seen:
            await whole.until(260.0)
        return whole, seen

    whole, seen = virtual_time.run(main())
    assert seen.longest_over_s(LIMIT_A) <= STALE_S + frozen_s + FOLLOWED_S
    late_s = begin_s + 10.0 + STALE_S + frozen_s + FOLLOWED_S
    assert max(seen.flow_a(from_s=late_s)) <= LIMIT_A
    drawn_a = sum(seen.drawn_a(bay)[-1] for bay in BAYS)
    assert 12.0 <= drawn_a <= LIMIT_A - WORST_A, "what the worst case leaves"
    assert "meter_frozen" in {event.get("data", {}).get("alarm") for event in told(whole, "event")}
