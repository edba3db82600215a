"""The pictures of a run.

The load of every node over the whole time and on the busiest day, and how much of its energy each
session got.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from edgectl.model.site import Node
from edgectl.simulator.sizing.flowed import QUARTER_S
from edgectl.simulator.sizing.report import Run, is_full
from edgectl.simulator.svg import (
    CEILING_COLOUR,
    GAP,
    PANEL,
    PHASE_COLOURS,
    SUM_COLOUR,
    Axis,
    Line,
    nice,
    page,
    panel,
)

_TOP: Final = 84
_DAY_S: Final = 86400.0
_MARKS: Final = 10


def load_picture(run: Run) -> str:
    """The whole time."""
    start = _midnight(run, run.from_utc_s)
    days = max(1, round((_midnight(run, run.until_utc_s) - start).total_seconds() / _DAY_S) + 1)
    every = max(1, -(-days // _MARKS))
    marks = [
        (k * _DAY_S, (start + timedelta(days=k)).strftime("%d %b")) for k in range(0, days, every)
    ]
    return _loads(run, start, Axis(days * _DAY_S, marks), f"{days} days")


def day_picture(run: Run) -> str:
    """The day on which the first node took the most energy."""
    by_day: dict[datetime, float] = {}
    for at_s, mean_w, _ in run.flowed.nodes[0].quarters:
        day = _midnight(run, at_s)
        by_day[day] = by_day.get(day, 0.0) + mean_w
    start = max(by_day, key=lambda day: (by_day[day], day), default=_midnight(run, run.from_utc_s))
    marks = [(hour * 3600.0, f"{hour}:00") for hour in range(0, 25, 3)]
    return _loads(run, start, Axis(_DAY_S, marks), start.strftime("the busiest day, %A %d %B %Y"))


def sessions_picture(run: Run) -> str:
    """Every session, from the one that got the least of its energy to the one that got the most."""
    shares = sorted(
        100.0 * min(1.0, visit.delivered_wh / visit.stay.energy_wh) for visit in run.visits
    )
    short = sum(not is_full(visit) for visit in run.visits)
    step = nice(max(len(shares), 1) / _MARKS)
    axis = Axis(
        max(len(shares) - 1.0, 1.0),
        [(k * step, f"{k * step:g}") for k in range(int(len(shares) / step) + 1)],
    )
    line = Line(PHASE_COLOURS[0], "delivered", shares)
    return page(
        title=f"{run.site.id}, {run.policy}: what each session got",
        legend=f"Sessions by the part of their energy that they got, in %: {short} of "
        f"{len(shares)} left with less than they came for.",
        height=_TOP + PANEL + GAP + 30,
        parts=panel(
            "delivered in % of the energy asked",
            (line,),
            list(map(float, range(len(shares)))),
            top=_TOP,
            axis=axis,
        ),
    )


def _loads(run: Run, start: datetime, axis: Axis, span: str) -> str:
    limited = [n for n, node in enumerate(run.site.nodes) if n == 0 or _has_ceiling(node)]
    parts: list[str] = []
    for place, n in enumerate(limited):
        parts += _node_panel(run, n, start, axis, top=_TOP + place * (PANEL + GAP))
    return page(
        title=f"{run.site.id}, {run.policy}: load, {span}",
        legend="Mean power of each quarter-hour in kW; where a node has ceilings, its highest "
        "load of any of them in %. Local time.",
        height=_TOP + len(limited) * (PANEL + GAP) + 30,
        parts=parts,
    )


def _node_panel(run: Run, n: int, start: datetime, axis: Axis, *, top: float) -> list[str]:
    node = run.site.nodes[n]
    start_s = start.timestamp()
    at, power_kw, load_pct = _steps(run.flowed.nodes[n].quarters, start_s, axis.end)
    lines = [Line(SUM_COLOUR, "mean kW", power_kw)]
    title = f"{node.id}: kW"
    if _has_ceiling(node):
        title = f"{node.id}: kW, and % of its tightest ceiling"
        lines.append(Line(PHASE_COLOURS[0], "highest load %", load_pct))
        lines.append(Line(CEILING_COLOUR, "100 %", [100.0] * len(at), dashed=True))
    return panel(title, lines, at, top=top, axis=axis)


def _steps(
    quarters: Sequence[tuple[float, float, float]], start_s: float, length_s: float
) -> tuple[list[float], list[float | None], list[float | None]]:
    """Quarter-hours as steps: where, kW and %; a time that the run skipped is a gap."""
    at: list[float] = []
    power_kw: list[float | None] = []
    load_pct: list[float | None] = []
    for quarter_s, mean_w, load in quarters:
        from_s = quarter_s - start_s
        if not 0.0 <= from_s < length_s:
            continue
        if at and from_s > at[-1]:
            at.append(at[-1])
            power_kw.append(None)
            load_pct.append(None)
        for edge_s in (from_s, from_s + QUARTER_S):
            at.append(edge_s)
            power_kw.append(mean_w / 1000.0)
            load_pct.append(100.0 * load)
    return at, power_kw, load_pct


def _has_ceiling(node: Node) -> bool:
    limits = (*node.limit_a, *node.primary_limit_a, node.limit_va)
    return any(limit is not None for limit in limits)


def _midnight(run: Run, utc_s: float) -> datetime:
    local = datetime.fromtimestamp(utc_s, ZoneInfo(run.site.timezone))
    return local.replace(hour=0, minute=0, second=0, microsecond=0)
