"""Watts and amperes: by hand, and never to the unsafe side."""

import random

import pytest

from edgectl.devices.mains import amperes_of, drawn_a, mains_level_v, watts_of
from edgectl.devices.profile import Mains
from edgectl.devices.writes import amperes_told, setpoint_write
from edgectl.errors import InvariantBroken
from tests.devices.builders import HYC, evse_of

MAINS = Mains(power="power_w", efficiency=0.95, power_factor=0.98)


def test_by_hand() -> None:
    three, one = evse_of(HYC), evse_of(HYC, phases=(2,))
    assert watts_of(MAINS, three, 100.0, mains_v=230.0) == pytest.approx(67620.0)
    assert watts_of(MAINS, one, 100.0, mains_v=230.0) == pytest.approx(22540.0)
    assert amperes_of(MAINS, three, 67620.0, mains_v=230.0) == pytest.approx(100.0)
    # 64239 W behind the rectifier are 67620 W of the mains.
    assert drawn_a(MAINS, three, 64239.0, mains_v=230.0) == pytest.approx(100.0)


def test_without_a_measurement_it_is_nine_tenths_of_the_nominal_voltage() -> None:
    assert mains_level_v(None, held_v=None, nominal_v=230.0) == pytest.approx(207.0)
    assert mains_level_v(None, held_v=230.0, nominal_v=230.0) == pytest.approx(207.0)


def test_it_goes_down_at_once_and_up_only_well_above() -> None:
    step_v = 4.6
    level = mains_level_v(231.0, held_v=None, nominal_v=230.0)
    assert level == pytest.approx(50 * step_v)
    lower = mains_level_v(229.9, held_v=level, nominal_v=230.0)
    assert lower == pytest.approx(49 * step_v)
    assert mains_level_v(230.1, held_v=lower, nominal_v=230.0) == lower
    assert mains_level_v(232.2, held_v=lower, nominal_v=230.0) == lower
    assert mains_level_v(232.4, held_v=lower, nominal_v=230.0) == pytest.approx(level)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_never_above_the_measured_voltage_and_moves_seldom(seed: int) -> None:
    rng = random.Random(seed)
    held, moves = None, 0
    volts = 230.0
    for _ in range(2000):
        volts = min(253.0, max(207.0, volts + rng.gauss(0.0, 0.3)))
        level = mains_level_v(volts, held_v=held, nominal_v=230.0)
        assert volts - 2 * 4.6 <= level <= volts + 1e-9
        moves += level != held
        held = level
    assert moves < 400


def test_what_is_told_draws_no_more_than_it_counts_at_any_voltage_above_the_level() -> None:
    evse = evse_of(HYC, max_a=300.0)
    for volts in (207.0, 216.2, 230.0, 253.0):
        for wanted_a in (6.0, 99.9, 300.0):
            step = setpoint_write(HYC, evse, wanted_a, mains_v=volts)
            assert amperes_told(HYC, evse, step.command, mains_v=volts) <= step.value_a + 1e-9
            assert amperes_told(HYC, evse, step.command, mains_v=volts + 5) < step.value_a


def test_a_limit_in_watts_without_a_voltage_is_a_fault_of_ours() -> None:
    with pytest.raises(InvariantBroken, match="needs a voltage"):
        setpoint_write(HYC, evse_of(HYC), 16.0)
