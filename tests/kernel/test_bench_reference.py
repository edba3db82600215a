import pytest

from tests.bench import plain
from tests.bench.depots import depot
from tests.kernel.bridge import solve


@pytest.mark.parametrize("size", [1, 10, 100, 1000])
def test_the_reference_of_the_benchmark_does_the_same(size: int) -> None:
    for seed in range(3):
        problem = depot(seed, evses=size)
        setpoint_a, stops, deficits = plain.allocate(plain.Compiled(problem), problem)
        outcome = solve(problem)
        assert setpoint_a == pytest.approx(outcome.setpoint_a, rel=0.0, abs=1e-9)
        assert [stop[0] for stop in stops] == [stop.code.value for stop in outcome.stops]
        assert [tuple(row[:3]) for row in deficits] == list(outcome.deficit_a)
