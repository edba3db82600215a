"""A kernel keeps sort orders between ticks, and yet answers as a fresh one whatever came before."""

import math
import random
from array import array
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgectl.control.kernel import FlatAllocator
from edgectl.errors import InvariantBroken
from tests.bench.depots import depot
from tests.kernel.bridge import flat_of
from tests.oracle.problem import (
    Problem,
    random_discharge_problem,
    random_phasor_problem,
    random_problem,
    random_unbalance_problem,
)

SITES: dict[str, Callable[[int], Problem]] = {
    "plain": random_problem,
    "phasors": random_phasor_problem,
    "unbalance": random_unbalance_problem,
    "discharge": lambda seed: random_discharge_problem(seed, phasors=False),
    "depot": lambda seed: depot(seed, evses=180),
}

INPUTS = [
    "ceiling",
    "base",
    "voltage_v",
    "primary_ceiling",
    "export_ceiling",
    "weight",
    "tier",
    "min_a",
    "max_a",
    "step_a",
    "pause_a",
    "min_discharge_a",
    "max_discharge_a",
    "queue",
]
OUTPUTS = [
    "setpoint_a",
    "admitted",
    "deficit",
    "primary_deficit",
    "export_deficit",
    "_code",
    "_stop_node",
    "_stop_row",
]


@pytest.mark.parametrize("make", SITES.values(), ids=SITES.keys())
def test_used_allocator_answers_bit_for_bit_as_a_fresh_one(make: Callable[[int], Problem]) -> None:
    @settings(max_examples=40, deadline=None, derandomize=True)
    @given(st.integers(0, 2**32), st.lists(st.sampled_from(CHANGES), min_size=1, max_size=12))
    def holds(seed: int, changes: list[Change]) -> None:
        problem, rng = make(seed), random.Random(seed)
        used = flat_of(problem)
        for change in changes:
            change(used, rng)
            fresh = flat_of(problem)
            for name in INPUTS:
                getattr(fresh, name)[:] = getattr(used, name)
            used.solve()
            fresh.solve()
            for name in OUTPUTS:
                assert getattr(used, name).tobytes() == getattr(fresh, name).tobytes(), name

    holds()


def test_minima_of_negative_zero_do_not_spoil_the_order_for_others() -> None:
    problem = depot(3, evses=200)
    used = flat_of(problem)
    used.step_a[:] = array("d", [0.0] * 200)
    used.weight[:] = array("d", [1.0] * 200)
    used.max_a[:] = array("d", [32.0] * 200)
    for lows in ([6.0] * 4, [-0.0, -0.0, 15.0, 19.0]):
        used.min_a[:] = array("d", lows * 50)
        used.solve()
    for i, low in ((7, 14.0), (15, 13.0), (23, 12.0), (31, 11.0)):
        used.min_a[i] = low
        used.solve()
    fresh = flat_of(problem)
    for name in INPUTS:
        getattr(fresh, name)[:] = getattr(used, name)
    fresh.solve()
    assert used.setpoint_a.tobytes() == fresh.setpoint_a.tobytes()


Change = Callable[[FlatAllocator, random.Random], None]


def _nothing(flat: FlatAllocator, rng: random.Random) -> None:
    del flat, rng


def _one_bound(flat: FlatAllocator, rng: random.Random) -> None:
    flat.max_a[rng.randrange(len(flat.max_a))] = rng.choice([6.0, 16.0, 32.0, rng.uniform(0, 40)])


def _a_fifth_of_the_bounds(flat: FlatAllocator, rng: random.Random) -> None:
    for i in range(len(flat.max_a)):
        if rng.random() < 0.2:
            flat.max_a[i] = rng.choice([6.0, 16.0, rng.uniform(0, 40)])
            flat.min_a[i] = rng.choice([6.0, 8.0, rng.uniform(0, 8)])


def _ties(flat: FlatAllocator, rng: random.Random) -> None:
    """Equal levels with unlike currents, whose sums depend on the order."""
    for i in range(len(flat.max_a)):
        if rng.random() < 0.2:
            flat.weight[i] = rng.choice([1.0, 2.0, 4.0])
            flat.min_a[i] = flat.weight[i] * rng.choice([5.7, 8.3])
            flat.max_a[i] = flat.weight[i] * rng.choice([9.1, 13.3])
            flat.step_a[i] = 0.0


def _base_load(flat: FlatAllocator, rng: random.Random) -> None:
    flat.base[:] = array("d", [b * rng.uniform(0.8, 1.2) for b in flat.base])


def _policy(flat: FlatAllocator, rng: random.Random) -> None:
    """Every weight, tier and place in the queue at once."""
    count = len(flat.weight)
    spread = rng.choice([1.0, 3.0, 1000.0])
    weights = [1.0, 1.0, 2.0, spread, rng.uniform(1.0, spread)]
    flat.weight[:] = array("d", [rng.choice(weights) for _ in range(count)])
    tiers = [rng.randrange(rng.randint(1, 3)) for _ in range(count)]
    ranks = sorted(set(tiers))
    flat.tier[:] = array("i", [ranks.index(tier) for tier in tiers])
    queue = list(range(count))
    rng.shuffle(queue)
    flat.queue[:] = array("i", queue)


def _direction(flat: FlatAllocator, rng: random.Random) -> None:
    """Somebody who charges discharges, or the other way round."""
    i = rng.randrange(len(flat.max_a))
    flat.pause_a[i] = 0.0
    flat.max_discharge_a[i] = 0.0 if flat.max_discharge_a[i] else rng.uniform(6.0, 40.0)


def _refusal(flat: FlatAllocator, rng: random.Random) -> None:
    """A value that is refused, at any place, beside others that moved."""
    _a_fifth_of_the_bounds(flat, rng)
    for name in rng.sample(["weight", "max_a", "base", "queue"], 2):
        values = getattr(flat, name)
        at = rng.randrange(len(values))
        kept = values[at]
        values[at] = -1 if name == "queue" else rng.choice([math.nan, math.inf, -math.inf])
        with pytest.raises(InvariantBroken):
            flat.solve()
        values[at] = kept


CHANGES = [
    _nothing,
    _one_bound,
    _a_fifth_of_the_bounds,
    _ties,
    _base_load,
    _policy,
    _direction,
    _refusal,
]
