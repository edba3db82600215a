"""Evidence that no trial has left: two EVSEs on one node, whatever they are said to have drawn."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from edgectl.simulator.demo.demo_site import link_facts
from edgectl.simulator.faults import Fault
from edgectl.simulator.trace import EvseTrace, NodeTruth, Trace
from edgectl.simulator.trial.drawn import TRACE_S
from edgectl.simulator.trial.evidence import Evidence, Life
from edgectl.simulator.trial.site_plan import SitePlan
from edgectl.simulator.trial.trial import draw_trial
from edgectl.units import EvseId

DURATION_S: Final = 400.0

PLAN = SitePlan(
    mode="control",
    policy={"name": "fair"},
    telemetry={},
    nodes=({"id": "n0", "base_max_a": [10.0, 10.0, 10.0], "limit_a": [20.0, 20.0, 20.0]},),
    links=({"id": "l0", "kind": "tcp", "host": "10.0.0.1"},),
    meters=({"id": "m0", "node": "n0", "profile": "janitza-umg96rm", "link": "l0", "unit": 1},),
    evses=tuple(
        {
            "id": id_,
            "node": "n0",
            "profile": "keba-p40",
            "link": "l0",
            "unit": unit,
            "phases": [1, 2, 3],
            "max_a": 32.0,
            "boot_a": 6.0,
            "failsafe_a": 6.0,
            "watchdog_s": 20.0,
        }
        for id_, unit in (("e0", 255), ("e1", 254))
    ),
    caps=(),
)
E0, E1 = EvseId("e0"), EvseId("e1")
Steps = Sequence[tuple[float, float]]


def evidence(
    *, asked: Steps, drawn: Steps, limit: Steps | None = None, faults: Sequence[Fault] = ()
) -> Evidence:
    """Two EVSEs beside no base load: e0 as said, each value from its second on; e1 draws 10 A."""
    trial = replace(draw_trial(0), plan=PLAN, sessions=(), faults=(), orders=())
    loaded = trial.only(evses=frozenset({E0, E1})).loaded
    site = loaded.site
    times_s = [n * TRACE_S for n in range(int(DURATION_S / TRACE_S))]
    one, other = EvseTrace(), EvseTrace()
    for now_s in times_s:
        one.drawn_a.append(at(drawn, now_s))
        one.asked_a.append(at(asked, now_s))
        one.limit_a.append(at(limit or asked, now_s))
        for value in (other.drawn_a, other.asked_a, other.limit_a):
            value.append(10.0)
        for traced in (one, other):
            traced.phases.append(3)
            traced.state.append("charging")
    flows_a = [amps + 10.0 for amps in one.drawn_a]
    truths = [NodeTruth(current_a=(a, a, a), power_w=690.0 * a, base_power_w=0.0) for a in flows_a]
    return Evidence(
        site=site,
        links=link_facts(loaded),
        sessions=(),
        faults=tuple(faults),
        duration_s=DURATION_S,
        quiet_s=DURATION_S,
        start_utc_s=0.0,
        tells_every_s=10.0,
        lives=[Life(started_s=0.0)],
        trace=Trace(times_s=times_s, nodes={site.nodes[0].id: truths}, evses={E0: one, E1: other}),
    )


def at(steps: Steps, now_s: float) -> float:
    return next(value for from_s, value in reversed(steps) if from_s <= now_s)
