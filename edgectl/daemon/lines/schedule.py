"""When the next request is due, and how long to leave alone what does not answer.

No clock and no waiting here: time comes in as a number.
"""

import random
from typing import Final

from edgectl.devices.codec import Value
from edgectl.devices.profile import PollClass, Profile
from edgectl.devices.reads import Place, ReadBatch, decode, plan_reads, read_points
from edgectl.model.modbus import Request

REFUSED_AGAIN_S: Final = 60.0
"""A block that the device refuses is a fault of the configuration: it is asked for this often."""

RETRY_WITHIN_S: Final = 2.0


class Backoff:
    """Waits that double from `first_s` to `most_s`, each shortened by up to a fifth at random."""

    def __init__(self, *, first_s: float, most_s: float, rng: random.Random) -> None:
        self.count = 0
        self._first_s = first_s
        self._most_s = most_s
        self._rng = rng

    def next_s(self) -> float:
        """Length of the next wait."""
        doubled_s = self._first_s * 2.0 ** min(self.count, 32)
        self.count += 1
        jittered_s = min(self._most_s, doubled_s) * (1.0 - 0.2 * self._rng.random())
        return max(self._first_s, jittered_s)

    def reset(self) -> None:
        """Begin again with the shortest wait."""
        self.count = 0


class Patience:
    """When to ask a device again that has kept silent, on a line that others share.

    1. It goes out when nothing else is due, and where its whole cost fits before the next request
       that is: who may be dead takes no interval from who is not.
    2. It waits `RETRY_WITHIN_S` for that at most.
    """

    def __init__(self) -> None:
        self._since_s: float | None = None

    def wait_until_s(self, now_s: float, *, cost_s: float, next_due_s: float) -> float | None:
        """Give when to look again; None: it may go out now."""
        if self._since_s is None:
            self._since_s = now_s
        latest_s = self._since_s + RETRY_WITHIN_S
        if now_s + cost_s <= next_due_s or now_s >= latest_s:
            self._since_s = None
            return None
        return min(next_due_s, latest_s)


class Series:
    """One device's reads of one poll class, in rounds: every block once, again after the period.

    1. A round is due at fixed instants; one that comes too late is not made up for.
    2. A block that the device refuses is split into its values, once and for good; a single value
       that it refuses is left out and tried again after `REFUSED_AGAIN_S`.
    """

    def __init__(
        self, profile: Profile, place: Place, batches: tuple[ReadBatch, ...], *, period_s: float
    ) -> None:
        self.due_s = 0.0
        self.period_s = period_s
        self._profile = profile
        self._place = place
        self._batches = list(batches)
        self._refused_until_s: dict[Request, float] = {}
        self._under_way = False
        self._left: list[ReadBatch] = []
        self._values: dict[str, Value] = {}
        self._taken_s: float | None = None

    def __bool__(self) -> bool:
        return bool(self._batches)

    @property
    def deadline_s(self) -> float:
        """When the round that is due or under way should be over."""
        return self.due_s + self.period_s

    def begin_at(self, due_s: float) -> None:
        """Give up the round under way and begin a new one at `due_s`."""
        self.due_s = due_s
        self._under_way = False

    def next_batch(self, now_s: float) -> ReadBatch | None:
        """Give the block to ask for now; None if every one is refused for now."""
        if not self._under_way:
            self._under_way = True
            self._values = {}
            self._taken_s = None
            self._left = [
                batch
                for batch in self._batches
                if self._refused_until_s.get(batch.request, 0.0) <= now_s
            ]
        return self._left[0] if self._left else None

    def took(self, words: tuple[int, ...], *, sent_s: float) -> None:
        """Take the answer to the block that was asked for."""
        if self._taken_s is None:
            self._taken_s = sent_s
        batch = self._left.pop(0)
        self._refused_until_s.pop(batch.request, None)
        self._values.update(decode(batch, words))

    def refused(self, now_s: float) -> ReadBatch | None:
        """Take a refusal of the block that was asked for; gives it if it cannot be split."""
        batch = self._left.pop(0)
        if len(batch.points) == 1:
            self._refused_until_s[batch.request] = now_s + REFUSED_AGAIN_S
            return batch
        parts = [
            part
            for at in batch.points
            for part in read_points(self._profile, self._place, [at.point], batch.period)
        ]
        where = self._batches.index(batch)
        self._batches[where : where + 1] = parts
        self._left[:0] = parts
        return None

    def finished(
        self, now_s: float, *, early: bool = False
    ) -> tuple[float, dict[str, Value]] | None:
        """Give time and values of a round that is done, or ended `early`, and set the next one."""
        if not self._under_way or (self._left and not early):
            return None
        taken_s, values = self._taken_s, self._values
        self.skip(now_s)
        return None if taken_s is None else (taken_s, values)

    def skip(self, now_s: float) -> None:
        """Leave the round under way and go on with the next one."""
        self.begin_at(self.due_s + self.period_s)
        if self.due_s < now_s - self.period_s:
            self.due_s = now_s


class Polls:
    """A device's ordinary reads: a fast series and a slow one, earliest deadline first.

    What the slow series brought rides with the next round of the fast one.
    """

    def __init__(self, profile: Profile, place: Place, *, poll_s: float) -> None:
        batches = plan_reads(
            profile,
            unit=place.unit,
            connector=place.connector,
            address_offset=place.address_offset,
            word_order=place.word_order,
        )
        fast = tuple(batch for batch in batches if batch.period is PollClass.FAST)
        slow = tuple(batch for batch in batches if batch.period is not PollClass.FAST)
        slow_s = max(poll_s, profile.transport.slow_poll_s)
        self.fast = Series(profile, place, fast, period_s=poll_s)
        self.slow = Series(profile, place, slow, period_s=slow_s)
        self._riding: dict[str, Value] = {}

    def begin_at(self, due_s: float) -> None:
        """Begin both series anew."""
        for series in (self.fast, self.slow):
            series.begin_at(due_s)

    def next_series(self, now_s: float) -> Series:
        """Give the series to go on with: of those due, the one with the earliest deadline."""
        if not self.slow:
            return self.fast
        if not self.fast:
            return self.slow
        fast, slow = self.fast, self.slow
        if fast.due_s <= now_s and slow.due_s <= now_s:
            return slow if slow.deadline_s < fast.deadline_s else fast
        return slow if slow.due_s < fast.due_s else fast

    def collect(
        self, series: Series, now_s: float, *, early: bool = False
    ) -> tuple[float, dict[str, Value]] | None:
        """Give time and values of readings when `series` has just ended a round."""
        done = series.finished(now_s, early=early)
        if done is None:
            return None
        taken_s, values = done
        if series is self.slow and self.fast:
            self._riding.update(values)
            return None
        riding, self._riding = self._riding, {}
        return taken_s, {**riding, **values}
