"""What the bounds of the outbox take, and in which order (S23)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from edgectl.adapters.outbox_rows import WINDOW, OutboxRows
from edgectl.model.telemetry import Detail, OutRow

_LOW_WATER: Final = 0.98
_CHUNK: Final = 200

Thin: TypeAlias = Callable[[OutRow], OutRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much may be kept. `thin` takes detail out of a row."""

    thin: Thin
    max_bytes: int
    max_rows: int


def keep_within(rows: OutboxRows, bounds: Bounds) -> None:
    """At the bound take what was delivered first, then detail, then the oldest."""
    if not _over(rows, bounds, 1.0):
        return
    oldest_taken = f"seq IN (SELECT seq FROM rows WHERE {WINDOW} ORDER BY seq LIMIT ?)"  # noqa: S608
    while _over(rows, bounds, _LOW_WATER) and rows.delete_window(oldest_taken, _CHUNK):
        pass
    while rows.totals.counts.bytes > bounds.max_bytes * _LOW_WATER and rows.thin_oldest(
        _CHUNK, bounds.thin
    ):
        pass
    while _over(rows, bounds, _LOW_WATER) and _drop_oldest(rows):
        pass


def _over(rows: OutboxRows, bounds: Bounds, share: float) -> bool:
    counts = rows.totals.counts
    return counts.bytes > bounds.max_bytes * share or counts.kept > bounds.max_rows * share


def _drop_oldest(rows: OutboxRows) -> bool:
    """Drop the oldest telemetry, or the oldest of all; False when nothing is left."""
    share = max(1, min(_CHUNK, rows.totals.counts.kept // 50))
    oldest = rows.found("detail > ?", Detail.NONE, share) or rows.found("seq > ?", 0, share)
    rows.drop(oldest)
    return bool(oldest)
