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
from edgectl.daemon.desk.held_event import EventKey, HeldEvent
from edgectl.grid.ceilings import CEILINGS_MAX, HORIZON_S, NEAR_S
from edgectl.grid.plan import EventPlan
from edgectl.units import EventId, ProgramId

EVENTS_MAX: Final = 256
"""Events in force, for each program."""

ENDED_MAX: Final = 256
"""Ended events that are remembered, for each program."""


_BEGUN: Final = frozenset({DrState.ACTIVE, DrState.COMPLETED})


_LAST_KEY: Final = (ProgramId("\U0010ffff"), EventId(""))


class EventShelf:
    """Every held event by its program and id; those that put ceilings also by their start."""

    def __init__(self) -> None:
        self._held: dict[EventKey, HeldEvent] = {}
        self._named: dict[EventId, dict[EventKey, None]] = {}
        self._in_force: Counter[ProgramId] = Counter()
        self._starts: list[tuple[float, EventKey]] = []
        self._owing: dict[EventKey, None] = {}
        self._begun: dict[EventKey, None] = {}
        self._doubtful: dict[EventKey, None] = {}
        self._seals: list[tuple[float, EventKey]] = []
        self._due_utc_s = math.inf
        self._trusted: bool | None = None

    def get(self, key: EventKey) -> HeldEvent | None:
        """One event, None where it is not held."""
        return self._held.get(key)

    def named(self, event_id: EventId) -> list[HeldEvent]:
        """The events with this id, of whichever program."""
        return [self._held[key] for key in self._named.get(event_id, ())]

    def __iter__(self) -> Iterator[HeldEvent]:
        return iter(tuple(self._held.values()))

    def put(self, held: HeldEvent) -> None:
        """Hold it, in place of its version before."""
        key = held.key
        self._take_off(key)
        self._held[key] = held
        self._named.setdefault(held.event.id, {})[key] = None
        self._in_force[held.event.program] += held.in_force
        if held.plan is not None and held.puts_ceilings:
            bisect.insort(self._starts, (held.begins_utc_s, key))
        if held.owed:
            self._owing[key] = None
        if held.plan is not None and held.state in _BEGUN:
            self._begun[key] = None
        if not held.anchor_trusted and held.puts_ceilings:
            self._doubtful[key] = None
        if held.in_force and held.seal is not None:
            bisect.insort(self._seals, (held.seal.expires_utc_s, key))
        self._due_utc_s = min(self._due_utc_s, held.changes_utc_s())

    def drop(self, key: EventKey) -> None:
        """Forget it."""
        self._take_off(key)
        self._held.pop(key, None)
        same = self._named.get(key[1], {})
        same.pop(key, None)
        if not same:
            self._named.pop(key[1], None)

    def doubtful(self) -> list[HeldEvent]:
        """Those in force whose `now` was read off a clock that was not trusted."""
        return [self._held[key] for key in self._doubtful]

    def owing(self) -> tuple[EventKey, ...]:
        """Those that owe an answer, in the order in which they began to."""
        return tuple(self._owing)

    def outlived(self, utc_s: float) -> list[HeldEvent]:
        """Those in force whose signature is not valid any more at this moment."""
        count = bisect.bisect_right(self._seals, (utc_s, _LAST_KEY))
        return [self._held[key] for _, key in self._seals[:count]]

    def begun(self) -> list[HeldEvent]:
        """Those whose time it is, lifted or not, and those that completed since the start."""
        return [self._held[key] for key in self._begun]

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

    def moved(self, now: Instant) -> list[HeldEvent]:
        """Those whose state is another at this moment, as they are now."""
        if self._trusted is now.utc_trusted and now.utc_s < self._due_utc_s:
            return []
        self._trusted = now.utc_trusted
        changed = {
            key: moved
            for key, held in self._held.items()
            if (moved := held.advanced(now)) is not held
        }
        self._due_utc_s = min(
            (
                due_s
                for key, held in self._held.items()
                if (due_s := changed.get(key, held).changes_utc_s()) > now.utc_s
            ),
            default=math.inf,
        )
        return list(changed.values())

    def plans(self, *, now_utc_s: float | None = None) -> list[EventPlan]:
        """What the events put: all, or those that begin within the horizon, bounded by start.

        Nothing that begins within `NEAR_S` is left out.
        """
        names: list[tuple[float, EventKey]] = self._starts
        if now_utc_s is not None:
            near = bisect.bisect_right(names, (now_utc_s + NEAR_S, _LAST_KEY))
            far = bisect.bisect_right(names, (now_utc_s + HORIZON_S, _LAST_KEY))
            names = list(islice(names, max(near, min(far, near + CEILINGS_MAX))))
        return [plan for _, key in names for plan in self._held[key].effective_plans()]

    def ended(self) -> dict[ProgramId, list[tuple[float, EventKey]]]:
        """Those that are over and owe nothing, with the moment of their end, by program."""
        found: dict[ProgramId, list[tuple[float, EventKey]]] = {}
        for key, held in self._held.items():
            if held.ended_utc_s is not None and not held.puts_ceilings and not held.owed:
                found.setdefault(held.event.program, []).append((held.ended_utc_s, key))
        return found

    def _take_off(self, key: EventKey) -> None:
        before = self._held.get(key)
        self._owing.pop(key, None)
        self._begun.pop(key, None)
        self._doubtful.pop(key, None)
        if before is None:
            return
        self._in_force[before.event.program] -= before.in_force
        if before.plan is not None and before.puts_ceilings:
            place = bisect.bisect_left(self._starts, (before.begins_utc_s, key))
            del self._starts[place]
        if before.in_force and before.seal is not None:
            place = bisect.bisect_left(self._seals, (before.seal.expires_utc_s, key))
            del self._seals[place]
