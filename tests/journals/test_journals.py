"""Every recorded case in this folder decides today as it was recorded."""

from pathlib import Path

import pytest

from edgectl.cli.journal_source import JournalSource
from edgectl.cli.rerun import Summary, rerun
from edgectl.contract.segment import SUFFIX

HERE = Path(__file__).parent
CASES = sorted(path.name for path in HERE.iterdir() if path.name.endswith(SUFFIX))


def test_there_are_cases() -> None:
    assert CASES


@pytest.mark.parametrize("case", CASES)
def test_a_recorded_case_decides_as_it_did(case: str) -> None:
    source = JournalSource(HERE / case)
    summary = Summary()
    for one in rerun(source.steps(from_utc_s=float("-inf"), until_utc_s=float("inf"))):
        summary.take(one)
    told_otherwise = {id_: one.differing for id_, one in summary.evses.items() if one.differing}
    how = f"if this is meant: edgectl replay {HERE / case} --save {HERE / case}"
    assert not summary.broken, summary.broken[0]
    assert summary.steps > 0
    assert source.damage.holes == source.passed_over == 0
    assert not told_otherwise, how
    assert summary.same == summary.steps, how
