"""Events together: the ceilings over time that they put on nodes and EVSEs.

1. Among programs every ceiling applies; the lowest holds, because the step takes the least.
2. Inside one program and at one element, the better priority (lower number, None last) replaces the
   others while it is active; of equal priorities all apply.
3. Nothing that is active now or within `NEAR_S` is ever left out for a bound.
"""

import bisect
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final

from edgectl.grid.limit import Limit
from edgectl.grid.plan import EventPlan
from edgectl.grid.targets import Element
from edgectl.grid.timing import Span
from edgectl.model.ceiling import Holder, TimedCeiling
from edgectl.model.site import Site

NEAR_S: Final = 120.0
HORIZON_S: Final = 48 * 3600.0
WINDOWS_PER_EVENT: Final = 128
CEILINGS_MAX: Final = 1000


@dataclass(frozen=True, slots=True)
class _Window:
    plan: EventPlan
    span: Span
    limit: Limit

    @property
    def priority(self) -> float:
        return math.inf if self.plan.priority is None else self.plan.priority


def ceilings(
    plans: Iterable[EventPlan], *, site: Site, now_utc_s: float, keep_ended: bool = False
) -> tuple[TimedCeiling, ...]:
    """What holds now and what comes within two days, by start.

    `keep_ended`: ended windows too, for a clock that cannot be trusted to have ended them; of a
    loop the last whole pass. Call it again before `NEAR_S` have passed.
    """
    by_place: dict[tuple[str, Element], list[_Window]] = {}
    for plan in plans:
        windows = _windows(plan, now_utc_s=now_utc_s, keep_ended=keep_ended)
        for element in plan.elements:
            by_place.setdefault((plan.program.id, element), []).extend(windows)
    made: list[TimedCeiling] = []
    for (_, element), windows in by_place.items():
        made.extend(_ceiling(window, element, site) for window in _by_priority(windows))
    made.sort(key=lambda ceiling: (ceiling.from_utc_s, ceiling.holder.id, str(ceiling.node)))
    near = bisect.bisect_right(made, now_utc_s + NEAR_S, key=lambda c: c.from_utc_s)
    return tuple(made[: max(near, CEILINGS_MAX)])


def _windows(plan: EventPlan, *, now_utc_s: float, keep_ended: bool) -> list[_Window]:
    spans = [span for span in plan.schedule.spans if plan.limits[span.index] is not None]
    loop_s = plan.schedule.loop_s
    if loop_s is None:
        found = [s for s in spans if keep_ended or s.until_utc_s > now_utc_s]
    else:
        found = _passes(
            plan, spans, loop_s=loop_s, after_s=now_utc_s - (loop_s if keep_ended else 0.0)
        )
    found.sort(key=lambda span: span.from_utc_s)
    starts = [span.from_utc_s for span in found]
    near = bisect.bisect_right(starts, now_utc_s + NEAR_S)
    far = bisect.bisect_right(starts, now_utc_s + HORIZON_S)
    chosen = found[: max(near, min(far, WINDOWS_PER_EVENT))]
    return [
        _Window(plan, span, limit)
        for span in chosen
        if (limit := plan.limits[span.index]) is not None
    ]


def _passes(plan: EventPlan, spans: Sequence[Span], *, loop_s: float, after_s: float) -> list[Span]:
    when = plan.schedule
    number = max(0, math.floor((after_s - when.from_utc_s) / loop_s))
    found: list[Span] = []
    while spans:
        shift_s = number * loop_s
        begin_s = when.from_utc_s + shift_s
        enough = len(found) >= WINDOWS_PER_EVENT and begin_s > after_s + loop_s + NEAR_S
        if enough or begin_s >= min(when.until_utc_s, after_s + loop_s + HORIZON_S):
            break
        for span in spans:
            from_s = span.from_utc_s + shift_s
            until_s = min(span.until_utc_s + shift_s, when.until_utc_s)
            if max(from_s, after_s) < until_s:
                found.append(Span(span.index, from_s, until_s))
        number += 1
    return found


def _by_priority(windows: list[_Window]) -> list[_Window]:
    """Cut from each window the time that a better priority takes."""
    taken: list[tuple[float, float]] = []
    left: list[_Window] = []
    windows.sort(key=lambda window: window.priority)
    for _, same in groupby(windows, key=lambda window: window.priority):
        level = list(same)
        for window in level:
            left.extend(
                replace(window, span=replace(window.span, from_utc_s=start, until_utc_s=end))
                for start, end in _without(taken, window.span)
            )
        taken = _union([*taken, *((w.span.from_utc_s, w.span.until_utc_s) for w in level)])
    return left


def _without(taken: Sequence[tuple[float, float]], span: Span) -> list[tuple[float, float]]:
    start = span.from_utc_s
    free: list[tuple[float, float]] = []
    first = max(0, bisect.bisect_right(taken, (start, math.inf)) - 1)
    for begin, end in taken[first:]:
        if begin >= span.until_utc_s:
            break
        if begin > start:
            free.append((start, begin))
        start = max(start, end)
    if start < span.until_utc_s:
        free.append((start, span.until_utc_s))
    return free


def _union(pieces: list[tuple[float, float]]) -> list[tuple[float, float]]:
    merged: list[tuple[float, float]] = []
    for begin, end in sorted(pieces):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((begin, end))
    return merged


def _ceiling(window: _Window, element: Element, site: Site) -> TimedCeiling:
    plan = window.plan
    held = window.limit.held(plan.program, element, site)
    until_s = window.span.until_utc_s
    return TimedCeiling(
        holder=Holder(rank=plan.rank, kind="event", id=plan.event),
        reason=f"import limit of program {plan.program.id}",
        from_utc_s=max(0.0, window.span.from_utc_s),
        until_utc_s=until_s if math.isfinite(until_s) else None,
        node=element.node,
        evse=element.evse,
        limit_a=held.triple_a,
        limit_w=held.power_w,
    )
