"""Vehicles that ask for nothing: full, or before the hour of their timer (DESIGN 5).

1. Who held its minimum for 180 s at a stretch and drew nothing in that time asks for nothing: it
   ranks behind all others, for its minimum and no more. Where room is left it has that, and can
   begin at any time. After a start, silence or a fault it has 180 s anew: vehicles take a minute
   or two to begin again.
2. Once it had to give way it is offered its minimum again as an ordinary waiter: after 30 minutes,
   after an hour when it drew nothing then, and so on. Where its target says that it still needs
   energy, half of the time until its departure has passed by then at most. Around its departure
   the policy puts nobody behind.
3. It is an ordinary waiter at once when its charger begins to say that it wants power. Who said so
   and drew nothing is not believed again before it has drawn.
4. A current, another target, unplugging, a fault, a pause, silence or a missing value forgets all.
   So does a count of energy that rises as no vehicle at rest makes it: the current is wrong then.
"""

from collections.abc import Sequence
from typing import Final

from edgectl.clock import Instant
from edgectl.control.account import Commitment
from edgectl.control.limits import EvseCeiling
from edgectl.control.need import counted_wh, needed_wh
from edgectl.control.unused import JUDGED_AFTER_S, NO_CURRENT_A
from edgectl.model.quick import maker
from edgectl.model.reading import VehicleState
from edgectl.model.rules import Rules
from edgectl.model.snapshot import EvseView, Snapshot
from edgectl.model.state import EvseState, NoDemand, State
from edgectl.model.target import ChargeTarget
from edgectl.units import S_PER_H

FIRST_WAIT_S: Final = 1800.0
NEXT_WAITS_S: Final = 3600.0

AT_REST_W: Final = 400.0
"""More than `NO_CURRENT_A` on three phases: a vehicle at rest draws less."""
COUNT_WH: Final = 20.0
"""What a count may be behind; a minimum of 6 A on one phase of 230 V makes 69 Wh in 180 s."""

_WANTS: Final = frozenset({VehicleState.ASKING, VehicleState.CHARGING})
_AWAY: Final = frozenset({VehicleState.ABSENT, VehicleState.FAULT})

_no_demand = maker(NoDemand)

Seen = Sequence[tuple[Commitment, EvseCeiling]]
"""The commitment and the ceiling of every EVSE, in the site's order."""


def watch_demand(
    snapshot: Snapshot, state: State, seen: Seen, now: Instant, rules: Rules
) -> tuple[NoDemand | None, ...]:
    """Who draws nothing although it may, in the site's order; None: nothing is known of that."""
    if not rules.unused_room:
        return (None,) * len(seen)
    targets = {target.evse: target for target in snapshot.targets}
    watched: list[NoDemand | None] = []
    for evse, (commitment, ceiling) in zip(snapshot.site.evses, seen, strict=True):
        drawn_a, least_a = commitment.measured_a, evse.traits.min_a
        no_demand = None
        if drawn_a is not None and drawn_a <= NO_CURRENT_A and ceiling.max_a >= least_a:
            known, view = state.evses.get(evse.id), snapshot.evses.get(evse.id)
            if known is not None and view is not None and view.vehicle not in _AWAY:
                offered = known.admitted_s is not None and _holds(view, commitment, least_a)
                if offered or known.no_demand is not None:
                    target = targets.get(evse.id)
                    no_demand = _watch(known, view, target, now, offered=offered)
        watched.append(no_demand)
    return tuple(watched)


def asks_again(before: NoDemand | None, after: NoDemand | None) -> bool:
    """Whether it asked for nothing, and is now one of those that wait, as the newest."""
    if before is None or before.until_s is None:
        return False
    return after is None or after.until_s is None


def _holds(view: EvseView, commitment: Commitment, least_a: float) -> bool:
    """Whether a charger was seen to hold its minimum, and was told nothing less since."""
    confirmed = view.confirmed
    return (
        confirmed is not None and confirmed.value_a >= least_a and commitment.in_force_a >= least_a
    )


def _watch(
    known: EvseState, view: EvseView, target: ChargeTarget | None, now: Instant, *, offered: bool
) -> NoDemand:
    """What is known of one that shows no current now."""
    now_s, before, wants = now.mono_s, known.no_demand, view.vehicle in _WANTS
    count_wh = counted_wh(view)
    if (
        before is None
        or (target is not None and _is_another(target, before.target))
        or _is_fed(before, count_wh, now_s)
    ):
        since_s = now_s if offered else None
        return _no_demand(since_s, wants=wants, target=target, from_wh=count_wh)
    since_s, times, until_s, doubted = before.since_s, before.times, before.until_s, before.doubted
    had_chance = since_s is not None and now_s - since_s >= JUDGED_AFTER_S
    if not offered:
        if had_chance and until_s is not None:
            until_s = now_s + _wait_s(times, known, view, target, now)
        since_s = None
    elif since_s is None:
        since_s = now_s
    if until_s is not None:
        if wants and not before.wants and not doubted:
            until_s, doubted, since_s = None, True, now_s if offered else None
        elif now_s >= until_s and not (offered and had_chance):
            until_s = None
    elif offered and had_chance:
        times += 1
        until_s = now_s + _wait_s(times, known, view, target, now)
    from_wh = count_wh
    if since_s == before.since_s and count_wh is not None and before.from_wh is not None:
        from_wh = min(count_wh, before.from_wh)
    after = _no_demand(since_s, times, until_s, wants, doubted, target or before.target, from_wh)
    return before if after == before else after


def _is_fed(before: NoDemand, count_wh: float | None, now_s: float) -> bool:
    """Whether its charger counted more, since it was offered its minimum, than one at rest draws.

    Some chargers show 0 A whatever flows, and some count in steps of 100 Wh.
    """
    if before.since_s is None or before.from_wh is None or count_wh is None:
        return False
    at_rest_wh = COUNT_WH + AT_REST_W * (now_s - before.since_s) / S_PER_H
    return count_wh - before.from_wh > at_rest_wh


def _is_another(target: ChargeTarget, before: ChargeTarget | None) -> bool:
    """Whether something else is asked for, not just the same thing once more."""
    return target is not before and (
        before is None
        or target.energy_wh != before.energy_wh
        or target.departure_utc_s != before.departure_utc_s
        or target.vehicle != before.vehicle
        or target.priority != before.priority
    )


def _wait_s(
    times: int, known: EvseState, view: EvseView, target: ChargeTarget | None, now: Instant
) -> float:
    """How long it is behind all others, the `times`-th time in a row."""
    wait_s = FIRST_WAIT_S if times <= 1 else NEXT_WAITS_S
    if target is not None and needed_wh(target, view, known) > 0.0:
        left_s = target.departure_utc_s - now.utc_s
        if left_s > 0.0:
            wait_s = min(wait_s, left_s / 2.0)
    return wait_s
