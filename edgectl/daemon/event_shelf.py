"""Where the held events stand, so that asking costs no more with ten thousand than with ten.

1. Nothing here looks at every event unless one of them is due to change its state.
2. Each program has room of its own: a flood in one takes nothing from the others.
"""

import bisect
import math
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Final

from edgectl.clock import Instant
from edgectl.contract.dr import DrState
from edgectl.daemon.held_event import HeldEvent
from edgectl.grid.ceilings import CEILINGS_MAX, HORIZON_S, NEAR_S
from edgectl.grid.plan import EventPlan
from edgectl.units import EventId, ProgramId

EVENTS_MAX: Final = 256
"""Events in force, for each program."""

ENDED_MAX: Final = 256
"""Ended events that are remembered, for each program."""


_BEGUN: Final = frozenset({DrState.ACTIVE, DrState.COMPLETED})


class EventShelf:
    """Every held event by its id; those that put ceilings also by their start."""

    def __init__(self) -> None:
        self._held: dict[EventId, HeldEvent] = {}
        self._in_force: Counter[ProgramId] = Counter()
        self._starts: list[tuple[float, EventId]] = []
        self._owing: dict[EventId, None] = {}
        self._begun: dict[EventId, None] = {}
        self._due_utc_s = math.inf
        self._trusted: bool | None = None

    def get(self, event_id: EventId) -> HeldEvent | None:
        """One event, None where it is not held."""
        return self._held.get(event_id)

    def __iter__(self) -> Iterator[HeldEvent]:
        return iter(tuple(self._held.values()))

    def put(self, event_id: EventId, held: HeldEvent) -> None:
        """Hold it, in place of its version before."""
        self._take_off(event_id)
        self._held[event_id] = held
        self._in_force[held.event.program] += held.in_force
        if held.plan is not None and held.puts_ceilings:
            bisect.insort(self._starts, (held.plan.schedule.from_utc_s, event_id))
        if held.owed:
            self._owing[event_id] = None
        if held.plan is not None and held.state in _BEGUN:
            self._begun[event_id] = None
        self._due_utc_s = min(self._due_utc_s, held.changes_utc_s())

    def drop(self, event_id: EventId) -> None:
        """Forget it."""
        self._take_off(event_id)
        self._held.pop(event_id, None)

    def owing(self) -> tuple[EventId, ...]:
        """Those that owe an answer, in the order in which they began to."""
        return tuple(self._owing)

    def begun(self) -> list[HeldEvent]:
        """Those whose time it is, lifted or not, and those that completed since the start."""
        return [self._held[event_id] for event_id in self._begun]

    def not_before_utc_s(self) -> float:
        """A moment that is past for certain: an event is active since."""
        return max(
            (
                held.plan.schedule.from_utc_s
                for held in self.begun()
                if held.plan is not None and held.state is DrState.ACTIVE
            ),
            default=-math.inf,
        )

    def room(self, program: ProgramId) -> bool:
        """Whether one more of the program may be in force."""
        return self._in_force[program] < EVENTS_MAX

    def moved(self, now: Instant) -> list[tuple[EventId, HeldEvent]]:
        """Those whose state is another at this moment, as they are now."""
        if self._trusted is now.utc_trusted and now.utc_s < self._due_utc_s:
            return []
        self._trusted = now.utc_trusted
        found = [
            (event_id, moved)
            for event_id, held in self._held.items()
            if (moved := held.advanced(now)) is not held
        ]
        changed = dict(found)
        self._due_utc_s = min(
            (
                due_s
                for event_id, held in self._held.items()
                if (due_s := changed.get(event_id, held).changes_utc_s()) > now.utc_s
            ),
            default=math.inf,
        )
        return found

    def plans(self, *, now_utc_s: float | None = None) -> list[EventPlan]:
        """What the events put: all, or those that begin within the horizon, bounded by start.

        Nothing that begins within `NEAR_S` is left out.
        """
        names: list[tuple[float, EventId]] = self._starts
        if now_utc_s is not None:
            near = bisect.bisect_right(names, (now_utc_s + NEAR_S, EventId("\U0010ffff")))
            far = bisect.bisect_right(names, (now_utc_s + HORIZON_S, EventId("\U0010ffff")))
            names = list(islice(names, max(near, min(far, near + CEILINGS_MAX))))
        return [
            plan
            for _, event_id in names
            if (plan := self._held[event_id].effective_plan()) is not None
        ]

    def ended(self) -> dict[ProgramId, list[tuple[float, EventId]]]:
        """Those that are over and owe nothing, with the moment of their end, by program."""
        found: dict[ProgramId, list[tuple[float, EventId]]] = {}
        for event_id, held in self._held.items():
            if held.ended_utc_s is not None and not held.puts_ceilings and not held.owed:
                found.setdefault(held.event.program, []).append((held.ended_utc_s, event_id))
        return found

    def _take_off(self, event_id: EventId) -> None:
        before = self._held.get(event_id)
        self._owing.pop(event_id, None)
        self._begun.pop(event_id, None)
        if before is None:
            return
        self._in_force[before.event.program] -= before.in_force
        if before.plan is not None and before.puts_ceilings:
            place = bisect.bisect_left(self._starts, (before.plan.schedule.from_utc_s, event_id))
            del self._starts[place]
