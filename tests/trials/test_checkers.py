"""Every checker can fail: one trial without faults, and everything in its evidence spoilt once."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import pytest

from edgectl.model.policy import Sharing
from edgectl.model.site import Mode
from edgectl.simulator.device.charge_point import Vehicle
from edgectl.simulator.faults import Fault, FaultKind
from edgectl.simulator.sessions import Session
from edgectl.simulator.trial.check_failsafe import check_failsafe
from edgectl.simulator.trial.evidence import Evidence, Heard, Look
from edgectl.simulator.trial.orders import Order, OrderKind
from edgectl.simulator.trial.site_plan import SitePlan
from edgectl.simulator.trial.stuck_meters import unknown_spans
from edgectl.simulator.trial.trial import draw_trial, run_trial
from edgectl.simulator.trial.verdict import judge_trial
from edgectl.units import EvseId

SEED = 0
AT = 1200  # a sample of the trace, 300 s after the start
COMES = 2480  # the sample at which the next vehicle comes, 45 s after another master's word

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


def is_kept_awake(evidence: Evidence) -> None:
    """Its answers come too late for anybody, and still something feeds its watchdog."""
    never_falls_back(evidence)
    (silent,) = evidence.faults
    evidence.faults = (replace(silent, kind=FaultKind.SLOW_REPLIES, delay_s=5.0),)


def stops_badly(evidence: Evidence) -> None:
    evidence.lives[0].stopping_s = 300.0
    evidence.lives[0].until_s = 302.0
    for traced in evidence.trace.evses.values():
        traced.limit_a[AT:] = [32.0] * len(traced.limit_a[AT:])


def loses_a_row(evidence: Evidence) -> None:
    evidence.heard = [one for one in evidence.heard if one.body.get("seq") != 7]


def falls_dumb(evidence: Evidence) -> None:
    evidence.tells_every_s = 10.0
    for n, one in enumerate(evidence.heard):
        if one.at_s > evidence.duration_s - 100.0 and one.name == "telemetry":
            evidence.heard[n] = replace(one, name="event")


def keeps_its_place(evidence: Evidence) -> None:
    """Two equals ask for power all the time, turns are short, and one never gives way."""
    stays, waits = evidence.site.evses
    evidence.site = replace(
        evidence.site,
        evses=(stays, replace(waits, node=stays.node, tier=stays.tier)),
        sharing=Sharing(turn_s=60.0, min_off_s=20.0),
        caps=(),
    )
    vehicle = Vehicle(energy_wh=100_000.0, max_a=32.0)
    evidence.sessions = tuple(
        Session(evse=evse.id, vehicle=vehicle, arrival_s=1.0, departure_s=9000.0)
        for evse in (stays, waits)
    )
    evidence.sent = []
    for evse, amps in ((stays, 12.0), (waits, 0.0)):
        traced = evidence.trace.evses[evse.id]
        traced.drawn_a[-700:] = [amps] * 700
        traced.phases[-700:] = [3] * 700


def writes_in_observe_mode(evidence: Evidence) -> None:
    evidence.site = replace(evidence.site, mode=Mode.OBSERVE)
    evidence.lives[0].writes = 1


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
        (is_kept_awake, "failsafe"),
        (stops_badly, "safe_stop"),
        (loses_a_row, "telemetry"),
        (falls_dumb, "untold"),
        (keeps_its_place, "turns"),
        (writes_in_observe_mode, "observe"),
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


def stops_at(evidence: Evidence, allows_a: float, *, readback: bool, lowered: bool) -> None:
    """An EVSE that was told 6 A allows 0 A before the stop, and `allows_a` after it."""
    evse = evidence.site.evses[0]
    traits = replace(evse.traits, readback=readback, failsafe_a=16.0, watchdog_s=60.0)
    evidence.site = replace(evidence.site, evses=(replace(evse, traits=traits),))
    evidence.lives[0].stopping_s, evidence.lives[0].until_s = 300.0, 302.0
    traced = evidence.trace.evses[evse.id]
    count = len(traced.limit_a)
    traced.asked_a[:], traced.drawn_a[:] = [6.0] * count, [0.0] * count
    traced.limit_a[:] = [0.0] * (AT + 1) + [allows_a] * (count - AT - 1)
    master = Fault(kind=FaultKind.OTHER_MASTER, id=evse.id, at_s=100.0, until_s=101.0, amount_a=0.0)
    evidence.faults = (master,) if lowered else ()


@pytest.mark.parametrize(
    ("allows_a", "readback", "lowered", "raised"),
    [
        (6.0, False, True, False),
        (8.0, False, True, True),
        (6.0, True, True, True),
        (6.0, False, False, True),
    ],
)
def test_s18_who_was_lowered_where_nobody_can_read_is_held_to_what_it_was_told(
    whole: Evidence, *, allows_a: float, readback: bool, lowered: bool, raised: bool
) -> None:
    evidence = deepcopy(whole)
    stops_at(evidence, allows_a, readback=readback, lowered=lowered)
    assert bool([one for one in check_failsafe(evidence) if one.check == "safe_stop"]) is raised


def stands_full_beside_room(evidence: Evidence, *, mean_v: float) -> None:
    """A vehicle took 94 % of its energy by the nominal voltage, and then no more."""
    evse = evidence.site.evses[0]
    traced = evidence.trace.evses[evse.id]
    traced.drawn_a[:] = [16.0] * AT + [0.0] * (len(traced.drawn_a) - AT)
    traced.phases[:] = [3] * len(traced.phases)
    vehicle = Vehicle(energy_wh=16.0 * 3 * 230.0 * 300.0 / 3600.0 / 0.94, max_a=16.0)
    evidence.sessions = (Session(evse=evse.id, vehicle=vehicle, arrival_s=0.0, departure_s=9000.0),)
    evidence.trace.mean_v[:] = [mean_v] * len(evidence.trace.mean_v)
    evidence.sent = []
    evidence.site = replace(
        evidence.site,
        caps=(),
        nodes=tuple(
            replace(node, limit_a=(900.0,) * 3, limit_va=None) for node in evidence.site.nodes
        ),
    )


@pytest.mark.parametrize(("mean_v", "starved"), [(230.0, True), (243.0, False)])
def test_a_vehicle_is_full_by_the_energy_that_it_took_at_the_sites_own_voltage(
    whole: Evidence, *, mean_v: float, starved: bool
) -> None:
    evidence = deepcopy(whole)
    stands_full_beside_room(evidence, mean_v=mean_v)
    found = {breach.check for breach in judge_trial(SEED, evidence).breaches}
    assert ("starved" in found) is starved


def is_kept_small_beside_a_lost_one(evidence: Evidence, *, lost: bool, reserves_a: float) -> None:
    """An EVSE draws all of its 8 A; another allows 30 A, or has fallen to `reserves_a`."""
    small, other = evidence.site.evses
    node = replace(evidence.site.nodes[0], limit_a=(50.0,) * 3, limit_va=None)
    evidence.site = replace(
        evidence.site,
        nodes=(node,),
        meters=tuple(one for one in evidence.site.meters if one.node == node.id),
        evses=(
            replace(small, node=node.id, max_a=32.0),
            replace(
                other,
                node=node.id,
                traits=replace(other.traits, failsafe_a=reserves_a, boot_a=reserves_a),
            ),
        ),
        caps=(),
    )
    evidence.sent = []
    vehicle = Vehicle(energy_wh=100_000.0, max_a=32.0)
    evidence.sessions = (
        Session(evse=small.id, vehicle=vehicle, arrival_s=1.0, departure_s=9000.0),
    )
    for evse, drawn_a, asked_a in ((small, 8.0, 8.0), (other, 6.0, 30.0)):
        traced = evidence.trace.evses[evse.id]
        count = len(traced.drawn_a)
        traced.drawn_a[:], traced.phases[:] = [drawn_a] * count, [3] * count
        traced.limit_a[:], traced.asked_a[:] = [drawn_a] * count, [asked_a] * count
    evidence.trace.nodes[node.id] = [
        replace(truth, current_a=(24.0,) * 3, base_a=(10.0,) * 3)
        for truth in evidence.trace.nodes[node.id]
    ]
    ends_s = evidence.duration_s
    silent = Fault(
        kind=FaultKind.CHARGER_SILENT, id=other.id, at_s=ends_s - 200.0, until_s=ends_s + 5.0
    )
    evidence.faults = (silent,) if lost else ()


@pytest.mark.parametrize(
    ("lost", "reserves_a", "breached"),
    [(True, 6.0, True), (True, 32.0, False), (False, 6.0, False)],
)
def test_what_a_lost_charger_leaves_is_room_that_others_must_use(
    whole: Evidence, *, lost: bool, reserves_a: float, breached: bool
) -> None:
    evidence = deepcopy(whole)
    is_kept_small_beside_a_lost_one(evidence, lost=lost, reserves_a=reserves_a)
    found = {breach.check for breach in judge_trial(SEED, evidence).breaches}
    assert ("room" in found) is breached


def is_kept_small_beside(
    evidence: Evidence, *, measured: bool, base_a: float, worst_a: float, boot_a: float
) -> None:
    """Two EVSEs draw all of the 8 and the 6 A that they may; 49 A flow at most."""
    is_kept_small_beside_a_lost_one(evidence, lost=False, reserves_a=boot_a)
    site = evidence.site
    (node,) = site.nodes
    evidence.site = replace(
        site,
        nodes=(replace(node, base_max_a=(worst_a,) * 3),),
        meters=site.meters if measured else (),
        evses=tuple(replace(one, traits=replace(one.traits, boot_a=boot_a)) for one in site.evses),
    )
    for traced in evidence.trace.evses.values():
        traced.asked_a[:] = traced.drawn_a
    evidence.trace.nodes[node.id] = [
        replace(truth, current_a=(14.0 + base_a,) * 3, base_a=(base_a,) * 3)
        for truth in evidence.trace.nodes[node.id]
    ]


@pytest.mark.parametrize(
    ("measured", "base_a", "worst_a", "boot_a", "breached"),
    [
        (True, -30.0, 30.0, 32.0, True),
        (False, -30.0, 30.0, 6.0, False),
        (False, -30.0, 20.0, 6.0, True),
        (False, 10.0, 10.0, 32.0, False),
        (False, 10.0, 10.0, 14.0, True),
        (True, 25.0, 30.0, 6.0, True),
        (True, 30.0, 30.0, 6.0, False),
    ],
)
def test_what_no_meter_shows_is_room_for_the_worst_case_alone(
    whole: Evidence, *, measured: bool, base_a: float, worst_a: float, boot_a: float, breached: bool
) -> None:
    """9 A more are asked for; a base load and a restart that nobody sees count as they may be."""
    evidence = deepcopy(whole)
    is_kept_small_beside(evidence, measured=measured, base_a=base_a, worst_a=worst_a, boot_a=boot_a)
    found = {breach.check for breach in judge_trial(SEED, evidence).breaches}
    assert ("room" in found) is breached


@pytest.mark.parametrize(
    ("metered", "base_a", "breached"),
    [(True, 20.0, True), (False, 20.0, True), (True, 24.0, True), (False, 24.0, False)],
)
def test_what_nobody_reads_may_be_base_load(
    whole: Evidence, *, metered: bool, base_a: float, breached: bool
) -> None:
    """Beside 14 A of two EVSEs and 9 A more, 26 A are left of 49 A; the other one draws 6 A."""
    evidence = deepcopy(whole)
    is_kept_small_beside(evidence, measured=True, base_a=base_a, worst_a=60.0, boot_a=6.0)
    small, other = evidence.site.evses
    unread = replace(other, traits=replace(other.traits, metered=metered))
    evidence.site = replace(evidence.site, evses=(small, unread))
    found = {breach.check for breach in judge_trial(SEED, evidence).breaches}
    assert ("room" in found) is breached


@pytest.mark.parametrize(
    ("profile", "measured", "allows_a", "breached"),
    [
        ("alpitronic-hyc", False, 24.0, False),
        ("alpitronic-hyc", True, 24.0, True),
        ("alpitronic-hyc", False, 20.0, True),
        ("keba-p40", False, 24.0, True),
    ],
)
def test_watts_at_a_guessed_voltage_count_as_more_current(
    whole: Evidence, *, profile: str, measured: bool, allows_a: float, breached: bool
) -> None:
    """24 A at the nominal voltage are told as 26.7 A, and a vehicle takes 32 A."""
    evidence = deepcopy(whole)
    is_kept_small_beside(evidence, measured=measured, base_a=0.0, worst_a=0.0, boot_a=6.0)
    small, other = evidence.site.evses
    (node,) = evidence.site.nodes
    evidence.site = replace(
        evidence.site,
        nodes=(replace(node, limit_a=(80.0,) * 3),),
        evses=(replace(small, profile=profile), other),
    )
    evidence.trace.mean_v[:] = [evidence.site.voltage_v] * len(evidence.trace.mean_v)
    traced = evidence.trace.evses[small.id]
    traced.drawn_a[:] = [allows_a] * len(traced.drawn_a)
    traced.limit_a[:] = traced.asked_a[:] = traced.drawn_a
    found = {breach.check for breach in judge_trial(SEED, evidence).breaches}
    assert ("room" in found) is breached


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


PLAN = SitePlan(
    mode="control",
    policy={"name": "fair"},
    telemetry={},
    nodes=({"id": "n0", "base_max_a": [10.0, 10.0, 10.0], "limit_a": [60.0, 60.0, 60.0]},),
    links=(
        {"id": "l0", "kind": "tcp", "host": "10.0.0.1"},
        {"id": "l1", "kind": "tcp", "host": "10.0.0.2"},
    ),
    meters=({"id": "m0", "node": "n0", "profile": "janitza-umg96rm", "link": "l1", "unit": 1},),
    evses=(
        {
            "id": "e0",
            "node": "n0",
            "profile": "webasto-next",
            "link": "l0",
            "unit": 255,
            "phases": [1, 2, 3],
            "max_a": 32.0,
            "boot_a": 6.0,
            "watchdog_s": 20.0,
        },
    ),
    caps=(),
)


@pytest.fixture(scope="module")
def overruled() -> Evidence:
    """Another master writes between two vehicles, to a register that nobody can read."""
    vehicle = Vehicle(energy_wh=50_000.0, max_a=32.0)
    e0, drawn = EvseId("e0"), draw_trial(SEED)
    trial = replace(
        drawn,
        plan=PLAN,
        duration_s=900.0,
        sessions=(
            Session(evse=e0, vehicle=vehicle, arrival_s=1.0, departure_s=500.0),
            Session(evse=e0, vehicle=vehicle, arrival_s=COMES / 4.0, departure_s=2000.0),
        ),
        faults=(
            Fault(kind=FaultKind.OTHER_MASTER, id=e0, at_s=575.0, until_s=576.0, amount_a=16.0),
        ),
        orders=(
            Order(
                at_s=300.0,
                kind=OrderKind.EVENT,
                id="o0",
                duration_s=500.0,
                fields={"kw": 0.0},
            ),
        ),
    ).only(evses=frozenset({"e0"}))
    assert [evse.traits.readback for evse in trial.loaded.site.evses] == [False]
    assert {link["id"] for link in drawn.plan.links} >= {"l0", "l1"}, "else parts are left out"
    return run_trial(trial)


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
    assert judge_trial(SEED, overruled).breaches == ()


@pytest.mark.parametrize("spoil", [is_never_told_again, can_be_read, nobody_else_wrote])
def test_what_could_be_known_explains_no_overload(
    overruled: Evidence, spoil: Callable[[Evidence], None]
) -> None:
    evidence = deepcopy(overruled)
    spoil(evidence)
    assert "overload" in {breach.check for breach in judge_trial(SEED, evidence).breaches}


@pytest.mark.parametrize(("moves_a", "ends_by_s"), [(0.0, 500.0), (5.0, 500.0), (10.0, 330.0)])
def test_a_meter_that_stands_still_is_an_excuse_until_somebody_can_know(
    whole: Evidence, moves_a: float, ends_by_s: float
) -> None:
    """It stood still at 290 s, the EVSE moves at 300 s."""
    evidence = deepcopy(whole)
    node, meter = evidence.site.nodes[0], evidence.site.meters[0]
    for traced in evidence.trace.evses.values():
        for n in range(1000, 2400):
            traced.drawn_a[n], traced.phases[n] = 8.0, 3
    moving = evidence.trace.evses[evidence.site.evses[0].id]
    for n in range(AT, 2400):
        moving.drawn_a[n] = 8.0 + moves_a
    evidence.faults = (Fault(kind=FaultKind.METER_STUCK, id=meter.id, at_s=290.0, until_s=500.0),)
    (span,) = unknown_spans(evidence, node, {node.id})
    assert span.from_s == 290.0
    assert 315.0 <= span.until_s <= ends_by_s
    assert (span.until_s == 500.0) is (moves_a < 6.0)
