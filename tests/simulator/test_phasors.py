"""What flows where: figures from circuit theory, worked out by hand."""

import random
from dataclasses import replace
from math import sqrt

import pytest

from edgectl.model.site import Node, Site
from edgectl.simulator.phasors import Phasors, draw_of, watts_per_a
from edgectl.units import NodeId
from tests.sizing.yards import evse, garage, site

PAIRS = ((1, 2), (2, 3), (1, 3))


def flowing(place: Site, amps: dict[str, float]) -> Phasors:
    index = {node.id: n for n, node in enumerate(place.nodes)}
    phasors = Phasors(place)
    loads = []
    for one in place.evses:
        used = len(one.phases)
        power_w = amps[one.id] * watts_per_a(one, used, place.voltage_v)
        loads.append((index[one.node], draw_of(one, used), amps[one.id], power_w))
    phasors.sum_up(loads)
    return phasors


def test_loads_between_phase_and_neutral_add_up_as_amounts() -> None:
    place = site(evse("a"), evse("b", (2,)))
    phasors = flowing(place, {"a": 10.0, "b": 6.0})
    assert phasors.amps(0) == pytest.approx((10.0, 16.0, 10.0))
    assert phasors.power_w[0] == pytest.approx(230.0 * 36.0)
    assert phasors.line_power_w(0) == pytest.approx((2300.0, 3680.0, 2300.0))


def test_one_load_between_two_lines_flows_in_both() -> None:
    place = garage(evse("a", (1, 2), node="t1", line_to_line=True))
    phasors = flowing(place, {"a": 20.0})
    assert phasors.amps(1) == pytest.approx((20.0, 20.0, 0.0))
    assert phasors.power_w[1] == pytest.approx(sqrt(3) * 120.0 * 20.0)
    # a = 20, b = -20, c = 0: primary (a - c, b - a, c - b) / 4
    assert phasors.primary_amps(1) == pytest.approx((5.0, 10.0, 5.0))
    assert phasors.amps(0) == pytest.approx((5.0, 10.0, 5.0))


def test_three_equal_legs_carry_root_three_and_three_quarters() -> None:
    legs = [evse(f"e{k}", pair, node="t1", line_to_line=True) for k, pair in enumerate(PAIRS)]
    phasors = flowing(garage(*legs), {"e0": 10.0, "e1": 10.0, "e2": 10.0})
    assert phasors.amps(1) == pytest.approx([10.0 * sqrt(3)] * 3)
    assert phasors.primary_amps(1) == pytest.approx([7.5] * 3)


def test_the_order_of_a_pair_does_not_matter() -> None:
    one = flowing(garage(evse("a", (1, 3), node="t1", line_to_line=True)), {"a": 8.0})
    other = flowing(garage(evse("a", (3, 1), node="t1", line_to_line=True)), {"a": 8.0})
    assert one.lines == other.lines


def test_base_load_above_a_transformer_is_in_phase_with_what_comes_through_it() -> None:
    place = garage(evse("a", (1, 2, 3), node="t1"))
    phasors = Phasors(place)
    volts = phasors.voltage_v[0]
    assert volts == pytest.approx(4.0 * 120.0 / sqrt(3))
    phasors.set_base(0, 3.0 * volts * 7.0)
    power_w = 3.0 * 120.0 * 10.0
    phasors.sum_up([(1, draw_of(place.evses[0], 3), 10.0, power_w)])
    # 3.6 kW through the transformer at 277 V on three phases, beside 7 A of base load
    assert phasors.amps(0) == pytest.approx([7.0 + power_w / (3.0 * volts)] * 3)


def test_a_load_on_a_panel_beside_the_transformer_is_in_phase_with_what_comes_through_it() -> None:
    """277 V there too, and at its own angle."""
    place = garage(evse("a", (1, 2, 3), node="t1"), evse("b", (1, 2, 3), node="panel"))
    panel = Node(id=NodeId("panel"), parent=NodeId("grid"))
    phasors = flowing(replace(place, nodes=(*place.nodes, panel)), {"a": 10.0, "b": 7.0})
    volts = 4.0 * 120.0 / sqrt(3.0)
    assert phasors.voltage_v == pytest.approx([volts, 120.0, volts])
    assert phasors.amps(0) == pytest.approx([3.0 * 120.0 * 10.0 / (3.0 * volts) + 7.0] * 3)
    shown_w = 120.0 * 10.0 + volts * 7.0
    assert phasors.line_power_w(0) == pytest.approx([shown_w] * 3)


@pytest.mark.parametrize("seed", range(20))
def test_the_lines_powers_make_up_the_node_s_power(seed: int) -> None:
    rng = random.Random(seed)
    loads = [
        evse(f"e{k}", rng.choice(PAIRS), node="t1", line_to_line=True)
        if rng.random() < 0.6
        else evse(f"e{k}", rng.choice([(1,), (2,), (3,), (1, 2, 3)]), node="t1")
        for k in range(6)
    ]
    phasors = flowing(garage(*loads), {one.id: rng.uniform(0.0, 32.0) for one in loads})
    for n in (0, 1):
        assert sum(phasors.line_power_w(n)) == pytest.approx(phasors.power_w[n])
