"""Every rule of the step by its id: it holds, and without it something breaks."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Final

import pytest

from edgectl.control.account import commit
from edgectl.control.cap import cap_evses, cap_nodes
from edgectl.control.judge import judge
from edgectl.control.layout import layout_of
from edgectl.control.rows import Row
from edgectl.control.shape import Shaped, shape
from edgectl.control.share import Shared, call_values_a, share
from edgectl.control.situation import Situation
from edgectl.control.verify import promise_rows, safe_decision, verify
from edgectl.errors import InvariantBroken
from edgectl.model.ceiling import Holder, Rank, TimedCeiling
from edgectl.model.decision import Decision, ReasonCode
from edgectl.model.reading import VehicleState
from edgectl.model.rules import Rules
from edgectl.model.site import KeepAlive, Node, Sees
from edgectl.units import EvseId, NodeId
from tests.control.scenarios import SCENARIOS
from tests.control.world import GRID, TRAITS, UTC0_S, World, evse, setpoints, site

THE_DAEMONS = {"s10_calls", "s14_decreases_first", "s16_lease", "s18_safe_stop"}
"""Carried out by the daemon: tested on its links and in its whole life, switched off in trials."""
FEEDER = NodeId("feeder")
TESTS: Final = Path(__file__).parents[1]


def test_every_switch_has_a_scenario() -> None:
    assert {field.name for field in fields(Rules)} == set(SCENARIOS) | THE_DAEMONS


@pytest.mark.parametrize("switch", sorted(THE_DAEMONS))
def test_a_rule_of_the_daemon_has_a_test_of_its_id(switch: str) -> None:
    name = f"def test_{switch.partition('_')[0]}_"
    tests = [*(TESTS / "links").glob("test_*.py"), *(TESTS / "whole").glob("test_*.py")]
    assert any(name in path.read_text(encoding="utf-8") for path in tests)


@pytest.mark.parametrize("name", SCENARIOS)
def test_rule_holds(name: str) -> None:
    assert SCENARIOS[name](Rules())


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario_fails_without_its_rule(name: str) -> None:
    assert not SCENARIOS[name](replace(Rules(), **{name: False}))


def test_s13_a_silent_charger_is_not_called_up_before_the_others_made_room() -> None:
    """It was paused and falls silent: its failsafe current counts from then on."""
    world = World(site(evses=[evse(1), evse(2)], limit_a=(40.0, None, None)))
    world.settle(20.0, {"e1": 0.0, "e2": 18.0})
    called: list[tuple[bool, float]] = []
    for _ in range(20):
        world.wait(1.0)
        world.reads("e2", 18.0)
        world.meter(38.0)
        decision = world.step()
        if decision.evses[EvseId("e1")].silent:
            in_debt = decision.nodes[GRID].account_a[0] > 40.0 + 1e-6
            called.append((in_debt, decision.evses[EvseId("e1")].setpoint_a))
    assert called
    assert set(called) == {(True, 0.0)}, "whoever should make room does not"


def test_s17_a_node_names_who_narrows_it_or_its_own_limit() -> None:
    world = World(site(evses=[evse(1)], limit_a=(None, 100.0, 100.0)))
    world.reads("e1", 0.0)
    world.meter(0.0, 0.0, 0.0)
    own = world.step().nodes[GRID]
    assert (own.holder.rank, own.holder.id) == (Rank.SAFETY, "grid")
    event = Holder(Rank.UTILITY_MANDATORY, "event", "evt-1")
    world.ceilings = (
        TimedCeiling(
            holder=event,
            reason="less",
            from_utc_s=UTC0_S,
            until_utc_s=None,
            node=GRID,
            limit_a=(None, 40.0, 120.0),
        ),
    )
    narrowed = world.step().nodes[GRID]
    assert narrowed.holder == event
    assert [one.rank for one in narrowed.holder_a] == [
        Rank.SAFETY,
        Rank.UTILITY_MANDATORY,
        Rank.SAFETY,
    ]
    assert narrowed.ceiling_a == (None, 40.0, 100.0)


def test_a_meter_of_the_base_load_wakes_when_it_takes_the_room_of_the_sum() -> None:
    """20 kVA less 32 A of the EVSE leave 12,640 VA; 10 A on three phases are there."""
    node = Node(id=GRID, parent=None, limit_va=20_000.0, base_max_a=(60.0,) * 3, margin_a=0.0)
    place = site(evses=[evse(1)], nodes=[node])
    only = replace(place.meters[0], sees=Sees.BASE_ONLY)
    world = World(replace(place, meters=(only,)))
    for _ in range(20):
        world.wait(1.0)
        confirmed = world.silent("e1").confirmed
        world.reads("e1", 0.0 if confirmed is None else confirmed.value_a)
        world.meter(10.0, 10.0, 10.0, voltage_v=(230.0,) * 3)
        decision = world.step()
        world.obey(decision)
    assert setpoints(decision)["e1"] == 32.0
    room_a = (20_000.0 - 62.0 * 230.0) / (3 * 230.0)
    assert decision.wake_above_a[only.id] == pytest.approx((10.0 + room_a,) * 3)


def test_s17_an_evses_ceiling_on_other_phases_is_none_for_it() -> None:
    world = World(site(evses=[evse(1, phases=(2,))]))
    world.ceilings = (
        TimedCeiling(
            holder=Holder(Rank.OPERATOR, "command", "c"),
            reason="less",
            from_utc_s=UTC0_S,
            until_utc_s=None,
            evse=EvseId("e1"),
            limit_a=(8.0, None, 8.0),
        ),
    )
    world.reads("e1", 0.0)
    world.meter(0.0, 0.0, 0.0)
    assert world.step().evses[EvseId("e1")].allocation_a == 32.0


@pytest.mark.parametrize(("phases", "limit_a"), [((1,), 20.0), ((2, 3), 10.0), ((1, 2, 3), 20 / 3)])
def test_s17_a_limit_in_watts_of_an_evse_is_shared_by_its_phases(
    phases: tuple[int, ...], limit_a: float
) -> None:
    """4 kW at the measured 200 V; a higher limit in amperes beside it changes nothing."""
    world = World(site(evses=[evse(1, phases=phases)]))
    timed = TimedCeiling(
        holder=Holder(Rank.OPERATOR, "command", "c"),
        reason="less",
        from_utc_s=UTC0_S,
        until_utc_s=None,
        evse=EvseId("e1"),
        limit_w=4000.0,
    )
    world.ceilings = (timed, replace(timed, limit_w=None, limit_a=(25.0,) * 3))
    for _ in range(40):
        world.wait(1.0)
        confirmed = world.silent("e1").confirmed
        drawn_a = 0.0 if confirmed is None else confirmed.value_a
        world.reads("e1", drawn_a)
        flow = [drawn_a if p in phases else 0.0 for p in (1, 2, 3)]
        world.meter(*flow, voltage_v=(200.0,) * 3)
        decision = world.step()
        world.obey(decision)
    assert setpoints(decision)["e1"] == pytest.approx(limit_a)
    reason = decision.evses[EvseId("e1")].reason
    assert reason.code is ReasonCode.EVSE_CEILING
    assert reason.limit == pytest.approx(limit_a)


def test_s2_a_sudden_rise_is_believed() -> None:
    world = World(site(evses=[evse(1)], limit_a=(400.0, None, None)))
    world.settle(20.0, {"e1": 10.0})
    world.wait(1.0)
    assert world.everything(500.0, {"e1": 10.0}).nodes[GRID].base_a[0] == 500.0


def test_s4_the_account_is_never_below_the_meter() -> None:
    world = World(site(evses=[evse(1), evse(2)]))
    world.settle(20.0, {"e1": 16.0, "e2": 16.0})
    for meter_a in (52.0, 40.0, 80.0, 25.0, 99.0):
        world.wait(0.5)
        world.meter(meter_a)
        assert world.step().nodes[GRID].account_a[0] >= meter_a - 1e-9


def test_s4_a_falling_base_is_seen_once_every_reading_agrees() -> None:
    world = World(site(evses=[evse(1)]))
    world.settle(40.0, {"e1": 10.0})
    for _ in range(2):
        world.wait(1.0)
        decision = world.everything(15.0, {"e1": 10.0})
    assert decision.nodes[GRID].base_a[0] == 15.0


def test_s6_without_any_reading_the_worst_case_holds() -> None:
    world = World(site(evses=[evse(1)]))
    assert world.step().nodes[GRID].base_a == (60.0, 60.0, 60.0)


def test_s7_a_node_without_a_meter_has_its_children_and_its_own_worst_case() -> None:
    depot = site(
        evses=[evse(1, node=FEEDER)],
        nodes=[
            Node(id=GRID, parent=None, limit_a=(100.0, None, None), base_max_a=(15.0, 0.0, 0.0)),
            Node(id=FEEDER, parent=GRID, base_max_a=(40.0, 0.0, 0.0)),
        ],
        meters=[replace(site(evses=[]).meters[0], node=FEEDER)],
    )
    world = World(depot)
    assert world.step().nodes[GRID].base_a[0] == 55.0
    decision = world.settle(12.0, {"e1": 10.0})
    assert decision.nodes[FEEDER].base_a[0] == 12.0
    assert decision.nodes[GRID].base_a[0] == 27.0


def test_s9_before_the_first_answer_a_charger_counts_its_hardware_maximum() -> None:
    world = World(site(evses=[evse(1), evse(2)]))
    decision = world.step()
    assert {one.committed_a for one in decision.evses.values()} == {32.0}
    assert all(one.silent for one in decision.evses.values())


def test_s9_without_a_watchdog_the_larger_value_stays() -> None:
    traits = replace(TRAITS, keepalive=KeepAlive.NONE, watchdog_s=None)
    world = World(site(evses=[evse(1, traits=traits), evse(2)]))
    world.settle(0.0, {"e1": 24.0, "e2": 24.0})
    world.wait(3600.0)
    world.reads("e2", 24.0)
    world.meter(48.0)
    assert world.step().evses[EvseId("e1")].committed_a == 24.0


def test_s9_a_value_that_was_sent_and_never_confirmed_counts() -> None:
    world = World(site(evses=[evse(1)]))
    world.settle(0.0, {"e1": 10.0})
    world.sends("e1", 20.0)
    world.wait(10.0)
    assert world.step().evses[EvseId("e1")].committed_a == 20.0


def test_s10_a_silent_charger_is_called_with_its_failsafe_current() -> None:
    world = World(site(evses=[evse(1), evse(2)]))
    assert setpoints(world.step()) == {"e1": 6.0, "e2": 6.0}


def test_s10_a_silent_charger_is_called_with_its_pause_value_where_that_does_not_fit() -> None:
    world = World(site(evses=[evse(1)]))
    world.ceilings = (ceiling(limit_w=0.0),)
    assert setpoints(world.step()) == {"e1": 0.0}


def test_s14_a_decrease_is_told_in_the_same_decision() -> None:
    world = World(site(evses=[evse(1), evse(2)], limit_a=(50.0, None, None)))
    decision = world.settle(0.0, {"e1": 32.0, "e2": 0.0})
    assert decision.evses[EvseId("e1")].setpoint_a == 24.0
    assert decision.evses[EvseId("e2")].setpoint_a == 18.0
    assert decision.evses[EvseId("e2")].reason.code is ReasonCode.WAITS_FOR_ROOM


def test_s15_only_evses_on_the_overloaded_phase_are_cut() -> None:
    world = World(site(evses=[evse(1, phases=(1,)), evse(2, phases=(2,))]))
    drawn = {"e1": 30.0, "e2": 30.0}
    for name, value_a in drawn.items():
        world.sends(name, value_a)
        world.confirms(name)
    for meter_a in ((50.0, 50.0), (50.0, 50.0), (110.0, 50.0)):
        world.wait(1.0)
        for name in drawn:
            world.reads(name, 30.0)
        world.meter(*meter_a)
        decision = world.step()
    assert decision.evses[EvseId("e1")].setpoint_a == 18.0
    assert decision.evses[EvseId("e2")].setpoint_a >= 30.0


def test_s19_a_ceiling_ends_at_its_end_and_not_while_the_clock_is_untrusted() -> None:
    world = World(site(evses=[evse(1)]))
    world.ceilings = (ceiling(limit_a=30.0, until_utc_s=UTC0_S + world.now_s + 10.0),)
    assert world.step().nodes[GRID].ceiling_a[0] == 30.0
    world.wait(11.0)
    world.utc_trusted = False
    assert world.step().nodes[GRID].ceiling_a[0] == 30.0
    world.utc_trusted = True
    assert world.step().nodes[GRID].ceiling_a[0] == 100.0


def test_s19_zero_means_zero() -> None:
    world = World(site(evses=[evse(1)]))
    world.settle(0.0, {"e1": 10.0})
    world.ceilings = (ceiling(limit_w=0.0),)
    world.wait(1.0)
    assert world.everything(0.0, {"e1": 10.0}).evses[EvseId("e1")].setpoint_a == 0.0


def test_s18_the_safe_decision_never_raises() -> None:
    world = World(site(evses=[evse(1), evse(2), evse(3)]))
    world.settle(0.0, {"e1": 20.0, "e2": 0.0, "e3": 6.0})
    safe = safe_decision(world.snapshot(), world.state, world.instant())
    assert setpoints(safe) == {"e1": 6.0, "e2": 0.0, "e3": 6.0}
    assert {one.reason.code for one in safe.evses.values()} == {ReasonCode.SAFE_DECISION}


class TestS12Promise:
    """The check itself, given what no step would give it."""

    def situation(self) -> tuple[Situation, Shared, tuple[Shaped, ...]]:
        world = World(site(evses=[evse(1), evse(2)], limit_a=(50.0, None, None)))
        world.settle(20.0, {"e1": 10.0, "e2": 10.0})
        snapshot, now, rules = world.snapshot(), world.instant(), Rules()
        layout = layout_of(snapshot.site)
        commitments = commit(snapshot, world.state, now, rules)
        judged, _ = judge(snapshot, layout, commitments, world.state, now, rules)
        situation = Situation(
            snapshot=snapshot,
            state=world.state,
            now=now,
            rules=rules,
            layout=layout,
            commitments=commitments,
            draws=(None,) * len(commitments),
            no_demand=(None,) * len(commitments),
            judged=judged,
            node_ceilings=cap_nodes(snapshot, layout, now, rules),
            evse_ceilings=cap_evses(snapshot, layout, judged, now, rules),
        )
        shared = share(situation)
        return situation, shared, shape(situation, shared, call_values_a(situation))

    def promised(
        self, situation: Situation, shared: Shared, shaped: tuple[Shaped, ...]
    ) -> list[Row]:
        return promise_rows(situation, shared, [one.setpoint_a for one in shaped])

    def test_s12_a_kept_promise_passes(self) -> None:
        situation, shared, shaped = self.situation()
        promised = self.promised(situation, shared, shaped)
        assert promised[0][0] == pytest.approx(48.0)
        verify(situation, shared, shaped, promised)

    def test_s12_an_ampere_too_much_is_found(self) -> None:
        situation, shared, shaped = self.situation()
        broken = (Shaped(shaped[0].setpoint_a + 1.0), shaped[1])
        with pytest.raises(InvariantBroken, match="grid row 1"):
            verify(situation, shared, broken, self.promised(situation, shared, broken))

    def test_s12_a_setpoint_outside_its_range_is_found(self) -> None:
        situation, shared, shaped = self.situation()
        broken = (Shaped(3.0), shaped[1])
        with pytest.raises(InvariantBroken, match="not in its range"):
            verify(situation, shared, broken, self.promised(situation, shared, broken))

    def test_s12_a_raise_above_a_broken_row_is_found(self) -> None:
        situation, shared, _ = self.situation()
        raised = (Shaped(12.0), Shaped(12.0))
        over = [[60.0, 0.0, 0.0, 0.0]]
        with pytest.raises(InvariantBroken, match="is told 12"):
            verify(situation, shared, raised, over)

    def test_s12_everything_at_its_pause_value_is_a_kept_promise(self) -> None:
        situation, shared, _ = self.situation()
        paused = (Shaped(0.0), Shaped(0.0))
        verify(situation, shared, paused, [[60.0, 0.0, 0.0, 0.0]])


def test_s21_the_worked_example() -> None:
    """Ceiling 100 A, margin 2, base 20, six EVSEs; the base rises to 40, one goes silent."""
    names = [f"e{n}" for n in range(1, 7)]
    world = World(site(evses=[evse(n) for n in range(1, 7)]))
    decision = world.settle(20.0, dict.fromkeys(names, 13.0))
    assert [one.allocation_a for one in decision.evses.values()] == pytest.approx([13.0] * 6)
    assert decision.nodes[GRID].account_a[0] == pytest.approx(98.0)

    world.wait(0.5)
    world.meter(118.0)
    decision = world.step()
    assert [one.setpoint_a for one in decision.evses.values()] == pytest.approx([58 / 6] * 6)
    assert decision.nodes[GRID].account_a[0] == pytest.approx(118.0)
    world.obey(decision)

    for _ in range(4):
        world.wait(1.0)
        for name in names:
            world.reads(name, 13.0)
        world.meter(118.0)
        decision = world.step()
        assert decision.nodes[GRID].account_a[0] == pytest.approx(118.0)
        assert [one.setpoint_a for one in decision.evses.values()] == pytest.approx([58 / 6] * 6)

    for _ in range(3):
        world.wait(1.0)
        decision = world.everything(40.0, dict.fromkeys(names, 58 / 6))
    assert decision.nodes[GRID].account_a[0] == pytest.approx(98.0)

    fed_s = world.evses[EvseId("e1")].last_feed_s
    assert fed_s is not None
    others = names[1:]
    while world.now_s < fed_s + 69.0:
        world.wait(1.0)
        for name in others:
            world.reads(name, 58 / 6)
        world.meter(98.0)
        decision = world.step()
        assert decision.evses[EvseId("e1")].committed_a == pytest.approx(58 / 6)
        assert [decision.evses[EvseId(name)].setpoint_a for name in others] == pytest.approx(
            [58 / 6] * 5
        )
    for _ in range(8):
        world.wait(1.0)
        for name in others:
            world.reads(name, 58 / 6)
        world.meter(98.0 - 58 / 6 + 6.0)
        decision = world.step()
    assert decision.evses[EvseId("e1")].committed_a == 6.0
    assert [decision.evses[EvseId(name)].setpoint_a for name in others] == pytest.approx(
        [52 / 5] * 5
    )


@pytest.mark.parametrize("skew_s", [0.0, 0.3, 0.9])
def test_s21_after_a_base_step_the_setpoints_follow_without_overshoot(skew_s: float) -> None:
    """F9: vehicles follow within five seconds, and every charger is read at another moment."""
    names = [f"e{n}" for n in range(1, 5)]
    world = World(site(evses=[evse(n) for n in range(1, 5)]))
    world.settle(20.0, dict.fromkeys(names, 19.5), ticks=6)
    pilot = dict.fromkeys(names, 19.5)
    drawn = dict.fromkeys(names, 19.5)
    seen: list[float] = []
    changes = 0
    for tick in range(40):
        base_a = 20.0 if tick < 2 else 50.0
        for k, name in enumerate(names):
            if tick % 5 == k:
                drawn[name] = pilot[name]
            world.reads(name, drawn[name], taken_s=world.now_s - skew_s * k / 4)
        world.meter(base_a + sum(drawn.values()))
        decision = world.step()
        world.obey(decision)
        pilot = setpoints(decision)
        value_a = decision.evses[EvseId("e1")].setpoint_a
        if seen and value_a != seen[-1]:
            changes += 1
        seen.append(value_a)
        world.wait(1.0)
    assert seen[-1] == pytest.approx((98.0 - 50.0) / 4)
    assert min(seen) >= seen[-1] - 1e-6, "no undershoot"
    assert changes == 1


def test_a_small_raise_waits_until_it_was_wanted_for_a_while() -> None:
    """The base load wobbles by half an ampere; nobody is written to for that."""
    world = World(site(evses=[evse(1), evse(2)], limit_a=(50.0, None, None)))
    world.settle(20.0, {"e1": 14.0, "e2": 14.0})
    told_a = []
    for tick in range(30):
        world.wait(1.0)
        drawn_a = {name: world.evses[EvseId(name)].confirmed for name in ("e1", "e2")}
        decision = world.everything(
            20.0 + 0.5 * (tick % 2), {n: c.value_a for n, c in drawn_a.items() if c}
        )
        world.obey(decision)
        told_a.append(decision.evses[EvseId("e1")].setpoint_a)
    assert len(set(told_a[4:])) == 1
    assert told_a[-1] == pytest.approx((48.0 - 20.5) / 2)
    for _ in range(8):
        world.wait(1.0)
        drawn_a = {name: world.evses[EvseId(name)].confirmed for name in ("e1", "e2")}
        decision = world.everything(19.0, {n: c.value_a for n, c in drawn_a.items() if c})
        world.obey(decision)
    assert decision.evses[EvseId("e1")].setpoint_a == pytest.approx((48.0 - 19.0) / 2)


def test_s21_an_idle_site_gives_the_same_decision_again() -> None:
    world = World(site(evses=[evse(1), evse(2)]))
    first = world.settle(20.0, {"e1": 32.0, "e2": 32.0})
    world.wait(1.0)
    assert setpoints(world.everything(20.0, {"e1": 32.0, "e2": 32.0})) == setpoints(first)


def test_an_evse_without_a_vehicle_holds_its_pause_value() -> None:
    world = World(site(evses=[evse(1), evse(2)]))
    world.settle(0.0, {"e1": 10.0, "e2": 0.0})
    world.vehicle("e2", VehicleState.ABSENT)
    world.wait(1.0)
    decision = world.everything(0.0, {"e1": 10.0, "e2": 0.0})
    assert decision.evses[EvseId("e2")].setpoint_a == 0.0
    assert decision.evses[EvseId("e2")].reason.code is ReasonCode.NO_VEHICLE


def told(decision: Decision, names: list[str]) -> list[float]:
    return [decision.evses[EvseId(name)].setpoint_a for name in names]


def ceiling(
    *,
    limit_a: float | None = None,
    limit_w: float | None = None,
    until_utc_s: float | None = None,
) -> TimedCeiling:
    return TimedCeiling(
        holder=Holder(Rank.UTILITY_MANDATORY, "event", "evt-1"),
        reason="test",
        from_utc_s=UTC0_S,
        until_utc_s=until_utc_s,
        node=GRID,
        limit_a=(limit_a, limit_a, limit_a),
        limit_w=limit_w,
    )
