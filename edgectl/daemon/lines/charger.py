"""One EVSE on its link: silent or not, its setpoint, its watchdog, its polls.

1. While the newest decision says that it is silent, and from start, it is only called (S10). An
   answer that is newer than the decision counts more than the decision.
2. What feeds a watchdog goes out under a lease only, and is entered before it is sent (S16, S9).
3. In observe mode it is read and never written.
"""

import math
import random
from collections.abc import Sequence
from typing import Final

from edgectl.daemon.lines.charger_turn import Turn, rearm_turn
from edgectl.daemon.lines.checks import fitness
from edgectl.daemon.lines.errand import Errand, Next, Rank, Troubles
from edgectl.daemon.lines.feeder import Feeder
from edgectl.daemon.lines.image import Image
from edgectl.daemon.lines.mains import MainsOf
from edgectl.daemon.lines.poller import Poller
from edgectl.daemon.lines.schedule import Backoff
from edgectl.daemon.lines.setpoint import Setpoint
from edgectl.devices import quantities
from edgectl.devices.codec import Value
from edgectl.devices.profile import PollClass, Profile
from edgectl.devices.reads import Check, ReadBatch
from edgectl.devices.samples import EvseFacts, evse_facts
from edgectl.devices.writes import (
    ArmStep,
    WriteStep,
    arm_failsafe,
    keepalive,
    may_feed,
    place_of,
)
from edgectl.model.decision import AlarmCode, EvseDecision, Severity
from edgectl.model.modbus import Answer, Miss, Request
from edgectl.model.rules import ALL_ON, Rules
from edgectl.model.site import Evse, KeepAlive, Mode
from edgectl.model.snapshot import EvseView

ARM_AGAIN_FIRST_S: Final = 10.0
ARM_AGAIN_MOST_S: Final = 600.0
ARM_LOOK_S: Final = 60.0
"""A failsafe block that no poll reads is looked at this often."""

_FED_BY_ANY: Final = frozenset({KeepAlive.ANY_ACCESS, KeepAlive.READ, KeepAlive.REWRITE})


class Charger:
    """What one EVSE needs next. Knows no line and no clock."""

    def __init__(
        self,
        evse: Evse,
        profile: Profile,
        *,
        image: Image,
        troubles: Troubles,
        rng: random.Random,
        mode: Mode,
        mains: MainsOf | None = None,
        rules: Rules = ALL_ON,
    ) -> None:
        self.evse = evse
        self.profile = profile
        self.setpoint = Setpoint(
            evse, profile, image=image, troubles=troubles, rng=rng, mains=mains
        )
        self.timeout_s = profile.transport.timeout_s
        self._image = image
        self._troubles = troubles
        self._mode = mode
        self._rules = rules
        self._plan = keepalive(profile, evse)
        self._certain = profile.charging().feeding.certain
        self._arming = arm_failsafe(profile, evse)
        self._block_polled = all(
            profile.point(step.quantity).poll is not PollClass.NEVER
            for step in self._arming
            if step.read is not None
        )
        self._fitness = fitness(evse.id, profile, place_of(evse), troubles)
        self._poller = Poller(
            evse.id,
            profile=profile,
            place=place_of(evse),
            poll_s=evse.traits.poll_s,
            fitness=self._fitness,
            troubles=troubles,
            take=self._take,
            answered=self._answered,
        )
        self._feeder = Feeder(
            evse.id,
            profile,
            self._plan,
            setpoint=self.setpoint,
            troubles=troubles,
            heard=self._heard,
        )
        self._decision: EvseDecision | None = None
        self._answer_s = -math.inf
        self._tried_first = False
        self._arm_s = math.inf
        self._arm_wanted = False
        self._compares = False
        self._armed_s = -math.inf
        self._arm_again = Backoff(first_s=ARM_AGAIN_FIRST_S, most_s=ARM_AGAIN_MOST_S, rng=rng)
        self._disputes_seen = 0
        if mode is Mode.CONTROL:
            self._fitness.left.clear()

    # What the owner of the link asks.

    def aim(self, decision: EvseDecision, now_s: float) -> bool:
        """Take the newest decision; True when something is to be done about it."""
        before, self._decision = self._decision, decision
        new = self.setpoint.aim(decision.setpoint_a, now_s)
        return new or before is None or before.silent != decision.silent

    def resume(self, view: EvseView, now_s: float) -> None:
        """Go on from what the daemon before knew; the failsafe block is compared soon."""
        if view.last_answer_s is None:
            return
        self._answer_s = view.last_answer_s
        if self._mode is Mode.OBSERVE:
            return
        self._tried_first = True
        self._arm_s = now_s
        self.setpoint.resume(view, now_s)

    def must_be_called(self, now_s: float) -> bool:
        """Whether it is silent, so that only calls may go to it."""
        if self._mode is Mode.OBSERVE or not self._rules.s10_calls:
            return False
        if self._decision is None:
            return True
        return self._decision.silent and now_s - self._answer_s > self.evse.traits.silent_after_s

    def can_be_called(self) -> bool:
        """Whether there is a value to call it with."""
        return self._decision is not None

    def needs_lease(self) -> bool:
        """Whether any request to its unit may feed its watchdog."""
        kind = self._plan.kind
        return kind in _FED_BY_ANY or (kind is not KeepAlive.NONE and not self._certain)

    def fed_by(self, request: Request) -> bool:
        """Whether the request could feed its watchdog."""
        return self._plan.kind is not KeepAlive.NONE and may_feed(self.profile, self.evse, request)

    def next(self, now_s: float, *, leased: bool) -> Next:
        """Give what it needs next while it is not silent."""
        soonest_s = math.inf
        if self._mode is Mode.CONTROL and not self._fitness.unfit:
            found = self._setpoint_errand(now_s, leased=leased)
            if isinstance(found, Errand):
                return found
            fed = self._feeder.next(now_s, leased=leased)
            if isinstance(fed, Errand):
                return fed
            soonest_s = min(found, fed)
        polled = self._poller.next(now_s)
        return polled if isinstance(polled, Errand) else min(polled, soonest_s)

    def rearm(self, now_s: float) -> Turn | None:
        """Give the turn that sets its failsafe block again, when that is due."""
        if self._arm_s > now_s:
            return None
        self._block_seen(now_s)
        self._compares = True
        return rearm_turn(self)

    def reconnected(self, now_s: float) -> None:
        """Begin afresh on a new connection."""
        self._poller.begin_at(now_s)
        if self._mode is Mode.OBSERVE:
            self._poller.check_at(now_s)

    def stop_write(self, value_a: float) -> Errand | None:
        """Write the value of the safe stop, held or not; None when nothing may be said.

        A positive answer was the last word of many a register: who dropped what it said yes to, or
        has restarted since, would be left with a limit that nobody knows of (S18).
        """
        if self._fitness.unfit:
            return None
        return self._write_errand(self.setpoint.write(value_a), Rank.DECREASE, 0.0)

    def look(self) -> Errand | None:
        """Read the setpoint back; None where that cannot be done."""
        if self.setpoint.readback is None:
            return None
        return self._look_errand(self.setpoint.readback, Rank.READBACK, 0.0)

    # What a turn asks and tells (`charger_turn.Callee`).

    def checks(self) -> Sequence[Check]:
        """Reads that tell who the device is, then those of its required configuration."""
        return self._fitness.checks

    def judge(self, check: Check, outcome: Answer | Miss) -> bool:
        """Take the outcome of a check; False when nothing else may be said to the device."""
        return self._fitness.judge(check, outcome)

    def must_be_checked_first(self) -> bool:
        """Whether the check comes before the write: once since start, and after it has failed."""
        first, self._tried_first = not self._tried_first, True
        return first or self._fitness.unfit

    def call_write(self) -> WriteStep:
        """Build the write of the value decided for it."""
        return self.setpoint.write_wanted()

    def enter_sent(self, step: WriteStep, sent_s: float) -> None:
        """Enter the write before it goes out."""
        self.setpoint.enter(step, sent_s)

    def enter_fed(self, sent_s: float) -> None:
        """Enter that its watchdog may have been fed."""
        self._image.fed(self.evse.id, sent_s)

    def wrote(self, step: WriteStep, outcome: Answer | Miss) -> None:
        """Take the outcome of the write."""
        self.setpoint.wrote(step, outcome)

    def arming(self) -> Sequence[ArmStep]:
        """Give the failsafe block, in the device's order."""
        return self._arming

    def armed_whole(self) -> None:
        """Take that the whole failsafe block is as it should be."""
        self._troubles.end(AlarmCode.FAILSAFE_NOT_SET, self.evse.id)

    def armed(self, values: dict[str, Value], answer: Answer) -> None:
        """Take what the failsafe block says; whoever forgot it may have forgotten its setpoint."""
        now_s = answer.received_s
        self._image.evse_facts(self.evse.id, self._facts(values, answer.sent_s, now_s))
        if self._compares and self._differs(values):
            self._compares = False
            self.setpoint.repeat(now_s)

    def not_armed(self, step: ArmStep, why: str, now_s: float) -> None:
        """Take that the failsafe block is not as it should be."""
        self._armed_s = now_s
        self._arm_wanted = True
        self._arm_s = now_s + self._arm_again.next_s()
        if step.quantity == quantities.WATCHDOG:
            self._image.watchdog_unproved(self.evse.id)
        self._troubles.begin(
            AlarmCode.FAILSAFE_NOT_SET,
            self.evse.id,
            f"{step.quantity} should be {step.want:g} (register {step.request.address}): {why}; the"
            " charger counts with what it says itself, set its failsafe by hand",
            severity=Severity.ALARM,
        )

    def verified(self, outcome: Answer | Miss) -> None:
        """Take the outcome of reading the setpoint back."""
        self.setpoint.looked(outcome)

    def answers_again(self, answer: Answer) -> None:
        """Take that it is no longer silent: polls and keep-alives begin."""
        self._answered(answer.sent_s)
        if not self._arm_wanted:
            self._block_seen(answer.received_s)
        self._feeder.begin()
        self._poller.begin_at(answer.received_s)

    # Its own.

    def _setpoint_errand(self, now_s: float, *, leased: bool) -> Next:
        due = self.setpoint.due()
        if due is None:
            return math.inf
        if due.rank is Rank.INCREASE and not leased:
            return math.inf
        if due.from_s > now_s:
            return due.from_s
        if due.rank in {Rank.DECREASE, Rank.INCREASE}:
            step = self.setpoint.write_wanted()
            lowers = due.rank is Rank.DECREASE
            last = lowers and not self._rules.s14_decreases_first
            return self._write_errand(step, Rank.POLL if last else due.rank, due.order)
        readback = self.setpoint.readback
        return math.inf if readback is None else self._look_errand(readback, due.rank, due.order)

    def _write_errand(self, step: WriteStep, rank: Rank, order: float) -> Errand:
        return Errand(
            rank=rank,
            order=order,
            request=step.request,
            timeout_s=self.timeout_s,
            before=lambda sent_s: self.setpoint.enter(step, sent_s),
            after=lambda outcome: self._wrote(step, outcome),
        )

    def _look_errand(self, readback: ReadBatch, rank: Rank, order: float) -> Errand:
        return Errand(
            rank=rank,
            order=order,
            request=readback.request,
            timeout_s=self.timeout_s,
            after=self._looked,
        )

    def _wrote(self, step: WriteStep, outcome: Answer | Miss) -> None:
        self._heard(outcome)
        self.setpoint.wrote(step, outcome)

    def _looked(self, outcome: Answer | Miss) -> None:
        self._heard(outcome)
        self.setpoint.looked(outcome)
        self._rearm_after_dispute(outcome.received_s)

    def _heard(self, outcome: Answer | Miss) -> None:
        if isinstance(outcome, Answer):
            self._answered(outcome.sent_s)

    def _answered(self, sent_s: float) -> None:
        self._answer_s = max(self._answer_s, sent_s)
        self._image.answered(self.evse.id, sent_s)

    def _take(self, values: dict[str, Value], taken_s: float, now_s: float) -> None:
        facts = self._facts(values, taken_s, now_s)
        self._image.evse_facts(self.evse.id, facts)
        if self._mode is Mode.OBSERVE:
            return
        if facts.command is not None:
            self.setpoint.polled(facts.command, taken_s=taken_s, now_s=now_s)
        highest_a = None if facts.sample is None else facts.sample.highest_a()
        if highest_a is not None:
            self.setpoint.drawn(highest_a, taken_s=taken_s, now_s=now_s)
        if self._differs(values):
            self._arm_soon(now_s)

    def _facts(self, values: dict[str, Value], taken_s: float, now_s: float) -> EvseFacts:
        mains_v = self.setpoint.mains_v(now_s)
        return evse_facts(self.profile, self.evse, values, taken_s=taken_s, mains_v=mains_v)

    def _differs(self, values: dict[str, Value]) -> bool:
        """Whether what was read of the failsafe block is not as it should be."""
        return any(step.quantity in values and not step.holds(values) for step in self._arming)

    def _rearm_after_dispute(self, now_s: float) -> None:
        """Whoever forgot its setpoint may have forgotten its failsafe block."""
        if self.setpoint.disputes != self._disputes_seen:
            self._disputes_seen = self.setpoint.disputes
            self._arm_soon(now_s)

    def _block_seen(self, now_s: float) -> None:
        """Enter that the failsafe block is being looked at, and when to look again."""
        self._armed_s = now_s
        self._arm_wanted = False
        self._arm_s = now_s + ARM_LOOK_S if self._arming and not self._block_polled else math.inf

    def _arm_soon(self, now_s: float) -> None:
        if not self._arming or self._arm_wanted:
            return
        self._arm_wanted = True
        since_s = now_s - self._armed_s
        if since_s > ARM_AGAIN_MOST_S:
            self._arm_again.reset()
        self._arm_s = min(self._arm_s, max(now_s, self._armed_s + self._arm_again.next_s()))
