"""The life of the whole daemon: way down, restart, blackout, and what is around it lost."""

import asyncio
import json
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest

from edgectl.model.modbus import Answer, Function, Line, Miss, Request
from edgectl.model.site import Mode
from edgectl.simulator import virtual_time
from edgectl.simulator.demo.demo_site import link_facts
from edgectl.simulator.demo.mqtt_tap import Heard
from edgectl.simulator.demo.report import Evidence, Report, judge
from edgectl.simulator.depot import Scenario
from edgectl.simulator.faults import Fault, FaultKind
from edgectl.simulator.sessions import built_in_sessions
from edgectl.sitefile.load import LoadedSite
from edgectl.units import EvseId
from tests.field.yard import (
    Bay,
    Place,
    Seen,
    base_step,
    limit_event,
    running,
    stay,
    told,
    whole_yard,
    yard,
)
from tests.whole.harness import Whole, build, loaded_site, restarted

DEMO = loaded_site()
MIXED = yard(
    Bay(id="c1"),
    Bay(id="k1", kind="keba"),
    Bay(id="w1", kind="webasto"),
    nodes=[Place(limit_a=(60.0,) * 3, base_max_a=(20.0,) * 3)],
)
ONE = yard(Bay(id="bay"), nodes=[Place(limit_a=(30.0,) * 3, base_max_a=(20.0,) * 3)])
BAYS = ("c1", "k1", "w1")
FAILSAFE_A = 6.0


def busy(loaded: LoadedSite, *faults: Fault) -> Scenario:
    """Every EVSE of the demo's evening is taken at once."""
    site = loaded.site
    sessions = built_in_sessions(site.evses, duration_s=3600.0, voltage_v=site.voltage_v)
    return Scenario(sessions=tuple(replace(one, arrival_s=0.0) for one in sessions), faults=faults)


async def killed(whole: Whole, daemon: asyncio.Task[bool]) -> None:
    """End like a killed process: no way down; the broker publishes the will."""
    daemon.cancel()
    await asyncio.gather(daemon, return_exceptions=True)
    whole.broker.cut()


@pytest.mark.parametrize("stop_s", [60.0, 61.7])
def test_s18_the_way_down_leaves_every_reachable_charger_at_its_safe_value(stop_s: float) -> None:
    async def main() -> tuple[Whole, Seen]:
        silent = Fault(kind=FaultKind.CHARGER_SILENT, id="b6", at_s=30.0)
        whole = build(DEMO, scenario=lambda loaded: busy(loaded, silent))
        async with running(whole) as seen:
            await whole.until(stop_s)
        seen.look()
        await whole.until(stop_s + 30.0)
        seen.look()
        return whole, seen

    whole, seen = virtual_time.run(main())
    assert seen.times_s[-2] < stop_s + 12.0
    assert whole.watchdog.said == ["ready", "stopping"]
    before = {bay: seen.limits_a(bay, until_s=stop_s)[-1] for bay in seen.evses}
    assert sum(limit_a > FAILSAFE_A for limit_a in before.values()) > 6
    for evse in DEMO.site.evses:
        safe_a = min(before[evse.id], FAILSAFE_A)
        at_once, later = seen.limits_a(evse.id)[-2:]
        if evse.id != "b6":
            assert at_once <= safe_a, evse.id
        assert later <= FAILSAFE_A, evse.id
    topic = next(name for name in whole.broker.retained if name.endswith("/status"))
    assert json.loads(whole.broker.retained[topic].payload)["state"] == "offline"


def test_f24_a_restart_holds_the_event_from_the_first_tick_and_raises_nobody_unseen() -> None:
    restart_s, event_w = 100.0, 15_000.0

    async def main() -> tuple[Whole, Whole, Seen]:
        first = whole_yard(MIXED, *(stay(bay) for bay in BAYS))
        async with asyncio.TaskGroup() as group:
            daemon = group.create_task(first.daemon.run())
            await first.until(40.0)
            limit_event(first, kw=event_w / 1000.0, duration="PT10M")
            await first.until(restart_s - 1.0)
            await killed(first, daemon)
        await first.until(restart_s)
        first.broker.retained.clear()
        second = restarted(first)
        async with running(second) as seen:
            await second.until(restart_s + 90.0)
        return first, second, seen

    first, second, seen = virtual_time.run(main())
    assert first.daemon is not second.daemon
    grid = MIXED.site.nodes[0].id
    assert {record.decision.nodes[grid].ceiling_va for record in second.records} == {event_w}
    assert second.records[0].now.mono_s == restart_s
    for bay in BAYS:
        told_a = [
            (record.decision.evses[EvseId(bay)], record.snapshot.evses[EvseId(bay)])
            for record in second.records
        ]
        held_a = seen.limits_a(bay)[0]
        for decision, view in told_a:
            if view.confirmed is None:
                assert decision.setpoint_a <= max(held_a, FAILSAFE_A)
        unseen = next(n for n, (_, view) in enumerate(told_a) if view.confirmed is not None)
        early = seen.limits_a(bay, until_s=second.records[unseen].now.mono_s)
        assert all(after <= before for before, after in pairwise(early)), bay
    power_w = [truth.power_w for truth in second.depot.trace.nodes[grid]]
    inside = [
        watts
        for at_s, watts in zip(second.depot.trace.times_s, power_w, strict=True)
        if at_s > 60.0
    ]
    assert max(inside) <= event_w * 1.01
    assert sum(seen.drawn_a(bay)[-1] for bay in BAYS) > 12.0, "and it charges again"


@pytest.mark.parametrize(("boot_a", "stopped"), [(6.0, 0), (16.0, 3)])
def test_s11_when_the_sites_power_returns_nothing_is_overloaded_for_long(
    boot_a: float, stopped: int
) -> None:
    """Every charger reboots in one moment, forgets its setpoint and failsafe, and is away 10 s.

    From 16 A each the transformer is overloaded until they are reached; whoever answers first may
    have to stop for those that do not answer yet.
    """
    evses = tuple(
        replace(evse, traits=replace(evse.traits, boot_a=boot_a)) for evse in DEMO.site.evses
    )
    loaded = replace(DEMO, site=replace(DEMO.site, evses=evses))
    faults = tuple(
        Fault(kind=FaultKind.REBOOT, id=evse.id, at_s=60.0, until_s=70.0) for evse in evses
    )

    async def main() -> tuple[Whole, Seen]:
        whole = build(loaded, scenario=lambda loaded: busy(loaded, *faults))
        async with running(whole) as seen:
            await whole.until(130.0)
        return whole, seen

    whole, seen = virtual_time.run(main())
    report = judged(whole, faults, duration_s=130.0)
    assert report["ok"], report
    before = [seen.drawn_a(evse.id, until_s=60.0)[-1] > 0.0 for evse in evses]
    after = [seen.drawn_a(evse.id, until_s=130.0)[-1] > 0.0 for evse in evses]
    assert sum(before) == len(evses)
    assert sum(after) >= len(evses) - stopped, "and charging goes on"
    overload_s = max(node["overload_max_s"] for node in report["nodes"].values())
    assert (overload_s > 0.0) is (boot_a > FAILSAFE_A)


def judged(whole: Whole, faults: tuple[Fault, ...], *, duration_s: float) -> Report:
    """The report of a run, by a judge who knows nothing of our accounts."""
    site = whole.loaded.site
    heard = Heard()
    for message in whole.broker.published:
        heard.take(
            message.topic.removeprefix(f"edgectl/v1/{site.region}/{site.id}/"), message.payload
        )
    return judge(
        Evidence(
            site=site,
            links=link_facts(whole.loaded),
            trace=whole.depot.trace,
            faults=faults,
            duration_s=duration_s,
            start_utc_s=virtual_time.START_UTC_S,
            delivered_wh=whole.depot.delivered_wh(),
            published=heard.published,
            received=heard.received,
        )
    )


@dataclass
class Wiretap:
    """A line that counts what is written."""

    line: Line
    written: list[Request]
    read: list[Request]

    async def open(self, *, timeout_s: float) -> Miss | None:
        return await self.line.open(timeout_s=timeout_s)

    async def exchange(self, request: Request, *, timeout_s: float) -> Answer | Miss:
        writes = request.function in {Function.WRITE_SINGLE, Function.WRITE_MULTIPLE}
        (self.written if writes else self.read).append(request)
        return await self.line.exchange(request, timeout_s=timeout_s)

    async def close(self) -> None:
        await self.line.close()


@pytest.mark.parametrize("mode", list(Mode))
def test_in_observe_mode_nothing_is_ever_written(mode: Mode) -> None:
    """Not at the start, not in an overload, not on the way down; control mode for comparison."""
    loaded = replace(MIXED, site=replace(MIXED.site, mode=mode))
    written: list[Request] = []
    read: list[Request] = []

    async def main() -> Whole:
        scenario = Scenario(
            sessions=tuple(stay(bay) for bay in BAYS),
            faults=(
                base_step(50.0, 50.0, 50.0, at_s=30.0),
                Fault(kind=FaultKind.CHARGER_SILENT, id="c1", at_s=40.0, until_s=50.0),
                Fault(kind=FaultKind.REBOOT, id="w1", at_s=60.0, until_s=64.0),
            ),
        )
        whole = build(
            loaded, scenario=lambda _: scenario, wrap=lambda line: Wiretap(line, written, read)
        )
        async with running(whole):
            await whole.until(90.0)
        return whole

    whole = virtual_time.run(main())
    assert bool(written) is (mode is Mode.CONTROL)
    assert len(read) > 500
    assert len(whole.records) >= 90
    assert all(len(record.decision.evses) == 3 for record in whole.records)
    assert max(one.setpoint_a for one in whole.records[25].decision.evses.values()) > FAILSAFE_A
    assert len(told(whole, "telemetry")) >= 9
    assert not whole.crashes.errors


def test_f18_five_minutes_without_broker_lose_no_row_and_control_feels_nothing() -> None:
    async def main(*, away: bool) -> tuple[Whole, Seen]:
        whole = whole_yard(
            ONE,
            stay("bay"),
            faults=[base_step(10.0, 10.0, 10.0, at_s=120.0, until_s=180.0)],
        )
        async with running(whole) as seen:
            await whole.until(20.0)
            if away:
                whole.broker.reachable = False
                whole.broker.cut()
            await whole.until(320.0)
            whole.broker.reachable = True
            await whole.until(380.0)
        return whole, seen

    cut, seen = virtual_time.run(main(away=True))
    kept, undisturbed = virtual_time.run(main(away=False))
    assert [r.decision for r in cut.records] == [r.decision for r in kept.records]
    assert seen.limits_a("bay", until_s=379.0) == undisturbed.limits_a("bay", until_s=379.0)
    assert cut.broker.connections == 2
    rows = [
        json.loads(message.payload)
        for message in cut.broker.published
        if b'"seq"' in message.payload
    ]
    assert {row["seq"] for row in rows} == set(range(1, cut.outbox.last_seq + 1))
    for lane in ("live", "backfill"):
        fresh = list(dict.fromkeys(row["seq"] for row in rows if row["lane"] == lane))
        assert fresh == sorted(fresh)
        assert fresh
    times = sorted(row["made_at"] for row in rows if "samples" in row)
    assert len(set(times)) >= 37, "a batch every ten seconds, through the outage too"


def test_s23_a_full_disk_is_said_and_control_feels_nothing() -> None:
    async def main(*, full: bool) -> tuple[Whole, Seen]:
        whole = whole_yard(
            ONE,
            stay("bay"),
            faults=[base_step(10.0, 10.0, 10.0, at_s=80.0, until_s=120.0)],
        )
        async with running(whole) as seen:
            await whole.until(60.0)
            whole.outbox.disk_full = whole.store.full = full
            await whole.until(180.0)
            whole.outbox.disk_full = whole.store.full = False
            await whole.until(240.0)
        return whole, seen

    filled, seen = virtual_time.run(main(full=True))
    roomy, undisturbed = virtual_time.run(main(full=False))
    assert [r.decision for r in filled.records] == [r.decision for r in roomy.records]
    assert seen.limits_a("bay", until_s=239.0) == undisturbed.limits_a("bay", until_s=239.0)
    said = [event for event in told(filled, "event") if event["code"] == "outbox_failed"]
    assert len(said) == 1
    assert not [event for event in told(roomy, "event") if event["code"] == "outbox_failed"]
    alarms = [event for event in told(filled, "event") if event["code"].startswith("alarm_")]
    names = {"telemetry_not_kept"}
    assert {event["data"]["alarm"] for event in alarms} >= names
    assert [e["code"] for e in alarms if e["data"]["alarm"] in names] == [
        "alarm_raised",
        "alarm_cleared",
    ]
    made = {body["made_at"][:18] for body in told(filled, "telemetry")}
    assert made == {body["made_at"][:18] for body in told(roomy, "telemetry")}, "no batch is lost"
    assert not filled.crashes.errors


def test_s18_the_way_down_reaches_who_was_written_a_moment_ago() -> None:
    """A charger that takes one write in 5 s has just had one."""

    async def main() -> Seen:
        whole = build(DEMO, scenario=busy)
        async with running(whole) as seen:
            await whole.until(61.7)
        seen.look()
        return seen

    seen = virtual_time.run(main())
    late = {bay: seen.limits_a(bay)[-1] for bay in seen.evses}
    assert {bay: limit_a for bay, limit_a in late.items() if limit_a > FAILSAFE_A} == {}
