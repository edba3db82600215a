"""What a charger can be told: steps counted from 0, lists, or anything."""

from dataclasses import replace

import pytest

from edgectl.control.layout import round_down, round_up
from tests.control.world import TRAITS

LIST = (8.0, 16.0, 24.0)


@pytest.mark.parametrize(
    ("step_a", "current_a", "up_a", "down_a"),
    [
        (0.0, 6.3, 6.3, 6.3),
        (0.5, 6.3, 6.5, 6.0),
        (0.5, 6.5, 6.5, 6.5),
        (0.1, 6.3, 6.3, 6.3),
        (4.0, 7.9, 8.0, 4.0),
        (1.0, 6.0 + 1e-10, 6.0, 6.0),
        (1.0, 7.0 - 1e-10, 7.0, 7.0),
        (1.0, 0.0, 0.0, 0.0),
    ],
)
def test_steps(step_a: float, current_a: float, up_a: float, down_a: float) -> None:
    traits = replace(TRAITS, step_a=step_a)
    assert round_up(traits, current_a) == pytest.approx(up_a, abs=1e-12)
    assert round_down(traits, current_a) == pytest.approx(down_a, abs=1e-12)


@pytest.mark.parametrize(
    ("current_a", "up_a", "down_a"),
    [
        (0.0, 8.0, 0.0),
        (7.9, 8.0, 0.0),
        (8.0, 8.0, 8.0),
        (8.0 + 1e-10, 8.0, 8.0),
        (16.0 - 1e-10, 16.0, 16.0),
        (16.5, 24.0, 16.0),
        (99.0, 24.0, 24.0),
    ],
)
def test_lists(current_a: float, up_a: float, down_a: float) -> None:
    traits = replace(TRAITS, allowed_a=LIST)
    assert (round_up(traits, current_a), round_down(traits, current_a)) == (up_a, down_a)
