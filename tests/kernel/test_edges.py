import math
from array import array
from dataclasses import replace

import pytest

from edgectl import _kernel
from edgectl.control.kernel import Allocator, FlatAllocator, bears_ratios
from edgectl.errors import InvariantBroken
from tests.bench.depots import depot
from tests.kernel.bridge import compile_site, solve
from tests.oracle import allocation, judge
from tests.oracle.problem import Evse, Node, Problem

ONE = Problem((Node(ceiling_a=(20.0, 20.0, 20.0)),), (Evse(0),), (0,))


def test_empty_site() -> None:
    outcome = solve(Problem((), (), ()))
    assert (outcome.setpoint_a, outcome.stops, outcome.deficit_a) == ((), (), ())


def test_nodes_without_evses_still_have_deficits() -> None:
    node = Node(ceiling_a=(5.0, None, None), base_a=(7.0, 9.0, 0.0))
    assert solve(Problem((node,), (), ())).deficit_a == ((2.0, 0.0, 0.0),)


def test_one_evse() -> None:
    assert solve(ONE).setpoint_a == (20.0,)


def test_two_roots_do_not_know_of_each_other() -> None:
    nodes = (Node(ceiling_a=(10.0,) * 3), Node(ceiling_a=(20.0,) * 3))
    assert solve(Problem(nodes, (Evse(1), Evse(0)), (0, 1))).setpoint_a == (20.0, 10.0)


def test_twelve_levels() -> None:
    nodes = tuple(Node(n - 1 if n else None, ceiling_a=(200.0 - 10.0 * n,) * 3) for n in range(12))
    problem = Problem(nodes, tuple(Evse(n % 12) for n in range(24)), tuple(range(24)))
    outcome = solve(problem)
    assert outcome.setpoint_a == pytest.approx(
        allocation.allocate(problem).setpoint_a, rel=0.0, abs=1e-9
    )


def test_ten_thousand_evses() -> None:
    problem = depot(1, evses=10_000)
    outcome = solve(problem)
    assert judge.outside(problem, outcome.setpoint_a, outcome.admitted) == []
    assert judge.exceeded(problem, outcome.setpoint_a, outcome.admitted) == []
    assert sum(outcome.setpoint_a) > 0.5 * sum(evse.max_a for evse in problem.evses)


def test_every_evse_in_a_tier_of_its_own() -> None:
    evses = tuple(Evse(0, tier=tier) for tier in (7, -3, 100, 5))
    problem = replace(ONE, evses=evses, queue=(0, 1, 2, 3))
    assert solve(problem).setpoint_a == (0.0, 20.0, 0.0, 0.0)


def test_a_thousand_million_amperes() -> None:
    node = Node(ceiling_a=(1e9,) * 3, ceiling_va=6e11, base_a=(2.5e8,) * 3)
    problem = Problem((node,), (Evse(0, max_a=1e9), Evse(0, max_a=1e9, step_a=1.0)), (0, 1))
    assert solve(problem).setpoint_a == pytest.approx((3.75e8, 3.75e8), rel=1e-12)


def test_denormal_amperes() -> None:
    tiny = 5e-324
    node = Node(ceiling_a=(tiny, 1e-310, 1e-300), base_a=(0.0, tiny, -tiny))
    evses = (Evse(0, min_a=0.0), Evse(0, min_a=tiny, max_a=1e-308), Evse(0, frozenset({3})))
    problem = Problem((node,), evses, (0, 1, 2))
    outcome = solve(problem)
    assert all(math.isfinite(x) and x >= 0.0 for x in outcome.setpoint_a)
    assert judge.exceeded(problem, outcome.setpoint_a, outcome.admitted) == []


def test_light_evses_are_exact_beside_heavy_ones() -> None:
    heavy = [Evse(0, min_a=0.0, max_a=8.0, weight=900.0 + n / 7.0) for n in range(20)]
    light = [Evse(0, min_a=0.0, weight=0.001 * (1 + n)) for n in range(3)]
    node = Node(ceiling_a=(172.0,) * 3)
    problem = Problem((node,), (*heavy, *light), tuple(range(23)))
    assert solve(problem).setpoint_a == pytest.approx((8.0,) * 20 + (2.0, 4.0, 6.0), abs=1e-9)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e13, -1e13])
def test_numbers_that_are_none_are_refused_at_the_door(value: float) -> None:
    node = ONE.nodes[0]
    for bad in (
        replace(node, ceiling_a=(20.0, value, 20.0)),
        replace(node, ceiling_va=value),
        replace(node, base_a=(0.0, value, 0.0)),
        replace(node, base_va=value),
        replace(node, voltage_v=(230.0, 230.0, value)),
    ):
        with pytest.raises(InvariantBroken):
            solve(replace(ONE, nodes=(bad,)))
    for name in ("weight", "min_a", "max_a", "step_a", "pause_a"):
        evse = replace(ONE.evses[0], **{name: value})  # type: ignore[arg-type]
        with pytest.raises(InvariantBroken):
            solve(replace(ONE, evses=(evse,)))


@pytest.mark.parametrize(
    "change",
    [
        {"weight": 0.0},
        {"weight": -1.0},
        {"weight": 5e-324},
        {"min_a": -1.0},
        {"max_a": -1.0},
        {"pause_a": -1.0},
        {"step_a": -0.1},
        {"step_a": 1e-9},
        {"allowed": (8.0, 6.0)},
        {"allowed": (8.0, 8.0)},
        {"allowed": (-8.0,)},
        {"allowed": (math.nan,)},
        {"phases": frozenset()},
        {"phases": frozenset({4})},
        {"node": 1},
        {"node": -1},
    ],
    ids=str,
)
def test_evses_that_cannot_be_are_refused_at_the_door(change: dict[str, object]) -> None:
    evse = replace(ONE.evses[0], **change)  # type: ignore[arg-type]
    with pytest.raises(InvariantBroken):
        solve(replace(ONE, evses=(evse,)))


@pytest.mark.parametrize("queue", [(), (0, 0), (1,), (-1,)])
def test_queue_must_name_everybody_once(queue: tuple[int, ...]) -> None:
    with pytest.raises(InvariantBroken):
        solve(replace(ONE, queue=queue))


@pytest.mark.parametrize("parents", [[0], [1, 0], [1, 2, 0, None], [7], [-2]])
def test_topology_must_be_a_forest(parents: list[int | None]) -> None:
    with pytest.raises(InvariantBroken):
        Allocator(parents=parents, evse_nodes=[], evse_phases=[])


@pytest.mark.parametrize(
    ("turns", "line_to_line", "bears"),
    [
        ([], False, True),
        # One ampere to neutral is one millionth and a million above these.
        ([0.99e6], False, True),
        ([1.01e6], False, False),
        ([1.01e-6], False, True),
        ([0.99e-6], False, False),
        # To neutral, then between lines, then on all three: only there it is three times as much.
        ([1e3, 0.99e3], False, True),
        ([1e3, 1.01e3], False, False),
        ([1e2, 1e2, 299.0], False, True),
        ([1e2, 1e2, 301.0], False, False),
        ([1e2, 1e2, 3e-2, 0.99e4], False, True),
        ([1e2, 1e2, 3e-2, 1.01e4], False, False),
        ([1e3, 2.99e3], True, True),
        ([1e3, 3.01e3], True, False),
        ([1e-3, 3.01e-3], True, True),
        ([1e-3, 2.99e-3], True, False),
        ([1e3, 3.0, 0.99e3], True, True),
        ([1e3, 3.0, 1.01e3], True, False),
        # It comes back within bounds above, and still cannot stand in between.
        ([1e7, 1e-3], False, False),
    ],
)
def test_transformers_may_scale_a_current_by_a_million_at_most(
    turns: list[float], *, line_to_line: bool, bears: bool
) -> None:
    assert bears_ratios(turns, line_to_line=line_to_line) is bears


def test_refused_problem_leaves_the_allocator_usable() -> None:
    allocator = compile_site(ONE)
    with pytest.raises(InvariantBroken):
        solve(replace(ONE, nodes=(replace(ONE.nodes[0], base_va=math.nan),)), allocator)
    assert solve(ONE, allocator) == solve(ONE)


def test_the_check_afterwards_sees_a_row_and_a_setpoint_that_are_wrong() -> None:
    flat = FlatAllocator(parents=[None], evse_nodes=[0], evse_phases=[{1, 2, 3}], allowed=[()])
    flat.ceiling[:] = array("d", [20.0, 20.0, 20.0, math.inf])
    flat.voltage_v[:] = array("d", [230.0] * 3)
    flat.min_a[0], flat.max_a[0], flat.step_a[0] = 6.0, 32.0, 1.0

    def verify(setpoint: float, *, admitted: int = 1, pause: float = 0.0) -> int:
        flat.setpoint_a[0], flat.admitted[0], flat.pause_a[0] = setpoint, admitted, pause
        return flat._kernel.verify()

    assert verify(20.0) == _kernel.DONE
    assert verify(21.0) == _kernel.ROW_EXCEEDED
    assert verify(5.0) == _kernel.SETPOINT_OUTSIDE
    assert verify(19.5) == _kernel.SETPOINT_OUTSIDE
    assert verify(0.0, admitted=0) == _kernel.DONE
    assert verify(1.0, admitted=0) == _kernel.SETPOINT_OUTSIDE
    assert verify(25.0, admitted=0, pause=25.0) == _kernel.DONE
