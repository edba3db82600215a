"""What truly flows at every node, as phasors, and the power that goes with it.

Theory: every load has power factor 1. A load between phase and neutral draws in phase with that
phase, one between two lines in phase with the voltage between them, and takes out of one line what
it gives into the other. A delta-wye transformer maps the lines of its secondary side to those of
its primary side. Powers add up whatever the wiring is.

Source: circuit theory; conventions of the Caltech garage (line A of the primary side carries
(a - c) / n, 30 degrees behind line a).
"""

from cmath import rect
from collections.abc import Iterable, Sequence
from math import radians, sqrt
from typing import Final, TypeAlias

from edgectl.model.site import Connection, Evse, Site, nominal_voltages
from edgectl.units import NodeId, Triple

Complexes: TypeAlias = tuple[complex, complex, complex]

Draw: TypeAlias = tuple[tuple[int, complex], ...]
"""What one ampere of a load puts on each line that it touches: line (0 to 2) and phasor."""

_PHASE: Final = (1.0 + 0.0j, rect(1.0, radians(-120.0)), rect(1.0, radians(120.0)))
_PAIR: Final = {
    frozenset((1, 2)): (0, 1, rect(1.0, radians(30.0))),
    frozenset((2, 3)): (1, 2, rect(1.0, radians(-90.0))),
    frozenset((1, 3)): (2, 0, rect(1.0, radians(150.0))),
}
_SECONDARY_LEAD: Final = rect(1.0, radians(30.0))
_ROOT_3: Final = sqrt(3.0)


def draw_of(evse: Evse, used_phases: int) -> Draw:
    """One ampere at an EVSE whose vehicle uses `used_phases` of its terminals, from L1 on."""
    between_lines = evse.connection is Connection.LINE_TO_LINE
    phases = evse.phases if between_lines else evse.phases[:used_phases]
    return draw_on(phases, between_lines=between_lines)


def draw_on(phases: Sequence[int], *, between_lines: bool) -> Draw:
    """One ampere between two lines, or on each of these phases and back through neutral."""
    if between_lines:
        out, back, phasor = _PAIR[frozenset(phases)]
        return ((out, phasor), (back, -phasor))
    return tuple((p - 1, _PHASE[p - 1]) for p in phases)


def watts_per_a(evse: Evse, used_phases: int, voltage_v: float) -> float:
    """Power of one ampere at an EVSE; `voltage_v` is that between a phase and neutral."""
    between_lines = evse.connection is Connection.LINE_TO_LINE
    used = min(used_phases, len(evse.phases))
    return watts_of(used, voltage_v, between_lines=between_lines)


def watts_of(phases: int, voltage_v: float, *, between_lines: bool) -> float:
    """Power of one ampere between two lines, or on each of so many phases."""
    return (_ROOT_3 if between_lines else phases) * voltage_v


class Phasors:
    """The nodes of a site with what flows through them, in the site's order.

    `lines[n]`: the phasors of node n on its own (secondary) side; `primary[n]`: on the other side
    of its transformer, or the same; `power_w[n]`: everything below it.
    """

    def __init__(self, site: Site) -> None:
        index: dict[NodeId, int] = {node.id: n for n, node in enumerate(site.nodes)}
        self._parent = [-1 if node.parent is None else index[node.parent] for node in site.nodes]
        self._ratio = [
            None if node.transformer is None else node.transformer.turns_ratio
            for node in site.nodes
        ]
        volts = nominal_voltages(site.nodes, site.voltage_v)
        self.voltage_v = [volts[node.id] for node in site.nodes]
        self._frame = _frames(self._parent, self._ratio)
        count = len(site.nodes)
        self.lines: list[list[complex]] = [[0j, 0j, 0j] for _ in range(count)]
        self.primary: list[list[complex]] = list(self.lines)
        self.power_w = [0.0] * count
        self._base: list[list[complex]] = [[0j, 0j, 0j] for _ in range(count)]
        self._base_w = [0.0] * count

    def set_base(self, node: int, power_w: float) -> None:
        """Let the base load connected at a node itself be `power_w`, equal on all phases."""
        amps = power_w / (3.0 * self.voltage_v[node])
        self._base[node] = [amps * one * self._frame[node] for one in _PHASE]
        self._base_w[node] = power_w

    def set_base_a(self, node: int, amps: Triple) -> None:
        """Let the base load connected at a node itself be `amps` on its lines."""
        frame = self._frame[node]
        self._base[node] = [a * one * frame for a, one in zip(amps, _PHASE, strict=True)]
        self._base_w[node] = self.voltage_v[node] * sum(amps)

    def sum_up(self, loads: Iterable[tuple[int, Draw, float, float]]) -> None:
        """Sum base loads and `loads`: each a node's index, its draw, its current and its power."""
        lines = self.lines = [list(base) for base in self._base]
        power = self.power_w = list(self._base_w)
        primary = self.primary = list(lines)
        for node, draw, amps, load_w in loads:
            own, turned = lines[node], amps * self._frame[node]
            for p, phasor in draw:
                own[p] += turned * phasor
            power[node] += load_w
        for n in range(len(lines) - 1, -1, -1):
            row, ratio, above = lines[n], self._ratio[n], self._parent[n]
            if ratio is not None:
                a, b, c = row
                primary[n] = [(a - c) / ratio, (b - a) / ratio, (c - b) / ratio]
            if above >= 0:
                up, given = lines[above], primary[n]
                up[0] += given[0]
                up[1] += given[1]
                up[2] += given[2]
                power[above] += power[n]

    def amps(self, node: int) -> Triple:
        """The currents of a node's lines."""
        return _magnitudes(self.lines[node])

    def primary_amps(self, node: int) -> Triple:
        """The currents of the lines that feed a node's transformer."""
        return _magnitudes(self.primary[node])

    def line_power_w(self, node: int) -> Triple:
        """The active power that a meter between each line and neutral sees at a node."""
        volts, frame, row = self.voltage_v[node], self._frame[node], self.lines[node]
        shown = [(volts * _PHASE[p] * frame * row[p].conjugate()).real for p in range(3)]
        return (shown[0], shown[1], shown[2])

    def against_voltage(self, node: int) -> Complexes:
        """The currents of a node's lines, each counted from the voltage of its own line."""
        return _turned(self.lines[node], self._frame[node])

    def primary_against_voltage(self, node: int) -> Complexes:
        """The same of the lines that feed a node's transformer; without one its own lines."""
        lag = 1.0 if self._ratio[node] is None else _SECONDARY_LEAD.conjugate()
        return _turned(self.primary[node], self._frame[node] * lag)


def import_a(phasor: complex) -> float:
    """What a line counts against its ceiling; `phasor` is counted from the line's own voltage.

    That is its magnitude; of a line that feeds back, what is across the voltage.
    """
    return abs(phasor) if phasor.real > 0.0 else abs(phasor.imag)


def _frames(parent: Sequence[int], ratio: Sequence[float | None]) -> list[complex]:
    """The angle of every node's first line against that of the grid connection."""
    frame: list[complex] = []
    for above, turns in zip(parent, ratio, strict=True):
        own = 1.0 + 0.0j if above < 0 else frame[above]
        frame.append(own if turns is None else own * _SECONDARY_LEAD)
    return frame


def _turned(row: Sequence[complex], frame: complex) -> Complexes:
    one, two, three = ((row[p] * (_PHASE[p] * frame).conjugate()) for p in range(3))
    return (one, two, three)


def _magnitudes(row: Sequence[complex]) -> Triple:
    return (abs(row[0]), abs(row[1]), abs(row[2]))
