"""What ceilings cost the vehicles, worked out by hand for small depots."""

from collections.abc import Generator
from dataclasses import replace
from typing import TypeVar

import pytest

from edgectl.planning.impact import Missed, Need, Roof, least_floor_w, missed
from edgectl.units import EvseId, NodeId
from tests.grid.samples import EVSES, SITE

T = TypeVar("T")
H = 3600.0
A, B = EvseId("bay01"), EvseId("bay02")
GRID, TX = NodeId("grid"), NodeId("tx1")
TWO = replace(SITE, evses=EVSES)


def run(steps: Generator[None, None, T]) -> T:
    while True:
        try:
            next(steps)
        except StopIteration as done:
            value: T = done.value
            return value


def lacks(needs: list[Need], roofs: list[Roof], base_w: float = 0.0) -> dict[str, float]:
    found = run(missed(TWO, needs, roofs, base_w={GRID: base_w}, now_utc_s=0.0))
    return {one.evse: round(one.wh) for one in found}


def test_enough_power_misses_nobody() -> None:
    needs = [Need(A, max_w=20_000.0, wh=40_000.0, departure_utc_s=2 * H)]
    assert lacks(needs, [Roof(30_000.0, node=GRID)]) == {}


def test_a_vehicle_that_could_not_make_it_alone_lacks_the_rest() -> None:
    needs = [Need(A, max_w=10_000.0, wh=40_000.0, departure_utc_s=2 * H)]
    assert lacks(needs, []) == {A: 20_000}


def test_what_a_roof_leaves_is_shared_evenly() -> None:
    """20 kW for two: 10 kW each; who wants less leaves the rest to the other."""
    needs = [
        Need(A, max_w=20_000.0, wh=40_000.0, departure_utc_s=2 * H),
        Need(B, max_w=5_000.0, wh=5_000.0, departure_utc_s=2 * H),
    ]
    # One hour at 15 + 5 kW, B is full; one hour at 20 kW.
    assert lacks(needs, [Roof(20_000.0, node=GRID)]) == {A: 5_000}


def test_base_load_and_weight_count() -> None:
    needs = [
        Need(A, max_w=50_000.0, wh=20_000.0, departure_utc_s=H, weight=3.0),
        Need(B, max_w=50_000.0, wh=20_000.0, departure_utc_s=H),
    ]
    # 20 kW left of 30: 15 and 5.
    assert lacks(needs, [Roof(30_000.0, node=GRID)], base_w=10_000.0) == {A: 5_000, B: 15_000}


def test_the_tightest_node_on_the_way_counts_and_a_vehicle_without_a_target_takes_its_share() -> (
    None
):
    needs = [
        Need(A, max_w=50_000.0, wh=10_000.0, departure_utc_s=H),
        Need(B, max_w=50_000.0),
    ]
    assert lacks(needs, [Roof(100_000.0, node=GRID), Roof(10_000.0, node=TX)]) == {A: 5_000}


def test_a_roof_counts_only_in_its_time() -> None:
    needs = [Need(A, max_w=10_000.0, wh=40_000.0, departure_utc_s=4 * H)]
    assert lacks(needs, [Roof(0.0, from_utc_s=H, until_utc_s=3 * H, node=GRID)]) == {A: 20_000}
    assert lacks(needs, [Roof(4_000.0, from_utc_s=H, until_utc_s=3 * H, evse=A)]) == {A: 12_000}


def test_who_has_left_leaves_the_room_to_the_others() -> None:
    needs = [
        Need(A, max_w=10_000.0, wh=15_000.0, departure_utc_s=2 * H),
        Need(B, max_w=10_000.0, wh=10_000.0, departure_utc_s=H),
    ]
    assert lacks(needs, [Roof(10_000.0, node=GRID)]) == {B: 5_000}


def test_the_least_floor_is_what_the_tightest_vehicle_needs() -> None:
    """40 kWh in 4 h with two free hours at 10 kW: 10 kW are needed in the other two as well."""
    needs = [Need(A, max_w=20_000.0, wh=40_000.0, departure_utc_s=4 * H)]
    standing = [Roof(10_000.0, node=GRID)]
    event = [Roof(2_000.0, from_utc_s=H, until_utc_s=3 * H, node=GRID)]
    floor_w = run(
        least_floor_w(TWO, needs, standing, event, base_w={}, now_utc_s=0.0, most_w=30_000.0)
    )
    assert floor_w == pytest.approx(10_000.0, abs=60.0)
    free = [Roof(40_000.0, node=GRID)]
    floor_w = run(least_floor_w(TWO, needs, free, event, base_w={}, now_utc_s=0.0, most_w=30_000.0))
    assert floor_w == pytest.approx(2_000.0, abs=60.0), "it catches up later"


def test_who_misses_anyway_raises_no_floor() -> None:
    needs = [Need(A, max_w=1_000.0, wh=40_000.0, departure_utc_s=H)]
    event = [Roof(1_000.0, node=GRID)]
    floor_w = run(least_floor_w(TWO, needs, [], event, base_w={}, now_utc_s=0.0, most_w=30_000.0))
    assert floor_w < 1_100.0
    assert Missed(A, 39_000.0) in run(missed(TWO, needs, event, base_w={}, now_utc_s=0.0))


def test_a_thousand_vehicles_give_others_a_turn_at_every_step() -> None:
    needs = [Need(A, max_w=1.0 + n, wh=1e5, departure_utc_s=40 * H) for n in range(50)]
    steps = missed(TWO, needs, [Roof(500.0, node=GRID)], base_w={}, now_utc_s=0.0)
    assert sum(1 for _ in steps) == 160
