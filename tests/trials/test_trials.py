"""The whole daemon on drawn sites with drawn faults: nothing that the checkers know is breached."""

import pytest

from edgectl.simulator.trial.trial import draw_trial, run_trial
from edgectl.simulator.trial.verdict import judge_trial

BLOCKS = 6
SEEDS = 18

pytestmark = pytest.mark.timeout(900)  # a busy machine is no fault


@pytest.mark.parametrize("block", range(BLOCKS))
def test_no_seed_breaches_anything(block: int) -> None:
    for seed in range(block, SEEDS, BLOCKS):
        verdict = judge_trial(seed, run_trial(draw_trial(seed)))
        assert verdict.breaches == (), f"seed {seed}"


def test_the_same_seed_gives_the_same_bits() -> None:
    one, again, other = (run_trial(draw_trial(seed)).record for seed in (30, 30, 31))
    assert one == again
    assert one != other
