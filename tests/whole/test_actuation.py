"""Setpoints on their way, over minutes and hours: watchdogs, silence, memory, other masters.

Judged by what truly flowed and what the chargers truly held.
"""

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from edgectl.model.modbus import Line
from edgectl.simulator import virtual_time
from edgectl.simulator.depot import Scenario
from edgectl.simulator.faults import Fault, FaultKind
from edgectl.sitefile.load import LoadedSite
from edgectl.units import EvseId, LinkId
from tests.field.yard import (
    Bay,
    Place,
    Seen,
    base_step,
    fault,
    limit_event,
    physics_s,
    running,
    stay,
    told,
    whole_yard,
    yard,
)
from tests.whole.ear import Ear
from tests.whole.harness import Whole, build, restarted
from tests.whole.made_up_charger import FEEDING, charger_of, write_profiles

BAYS = ("c1", "k1", "w1")
LIMIT_A = 60.0
FAILSAFE_A = 6.0
WATCHDOG_S = 20.0
STALE_S = 15.0
SITE = yard(
    Bay(id="c1"),
    Bay(id="k1", kind="keba"),
    Bay(id="w1", kind="webasto"),
    nodes=[Place(limit_a=(LIMIT_A,) * 3, base_max_a=(20.0,) * 3)],
)


@pytest.mark.parametrize("bay", BAYS)
def test_s9_s10_a_charger_of_each_kind_is_silent_for_ten_minutes_and_comes_back(bay: str) -> None:
    """CHARX is kept alive by rewriting, KEBA by any access, Webasto by its life bit."""
    _silent_for_ten_minutes(SITE, BAYS, bay)


@pytest.mark.parametrize("kind", FEEDING)
def test_s9_s10_so_is_one_that_reads_a_token_or_a_copied_bit_keep_alive(
    kind: str, tmp_path: Path
) -> None:
    write_profiles(tmp_path)
    bays = (kind, "c1", "k1")
    loaded = yard(
        Bay(id=kind, kind=f"made-up-{kind}"),
        Bay(id="c1"),
        Bay(id="k1", kind="keba"),
        nodes=[Place(limit_a=(LIMIT_A,) * 3, base_max_a=(20.0,) * 3)],
        profile_dirs=[tmp_path],
    )
    _silent_for_ten_minutes(loaded, bays, kind)


def _silent_for_ten_minutes(loaded: LoadedSite, bays: Sequence[str], bay: str) -> None:
    """No watchdog fires while all is well; then one charger is gone, and nothing feeds it."""
    gone_s, back_s, end_s = 60.0, 660.0, 780.0

    async def main() -> tuple[Whole, Seen]:
        whole = whole_yard(
            loaded,
            *(stay(one) for one in bays),
            faults=[fault(FaultKind.CHARGER_SILENT, bay, at_s=gone_s, until_s=back_s)],
            charger_of=charger_of,
        )
        async with running(whole) as seen:
            await whole.until(end_s)
        return whole, seen

    whole, seen = virtual_time.run(main())
    assert seen.longest_over_s(LIMIT_A) <= physics_s(loaded)
    assert _committed_short_a(whole, seen, bay) <= 0.0
    alive = [*seen.limits_a(bay, from_s=30.0, until_s=gone_s), *seen.limits_a(bay, from_s=740.0)]
    assert min(alive) > FAILSAFE_A, "it was kept alive for longer than its watchdog's time"
    held_a = seen.limits_a(bay, until_s=gone_s)[-1]
    assert held_a > FAILSAFE_A
    fallen = seen.limits_a(bay, from_s=gone_s + WATCHDOG_S + 5.0, until_s=back_s)
    assert set(fallen) == {FAILSAFE_A}, "its own watchdog has fired, and nothing fed it"
    others = [one for one in bays if one != bay]
    for other in others:
        before_a = seen.limits_a(other, until_s=gone_s)[-1]
        assert seen.limits_a(other, until_s=back_s)[-1] > before_a, "what it left goes to them"
    assert seen.limits_a(bay, until_s=end_s)[-1] > FAILSAFE_A, "and it takes part again"
    codes = [
        event["code"]
        for event in told(whole, "event")
        if event["id"] == bay and event["code"] in {"device_silent", "device_back"}
    ]
    assert codes[-2:] == ["device_silent", "device_back"]


def _committed_short_a(whole: Whole, seen: Seen, bay: str) -> float:
    """By how much more it truly drew than it was accounted with at that tick (S8, S9)."""
    committed_a = {
        record.now.mono_s: record.decision.evses[EvseId(bay)].committed_a
        for record in whole.records
    }
    both = [
        one.current_a - committed_a[at_s]
        for at_s, one in zip(seen.times_s, seen.evses[bay], strict=True)
        if at_s in committed_a
    ]
    assert len(both) > 600
    return max(both)


@pytest.mark.parametrize("step_a", [0.0, 15.0])
def test_s6_s20_the_grid_meter_is_silent_for_a_minute(step_a: float) -> None:
    async def main() -> Seen:
        whole = whole_yard(
            SITE,
            *(stay(bay) for bay in BAYS),
            faults=[
                fault(FaultKind.METER_SILENT, "m-grid", at_s=60.0, until_s=120.0),
                base_step(step_a, step_a, step_a, at_s=70.0),
            ],
        )
        async with running(whole) as seen:
            await whole.until(240.0)
        return seen

    seen = virtual_time.run(main())
    assert seen.longest_over_s(LIMIT_A) <= STALE_S + physics_s(SITE)
    assert max(seen.flow_a(from_s=60.0 + STALE_S + physics_s(SITE), until_s=120.0)) <= LIMIT_A
    for bay in BAYS:
        blind = seen.limits_a(bay, from_s=63.0, until_s=120.0)
        assert all(after <= before for before, after in pairwise(blind)), "blind, nobody is raised"
        assert seen.drawn_a(bay, until_s=240.0)[-1] > 0.0


@pytest.mark.timeout(1200)  # --prove: an hour of the whole daemon
def test_f11_s19_zero_watts_hold_for_an_hour_while_the_meter_dies_and_returns(
    *, prove: bool
) -> None:
    """0 W means 0 W, whoever can be seen; the clock says when it is over."""
    minutes = 60 if prove else 12
    end_s = 60.0 + 60.0 * minutes

    async def main() -> Seen:
        whole = whole_yard(
            SITE,
            *(stay(bay) for bay in BAYS),
            faults=[
                fault(FaultKind.METER_SILENT, "m-grid", at_s=150.0, until_s=400.0),
                fault(FaultKind.REBOOT, "w1", at_s=500.0, until_s=520.0),
            ],
        )
        async with running(whole) as seen:
            await whole.until(60.0)
            limit_event(whole, kw=0.0, duration=f"PT{minutes}M")
            await whole.until(end_s + 300.0)
        return seen

    seen = virtual_time.run(main())
    for bay in BAYS:
        assert seen.drawn_a(bay, until_s=60.0)[-1] > FAILSAFE_A
        inside = seen.drawn_a(bay, from_s=60.0 + physics_s(SITE), until_s=end_s)
        rebooted = seen.drawn_a(bay, from_s=500.0, until_s=540.0) if bay == "w1" else []
        assert sum(one > 0.0 for one in inside) <= len(rebooted), "but for what it boots with"
        assert seen.drawn_a(bay)[-1] > FAILSAFE_A, "and it charges again"


def test_flash_is_not_worn_by_what_the_charger_holds_already() -> None:
    """In ten quiet minutes no failsafe block, and nothing twice but what feeds a watchdog.

    CHARX: its setpoint again, a third of its watchdog's time apart. KEBA: any access feeds it, so
    that only another setpoint is ever written. Webasto: its life bit alone, at the same pace.
    """
    ears: list[Ear] = []
    begin_s, end_s = 120.0, 720.0

    def listening(line: Line) -> Line:
        ears.append(Ear(line))
        return ears[-1]

    async def main() -> tuple[int, dict[LinkId, list[tuple[int, tuple[int, ...]]]]]:
        scenario = Scenario(sessions=tuple(stay(bay) for bay in BAYS))
        whole = build(SITE, scenario=lambda _: scenario, wrap=listening)
        async with running(whole):
            await whole.until(begin_s)
            begun = [len(ear.written) for ear in ears]
            await whole.until(end_s)
            quiet = {
                link: ear.written[count:]
                for link, ear, count in zip(whole.lines, ears, begun, strict=True)
            }
        return sum(begun), quiet

    begun, quiet = virtual_time.run(main())
    assert begun >= 9, "failsafe block and setpoint of each"
    assert quiet[LinkId("l-m-grid")] == []
    again = {}
    for bay in BAYS:
        written = quiet[LinkId(f"l-{bay}")]
        assert len({address for address, _ in written}) == 1, bay
        again[bay] = sum(before == after for before, after in pairwise(written))
    assert again["k1"] == 0
    feeds = (end_s - begin_s) / (WATCHDOG_S / 3.0)
    assert again["c1"] <= 1.1 * feeds
    assert again["w1"] <= 1.1 * feeds


def test_a_charger_that_rebooted_gets_its_failsafe_block_and_its_setpoint_again() -> None:
    """It forgets both, and nobody tells: what it holds is compared, not assumed."""

    async def main() -> tuple[Whole, Seen]:
        whole = whole_yard(
            SITE,
            *(stay(bay) for bay in BAYS),
            faults=[fault(FaultKind.REBOOT, bay, at_s=90.0, until_s=100.0) for bay in BAYS],
        )
        async with running(whole) as seen:
            await whole.until(300.0)
            for bay in BAYS:
                link = LinkId(f"l-{bay}")
                whole.lines[link].reachable = False
            await whole.until(360.0)
        return whole, seen

    _, seen = virtual_time.run(main())
    assert seen.longest_over_s(LIMIT_A) <= physics_s(SITE)
    for bay in BAYS:
        assert seen.limits_a(bay, until_s=299.0)[-1] > FAILSAFE_A
        assert seen.limits_a(bay, until_s=359.0)[-1] == FAILSAFE_A, "its failsafe block is there"


@pytest.mark.parametrize("bay", ["c1", "k1"])
def test_s14_f21_a_pause_waits_for_no_quarrel_about_a_setpoint(bay: str) -> None:
    """Another master wrote for minutes, and once more just after the pause."""
    pause_s = 240.0

    async def main() -> Seen:
        whole = whole_yard(
            SITE,
            *(stay(one) for one in BAYS),
            faults=[
                Fault(kind=FaultKind.OTHER_MASTER, id=bay, at_s=at_s, amount_a=25.0)
                for at_s in (*(60.0 + 2.0 * k for k in range(91)), pause_s + 1.75)
            ],
        )
        async with running(whole) as seen:
            await whole.until(pause_s)
            limit_event(whole, kw=0.0, duration="PT5M")
            await whole.until(pause_s + 60.0)
        return seen

    seen = virtual_time.run(main())
    other_s = pause_s + 1.75
    assert max(seen.drawn_a(bay, from_s=pause_s - 60.0, until_s=pause_s)) > FAILSAFE_A
    assert set(seen.drawn_a(bay, from_s=other_s + 5.0 + physics_s(SITE))) == {0.0}


@pytest.mark.parametrize("bay", ["c1", "w1", "k1"])
def test_s20_f21_another_master_who_puts_back_its_own_value_overloads_nothing_for_long(
    bay: str,
) -> None:
    """It writes 32 A every two seconds for two minutes, while a base load comes, and then ends."""
    begin_s, end_s = 60.0, 180.0

    async def main() -> tuple[Whole, Seen]:
        whole = whole_yard(
            SITE,
            *(stay(one) for one in BAYS),
            faults=[
                *(
                    Fault(
                        kind=FaultKind.OTHER_MASTER, id=bay, at_s=begin_s + 2.0 * k, amount_a=32.0
                    )
                    for k in range(60)
                ),
                base_step(10.0, 10.0, 10.0, at_s=120.0),
            ],
        )
        async with running(whole) as seen:
            await whole.until(end_s + 240.0)
        return whole, seen

    whole, seen = virtual_time.run(main())
    reacted_s = physics_s(SITE)
    assert seen.longest_over_s(LIMIT_A) <= reacted_s
    quarrel = {"from_s": begin_s + reacted_s, "until_s": end_s}
    assert max(seen.drawn_a(bay, **quarrel)) > 25.0, "the other one has its way"
    others = [one for one in BAYS if one != bay]
    for other in others:
        before_a = seen.drawn_a(other, until_s=begin_s)[-1]
        assert seen.drawn_a(other, until_s=end_s)[-1] < before_a, "and they make room for it"
        assert seen.drawn_a(other)[-1] > FAILSAFE_A, "until it is over"
    alarms = [
        (event["code"], event["id"])
        for event in told(whole, "event")
        if event.get("data", {}).get("alarm") == "setpoint_conflict"
    ]
    assert alarms[0] == ("alarm_raised", bay)
    assert alarms[-1] == ("alarm_cleared", bay)


@pytest.mark.parametrize("boot_s", [0.0, 5.0, 40.0])
def test_s11_s22_the_whole_sites_power_returns_and_the_gateways_with_it(boot_s: float) -> None:
    """Chargers, meter and gateway are off; the gateway is up again `boot_s` after the power.

    Every charger comes back with its boot current and without watchdog, failsafe and setpoint.
    """
    off_s, on_s, answers_s = 60.0, 70.0, 8.0
    cut = Fault(kind=FaultKind.SITE_POWER, id="site", at_s=off_s, until_s=on_s, delay_s=answers_s)

    async def main() -> tuple[Whole, Seen]:
        first = whole_yard(SITE, *(stay(bay) for bay in BAYS), faults=[cut])
        async with asyncio.TaskGroup() as group:
            daemon = group.create_task(first.daemon.run(), name="daemon")
            await first.until(off_s)
            daemon.cancel()
            await asyncio.gather(daemon, return_exceptions=True)
        first.broker.cut()
        await first.until(on_s + boot_s)
        second = restarted(first)
        async with running(second) as seen:
            await second.until(300.0)
            for bay in BAYS:
                second.lines[LinkId(f"l-{bay}")].reachable = False
            await second.until(360.0)
        return second, seen

    second, seen = virtual_time.run(main())
    assert second.records[0].before.started_s is None
    assert all(one.silent for one in second.records[0].decision.evses.values())
    assert max(seen.flow_a(until_s=on_s + boot_s + answers_s)) <= LIMIT_A / 2.0
    assert seen.longest_over_s(LIMIT_A) <= physics_s(SITE)
    for record in second.records:
        for bay in BAYS:
            one = record.decision.evses[EvseId(bay)]
            if record.snapshot.evses[EvseId(bay)].last_answer_s is None:
                assert one.setpoint_a <= FAILSAFE_A, "nobody is raised unheard"
    for bay in BAYS:
        assert seen.limits_a(bay, until_s=299.0)[-1] > FAILSAFE_A, "charging goes on"
        assert seen.limits_a(bay, until_s=359.0)[-1] == FAILSAFE_A, "its failsafe block is there"
