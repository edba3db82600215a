"""Whether a meter still moves with what it measures (S5).

A value may stay the same for a whole night. It is frozen once the EVSEs below have moved by more
than a live meter could have missed, whatever the base load did: the spans that surely hold their
currents, when the value first appeared and now, lie that far apart on a phase. It stays frozen
until another value comes.
"""

from edgectl.control.drawn import Bounds
from edgectl.model.reading import FROZEN_MOVED_A
from edgectl.model.state import MeterRun
from edgectl.units import PHASES, Triple


def run_after(before: MeterRun | None, value_a: Triple, taken_s: float, bounds: Bounds) -> MeterRun:
    """The run with one more settled value; `bounds`: what the EVSEs below drew at its moment."""
    if before is None or before.value_a != value_a:
        return MeterRun(
            value_a=value_a,
            since_s=taken_s,
            least_a=bounds.least_a,
            greatest_a=bounds.greatest_a,
        )
    if before.frozen or not _moved(before, bounds):
        return before
    return MeterRun(
        value_a=value_a,
        since_s=before.since_s,
        least_a=before.least_a,
        greatest_a=before.greatest_a,
        frozen=True,
    )


def is_frozen(run: MeterRun | None, value_a: Triple) -> bool:
    """Whether a value goes on with a run that is known to be frozen."""
    return run is not None and run.frozen and run.value_a == value_a


def _moved(run: MeterRun, bounds: Bounds) -> bool:
    for phase in PHASES:
        p = phase - 1
        up_a = bounds.least_a[p] - run.greatest_a[p]
        down_a = run.least_a[p] - bounds.greatest_a[p]
        if max(up_a, down_a) > FROZEN_MOVED_A:
            return True
    return False
