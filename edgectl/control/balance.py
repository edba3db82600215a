"""Unbalance ceilings through the step: how far the phases of a node may be apart.

1. The setpoints of every decision keep the bound less its margin; base load and silent chargers
   that are farther apart than it make their difference the bound of that pair (DESIGN 5).
2. Whoever raises a difference waits until those who relieve it are told more, in the same decision
   or before; nobody is raised into a difference that the account already has (S13).
3. Where those who relieve it are told less, those who raise it are cut in the same decision, down
   to their minimum, the end of the queue first.

Currents follow setpoints: while a vehicle stops by itself they may be farther apart, for no longer
than `physics_s`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edgectl.control.layout import round_down
from edgectl.control.shape import TOLERANCE_A, Shaped
from edgectl.control.share import Shared
from edgectl.control.situation import Situation

PAIRS = ((0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1))
"""The phase that has more, and the one that has less."""

SLACK_A = 1e-6


@dataclass(frozen=True, slots=True)
class Difference:
    """How far phase `more` of node `node` is above phase `less`, and may be."""

    situation: Situation
    shared: Shared
    node: int
    more: int
    less: int
    bound_a: float

    def excess_a(self, told_a: Sequence[float], raising_a: Sequence[float]) -> float:
        """By how much it is too far, when EVSEs that raise it count `raising_a`; 0 where it holds.

        Those that relieve it count what they are told.
        """
        base, fixed = self.shared.base[self.node], self.shared.fixed[self.node]
        given_a = base[self.more] + fixed[self.more] - base[self.less] - fixed[self.less]
        apart_a = given_a
        for i in self.raisers():
            apart_a += raising_a[i]
        for i in self._counted(self.less, self.more):
            apart_a -= told_a[i]
        return max(0.0, apart_a - max(self.bound_a, given_a))

    def raisers(self) -> Iterator[int]:
        """The reachable EVSEs that move the two phases apart."""
        return self._counted(self.more, self.less)

    def _counted(self, loaded: int, other: int) -> Iterator[int]:
        layout, commitments = self.situation.layout, self.situation.commitments
        for i in layout.below[self.node]:
            phases = layout.phases[i]
            if loaded in phases and other not in phases and not commitments[i].silent:
                yield i


def differences(situation: Situation, shared: Shared) -> tuple[Difference, ...]:
    """Every difference of two phases that has a bound."""
    return tuple(
        Difference(situation, shared, n, more, less, bound_a)
        for n, bound_a in enumerate(situation.layout.unbalance_a)
        if bound_a is not None
        for more, less in PAIRS
    )


def keep_balance(
    situation: Situation, shared: Shared, shaped: tuple[Shaped, ...]
) -> tuple[Shaped, ...]:
    """The setpoints, with raises taken back and values cut until every difference holds."""
    bounded = differences(situation, shared)
    if not bounded:
        return shaped
    now = list(shaped)
    # Taking from one difference may open another; everything only falls, so that this ends.
    again = True
    while again:
        again = False
        for one in bounded:
            told_a = [each.setpoint_a for each in now]
            account_a = [
                max(a, commitment.committed_a)
                for a, commitment in zip(told_a, situation.commitments, strict=True)
            ]
            over_a = one.excess_a(told_a, account_a)
            if over_a > SLACK_A and _take_back(one, now, over_a):
                again = True
                continue
            over_a = one.excess_a(told_a, told_a)
            if over_a > SLACK_A and _cut(one, now, over_a):
                again = True
    return tuple(now)


def _take_back(one: Difference, now: list[Shaped], over_a: float) -> bool:
    """Take raises back, the end of the queue first; whether there was any."""
    situation, taken = one.situation, False
    raising = set(one.raisers())
    for i in reversed(one.shared.ranks.queue):
        value_a, in_force_a = now[i].setpoint_a, situation.commitments[i].in_force_a
        if i not in raising or value_a <= in_force_a + TOLERANCE_A or over_a <= SLACK_A:
            continue
        traits = situation.snapshot.site.evses[i].traits
        less_a = round_down(traits, max(0.0, value_a - over_a))
        if less_a < max(situation.layout.least_a[i], in_force_a):
            less_a = in_force_a
        over_a -= value_a - less_a
        now[i] = Shaped(less_a, (one.node, one.more), wants_raise=True)
        taken = True
    return taken


def _cut(one: Difference, now: list[Shaped], over_a: float) -> bool:
    """Cut what is in force, down to the minimum; whether there was anything to cut."""
    situation, cut = one.situation, False
    raising = set(one.raisers())
    for i in reversed(one.shared.ranks.queue):
        value_a, least_a = now[i].setpoint_a, situation.layout.least_a[i]
        if i not in raising or value_a <= least_a + TOLERANCE_A or over_a <= SLACK_A:
            continue
        traits = situation.snapshot.site.evses[i].traits
        less_a = max(least_a, round_down(traits, max(0.0, value_a - over_a)))
        over_a -= value_a - less_a
        now[i] = now[i]._replace(setpoint_a=less_a, held_back_by=(one.node, one.more))
        cut = True
    return cut
