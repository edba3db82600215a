"""Whether a change of events can only tighten: what is taken while the clock cannot be trusted."""

import math
from collections.abc import Iterable

from edgectl.grid.limit import Limit
from edgectl.grid.plan import EventPlan
from edgectl.grid.timing import Span


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
            _no_wider(new.limits[span.index], old.limits[span.index]) for span in old.schedule.spans
        )
    return all(_covered(span, old, new) for span in old.schedule.spans)


def _rank(priority: int | None) -> float:
    return math.inf if priority is None else priority


def _no_wider(new: Limit | None, old: Limit | None) -> bool:
    if old is None:
        return True
    if new is None:
        return False
    if old.power_w is not None:
        return new.power_w is not None and new.power_w <= old.power_w
    return (
        new.current_a is not None and old.current_a is not None and new.current_a <= old.current_a
    )


def _covered(span: Span, old: EventPlan, new: EventPlan) -> bool:
    limit = old.limits[span.index]
    if limit is None:
        return True
    reached_s = span.from_utc_s
    for other in sorted(new.schedule.spans, key=lambda s: s.from_utc_s):
        if other.from_utc_s > reached_s:
            break
        if _no_wider(new.limits[other.index], limit):
            reached_s = max(reached_s, other.until_utc_s)
    return reached_s >= span.until_utc_s
