"""Whether a change of events can only tighten: what is taken while the clock cannot be trusted."""

import math
from collections.abc import Iterable
from typing import TypeAlias

from edgectl.grid.limit import Limit
from edgectl.grid.plan import EventPlan
from edgectl.grid.timing import Schedule, Span

Limits: TypeAlias = tuple[Limit | None, ...]


def adds_only(new: EventPlan, held: Iterable[EventPlan]) -> bool:
    """Whether a new event leaves every held one in force: it replaces none of its program."""
    return not any(
        other.program.id == new.program.id
        and _rank(new.priority) < _rank(other.priority)
        and set(new.elements) & set(other.elements)
        for other in held
    )


def narrows(old: EventPlan, new: EventPlan) -> bool:
    """Whether a new version of an event leaves no more wherever and whenever the old one held."""
    if old.program.id != new.program.id or old.priority != new.priority:
        return False
    if not set(old.elements) <= set(new.elements):
        return False
    if old.schedule.loop_s is not None or new.schedule.loop_s is not None:
        return old.schedule == new.schedule and all(
            _no_wider(now[span.index], then[span.index])
            for then, now in _sides(old, new)
            for span in old.schedule.spans
        )
    return all(
        _covered(span, old=then, new=now, by=new.schedule)
        for then, now in _sides(old, new)
        for span in old.schedule.spans
    )


def _sides(old: EventPlan, new: EventPlan) -> tuple[tuple[Limits, Limits], ...]:
    return ((old.limits, new.limits), (old.exports, new.exports))


def _rank(priority: int | None) -> float:
    return math.inf if priority is None else priority


def _no_wider(new: Limit | None, old: Limit | None) -> bool:
    if old is None or old.free:
        return True
    return new is not None and new.no_wider(old)


def _covered(span: Span, *, old: Limits, new: Limits, by: Schedule) -> bool:
    limit = old[span.index]
    if limit is None:
        return True
    reached_s = span.from_utc_s
    for other in sorted(by.spans, key=lambda s: s.from_utc_s):
        if other.from_utc_s > reached_s:
            break
        if _no_wider(new[other.index], limit):
            reached_s = max(reached_s, other.until_utc_s)
    return reached_s >= span.until_utc_s
