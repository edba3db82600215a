"""The smallest trial that still fails: fewer faults first, then fewer orders, then a smaller site.

Delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002):
halves, then ever smaller parts are left out as long as what is left fails in the same way.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What is left of a trial: numbers of its faults and orders, ids of its EVSEs."""

    faults: tuple[int, ...]
    orders: tuple[int, ...]
    evses: tuple[str, ...]


Fails: TypeAlias = Callable[[Parts], bool]


def shrink(whole: Parts, fails: Fails) -> Parts:
    """Give a part of `whole` that fails, and of which nothing can be left out; `whole` fails."""
    left = whole
    while True:
        before = left
        left = replace(left, faults=_least_faults(left, fails))
        left = replace(left, orders=_least_orders(left, fails))
        left = replace(left, evses=_least_evses(left, fails))
        if left == before:
            return left


def smallest(items: Sequence[T], fails: Callable[[tuple[T, ...]], bool]) -> tuple[T, ...]:
    """Give a part of the items that fails, of which no single one can be left out."""
    kept = tuple(items)
    if kept and fails(()):
        return ()
    parts = 2
    while len(kept) >= 2:
        size = -(-len(kept) // parts)
        for start in range(0, len(kept), size):
            left = kept[:start] + kept[start + size :]
            if fails(left):
                kept, parts = left, max(parts - 1, 2)
                break
        else:
            if size == 1:
                break
            parts = min(len(kept), 2 * parts)
    return kept


def _least_faults(parts: Parts, fails: Fails) -> tuple[int, ...]:
    return smallest(parts.faults, lambda kept: fails(replace(parts, faults=kept)))


def _least_orders(parts: Parts, fails: Fails) -> tuple[int, ...]:
    return smallest(parts.orders, lambda kept: fails(replace(parts, orders=kept)))


def _least_evses(parts: Parts, fails: Fails) -> tuple[str, ...]:
    # A site without any EVSE is none.
    return smallest(parts.evses, lambda kept: bool(kept) and fails(replace(parts, evses=kept)))
