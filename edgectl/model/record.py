"""What one tick leaves behind for those who only look on: publisher, local API, journal."""

from dataclasses import dataclass

from edgectl.clock import Instant
from edgectl.model.decision import Decision
from edgectl.model.snapshot import Snapshot
from edgectl.model.state import State


@dataclass(frozen=True, slots=True)
class TickRecord:
    """One finished tick: what it saw, what it decided and when.

    `number` counts from 1 since the start; `before` is the state that the step was given, `state`
    the one after it. `tick_p99_ms` is over the last ticks; `late_ticks` counts those that began
    later than due by more than a tenth of the period.
    """

    number: int
    now: Instant
    snapshot: Snapshot
    before: State
    state: State
    decision: Decision
    started_utc_s: float
    tick_p99_ms: float
    late_ticks: int = 0
