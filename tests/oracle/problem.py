"""Allocation problems as plain values, and generated ones. Shares nothing with the product."""

import random
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Node:
    parent: int | None = None
    ceiling_a: tuple[float | None, float | None, float | None] = (None, None, None)
    ceiling_va: float | None = None
    base_a: tuple[float, float, float] = (0.0, 0.0, 0.0)
    base_va: float = 0.0
    voltage_v: tuple[float, float, float] = (230.0, 230.0, 230.0)


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
