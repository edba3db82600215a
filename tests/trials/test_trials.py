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


@pytest.mark.parametrize(
    ("rule", "seed", "check"), [("s5", 0, "overload"), ("s18", 0, "safe_stop")]
)
def test_a_rule_that_is_off_is_missed(rule: str, seed: int, check: str) -> None:
    verdict = judge_trial(seed, run_trial(draw_trial(seed).without((rule,))))
    assert check in {breach.check for breach in verdict.breaches}


def test_a_rule_without_a_switch_is_told() -> None:
    with pytest.raises(ValueError, match="no rule s99 can be switched off; known are s1"):
        draw_trial(0).without(("s99",))
