"""Max-min in exact fractions for straight rows: for weights so far apart that no solver can tell.

Each row alone says from which share on it is full, if all who load it rise together; the least of
those shares settles that row's members. Written for one tier of continuous EVSEs that all fit.
"""

from fractions import Fraction

from tests.oracle.problem import Problem, rows_of

Row = tuple[dict[int, Fraction], Fraction]
"""What loads a row per ampere, and its room."""


def allocate(problem: Problem) -> list[float]:
    settled: dict[int, Fraction] = {}
    rows: list[Row] = [
        ({i: Fraction(c) for i, c in row.loads.items() if c > 0.0}, Fraction(row.room))
        for row in rows_of(problem)
    ]
    while len(settled) < len(problem.evses):
        full = [(_full_from(row, problem, settled), k) for k, row in enumerate(rows)]
        tight = [(share, k) for share, k in full if share is not None]
        if not tight:
            # No row is left that could be full.
            for i, evse in enumerate(problem.evses):
                settled.setdefault(i, Fraction(evse.max_a))
            break
        share, k = min(tight)
        settled |= {i: _at(problem, settled, i, share) for i in rows[k][0]}
    return [float(settled[i]) for i in range(len(problem.evses))]


def _at(problem: Problem, settled: dict[int, Fraction], i: int, share: Fraction) -> Fraction:
    if i in settled:
        return settled[i]
    evse = problem.evses[i]
    return min(max(Fraction(evse.min_a), Fraction(evse.weight) * share), Fraction(evse.max_a))


def _full_from(row: Row, problem: Problem, settled: dict[int, Fraction]) -> Fraction | None:
    """The share from which on a row of unsettled EVSEs is full; None if it never is."""
    loads, room = row

    def load(share: Fraction) -> Fraction:
        return sum((c * _at(problem, settled, i, share) for i, c in loads.items()), Fraction(0))

    turns = {
        Fraction(bound) / Fraction(problem.evses[i].weight)
        for i in loads
        if i not in settled
        for bound in (problem.evses[i].min_a, problem.evses[i].max_a)
    }
    before = Fraction(0)
    for share in sorted(turns):
        if load(share) > room:
            low, high = load(before), load(share)
            return before + (share - before) * (room - low) / (high - low)
        before = share
    return None
