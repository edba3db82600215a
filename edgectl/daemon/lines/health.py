"""How a device does: the pause that it needs, how long to leave it alone, what it answered."""

import random
from dataclasses import dataclass
from typing import Final

from edgectl.daemon.lines.errand import BUSY, is_lost
from edgectl.daemon.lines.schedule import Backoff
from edgectl.model.modbus import Answer, Miss, MissCause

DEAD_MOST_S: Final = 30.0
BUSY_AGAIN_S: Final = 0.25
BUSY_TRIES: Final = 3
BROKEN_TRIES: Final = 2
"""A device that answers, and not readably, is alive: noise on the line costs it no interval."""
_SMOOTHING: Final = 0.1


@dataclass(frozen=True, slots=True)
class UnitStatus:
    """How a device does. `round_trip_s`: smoothed; None before the first answer."""

    unit: int
    requests: int
    answers: int
    misses: int
    exceptions: int
    misses_in_a_row: int
    round_trip_s: float | None
    last_error: str
    last_error_s: float | None


class Health:
    """Counts what came of the requests to a unit; a silent one is left alone, ever longer."""

    def __init__(self, number: int, *, gap_s: float, poll_s: float, rng: random.Random) -> None:
        self.number = number
        self.free_s = 0.0
        self.quiet_until_s = 0.0
        self._gap_s = gap_s
        self._backoff = Backoff(first_s=max(1.0, poll_s), most_s=DEAD_MOST_S, rng=rng)
        self._busy = 0
        self._broken = 0
        self._in_a_row = 0
        self._requests = 0
        self._answers = 0
        self._misses = 0
        self._exceptions = 0
        self._round_trip_s: float | None = None
        self._last_error = ""
        self._last_error_s: float | None = None

    def again(self, outcome: Answer | Miss, *, later: bool) -> bool:
        """Enter an outcome; True when the device was busy and the same request is due once more.

        `later`: it could not go out for seconds. The device is read meanwhile: it is no silent one.
        """
        self._requests += 1
        self.free_s = outcome.received_s + self._gap_s
        if isinstance(outcome, Answer):
            self._answers += 1
            self._alive()
            took_s = outcome.received_s - outcome.sent_s
            if self._round_trip_s is None:
                self._round_trip_s = took_s
            self._round_trip_s += _SMOOTHING * (took_s - self._round_trip_s)
            return False
        self._last_error, self._last_error_s = outcome.detail, outcome.received_s
        if outcome.cause is MissCause.EXCEPTION:
            self._exceptions += 1
        if later and outcome.exception_code in BUSY:
            self._alive()
            return False
        if outcome.exception_code in BUSY and self._busy < BUSY_TRIES:
            self._busy += 1
            self.free_s = outcome.received_s + max(self._gap_s, BUSY_AGAIN_S * self._busy)
            return True
        if not is_lost(outcome):
            self._alive()
            return False
        self._misses += 1
        self._in_a_row += 1
        self._broken += outcome.cause is MissCause.GARBLED
        if outcome.cause is MissCause.GARBLED and self._broken <= BROKEN_TRIES:
            return False
        if outcome.cause is not MissCause.DISCONNECTED:
            self.quiet_until_s = outcome.received_s + self._backoff.next_s()
        return False

    @property
    def in_doubt(self) -> bool:
        """Whether it kept silent when it was asked last."""
        return self._backoff.count > 0

    def reconnected(self) -> None:
        """Begin afresh on a new connection."""
        self.free_s = 0.0
        self._alive()

    def status(self) -> UnitStatus:
        """How it does."""
        return UnitStatus(
            unit=self.number,
            requests=self._requests,
            answers=self._answers,
            misses=self._misses,
            exceptions=self._exceptions,
            misses_in_a_row=self._in_a_row,
            round_trip_s=self._round_trip_s,
            last_error=self._last_error,
            last_error_s=self._last_error_s,
        )

    def _alive(self) -> None:
        self._busy = 0
        self._broken = 0
        self._in_a_row = 0
        self._backoff.reset()
        self.quiet_until_s = 0.0
