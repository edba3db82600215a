"""Rows of phasors against complex arithmetic that knows nothing of kinds, corners or angles."""

import random
from cmath import rect
from itertools import product
from math import inf, radians, sqrt

import pytest

from edgectl.control import curved

LINE = [rect(1.0, radians(angle)) for angle in (0.0, -120.0, 120.0)]
AHEAD = [rect(1.0, radians(angle)) for angle in (0.0, 30.0, -30.0, 60.0, -60.0)]
DRAWS = 2_000


def imported(flow: complex) -> float:
    """What is fed back in phase with the voltage is none."""
    return abs(flow) if flow.real > 0.0 else abs(flow.imag)


def worst(base: complex, line: curved.Line) -> float:
    """Every corner of the box: who draws all, and who nothing."""
    boxes = product(*((0.0, a) for a in line))
    return max(
        imported(base + sum(a * one for a, one in zip(draws, AHEAD, strict=True)))
        for draws in boxes
    )


def some_base(rng: random.Random) -> complex:
    if rng.random() < 0.5:
        return complex(rng.uniform(-60.0, 60.0))
    base_a = [rng.uniform(rng.choice([-40.0, 0.0]), 60.0) for _ in range(3)]
    return complex(*curved.primary_base(base_a, rng.choice([1.0, 2.0, 4.0]), rng.randrange(3)))


def some_line(rng: random.Random) -> curved.Line:
    far = rng.random() < 0.5
    one, two, three, four, five = (rng.choice([0.0, rng.uniform(0.0, 50.0)]) for _ in range(5))
    return (one, two, three, four, five) if far else (one, two, three, 0.0, 0.0)


def test_a_row_is_the_worst_of_all_draws() -> None:
    rng = random.Random(1)
    for _ in range(DRAWS):
        base, line = some_base(rng), some_line(rng)
        assert curved.worst_a(base.real, base.imag, line) == pytest.approx(worst(base, line))


def test_a_row_is_full_where_it_is_said_to_be() -> None:
    rng = random.Random(2)
    for _ in range(DRAWS):
        base, line = some_base(rng), some_line(rng)
        unit = [0.0] * 5
        unit[rng.randrange(5)] = rng.choice([0.5, 1.0, 2.0])
        unit[rng.randrange(5)] = 1.0
        ceiling_a = worst(base, line) + rng.uniform(0.001, 50.0)
        one, two, three, four, five = unit
        rise_a = curved.rise_a(base.real, base.imag, line, (one, two, three, four, five), ceiling_a)
        assert rise_a < inf
        for more_a, fits in ((rise_a - 1e-6, True), (rise_a + 1e-6, False)):
            a, b, c, d, e = (x + more_a * y for x, y in zip(line, unit, strict=True))
            assert (worst(base, (a, b, c, d, e)) <= ceiling_a) is fits


STRAIGHT = (1.0, 0.0, 0.0, 0.0, 0.0)
EMPTY = (0.0,) * 5


@pytest.mark.parametrize(
    ("base", "ceiling_a", "rises_a"),
    [
        # As good as full, at both ends of what a line bears: the rise keeps all its digits.
        (complex(60.0), 60.0 + 2.0**-30, 2.0**-30),
        (complex(0.5), 0.5 + 2.0**-40, 2.0**-40),
        (complex(-60.0), 60.0, 120.0),
        (complex(-0.5), 0.5, 1.0),
        (complex(0.0), 10.0, 10.0),
        # All that may flow flows across the voltage already.
        (complex(0.0, 10.0), 10.0, 0.0),
        (complex(0.0, -10.0), 10.0, 0.0),
    ],
)
def test_the_room_of_a_line_in_phase_is_exact(
    base: complex, ceiling_a: float, rises_a: float
) -> None:
    found_a = curved.rise_a(base.real, base.imag, EMPTY, STRAIGHT, ceiling_a)
    assert found_a == pytest.approx(rises_a, rel=1e-9, abs=0.0)


UNLIKE_V = (100.0, 110.0, 130.0)
AB_V, BC_V, CA_V = sqrt(33_100.0), sqrt(43_300.0), sqrt(39_900.0)
"""Between lines that are 120 degrees apart: 100, 110 and 130 V squared, and their products."""


@pytest.mark.parametrize(
    ("groups", "va"),
    [
        ((2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0), 200.0),
        ((1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0), 340.0),
        ((0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0), AB_V),
        ((0.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0), 2.0 * BC_V),
        ((0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0), CA_V),
        # Twice on its own line, and on both others with half of its current in phase.
        ((0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0), 200.0 + 55.0 + 65.0),
        ((0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2.0, 0.0), 2.0 * (220.0 + 65.0 + 50.0)),
        ((0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0), 260.0 + 50.0 + 55.0),
        ((1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0), 100.0 + AB_V + 320.0),
    ],
)
def test_each_load_counts_at_the_voltage_between_its_own_ends(
    groups: tuple[float, ...], va: float
) -> None:
    assert curved.va_of_groups(groups, UNLIKE_V) == pytest.approx(va)
    row = curved.row_value(curved.VA, (0.0, 0.0, 0.0, 50.0), groups, UNLIKE_V, None)
    assert row == pytest.approx(50.0 + va)


@pytest.mark.parametrize(
    ("base_a", "straight_a", "between_a", "row_a"),
    [
        (-10.0, 0.0, 0.0, -10.0),
        (-10.0, 4.0, 0.0, -6.0),
        (-10.0, 10.0, 0.0, 0.0),
        (-10.0, 14.0, 0.0, 4.0),
        # Half of what is drawn between lines flows across the voltage, fed back or not.
        (-100.0, 0.0, 8.0, 4.0),
        (-100.0, 50.0, 8.0, 4.0),
    ],
)
def test_a_line_that_feeds_back_has_what_a_straight_row_has(
    base_a: float, straight_a: float, between_a: float, row_a: float
) -> None:
    groups = (straight_a, 0.0, 0.0, between_a, 0.0, 0.0, 0.0, 0.0, 0.0)
    found_a = curved.row_value(0, (base_a, 0.0, 0.0, 0.0), groups, (230.0,) * 3, None)
    assert found_a == pytest.approx(row_a)


@pytest.mark.parametrize("levels", [0, 1, 2, 3])
def test_transformers_in_a_row_turn_kinds_as_they_turn_phasors(levels: int) -> None:
    rng = random.Random(levels)
    for _ in range(200):
        wye, delta = ([rng.uniform(0.0, 30.0) for _ in range(3)] for _ in range(2))
        flows = [wye[p] * LINE[p] for p in range(3)]
        for p in range(3):
            between = delta[p] * LINE[p] * rect(1.0, radians(30.0))
            flows[p] += between
            flows[(p + 1) % 3] -= between
        groups, frame = [*wye, *delta, 0.0, 0.0, 0.0], 1.0 + 0.0j
        for _ in range(levels):
            turns = rng.choice([1.0, 2.0, 4.0])
            a, b, c = flows
            flows = [(a - c) / turns, (b - a) / turns, (c - b) / turns]
            groups, frame = curved.above_of(groups, turns), frame * rect(1.0, radians(-30.0))
        for p in range(3):
            line = curved.line_of(groups, p)
            found = sum(x * one for x, one in zip(line, AHEAD, strict=True)) * LINE[p] * frame
            assert abs(found - flows[p]) < 1e-9


def test_a_base_load_counts_no_less_above_a_transformer() -> None:
    """Also where it feeds back on some of its lines, whatever the EVSEs draw."""
    rng = random.Random(3)
    for _ in range(DRAWS):
        base_a = [rng.uniform(rng.choice([-60.0, 0.0]), 50.0) for _ in range(3)]
        turns = rng.choice([1.0, 2.0, 4.0])
        counted = curved.base_above(base_a, turns)
        for p in range(3):
            drawn = sum(x * one for x, one in zip(some_line(rng), AHEAD, strict=True))
            true = complex(*curved.primary_base(base_a, turns, p)) + drawn
            assert imported(true) <= imported(counted[p] + drawn) + 1e-9


def test_the_base_that_a_meter_proves_is_between_the_bounds() -> None:
    rng = random.Random(4)
    for _ in range(DRAWS):
        low, more = some_line(rng), some_line(rng)
        one, two, three, four, five = (a + b for a, b in zip(low, more, strict=True))
        drawn = sum((a + rng.random() * b) * u for a, b, u in zip(low, more, AHEAD, strict=True))
        base_a = rng.uniform(0.0, 50.0)
        least_a, greatest_a = curved.base_between(
            abs(base_a + drawn), low, (one, two, three, four, five)
        )
        assert least_a - 1e-9 <= base_a <= greatest_a + 1e-9
