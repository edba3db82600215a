"""What becomes of events when the clock is set.

1. Until a clock can be trusted, what `now` means in an event moves with it.
2. A trusted clock that is set back takes nothing away that is in force: by which of both clocks it
   is, nobody knows, so it holds by either, the least of their limits, by the one before for a day
   at most. What was over only by a clock that was ahead is in force again.
3. A clock set forward starts what is due, and ends what is over by it.
"""

from dataclasses import replace
from typing import Final

from edgectl.clock import Instant
from edgectl.contract.dr import DrState
from edgectl.contract.envelope import rfc3339
from edgectl.daemon.desk.event_keeping import EventKeeping
from edgectl.daemon.desk.held_event import STEP_S, ClockBefore, HeldEvent
from edgectl.errors import Refused
from edgectl.grid.event import NEVER_S
from edgectl.grid.plan import plan
from edgectl.model.site import Site

HEEDED_S: Final = 86_400.0
"""A clock of before is heeded for so long at most: a wrong year must not bind a site."""

CLOCKS_MAX: Final = 4
"""Clocks of before that are heeded; of more those by which the event ends last."""


class EventClock:
    """Follows the clock for every event that is kept; `start` before the first `follow`."""

    def __init__(self, *, site: Site, keeping: EventKeeping) -> None:
        self._site = site
        self._keeping = keeping
        self._offset_s: float | None = None
        self._trusted = False

    def start(self, now: Instant) -> None:
        """Take up what was kept, which may have been under another clock."""
        self._offset_s = now.utc_s - now.mono_s
        self._trusted = now.utc_trusted
        self._take_back_ends(now)
        for held in self._keeping.shelf.doubtful():
            # How long the gateway was off nobody knows: it is over never sooner than it should.
            self._anchor(held, now.utc_s - held.anchor_utc_s, now)

    def follow(self, now: Instant) -> None:
        """Look whether the clock was set since the last time. No I/O."""
        if not 0.0 <= now.utc_s < NEVER_S:  # out of all calendars: it says nothing of the time
            self._trusted = False
            return
        offset_s = now.utc_s - now.mono_s
        step_s = 0.0 if self._offset_s is None else offset_s - self._offset_s
        if self._offset_s is None or abs(step_s) > STEP_S:
            self._offset_s = offset_s
        else:
            step_s = 0.0
        before, self._trusted = self._trusted, now.utc_trusted
        if step_s != 0.0 or now.utc_trusted:
            for held in self._keeping.shelf.doubtful():
                self._anchor(held, step_s, now)
        if step_s != 0.0 and before:
            self._outlast(step_s, now)
        if now.utc_trusted and (step_s != 0.0 or not before):
            self._take_back_ends(now)

    def _anchor(self, held: HeldEvent, step_s: float, now: Instant) -> None:
        anchor_s = held.anchor_utc_s + step_s
        if now.utc_trusted and held.event.modified_utc_s is not None:
            anchor_s = min(held.event.modified_utc_s, now.utc_s)
        self._keeping.put(held.anchored(anchor_s, self._site, trusted=now.utc_trusted))

    def _outlast(self, step_s: float, now: Instant) -> None:
        """Have what is in force go on after a trusted clock was set."""
        self._keeping.note(now, "clock", "clock", "set", f"by {step_s:.1f} s")
        for held in self._keeping.shelf:
            if held.in_force and (after := after_step(held, step_s, now)) != held:
                self._keeping.put(after)
                if after.before:
                    until = rfc3339(max(clock.until_utc_s for clock in after.before))
                    word = f"by the clock of before, until {until}"
                    self._keeping.note(now, "clock", held.event.id, "holds_on", word)

    def _take_back_ends(self, now: Instant) -> None:
        for held in self._keeping.shelf if now.utc_trusted else ():
            if (back := in_force_again(held, self._site, now)) is not None:
                self._keeping.put(back)
                self._keeping.note(now, "clock", held.event.id, "in_force_again", "")


def after_step(held: HeldEvent, step_s: float, now: Instant) -> HeldEvent:
    """An event in force once a trusted clock was set, by `step_s` forward.

    A lift keeps its duration.
    """
    clocks = [c for clock in held.before if (c := clock.after(step_s)).ahead_s > STEP_S]
    when = None if held.plan is None else held.plan.schedule
    if (
        step_s < 0.0
        and held.state is DrState.ACTIVE
        and when is not None
        and when.from_utc_s <= now.utc_s - step_s < when.until_utc_s
    ):
        heeded_s = min(when.until_utc_s + step_s, now.utc_s + HEEDED_S)
        clocks.append(ClockBefore(-step_s, heeded_s))
    clocks.sort(key=lambda clock: -clock.until_utc_s)
    lift = held.lift
    if lift is not None:
        lift = replace(lift, until_utc_s=lift.until_utc_s + step_s)
    return replace(held, before=tuple(clocks[:CLOCKS_MAX]), lift=lift)


def in_force_again(held: HeldEvent, site: Site, now: Instant) -> HeldEvent | None:
    """An event that only a clock that was ahead had ended, as it is in force; None: any other."""
    if held.deleted or held.ended_utc_s is None or held.ended_utc_s <= now.utc_s + STEP_S:
        return None
    if held.state not in {DrState.COMPLETED, DrState.CANCELLED}:
        return None
    try:
        made = plan(held.event, site, anchor_utc_s=held.anchor_utc_s, draw=held.draw)
    except Refused:
        return None
    if made.cancels or made.schedule.until_utc_s <= now.utc_s:
        return None
    back = replace(held, plan=made, recovering=False, skipped=False, again_utc_s=now.utc_s)
    return back.moved(back.verdict)
