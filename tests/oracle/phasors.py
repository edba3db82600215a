"""A slow oracle for sites with line-to-line loads and transformers, written from the definition.

Line currents are complex numbers, followed from every EVSE through every transformer. A row holds
if it holds for every subset of what may be drawn; draws of one direction stand and fall together,
so that subsets of directions are enough. The level of the filling is found by bisection, and who
can have more by trying.
"""

import cmath
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.oracle.allocation import Answer, Grid, make_whole
from tests.oracle.problem import Problem

SAME = 1e-9
LESS = 1e-11
HALVINGS = 100
TRIED_A = (1e-5, 1e-4, 1e-3, 1e-2)

LINES = tuple(cmath.exp(-2j * math.pi * p / 3.0) for p in range(3))
"""The voltages of three lines to neutral, and so the currents of loads between them."""

PAIRS = {
    frozenset({1, 2}): (0, 1, cmath.exp(1j * math.radians(30.0))),
    frozenset({2, 3}): (1, 2, cmath.exp(1j * math.radians(-90.0))),
    frozenset({1, 3}): (2, 0, cmath.exp(1j * math.radians(150.0))),
}

Currents = tuple[complex, complex, complex]
NOTHING: Currents = (0j, 0j, 0j)


def to_primary(secondary: Currents, ratio: float) -> Currents:
    """Primary currents against the primary voltages: there a balanced load is in phase again."""
    a, b, c = secondary
    balanced = LINES[0] - LINES[2]
    turn = LINES[0] / (balanced / abs(balanced)) / ratio
    return ((a - c) * turn, (b - a) * turn, (c - b) * turn)


@dataclass(frozen=True)
class Line:
    """A line of a node. `draws`: for each EVSE the parts of its current, each of which may be 0."""

    node: int
    name: str
    draws: dict[int, list[complex]]
    base: complex
    voltage: complex
    ceiling_a: float

    def loaded_by(self, evse: int) -> bool:
        return any(abs(part) > SAME for part in self.draws.get(evse, []))

    def worst_a(self, current_a: Sequence[float]) -> float:
        together: dict[int, complex] = {}
        for i, parts in self.draws.items():
            for part in parts:
                drawn = part * current_a[i]
                if abs(drawn) > 0.0:
                    direction = round(math.degrees(cmath.phase(part))) % 360
                    together[direction] = together.get(direction, 0j) + drawn
        return max(
            self.imported_a(self.base + sum(subset))
            for count in range(len(together) + 1)
            for subset in itertools.combinations(together.values(), count)
        )

    def imported_a(self, current: complex) -> float:
        """What feeds back in phase with the voltage is no import."""
        against = current / self.voltage
        return math.hypot(max(0.0, against.real), against.imag)

    def holds(self, current_a: Sequence[float], slack: float = SAME) -> bool:
        if self.imported_a(self.base) > self.ceiling_a + SAME:
            return all(current_a[i] <= slack for i in self.draws if self.loaded_by(i))
        return self.worst_a(current_a) <= self.ceiling_a + slack


@dataclass(frozen=True)
class Power:
    """The sum of a node in VA: what each EVSE takes, whatever lies between."""

    node: int
    per_ampere: dict[int, float]
    room_va: float

    def loaded_by(self, evse: int) -> bool:
        return self.per_ampere.get(evse, 0.0) > 0.0

    def holds(self, current_a: Sequence[float], slack: float = SAME) -> bool:
        taken = math.fsum(va * current_a[i] for i, va in self.per_ampere.items())
        return taken <= self.room_va + slack * max(1.0, *self.per_ampere.values())


Row = Line | Power


def rows_of(problem: Problem) -> list[Row]:
    lines: dict[tuple[int, str], dict[int, list[Currents]]] = {}
    power: dict[int, dict[int, float]] = {n: {} for n in range(len(problem.nodes))}
    for i, evse in enumerate(problem.evses):
        parts = _parts(evse.phases, line_to_line=evse.line_to_line)
        at: int | None = evse.node
        while at is not None:
            node = problem.nodes[at]
            lines.setdefault((at, "own"), {})[i] = parts
            power[at][i] = sum(_va_per_ampere(part, node.voltage_v) for part in parts)
            if node.turns_ratio is not None:
                parts = [to_primary(part, node.turns_ratio) for part in parts]
                lines.setdefault((at, "primary"), {})[i] = parts
            at = node.parent
    rows: list[Row] = []
    for (n, side), draws in lines.items():
        node = problem.nodes[n]
        a, b, c = (amps * line for amps, line in zip(node.base_a, LINES, strict=True))
        base, ceilings = (a, b, c), node.ceiling_a
        if side == "primary":
            assert node.turns_ratio is not None
            base, ceilings = to_primary(base, node.turns_ratio), node.primary_ceiling_a
        for p, ceiling in enumerate(ceilings):
            if ceiling is not None:
                on_line = {i: [part[p] for part in parts] for i, parts in draws.items()}
                rows.append(Line(n, f"{side} {p + 1}", on_line, base[p], LINES[p], ceiling))
    for n, node in enumerate(problem.nodes):
        if node.ceiling_va is not None:
            rows.append(Power(n, power[n], max(0.0, node.ceiling_va - node.base_va)))
    return rows


def _parts(phases: frozenset[int], *, line_to_line: bool) -> list[Currents]:
    """What one ampere is on the three lines, by parts that may be drawn one without the other."""
    if line_to_line:
        out, back, current = PAIRS[phases]
        lines = [0j, 0j, 0j]
        lines[out], lines[back] = current, -current
        return [(lines[0], lines[1], lines[2])]
    return [
        (
            LINES[0] if p == 1 else 0j,
            LINES[1] if p == 2 else 0j,
            LINES[2] if p == 3 else 0j,
        )
        for p in sorted(phases)
    ]


def _va_per_ampere(part: Currents, volts: Sequence[float]) -> float:
    """Apparent power of what is drawn between two lines; on one or three of them, its power."""
    carrying = [p for p in range(3) if abs(part[p]) > SAME]
    if len(carrying) == 2:
        first, second = carrying
        return abs(volts[first] * LINES[first] - volts[second] * LINES[second]) * abs(part[first])
    return sum(volts[p] * (part[p] / LINES[p]).real for p in carrying)


def allocate(problem: Problem) -> Answer:
    """As `tests.oracle.allocation`, with these rows."""
    rows = rows_of(problem)
    held = [evse.pause_a for evse in problem.evses]
    admitted = [False] * len(held)
    continuous: dict[int, float] = {}
    for tier in sorted({evse.tier for evse in problem.evses}):
        waiting = [i for i in problem.queue if problem.evses[i].tier == tier]
        bounds: dict[int, tuple[float, float]] = {}
        for i in waiting:
            grid = Grid(problem.evses[i])
            low, high = grid.at_least(problem.evses[i].min_a), grid.at_most(problem.evses[i].max_a)
            if low is None or high is None or high < low:
                continue
            if _fits(rows, held, i, low):
                held[i], admitted[i], bounds[i] = low, True, (low, high)
        weight = {i: problem.evses[i].weight for i in bounds}
        filled = max_min(rows, held, bounds, weight)
        continuous |= filled
        make_whole(
            problem=problem,
            fits=lambda i, value: _fits(rows, held, i, value),
            held=held,
            waiting=waiting,
            bounds=bounds,
            filled=filled,
        )
    return Answer(held, admitted, continuous)


def _fits(rows: list[Row], held: list[float], i: int, value: float) -> bool:
    tried = [*held[:i], value, *held[i + 1 :]]
    return all(row.holds(tried) for row in rows if row.loaded_by(i))


def max_min(
    rows: list[Row],
    held: list[float],
    bounds: dict[int, tuple[float, float]],
    weight: dict[int, float],
) -> dict[int, float]:
    """Lexicographic max-min of share = current / weight within bounds, the others held."""
    settled: dict[int, float] = {}
    mine = [row for row in rows if any(row.loaded_by(i) for i in bounds)]

    def at(level: float) -> list[float]:
        tried = list(held)
        for i, (low, high) in bounds.items():
            tried[i] = settled.get(i, min(max(low, weight[i] * level), high))
        return tried

    # Less slack where the level is found than where others are tried beside it, and a little more
    # for each who is settled: or the first takes all of it. A row that exact fits have left with no
    # more than the whole slack keeps that.
    whole = [not row.holds(at(0.0), LESS) for row in mine]

    def holds(tried: list[float]) -> bool:
        less = LESS * (1 + len(settled))
        return all(
            row.holds(tried, SAME if all_of_it else less)
            for row, all_of_it in zip(mine, whole, strict=True)
        )

    level = 0.0
    while len(settled) < len(bounds):
        free = [i for i in bounds if i not in settled]
        top = max(bounds[i][1] / weight[i] for i in free)
        level = _highest(lambda tried: holds(at(tried)), level, top)
        settled |= _stuck(mine, bounds, at(level), free)
    return settled


def _highest(holds: Callable[[float], bool], low: float, high: float) -> float:
    if holds(high):
        return high
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def _stuck(
    rows: list[Row], bounds: dict[int, tuple[float, float]], reached: list[float], free: list[int]
) -> dict[int, float]:
    """Those who can have no more while the others keep what they have reached."""
    for step_a in TRIED_A:
        stuck = {}
        for i in free:
            more = reached[i] + step_a
            tried = [*reached[:i], more, *reached[i + 1 :]]
            if more > bounds[i][1] or not all(row.holds(tried) for row in rows):
                stuck[i] = reached[i]
        # At right angles to a full row a small step is not seen.
        if stuck:
            return stuck
    raise AssertionError("a level stopped nobody")
