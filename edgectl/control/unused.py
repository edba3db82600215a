"""Room that is not used: what a vehicle was seen to draw, and what it gets for that (DESIGN 5).

1. Who drew clearly less than its setpoint for a minute, and was admitted 180 s ago at least, gets
   no more than the highest draw of that minute and a little: the rest is others' room, once the
   lower setpoint is confirmed.
2. It is tried with more every five minutes, and gets its whole share again at once when it draws
   nearly all that it may.
3. A phase that it is wired to counts until measured current has shown for 30 s that the vehicle
   does not use it; a current on it counts at once.
4. Unplugging, a stop, silence or a missing value forgets everything.
"""

from typing import Final

from edgectl.clock import Instant
from edgectl.control.account import Commitment
from edgectl.control.layout import Layout, layout_of, round_up
from edgectl.model.quick import maker
from edgectl.model.reading import EvseSample, VehicleState
from edgectl.model.rules import Rules
from edgectl.model.site import SILENT_AFTER_S, Connection, Evse
from edgectl.model.snapshot import Snapshot
from edgectl.model.state import DrawState, State

JUDGED_AFTER_S: Final = 180.0
LOOK_BACK_S: Final = 60.0
BLOCK_S: Final = 20.0
RESERVE_A: Final = 2.0
WANTS_MORE_A: Final = 1.0
TRY_EVERY_S: Final = 300.0
TRY_A: Final = 4.0
FEW_PHASES_S: Final = 30.0
NO_CURRENT_A: Final = 0.5
DRAWS_A: Final = 3.0
"""Only a vehicle that draws so much on some phase shows which phases it does not use."""

_NOTHING: Final = DrawState()
_ABSENT: Final = VehicleState.ABSENT
_FAULT: Final = VehicleState.FAULT

_draw_state = maker(DrawState)


def watch_draws(
    snapshot: Snapshot,
    state: State,
    commitments: tuple[Commitment, ...],
    now: Instant,
    rules: Rules,
) -> tuple[DrawState | None, ...]:
    """What is known of every EVSE's vehicle, in the site's order; None: nothing."""
    if not rules.unused_room:
        return (None,) * len(commitments)
    layout, now_s = layout_of(snapshot.site), now.mono_s
    draws: list[DrawState | None] = []
    for evse, wired, commitment, known, view in zip(
        snapshot.site.evses,
        layout.phases,
        commitments,
        map(state.evses.get, layout.evse_ids),
        map(snapshot.evses.get, layout.evse_ids),
        strict=True,
    ):
        drawn_a = commitment.measured_a
        if known is None or known.admitted_s is None or drawn_a is None or view is None:
            draws.append(None)
            continue
        newest, vehicle, before = view.samples[-1], view.vehicle, known.draw or _NOTHING
        old_s = now_s - newest.taken_s
        if old_s > SILENT_AFTER_S and old_s > evse.traits.silent_after_s:
            draws.append(None)  # a reading that is no longer renewed shows no unused phase
        elif vehicle is _ABSENT or vehicle is _FAULT:
            draws.append(None)
        else:
            what = (wired, newest, before, known.admitted_s, commitment, drawn_a, now_s)
            draws.append(before if _nothing_new(*what) else _watch(evse, *what))
    return tuple(draws)


def used_phases(
    layout: Layout, draws: tuple[DrawState | None, ...], now: Instant
) -> tuple[tuple[int, ...], ...]:
    """The phases that each EVSE loads: those that it is wired to, but for what is seen unused."""
    if not any(draw is not None and draw.idle for draw in draws):
        return layout.phases
    return tuple(
        wired
        if draw is None or draw.idle_s is None or now.mono_s - draw.idle_s < FEW_PHASES_S
        else tuple(p for p in wired if p not in draw.idle)
        for wired, draw in zip(layout.phases, draws, strict=True)
    )


def _watch(  # noqa: PLR0917 - keywords cost time here
    evse: Evse,
    wired: tuple[int, ...],
    newest: EvseSample,
    before: DrawState,
    admitted_s: float,
    commitment: Commitment,
    drawn_a: float,
    now_s: float,
) -> DrawState:
    in_force_a = commitment.in_force_a
    highs = _highs(before.highs, drawn_a, now_s)
    below_s, most_a, tried_s, trying = before.below_s, before.most_a, before.tried_s, before.trying
    if most_a is None:
        if drawn_a + RESERVE_A >= in_force_a:
            below_s = None
        elif below_s is None:
            below_s = now_s
        if (
            below_s is not None
            and now_s - below_s >= LOOK_BACK_S
            and now_s - admitted_s >= JUDGED_AFTER_S
            and (given_a := _given_a(evse, highs, drawn_a)) < in_force_a
        ):
            most_a, tried_s, trying = given_a, now_s, False
    elif drawn_a >= most_a - WANTS_MORE_A:
        most_a = below_s = tried_s = None
        trying = False
    elif trying and now_s - (tried_s or now_s) >= LOOK_BACK_S:
        most_a, tried_s, trying = _given_a(evse, highs, drawn_a), now_s, False
    elif not trying and now_s - (tried_s or now_s) >= TRY_EVERY_S:
        most_a, tried_s, trying = round_up(evse.traits, most_a + TRY_A), now_s, True
    idle, idle_s = _idle(evse, wired, newest, before, now_s)
    after = _draw_state(highs, below_s, most_a, tried_s, trying, idle, idle_s)
    return before if after == before else after


def _given_a(evse: Evse, highs: tuple[tuple[float, float], ...], drawn_a: float) -> float:
    """A little more than the highest draw of the last minute, as the charger can be told it."""
    high_a = max(drawn_a, *[high for _, high in highs])
    return round_up(evse.traits, max(evse.traits.min_a, high_a + RESERVE_A))


def _nothing_new(  # noqa: PLR0917 - as above
    wired: tuple[int, ...],
    newest: EvseSample,
    before: DrawState,
    admitted_s: float,
    commitment: Commitment,
    drawn_a: float,
    now_s: float,
) -> bool:
    """Whether surely nothing changes: for most EVSEs at most ticks, and then it must be quick."""
    highs = before.highs
    if not highs:
        return False
    since_s, high_a = highs[-1]
    if drawn_a > high_a or now_s - since_s >= BLOCK_S:
        return False
    if drawn_a > NO_CURRENT_A:
        if before.idle:
            return False
        current_a = newest.current_a
        for p in wired:
            if (current_a[p] or 0.0) <= NO_CURRENT_A:
                return False
    below_s, most_a = before.below_s, before.most_a
    if most_a is None:
        below = drawn_a + RESERVE_A < commitment.in_force_a
        if not below or below_s is None:
            return below_s is None and not below
        return now_s - below_s < LOOK_BACK_S or now_s - admitted_s < JUDGED_AFTER_S
    wait_s = LOOK_BACK_S if before.trying else TRY_EVERY_S
    return drawn_a < most_a - WANTS_MORE_A and now_s - (before.tried_s or now_s) < wait_s


def _highs(
    before: tuple[tuple[float, float], ...], drawn_a: float, now_s: float
) -> tuple[tuple[float, float], ...]:
    """The highest draw of each of the last blocks of time, oldest first; at least a minute."""
    if not before or now_s - before[-1][0] >= BLOCK_S:
        kept = [one for one in before if one[0] + BLOCK_S > now_s - LOOK_BACK_S]
        return (*kept, (now_s, drawn_a))
    since_s, high_a = before[-1]
    return before if drawn_a <= high_a else (*before[:-1], (since_s, drawn_a))


def _idle(
    evse: Evse, wired: tuple[int, ...], newest: EvseSample, before: DrawState, now_s: float
) -> tuple[tuple[int, ...], float | None]:
    """The phases (0-based) without current although it draws, and since when it was just those."""
    if evse.connection is not Connection.LINE_TO_NEUTRAL:
        return (), None
    current_a = newest.current_a
    flows = [p for p in wired if (current_a[p] or 0.0) > NO_CURRENT_A]
    if not flows or max([current_a[p] or 0.0 for p in flows]) < DRAWS_A:
        # It says nothing now; but a current where there was none counts at once.
        return ((), None) if any(p in before.idle for p in flows) else (before.idle, before.idle_s)
    if len(flows) == len(wired):
        return (), None
    idle = tuple(p for p in wired if p not in flows)
    if any(current_a[p] is None for p in idle):
        return (), None
    return (idle, before.idle_s) if idle == before.idle else (idle, now_s)
