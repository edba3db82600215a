"""From allocations to setpoints: decreases at once (S14), increases only into proved room (S13)."""

from typing import NamedTuple

from edgectl.control.layout import round_down
from edgectl.control.rows import Room, room_of, sum_evses, va_of
from edgectl.control.share import Shared
from edgectl.control.situation import Situation

TOLERANCE_A = 1e-9
RAISE_NOW_A = 2.0
RAISE_HOLD_S = 5.0
"""A raise by less than `RAISE_NOW_A` waits until it was wanted for so long: the pilot may change
every 5 s only (IEC 61851-1), and the noise of the base load is no reason to write."""

START_HOLD_S = 30.0
MOST_DOUBLINGS = 10
ONCE_MORE = 2
"""Who was stopped for want of room a second time starts again once its minimum fitted for so long
at a stretch, twice as long after every further stop, up to a turn: noise starts and stops nobody
for ever. Who asks for nothing starts again once it fitted for a turn."""


class Shaped(NamedTuple):
    """What an EVSE may be told now; a tuple, since one is made for each at every tick.

    `held_back_by`: the node and row that a raise waits for. `wants_raise`: its allocation is above
    what is in force, also once it was told so.
    """

    setpoint_a: float
    held_back_by: tuple[int, int] | None = None
    wants_raise: bool = False


def shape(situation: Situation, shared: Shared, calls_a: tuple[float, ...]) -> tuple[Shaped, ...]:
    """The setpoint of every EVSE, in the site's order."""
    room = _room(situation)
    shaped: list[Shaped | None] = [None] * len(situation.commitments)
    for i in shared.ranks.queue:
        commitment = situation.commitments[i]
        allocation_a = shared.outcome.setpoint_a[i]
        if commitment.silent:
            shaped[i] = Shaped(_call_a(situation, room, i, calls_a[i]))
        elif (
            allocation_a <= commitment.in_force_a + TOLERANCE_A
            or not situation.rules.s13_no_raise_into_debt
        ):
            shaped[i] = Shaped(allocation_a)
        else:
            behind = i in shared.ranks.behind
            shaped[i] = _raise(situation, room, i, allocation_a, behind=behind)
    return tuple(one for one in shaped if one is not None)


def _room(situation: Situation) -> Room:
    """What every row's ceiling leaves above the account, counted with the guarded base."""
    layout, judged = situation.layout, situation.judged
    commitments, node_ceilings = situation.commitments, situation.node_ceilings
    return room_of(
        layout,
        judged,
        [one.ceiling for one in node_ceilings],
        [(*node.guard_a, va_of(node, node.guard_a)) for node in judged],
        sum_evses(layout, judged, [c.committed_a for c in commitments]),
    )


def _call_a(situation: Situation, room: Room, i: int, value_a: float) -> float:
    """S13 for a silent charger: a call that would raise it into debt is one with its pause value.

    Its count is in the account already; the others have not yet made room for it.
    """
    if value_a <= situation.commitments[i].in_force_a + TOLERANCE_A:
        return value_a
    tight = room.tightest(i)
    if tight is None or tight.room_a >= -TOLERANCE_A or not situation.rules.s13_no_raise_into_debt:
        return value_a
    return situation.snapshot.site.evses[i].traits.pause_a


def _raise(
    situation: Situation, room: Room, i: int, allocation_a: float, *, behind: bool
) -> Shaped:
    """As much of the raise as the account proves room for; none into a row that is in debt."""
    traits, commitment = situation.snapshot.site.evses[i].traits, situation.commitments[i]
    tight = room.tightest(i)
    held_back_by = None if tight is None else (tight.node, tight.row)
    waits = Shaped(commitment.in_force_a, held_back_by, wants_raise=True)
    if tight is not None and tight.room_a < -TOLERANCE_A:
        return waits
    if commitment.descends and situation.rules.s8_committed:
        # A raise now would give it its time to follow anew, and its excess would never be known.
        return waits._replace(held_back_by=None)
    target_a = allocation_a
    if tight is not None:
        most_a = commitment.committed_a + max(0.0, tight.room_a)
        target_a = allocation_a if allocation_a <= most_a else round_down(traits, most_a)
    if target_a < traits.min_a or target_a <= commitment.in_force_a + TOLERANCE_A:
        return waits
    if _is_too_soon(situation, i, target_a, behind=behind):
        starts = commitment.in_force_a < traits.min_a
        return Shaped(commitment.in_force_a, held_back_by if starts else None, wants_raise=True)
    room.take(i, max(0.0, target_a - commitment.committed_a))
    return Shaped(target_a, held_back_by if target_a < allocation_a else None, wants_raise=True)


def _is_too_soon(situation: Situation, i: int, target_a: float, *, behind: bool) -> bool:
    """Whether a raise was not wanted long enough: a small one, or a start after a stop."""
    evse_id, in_force_a = situation.layout.evse_ids[i], situation.commitments[i].in_force_a
    known = situation.state.evses.get(evse_id)
    if in_force_a < situation.layout.min_a[i]:
        turn_s = situation.snapshot.site.sharing.turn_s
        if behind:
            hold_s = turn_s
        elif known is None or known.displaced < ONCE_MORE or not situation.rules.turns:
            return False
        else:
            doublings = min(known.displaced - ONCE_MORE, MOST_DOUBLINGS)
            hold_s = min(turn_s, START_HOLD_S * (1 << doublings))
    elif target_a - in_force_a < RAISE_NOW_A:
        hold_s = RAISE_HOLD_S
    else:
        return False
    wanted_s = None if known is None else known.raise_s
    return wanted_s is None or situation.now.mono_s - wanted_s < hold_s
