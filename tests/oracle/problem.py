"""Allocation problems as plain values, and generated ones. Shares nothing with the product."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Node:
    parent: int | None = None
    ceiling_a: tuple[float | None, float | None, float | None] = (None, None, None)
    ceiling_va: float | None = None
    base_a: tuple[float, float, float] = (0.0, 0.0, 0.0)
    base_va: float = 0.0
    voltage_v: tuple[float, float, float] = (230.0, 230.0, 230.0)
    turns_ratio: float | None = None
    primary_ceiling_a: tuple[float | None, float | None, float | None] = (None, None, None)
    unbalance_a: float | None = None
    export_ceiling_a: tuple[float | None, float | None, float | None] = (None, None, None)
    export_ceiling_va: float | None = None


@dataclass(frozen=True)
class Evse:
    node: int
    phases: frozenset[int] = frozenset({1, 2, 3})
    weight: float = 1.0
    tier: int = 0
    min_a: float = 6.0
    max_a: float = 32.0
    step_a: float = 0.0
    pause_a: float = 0.0
    allowed: tuple[float, ...] = ()
    line_to_line: bool = False
    min_discharge_a: float = 0.0
    max_discharge_a: float = 0.0


@dataclass(frozen=True)
class Problem:
    nodes: tuple[Node, ...]
    evses: tuple[Evse, ...]
    queue: tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """Sum of coefficient times current over `loads` stays at or under `room`."""

    node: int
    name: str
    loads: dict[int, float]
    room: float


def rows_of(problem: Problem) -> list[Row]:
    """Every row of every node that has a ceiling, with the headroom that EVSEs may use."""
    under = [_path(problem, evse.node) for evse in problem.evses]
    rows = []
    for n, node in enumerate(problem.nodes):
        below = [i for i, path in enumerate(under) if n in path]
        for p in (1, 2, 3):
            ceiling = node.ceiling_a[p - 1]
            if ceiling is not None:
                loads = {i: 1.0 for i in below if p in problem.evses[i].phases}
                rows.append(Row(n, str(p), loads, max(0.0, ceiling - node.base_a[p - 1])))
        if node.ceiling_va is not None:
            loads = {i: sum(node.voltage_v[p - 1] for p in problem.evses[i].phases) for i in below}
            rows.append(Row(n, "va", loads, max(0.0, node.ceiling_va - node.base_va)))
        rows += _unbalance_rows(problem, n, below)
    return rows


def _unbalance_rows(problem: Problem, n: int, below: Sequence[int]) -> list[Row]:
    node, rows = problem.nodes[n], []
    if node.unbalance_a is None:
        return []
    for p in (1, 2, 3):
        for q in {1, 2, 3} - {p}:
            loads = {
                i: float((p in problem.evses[i].phases) - (q in problem.evses[i].phases))
                for i in below
            }
            apart = node.base_a[p - 1] - node.base_a[q - 1]
            rows.append(Row(n, f"{p} over {q}", loads, max(0.0, node.unbalance_a - apart)))
    return rows


def random_problem(seed: int, *, size_max: int = 24, continuous: bool = False) -> Problem:
    """A radial site that is tight somewhere; half of them full of ties, so that order matters."""
    rng = random.Random(seed)
    ties = rng.random() < 0.5
    tight = rng.uniform(0.15, 0.95)
    count = rng.randint(2, size_max)
    parents = _random_tree(rng)
    evses = tuple(
        _random_evse(rng, rng.randrange(len(parents)), ties=ties, continuous=continuous)
        for _ in range(count)
    )
    nodes = _random_nodes(rng, parents, evses, ties=ties, tight=tight)
    queue = list(range(count))
    rng.shuffle(queue)
    return Problem(nodes, evses, tuple(queue))


def random_phasor_problem(seed: int, *, continuous: bool = False, size_max: int = 9) -> Problem:
    """A small site with line-to-line EVSEs and delta-wye transformers that is tight somewhere."""
    rng = random.Random(seed)
    ties = rng.random() < 0.4
    parents = _random_tree(rng)[:5]
    parents = [up if up is not None and up < len(parents) else None for up in parents]
    parents = _without_cycles(parents)
    ratios = [rng.choice([4.0, 2.0, 0.5]) if rng.random() < 0.35 else None for _ in parents]
    between = rng.uniform(0.2, 1.0)
    evses = []
    for _ in range(rng.randint(1, size_max)):
        evse = _random_evse(rng, rng.randrange(len(parents)), ties=ties, continuous=continuous)
        if rng.random() < between:
            pair = frozenset(rng.choice([(1, 2), (2, 3), (1, 3)]))
            evse = replace(evse, phases=pair, line_to_line=True)
        evses.append(evse)
    bare = Problem(tuple(Node(up) for up in parents), tuple(evses), ())
    nodes = []
    for n, up in enumerate(parents):
        demand = sum(e.max_a for e in evses if n in _path(bare, e.node))
        scale = demand * rng.uniform(0.1, 1.2)
        feeds = rng.random() < 0.2
        base = [rng.choice([0.0, rng.uniform(-20.0 if feeds else 0.0, 20.0)]) for _ in "abc"]
        if ties:
            scale, base = float(round(scale)), [float(round(b)) for b in base]
        volts = [rng.uniform(115.0, 125.0) if rng.random() < 0.3 else 120.0 for _ in "abc"]
        base_va = sum(v * b for v, b in zip(volts, base, strict=True))
        ceilings = [
            None if rng.random() < 0.3 else max(0.0, scale + max(b, -b / 3.0) - 1.0) for b in base
        ]
        largest = max(abs(b) for b in base)
        primary = [
            None if rng.random() < 0.3 else (scale + largest) * rng.uniform(0.2, 0.9) for _ in "abc"
        ]
        nodes.append(
            Node(
                parent=up,
                ceiling_a=(ceilings[0], ceilings[1], ceilings[2]),
                ceiling_va=None if rng.random() < 0.7 else 250.0 * scale + base_va,
                base_a=(base[0], base[1], base[2]),
                base_va=base_va,
                voltage_v=(volts[0], volts[1], volts[2]),
                turns_ratio=ratios[n],
                primary_ceiling_a=(primary[0], primary[1], primary[2]),
            )
        )
    queue = list(range(len(evses)))
    rng.shuffle(queue)
    return Problem(tuple(nodes), tuple(evses), tuple(queue))


def random_discharge_problem(seed: int, *, phasors: bool) -> Problem:
    """A site where about half of the EVSEs discharge."""
    rng = random.Random(seed)
    problem = random_phasor_problem(seed) if phasors else random_problem(seed, size_max=12)
    evses = tuple(
        replace(
            evse,
            pause_a=0.0,
            min_discharge_a=rng.choice([0.0, 6.0, evse.min_a]),
            max_discharge_a=rng.uniform(1.0, 40.0),
        )
        if rng.random() < 0.5
        else evse
        for evse in problem.evses
    )
    nodes = []
    for node in problem.nodes:
        most = [
            None if rng.random() < 0.4 else max(0.0, rng.uniform(-5.0, 50.0) - base)
            for base in node.base_a
        ]
        nodes.append(
            replace(
                node,
                export_ceiling_a=(most[0], most[1], most[2]),
                export_ceiling_va=None if rng.random() < 0.6 else rng.uniform(0.0, 25_000.0),
            )
        )
    return Problem(tuple(nodes), evses, problem.queue)


def random_unbalance_problem(seed: int, *, continuous: bool = True) -> Problem:
    """A site with one or two unbalance ceilings that bind, mostly single-phase EVSEs."""
    rng = random.Random(seed)
    problem = random_problem(seed, size_max=rng.choice([6, 12, 20]), continuous=continuous)
    single = rng.random()
    evses = []
    for evse in problem.evses:
        phases = frozenset({rng.choice([1, 1, 2, 3])}) if rng.random() < single else evse.phases
        low = min(evse.min_a, rng.choice([0.0, 0.0, 6.0]))
        pause = min(evse.pause_a, low)
        evses.append(replace(evse, phases=phases, min_a=low, pause_a=pause))
    nodes = list(problem.nodes)
    for n in {problem.evses[0].node, rng.randrange(len(nodes))}:
        bound = rng.choice([0.0, rng.uniform(0.0, 40.0), rng.uniform(0.0, 40.0)])
        nodes[n] = replace(nodes[n], unbalance_a=bound)
    return Problem(tuple(nodes), tuple(evses), problem.queue)


def _without_cycles(parents: list[int | None]) -> list[int | None]:
    """Cut off: what led out of the first few nodes is a root now, and a way back to it is cut."""
    made: list[int | None] = []
    for n, parent in enumerate(parents):
        seen, at = {n}, parent
        while at is not None and at not in seen:
            seen.add(at)
            at = parents[at]
        made.append(parent if at is None else None)
    return made


def _path(problem: Problem, node: int | None) -> list[int]:
    path = []
    while node is not None:
        path.append(node)
        node = problem.nodes[node].parent
    return path


def _random_tree(rng: random.Random) -> list[int | None]:
    """Parents in any order: a child may come before its parent."""
    count = rng.randint(1, 9)
    depth_bias = rng.random()
    parents: list[int | None] = [None]
    parents += [n - 1 if rng.random() < depth_bias else rng.randrange(n) for n in range(1, count)]
    place = list(range(count))
    rng.shuffle(place)
    shuffled: list[int | None] = [None] * count
    for n, parent in enumerate(parents):
        shuffled[place[n]] = None if parent is None else place[parent]
    return shuffled


def _random_evse(rng: random.Random, node: int, *, ties: bool, continuous: bool) -> Evse:
    phases = rng.choice([{1, 2, 3}, {1, 2, 3}, {1}, {2}, {3}, {1, 2}, {2, 3}])
    step = 0.0 if continuous else rng.choice([0.0, 0.1, 0.1, 1.0, 1.0, 1.0])
    allowed: tuple[float, ...] = ()
    if not continuous and rng.random() < 0.15:
        allowed = rng.choice([(0.0, 8.0, 16.0, 24.0, 32.0), (6.0, 10.0, 13.0, 16.0, 32.0)])
    if ties:
        weight = float(rng.choice([1, 1, 1, 2, 3]))
        low, high = float(rng.choice([0, 6, 6, 8])), float(rng.choice([0, 13, 16, 32, 32]))
    else:
        weight = rng.uniform(0.2, 5.0)
        low = rng.choice([0.0, 6.0, rng.uniform(0.0, 8.0)])
        high = rng.uniform(2.0, 40.0)
    return Evse(
        node=node,
        phases=frozenset(phases),
        weight=weight,
        tier=rng.choice([0, 0, 0, 1, 4]),
        min_a=low,
        max_a=high,
        step_a=step,
        pause_a=rng.choice([0.0, 0.0, 0.0, 0.0, min(low, 2.0)]),
        allowed=allowed,
    )


def _random_nodes(
    rng: random.Random,
    parents: Sequence[int | None],
    evses: Sequence[Evse],
    *,
    ties: bool,
    tight: float,
) -> tuple[Node, ...]:
    bare = Problem(tuple(Node(parent) for parent in parents), tuple(evses), ())
    demand = [[0.0, 0.0, 0.0] for _ in parents]
    for evse in evses:
        for n in _path(bare, evse.node):
            for p in evse.phases:
                demand[n][p - 1] += evse.max_a
    uneven = rng.random() < 0.3
    nodes = []
    for n, parent in enumerate(parents):
        voltage = [rng.uniform(210.0, 250.0) if uneven else 230.0 for _ in range(3)]
        base = [rng.choice([0.0, rng.uniform(0.0, 20.0), -rng.uniform(0.0, 15.0)]) for _ in "abc"]
        ceiling: list[float | None] = []
        for p in range(3):
            room = demand[n][p] * tight * rng.uniform(0.7, 1.6)
            limit = max(0.0, room + base[p])
            if rng.random() < 0.05:
                limit = max(0.0, base[p] - rng.uniform(0.0, 5.0))
            ceiling.append(None if rng.random() < 0.25 else limit)
        if ties:
            base = [float(round(b)) for b in base]
            ceiling = [None if c is None else float(round(c)) for c in ceiling]
        base_va = sum(v * b for v, b in zip(voltage, base, strict=True))
        demand_va = sum(v * d for v, d in zip(voltage, demand[n], strict=True))
        va = max(0.0, demand_va * tight * rng.uniform(0.6, 1.5) + base_va)
        nodes.append(
            Node(
                parent=parent,
                ceiling_a=(ceiling[0], ceiling[1], ceiling[2]),
                ceiling_va=None if rng.random() < 0.6 else float(round(va)) if ties else va,
                base_a=(base[0], base[1], base[2]),
                base_va=base_va,
                voltage_v=(voltage[0], voltage[1], voltage[2]),
            )
        )
    return tuple(nodes)
