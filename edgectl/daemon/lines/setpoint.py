"""The setpoint register of one EVSE: what it should say, was told, and was seen to say.

1. What may be in force is entered in the image before it is sent; what is seen there and may be in
   force is entered too.
2. A value is held once it is read back, or positively answered where it cannot be read (S8).
3. A register in watts is compared in watts. When the voltage that it is reckoned with moves, what
   was told and measured counts anew. A sagging one is answered by fewer watts at once; more watts
   at a higher one are a raise, for which the next step must find room (S13).
4. What is held is not written again. A register that says something else for longer than the device
   may need is a dispute (another client, a restart): said, and answered by writing again, ever more
   slowly. Where it cannot be read, a vehicle that draws far more than was written speaks for it, or
   a charger that has forgotten more than that.
"""

import math
import random
from dataclasses import dataclass
from typing import Final

from edgectl.daemon.lines.errand import BUSY, CONFIGURATION, Rank, Troubles, is_lost
from edgectl.daemon.lines.image import Image
from edgectl.daemon.lines.mains import MainsOf
from edgectl.daemon.lines.schedule import Backoff
from edgectl.devices.profile import Profile
from edgectl.devices.reads import ReadBatch, decode, read_point
from edgectl.devices.writes import (
    WriteStep,
    amperes_told,
    command_of,
    command_write,
    place_of,
    setpoint_write,
    told,
)
from edgectl.model.decision import AlarmCode, Severity
from edgectl.model.modbus import Answer, Miss
from edgectl.model.site import Evse
from edgectl.model.snapshot import EvseView

SAME_A: Final = 0.05
SAME_W: Final = 25.0
ALIKE_A: Final = 1e-6
BEYOND_A: Final = 2.0
"""A vehicle that follows its setpoint with an offset stays below it."""
LOOK_AGAIN_S: Final = (0.5, 1.5)
VERIFY_S: Final = 30.0
REFUSED_AGAIN_S: Final = 60.0
DISPUTE_FIRST_S: Final = 1.0
DISPUTE_MOST_S: Final = 60.0
CROWDED_TRIES: Final = 2
SETTLED_S: Final = 60.0
"""A dispute is over when the register has said the right thing for so long."""


@dataclass(frozen=True, slots=True)
class Due:
    """What the register needs, from when on; the least `order` of a rank is served first."""

    rank: Rank
    from_s: float
    order: float


class Setpoint:
    """Decides what to write and read next; the owner of the link carries it out."""

    def __init__(
        self,
        evse: Evse,
        profile: Profile,
        *,
        image: Image,
        troubles: Troubles,
        rng: random.Random,
        mains: MainsOf | None = None,
    ) -> None:
        readback = profile.charging().setpoint.readback
        self.want_a: float | None = None
        self.held = False
        self.disputes = 0
        self.written_s = -math.inf
        self.readback: ReadBatch | None = (
            None if readback is None else read_point(profile, place_of(evse), readback)
        )
        self._evse = evse
        self._profile = profile
        self._image = image
        self._troubles = troubles
        self._mains = mains if profile.charging().mains is not None else None
        self._mains_v: float | None = None
        self._in_watts = self._mains is not None and profile.charging().told_in_watts
        self._unit, self._same_by = ("W", SAME_W) if self._in_watts else ("A", SAME_A)
        # In the register's own unit, as is `_highest`; `_told_a` is what that counts as.
        self._want: float | None = None
        self._told: float | None = None
        self._told_a = 0.0
        self._highest = math.inf
        self._since_s = -math.inf
        self.write_from_s = -math.inf
        self._look_s: float | None = None
        self._repeat_s: float | None = None
        self._looks = 0
        self._crowded = 0
        self._verified_s = -math.inf
        self._disputed_s = -math.inf
        self._again = Backoff(first_s=DISPUTE_FIRST_S, most_s=DISPUTE_MOST_S, rng=rng)

    def resume(self, view: EvseView, now_s: float) -> None:
        """Go on from what the daemon before knew; what it had not confirmed is written again.

        So is a limit in watts: only amperes are known of it.
        """
        self.write_from_s = now_s + self._evse.traits.min_write_interval_s
        if view.confirmed is None or view.sent or self._in_watts:
            return
        self._told_a = self._told = self._highest = view.confirmed.value_a
        self._since_s = self.written_s = view.confirmed.sent_s
        self.held = True

    def aim(self, value_a: float, now_s: float) -> bool:
        """Take the newest decided value; True when that is a new one."""
        before, want = self._want, self._wanted(value_a, now_s)
        if want == before:
            return False
        self._want = want
        lowers = before is not None and want < before
        if lowers:
            self._again.reset()
        if lowers or want != self._told:
            # That another value was refused or disputed says nothing about this one.
            free_s = max(now_s, self.written_s + self._evse.traits.min_write_interval_s)
            self.write_from_s = min(self.write_from_s, free_s)
            if self._repeat_s is not None:
                self._repeat_s = free_s
        return True

    def due(self) -> Due | None:
        """Give the write or the look that is needed most; None when nothing is."""
        if self._want is None:
            return None
        waits_for_look = self._look_s is not None
        if self._want != self._told or not (self.held or waits_for_look):
            lowers = self._want < self._highest
            return Due(
                rank=Rank.DECREASE if lowers else Rank.INCREASE,
                from_s=self.write_from_s,
                order=self._amperes(self._want) - self._amperes(self._highest),
            )
        if self._look_s is not None:
            return Due(rank=Rank.READBACK, from_s=self._look_s, order=self._look_s)
        if self._repeat_s is not None:
            from_s = max(self._repeat_s, self.write_from_s)
            return Due(rank=Rank.DECREASE, from_s=from_s, order=-math.inf)
        if self.readback is None:
            return None
        verify_s = self._verified_s + VERIFY_S
        return Due(rank=Rank.POLL, from_s=verify_s, order=verify_s)

    def mains_v(self, now_s: float) -> float | None:
        """The voltage that watts are reckoned with: it moves with a decision only."""
        if self._mains_v is None and self._mains is not None:
            self._mains_v = self._mains(self._evse, now_s)
        return self._mains_v

    def write(self, value_a: float) -> WriteStep:
        """Build the write of a value; before the first decision at the least voltage."""
        mains_v = self.mains_v(math.inf)
        return setpoint_write(self._profile, self._evse, value_a, mains_v=mains_v)

    def write_wanted(self) -> WriteStep:
        """Build the write of what was decided last."""
        if self._want is None or self.want_a is None:
            return self.write(0.0)
        return command_write(self._profile, self._evse, self._want, value_a=self.want_a)

    def again(self) -> WriteStep | None:
        """Build the write of what is held already; None while that is not known."""
        if self._told is None or not self.held:
            return None
        return command_write(self._profile, self._evse, self._told, value_a=self._told_a)

    def enter(self, step: WriteStep, sent_s: float) -> None:
        """Enter a write before it goes out."""
        repeats = self._repeat_s is not None and self.held and step.command == self._told
        self._repeat_s = None
        if repeats:
            return
        self._image.sent(self._evse.id, step.value_a, sent_s)
        self._highest = max(self._highest, step.command)
        self._told, self._told_a = step.command, step.value_a
        self._since_s = sent_s
        self._look_s = None
        self.held = False

    def wrote(self, step: WriteStep, outcome: Answer | Miss) -> None:
        """Take the outcome of a write that was entered."""
        now_s = outcome.received_s
        self.write_from_s = outcome.sent_s + self._evse.traits.min_write_interval_s
        if isinstance(outcome, Answer):
            self.written_s = outcome.sent_s
            self._troubles.end(AlarmCode.SETPOINT_REFUSED, self._evse.id)
            self._looks = 0
            self._look_s = now_s
            self._crowded = 0
            if self.readback is None:
                self._hold(now_s)
        elif outcome.exception_code in BUSY and self._writes_seldom(outcome.sent_s):
            self._crowded += 1
            if self._crowded >= CROWDED_TRIES:
                self._disputed_s = now_s
                self._conflict("stays busy, as after a write of somebody else,")
        elif not is_lost(outcome):
            self._told = None
            wait_s = REFUSED_AGAIN_S
            if outcome.exception_code not in CONFIGURATION:
                wait_s = self._again.next_s()
            self.write_from_s = max(self.write_from_s, now_s + wait_s)
            self._troubles.begin(
                AlarmCode.SETPOINT_REFUSED,
                self._evse.id,
                f"{outcome.detail} to a setpoint of {step.value_a:g} A at register"
                f" {step.request.address}; check profile {self._profile.file} and the charger's"
                " own configuration",
                severity=Severity.ALARM,
            )

    def _writes_seldom(self, now_s: float) -> bool:
        """Whether it takes a write in some seconds only, and our last one is longer ago."""
        gap_s = self._evse.traits.min_write_interval_s
        return gap_s > 0.0 and now_s >= self.written_s + gap_s

    def rewrote(self, sent_s: float) -> None:
        """Take that what is held was written once more, as a keep-alive."""
        self.written_s = sent_s
        self.write_from_s = sent_s + self._evse.traits.min_write_interval_s

    def repeat(self, now_s: float) -> None:
        """Have what is held written once more where nobody can read whether it still is."""
        if self.readback is None and self.held and self._repeat_s is None:
            self._repeat_s = now_s

    def looked(self, outcome: Answer | Miss) -> None:
        """Take the outcome of reading the register."""
        if isinstance(outcome, Miss):
            if not is_lost(outcome):
                self._look_s = outcome.received_s + REFUSED_AGAIN_S
                self._troubles.begin(
                    AlarmCode.SETPOINT_REFUSED,
                    self._evse.id,
                    f"{outcome.detail} to reading the setpoint back; check profile"
                    f" {self._profile.file}",
                    severity=Severity.WARNING,
                )
        elif self.readback is not None:
            (value,) = decode(self.readback, outcome.words).values()
            self._says(
                value if isinstance(value, float) else None,
                f"{value} at register {self.readback.request.address}",
                sent_s=outcome.sent_s,
                now_s=outcome.received_s,
            )

    def polled(self, command: float, *, taken_s: float, now_s: float) -> None:
        """Take what an ordinary poll saw; one that began before the last write says nothing."""
        if self._told is None or self.readback is None or taken_s <= self._since_s:
            return
        if self._same(command):
            self._hold(now_s)
            return
        self._may_be(command, taken_s)
        if self.held and self._look_s is None:
            self._look_s = now_s

    def drawn(self, highest_a: float, *, taken_s: float, now_s: float) -> None:
        """Take a measured current, the only word of a register that cannot be read."""
        if self.readback is not None or not self.held:
            return
        traits, told_a = self._evse.traits, self._told_a
        settle_s = traits.pause_settle_s if told_a < traits.min_a else traits.settle_s
        if taken_s < self._since_s + settle_s + traits.refresh_s:
            return
        if highest_a <= told_a + BEYOND_A:
            self._settle(now_s)
        elif self._repeat_s is None and now_s >= self.write_from_s:
            # The account goes on from what was confirmed: a repetition makes nothing younger.
            self._disputed_s = now_s
            self._repeat_s = now_s + self._again.next_s()
            self._conflict(f"draws {highest_a:.1f} A")

    def _says(self, command: float | None, shown: str, *, sent_s: float, now_s: float) -> None:
        if command is not None and self._same(command):
            self._hold(now_s)
            return
        if command is not None:
            self._may_be(command, sent_s)
        self._looks += 1
        if self._looks <= len(LOOK_AGAIN_S):
            self._look_s = now_s + LOOK_AGAIN_S[self._looks - 1]
            return
        if command is not None:
            self._image.sent(self._evse.id, self._amperes(command), sent_s)
        self._dispute(f"says {shown}", now_s)

    def _dispute(self, shown: str, now_s: float) -> None:
        self.held = False
        self.disputes += 1
        self._looks = 0
        self._look_s = None
        self._disputed_s = now_s
        self.write_from_s = max(self.write_from_s, now_s + self._again.next_s())
        self._conflict(shown)

    def _conflict(self, shown: str) -> None:
        self._troubles.begin(
            AlarmCode.SETPOINT_CONFLICT,
            self._evse.id,
            f"it {shown} where {self._told:g} {self._unit} was written; look for another"
            " client of this charger, or a limit of its own",
            severity=Severity.ALARM,
        )

    def _may_be(self, command: float, sent_s: float) -> None:
        self._since_s = max(self._since_s, sent_s)
        unknown = self._highest == math.inf
        if unknown or command > self._highest:
            self._image.sent(self._evse.id, self._amperes(command), sent_s)
            self._highest = math.inf if unknown else command

    def _same(self, command: float) -> bool:
        return self._told is not None and abs(command - self._told) <= self._same_by

    def _wanted(self, value_a: float, now_s: float) -> float:
        """What the register shall say; the value was decided at the voltage of the tick before."""
        decided_v, told_before_a = self.mains_v(now_s), self._told_a
        factor = self._follow_mains(now_s)
        if self._told is not None and factor <= 1.0 and abs(value_a - told_before_a) <= ALIKE_A:
            self.want_a = self._told_a
            return self._told
        want_a = told(self._profile, self._evse, value_a)
        if factor >= 1.0 or not self._in_watts or want_a == self._evse.traits.pause_a:
            self.want_a = want_a
            return self._command(want_a)
        self.want_a = want_a * factor
        return command_of(self._profile, self._evse, want_a, mains_v=decided_v)

    def _follow_mains(self, now_s: float) -> float:
        """Take the voltage of this moment; gives how many times as much all then counts."""
        if self._mains is None or self._mains_v is None:
            return 1.0
        before_v, self._mains_v = self._mains_v, self._mains(self._evse, now_s)
        if before_v == self._mains_v:
            return 1.0
        factor = before_v / self._mains_v
        mains = self._profile.charging().mains
        if mains is not None and mains.power is not None:
            self._image.measured_anew(self._evse.id, factor)
        if self._in_watts:
            pause_a = self._evse.traits.pause_a
            self._image.told_anew(self._evse.id, factor, but_a=pause_a)
            if self._told_a != pause_a:
                self._told_a *= factor
        return factor

    def _command(self, told_a: float) -> float:
        return command_of(self._profile, self._evse, told_a, mains_v=self._mains_v)

    def _amperes(self, command: float) -> float:
        return amperes_told(self._profile, self._evse, command, mains_v=self._mains_v)

    def _hold(self, now_s: float) -> None:
        if self._told is None:
            return
        if not self.held or self._look_s is not None:
            self._image.confirmed(
                self._evse.id, self._told_a, sent_s=self._since_s, confirmed_s=now_s
            )
        self.held = True
        self._highest = self._told
        self._look_s = None
        self._looks = 0
        self._verified_s = now_s
        if self.readback is not None:
            self._settle(now_s)

    def _settle(self, now_s: float) -> None:
        """End a dispute once the right thing was seen for long enough."""
        if now_s - self._disputed_s >= SETTLED_S:
            self._again.reset()
            self._troubles.end(AlarmCode.SETPOINT_CONFLICT, self._evse.id)
