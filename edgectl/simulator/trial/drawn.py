"""What each EVSE draws, and the part of it that it was not told to draw or not seen to draw.

1. Told is what it was asked within the time in which its vehicle must have followed. Where a
   reading could show that it had, the setpoint before counts no more (S8): a vehicle that draws
   more again does what nobody could foresee.
2. A failsafe current is foreseen. Who was silent until its watchdog must have fired, and stands at
   its failsafe current, counts with that and not with what it was asked before (S9).
"""

from collections.abc import Sequence
from typing import Final

from edgectl.model.site import Evse
from edgectl.simulator.faults import FaultKind
from edgectl.simulator.trial import troubles
from edgectl.simulator.trial.evidence import Evidence
from edgectl.simulator.trial.troubles import COME_BACK_S, Span

TRACE_S: Final = 0.25

_SOMETIMES: Final = frozenset({FaultKind.SLOW_REPLIES, FaultKind.LOST_REPLIES, FaultKind.GARBLED})
"""What lets some answers through."""

_IGNORES: Final = frozenset({FaultKind.IGNORES_WRITES})
_FOLLOWED_A: Final = 0.5
_FOLLOWED_PART: Final = 0.03
_SAME_A: Final = 0.05


class Drawn:
    """One EVSE at every sample of the trace.

    `told_a`: what it was asked, or what its watchdog leaves it. `unruly_a`: what it draws beyond
    what it was told. `masked_a`: by how much it draws less than its readings say, or than it may
    while it gives none.
    """

    def __init__(self, evidence: Evidence, evse: Evse) -> None:
        self.evse = evse
        traced = evidence.trace.evses[evse.id]
        self.amps = traced.drawn_a
        self.phases = traced.phases
        self.silent = troubles.of_device(evidence, evse)
        self.unruly_spans = troubles.of_obedience(evidence, evse)
        self.ignored = troubles.of_obedience(evidence, evse, only=_IGNORES)
        self._times_s = evidence.trace.times_s
        self._forgets_s = (evse.traits.watchdog_s or 0.0) + evse.traits.settle_s
        self.told_a = self._told(traced.asked_a, traced.limit_a)
        self.unruly_a = self._unruly()
        self.masked_a = self._masked(evidence)

    def uses(self, n: int, phase: int) -> bool:
        """Tell whether its vehicle uses a phase (0 to 2) at a sample."""
        return phase + 1 in self.evse.phases[: self.phases[n]]

    def _unruly(self) -> list[float]:
        """Beyond the greatest setpoint that still counts.

        A failsafe current is foreseen, unless its charger takes no keep-alive though it answers.
        """
        traits = self.evse.traits
        samples = int((max(traits.settle_s, traits.pause_settle_s) + 1.0) / TRACE_S)
        followed = self._followed()
        unruly: list[float] = []
        for n, amps in enumerate(self.amps):
            told_a = self.told_a[n]
            if amps > told_a:
                told_a = max(self.told_a[max(0, n - samples, followed[n]) : n + 1])
                early_s = self._times_s[n] - self._forgets_s
                if not troubles.any_touches(self.unruly_spans, early_s, self._times_s[n]):
                    told_a = max(told_a, traits.failsafe_a)
            unruly.append(max(0.0, amps - told_a))
        return unruly

    def _followed(self) -> list[int]:
        """Per sample the last one at which a reading could show that it had followed; else 0.

        Who was not above a lower setpoint before has perhaps not begun to draw yet.
        """
        followed: list[int] = []
        above, last = False, 0
        before_a = 0.0
        for n, (amps, told_a) in enumerate(zip(self.amps, self.told_a, strict=True)):
            if told_a < before_a:
                above = False
            before_a = told_a
            if amps > told_a + max(_FOLLOWED_A, _FOLLOWED_PART * told_a):
                above = True
            elif above and self.evse.traits.metered:
                above, last = False, n
            followed.append(last)
        return followed

    def _told(self, asked_a: Sequence[float], limit_a: Sequence[float]) -> list[float]:
        """What it was asked; at most its failsafe current once that must be in force."""
        failsafe_a, told_a = self.evse.traits.failsafe_a, list(asked_a)
        if self.evse.traits.watchdog_s is None:
            return told_a
        since_s: float | None = None
        for n, now_s in enumerate(self._times_s):
            if limit_a[n] > failsafe_a + _SAME_A:
                since_s = None
                continue
            since_s = now_s if since_s is None else since_s
            if (
                now_s - since_s >= self._forgets_s
                and troubles.any_touches(self.silent, since_s, since_s)
                and troubles.any_touches(self.silent, now_s - COME_BACK_S, now_s)
            ):
                told_a[n] = min(told_a[n], failsafe_a)
        return told_a

    def _masked(self, evidence: Evidence) -> list[float]:
        """By how much it draws less than it may for all that anybody knows.

        Readings that stand still count until two of its readings after the fault, each as old as it
        may be, have shut them out of every window; one that is silent draws anything up to what it
        counts with, until it was called again (S4, S9, S10).
        """
        masked_a = [0.0] * len(self.amps)
        traits = self.evse.traits
        if traits.metered:
            for stuck in troubles.of_readings(evidence, self.evse):
                ends_s = stuck.until_s + 2.0 * (traits.poll_s + traits.refresh_s)
                early = index_of(stuck.from_s - traits.refresh_s)
                shown_a = max(self.amps[early : index_of(stuck.from_s) + 1], default=0.0)
                self._mask(masked_a, Span(stuck.from_s, ends_s), [shown_a] * len(self.amps))
        counts_a = [max(told_a, traits.failsafe_a) for told_a in self.told_a]
        for span in troubles.of_device(evidence, self.evse, but=_SOMETIMES):
            from_s = span.from_s + traits.silent_after_s
            if from_s < span.until_s:
                self._mask(masked_a, Span(from_s, span.until_s + COME_BACK_S), counts_a)
        return masked_a

    def _mask(self, masked_a: list[float], span: Span, most_a: Sequence[float]) -> None:
        for n in range(index_of(span.from_s), min(index_of(span.until_s) + 1, len(masked_a))):
            masked_a[n] = max(masked_a[n], most_a[n] - self.amps[n])


def index_of(at_s: float) -> int:
    """Give the sample of the trace at or before a moment."""
    return max(0, int(at_s / TRACE_S))
