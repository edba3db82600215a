"""Events together: the ceilings over time that they put on nodes and EVSEs.

1. Among programs every ceiling applies; the lowest holds, because the step takes the least.
2. Inside one program and at one element, the better priority (lower number, None last) replaces the
   others while it is active; of equal priorities all apply.
   Limits of what is drawn and of what is fed back do not compete. An interval that says that
   nothing is asked (SIMPLE 0) takes its time like any other.
3. Nothing that is active now or within `NEAR_S` is ever left out for a bound.
4. A ceiling begins early by what the chargers need, so that it is met when its interval begins, and
   ends late by the event's own random delay, so that not all depots come back in the same second.
"""

import bisect
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final, TypeAlias

from edgectl.grid.limit import Limit
from edgectl.grid.plan import EventPlan
from edgectl.grid.targets import Element
from edgectl.grid.timing import Span
from edgectl.model.ceiling import Holder, TimedCeiling
from edgectl.model.site import Site

LEAD_MAX_S: Final = 300.0
NEAR_S: Final = 120.0 + LEAD_MAX_S
HORIZON_S: Final = 48 * 3600.0
WINDOWS_PER_EVENT: Final = 128
"""Shared among all events: who asks for many sees less far with each, but for `NEAR_S`."""
WINDOWS_LEAST: Final = 8
CEILINGS_MAX: Final = 100

Lead: TypeAlias = Callable[[EventPlan, Element], float]
"""How long before an interval its ceiling must begin, in s; at most `LEAD_MAX_S` counts."""


def no_lead(_plan: EventPlan, _element: Element) -> float:
    """Nothing below needs time."""
    return 0.0


@dataclass(frozen=True, slots=True)
class _Window:
    """`ends_s`: where the site may come back after it; None where the next window follows."""

    plan: EventPlan
    span: Span
    limit: Limit
    ends_s: float | None = None

    @property
    def priority(self) -> float:
        return math.inf if self.plan.priority is None else self.plan.priority


def ceilings(
    plans: Iterable[EventPlan],
    *,
    site: Site,
    now_utc_s: float,
    keep_ended: bool = False,
    lead: Lead = no_lead,
) -> tuple[TimedCeiling, ...]:
    """What holds now and what comes within two days, by start.

    `keep_ended`: ended windows too, for a clock that cannot be trusted to have ended them; of a
    loop the last whole pass. Call it again before 120 s have passed.
    """
    by_place: dict[tuple[str, Element, bool], list[_Window]] = {}
    all_plans = list(plans)
    far_most = max(WINDOWS_LEAST, WINDOWS_PER_EVENT // max(1, len(all_plans)))
    for plan in all_plans:
        for exports in (False, True):
            windows = _windows(
                plan, exports=exports, now_utc_s=now_utc_s, keep_ended=keep_ended, most=far_most
            )
            for element in plan.elements if windows else ():
                by_place.setdefault((plan.program.id, element, exports), []).extend(windows)
    made: list[TimedCeiling] = []
    for (_, element, exports), windows in by_place.items():
        made.extend(
            _ceiling(window, element, site, exports=exports, lead=lead)
            for window in _by_priority(windows)
            if not window.limit.free
        )
    made.sort(key=lambda ceiling: (ceiling.from_utc_s, ceiling.holder.id, str(ceiling.node)))
    near = bisect.bisect_right(made, now_utc_s + NEAR_S, key=lambda c: c.from_utc_s)
    return tuple(made[: max(near, CEILINGS_MAX)])


def _windows(
    plan: EventPlan, *, exports: bool, now_utc_s: float, keep_ended: bool, most: int
) -> list[_Window]:
    limits = plan.exports if exports else plan.limits
    spans = [span for span in plan.schedule.spans if limits[span.index] is not None]
    loop_s = plan.schedule.loop_s
    after_s = now_utc_s - plan.recovery_s
    if not spans:
        return []
    if loop_s is None:
        found = [s for s in spans if keep_ended or s.until_utc_s > after_s]
    else:
        found = _passes(
            plan, spans, loop_s=loop_s, after_s=after_s - (loop_s if keep_ended else 0.0), most=most
        )
    found.sort(key=lambda span: span.from_utc_s)
    starts = [span.from_utc_s for span in found]
    near = bisect.bisect_right(starts, now_utc_s + NEAR_S)
    far = bisect.bisect_right(starts, now_utc_s + HORIZON_S)
    chosen = found[: max(near, min(far, most))]
    begun = set(starts)
    return [
        _Window(plan, span, limit, None if span.until_utc_s in begun else span.until_utc_s)
        for span in chosen
        if (limit := limits[span.index]) is not None
    ]


def _passes(
    plan: EventPlan, spans: Sequence[Span], *, loop_s: float, after_s: float, most: int
) -> list[Span]:
    when = plan.schedule
    number = max(0, math.floor((after_s - when.from_utc_s) / loop_s))
    found: list[Span] = []
    while True:
        shift_s = number * loop_s
        begin_s = when.from_utc_s + shift_s
        enough = len(found) >= most and begin_s > after_s + loop_s + NEAR_S
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
            if not taken:
                left.append(window)
                continue
            left.extend(
                replace(window, span=replace(window.span, from_utc_s=start, until_utc_s=end))
                for start, end in _without(taken, window.span)
            )
        if len(left) < len(windows) or taken:
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


def _ceiling(
    window: _Window, element: Element, site: Site, *, exports: bool, lead: Lead
) -> TimedCeiling:
    plan = window.plan
    held = window.limit if exports else plan.held(window.limit, element, site)
    from_s, until_s = window.span.from_utc_s, window.span.until_utc_s
    if until_s == window.ends_s:
        until_s += plan.recovery_s
    nothing = Limit()
    drawn, fed_back = (nothing, held) if exports else (held, nothing)
    return TimedCeiling(
        holder=Holder(rank=plan.rank, kind="event", id=plan.event),
        reason=f"{'export' if exports else 'import'} limit of program {plan.program.id}",
        from_utc_s=max(0.0, from_s - min(lead(plan, element), LEAD_MAX_S)),
        until_utc_s=until_s if math.isfinite(until_s) else None,
        node=element.node,
        evse=element.evse,
        limit_a=drawn.triple_a,
        limit_w=drawn.power_w,
        export_a=fed_back.triple_a,
        export_w=fed_back.power_w,
    )
