"""The whole daemon in virtual time: deterministic, fast, and nothing overloaded for long."""

import pytest

from edgectl.model.site import Site
from edgectl.simulator import virtual_time
from edgectl.simulator.demo.demo_site import link_facts
from edgectl.simulator.demo.mqtt_tap import Heard, capacity_limit_event
from edgectl.simulator.demo.plan import plan_run
from edgectl.simulator.demo.report import DrEvidence, Evidence, Report, judge
from edgectl.simulator.depot import Scenario
from edgectl.simulator.sessions import built_in_sessions
from edgectl.sitefile.load import LoadedSite
from tests.whole.harness import Whole, build, loaded_site, run_for

TEN_MINUTES_S = 600.0
RUN_S = 180.0


def evening(loaded: LoadedSite) -> Scenario:
    site: Site = loaded.site
    sessions = built_in_sessions(site.evses, duration_s=TEN_MINUTES_S, voltage_v=site.voltage_v)
    return plan_run(site, sessions, duration_s=TEN_MINUTES_S).scenario


async def ten_minutes(config: str) -> Whole:
    whole = build(loaded_site(config), scenario=evening)
    await run_for(whole, TEN_MINUTES_S)
    return whole


def test_ten_minutes_run_twice_give_equal_records() -> None:
    first = virtual_time.run(ten_minutes("small-depot.yaml"))
    second = virtual_time.run(ten_minutes("small-depot.yaml"))
    assert len(first.records) >= TEN_MINUTES_S
    assert first.records == second.records
    assert [m.payload for m in first.broker.published] == [
        m.payload for m in second.broker.published
    ]
    assert first.depot.delivered_wh() > 1000.0
    assert first.watchdog.said == ["ready", "stopping"]
    assert first.watchdog.fed >= TEN_MINUTES_S
    assert not first.crashes.errors


@pytest.mark.parametrize("seed", range(3))
def test_an_evening_with_faults_and_an_event_is_judged_by_its_physics(seed: int) -> None:
    """The demo's own scenario and its report, which knows nothing of our accounts."""
    report = virtual_time.run(judged_evening(seed))
    assert report["ok"], report
    assert report["dr"]["kept"]
    assert report["energy_kwh"] > 1.0


def test_the_bus_depot_keeps_its_limits_through_an_evening_with_faults_and_an_event() -> None:
    """DC and AC, network and serial lines, whose characters take their time here too."""
    report = virtual_time.run(judged_evening(1, "bus-depot.yaml"))
    assert report["ok"], report
    assert report["dr"]["kept"]
    assert report["energy_kwh"] > 10.0
    feeder = report["nodes"]["feeder-a"]
    # The ramp begins a watchdog before the event: little of this short evening is left at full.
    assert max(feeder["peak_a"]) > 0.8 * 360.0, "an evening that needs nobody proves nothing"


async def judged_evening(seed: int, config: str = "demo-depot.yaml") -> Report:
    loaded = loaded_site(config)
    site = loaded.site
    sessions = built_in_sessions(site.evses, duration_s=RUN_S, voltage_v=site.voltage_v)
    plan = plan_run(site, sessions, duration_s=RUN_S)
    assert plan.dr is not None
    whole = build(loaded, seed=seed, scenario=lambda _: plan.scenario)
    start_utc_s = whole.clock.now().utc_s
    prefix = f"edgectl/v1/{site.region}/{site.id}/"
    whole.broker.publish(
        f"{prefix}dr/event/evt-1",
        capacity_limit_event(
            "evt-1",
            plan.dr.program.id,
            made_utc_s=start_utc_s,
            start_utc_s=start_utc_s + plan.dr.from_s,
            duration_s=plan.dr.until_s - plan.dr.from_s,
            limit_w=plan.dr.limit_w,
        ),
        retain=True,
    )
    await run_for(whole, RUN_S)
    heard = Heard()
    for message in whole.broker.published:
        heard.take(message.topic.removeprefix(prefix), message.payload)
    return judge(
        Evidence(
            site=site,
            links=link_facts(loaded),
            trace=whole.depot.trace,
            faults=plan.scenario.faults,
            duration_s=RUN_S,
            start_utc_s=start_utc_s,
            delivered_wh=whole.depot.delivered_wh(),
            published=heard.published,
            received=heard.received,
            dr=DrEvidence(
                node=plan.dr.node.id,
                from_s=plan.dr.from_s,
                until_s=plan.dr.until_s,
                limit_w=plan.dr.limit_w,
                pause_w=plan.dr.pause_w,
                received="evt-1" in heard.dr_states,
                responded=heard.answered("evt-1"),
            ),
        )
    )
