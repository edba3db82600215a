"""The whole daemon on drawn sites with drawn faults: nothing that the checkers know is breached."""

from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from edgectl.cli.journal_source import JournalSource
from edgectl.cli.rerun import rerun
from edgectl.contract.segment import segment_name
from edgectl.daemon.recorder import AGAIN_S
from edgectl.simulator.faults import FaultKind
from edgectl.simulator.trial.trial import draw_trial, run_trial
from tests.trials.series import HOUR_S, judge_seed

BLOCKS = 31
SEEDS = 155
"""What makes 50 site-hours; `make sim` runs more."""
EVER: Final = {"from_utc_s": float("-inf"), "until_utc_s": float("inf")}

pytestmark = pytest.mark.timeout(900)  # a busy machine is no fault


@pytest.mark.parametrize("block", range(BLOCKS))
def test_no_seed_breaches_anything(block: int) -> None:
    for seed in range(block, SEEDS, BLOCKS):
        assert judge_seed(seed).breaches == (), f"seed {seed}"


def test_they_are_50_site_hours_with_2000_faults() -> None:
    trials = [draw_trial(seed) for seed in range(SEEDS)]
    assert sum(trial.duration_s for trial in trials) >= 50.0 * HOUR_S
    assert sum(len(trial.faults) for trial in trials) >= 2000


def test_the_same_seed_gives_the_same_bits() -> None:
    one, again, other = (run_trial(draw_trial(seed)).record for seed in (30, 30, 31))
    assert one == again
    assert one != other


@pytest.mark.parametrize("seed", [0, 3])
def test_what_a_trial_recorded_is_decided_again_bit_for_bit(seed: int, tmp_path: Path) -> None:
    """With its kills, full disks and jumping clocks; what a full disk refused is a hole."""
    evidence = run_trial(replace(draw_trial(seed), recorded=True))
    assert len(evidence.journals) == len(evidence.lives) > 1
    found = 0
    for number, data in enumerate(evidence.journals):
        segment = tmp_path / segment_name(number, begin_utc_s=evidence.start_utc_s)
        segment.write_bytes(data)
        if data:
            steps = list(rerun(JournalSource(segment).steps(**EVER)))
            assert all(one.exact for one in steps)
            found += len(steps)
    full_s = sum(
        (fault.until_s or 0.0) - fault.at_s + AGAIN_S
        for fault in evidence.faults
        if fault.kind is FaultKind.DISK_FULL
    )
    lost = len(evidence.ticks_s) - found
    # Beside what a full disk refused, a killed process takes along what it was about to write.
    assert 0 <= lost <= 3.0 * full_s + 2.0 * len(evidence.lives)


@pytest.mark.parametrize(
    ("rule", "seed", "check"),
    [("s9", 1, "failsafe"), ("s10", 131, "room"), ("s13", 79, "overload"), ("s18", 0, "safe_stop")],
)
def test_a_rule_that_is_off_is_missed(rule: str, seed: int, check: str) -> None:
    assert check in {breach.check for breach in judge_seed(seed, (rule,)).breaches}


def test_a_rule_without_a_switch_is_told() -> None:
    with pytest.raises(ValueError, match="no rule s99 can be switched off; known are s1"):
        draw_trial(0).without(("s99",))
