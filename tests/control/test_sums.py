"""Floats are added in one way, whatever Python runs."""

from edgectl.control.sums import total


def test_each_addition_is_rounded() -> None:
    # Compensated, as the built-in sum has it from Python 3.12 on, this would be 1.0 and 0.6.
    assert total([1e16, 1.0, -1e16]) == 0.0
    assert total(iter([0.1, 0.2, 0.3])) == 0.6000000000000001


def test_nothing_adds_up_to_zero() -> None:
    assert total([]) == 0.0
