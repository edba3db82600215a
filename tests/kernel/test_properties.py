"""What must hold on every site, tried on generated ones."""

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernel.bridge import compile_site, solve
from tests.oracle import judge
from tests.oracle.problem import Evse, Node, Problem, random_problem

WHOLE = st.integers(0, 2**32)

PHASES = st.sets(st.sampled_from([1, 2, 3]), min_size=1).map(frozenset)
AMPERES = st.one_of(st.integers(0, 40).map(float), st.floats(0.0, 60.0))


@st.composite
def evses(draw: st.DrawFn, nodes: int) -> Evse:
    low = draw(st.one_of(st.just(0.0), st.just(6.0), st.floats(0.0, 10.0)))
    return Evse(
        node=draw(st.integers(0, nodes - 1)),
        phases=draw(PHASES),
        weight=draw(st.one_of(st.just(1.0), st.floats(0.01, 100.0))),
        tier=draw(st.integers(0, 2)),
        min_a=low,
        max_a=draw(AMPERES),
        step_a=draw(st.sampled_from([0.0, 0.1, 1.0, 0.25])),
        pause_a=draw(st.one_of(st.just(0.0), st.floats(0.0, low))),
        allowed=draw(st.sampled_from([(), (), (), (0.0, 8.0, 16.0), (6.0, 32.0)])),
    )


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Anything that is allowed, simplest first: unlike the seeded sites these shrink."""
    count = draw(st.integers(1, 6))
    nodes = []
    for n in range(count):
        ceilings = [draw(st.one_of(st.none(), AMPERES.map(lambda a: 3.0 * a))) for _ in "abc"]
        base = [draw(st.one_of(st.just(0.0), st.floats(-20.0, 40.0))) for _ in "abc"]
        volts = draw(st.sampled_from([230.0, 120.0, 241.7]))
        nodes.append(
            Node(
                parent=None if n == 0 else draw(st.integers(0, n - 1)),
                ceiling_a=(ceilings[0], ceilings[1], ceilings[2]),
                ceiling_va=draw(st.one_of(st.none(), st.floats(0.0, 60_000.0))),
                base_a=(base[0], base[1], base[2]),
                base_va=volts * sum(base),
                voltage_v=(volts, volts, volts),
            )
        )
    machines = draw(st.lists(evses(count), max_size=12))
    queue = draw(st.permutations(range(len(machines))))
    return Problem(tuple(nodes), tuple(machines), tuple(queue))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(problems())
def test_no_row_and_no_bound_is_exceeded(problem: Problem) -> None:
    outcome = solve(problem)
    assert judge.exceeded(problem, outcome.setpoint_a, outcome.admitted) == []
    assert judge.outside(problem, outcome.setpoint_a, outcome.admitted) == []


@settings(max_examples=300, deadline=None, derandomize=True)
@given(problems())
def test_no_share_can_rise_without_lowering_a_smaller_one(problem: Problem) -> None:
    free = replace(problem, evses=tuple(replace(e, step_a=0.0, allowed=()) for e in problem.evses))
    outcome = solve(free)
    assert judge.could_have_more(free, outcome.setpoint_a, outcome.admitted) == []


@settings(max_examples=200, deadline=None, derandomize=True)
@given(problems(), st.randoms(use_true_random=False))
def test_order_of_nodes_changes_not_a_bit(problem: Problem, rng: random.Random) -> None:
    place = list(range(len(problem.nodes)))
    rng.shuffle(place)
    shuffled = _renumbered(problem, place)
    first, second = solve(problem), solve(shuffled)
    assert first.setpoint_a == second.setpoint_a
    assert first.admitted == second.admitted
    assert [(s.code, None if s.node is None else place[s.node], s.row) for s in first.stops] == [
        (s.code, s.node, s.row) for s in second.stops
    ]
    assert first.deficit_a == tuple(second.deficit_a[n] for n in place)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(WHOLE, st.randoms(use_true_random=False))
def test_order_of_evses_changes_nothing_when_all_minima_fit(seed: int, rng: random.Random) -> None:
    problem = _without_minima(random_problem(seed, continuous=True))
    order = list(range(len(problem.evses)))
    rng.shuffle(order)
    shuffled = replace(problem, evses=tuple(problem.evses[i] for i in order))
    first, second = solve(problem), solve(shuffled)
    assert second.setpoint_a == _near([first.setpoint_a[i] for i in order])


@settings(max_examples=100, deadline=None, derandomize=True)
@given(WHOLE, st.floats(0.0, 50.0), st.integers(0, 2))
def test_a_higher_ceiling_never_lowers_the_sorted_shares(
    seed: int, more_a: float, phase: int
) -> None:
    problem = _without_minima(random_problem(seed, continuous=True))
    problem = replace(problem, evses=tuple(replace(e, tier=0) for e in problem.evses))
    which = seed % len(problem.nodes)
    nodes = list(problem.nodes)
    wider = [
        None if ceiling is None else ceiling + (more_a if p == phase else 0.0)
        for p, ceiling in enumerate(nodes[which].ceiling_a)
    ]
    nodes[which] = replace(nodes[which], ceiling_a=(wider[0], wider[1], wider[2]))
    before, after = _shares(problem), _shares(replace(problem, nodes=tuple(nodes)))
    for low, high in zip(before, after, strict=True):
        assert high >= low - 1e-9
        if high > low + 1e-9:
            break


@settings(max_examples=100, deadline=None, derandomize=True)
@given(WHOLE, st.sampled_from([0.25, 0.5, 2.0, 8.0]))
def test_scaling_all_amperes_scales_the_answer(seed: int, factor: float) -> None:
    problem = random_problem(seed)
    # Whole steps only: powers of two keep every comparison as it is, tenths would not.
    evses_ = [replace(e, step_a=1.0 if e.step_a else 0.0) for e in problem.evses]
    problem = replace(problem, evses=tuple(evses_))
    scaled = Problem(
        nodes=tuple(
            replace(
                n,
                ceiling_a=tuple(None if c is None else c * factor for c in n.ceiling_a),  # type: ignore[arg-type]
                ceiling_va=None if n.ceiling_va is None else n.ceiling_va * factor,
                base_a=tuple(b * factor for b in n.base_a),  # type: ignore[arg-type]
                base_va=n.base_va * factor,
            )
            for n in problem.nodes
        ),
        evses=tuple(
            replace(
                e,
                min_a=e.min_a * factor,
                max_a=e.max_a * factor,
                step_a=e.step_a * factor,
                pause_a=e.pause_a * factor,
                allowed=tuple(a * factor for a in e.allowed),
            )
            for e in problem.evses
        ),
        queue=problem.queue,
    )
    first, second = solve(problem), solve(scaled)
    assert second.setpoint_a == _near([x * factor for x in first.setpoint_a])


@settings(max_examples=100, deadline=None, derandomize=True)
@given(WHOLE)
def test_rotating_the_phases_rotates_the_answer(seed: int) -> None:
    problem = random_problem(seed)
    turn = {1: 2, 2: 3, 3: 1}
    rotated = Problem(
        nodes=tuple(
            replace(
                n,
                ceiling_a=(n.ceiling_a[2], *n.ceiling_a[:2]),
                base_a=(n.base_a[2], *n.base_a[:2]),
                voltage_v=(n.voltage_v[2], *n.voltage_v[:2]),
            )
            for n in problem.nodes
        ),
        evses=tuple(replace(e, phases=frozenset(turn[p] for p in e.phases)) for e in problem.evses),
        queue=problem.queue,
    )
    first, second = solve(problem), solve(rotated)
    assert second.setpoint_a == _near(first.setpoint_a)
    assert second.deficit_a == tuple((d[2], *d[:2]) for d in first.deficit_a)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(WHOLE, st.integers(1, 20))
def test_earlier_ticks_leave_no_trace(seed: int, ticks: int) -> None:
    problem = random_problem(seed)
    allocator = compile_site(problem)
    rng = random.Random(seed)
    for _ in range(ticks):
        other = replace(
            problem,
            evses=tuple(
                replace(e, weight=rng.uniform(0.1, 9.0), max_a=rng.uniform(0.0, 50.0), tier=0)
                for e in problem.evses
            ),
        )
        solve(other, allocator)
    assert solve(problem, allocator) == solve(problem)


def _near(values: Sequence[float]) -> object:
    return pytest.approx(tuple(values), rel=1e-12, abs=1e-9)


def _without_minima(problem: Problem) -> Problem:
    return replace(problem, evses=tuple(replace(e, min_a=0.0, pause_a=0.0) for e in problem.evses))


def _shares(problem: Problem) -> list[float]:
    outcome = solve(problem)
    return sorted(x / e.weight for x, e in zip(outcome.setpoint_a, problem.evses, strict=True))


def _renumbered(problem: Problem, place: list[int]) -> Problem:
    nodes: list[Node] = [Node()] * len(place)
    for n, node in enumerate(problem.nodes):
        up = node.parent
        nodes[place[n]] = replace(node, parent=None if up is None else place[up])
    return Problem(
        nodes=tuple(nodes),
        evses=tuple(replace(e, node=place[e.node]) for e in problem.evses),
        queue=problem.queue,
    )
