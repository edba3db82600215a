import random
from collections import Counter
from dataclasses import replace

import pytest

from edgectl.model.decision import ReasonCode
from tests.kernel.bridge import solve
from tests.oracle import allocation, exact, judge
from tests.oracle.problem import Problem, random_problem

EVERY_CHANGE = 200
PROOF = 1000


@pytest.mark.parametrize("continuous", [True, False], ids=["continuous", "increments"])
@pytest.mark.timeout(600)
def test_random_sites_agree_with_successive_linear_programs(
    continuous: bool,  # noqa: FBT001 - a parameter
    prove: bool,  # noqa: FBT001 - a fixture
) -> None:
    for seed in range(PROOF if prove else EVERY_CHANGE):
        problem = random_problem(seed, continuous=continuous)
        ours, wanted = solve(problem), allocation.allocate(problem)
        assert list(ours.admitted) == wanted.admitted, seed
        assert ours.setpoint_a == pytest.approx(wanted.setpoint_a, rel=0.0, abs=1e-9), seed


def test_weights_a_million_million_apart_are_exact() -> None:
    for seed in range(EVERY_CHANGE):
        rng = random.Random(seed)
        drawn = random_problem(seed, continuous=True)
        apart = rng.choice([3.0, 6.0, 12.0])
        evses = tuple(
            replace(
                evse,
                tier=0,
                min_a=0.0,
                pause_a=0.0,
                weight=min(max(1e-6, 10.0 ** rng.uniform(6.0 - apart, 6.0)), 1e6),
            )
            for evse in drawn.evses
        )
        problem = replace(drawn, evses=evses)
        assert solve(problem).setpoint_a == pytest.approx(
            exact.allocate(problem), rel=0.0, abs=1e-9
        ), seed


def test_the_random_sites_exercise_what_they_are_for() -> None:
    codes: Counter[ReasonCode] = Counter()
    negative_base = lists = tiers = 0
    for seed in range(EVERY_CHANGE):
        problem = random_problem(seed)
        codes.update(stop.code for stop in solve(problem).stops)
        negative_base += any(min(node.base_a) < 0.0 for node in problem.nodes)
        lists += any(evse.allowed for evse in problem.evses)
        tiers += len({evse.tier for evse in problem.evses}) > 1
    expected = {ReasonCode(code) for code in KERNEL_CODES}
    assert expected == set(codes)
    assert min(codes.values()) >= 20
    assert min(negative_base, lists, tiers) >= 20


KERNEL_CODES = (
    "own_maximum",
    "node_ceiling",
    "va_ceiling",
    "increment",
    "not_admitted",
    "base_over_ceiling",
    "no_demand",
)


def test_judge_finds_nothing_wrong_with_random_sites() -> None:
    for seed in range(EVERY_CHANGE):
        for continuous in (True, False):
            problem = random_problem(seed, continuous=continuous)
            outcome = solve(problem)
            answer = (problem, outcome.setpoint_a, outcome.admitted)
            assert judge.exceeded(*answer) == [], seed
            assert judge.outside(*answer) == [], seed
            if continuous:
                assert judge.could_have_more(*answer) == [], seed


def test_judge_sees_one_weight_that_is_one_percent_off() -> None:
    seen = 0
    for seed in range(60):
        problem = random_problem(seed, continuous=True)
        outcome = solve(_heavier(problem))
        seen += bool(judge.could_have_more(problem, outcome.setpoint_a, outcome.admitted))
    assert seen >= 10


def test_oracle_sees_one_weight_that_is_one_percent_off() -> None:
    seen = 0
    for seed in range(60):
        problem = random_problem(seed, continuous=True)
        ours, wanted = solve(_heavier(problem)), allocation.allocate(problem)
        seen += ours.setpoint_a != pytest.approx(wanted.setpoint_a, rel=0.0, abs=1e-9)
    assert seen >= 10


def _heavier(problem: Problem) -> Problem:
    """The same problem with a weight 1 % off: that of the first EVSE a ceiling stops."""
    stops = solve(problem).stops
    codes = {ReasonCode.NODE_CEILING, ReasonCode.VA_CEILING}
    which = next((i for i, stop in enumerate(stops) if stop.code in codes), 0)
    evses = list(problem.evses)
    evses[which] = replace(evses[which], weight=evses[which].weight * 1.01)
    return replace(problem, evses=tuple(evses))
