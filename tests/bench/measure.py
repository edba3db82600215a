"""The frame of all benchmarks: a figure, and the median of a call over rotating inputs.

A module of this folder whose name starts with `bench_` has a function `figures()` that yields
figures; it is found by its name. Timings on a shared machine move by a factor of 2 from minute to
minute: read medians, and ratios to the reference of the same run.
"""

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Figure:
    """One line. `ratio`: how many times better than the reference, if there is one."""

    name: str
    value: float
    unit: str
    ratio: float | None = None
    reference: str = ""

    def __str__(self) -> str:
        ratio = "" if self.ratio is None else f"{self.ratio:.4g} x {self.reference}"
        return f"{self.name:<44} {self.value:>12.5g} {self.unit:<8} {ratio}".rstrip()


def median_s(
    call: Callable[[T], object],
    inputs: Sequence[T],
    *,
    budget_s: float = 0.5,
    calls_min: int = 5,
) -> float:
    """Median seconds of one call; inputs rotate, so that no predictor learns one by heart."""
    call(inputs[0])
    taken: list[float] = []
    # The collector would charge one benchmark for the objects that all the others keep.
    gc.collect()
    gc.disable()
    try:
        end = time.perf_counter() + budget_s
        while len(taken) < calls_min or time.perf_counter() < end:
            argument = inputs[len(taken) % len(inputs)]
            before = time.perf_counter()
            call(argument)
            taken.append(time.perf_counter() - before)
    finally:
        gc.enable()
    return statistics.median(taken)
