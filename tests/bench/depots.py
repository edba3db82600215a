"""Synthetic depots: four levels, eight EVSEs to a panel, about half of the demand fits."""

import random

from tests.oracle.problem import Evse, Node, Problem


def depot(seed: int, *, evses: int) -> Problem:
    """Grid, feeders of eight sub-feeders, sub-feeders of four panels, panels of eight EVSEs."""
    rng = random.Random(seed)
    panels = max(1, (evses + 7) // 8)
    subs = max(1, (panels + 3) // 4)
    feeders = max(1, (subs + 7) // 8)
    parents: list[int | None] = [None]
    parents += [0] * feeders
    first_sub = len(parents)
    parents += [1 + k % feeders for k in range(subs)]
    first_panel = len(parents)
    parents += [first_sub + k % subs for k in range(panels)]
    machines = tuple(_evse(rng, first_panel + k % panels) for k in range(evses))
    demand = [[0.0, 0.0, 0.0] for _ in parents]
    base = [[0.0, 0.0, 0.0] for _ in parents]
    for n in range(len(parents)):
        for p in range(3):
            own = rng.uniform(0.0, 6.0)
            up: int | None = n
            while up is not None:
                base[up][p] += own
                up = parents[up]
    for machine in machines:
        up = machine.node
        while up is not None:
            for phase in machine.phases:
                demand[up][phase - 1] += machine.max_a
            up = parents[up]
    nodes = []
    for n, parent in enumerate(parents):
        share = 0.55 if parent is None else rng.uniform(0.5, 0.9)
        limits = [b + share * d + 8.0 for b, d in zip(base[n], demand[n], strict=True)]
        a, b, c = base[n]
        va = 230.0 * (sum(base[n]) + share * sum(demand[n])) + 4000.0
        nodes.append(
            Node(
                parent=parent,
                ceiling_a=(limits[0], limits[1], limits[2]),
                ceiling_va=va if n < first_sub else None,
                base_a=(a, b, c),
                base_va=230.0 * (a + b + c),
            )
        )
    queue = list(range(evses))
    rng.shuffle(queue)
    return Problem(tuple(nodes), machines, tuple(queue))


def line_to_line_garage(seed: int) -> Problem:
    """54 EVSEs between lines, 16 of them in two pods, behind a delta-wye transformer."""
    rng = random.Random(seed)
    volts = (120.0, 120.0, 120.0)
    base = [rng.uniform(0.0, 30.0) for _ in "abc"]
    transformer = Node(
        ceiling_a=(416.7, 416.7, 416.7),
        base_a=(base[0], base[1], base[2]),
        voltage_v=volts,
        turns_ratio=4.0,
        primary_ceiling_a=(180.5, 180.5, 180.5),
    )
    pod = Node(0, ceiling_a=(80.0, 80.0, 80.0), voltage_v=volts)
    pairs = [(1, 2)] * 26 + [(2, 3)] * 14 + [(1, 3)] * 14
    evses = tuple(
        Evse(
            node=1 if i < 8 else 2 if i < 16 else 0,
            phases=frozenset(pair),
            line_to_line=True,
            weight=rng.choice([1.0, 1.0, 2.0, rng.uniform(0.5, 3.0)]),
            max_a=rng.choice([32.0, 32.0, rng.uniform(8.0, 32.0)]),
            step_a=1.0,
        )
        for i, pair in enumerate(pairs)
    )
    queue = list(range(len(evses)))
    rng.shuffle(queue)
    return Problem((transformer, pod, pod), evses, tuple(queue))


def _evse(rng: random.Random, node: int) -> Evse:
    single = rng.random() < 0.3
    return Evse(
        node=node,
        phases=frozenset({rng.choice([1, 2, 3])} if single else {1, 2, 3}),
        weight=rng.choice([1.0, 1.0, 2.0, rng.uniform(0.5, 3.0)]),
        max_a=rng.choice([16.0, 32.0, 32.0, rng.uniform(10.0, 32.0)]),
        step_a=rng.choice([1.0, 0.1]),
    )
