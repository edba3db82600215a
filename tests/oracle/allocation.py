"""A slow oracle of the allocation, written from the definition.

Continuous max-min by successive linear programs: raise the least share of all who are not yet
settled as far as it goes; then ask for each of them alone whether it could have more while nobody
falls below that share; who could not is settled. Admission, rounding and handing out try every
single thing against every single row, summed afresh.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import highspy

from tests.oracle.problem import Evse, Problem, Row, rows_of

SAME = 1e-9
STUCK = 1e-7


@dataclass(frozen=True)
class Answer:
    setpoint_a: list[float]
    admitted: list[bool]
    continuous_a: dict[int, float]


def allocate(problem: Problem) -> Answer:
    rows = rows_of(problem)
    held = [evse.pause_a for evse in problem.evses]
    admitted = [False] * len(held)
    continuous: dict[int, float] = {}
    for tier in sorted({evse.tier for evse in problem.evses}):
        waiting = [i for i in problem.queue if problem.evses[i].tier == tier]
        bounds = {}
        for i in waiting:
            grid = Grid(problem.evses[i])
            low, high = grid.at_least(problem.evses[i].min_a), grid.at_most(problem.evses[i].max_a)
            if low is not None and high is not None and high >= low:
                bounds[i] = (low, high)
        bounds = _admitted(rows, held, bounds)
        for i, (low, _) in bounds.items():
            held[i], admitted[i] = low, True
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


def _admitted(
    rows: list[Row], held: list[float], bounds: dict[int, tuple[float, float]]
) -> dict[int, tuple[float, float]]:
    """All, if all fit at their minima together; else who fits when its turn comes."""
    together = [bounds[i][0] if i in bounds else x for i, x in enumerate(held)]
    if all(bounds[i][0] >= held[i] for i in bounds) and all(
        _load(row, together) <= row.room + SAME for row in rows
    ):
        return bounds
    taken = {}
    now = list(held)
    for i, (low, high) in bounds.items():
        if _fits(rows, now, i, low):
            now[i] = low
            taken[i] = (low, high)
    return taken


def _load(row: Row, current_a: Sequence[float]) -> float:
    return math.fsum(c * current_a[i] for i, c in row.loads.items())


class Grid:
    """The currents that an EVSE can be told: any, whole multiples of a step, or a list."""

    def __init__(self, evse: Evse) -> None:
        self.step = Fraction(repr(evse.step_a))
        self.allowed = evse.allowed
        self.continuous = not self.step and not self.allowed

    def at_most(self, value: float) -> float | None:
        if self.allowed:
            fitting = [a for a in self.allowed if a <= value + SAME]
            return max(fitting) if fitting else None
        if not self.step:
            return value
        return float(math.floor((Fraction(value) + Fraction(SAME)) / self.step) * self.step)

    def at_least(self, value: float) -> float | None:
        if self.allowed:
            fitting = [a for a in self.allowed if a >= value - SAME]
            return min(fitting) if fitting else None
        if not self.step:
            return value
        return float(math.ceil((Fraction(value) - Fraction(SAME)) / self.step) * self.step)

    def above(self, value: float) -> float:
        if self.allowed:
            return min(a for a in self.allowed if a > value + SAME)
        return float(round(Fraction(value) / self.step + 1) * self.step)


def _fits(rows: list[Row], held: list[float], i: int, value: float) -> bool:
    tried = [*held[:i], value, *held[i + 1 :]]
    return all(
        math.fsum(c * tried[j] for j, c in row.loads.items()) <= row.room + SAME
        for row in rows
        if row.loads.get(i, 0.0) > 0.0
    )


def make_whole(
    *,
    problem: Problem,
    fits: Callable[[int, float], bool],
    held: list[float],
    waiting: list[int],
    bounds: dict[int, tuple[float, float]],
    filled: dict[int, float],
) -> None:
    """Round down, then hand out what was lost; changes `held`."""
    lost = {}
    for i in bounds:
        down = Grid(problem.evses[i]).at_most(filled[i])
        assert down is not None
        held[i] = min(max(down, bounds[i][0]), bounds[i][1])
        lost[i] = round(filled[i] - held[i], 8)
    stepped = [i for i in waiting if i in bounds and not Grid(problem.evses[i]).continuous]
    order = sorted(stepped, key=lambda i: (-lost[i], waiting.index(i)))
    handed = True
    while handed:
        handed = False
        for i in order:
            if held[i] >= bounds[i][1] - SAME:
                continue
            more = Grid(problem.evses[i]).above(held[i])
            if fits(i, more):
                held[i] = more
                handed = True


def max_min(
    rows: list[Row],
    held: list[float],
    bounds: dict[int, tuple[float, float]],
    weight: dict[int, float],
) -> dict[int, float]:
    """Lexicographic max-min of share = current / weight within bounds, the others held."""
    settled: dict[int, float] = {}
    while len(settled) < len(bounds):
        program = _Program(rows, held, bounds, settled)
        free = [i for i in bounds if i not in settled]
        level, current = program.raise_least_share(free, weight)
        before = len(settled)
        program.keep_shares(free, weight, level)
        for i in free:
            least = min(max(bounds[i][0], weight[i] * level), bounds[i][1])
            if current[i] > least + STUCK or program.most(i) > least + STUCK:
                continue
            settled[i] = least
        assert len(settled) > before, "a linear program settled nobody"
    return settled


class _Program:
    """One linear program: a column for each admitted EVSE and one for the least share."""

    def __init__(
        self,
        rows: list[Row],
        held: list[float],
        bounds: dict[int, tuple[float, float]],
        settled: dict[int, float],
    ) -> None:
        self.bounds = bounds
        self.column = {i: k for k, i in enumerate(bounds)}
        self.share = len(bounds)
        self.solver = highspy.Highs()  # type: ignore[no-untyped-call]
        for option, value in (
            ("output_flag", False),
            ("threads", 1),
            ("primal_feasibility_tolerance", 1e-10),
            ("dual_feasibility_tolerance", 1e-10),
        ):
            self.solver.setOptionValue(option, value)
        for i, (low, high) in bounds.items():
            if i in settled:
                low = high = settled[i]  # noqa: PLW2901 - settled ones have no room
            self.solver.addVar(low, high)
        self.solver.addVar(0.0, highspy.kHighsInf)
        self.solver.changeObjectiveSense(highspy.ObjSense.kMaximize)
        for row in rows:
            self._add_row(row, held)

    def _add_row(self, row: Row, held: list[float]) -> None:
        taking = {i: c for i, c in row.loads.items() if i in self.column and c != 0.0}
        if not taking:
            return
        largest = max(abs(c) for c in taking.values())
        left = row.room - math.fsum(c * held[i] for i, c in row.loads.items() if i not in taking)
        # Exact ties at the minimum may leave a row short by rounding.
        left = max(left, math.fsum(c * self.bounds[i][0] for i, c in taking.items()))
        self.solver.addRow(
            -highspy.kHighsInf,
            left / largest,
            len(taking),
            [self.column[i] for i in taking],
            [c / largest for c in taking.values()],
        )

    def raise_least_share(
        self, free: list[int], weight: dict[int, float]
    ) -> tuple[float, dict[int, float]]:
        """The greatest share that all of `free` can have at once, up to their maxima."""
        capped = min(self.bounds[i][1] / weight[i] for i in free)
        self.solver.changeColBounds(self.share, 0.0, capped)
        for i in free:
            self.solver.addRow(
                0.0, highspy.kHighsInf, 2, [self.column[i], self.share], [1.0, -weight[i]]
            )
        self.solver.changeColCost(self.share, 1.0)
        self._run()
        values = self.solver.getSolution().col_value
        self.solver.changeColCost(self.share, 0.0)
        return values[self.share], {i: values[self.column[i]] for i in free}

    def keep_shares(self, free: list[int], weight: dict[int, float], level: float) -> None:
        self.solver.changeColBounds(self.share, 0.0, 0.0)
        for i in free:
            low, high = self.bounds[i]
            self.solver.changeColBounds(
                self.column[i], min(max(low, weight[i] * level), high), high
            )

    def most(self, i: int) -> float:
        self.solver.changeColCost(self.column[i], 1.0)
        self._run()
        value = self.solver.getSolution().col_value[self.column[i]]
        self.solver.changeColCost(self.column[i], 0.0)
        return float(value)

    def _run(self) -> None:
        self.solver.run()
        status = self.solver.getModelStatus()
        assert status == highspy.HighsModelStatus.kOptimal, status
