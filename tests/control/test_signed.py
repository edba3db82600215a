"""S3: the sign of a phase's current, from its active power and a voltage that can be one."""

import math

import pytest

from edgectl.control.judge import signed_a
from edgectl.model.reading import POSSIBLE_A, MeterSample

NOMINAL_V = 230.0


def signed(current_a: float | None, power_w: float | None, voltage_v: float | None) -> float | None:
    sample = MeterSample(
        taken_s=0.0,
        current_a=(None, current_a, None),
        power_w=(None, power_w, None),
        voltage_v=(None, voltage_v, None),
    )
    return signed_a(sample, 1, NOMINAL_V)


@pytest.mark.parametrize(
    ("power_w", "expected_a"),
    [(None, 10.0), (math.nan, 10.0), (-math.inf, 10.0), (0.0, 10.0), (2300.0, 10.0)],
)
def test_without_power_that_flows_back_the_current_is_drawn(
    power_w: float | None, expected_a: float
) -> None:
    assert signed(10.0, power_w, 230.0) == expected_a


@pytest.mark.parametrize("voltage_v", [None, math.nan, 0.0, 5.0, 114.9, 345.1, -230.0, math.inf])
def test_a_voltage_that_can_be_none_is_taken_as_the_nominal_one(voltage_v: float | None) -> None:
    assert signed(10.0, -2300.0, voltage_v) == pytest.approx(-10.0)


@pytest.mark.parametrize("voltage_v", [115.0, 200.0, 345.0])
def test_a_plausible_voltage_counts(voltage_v: float) -> None:
    assert signed(10.0, -10.0 * voltage_v, voltage_v) == pytest.approx(-10.0)


def test_reactive_current_stays_drawn() -> None:
    """13 A, 5 A of it active and fed back: 12 A reactive are not given back."""
    assert signed(13.0, -5.0 * 200.0, 200.0) == pytest.approx(-5.0 + 12.0)
    assert signed(3.0, -5.0 * 200.0, 200.0) == pytest.approx(-5.0), "rounding of the meter"


@pytest.mark.parametrize("current_a", [None, math.nan, math.inf, -math.inf, 1.001 * POSSIBLE_A])
def test_what_is_no_current_is_no_data(current_a: float | None) -> None:
    assert signed(current_a, None, None) is None


def test_a_power_that_no_current_can_be_is_no_data() -> None:
    assert signed(10.0, -POSSIBLE_A * 240.0, 230.0) is None
    assert signed(POSSIBLE_A, None, None) == POSSIBLE_A
