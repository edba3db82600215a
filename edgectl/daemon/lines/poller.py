"""The ordinary reads of one meter or EVSE: first who the device is, then its polls."""

from collections.abc import Callable
from typing import Final

from edgectl.daemon.lines.checks import Fitness
from edgectl.daemon.lines.errand import CONFIGURATION, Errand, Next, Rank, Troubles, is_lost
from edgectl.daemon.lines.schedule import Polls, Series
from edgectl.devices.codec import Value
from edgectl.devices.profile import Profile
from edgectl.devices.reads import Check, Place, ReadBatch
from edgectl.model.decision import AlarmCode, Severity
from edgectl.model.modbus import Answer, Miss

CHECK_AGAIN_S: Final = 60.0


class Poller:
    """Reads by earliest deadline.

    `take` gets the values of every round, the time when they were taken and that when they came;
    `answered` the send time of every good answer; `missed` every round that was given up.
    """

    def __init__(
        self,
        id_: str,
        *,
        profile: Profile,
        place: Place,
        poll_s: float,
        fitness: Fitness,
        troubles: Troubles,
        take: Callable[[dict[str, Value], float, float], None],
        answered: Callable[[float], None],
        missed: Callable[[Miss], None] = lambda _miss: None,
    ) -> None:
        self._id = id_
        self._profile = profile
        self._fitness = fitness
        self._polls = Polls(profile, place, poll_s=poll_s)
        self._troubles = troubles
        self._take = take
        self._answered = answered
        self._missed = missed
        self._check_s = 0.0

    def begin_at(self, due_s: float) -> None:
        """Begin the rounds anew at `due_s`."""
        self._polls.begin_at(due_s)

    def check_at(self, due_s: float) -> None:
        """Ask at `due_s` who the device is before anything else is believed."""
        self._fitness.begin()
        self._check_s = due_s

    def next(self, now_s: float) -> Next:
        """Give the next read."""
        if self._fitness.left:
            if self._check_s > now_s:
                return self._check_s
            check = self._fitness.left[0]
            return self._errand(
                check.batch, self._check_s, lambda outcome: self._checked(check, outcome)
            )
        series = self._polls.next_series(now_s)
        if series.due_s > now_s:
            return series.due_s
        batch = series.next_batch(now_s)
        if batch is None:
            series.skip(now_s)
            return series.due_s
        return self._errand(
            batch, series.deadline_s, lambda outcome: self._read(series, batch, outcome)
        )

    def _errand(
        self,
        batch: ReadBatch,
        order: float,
        after: Callable[[Answer | Miss], None],
    ) -> Errand:
        return Errand(
            rank=Rank.POLL,
            order=order,
            request=batch.request,
            timeout_s=self._profile.transport.timeout_s,
            after=after,
        )

    def _checked(self, check: Check, outcome: Answer | Miss) -> None:
        if isinstance(outcome, Miss) and is_lost(outcome):
            self._missed(outcome)
        elif self._fitness.judge(check, outcome):
            self._fitness.left.remove(check)
        else:
            self.check_at(outcome.received_s + CHECK_AGAIN_S)

    def _read(self, series: Series, batch: ReadBatch, outcome: Answer | Miss) -> None:
        now_s = outcome.received_s
        if isinstance(outcome, Answer):
            series.took(outcome.words, sent_s=outcome.sent_s)
            self._answered(outcome.sent_s)
            if self._troubles:
                self._troubles.end(AlarmCode.DEVICE_REFUSES, self._id, about=_name(batch))
        elif outcome.exception_code in CONFIGURATION:
            refused = series.refused(now_s)
            if refused is not None:
                self._troubles.begin(
                    AlarmCode.DEVICE_REFUSES,
                    self._id,
                    f"{outcome.detail} to a read of {_name(batch)} at {batch.request.address};"
                    f" check profile {self._profile.file} and address_offset",
                    severity=Severity.WARNING,
                    about=_name(batch),
                )
        else:
            self._missed(outcome)
        given_up = isinstance(outcome, Miss) and outcome.exception_code not in CONFIGURATION
        done = self._polls.collect(series, now_s, early=given_up)
        if done is not None:
            taken_s, values = done
            self._take(values, taken_s, now_s)


def _name(batch: ReadBatch) -> str:
    return ", ".join(at.point.name for at in batch.points)
