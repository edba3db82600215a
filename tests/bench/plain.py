"""The reference of the kernel's benchmark: the same allocation by the same method in plain Python.

Like the kernel it checks its input, names what stopped everybody and says deficits. Written to be
fast for what it is: lists of floats, no objects, events from sorted lists and a heap.
"""

from heapq import heapify, heappop, heappush
from math import inf

from tests.oracle.problem import Problem

SLACK = 5e-10
MAGNITUDE_MAX = 1e12

Stop = tuple[str, int | None, int | None]
"""Code, node and row of what stopped an EVSE."""


class Compiled:
    """The topology as lists, made once."""

    def __init__(self, problem: Problem) -> None:
        self.paths: list[list[int]] = []
        self.under: list[list[int]] = [[] for _ in problem.nodes]
        self.phases = [[p - 1 for p in sorted(evse.phases)] for evse in problem.evses]
        for i, evse in enumerate(problem.evses):
            path, node = [], evse.node
            while True:
                path.append(node)
                self.under[node].append(i)
                up = problem.nodes[node].parent
                if up is None:
                    break
                node = up
            self.paths.append(path)


def allocate(
    compiled: Compiled, problem: Problem
) -> tuple[list[float], list[Stop], list[list[float]]]:
    """Setpoints, stops and deficits."""
    nodes, evses = problem.nodes, problem.evses
    paths, phases = compiled.paths, compiled.phases
    _check(problem)
    room, volts, load, deficits = [], [], [], []
    for node in nodes:
        base = [*node.base_a, node.base_va]
        ceilings = [inf if c is None else c for c in (*node.ceiling_a, node.ceiling_va)]
        room.append([max(0.0, c - b) for c, b in zip(ceilings, base, strict=True)])
        deficits.append([max(0.0, b - c) for c, b in zip(ceilings, base, strict=True)])
        volts.append(node.voltage_v)
        load.append([0.0, 0.0, 0.0])
    held = [evse.pause_a for evse in evses]
    stops: list[Stop] = [("own_maximum", None, None)] * len(evses)
    for i, value in enumerate(held):
        if value:
            _add(load, paths[i], phases[i], value)
    for tier in sorted({evse.tier for evse in evses}):
        waiting = [i for i in problem.queue if evses[i].tier == tier]
        low, high, members = {}, {}, []
        for i in waiting:
            step = evses[i].step_a
            bottom, top = evses[i].min_a, evses[i].max_a
            if step:
                count = int((bottom - 1e-9) / step)
                bottom = (count + 1 if count * step < bottom - 1e-9 else count) * step
                top = int((top + 1e-9) / step) * step
            if top < bottom:
                stops[i] = ("not_admitted" if evses[i].max_a else "no_demand", None, None)
                continue
            more = bottom - held[i]
            refuser = _refusal(load, room, volts, paths[i], phases[i], more)
            if refuser is None:
                _add(load, paths[i], phases[i], more)
                held[i] = bottom
                low[i], high[i] = bottom, top
                members.append(i)
            else:
                over = deficits[refuser[0]][refuser[1]] > 0.0
                stops[i] = ("base_over_ceiling" if over else "not_admitted", *refuser)
        filled = _fill(compiled, problem, room, volts, load, members, low, high, stops)
        _whole(compiled, problem, room, volts, load, held, members, high, filled, stops)
    return held, stops, deficits


def _check(problem: Problem) -> None:
    for node in problem.nodes:
        for value in (*node.ceiling_a, node.ceiling_va):
            assert value is None or -MAGNITUDE_MAX <= value <= MAGNITUDE_MAX
        for value in (*node.base_a, node.base_va):
            assert -MAGNITUDE_MAX <= value <= MAGNITUDE_MAX
        for value in node.voltage_v:
            assert 0.0 <= value <= MAGNITUDE_MAX
    for evse in problem.evses:
        assert 1e-6 <= evse.weight <= 1e6
        assert 0.0 <= evse.min_a <= MAGNITUDE_MAX
        assert 0.0 <= evse.max_a <= MAGNITUDE_MAX
        assert 0.0 <= evse.pause_a <= MAGNITUDE_MAX
        assert evse.step_a == 0.0 or 1e-3 <= evse.step_a <= MAGNITUDE_MAX
    assert sorted(problem.queue) == list(range(len(problem.evses)))


def _add(load: list[list[float]], path: list[int], phases: list[int], more: float) -> None:
    for n in path:
        row = load[n]
        for p in phases:
            row[p] += more


def _refusal(  # noqa: PLR0917 - keywords cost time
    load: list[list[float]],
    room: list[list[float]],
    volts: list[tuple[float, float, float]],
    path: list[int],
    phases: list[int],
    more: float,
) -> tuple[int, int] | None:
    for n in path:
        row, limit = load[n], room[n]
        for p in phases:
            if row[p] + more > limit[p] + SLACK:
                return n, p
        if limit[3] < inf:
            v = volts[n]
            va = v[0] * row[0] + v[1] * row[1] + v[2] * row[2]
            if va + more * sum([v[p] for p in phases]) > limit[3] * (1 + 1e-12) + SLACK:
                return n, 3
    return None


def _fill(  # noqa: C901, PLR0915, PLR0917 - calls and keywords cost time
    compiled: Compiled,
    problem: Problem,
    room: list[list[float]],
    volts: list[tuple[float, float, float]],
    load: list[list[float]],
    members: list[int],
    low: dict[int, float],
    high: dict[int, float],
    stops: list[Stop],
) -> dict[int, float]:
    paths, phases, evses = compiled.paths, compiled.phases, problem.evses
    filled: dict[int, float] = {}
    weight = {i: evses[i].weight for i in members}
    fixed = [row[:] for row in load]
    moving = [[0.0, 0.0, 0.0] for _ in load]
    resting = [[0.0, 0.0, 0.0] for _ in load]
    left = [[0, 0, 0] for _ in load]
    for i in members:
        for n in paths[i]:
            for p in phases[i]:
                resting[n][p] += weight[i]
                left[n][p] += 1
    starts = sorted([(low[i] / weight[i], i) for i in members], reverse=True)
    caps = sorted([(high[i] / weight[i], i) for i in members], reverse=True)
    moves: set[int] = set()
    full: set[tuple[int, int]] = set()

    def key(n: int) -> tuple[float, int, bool]:
        best, best_row, best_exact = inf, -1, False
        start = starts[-1][0] if starts else inf
        va_fixed = va_moving = va_resting = 0.0
        f, m, r, v, limit = fixed[n], moving[n], resting[n], volts[n], room[n]
        for row in range(4):
            if row < 3:
                a, b, c = f[row], m[row], r[row]
                if not left[n][row]:
                    b = c = 0.0
                va_fixed += v[row] * a
                va_moving += v[row] * b
                va_resting += v[row] * c
            else:
                a, b, c = va_fixed, va_moving, va_resting
            if limit[row] == inf or b + c < 1e-9 or (n, row) in full:
                continue
            level, exact = (limit[row] - a) / b if b > 1e-12 else inf, True
            if level > start:
                exact = False
                level = max(start, start + (limit[row] - a - b * start) / (b + c))
            if level < best:
                best, best_row, best_exact = level, row, exact
        return best, best_row, best_exact

    def stop(i: int, value: float) -> None:
        filled[i] = value
        w = weight[i]
        for n in paths[i]:
            for p in phases[i]:
                left[n][p] -= 1
                if i in moves:
                    fixed[n][p] += value
                    moving[n][p] -= w
                else:
                    resting[n][p] -= w

    heap = [(key(n)[0], n) for n in range(len(load))]
    heapify(heap)
    level = 0.0
    while len(filled) < len(members):
        while starts and starts[-1][1] in filled:
            starts.pop()
        while caps[-1][1] in filled:
            caps.pop()
        start = starts[-1][0] if starts else inf
        cap = caps[-1][0]
        row_level = heap[0][0] if heap else inf
        if start <= cap and start <= row_level:
            level, i = starts.pop()
            moves.add(i)
            w, bottom = weight[i], low[i]
            for n in paths[i]:
                for p in phases[i]:
                    fixed[n][p] -= bottom
                    moving[n][p] += w
                    resting[n][p] -= w
        elif cap <= row_level:
            level, i = caps.pop()
            stop(i, high[i])
        else:
            _, n = heappop(heap)
            at, row, exact = key(n)
            if at == inf:
                continue
            if exact and at < start and at < cap and (not heap or at <= heap[0][0]):
                level = max(level, at)
                full.add((n, row))
                for i in compiled.under[n]:
                    if i in weight and i not in filled and (row == 3 or row in phases[i]):
                        value = weight[i] * level if i in moves else low[i]
                        stop(i, min(max(value, low[i]), high[i]))
                        stops[i] = ("va_ceiling" if row == 3 else "node_ceiling", n, row)
                at = key(n)[0]
            if at < inf:
                heappush(heap, (max(at, level), n))
    return filled


def _whole(  # noqa: C901, PLR0917 - as above
    compiled: Compiled,
    problem: Problem,
    room: list[list[float]],
    volts: list[tuple[float, float, float]],
    load: list[list[float]],
    held: list[float],
    members: list[int],
    high: dict[int, float],
    filled: dict[int, float],
    stops: list[Stop],
) -> None:
    paths, phases = compiled.paths, compiled.phases
    steps = [evse.step_a for evse in problem.evses]
    stepped: list[tuple[float, int, int]] = []
    for i in members:
        value = filled[i]
        if steps[i]:
            value = int((value + 1e-9) / steps[i]) * steps[i]
        _add(load, paths[i], phases[i], value - held[i])
        held[i] = value
        if steps[i]:
            stepped.append((-round(filled[i] - value, 9), len(stepped), i))
    order = [i for _, _, i in sorted(stepped)]
    refusers = {}
    while order:
        again = []
        for i in order:
            more = steps[i]
            if held[i] + more <= high[i] + 1e-9:
                refuser = _refusal(load, room, volts, paths[i], phases[i], more)
                if refuser is None:
                    _add(load, paths[i], phases[i], more)
                    held[i] += more
                    again.append(i)
                else:
                    refusers[i] = refuser
        order = again
    for i in members:
        if held[i] >= high[i] - 1e-9:
            stops[i] = ("own_maximum" if high[i] else "no_demand", None, None)
        elif i in refusers and abs(held[i] - filled[i]) > 1e-9:
            stops[i] = ("increment", *refusers[i])
