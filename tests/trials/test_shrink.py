"""The search for the smallest trial that still fails."""

import pytest

from edgectl.simulator.trial.shrink import Parts, shrink, smallest


@pytest.mark.parametrize("guilty", [(), (3,), (0, 9), (1, 4, 7), (2, 3, 4, 5), tuple(range(10))])
def test_exactly_what_is_needed_is_left(guilty: tuple[int, ...]) -> None:
    tried = []

    def fails(kept: tuple[int, ...]) -> bool:
        tried.append(kept)
        return set(guilty) <= set(kept)

    assert smallest(range(10), fails) == guilty
    assert len(tried) <= 120


def test_a_trial_loses_faults_orders_and_evses_that_do_not_matter() -> None:
    whole = Parts(faults=tuple(range(20)), orders=(0, 1, 2), evses=("e0", "e1", "e2"))

    def fails(parts: Parts) -> bool:
        return {4, 11} <= set(parts.faults) and 2 in parts.orders and "e1" in parts.evses

    assert shrink(whole, fails) == Parts(faults=(4, 11), orders=(2,), evses=("e1",))
