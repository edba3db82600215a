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


def _evse(rng: random.Random, node: int) -> Evse:
    single = rng.random() < 0.3
    return Evse(
        node=node,
        phases=frozenset({rng.choice([1, 2, 3])} if single else {1, 2, 3}),
        weight=rng.choice([1.0, 1.0, 2.0, rng.uniform(0.5, 3.0)]),
        max_a=rng.choice([16.0, 32.0, 32.0, rng.uniform(10.0, 32.0)]),
        step_a=rng.choice([1.0, 0.1]),
    )
