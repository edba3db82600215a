"""Says what is wrong with an allocation, from the definition of feasible and of max-min alone."""

import math
from collections.abc import Sequence

from tests.oracle.problem import Problem, Row, rows_of

FEASIBLE_A = 1e-8
"""A row may be exceeded by what an exact fit in decimal fractions loses in binary."""

SHARE = 1e-6


def exceeded(problem: Problem, setpoint_a: Sequence[float], admitted: Sequence[bool]) -> list[str]:
    """Rows above their headroom although somebody admitted loads them."""
    wrong = []
    for row in rows_of(problem):
        loading = [i for i, c in row.loads.items() if c > 0.0 and admitted[i]]
        largest = max(row.loads.values(), default=0.0)
        if loading and _load(row, setpoint_a) > row.room + FEASIBLE_A * max(1.0, largest):
            wrong.append(f"row {row.name} of node {row.node}")
    return wrong


def outside(problem: Problem, setpoint_a: Sequence[float], admitted: Sequence[bool]) -> list[str]:
    """EVSEs whose setpoint is neither in their allowed set nor their pause value."""
    wrong = []
    for i, (evse, x) in enumerate(zip(problem.evses, setpoint_a, strict=True)):
        if not admitted[i]:
            good = x == evse.pause_a
        else:
            good = evse.min_a - 1e-9 <= x <= evse.max_a + 1e-9
            if evse.allowed:
                good = good and x in evse.allowed
            elif evse.step_a:
                good = good and math.isclose(x, round(x / evse.step_a) * evse.step_a, abs_tol=1e-9)
        if not good:
            wrong.append(f"EVSE {i} at {x} A")
    return wrong


def could_have_more(
    problem: Problem, setpoint_a: Sequence[float], admitted: Sequence[bool]
) -> list[str]:
    """EVSEs that break max-min: nothing that is full holds them back in favour of smaller shares.

    For continuous setpoints. An EVSE below its maximum must load a full row on which nobody of its
    tier has a greater share, except by minimum.
    """
    rows = rows_of(problem)
    wrong = []
    for i, evse in enumerate(problem.evses):
        if not admitted[i] or setpoint_a[i] >= evse.max_a - SHARE:
            continue
        share = setpoint_a[i] / evse.weight
        held_back = False
        for row in rows:
            unit = row.loads.get(i, 0.0)
            if unit <= 0.0 or _load(row, setpoint_a) < row.room - SHARE * unit:
                continue
            rivals = [
                j
                for j, c in row.loads.items()
                if c > 0.0
                and admitted[j]
                and problem.evses[j].tier == evse.tier
                and setpoint_a[j] > problem.evses[j].min_a + SHARE
            ]
            held_back = held_back or all(
                setpoint_a[j] / problem.evses[j].weight <= share + SHARE * max(1.0, share)
                for j in rivals
            )
        if not held_back:
            wrong.append(f"EVSE {i} at {setpoint_a[i]} A")
    return wrong


def _load(row: Row, setpoint_a: Sequence[float]) -> float:
    return math.fsum(c * setpoint_a[i] for i, c in row.loads.items())
