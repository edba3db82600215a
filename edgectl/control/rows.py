"""Sums over the tree: what EVSEs add to every row of every node."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from edgectl.control.judge import NodeJudgement
from edgectl.control.layout import VA_ROW, Layout
from edgectl.control.sums import total

Row = list[float]


@dataclass(frozen=True, slots=True)
class Tight:
    """The row that leaves an EVSE the least room."""

    node: int
    row: int
    room_a: float


def sum_evses(
    layout: Layout, judged: tuple[NodeJudgement, ...], currents_a: Sequence[float]
) -> list[Row]:
    """Per node, the four rows' load when EVSE i draws `currents_a[i]` on each of its phases."""
    rows: list[Row] = [[0.0, 0.0, 0.0, 0.0] for _ in layout.parent]
    for i, current_a in enumerate(currents_a):
        if current_a != 0.0:
            own = rows[layout.path[i][0]]
            for p in layout.phases[i]:
                own[p] += current_a
    for n in reversed(range(len(rows))):
        row = rows[n]
        above = layout.parent[n]
        if above >= 0:
            up = rows[above]
            up[0] += row[0]
            up[1] += row[1]
            up[2] += row[2]
        row[VA_ROW] = va_of(judged[n], row)
    return rows


def va_of(node: NodeJudgement, phases_a: Sequence[float]) -> float:
    """The VA row's value of three phase currents at one node."""
    v = node.voltage_v
    return v[0] * phases_a[0] + v[1] * phases_a[1] + v[2] * phases_a[2]


Room = list[list[float | None]]
"""Per node and row what is left; None where there is no ceiling."""


def tightest(layout: Layout, judged: tuple[NodeJudgement, ...], room: Room, i: int) -> Tight | None:
    """The row with the least room among those that EVSE i loads, in A of that EVSE."""
    best_a, best_node, best_row = inf, -1, 0
    phases = layout.phases[i]
    for n in layout.path[i]:
        rows = room[n]
        for p in phases:
            left = rows[p]
            if left is not None and left < best_a:
                best_a, best_node, best_row = left, n, p
        left = rows[VA_ROW]
        if left is not None:
            left /= volts_of(judged[n], phases)
            if left < best_a:
                best_a, best_node, best_row = left, n, VA_ROW
    return None if best_node < 0 else Tight(best_node, best_row, best_a)


def volts_of(node: NodeJudgement, phases: tuple[int, ...]) -> float:
    """What one ampere on each of these phases adds to the node's VA row."""
    v = node.voltage_v
    return v[0] + v[1] + v[2] if len(phases) == 3 else total(v[p] for p in phases)
