"""Unbalance ceilings through the step."""

import random
from dataclasses import replace

import pytest

from edgectl.clock import Instant
from edgectl.control.account import commit
from edgectl.control.balance import keep_balance
from edgectl.control.cap import cap_evses, cap_nodes
from edgectl.control.judge import judge
from edgectl.control.layout import layout_of
from edgectl.control.shape import shape
from edgectl.control.share import call_values_a, share
from edgectl.control.situation import Situation
from edgectl.control.unused import watch_draws
from edgectl.control.verify import promise_rows, verify
from edgectl.errors import InvariantBroken
from edgectl.model.decision import AlarmCode, Decision, ReasonCode
from edgectl.model.reading import VehicleState
from edgectl.model.rules import Rules
from edgectl.model.site import Node
from edgectl.model.snapshot import Snapshot
from tests.control.world import GRID, TRAITS, UTC0_S, World, evse, site

BOUND_A = 20.0
MARGIN_A = 2.0


def depot(*phases: tuple[int, ...], step_a: float = 0.0, rules: Rules | None = None) -> World:
    node = Node(
        id=GRID,
        parent=None,
        limit_a=(100.0,) * 3,
        base_max_a=(10.0,) * 3,
        margin_a=MARGIN_A,
        unbalance_a=BOUND_A,
    )
    traits = replace(TRAITS, step_a=step_a)
    evses = [evse(n, phases=wired, traits=traits) for n, wired in enumerate(phases, start=1)]
    return World(site=site(evses=evses, nodes=[node]), rules=rules or Rules())


def passes(
    world: World, drawn_a: dict[str, float], base_a: tuple[float, ...] = (0.0,) * 3
) -> Decision:
    """A second in which all devices answer, each EVSE drawing on the phases that it is wired to."""
    world.wait(1.0)
    total_a = list(base_a)
    for one in world.site.evses:
        value_a = drawn_a.get(one.id, 0.0)
        world.reads(one.id, value_a)
        for phase in one.phases:
            total_a[phase - 1] += value_a
    world.meter(*total_a)
    return world.step()


def lives(world: World, seconds: int, base_a: tuple[float, ...] = (0.0,) * 3) -> Decision:
    """Every vehicle draws what its charger was told last."""
    decision = None
    for _ in range(seconds):
        drawn_a = {
            str(one.id): view.confirmed.value_a if view.confirmed else 0.0
            for one in world.site.evses
            if (view := world.silent(one.id)).vehicle is not VehicleState.ABSENT
        }
        decision = passes(world, drawn_a, base_a)
        world.obey(decision)
    assert decision is not None
    return decision


def setpoints(decision: Decision) -> list[float]:
    return [one.setpoint_a for one in decision.evses.values()]


def test_one_phase_alone_gets_the_bound_less_the_margin() -> None:
    decision = lives(depot((1,)), 60)
    assert setpoints(decision) == pytest.approx([BOUND_A - MARGIN_A], abs=1e-6)
    reason = decision.evses[next(iter(decision.evses))].reason
    assert (reason.code, reason.node, reason.row, reason.limit) == (
        ReasonCode.UNBALANCE,
        GRID,
        "1",
        BOUND_A,
    )


def test_phases_that_keep_each_other_company_get_their_own_maximum() -> None:
    decision = lives(depot((1,), (2,), (3,)), 120)
    assert setpoints(decision) == pytest.approx([32.0] * 3, abs=1e-6)


def test_who_raises_is_cut_in_the_decision_that_stops_who_relieves() -> None:
    world = depot((1,), (2,), (3,))
    lives(world, 120)
    world.vehicle("e2", VehicleState.ABSENT)
    decision = lives(world, 1)
    assert setpoints(decision)[1] == 0.0
    assert max(setpoints(decision)) <= BOUND_A - MARGIN_A + 1e-6


def test_base_load_takes_its_part_of_the_difference() -> None:
    decision = lives(depot((1,)), 60, base_a=(10.0, 0.0, 0.0))
    assert setpoints(decision) == pytest.approx([BOUND_A - MARGIN_A - 10.0], abs=1e-6)


def test_a_meter_that_shows_phases_too_far_apart_is_an_alarm() -> None:
    world = depot((1,))
    lives(world, 30)
    decision = passes(world, {"e1": 18.0}, base_a=(9.0, 0.0, 0.0))
    assert AlarmCode.UNBALANCE in {alarm.code for alarm in decision.alarms}
    assert AlarmCode.UNBALANCE not in {alarm.code for alarm in lives(world, 60).alarms}


def test_no_decision_is_too_far_apart_whatever_comes_and_goes() -> None:
    """The invariant of S12 would raise; and this test adds up for itself."""
    rng = random.Random(7)
    wired = [(1,), (1,), (2,), (3,), (1, 2, 3), (2,), (1, 2), (3,)]
    for step_a in (0.0, 1.0):
        world = depot(*wired, step_a=step_a)
        cut = 0
        for _ in range(400):
            if rng.random() < 0.1:
                name = f"e{rng.randint(1, len(wired))}"
                gone = world.silent(name).vehicle is VehicleState.ABSENT
                world.vehicle(name, VehicleState.CHARGING if gone else VehicleState.ABSENT)
            decision = lives(world, 1)
            total_a = [0.0, 0.0, 0.0]
            for one, told in zip(world.site.evses, decision.evses.values(), strict=True):
                for phase in one.phases:
                    total_a[phase - 1] += told.setpoint_a
            apart_a = max(total_a) - min(total_a)
            if apart_a > BOUND_A - MARGIN_A + 1e-6:
                # Only at the minimum may it be more: stopping is the allocation's.
                cut += 1
                assert all(
                    told.setpoint_a <= TRAITS.min_a + 1e-6
                    for one, told in zip(world.site.evses, decision.evses.values(), strict=True)
                    if total_a.index(max(total_a)) + 1 in one.phases and len(one.phases) == 1
                )
        assert cut <= 20


def test_a_decision_that_is_too_far_apart_breaks_the_promise() -> None:
    world = depot((1,), (2,), (3,))
    lives(world, 120)
    situation = _situation(world)
    shared = share(situation)
    shaped = shape(situation, shared, call_values_a(situation))
    told_a = [one.setpoint_a for one in shaped]
    verify(situation, shared, shaped, promise_rows(situation, shared, told_a))
    alone = (shaped[0], *(one._replace(setpoint_a=0.0) for one in shaped[1:]))
    with pytest.raises(InvariantBroken, match="L1 is promised 14 A too far above L2"):
        verify(situation, shared, alone, promise_rows(situation, shared, [32.0, 0.0, 0.0]))
    kept = keep_balance(situation, shared, alone)
    assert [one.setpoint_a for one in kept] == pytest.approx([18.0, 0.0, 0.0], abs=1e-6)
    verify(situation, shared, kept, promise_rows(situation, shared, [18.0, 0.0, 0.0]))


def _situation(world: World) -> Situation:
    """The ground of the next decision, as the step makes it."""
    now = Instant(mono_s=world.now_s, utc_s=UTC0_S, utc_trusted=True)
    snapshot = Snapshot(site=world.site, meters=world.meters, evses=world.evses)
    layout, rules = layout_of(world.site), world.rules
    commitments = commit(snapshot, world.state, now, rules)
    judged, _ = judge(snapshot, layout, commitments, world.state, now, rules)
    return Situation(
        snapshot=snapshot,
        state=world.state,
        now=now,
        rules=rules,
        layout=layout,
        commitments=commitments,
        draws=watch_draws(snapshot, world.state, commitments, now, rules),
        judged=judged,
        node_ceilings=cap_nodes(snapshot, layout, now, rules),
        evse_ceilings=cap_evses(snapshot, layout, judged, now, rules),
    )
