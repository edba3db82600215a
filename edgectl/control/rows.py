"""Rows of the tree: what EVSEs add to every row of every node, and what is left there.

Amounts add up as long as all currents of a row are in phase: a row is a number, and so is what an
EVSE adds to it. Where a site has line-to-line EVSEs or transformers a row is the most that flows
for any draw (`control/curved.py`), what EVSEs draw is kept by direction, and what is left is asked
for one EVSE at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Protocol

from edgectl.control.curved import (
    PRIMARY,
    Curves,
    above_of,
    line_of,
    loads_of,
    primary_base,
    rise_a,
    row_value,
    row_values,
    sum_groups,
    va_of_groups,
)
from edgectl.control.judge import NodeJudgement
from edgectl.control.layout import VA_ROW, Layout
from edgectl.control.sums import total
from edgectl.units import Triple

Row = list[float]


@dataclass(frozen=True, slots=True)
class Tight:
    """The row that leaves an EVSE the least room, in A of that EVSE; negative in debt."""

    node: int
    row: int
    room_a: float


class Room(Protocol):
    """What ceilings leave beside what is counted."""

    def tightest(self, i: int) -> Tight | None:
        """The row with the least room among those that EVSE i loads."""

    def take(self, i: int, extra_a: float) -> None:
        """Count `extra_a` more of EVSE i on every row that it loads."""


def sum_evses(
    layout: Layout,
    judged: tuple[NodeJudgement, ...],
    currents_a: Sequence[float],
    *,
    shown: Sequence[bool] = (),
) -> list[Row]:
    """Per node what loads it when EVSE i draws `currents_a[i]` on each of its phases.

    Four rows, or nine groups where there are phasors: what `with_base` takes. What is `shown` at a
    node is left out there and above.
    """
    if layout.curves is not None:
        return sum_groups(layout.curves, currents_a, shown=shown)
    rows: list[Row] = [[0.0, 0.0, 0.0, 0.0] for _ in layout.parent]
    for i, current_a in enumerate(currents_a):
        if current_a != 0.0:
            own = rows[layout.path[i][0]]
            for p in layout.phases[i]:
                own[p] += current_a
    for n in reversed(range(len(rows))):
        if shown and shown[n]:
            rows[n] = [0.0, 0.0, 0.0, 0.0]
            continue
        row = rows[n]
        above = layout.parent[n]
        if above >= 0:
            up = rows[above]
            up[0] += row[0]
            up[1] += row[1]
            up[2] += row[2]
        row[VA_ROW] = va_of(judged[n], row)
    return rows


def with_base(
    layout: Layout, node: NodeJudgement, n: int, base: Sequence[float], load: Sequence[float]
) -> Row:
    """The rows of node n: `base` (three phases and the sum in VA) and what `sum_evses` gave."""
    if layout.curves is not None:
        return row_values(base, load, node.voltage_v, layout.turns[n])
    return [base[r] + load[r] for r in range(len(load))]


def carries(layout: Layout, n: int, row: int, load: Sequence[float]) -> bool:
    """Whether a row of node n carries any of what `sum_evses` gave."""
    if layout.curves is not None:
        return loads_of(layout.curves, n, row, load)
    return load[row] != 0.0


@dataclass(frozen=True, slots=True)
class RowAt:
    """One row of node `n` with its base load, as in `with_base`; loads as `sum_evses` has them."""

    layout: Layout
    judged: NodeJudgement
    n: int
    row: int
    base: Sequence[float]

    def unit(self, i: int) -> Sequence[float]:
        """What one ampere of EVSE i below the node is there, as a load."""
        if self.layout.curves is not None:
            return self.layout.curves.reach[i][self.n].groups
        phases = self.layout.phases[i]
        on = [1.0 if p in phases else 0.0 for p in range(VA_ROW)]
        return (*on, volts_of(self.judged, phases))

    def value(self, load: Sequence[float]) -> float:
        """The row under a load."""
        if self.layout.curves is None:
            return self.base[self.row] + load[self.row]
        turns = self.layout.turns[self.n]
        return row_value(self.row, self.base, load, self.judged.voltage_v, turns)

    def rise_a(self, load: Sequence[float], unit: Sequence[float], ceiling: float) -> float:
        """How much more of `unit`, which loads the row, it bears below a ceiling that it keeps."""
        row = self.row
        if self.layout.curves is None:
            return (ceiling - self.value(load)) / unit[row]
        if row == VA_ROW:
            return (ceiling - self.value(load)) / va_of_groups(unit, self.judged.voltage_v)
        if row < VA_ROW:
            return rise_a(self.base[row], 0.0, line_of(load, row), line_of(unit, row), ceiling)
        turns, p = self.layout.turns[self.n] or 1.0, row - PRIMARY
        re, im = primary_base(self.base, turns, p)
        line, more = line_of(above_of(load, turns), p), line_of(above_of(unit, turns), p)
        return rise_a(re, im, line, more, ceiling)


def va_of(node: NodeJudgement, phases_a: Sequence[float]) -> float:
    """The VA row's value of three phase currents at one node."""
    v = node.voltage_v
    return v[0] * phases_a[0] + v[1] * phases_a[1] + v[2] * phases_a[2]


def measured_va_of(node: NodeJudgement) -> float | None:
    """The VA row's value that the newest meter value shows; None without a fresh one."""
    if all(value is None for value in node.meter_a):
        return None
    if node.implied is not None:
        return node.implied.va
    return va_of(node, [value or 0.0 for value in node.meter_a])


def watts_per_a(layout: Layout, node: NodeJudgement, i: int) -> float:
    """What one ampere of EVSE i is in W at the voltages of its own node."""
    if layout.curves is not None:
        return va_of_groups(layout.curves.reach[i][layout.own_node[i]].groups, node.voltage_v)
    return total(node.voltage_v[p] for p in layout.phases[i])


def amounts_on_lines(layout: Layout, n: int, i: int) -> Triple:
    """What one ampere of EVSE i is at most, as an amount on each line of a node above it."""
    if layout.curves is None:
        return layout.wired[i]
    groups = layout.curves.reach[i][n].groups
    one, two, three = (total(line_of(groups, p)) for p in range(3))
    return one, two, three


def loads_row(layout: Layout, n: int, row: int, i: int) -> bool:
    """Whether EVSE i, which is below node n, loads one of its rows."""
    if layout.curves is not None:
        return row in layout.curves.reach[i][n].rows
    return row == VA_ROW or row in layout.phases[i]


def room_of(
    layout: Layout,
    judged: tuple[NodeJudgement, ...],
    ceilings: Sequence[Sequence[float | None]],
    bases: Sequence[Sequence[float]],
    loads: Sequence[Row],
) -> Room:
    """What `ceilings` leave, by node and row; bases and loads as in `with_base`."""
    if layout.curves is not None:
        return _CurvedRoom(layout, layout.curves, judged, ceilings, bases, loads)
    return _StraightRoom(
        layout,
        judged,
        [
            [
                None if ceiling is None else ceiling - base[row] - load[row]
                for row, ceiling in enumerate(own)
            ]
            for own, base, load in zip(ceilings, bases, loads, strict=True)
        ],
    )


class _StraightRoom:
    """`left[n]`: what is left of every row of node n, None where there is no ceiling."""

    def __init__(
        self, layout: Layout, judged: tuple[NodeJudgement, ...], left: list[list[float | None]]
    ) -> None:
        self._layout = layout
        self._judged = judged
        self._left = left
        self._known: dict[tuple[int, tuple[int, ...]], Tight | None] = {}

    def tightest(self, i: int) -> Tight | None:
        # The many EVSEs of a node that load the same phases have one answer, until one takes more.
        alike = self._layout.own_node[i], self._layout.phases[i]
        if alike not in self._known:
            self._known[alike] = self._tightest(self._layout.path[i], alike[1])
        return self._known[alike]

    def _tightest(self, path: tuple[int, ...], phases: tuple[int, ...]) -> Tight | None:
        best_a, best_node, best_row = inf, -1, 0
        for n in path:
            rows = self._left[n]
            for p in phases:
                left = rows[p]
                if left is not None and left < best_a:
                    best_a, best_node, best_row = left, n, p
            left = rows[VA_ROW]
            if left is not None:
                left /= volts_of(self._judged[n], phases)
                if left < best_a:
                    best_a, best_node, best_row = left, n, VA_ROW
        return None if best_node < 0 else Tight(best_node, best_row, best_a)

    def take(self, i: int, extra_a: float) -> None:
        self._known.clear()
        phases = self._layout.phases[i]
        for n in self._layout.path[i]:
            rows = self._left[n]
            for p in phases:
                left = rows[p]
                if left is not None:
                    rows[p] = left - extra_a
            left = rows[VA_ROW]
            if left is not None:
                rows[VA_ROW] = left - extra_a * volts_of(self._judged[n], phases)


def volts_of(node: NodeJudgement, phases: tuple[int, ...]) -> float:
    """What one ampere on each of these phases adds to the node's VA row."""
    v = node.voltage_v
    return v[0] + v[1] + v[2] if len(phases) == 3 else total(v[p] for p in phases)


class _CurvedRoom:
    """Keeps what is counted by direction, and works a row out when somebody asks for it."""

    def __init__(  # noqa: PLR0917 - as `room_of` has it
        self,
        layout: Layout,
        curves: Curves,
        judged: tuple[NodeJudgement, ...],
        ceilings: Sequence[Sequence[float | None]],
        bases: Sequence[Sequence[float]],
        loads: Sequence[Row],
    ) -> None:
        self._layout = layout
        self._curves = curves
        self._judged = judged
        self._ceilings = ceilings
        self._bases = bases
        self._groups = [list(groups) for groups in loads]
        self._rows: dict[int, Row] = {}

    def tightest(self, i: int) -> Tight | None:
        best_a, best_node, best_row = inf, -1, 0
        for n in self._layout.path[i]:
            rows, ceilings = self._values(n), self._ceilings[n]
            for row in self._curves.reach[i][n].rows:
                ceiling = ceilings[row]
                if ceiling is None:
                    continue
                left_a = ceiling - rows[row]
                if left_a > 0.0:
                    at = RowAt(self._layout, self._judged[n], n, row, self._bases[n])
                    left_a = at.rise_a(self._groups[n], at.unit(i), ceiling)
                if left_a < best_a:
                    best_a, best_node, best_row = left_a, n, row
        return None if best_node < 0 else Tight(best_node, best_row, best_a)

    def take(self, i: int, extra_a: float) -> None:
        for n in self._layout.path[i]:
            groups = self._groups[n]
            for g, share in enumerate(self._curves.reach[i][n].groups):
                if share != 0.0:
                    groups[g] += extra_a * share
            self._rows.pop(n, None)

    def _values(self, n: int) -> Row:
        rows = self._rows.get(n)
        if rows is None:
            rows = self._rows[n] = with_base(
                self._layout, self._judged[n], n, self._bases[n], self._groups[n]
            )
        return rows
