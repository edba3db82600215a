"""Small cases worked out by hand: every sentence of the definition, and every reason, once."""

from dataclasses import replace

import pytest

from edgectl.model.allocation import Stop
from edgectl.model.decision import ReasonCode
from tests.kernel.bridge import solve
from tests.oracle.problem import Evse, Node, Problem

PHASE_1 = frozenset({1})


def site(ceiling_a: float | None, *evses: Evse, base_a: float = 0.0) -> Problem:
    """One node with the same ceiling and base load on each phase; EVSEs queue as they stand."""
    node = Node(ceiling_a=(ceiling_a,) * 3, base_a=(base_a,) * 3, base_va=690.0 * base_a)
    return Problem((node,), evses, tuple(range(len(evses))))


def with_va(problem: Problem, ceiling_va: float) -> Problem:
    return replace(problem, nodes=(replace(problem.nodes[0], ceiling_va=ceiling_va),))


def near(*amperes: float) -> object:
    return pytest.approx(amperes, rel=0.0, abs=1e-9)


def test_headroom_is_shared_equally() -> None:
    six = [Evse(0, PHASE_1)] * 6
    assert solve(site(98.0, *six, base_a=20.0)).setpoint_a == near(*[13.0] * 6)
    assert solve(site(98.0, *six, base_a=40.0)).setpoint_a == near(*[58.0 / 6.0] * 6)


def test_shares_follow_weights() -> None:
    outcome = solve(site(30.0, Evse(0), Evse(0, weight=2.0)))
    assert outcome.setpoint_a == near(10.0, 20.0)


def test_minimum_holds_against_a_small_weight() -> None:
    outcome = solve(site(31.0, Evse(0, weight=0.1), Evse(0)))
    assert outcome.setpoint_a == near(6.0, 25.0)


def test_what_one_cannot_take_goes_to_the_others() -> None:
    outcome = solve(site(60.0, Evse(0, max_a=10.0), Evse(0), Evse(0)))
    assert outcome.setpoint_a == near(10.0, 25.0, 25.0)


def test_an_evse_loads_only_its_own_phases() -> None:
    one, two = Evse(0, PHASE_1), Evse(0, frozenset({2}))
    assert solve(site(20.0, one, one, two)).setpoint_a == near(10.0, 10.0, 20.0)


def test_an_evse_loads_every_node_up_to_the_root() -> None:
    nodes = (Node(1, (20.0,) * 3), Node(None, (30.0,) * 3))
    evses = (Evse(0), Evse(0), Evse(1))
    outcome = solve(Problem(nodes, evses, (0, 1, 2)))
    assert outcome.setpoint_a == near(10.0, 10.0, 10.0)
    tighter = (replace(nodes[0], ceiling_a=(14.0,) * 3), nodes[1])
    assert solve(Problem(tighter, evses, (0, 1, 2))).setpoint_a == near(7.0, 7.0, 16.0)


def test_higher_tier_is_finished_before_the_next_begins() -> None:
    evses = (Evse(0, tier=1), Evse(0, tier=0), Evse(0, tier=1))
    assert solve(site(44.0, *evses)).setpoint_a == near(6.0, 32.0, 6.0)
    assert solve(site(40.0, *evses)).setpoint_a == near(8.0, 32.0, 0.0)


def test_higher_tier_keeps_what_rounding_cost_before_the_next_begins() -> None:
    evses = (Evse(0, step_a=1.0), Evse(0, step_a=1.0), Evse(0, tier=1, min_a=0.0))
    assert solve(site(25.5, *evses)).setpoint_a == near(13.0, 12.0, 0.5)


def test_who_does_not_fit_is_skipped_and_the_next_is_tried() -> None:
    evses = (Evse(0), Evse(0, min_a=8.0), Evse(0))
    outcome = solve(site(12.0, *evses))
    assert outcome.admitted == (True, False, True)
    assert outcome.setpoint_a == near(6.0, 0.0, 6.0)


def test_the_queue_decides_who_is_admitted() -> None:
    problem = replace(site(12.0, Evse(0), Evse(0), Evse(0)), queue=(2, 0, 1))
    assert solve(problem).admitted == (True, False, True)


def test_minima_that_fit_exactly_in_decimals_are_admitted() -> None:
    problem = site(0.3, *[Evse(0, min_a=0.1, max_a=0.1)] * 3)
    assert solve(problem).admitted == (True,) * 3


def test_bounds_are_taken_to_whole_steps_from_zero() -> None:
    outcome = solve(site(None, Evse(0, min_a=6.2, max_a=15.9, step_a=1.0)))
    assert outcome.setpoint_a == (15.0,)
    assert not solve(site(None, Evse(0, min_a=6.2, max_a=6.9, step_a=1.0))).admitted[0]
    assert solve(site(6.9, Evse(0, min_a=6.2, step_a=1.0))).admitted == (False,)
    assert solve(site(7.0, Evse(0, min_a=6.2, step_a=1.0))).setpoint_a == (7.0,)


def test_steps_of_a_tenth_are_the_decimals_themselves() -> None:
    for tenths in range(60, 320):
        problem = site(tenths / 10.0, Evse(0, step_a=0.1))
        assert solve(problem).setpoint_a == (tenths / 10.0,)


def test_only_listed_currents_are_given() -> None:
    listed = Evse(0, min_a=0.0, allowed=(0.0, 8.0, 16.0, 24.0, 32.0))
    assert solve(site(40.0, listed, listed)).setpoint_a == (24.0, 16.0)
    assert solve(site(15.0, listed)).setpoint_a == (8.0,)
    assert solve(site(7.0, listed)).setpoint_a == (0.0,)
    assert solve(site(7.0, replace(listed, min_a=6.0))).admitted == (False,)


def test_largest_remainder_gets_the_first_step() -> None:
    evses = (Evse(0, weight=1.0, step_a=1.0), Evse(0, weight=1.05, step_a=1.0))
    # 12.68 and 13.32 A in 26 A: rounded down 12 and 13, one step is left.
    assert solve(site(26.0, *evses)).setpoint_a == (13.0, 13.0)


def test_equal_remainders_go_by_the_queue() -> None:
    three = [Evse(0, step_a=1.0)] * 3
    problem = replace(site(38.0, *three), queue=(2, 0, 1))
    assert solve(problem).setpoint_a == (13.0, 12.0, 13.0)


def test_handing_out_goes_on_until_nothing_fits() -> None:
    evses = (Evse(0, min_a=0.0, allowed=(0.0, 32.0)), Evse(0, step_a=1.0))
    assert solve(site(30.0, *evses)).setpoint_a == (0.0, 30.0)


def test_paused_evses_count_their_pause_value_in_every_tier() -> None:
    evses = (Evse(0, tier=1, min_a=10.0, pause_a=2.0), Evse(0, min_a=0.0))
    outcome = solve(site(20.0, *evses))
    assert outcome.setpoint_a == near(2.0, 18.0)
    assert outcome.admitted == (False, True)


def test_a_va_row_counts_each_phase_at_its_own_voltage() -> None:
    node = Node(ceiling_va=6900.0, base_va=300.0, voltage_v=(220.0, 210.0, 230.0))
    problem = Problem((node,), (Evse(0),), (0,))
    assert solve(problem).setpoint_a == near(10.0)
    assert solve(problem).stops == (Stop(ReasonCode.VA_CEILING, 0, "va"),)


def test_power_fed_back_makes_room() -> None:
    assert solve(site(20.0, Evse(0), base_a=-10.0)).setpoint_a == near(30.0)


def test_base_load_over_the_ceiling_leaves_nothing_and_is_said() -> None:
    outcome = solve(site(20.0, Evse(0), Evse(0, min_a=0.0), base_a=23.0))
    assert outcome.setpoint_a == (0.0, 0.0)
    assert outcome.deficit_a == (near(3.0, 3.0, 3.0),)
    assert outcome.stops == (Stop(ReasonCode.BASE_OVER_CEILING, 0, "1"),) * 2
    over_va = with_va(site(None, Evse(0), base_a=10.0), 6000.0)
    outcome = solve(over_va)
    assert outcome.deficit_va == near(900.0)
    assert outcome.stops == (Stop(ReasonCode.BASE_OVER_CEILING, 0, "va"),)


def test_a_deficit_on_one_phase_stops_only_who_loads_it() -> None:
    node = Node(ceiling_a=(10.0, 10.0, 10.0), base_a=(12.0, 0.0, 0.0))
    problem = Problem((node,), (Evse(0, PHASE_1), Evse(0, frozenset({2}))), (0, 1))
    assert solve(problem).setpoint_a == near(0.0, 10.0)


def test_reason_own_maximum() -> None:
    assert solve(site(None, Evse(0))).stops == (Stop(ReasonCode.OWN_MAXIMUM),)


def test_reason_node_ceiling_names_the_nearest_row() -> None:
    nodes = (Node(None, (16.0,) * 3), Node(0, (None, 16.0, None)))
    stops = solve(Problem(nodes, (Evse(1),), (0,))).stops
    assert stops == (Stop(ReasonCode.NODE_CEILING, 1, "2"),)


def test_reason_increment_names_the_row_without_room_for_a_step() -> None:
    stops = solve(site(12.5, Evse(0, frozenset({3}), step_a=1.0))).stops
    assert stops == (Stop(ReasonCode.INCREMENT, 0, "3"),)


def test_reason_not_admitted_names_the_row_or_nothing() -> None:
    assert solve(site(5.0, Evse(0))).stops == (Stop(ReasonCode.NOT_ADMITTED, 0, "1"),)
    assert solve(site(None, Evse(0, max_a=5.0))).stops == (Stop(ReasonCode.NOT_ADMITTED),)


def test_reason_no_demand() -> None:
    evses = (Evse(0, max_a=0.0), Evse(0, min_a=0.0, max_a=0.0))
    assert solve(site(5.0, *evses)).stops == (Stop(ReasonCode.NO_DEMAND),) * 2
