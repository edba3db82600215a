"""Panels of lines over a common axis, as SVG, with what it takes to read them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH: Final = 1000
LEFT: Final = 70
RIGHT: Final = 170
PANEL: Final = 170
GAP: Final = 46
PHASE_COLOURS: Final = ("#1b6ca8", "#d1783c", "#4a8f4a")
CEILING_COLOUR: Final = "#b3202c"
SUM_COLOUR: Final = "#444444"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a panel; where it has no value there is a gap."""

    colour: str
    label: str
    values: Sequence[float | None]
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """The axis below a panel, from 0 to `end`; `marks`: where, and what stands there."""

    end: float
    marks: Sequence[tuple[float, str]]

    def x(self, value: float) -> float:
        """Where on the page."""
        return LEFT + (WIDTH - LEFT - RIGHT) * min(max(value, 0.0), self.end) / self.end


def page(*, title: str, legend: str, height: float, parts: Iterable[str]) -> str:
    """A whole picture with its title and the words that explain it."""
    return (
        "\n".join(
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:g}"',
                f'viewBox="0 0 {WIDTH} {height:g}" font-family="sans-serif" font-size="12">',
                f'<rect width="{WIDTH}" height="{height:g}" fill="#ffffff"/>',
                f'<text x="{LEFT}" y="26" font-size="17" font-weight="bold">{escape(title)}</text>',
                f'<text x="{LEFT}" y="44" fill="#555555">{escape(legend)}</text>',
                *parts,
                "</svg>",
            )
        )
        + "\n"
    )


def panel(
    title: str,
    lines: Sequence[Line],
    at: Sequence[float],
    *,
    top: float,
    axis: Axis,
    behind: Iterable[str] = (),
) -> list[str]:
    """A panel whose lines have a value at each place of `at`; `behind` is drawn first."""
    known = [value for line in lines for value in line.values if value is not None]
    scale = nice(max(known, default=1.0) * 1.08)

    def y(value: float) -> float:
        return top + PANEL * (1.0 - min(value, scale) / scale)

    parts = [f'<text x="{LEFT}" y="{top - 6:.0f}" font-weight="bold">{escape(title)}</text>']
    parts += behind
    parts += _axes(top, scale, axis)
    for place, line in enumerate(lines):
        parts += _draw(line, at, axis.x, y)
        parts += _label(line, top + 14 + 18 * place)
    return parts


def nice(value: float) -> float:
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


def _draw(
    line: Line, at: Sequence[float], x: Callable[[float], float], y: Callable[[float], float]
) -> list[str]:
    parts = []
    for points in _polylines(at, line.values):
        path = " ".join(f"{x(place):.1f},{y(value):.1f}" for place, value in points)
        parts.append(
            f'<polyline fill="none" stroke="{line.colour}" stroke-width="1.6"{_dash(line)} '
            f'points="{path}"/>'
        )
    return parts


def _label(line: Line, at: float) -> list[str]:
    edge = WIDTH - RIGHT + 14
    stroke = f'stroke="{line.colour}" stroke-width="2.5"{_dash(line)}'
    return [
        f'<line x1="{edge}" y1="{at - 4}" x2="{edge + 26}" y2="{at - 4}" {stroke}/>',
        f'<text x="{edge + 32}" y="{at}">{escape(line.label)}</text>',
    ]


def _dash(line: Line) -> str:
    return ' stroke-dasharray="7 4"' if line.dashed else ""


def _axes(top: float, scale: float, axis: Axis) -> list[str]:
    parts = []
    for k in range(5):
        at = top + PANEL * (1.0 - k / 4.0)
        parts.append(
            f'<line x1="{LEFT}" y1="{at:.1f}" x2="{WIDTH - RIGHT}" y2="{at:.1f}" '
            'stroke="#dddddd" stroke-width="0.8"/>'
        )
        parts.append(
            f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{scale * k / 4.0:g}</text>'
        )
    for value, words in axis.marks:
        at = axis.x(value)
        parts.append(
            f'<line x1="{at:.1f}" y1="{top + PANEL}" x2="{at:.1f}" y2="{top + PANEL + 4}" '
            'stroke="#555555"/>'
        )
        parts.append(
            f'<text x="{at:.1f}" y="{top + PANEL + 17}" text-anchor="middle">{escape(words)}</text>'
        )
    return parts


def _polylines(
    at: Sequence[float], values: Sequence[float | None]
) -> list[list[tuple[float, float]]]:
    """Cut a line where it has no value, and keep only the points at which it changes."""
    lines: list[list[tuple[float, float]]] = [[]]
    for n, (place, value) in enumerate(zip(at, values, strict=True)):
        if value is None:
            if lines[-1]:
                lines.append([])
            continue
        around = values[max(n - 1, 0) : n + 2]
        if len(around) < 3 or any(other != value for other in around):
            lines[-1].append((place, value))
    return [line for line in lines if len(line) > 1]
