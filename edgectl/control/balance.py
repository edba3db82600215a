"""Unbalance ceilings through the step: how far the phases of a node may be apart.

1. The setpoints of every decision keep the bound less its margin; base load and silent chargers
   that are farther apart than it make their difference the bound of that pair (DESIGN 5).
2. Whoever raises a difference waits until those who relieve it are told more, in the same decision
   or before; nobody is raised into a difference that the account already has (S13).
3. Where those who relieve it are told less, those who raise it are cut in the same decision, down
   to their minimum, the end of the queue first.

4. Who relieves it counts with no more than it is seen to draw, once it had its time to begin: a
   vehicle that stops by itself relieves nothing, and the others are cut (for currents, within
   `physics_s`). A silent charger relieves nothing. Who is wired to both phases and is seen on one
   of them raises it, or relieves it, as if it were wired to that one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from edgectl.control.account import FOLLOWED_A, FOLLOWED_SHARE
from edgectl.control.layout import round_down
from edgectl.control.shape import TOLERANCE_A, Shaped
from edgectl.control.share import Shared
from edgectl.control.situation import Situation

PAIRS = ((0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1))
"""The phase that has more, and the one that has less."""

SLACK_A = 1e-6


BEGINS_A = 3.0
"""Only a vehicle that draws so much on some phase shows which phases it does not use."""

LOOK_BACK_S = 10.0


@dataclass(frozen=True, slots=True)
class Difference:
    """How far phase `more` of node `node` is above phase `less`, and may be.

    `given_a`: how far it is by what no decision changes. `relief`: per EVSE that relieves it, the
    most that it counts with.
    """

    situation: Situation
    node: int
    more: int
    less: int
    bound_a: float
    given_a: float
    raising: tuple[int, ...]
    relief: tuple[tuple[int, float], ...]

    def excess_a(self, told_a: Sequence[float], raising_a: Sequence[float]) -> float:
        """By how much it is too far, when EVSEs that raise it count `raising_a`; 0 where it holds.

        Those that relieve it count what they are told, or less.
        """
        apart_a = self.given_a
        for i in self.raising:
            apart_a += raising_a[i]
        for i, most_a in self.relief:
            apart_a -= min(told_a[i], most_a)
        return max(0.0, apart_a - max(self.bound_a, self.given_a))


def differences(situation: Situation, shared: Shared) -> tuple[Difference, ...]:
    """Every difference of two phases that has a bound."""
    return tuple(
        _difference(situation, shared, n, more, less, bound_a)
        for n, bound_a in enumerate(situation.layout.unbalance_a)
        if bound_a is not None
        for more, less in PAIRS
    )


def _difference(  # noqa: PLR0917 - indices of one pair of phases
    situation: Situation, shared: Shared, n: int, more: int, less: int, bound_a: float
) -> Difference:
    base = shared.base[n]
    given_a = base[more] - base[less]
    raising, relief = [], []
    for i in situation.layout.below[n]:
        commitment = situation.commitments[i]
        phases = situation.layout.phases[i]
        if commitment.silent:
            if more in phases and less not in phases:
                given_a += commitment.committed_a
            continue
        phases = _seen_phases(situation, i, phases)
        if more in phases and less not in phases:
            raising.append(i)
            given_a += commitment.excess_a
        elif less in phases and more not in phases:
            relief.append((i, _relief_a(situation, i, less)))
    return Difference(situation, n, more, less, bound_a, given_a, tuple(raising), tuple(relief))


def _seen_phases(situation: Situation, i: int, phases: tuple[int, ...]) -> tuple[int, ...]:
    """The phases on which its vehicle is seen to draw; all of its own while that is not clear."""
    if situation.commitments[i].measured_a is None or not situation.rules.unused_room:
        return phases
    current_a = situation.snapshot.evses[situation.layout.evse_ids[i]].samples[-1].current_a
    seen = tuple(p for p in phases if (current_a[p] or 0.0) > FOLLOWED_A)
    return seen if any((current_a[p] or 0.0) >= BEGINS_A for p in seen) else phases


def _relief_a(situation: Situation, i: int, p: int) -> float:
    """The least that it drew on a phase lately; no bound before it had its time to begin.

    Who follows its setpoint, or does not measure, counts with that.
    """
    commitment, evse = situation.commitments[i], situation.snapshot.site.evses[i]
    known = situation.state.evses.get(evse.id)
    admitted_s = None if known is None else known.admitted_s
    if commitment.measured_a is None or admitted_s is None:
        return inf
    begun_s = admitted_s + evse.traits.settle_s + evse.traits.refresh_s
    from_s = max(begun_s, situation.now.mono_s - LOOK_BACK_S)
    samples = situation.snapshot.evses[evse.id].samples
    drawn = [one.current_a[p] or 0.0 for one in samples if one.taken_s >= from_s]
    least_a = min(drawn, default=inf)
    follows = least_a >= commitment.in_force_a * (1.0 - FOLLOWED_SHARE) - FOLLOWED_A
    return inf if follows else least_a


def keep_balance(
    situation: Situation, shared: Shared, shaped: tuple[Shaped, ...]
) -> tuple[Shaped, ...]:
    """The setpoints, with raises taken back and values cut until every difference holds."""
    bounded = differences(situation, shared)
    if not bounded:
        return shaped
    now, queue = list(shaped), shared.ranks.queue
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
            if over_a > SLACK_A and _take_back(one, queue, now, over_a):
                again = True
                continue
            over_a = one.excess_a(told_a, told_a)
            if over_a > SLACK_A and _cut(one, queue, now, over_a):
                again = True
    return tuple(now)


def _take_back(one: Difference, queue: Sequence[int], now: list[Shaped], over_a: float) -> bool:
    """Take raises back, the end of the queue first; whether there was any."""
    situation, taken = one.situation, False
    raising = set(one.raising)
    for i in reversed(queue):
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


def _cut(one: Difference, queue: Sequence[int], now: list[Shaped], over_a: float) -> bool:
    """Cut what is in force, down to the minimum; whether there was anything to cut."""
    situation, cut = one.situation, False
    raising = set(one.raising)
    for i in reversed(queue):
        value_a, least_a = now[i].setpoint_a, situation.layout.least_a[i]
        if i not in raising or value_a <= least_a + TOLERANCE_A or over_a <= SLACK_A:
            continue
        traits = situation.snapshot.site.evses[i].traits
        less_a = max(least_a, round_down(traits, max(0.0, value_a - over_a)))
        over_a -= value_a - less_a
        now[i] = now[i]._replace(setpoint_a=less_a, held_back_by=(one.node, one.more))
        cut = True
    return cut
