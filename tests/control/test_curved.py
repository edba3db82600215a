"""Rows of phasors against complex arithmetic that knows nothing of kinds, corners or angles."""

import random
from cmath import rect
from itertools import product
from math import inf, radians, sqrt

import pytest

from edgectl.control import curved
from edgectl.control.layout import layout_of
from edgectl.model.site import Connection, Node, Transformer
from edgectl.units import NodeId
from tests.control.world import GRID, evse, site

LINE = [rect(1.0, radians(angle)) for angle in (0.0, -120.0, 120.0)]
AHEAD = [rect(1.0, radians(angle)) for angle in (0.0, 30.0, -30.0, 60.0, -60.0)]
ROOT_3 = sqrt(3.0)
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
        (complex(60.1), 60.1 + 1e-9, (60.1 + 1e-9) - 60.1),
        (complex(0.3), 0.3 + 1e-12, (0.3 + 1e-12) - 0.3),
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


def proved_a(meter_a: float, *drawn_a: float) -> float:
    """The base in phase with which a line carries so much beside these draws."""
    drawn = complex(sum(a * one for a, one in zip(drawn_a, AHEAD, strict=False)))
    if meter_a < 0.0:
        return meter_a - abs(drawn.imag) - drawn.real
    return sqrt(meter_a**2 - drawn.imag**2) - drawn.real


@pytest.mark.parametrize("meter_a", [20.0, -20.0])
@pytest.mark.parametrize(
    ("low", "high", "least_at", "across_a"),
    [
        # What is known leaves one base; `across_a`: the least that flows across the voltage.
        ((5.0, 0.0, 0.0, 0.0, 0.0), (5.0, 0.0, 0.0, 0.0, 0.0), (5.0,), 0.0),
        ((5.0, 4.0, 0.0, 0.0, 0.0), (5.0, 4.0, 0.0, 0.0, 0.0), (5.0, 4.0), 2.0),
        # Of what may be anything in between the most leaves the least.
        ((1.0, 0.0, 0.0, 0.0, 0.0), (6.0, 0.0, 0.0, 0.0, 0.0), (6.0,), 0.0),
        ((0.0, 4.0, 0.0, 0.0, 0.0), (0.0, 10.0, 0.0, 0.0, 0.0), (0.0, 10.0), 2.0),
        ((0.0, 0.0, 4.0, 0.0, 0.0), (0.0, 0.0, 10.0, 0.0, 0.0), (0.0, 0.0, 10.0), 2.0),
        ((0.0, 0.0, 0.0, 2.0, 0.0), (0.0, 0.0, 0.0, 6.0, 0.0), (0.0, 0.0, 0.0, 6.0), sqrt(3.0)),
        (
            (0.0, 0.0, 0.0, 0.0, 2.0),
            (0.0, 0.0, 0.0, 0.0, 6.0),
            (0.0, 0.0, 0.0, 0.0, 6.0),
            sqrt(3.0),
        ),
    ],
)
def test_the_bounds_of_the_base_are_those_of_the_draws(
    meter_a: float,
    low: curved.Line,
    high: curved.Line,
    least_at: tuple[float, ...],
    across_a: float,
) -> None:
    least_a, greatest_a = curved.base_between(meter_a, low, high)
    assert least_a == pytest.approx(proved_a(meter_a, *least_at))
    in_phase_a = complex(sum(a * one for a, one in zip(low, AHEAD, strict=True))).real
    none_across_a = meter_a - across_a if meter_a < 0.0 else sqrt(meter_a**2 - across_a**2)
    assert greatest_a == pytest.approx(none_across_a - in_phase_a)


@pytest.mark.parametrize(
    ("low", "high", "across_a", "in_phase_a"),
    [
        # From 4 A ahead less 3 A behind on, halved; then they meet, and nothing need be across.
        ((0.0, 4.0, 1.0, 0.0, 0.0), (0.0, 10.0, 3.0, 0.0, 0.0), 0.5, 5.0 * sqrt(0.75)),
        ((0.0, 1.0, 4.0, 0.0, 0.0), (0.0, 3.0, 10.0, 0.0, 0.0), 0.5, 5.0 * sqrt(0.75)),
        ((0.0, 4.0, 1.0, 0.0, 0.0), (0.0, 10.0, 5.0, 0.0, 0.0), 0.0, 5.0 * sqrt(0.75)),
        ((0.0, 0.0, 0.0, 4.0, 0.0), (0.0, 0.0, 0.0, 5.0, 2.0), sqrt(3.0), 2.0),
    ],
)
def test_what_flows_against_each_other_across_the_voltage_may_be_gone(
    low: curved.Line, high: curved.Line, across_a: float, in_phase_a: float
) -> None:
    _, greatest_a = curved.base_between(20.0, low, high)
    assert greatest_a == pytest.approx(sqrt(400.0 - across_a**2) - in_phase_a)


@pytest.mark.parametrize(
    ("base_a", "turns", "above_a"),
    [
        ((30.0, 30.0, 30.0), 2.0, (15.0 * ROOT_3, 15.0 * ROOT_3, 15.0 * ROOT_3)),
        ((30.0, 0.0, 0.0), 1.0, (30.0 * ROOT_3, 30.0 * ROOT_3, 0.0)),
        ((0.0, 20.0, 10.0), 4.0, (2.5 * ROOT_3, 5.0 * ROOT_3, 5.0 * ROOT_3)),
        # What is fed back on one of two windings flows across the voltage.
        ((-10.0, 30.0, 0.0), 1.0, (10.0, 30.0 * ROOT_3, 30.0 * ROOT_3)),
        ((-60.0, 5.0, -40.0), 2.0, (10.0, 32.5, 22.5)),
        ((-60.0, -60.0, -60.0), 2.0, (0.0, 0.0, 0.0)),
    ],
)
def test_a_base_above_a_transformer_is_as_if_both_windings_carried_the_greater(
    base_a: tuple[float, ...], turns: float, above_a: tuple[float, ...]
) -> None:
    assert curved.base_above(base_a, turns) == pytest.approx(above_a)


HALL = NodeId("hall")


def behind_a_transformer() -> curved.Curves:
    """At the hall, ratio 2: e1 on AB, e2 on A, e3 on all three; at the connection: e4 on CA."""
    between = Connection.LINE_TO_LINE
    nodes = [
        Node(id=GRID, parent=None),
        Node(id=HALL, parent=GRID, transformer=Transformer(turns_ratio=2.0)),
    ]
    evses = [
        evse(1, node=HALL, phases=(1, 2), connection=between),
        evse(2, node=HALL, phases=(1,)),
        evse(3, node=HALL, phases=(1, 2, 3)),
        evse(4, phases=(1, 3), connection=between),
    ]
    made = layout_of(site(evses=evses, nodes=nodes, meters=[])).curves
    assert made is not None
    return made


def some(**amps: float) -> tuple[float, ...]:
    """Groups by name: `a` to neutral, `ab` between, `aa` for what loads it doubly."""
    names = ("a", "b", "c", "ab", "bc", "ca", "aa", "bb", "cc")
    return tuple(amps.get(name, 0.0) for name in names)


def test_every_evse_reaches_the_lines_that_its_current_flows_in() -> None:
    """Primary lines carry (a - c) / 2, (b - a) / 2 and (c - b) / 2: of AB 1, -2 and 1 halves."""
    made = behind_a_transformer()
    hall, grid = 1, 0
    reach = {(i, n): (r.groups, r.rows) for i, at in enumerate(made.reach) for n, r in at.items()}
    assert reach == {
        (0, hall): (some(ab=1.0), (0, 1, 3, 4, 5, 6)),
        (0, grid): (some(bb=0.5), (0, 1, 2, 3)),
        (1, hall): (some(a=1.0), (0, 3, 4, 5)),
        (1, grid): (some(ab=0.5), (0, 1, 3)),
        (2, hall): (some(a=1.0, b=1.0, c=1.0), (0, 1, 2, 3, 4, 5, 6)),
        (2, grid): (some(ab=0.5, bc=0.5, ca=0.5), (0, 1, 2, 3)),
        (3, grid): (some(ca=1.0), (0, 2, 3)),
    }
    assert made.own == ((3,), (0,), (0, 1, 2), (5,))
    assert tuple(made.of_group(0, hall, 3)) == some(ab=1.0)
    assert tuple(made.of_group(0, grid, 3)) == some(bb=0.5)
    assert tuple(made.of_group(2, grid, 2)) == some(ca=0.5)


def test_what_is_drawn_goes_up_by_kind_and_stays_where_it_is_shown() -> None:
    made = behind_a_transformer()
    hall = some(ab=2.0, a=4.0 + 6.0, b=6.0, c=6.0)
    grid = some(bb=1.0, ab=5.0, bc=3.0, ca=3.0 + 8.0)
    sums = curved.sum_groups(made, (2.0, 4.0, 6.0, 8.0))
    assert [tuple(one) for one in sums] == [grid, hall]
    sums = curved.sum_groups(made, (2.0, 4.0, 6.0, 8.0), shown=(False, True))
    assert [tuple(one) for one in sums] == [some(ca=8.0), some()]


@pytest.mark.parametrize(
    ("groups", "rows"),
    [
        (some(), ()),
        (some(a=1.0), (0, 3, 4, 5)),
        (some(bc=1.0), (1, 2, 3, 4, 5, 6)),
        (some(c=1.0), (2, 3, 4, 6)),
    ],
)
def test_a_load_is_known_by_the_rows_that_it_loads(
    groups: tuple[float, ...], rows: tuple[int, ...]
) -> None:
    made = behind_a_transformer()
    assert tuple(row for row in range(7) if curved.loads_of(made, 1, row, groups)) == rows
    assert not any(curved.loads_of(made, 0, row, groups) for row in (4, 5, 6)), "no transformer"


LINE_1_A = sqrt((15.0 * ROOT_3 + 5.0 * sqrt(0.75)) ** 2 + 2.5**2)
"""30 A of base on all lines make 15 A times root 3 in phase, and 10 A on A 5 A at 30 degrees."""


@pytest.mark.parametrize(
    ("base_a", "groups", "rows"),
    [
        ((0.0, 0.0, 0.0), some(a=10.0), (10.0, 0.0, 0.0, 1000.0, 5.0, 5.0, 0.0)),
        ((0.0, 0.0, 0.0), some(c=10.0), (0.0, 0.0, 10.0, 1300.0, 5.0, 0.0, 5.0)),
        ((30.0, 0.0, 0.0), some(), (30.0, 0.0, 0.0, 3000.0, 15.0, 15.0, 0.0)),
        ((0.0, 30.0, 0.0), some(), (0.0, 30.0, 0.0, 3300.0, 0.0, 15.0, 15.0)),
        ((0.0, 0.0, 30.0), some(), (0.0, 0.0, 30.0, 3900.0, 15.0, 0.0, 15.0)),
        (
            (30.0, 30.0, 30.0),
            some(a=10.0),
            (40.0, 30.0, 30.0, 11_200.0, LINE_1_A, LINE_1_A, 15.0 * ROOT_3),
        ),
    ],
)
def test_a_transformer_has_seven_rows(
    base_a: tuple[float, float, float], groups: tuple[float, ...], rows: tuple[float, ...]
) -> None:
    base = (*base_a, sum(a * v for a, v in zip(base_a, UNLIKE_V, strict=True)))
    assert curved.row_values(base, groups, UNLIKE_V, 2.0) == pytest.approx(rows)
    assert curved.row_values(base, groups, UNLIKE_V, None) == pytest.approx(rows[:4])
    above = tuple(curved.primary_a(base_a, groups, 2.0))
    assert above == pytest.approx(rows[4:])


@pytest.mark.parametrize("meter_a", [3.0, 5.0])
def test_draws_that_are_more_across_the_voltage_than_a_meter_shows_leave_none_in_phase(
    meter_a: float,
) -> None:
    """10 A at 30 degrees are 5 A across: what is in phase with the line is made up for."""
    line = (0.0, 10.0, 0.0, 0.0, 0.0)
    base_a = -10.0 * sqrt(0.75)
    assert curved.proved_base_a(meter_a, line) == pytest.approx(base_a)
    assert curved.base_between(meter_a, line, line) == pytest.approx((base_a, base_a))


UNIT_AHEAD = (0.0, 1.0, 0.0, 0.0, 0.0)
UNIT_BEHIND = (0.0, 0.0, 1.0, 0.0, 0.0)


@pytest.mark.parametrize("unit", [UNIT_AHEAD, UNIT_BEHIND])
@pytest.mark.parametrize(
    ("fed_a", "room_a"),
    [
        # While the line feeds back only 0.5 A of each ampere count: 20 A reach 10 A, and 17.3 A in
        # phase leave 2.7 A of the 20 A.
        (20.0, 20.0),
        # Nothing is fed back any more from 11.5 A on: |(-10 + 0.866 t, 0.5 t)| = 10 at 17.3 A.
        (10.0, 10.0 * sqrt(3.0)),
    ],
)
def test_what_is_fed_back_leaves_room_for_what_is_in_phase(
    unit: curved.Line, fed_a: float, room_a: float
) -> None:
    assert curved.rise_a(-fed_a, 0.0, EMPTY, unit, 10.0) == pytest.approx(room_a)
