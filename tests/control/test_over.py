"""Since when a meter shows more than a ceiling of its node (S15): more, and not as much."""

import pytest

from edgectl.model.site import Node
from edgectl.units import NodeId
from tests.control.world import GRID, World, evse, site

LIMIT_A = 100.0
VOLTS = (230.0, 230.0, 230.0)


def world(*, limit_va: float | None = None) -> World:
    node = Node(
        id=GRID,
        parent=None,
        limit_a=(LIMIT_A,) * 3,
        limit_va=limit_va,
        base_max_a=(60.0,) * 3,
    )
    return World(site(evses=[evse(1)], nodes=[node]))


def over(at: World, *flow_a: float) -> dict[NodeId, float]:
    """A second later the meter shows this, and a step follows."""
    at.wait(1.0)
    at.meter(*flow_a, voltage_v=VOLTS)
    at.step()
    return at.state.over_s


@pytest.mark.parametrize("phase", [0, 1, 2])
def test_a_phase_is_over_above_its_ceiling_and_not_at_it(phase: int) -> None:
    at = world()
    flow_a = [0.0, 0.0, 0.0]
    flow_a[phase] = LIMIT_A
    assert over(at, *flow_a) == {}
    flow_a[phase] = LIMIT_A + 0.01
    assert over(at, *flow_a) == {GRID: at.now_s}


def test_the_sum_is_over_above_its_ceiling_and_not_at_it() -> None:
    at = world(limit_va=6900.0)
    assert over(at, 10.0, 10.0, 10.0) == {}
    assert over(at, 12.0, 10.0, 9.0) == {GRID: at.now_s}


def test_the_first_moment_counts_until_it_is_over_no_more() -> None:
    at = world()
    over(at, 120.0)
    since_s = at.now_s
    assert over(at, 110.0) == over(at, 101.0) == {GRID: since_s}
    assert over(at, 99.0) == {}
    assert over(at, 101.0) == {GRID: at.now_s}


def test_a_meter_that_shows_nothing_is_over_nothing() -> None:
    at = world()
    assert over(at, 120.0) != {}
    at.wait(60.0)
    at.step()
    assert at.state.over_s == {}
