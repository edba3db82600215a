"""One event judged: which limits it puts where and when, and what of it cannot be acted on."""

from dataclasses import dataclass, replace

from edgectl.errors import Refused
from edgectl.grid.event import Event
from edgectl.grid.limit import IMPORT_LIMIT, KEPT_FOR_PLAN, Limit, acts, limits_of
from edgectl.grid.targets import Element, resolve
from edgectl.grid.timing import Schedule, schedule
from edgectl.model.ceiling import Rank
from edgectl.model.site import Program, Site
from edgectl.units import EventId, ProgramId

PAYLOADS_SHOWN = 8


@dataclass(frozen=True, slots=True)
class EventPlan:
    """What an event does at this site.

    `limits` (of what is drawn) and `exports` (of what is fed back) have one entry for each interval
    of the event, None where it says nothing. `floor_w`: no limit of what is drawn is kept below it,
    by the promise that was given. `ignored`: payload types that are kept and not acted
    on. `unknown`: targets that this site does not have. `recovery_s`: how long after its end the
    site comes back.
    """

    event: EventId
    program: Program
    rank: Rank
    priority: int | None
    schedule: Schedule
    limits: tuple[Limit | None, ...]
    elements: tuple[Element, ...]
    exports: tuple[Limit | None, ...] = ()
    ignored: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    recovery_s: float = 0.0
    floor_w: float | None = None

    @property
    def cancels(self) -> bool:
        """The event takes no time: whoever sent it wants it gone."""
        return self.schedule.cancels

    @property
    def key(self) -> tuple[ProgramId, EventId]:
        """By which it is known: an id is one only within its program."""
        return self.program.id, self.event

    @property
    def watches_only(self) -> bool:
        """It limits what is fed back, which no charger does: that is measured and recorded."""
        return any(limit is not None and not limit.free for limit in self.exports)

    def asks(self, index: int) -> bool:
        """Whether the interval of this index limits anything."""
        sides = (self.limits[index], self.exports[index])
        return any(limit is not None and not limit.free for limit in sides)

    def fault(self) -> Refused | None:
        """Why it is refused: nothing of it is acted on or kept for the plan. None: something is."""
        asks = any(one is not None for one in (*self.limits, *self.exports))
        if self.cancels or asks or set(self.ignored) <= KEPT_FOR_PLAN:
            return None
        return Refused(
            code="not_supported",
            message=f"program {self.program.id} does not act on {_listed(self.ignored)}",
            remedy=f"send {IMPORT_LIMIT} for a limit; the event is recorded",
        )

    def limits_at(self, utc_s: float) -> bool:
        """Whether it limits what is drawn at a moment, without its ramp."""
        when = self.schedule
        if not when.from_utc_s <= utc_s < when.until_utc_s:
            return False
        if when.loop_s is not None:
            utc_s = when.from_utc_s + (utc_s - when.from_utc_s) % when.loop_s
        found = (self.limits[s.index] for s in when.spans if s.from_utc_s <= utc_s < s.until_utc_s)
        return any(limit is not None and not limit.free for limit in found)

    def least_w(self, site: Site) -> float | None:
        """The tightest limit of what is drawn, at nominal voltage; None where there is none."""
        found = (
            limit.whole_w(element, site)
            for limit in self.limits
            if limit is not None
            for element in self.elements
        )
        return min((limit_w for limit_w in found if limit_w is not None), default=None)

    def shifted(self, by_s: float) -> "EventPlan":
        """The same, so much later."""
        return replace(self, schedule=self.schedule.shifted(by_s))

    def held(self, limit: Limit, element: Element, site: Site) -> Limit:
        """A limit of what is drawn as it is kept at a place: no lower than any floor."""
        kept = limit.held(self.program, element, site)
        return kept if self.floor_w is None else kept.raised(self.floor_w, element, site)


def plan(event: Event, site: Site, *, anchor_utc_s: float, draw: float) -> EventPlan:
    """Judge an event, or raise `Refused`. `anchor_utc_s`: what `now` means; `draw` in [0, 1)."""
    program = _program(event, site)
    when = schedule(event, anchor_utc_s=anchor_utc_s, draw=draw)
    resolved = resolve(site, event.targets)
    if resolved.unknown and not resolved.elements:
        raise Refused(
            code="unknown_target",
            message=f"this site has no {_listed(resolved.unknown)}",
            remedy="name nodes, groups or EVSEs of the site's birth message, or no target at all",
        )
    ignored = tuple(
        dict.fromkeys(
            payload.type
            for interval in event.intervals
            for payload in interval.payloads
            if not acts(payload.type, program)
        )
    )
    found = [
        limits_of(event, interval, index, program) for index, interval in enumerate(event.intervals)
    ]
    return EventPlan(
        event=event.id,
        program=program,
        rank=Rank.UTILITY_MANDATORY if program.mandatory else Rank.UTILITY_VOLUNTARY,
        priority=event.priority,
        schedule=when,
        limits=tuple(drawn for drawn, _ in found),
        exports=tuple(fed_back for _, fed_back in found),
        elements=resolved.elements,
        ignored=ignored,
        unknown=resolved.unknown,
        recovery_s=program.recover_within_s * _second_draw(draw),
    )


def _second_draw(draw: float) -> float:
    """Another number in [0, 1) from the one that is kept, so that a restart finds the same."""
    return draw * 7919.0 % 1.0


def _program(event: Event, site: Site) -> Program:
    for program in site.programs:
        if program.id == event.program:
            return program
    raise Refused(
        code="unknown_program",
        message=f"program {event.program} is not configured at this site",
        remedy="use a program of the site's birth message, or have it added to the site file",
    )


def _listed(names: tuple[str, ...]) -> str:
    shown = [name[:64] for name in names[:PAYLOADS_SHOWN]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
