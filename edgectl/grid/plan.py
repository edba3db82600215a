"""One event judged: which limits it puts where and when, and what of it cannot be acted on."""

from dataclasses import dataclass

from edgectl.errors import Refused
from edgectl.grid.event import Event, Interval
from edgectl.grid.limit import IMPORT_LIMIT, Limit, limit_of
from edgectl.grid.targets import Element, resolve
from edgectl.grid.timing import Schedule, schedule
from edgectl.model.ceiling import Rank
from edgectl.model.site import Program, Site
from edgectl.units import EventId

PAYLOADS_SHOWN = 8


@dataclass(frozen=True, slots=True)
class EventPlan:
    """What an event does at this site.

    `limits` has one entry for each interval of the event, None where it sets none. `ignored`:
    payload types that are kept and not acted on. `unknown`: targets that this site does not have.
    """

    event: EventId
    program: Program
    rank: Rank
    priority: int | None
    schedule: Schedule
    limits: tuple[Limit | None, ...]
    elements: tuple[Element, ...]
    ignored: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def cancels(self) -> bool:
        """The event takes no time: whoever sent it wants it gone."""
        return self.schedule.cancels


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
            if payload.type != IMPORT_LIMIT
        )
    )
    limits = tuple(
        _limit(event, interval, index, program) for index, interval in enumerate(event.intervals)
    )
    if not when.cancels and all(limit is None for limit in limits):
        raise Refused(
            code="not_supported",
            message=f"this version does not act on {_listed(ignored)}",
            remedy=f"send {IMPORT_LIMIT} for a limit; the event is recorded",
        )
    return EventPlan(
        event=event.id,
        program=program,
        rank=Rank.UTILITY_MANDATORY if program.mandatory else Rank.UTILITY_VOLUNTARY,
        priority=event.priority,
        schedule=when,
        limits=limits,
        elements=resolved.elements,
        ignored=ignored,
        unknown=resolved.unknown,
    )


def _program(event: Event, site: Site) -> Program:
    for program in site.programs:
        if program.id == event.program:
            return program
    raise Refused(
        code="unknown_program",
        message=f"program {event.program} is not configured at this site",
        remedy="use a program of the site's birth message, or have it added to the site file",
    )


def _limit(event: Event, interval: Interval, index: int, program: Program) -> Limit | None:
    found = [
        limit_of(
            payload.values,
            unit=event.units.get(IMPORT_LIMIT),
            program=program,
            path=f"intervals[{index}].payloads[{number}].values",
        )
        for number, payload in enumerate(interval.payloads)
        if payload.type == IMPORT_LIMIT
    ]
    if len(found) > 1:
        raise Refused(
            code="malformed",
            message=f"intervals[{index}] has {len(found)} payloads of {IMPORT_LIMIT}",
            remedy="send one limit in one interval",
        )
    return found[0] if found else None


def _listed(names: tuple[str, ...]) -> str:
    shown = [name[:64] for name in names[:PAYLOADS_SHOWN]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
