"""The picture of a run as SVG: the true current of every node against its ceiling over time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from edgectl.model.site import Node
from edgectl.simulator.demo.report import Evidence, Report, ceiling_va_at
from edgectl.simulator.faults import Fault, FaultKind
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
from edgectl.simulator.trace import NodeTruth

_TOP: Final = 112
_DR_COLOUR: Final = "#f3e2a9"
_FAULT_COLOUR: Final = "#7a4fa3"
_FAULT_WORDS: Final = {
    FaultKind.CHARGER_SILENT: "silent",
    FaultKind.METER_SILENT: "meter silent",
    FaultKind.METER_STUCK: "meter stuck",
    FaultKind.SLOW_REPLIES: "slow replies",
    FaultKind.GARBLED: "garbled",
    FaultKind.REBOOT: "reboot",
    FaultKind.BASE_STEP: "base load step",
}


@dataclass(frozen=True, slots=True)
class _Panel:
    title: str
    lines: tuple[Line, ...]
    shaded: bool


def draw(evidence: Evidence, report: Report) -> str:
    """Draw a panel in A for every node with a limit in A, and one in kW where a sum is limited."""
    panels = [one for node in evidence.site.nodes for one in _panels(evidence, node)]
    end_s = max(evidence.duration_s, 1.0)
    axis = Axis(end_s, _seconds(end_s))
    parts: list[str] = []
    for number, one in enumerate(panels):
        top = _TOP + number * (PANEL + GAP)
        behind = _behind(evidence, one, axis, top, with_labels=number == 0)
        parts += panel(
            one.title, one.lines, evidence.trace.times_s, top=top, axis=axis, behind=behind
        )
    verdict = "ok" if report["ok"] else "NOT ok, see report.json"
    return page(
        title=f"{evidence.site.id}: true current against ceilings: {verdict}",
        legend="Lines: what truly flowed at the simulated site. Dashed red: the ceiling then "
        "valid. Yellow: demand-response event. Purple: faults and steps.",
        height=_TOP + len(panels) * (PANEL + GAP) + 30,
        parts=parts,
    )


def _panels(evidence: Evidence, node: Node) -> list[_Panel]:
    truths = evidence.trace.nodes[node.id]
    dr = evidence.dr
    shaded = dr is not None and dr.node == node.id
    panels = []
    if any(limit is not None for limit in node.limit_a):
        lines = [
            Line(PHASE_COLOURS[k], f"L{k + 1}", [truth.current_a[k] for truth in truths])
            for k in range(3)
        ]
        for limit_a in sorted({limit for limit in node.limit_a if limit is not None}):
            label = f"limit {limit_a:g} A"
            lines.append(Line(CEILING_COLOUR, label, [limit_a] * len(truths), dashed=True))
        panels.append(_Panel(f"{node.id}: current in A", tuple(lines), shaded))
    ceilings = [ceiling_va_at(evidence, node, t_s) for t_s in evidence.trace.times_s]
    if any(ceiling is not None for ceiling in ceilings):
        panels.append(_sum_panel(node, truths, ceilings, shaded=shaded))
    return panels


def _sum_panel(
    node: Node, truths: Sequence[NodeTruth], ceilings: Sequence[float | None], *, shaded: bool
) -> _Panel:
    lines = (
        Line(SUM_COLOUR, "all phases", [truth.power_w / 1000.0 for truth in truths]),
        Line(PHASE_COLOURS[2], "base load", [truth.base_power_w / 1000.0 for truth in truths]),
        Line(
            CEILING_COLOUR,
            "ceiling",
            [None if ceiling is None else ceiling / 1000.0 for ceiling in ceilings],
            dashed=True,
        ),
    )
    return _Panel(f"{node.id}: power in kW", lines, shaded)


def _behind(
    evidence: Evidence, one: _Panel, axis: Axis, top: float, *, with_labels: bool
) -> list[str]:
    """The event and the faults, over which the lines are drawn."""
    parts: list[str] = []
    dr = evidence.dr
    if one.shaded and dr is not None:
        from_x, until_x = axis.x(dr.from_s), axis.x(dr.until_s)
        parts.append(
            f'<rect x="{from_x:.1f}" y="{top}" width="{until_x - from_x:.1f}" '
            f'height="{PANEL}" fill="{_DR_COLOUR}"/>'
        )
        parts.append(
            f'<text x="{from_x + 4:.1f}" y="{top + PANEL - 6}" fill="#8a6d00">'
            f"demand response {dr.limit_w / 1000.0:.0f} kW</text>"
        )
    for row, fault in enumerate(sorted(evidence.faults, key=lambda fault: fault.at_s)):
        parts += _draw_fault(fault, axis.x, top, row=row, with_label=with_labels)
    return parts


def _seconds(end_s: float) -> list[tuple[float, str]]:
    step_s = 10.0 if end_s <= 150.0 else nice(end_s / 10.0)
    return [(k * step_s, f"{k * step_s:g} s") for k in range(int(end_s / step_s + 1e-9) + 1)]


def _draw_fault(
    fault: Fault, x: Callable[[float], float], top: float, *, row: int, with_label: bool
) -> list[str]:
    """Mark a fault's begin in every panel and its length above the first one."""
    begin, end = x(fault.at_s), x(fault.until_s if fault.until_s is not None else float("inf"))
    parts = [
        f'<line x1="{at:.1f}" y1="{top}" x2="{at:.1f}" y2="{top + PANEL}" '
        f'stroke="{_FAULT_COLOUR}" stroke-width="0.9" stroke-dasharray="2 3"/>'
        for at in ((begin,) if fault.until_s is None else (begin, end))
    ]
    if with_label:
        level = top - 40 + 13 * (row % 2)
        words = f"{fault.id}: {_FAULT_WORDS[fault.kind]}"
        parts.append(
            f'<line x1="{begin:.1f}" y1="{level + 3}" x2="{end:.1f}" y2="{level + 3}" '
            f'stroke="{_FAULT_COLOUR}" stroke-width="2"/>'
        )
        parts.append(
            f'<text x="{begin:.1f}" y="{level}" fill="{_FAULT_COLOUR}" font-size="11">'
            f"{escape(words)}</text>"
        )
    return parts
