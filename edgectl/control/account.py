"""What each EVSE may be drawing right now: the committed currents.

1. Committed is what may be drawn, not what was last asked (S8).
2. A charger that does not answer is a fixed load, and what it may draw is only what its own
   watchdog proves (S9).
3. A vehicle that goes on drawing more than it is told, after the time in which it must have
   followed, will do so under the next setpoint too: that excess is a fixed load in both sums.
4. So does a charger that was told less, and was seen to hold more than that afterwards: it answers,
   and takes nothing.
5. A silent charger that somebody has locked off counts nothing until it answers (S11); then it
   counts as it would have.
6. Nothing here looks at ceilings; the account is the same whatever is allowed.
"""

from dataclasses import dataclass

from edgectl.clock import Instant
from edgectl.control.layout import layout_of
from edgectl.model.quick import maker
from edgectl.model.reading import STALE_S
from edgectl.model.rules import Rules
from edgectl.model.site import SILENT_AFTER_S, Evse, KeepAlive
from edgectl.model.snapshot import Confirmed, EvseView, Snapshot
from edgectl.model.state import EvseState, State
from edgectl.units import MeterId

FOLLOWED_A = 0.5
FOLLOWED_SHARE = 0.03
OFFSET_A = 2.0
"""So near above its setpoint a vehicle follows it, with an offset that counts as excess."""
LESS_A = 0.25
SETTLED_READINGS = 2


@dataclass(frozen=True, slots=True)
class Commitment:
    """One EVSE's part of the account.

    `held_a`: the highest setpoint that still counts. `committed_a`: that, or what it is measured to
    draw. `in_force_a`: the value last sent or confirmed, which a raise is measured against.
    `measured_a`: its last reading, None where it has none. `silent`: a fixed load of `committed_a`
    in both sums. `excess_a`: what it draws beyond its setpoint, whatever that is. `blind`: it
    answers and should measure, and gives no current. `descends`: it was last seen above its
    setpoint and excess, and is not yet known to follow it or not.
    """

    held_a: float
    committed_a: float
    in_force_a: float
    measured_a: float | None
    silent: bool
    failsafe_a: float
    excess_a: float = 0.0
    blind: bool = False
    descends: bool = False


_commitment = maker(Commitment)


def commit(snapshot: Snapshot, state: State, now: Instant, rules: Rules) -> tuple[Commitment, ...]:
    """The commitment of every EVSE, in the site's order."""
    layout, now_s = layout_of(snapshot.site), now.mono_s
    started_s = now_s if state.started_s is None else state.started_s
    trusted = trusted_meters(snapshot, state, now)
    commitments = []
    for evse, view, known, seen_by in zip(
        snapshot.site.evses,
        map(snapshot.evses.get, layout.evse_ids),
        map(state.evses.get, layout.evse_ids),
        layout.seen_by,
        strict=True,
    ):
        one = None if view is None or known is None else _following(evse, view, known, now_s)
        if one is None:
            unseen = rules.s11_boot and seen_by.isdisjoint(trusted)
            one = _commit_one(
                evse,
                view or _UNHEARD,
                known,
                boot_a=evse.traits.boot_a if unseen else None,
                now_s=now_s,
                started_s=started_s,
                isolated=rules.s11_boot and evse.id in snapshot.isolated,
                rules=rules,
            )
        commitments.append(one)
    return tuple(commitments)


def trusted_meters(snapshot: Snapshot, state: State, now: Instant) -> frozenset[MeterId]:
    """Those that would show a charger that came back with its boot current (S11)."""
    found = set[MeterId]()
    for id_, view in snapshot.meters.items():
        fresh = bool(view.samples) and now.mono_s - view.samples[-1].taken_s < STALE_S
        base = state.meters.get(id_)
        if fresh and not (base is not None and base.run is not None and base.run.frozen):
            found.add(id_)
    return frozenset(found)


_UNHEARD = EvseView()


def _following(evse: Evse, view: EvseView, known: EvseState, now_s: float) -> Commitment | None:
    """The commitment of one that was read in time and draws no more than the setpoint it holds.

    That is most of them at most ticks, and it must be quick; None: whoever it is needs weighing.
    """
    confirmed, samples, answer_s = view.confirmed, view.samples, view.last_answer_s
    if confirmed is None or view.sent or not samples or answer_s is None or known.excess_a != 0.0:
        return None
    value_a, newest = confirmed.value_a, samples[-1]
    measured_a = newest.highest_a()
    if (
        measured_a is None
        or measured_a > value_a
        or value_a < known.held_a
        or now_s - answer_s > SILENT_AFTER_S
        or now_s - newest.taken_s >= STALE_S
    ):
        return None
    failsafe_a = evse.traits.failsafe_a if view.failsafe_a is None else view.failsafe_a
    return _commitment(value_a, value_a, value_a, measured_a, False, failsafe_a)


def _commit_one(
    evse: Evse,
    view: EvseView,
    state: EvseState | None,
    *,
    boot_a: float | None,
    now_s: float,
    started_s: float,
    isolated: bool,
    rules: Rules,
) -> Commitment:
    traits = evse.traits
    held_a = traits.hardware_max_a if state is None else state.held_a
    failsafe_a = traits.failsafe_a if view.failsafe_a is None else view.failsafe_a
    in_force_a = _in_force_a(view, held_a)
    if rules.s9_silent and _is_silent(evse, view, now_s):
        count_a = _silent_count_a(
            evse,
            view,
            held_a=held_a,
            failsafe_a=failsafe_a,
            boot_a=boot_a,
            now_s=now_s,
            started_s=started_s,
        )
        followed = view.confirmed is None or now_s >= _follows_by_s(evse, view.confirmed)
        return Commitment(
            # It may come back from a reboot, on its way down from its boot current.
            held_a=max(count_a, traits.boot_a) if followed else count_a,
            committed_a=0.0 if isolated else count_a,
            in_force_a=in_force_a,
            measured_a=None,
            silent=True,
            failsafe_a=failsafe_a,
        )
    blind = _is_blind(evse, view, now_s)
    before_a = 0.0 if state is None else state.excess_a
    last_a = view.samples[-1].highest_a() if view.samples else None
    measured_a = None if blind else last_a
    # Who was last seen not to follow is not believed to follow unseen.
    sure_a = _sure_draw_a(view, last_a if before_a > OFFSET_A else measured_a)
    settled_a = sure_a if sure_a is not None and _is_settled(evse, view) else None
    held_a = _held_a(evse, view, held_a, settled_a, now_s) if rules.s8_committed else in_force_a
    told_a = in_force_a if state is None else _told_a(view, state, in_force_a)
    if told_a < in_force_a:
        drawn_a = held_a if blind or not traits.metered else (sure_a or 0.0)
        excess_a = max(0.0, drawn_a - told_a)
    else:
        excess_a = _excess_a(sure_a, settled_a, before_a, in_force_a=in_force_a, held_a=held_a)
    above_a = 0.0 if measured_a is None or settled_a is not None else measured_a - excess_a
    return _commitment(
        held_a,
        max(held_a, sure_a or 0.0) if measured_a is None else max(held_a, measured_a),
        told_a,
        measured_a,
        False,
        failsafe_a,
        excess_a,
        blind,
        above_a > _enough_a(told_a),
    )


def _in_force_a(view: EvseView, held_a: float) -> float:
    if view.sent:
        return view.sent[-1].value_a
    return held_a if view.confirmed is None else view.confirmed.value_a


def _told_a(view: EvseView, state: EvseState, in_force_a: float) -> float:
    """The value in force; what was decided where a charger was seen to hold more after it was told.

    What it was told waits before what it was seen to hold among the values since the confirmed one.
    """
    seen_above = any(sent.value_a < in_force_a for sent in view.sent[:-1])
    return min(in_force_a, state.setpoint_a) if seen_above else in_force_a


def _is_silent(evse: Evse, view: EvseView, now_s: float) -> bool:
    """S9: no good answer for max(3 polls, 5 s), and from the start until the first one."""
    if view.last_answer_s is None:
        return True
    age_s = now_s - view.last_answer_s
    return age_s > SILENT_AFTER_S and age_s > evse.traits.silent_after_s


def _silent_count_a(
    evse: Evse,
    view: EvseView,
    *,
    held_a: float,
    failsafe_a: float,
    boot_a: float | None,
    now_s: float,
    started_s: float,
) -> float:
    """S9: the most it may draw; once its watchdog must have fired, its failsafe current.

    A watchdog time of 0 is none: chargers say so where it is switched off. What still counted when
    it fell silent (S8) counts until its vehicle must have followed. `boot_a`: where no meter sees
    it, its silence may be a reboot (S11), after which it knows of no watchdog either.
    """
    traits = evse.traits
    watchdog_s = traits.watchdog_s if view.watchdog_s is None else view.watchdog_s
    if traits.keepalive is not KeepAlive.NONE and watchdog_s is not None and watchdog_s > 0:
        fed_s = started_s if view.last_feed_s is None else max(started_s, view.last_feed_s)
        if now_s >= fed_s + watchdog_s + traits.settle_s:
            return failsafe_a if boot_a is None else max(failsafe_a, boot_a)
    if view.last_answer_s is None:
        return traits.hardware_max_a
    counts = [sent.value_a for sent in view.sent]
    counts.append(failsafe_a)
    if view.confirmed is not None:
        counts.append(view.confirmed.value_a)
    if view.confirmed is None or now_s < _follows_by_s(evse, view.confirmed):
        counts.append(held_a)
    if view.samples:
        counts.append(view.samples[-1].highest_a() or 0.0)
    if boot_a is not None:
        counts.append(boot_a)
    return max(counts)


def _held_a(
    evse: Evse, view: EvseView, held_a: float, settled_a: float | None, now_s: float
) -> float:
    """S8: a raise counts when sent, a decrease when confirmed and followed by the vehicle."""
    confirmed = view.confirmed
    if confirmed is None:
        return max([held_a, *[sent.value_a for sent in view.sent]])
    candidate_a = confirmed.value_a
    if view.sent:
        candidate_a = max([candidate_a, *[sent.value_a for sent in view.sent]])
    if candidate_a >= held_a or _followed(evse, confirmed, view, candidate_a, now_s):
        return candidate_a
    if settled_a is not None and settled_a <= confirmed.value_a + OFFSET_A:
        return candidate_a
    return held_a


def _followed(
    evse: Evse, confirmed: Confirmed, view: EvseView, value_a: float, now_s: float
) -> bool:
    """Whether a value measured after the confirmation is low enough; without one: by time."""
    traits = evse.traits
    if not traits.metered:
        return now_s >= _follows_by_s(evse, confirmed)
    enough_a = _enough_a(value_a)
    if _is_blind(evse, view, now_s):
        return now_s >= _follows_by_s(evse, confirmed)
    newest = view.samples[-1] if view.samples else None
    if newest is None or newest.taken_s - traits.refresh_s < confirmed.confirmed_s:
        return False
    highest_a = newest.highest_a()
    if highest_a is None or highest_a > enough_a:
        return False
    # Who was not seen above it has perhaps not begun to draw, and is on the way up.
    seen_above = any((sample.highest_a() or 0.0) > enough_a for sample in view.samples)
    return seen_above or now_s >= _follows_by_s(evse, confirmed)


def _enough_a(value_a: float) -> float:
    """Whoever draws no more than this follows a setpoint (S8)."""
    return value_a + max(FOLLOWED_A, FOLLOWED_SHARE * value_a)


def _is_blind(evse: Evse, view: EvseView, now_s: float) -> bool:
    """Whether it has held its setpoint for long and still, or again, has no current to show."""
    confirmed = view.confirmed
    if not evse.traits.metered or confirmed is None or now_s - confirmed.confirmed_s < STALE_S:
        return False
    return not view.samples or now_s - view.samples[-1].taken_s >= STALE_S


def _follows_by_s(evse: Evse, confirmed: Confirmed) -> float:
    """When its vehicle must have followed the confirmed setpoint."""
    traits = evse.traits
    paused = confirmed.value_a < traits.min_a
    return confirmed.sent_s + (traits.pause_settle_s if paused else traits.settle_s)


def _is_settled(evse: Evse, view: EvseView) -> bool:
    """Whether its last readings show what its vehicle does under the setpoint in force."""
    if view.confirmed is None or view.sent or len(view.samples) < SETTLED_READINGS:
        return False
    from_s = _follows_by_s(evse, view.confirmed) + evse.traits.refresh_s
    return view.samples[-SETTLED_READINGS].taken_s >= from_s


def _sure_draw_a(view: EvseView, measured_a: float | None) -> float | None:
    """The least of its last two readings: one that is too high by chance is no excess."""
    if measured_a is None or len(view.samples) < SETTLED_READINGS:
        return None
    before_a = view.samples[-SETTLED_READINGS].highest_a()
    return None if before_a is None else min(before_a, measured_a)


def _excess_a(
    sure_a: float | None,
    settled_a: float | None,
    before_a: float,
    *,
    in_force_a: float,
    held_a: float,
) -> float:
    """What it draws beyond its setpoint; while that cannot be told, as much as before.

    Who did not follow the last setpoint is not given time to follow the next one. Who draws more
    than any setpoint that still counts has none to follow down to. It is not less until that is
    settled, and not for a little less: others would move each time that it does.
    """
    if sure_a is None:
        sure_a = 0.0
    beyond_a = max(0.0, sure_a - in_force_a)
    if settled_a is not None:
        return before_a if 0.0 < beyond_a <= before_a < beyond_a + LESS_A else beyond_a
    unsettled_a = max(0.0, min(before_a, sure_a))
    if before_a > OFFSET_A or sure_a > held_a + OFFSET_A:
        return max(unsettled_a, beyond_a)
    return unsettled_a
