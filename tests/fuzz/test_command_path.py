"""A slice of the fuzz run for every change; `--prove` runs a hundred times as much."""

import asyncio

import pytest

from tests.fuzz.command_path import Range


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_is_taken_that_was_not_signed_for_it(seed: int, *, prove: bool) -> None:
    fired = Range(seed)
    asyncio.run(fired.run(500_000 if prove else 4_000))
    taken = fired.counts["command accepted"]
    assert taken > 50, "good commands are taken, or nothing would be shown"
    assert fired.counts["event active"] + fired.counts["event accepted"] > 20
    for code in (
        "malformed",
        "bad_signature",
        "unsigned",
        "wrong_audience",
        "unknown_issuer",
        "expired",
        "not_yet_valid",
        "replayed",
        "not_supported",
    ):
        assert fired.counts[f"command {code}"] > 0, code


def test_the_judge_notices_what_nobody_signed() -> None:
    fired = Range(1)
    good = fired._sign("limit", fired._command_body("limit"))
    assert fired._judge(good, "limit").good
    for message, verb in ((good, "pause"), (good[:-9] + b"AAAAAAAAA" + b"A", "pause")):
        with pytest.raises(AssertionError):
            fired._judge(message, verb)
    with pytest.raises(AssertionError):
        fired._judge(b"e30.e30.AA", "limit")
    fired.now_s += 60.0
    with pytest.raises(AssertionError):
        fired._judge(good, "limit")
