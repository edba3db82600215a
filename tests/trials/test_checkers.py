"""Every checker can fail: one trial without faults, and everything in its evidence spoilt once."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import pytest

from edgectl.simulator.faults import Fault, FaultKind
from edgectl.simulator.trial.evidence import Evidence, Heard, Look
from edgectl.simulator.trial.orders import OrderKind
from edgectl.simulator.trial.trial import draw_trial, run_trial
from edgectl.simulator.trial.verdict import judge_trial

SEED = 0
AT = 1200  # a sample of the trace, 300 s after the start
OVERRULED = 28
"""Under an event of 0 W another master writes to a register that cannot be read, while no vehicle
is there; the next one comes 45 s later."""

COMES = 2480  # the sample at which it comes, 620 s after the start

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def whole() -> Evidence:
    return run_trial(draw_trial(SEED).only(faults=frozenset()))


def overloaded(evidence: Evidence) -> None:
    """The EVSEs draw far more than the node bears, and nothing else has changed."""
    node = evidence.site.nodes[0]
    for traced in evidence.trace.evses.values():
        for n in range(AT, AT + 400):
            traced.drawn_a[n] = traced.asked_a[n] = 500.0
            traced.phases[n] = 3
    truths = evidence.trace.nodes[node.id]
    for n in range(AT, AT + 400):
        truths[n] = replace(truths[n], current_a=(1000.0,) * 3, power_w=690_000.0)


def never_falls_back(evidence: Evidence) -> None:
    evse = evidence.site.evses[0]
    silent = Fault(kind=FaultKind.CHARGER_SILENT, id=evse.id, at_s=300.0, until_s=500.0)
    evidence.faults = (silent,)
    evidence.trace.evses[evse.id].limit_a[AT:] = [32.0] * len(
        evidence.trace.evses[evse.id].limit_a[AT:]
    )


def stops_badly(evidence: Evidence) -> None:
    evidence.lives[0].stopping_s = 300.0
    evidence.lives[0].until_s = 302.0
    for traced in evidence.trace.evses.values():
        traced.limit_a[AT:] = [32.0] * len(traced.limit_a[AT:])


def loses_a_row(evidence: Evidence) -> None:
    evidence.heard = [one for one in evidence.heard if one.body.get("seq") != 7]


def goes_back(evidence: Evidence) -> None:
    first = next(n for n, one in enumerate(evidence.heard) if one.body.get("seq") == 9)
    evidence.heard.append(evidence.heard.pop(first))


def answers_nobody(evidence: Evidence) -> None:
    evidence.heard = [one for one in evidence.heard if one.name != "command/response"]
    evidence.last_seq = 0


def obeys_a_stranger(evidence: Evidence) -> None:
    hostile = next(one for one in evidence.sent if one.order.kind is OrderKind.HOSTILE)
    body = {"command_id": hostile.order.id, "result": "accepted"}
    evidence.heard.append(Heard(hostile.at_s + 1.0, "command/response", body))


def ticks_no_more(evidence: Evidence) -> None:
    evidence.ticks_s = [at_s for at_s in evidence.ticks_s if not 300.0 < at_s < 310.0]


def leaves_a_link_alone(evidence: Evidence) -> None:
    link = evidence.site.links[0].id
    evidence.looks = [
        Look(
            at_s=look.at_s,
            ticks=look.ticks,
            tasks=look.tasks,
            talked_s={**look.talked_s, link: 1.0},
            connected=look.connected,
            backlog=look.backlog,
        )
        for look in evidence.looks
    ]


def never_connects(evidence: Evidence) -> None:
    evidence.looks = [replace(look, connected=False) for look in evidence.looks]


def keeps_ever_more(evidence: Evidence) -> None:
    evidence.overgrown = "samples"


def breaks(evidence: Evidence) -> None:
    evidence.lives[0].crashes = ["InvariantBroken('promise')"]


def dies(evidence: Evidence) -> None:
    evidence.lives[0].failure = "ValueError"


def test_without_faults_nothing_is_breached(whole: Evidence) -> None:
    assert judge_trial(SEED, whole).breaches == ()
    assert whole.delivered_wh > 100.0
    assert len(whole.heard) > 100
    assert len(whole.sent) >= 5


@pytest.mark.parametrize(
    ("spoil", "check"),
    [
        (overloaded, "overload"),
        (never_falls_back, "failsafe"),
        (stops_badly, "safe_stop"),
        (loses_a_row, "telemetry"),
        (goes_back, "order"),
        (answers_nobody, "answer"),
        (obeys_a_stranger, "hostile"),
        (ticks_no_more, "tick"),
        (leaves_a_link_alone, "wedged"),
        (never_connects, "wedged"),
        (keeps_ever_more, "bounds"),
        (breaks, "broken_step"),
        (dies, "failed"),
    ],
)
def test_a_checker_sees_what_is_wrong(
    whole: Evidence, spoil: Callable[[Evidence], None], check: str
) -> None:
    evidence = deepcopy(whole)
    spoil(evidence)
    assert check in {breach.check for breach in judge_trial(SEED, evidence).breaches}


def shown_while_it_paused(evidence: Evidence, *, lasts_n: int, fault: FaultKind) -> None:
    """What an EVSE draws again overloads its node; its readings said so all the time."""
    site, truths = evidence.site, evidence.trace.nodes[evidence.site.nodes[0].id]
    evse = next(one for one in site.evses if one.node == site.nodes[0].id)
    traced = evidence.trace.evses[evse.id]
    limit_a = site.nodes[0].limit_a[evse.phases[0] - 1]
    assert limit_a is not None
    for n in range(AT - 120, AT + lasts_n):
        traced.drawn_a[n] = 0.0 if AT - 40 <= n < AT else 16.0
        traced.asked_a[n], traced.phases[n] = 16.0, 1
        flows_a = [5.0, 5.0, 5.0]
        flows_a[evse.phases[0] - 1] = limit_a + 10.0 if n >= AT else 5.0
        one_a, two_a, three_a = flows_a
        truths[n] = replace(truths[n], current_a=(one_a, two_a, three_a), base_a=(5.0,) * 3)
    evidence.faults = (Fault(kind=fault, id=evse.id, at_s=280.0, until_s=330.0),)


@pytest.mark.parametrize(
    ("lasts_n", "fault", "breached"),
    [
        (8, FaultKind.VALUES_STUCK, False),
        (8, FaultKind.LOST_REPLIES, True),
        (160, FaultKind.VALUES_STUCK, True),
    ],
)
def test_readings_that_stand_still_explain_an_overload_for_a_while(
    whole: Evidence, *, lasts_n: int, fault: FaultKind, breached: bool
) -> None:
    evidence = deepcopy(whole)
    shown_while_it_paused(evidence, lasts_n=lasts_n, fault=fault)
    found = {breach.check for breach in judge_trial(SEED, evidence).breaches}
    assert ("overload" in found) is breached


@pytest.fixture(scope="module")
def overruled() -> Evidence:
    alone = draw_trial(OVERRULED).only(
        faults=frozenset({12}), orders=frozenset({2}), evses=frozenset({"e0"})
    )
    (fault,), (evse,) = alone.faults, alone.loaded.site.evses
    assert fault.kind is FaultKind.OTHER_MASTER
    assert not evse.traits.readback
    unseen = replace(fault, at_s=575.0, until_s=576.0)
    assert [s.arrival_s > 620.0 for s in alone.sessions if s.departure_s > unseen.at_s] == [True]
    return run_trial(replace(alone, faults=(unseen,)))


def is_never_told_again(evidence: Evidence) -> None:
    """The daemon leaves the charger at what the other master wrote."""
    traced = evidence.trace.evses[evidence.site.evses[0].id]
    truths = next(iter(evidence.trace.nodes.values()))
    from_n = traced.drawn_a.index(16.0, COMES)
    for n in range(from_n, len(truths)):
        traced.drawn_a[n], traced.limit_a[n], traced.phases[n] = 16.0, 32.0, 3
        truths[n] = replace(truths[n], power_w=truths[n].base_power_w + 3 * 16.0 * 230.0)


def can_be_read(evidence: Evidence) -> None:
    """The register said all the time what the other master had written."""
    (evse,) = evidence.site.evses
    readable = replace(evse, traits=replace(evse.traits, readback=True))
    evidence.site = replace(evidence.site, evses=(readable,))


def nobody_else_wrote(evidence: Evidence) -> None:
    evidence.faults = ()


def test_what_nobody_could_read_explains_an_overload(overruled: Evidence) -> None:
    drawn_a = overruled.trace.evses[overruled.site.evses[0].id].drawn_a
    assert max(drawn_a[COMES : COMES + 60]) == 16.0
    assert judge_trial(OVERRULED, overruled).breaches == ()


@pytest.mark.parametrize("spoil", [is_never_told_again, can_be_read, nobody_else_wrote])
def test_what_could_be_known_explains_no_overload(
    overruled: Evidence, spoil: Callable[[Evidence], None]
) -> None:
    evidence = deepcopy(overruled)
    spoil(evidence)
    assert "overload" in {breach.check for breach in judge_trial(OVERRULED, evidence).breaches}
