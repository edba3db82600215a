"""Adding floats so that every Python gives the same bits.

The built-in `sum` adds floats one after the other up to CPython 3.11 and with compensated rounding
from 3.12 on: a journal recorded under one would not replay under the other.
"""

from collections.abc import Iterable


def total(values: Iterable[float]) -> float:
    """The values added from the first to the last, rounded after each; 0 of none."""
    added = 0.0
    for value in values:
        added += value
    return added
