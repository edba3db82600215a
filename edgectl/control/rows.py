"""Sums over the tree: what EVSEs add to every row of every node."""

from collections.abc import Sequence
from dataclasses import dataclass

from edgectl.control.judge import NodeJudgement
from edgectl.control.layout import VA_ROW, Layout

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


def tightest(
    layout: Layout,
    judged: tuple[NodeJudgement, ...],
    room: Sequence[Sequence[float | None]],
    i: int,
) -> Tight | None:
    """The row with the least room among those that EVSE i loads, in A of that EVSE."""
    best: Tight | None = None
    for n in layout.path[i]:
        for p in layout.phases[i]:
            left = room[n][p]
            if left is not None and (best is None or left < best.room_a):
                best = Tight(n, p, left)
        left = room[n][VA_ROW]
        if left is not None:
            left_a = left / sum(judged[n].voltage_v[p] for p in layout.phases[i])
            if best is None or left_a < best.room_a:
                best = Tight(n, VA_ROW, left_a)
    return best
