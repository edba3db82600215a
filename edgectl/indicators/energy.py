"""Energy from counters: what flowed between two readings, and which quarter hour it belongs to.

1. Whatever is billed is the difference of a register, never integrated power, where there is a
   register.
2. A register may wrap, be reset, or be another one after a repair; whatever the device cannot have
   carried in the time is not believed.
3. Between two readings the power counts as constant, so nothing is lost or counted twice at the end
   of a quarter hour, however late its last reading comes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from edgectl.units import S_PER_H

BLOCK_S: Final = 900.0
"""A demand interval: aligned to the clock, in UTC; every time zone's offset is whole ones."""

GUESSED_S: Final = 120.0
"""Readings further apart say how much flowed, but not when."""

SLACK_S: Final = 60.0
SLACK_WH: Final = 1000.0
"""What a coarse register may step at once."""

_WRAPS_WH: Final = tuple(2.0**32 * unit for unit in (0.1, 1.0, 10.0, 100.0, 1000.0))


@dataclass(frozen=True, slots=True)
class Reading:
    """A counter's value, and when it was read (UTC)."""

    at_s: float
    wh: float


@dataclass(frozen=True, slots=True)
class Gain:
    """Energy between two moments. `estimated`: its amount or its time is in part a guess."""

    from_s: float
    until_s: float
    wh: float
    estimated: bool


def gain(before: Reading, after: Reading, *, most_w: float) -> Gain:
    """What a counter counted; `most_w`: no more than this can have flowed."""
    span_s = max(0.0, after.at_s - before.at_s)
    most_wh = most_w * (span_s + SLACK_S) / S_PER_H + SLACK_WH
    counted_wh = after.wh - before.wh
    guessed = span_s > GUESSED_S
    if counted_wh < 0.0:
        guessed = True
        wrapped = [
            counted_wh + wrap
            for wrap in _WRAPS_WH
            if before.wh <= wrap and 0.0 <= counted_wh + wrap <= most_wh
        ]
        # A register that was reset counts from 0.
        counted_wh = min(wrapped, default=after.wh)
    if not 0.0 <= counted_wh <= most_wh:
        return Gain(before.at_s, after.at_s, 0.0, estimated=True)
    return Gain(before.at_s, after.at_s, counted_wh, estimated=guessed)


def integrated(before: Reading | None, power_w: float, *, at_s: float) -> Reading:
    """Count power where no register does; the first call begins at 0."""
    if before is None:
        return Reading(at_s, 0.0)
    return Reading(at_s, before.wh + max(0.0, power_w) * (at_s - before.at_s) / S_PER_H)


def block_of(at_s: float) -> float:
    """Start of the quarter hour in which a moment lies."""
    return at_s // BLOCK_S * BLOCK_S


def pieces(from_s: float, until_s: float) -> Iterator[tuple[float, float]]:
    """Every quarter hour that a span touches, with the seconds of the span in it."""
    if until_s <= from_s:
        yield block_of(from_s), 0.0
        return
    start_s = block_of(from_s)
    while start_s < until_s:
        end_s = start_s + BLOCK_S
        yield start_s, min(until_s, end_s) - max(from_s, start_s)
        start_s = end_s
