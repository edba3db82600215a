"""The picture of a run as SVG: the true current of every node against its ceiling over time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from edgectl.model.site import Node
from edgectl.simulator.faults import Fault, FaultKind
from edgectl.simulator.report import Evidence, Report, ceiling_va_at
from edgectl.simulator.trace import NodeTruth

_WIDTH: Final = 1000
_LEFT: Final = 70
_RIGHT: Final = 170
_TOP: Final = 112
_PANEL: Final = 170
_GAP: Final = 46
_PHASE_COLOURS: Final = ("#1b6ca8", "#d1783c", "#4a8f4a")
_CEILING_COLOUR: Final = "#b3202c"
_SUM_COLOUR: Final = "#444444"
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
class _Line:
    colour: str
    label: str
    values: Sequence[float | None]
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class _Panel:
    title: str
    lines: tuple[_Line, ...]
    shaded: bool


def draw(evidence: Evidence, report: Report) -> str:
    """Draw a panel in A for every node with a limit in A, and one in kW where a sum is limited."""
    panels = [panel for node in evidence.site.nodes for panel in _panels(evidence, node)]
    height = _TOP + len(panels) * (_PANEL + _GAP) + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}"',
        f'viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        *_heading(evidence, report),
    ]
    for number, panel in enumerate(panels):
        top = _TOP + number * (_PANEL + _GAP)
        parts += _draw_panel(evidence, panel, top, with_labels=number == 0)
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def _heading(evidence: Evidence, report: Report) -> list[str]:
    verdict = "ok" if report["ok"] else "NOT ok, see report.json"
    title = f"{evidence.site.id}: true current against ceilings: {verdict}"
    legend = (
        "Lines: what truly flowed at the simulated site. Dashed red: the ceiling then valid. "
        "Yellow: demand-response event. Purple: faults and steps."
    )
    return [
        f'<text x="{_LEFT}" y="26" font-size="17" font-weight="bold">{escape(title)}</text>',
        f'<text x="{_LEFT}" y="44" fill="#555555">{legend}</text>',
    ]


def _panels(evidence: Evidence, node: Node) -> list[_Panel]:
    truths = evidence.trace.nodes[node.id]
    dr = evidence.dr
    shaded = dr is not None and dr.node == node.id
    panels = []
    if any(limit is not None for limit in node.limit_a):
        lines = [
            _Line(_PHASE_COLOURS[k], f"L{k + 1}", [truth.current_a[k] for truth in truths])
            for k in range(3)
        ]
        for limit_a in sorted({limit for limit in node.limit_a if limit is not None}):
            label = f"limit {limit_a:g} A"
            lines.append(_Line(_CEILING_COLOUR, label, [limit_a] * len(truths), dashed=True))
        panels.append(_Panel(f"{node.id}: current in A", tuple(lines), shaded))
    ceilings = [ceiling_va_at(evidence, node, t_s) for t_s in evidence.trace.times_s]
    if any(ceiling is not None for ceiling in ceilings):
        panels.append(_sum_panel(node, truths, ceilings, shaded=shaded))
    return panels


def _sum_panel(
    node: Node, truths: Sequence[NodeTruth], ceilings: Sequence[float | None], *, shaded: bool
) -> _Panel:
    lines = (
        _Line(_SUM_COLOUR, "all phases", [truth.power_w / 1000.0 for truth in truths]),
        _Line(_PHASE_COLOURS[2], "base load", [truth.base_power_w / 1000.0 for truth in truths]),
        _Line(
            _CEILING_COLOUR,
            "ceiling",
            [None if ceiling is None else ceiling / 1000.0 for ceiling in ceilings],
            dashed=True,
        ),
    )
    return _Panel(f"{node.id}: power in kW", lines, shaded)


def _draw_panel(evidence: Evidence, panel: _Panel, top: float, *, with_labels: bool) -> list[str]:
    times_s = evidence.trace.times_s
    end_s = max(evidence.duration_s, 1.0)
    inner = _WIDTH - _LEFT - _RIGHT
    known = [value for line in panel.lines for value in line.values if value is not None]
    scale = _nice(max(known, default=1.0) * 1.08)

    def x(t_s: float) -> float:
        return _LEFT + inner * min(max(t_s, 0.0), end_s) / end_s

    def y(value: float) -> float:
        return top + _PANEL * (1.0 - min(value, scale) / scale)

    parts = [f'<text x="{_LEFT}" y="{top - 6:.0f}" font-weight="bold">{escape(panel.title)}</text>']
    dr = evidence.dr
    if panel.shaded and dr is not None:
        parts.append(
            f'<rect x="{x(dr.from_s):.1f}" y="{top}" width="{x(dr.until_s) - x(dr.from_s):.1f}" '
            f'height="{_PANEL}" fill="{_DR_COLOUR}"/>'
        )
        parts.append(
            f'<text x="{x(dr.from_s) + 4:.1f}" y="{top + _PANEL - 6}" fill="#8a6d00">'
            f"demand response {dr.limit_w / 1000.0:.0f} kW</text>"
        )
    parts += _axes(top, scale, end_s)
    for row, fault in enumerate(sorted(evidence.faults, key=lambda fault: fault.at_s)):
        parts += _draw_fault(fault, x, top, row=row, with_label=with_labels)
    for place, line in enumerate(panel.lines):
        dash = ' stroke-dasharray="7 4"' if line.dashed else ""
        for points in _polylines(times_s, line.values):
            path = " ".join(f"{x(t_s):.1f},{y(value):.1f}" for t_s, value in points)
            parts.append(
                f'<polyline fill="none" stroke="{line.colour}" stroke-width="1.6"{dash} '
                f'points="{path}"/>'
            )
        at = top + 14 + 18 * place
        edge = _WIDTH - _RIGHT + 14
        parts.append(
            f'<line x1="{edge}" y1="{at - 4}" x2="{edge + 26}" y2="{at - 4}" '
            f'stroke="{line.colour}" stroke-width="2.5"{dash}/>'
        )
        parts.append(f'<text x="{edge + 32}" y="{at}">{escape(line.label)}</text>')
    return parts


def _axes(top: float, scale: float, end_s: float) -> list[str]:
    inner = _WIDTH - _LEFT - _RIGHT
    parts = []
    for k in range(5):
        at = top + _PANEL * (1.0 - k / 4.0)
        parts.append(
            f'<line x1="{_LEFT}" y1="{at:.1f}" x2="{_LEFT + inner}" y2="{at:.1f}" '
            'stroke="#dddddd" stroke-width="0.8"/>'
        )
        parts.append(
            f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{scale * k / 4.0:g}</text>'
        )
    step_s = 10.0 if end_s <= 150.0 else _nice(end_s / 10.0)
    mark_s = 0.0
    while mark_s <= end_s + 1e-9:
        at = _LEFT + inner * mark_s / end_s
        parts.append(
            f'<line x1="{at:.1f}" y1="{top + _PANEL}" x2="{at:.1f}" y2="{top + _PANEL + 4}" '
            'stroke="#555555"/>'
        )
        parts.append(
            f'<text x="{at:.1f}" y="{top + _PANEL + 17}" text-anchor="middle">{mark_s:g} s</text>'
        )
        mark_s += step_s
    return parts


def _draw_fault(
    fault: Fault, x: Callable[[float], float], top: float, *, row: int, with_label: bool
) -> list[str]:
    """Mark a fault's begin in every panel and its length above the first one."""
    begin, end = x(fault.at_s), x(fault.until_s if fault.until_s is not None else float("inf"))
    parts = [
        f'<line x1="{at:.1f}" y1="{top}" x2="{at:.1f}" y2="{top + _PANEL}" '
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


def _polylines(
    times_s: Sequence[float], values: Sequence[float | None]
) -> list[list[tuple[float, float]]]:
    """Cut a line where it has no value, and keep only the points at which it changes."""
    lines: list[list[tuple[float, float]]] = [[]]
    for n, (t_s, value) in enumerate(zip(times_s, values, strict=True)):
        if value is None:
            if lines[-1]:
                lines.append([])
            continue
        around = values[max(n - 1, 0) : n + 2]
        if len(around) < 3 or any(other != value for other in around):
            lines[-1].append((t_s, value))
    return [line for line in lines if len(line) > 1]


def _nice(value: float) -> float:
    """Give the next round number that four parts divide well."""
    size = 1.0
    while size * 10.0 < value:
        size *= 10.0
    while size > value:
        size /= 10.0
    for factor in (1.0, 1.2, 1.6, 2.0, 2.4, 3.2, 4.0, 5.0, 6.0, 8.0, 10.0):
        if size * factor >= value:
            return size * factor
    return size * 10.0
