"""Whether a meter still moves with what it measures (S5).

A value may stay the same for a whole night. It is frozen once the EVSEs below have moved by more
than a live meter could have missed, whatever the base load did: the spans that surely hold their
currents, at any two moments since the value first appeared, lie that far apart on a phase. At the
first moment alone the span may be wide, after a start above all. It stays frozen until another
value comes.
"""

from collections.abc import Callable
from operator import sub

from edgectl.control.drawn import Bounds
from edgectl.model.reading import FROZEN_MOVED_A
from edgectl.model.state import MeterRun
from edgectl.units import Triple


def run_after(before: MeterRun | None, value_a: Triple, taken_s: float, bounds: Bounds) -> MeterRun:
    """The run with one more settled value; `bounds`: what the EVSEs below drew at its moment."""
    if before is None or before.value_a != value_a:
        return MeterRun(
            value_a=value_a,
            since_s=taken_s,
            least_a=bounds.least_a,
            greatest_a=bounds.greatest_a,
        )
    if before.frozen:
        return before
    least_a = _each(max, before.least_a, bounds.least_a)
    greatest_a = _each(min, before.greatest_a, bounds.greatest_a)
    if least_a == before.least_a and greatest_a == before.greatest_a:
        return before
    return MeterRun(
        value_a=value_a,
        since_s=before.since_s,
        least_a=least_a,
        greatest_a=greatest_a,
        frozen=max(map(sub, least_a, greatest_a)) > FROZEN_MOVED_A,
    )


def is_frozen(run: MeterRun | None, value_a: Triple) -> bool:
    """Whether a value goes on with a run that is known to be frozen."""
    return run is not None and run.frozen and run.value_a == value_a


def _each(choose: Callable[[float, float], float], one: Triple, other: Triple) -> Triple:
    return (choose(one[0], other[0]), choose(one[1], other[1]), choose(one[2], other[2]))
