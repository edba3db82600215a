"""Counters: wraps, resets, repairs, and which quarter hour it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgectl.indicators.blocks import Blocks
from edgectl.indicators.energy import Gain, Reading, gain, integrated, pieces

MOST_W = 22_000.0


def gained(before_wh: float, after_wh: float, span_s: float = 60.0) -> Gain:
    return gain(Reading(1000.0, before_wh), Reading(1000.0 + span_s, after_wh), most_w=MOST_W)


@pytest.mark.parametrize(
    ("before_wh", "after_wh", "span_s", "wh", "estimated"),
    [
        (5_000.0, 5_300.0, 60.0, 300.0, False),
        (5_000.0, 5_000.0, 60.0, 0.0, False),
        (5_000.0, 25_000.0, 3600.0, 20_000.0, True),  # how much is sure, when is not
        (2.0**32 - 100.0, 200.0, 60.0, 300.0, True),  # wraps at 2^32 Wh
        (0.1 * 2.0**32 - 10.0, 40.0, 60.0, 50.0, True),  # counts tenths of a Wh
        (700_000.0, 120.0, 60.0, 120.0, True),  # reset to 0
        (700_000.0, 650_000.0, 60.0, 0.0, True),  # another counter, lower
        (700_000.0, 9_000_000.0, 60.0, 0.0, True),  # another counter, higher
    ],
)
def test_what_a_counter_counted(
    before_wh: float, after_wh: float, span_s: float, wh: float, *, estimated: bool
) -> None:
    found = gained(before_wh, after_wh, span_s)
    assert found.wh == pytest.approx(wh, abs=0.01)
    assert found.estimated is estimated


def test_power_is_counted_where_no_register_is() -> None:
    first = integrated(None, 7200.0, at_s=100.0)
    assert first.wh == 0.0
    assert integrated(first, 7200.0, at_s=110.0) == Reading(110.0, 20.0)
    assert integrated(first, -50.0, at_s=110.0).wh == 0.0


@given(
    from_s=st.floats(0.0, 1e9),
    span_s=st.floats(0.0, 10_000.0),
    wh=st.floats(0.0, 1e6),
)
def test_nothing_is_lost_between_quarter_hours(from_s: float, span_s: float, wh: float) -> None:
    until_s = from_s + span_s
    assert sum(seconds for _, seconds in pieces(from_s, until_s)) == pytest.approx(
        until_s - from_s, abs=1e-6
    )
    blocks = Blocks()
    blocks.port_energy("p", Gain(from_s, until_s, wh, estimated=False))
    kept = blocks.as_kept().values()
    assert sum(block.ports["p"].energy_wh for block in kept) == pytest.approx(wh, abs=1e-6)
    for block in kept:
        assert block.start_s % 900.0 == 0.0


def test_a_reading_after_the_quarter_hour_is_shared_by_time() -> None:
    blocks = Blocks()
    blocks.node_energy("n", Gain(890.0, 920.0, 30.0, estimated=False))
    first, second = (blocks.as_kept()[start].nodes["n"] for start in (0.0, 900.0))
    assert (first.import_wh, second.import_wh) == (10.0, 20.0)
    assert (first.counted_s, second.counted_s) == (10.0, 20.0)
    assert blocks.finished(900.0) == (blocks.as_kept()[0.0],)
