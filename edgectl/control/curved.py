"""Rows of phasors: sites with line-to-line EVSEs or delta-wye transformers (DESIGN 5).

Theory: angles are counted from a line's own voltage to neutral. What loads a line has one of three
kinds, and a delta-wye transformer turns each into the next, divided by its turns ratio:

- wye, between a line and neutral: 0 degrees on its line;
- delta, between a line and the next: +30 degrees on the first line, -30 on the second;
- double, a line-to-line load seen through one transformer: twice on its line, and at -60 and +60
  degrees on the next and the one before. Through another transformer it is three times delta.

1. A row is the most that flows for any draw between nothing and what is counted: of directions
   within 60 degrees to each side that is everything, or everything but what is outermost on one
   side. So defined, rows never fall when somebody draws more.
2. Base load is in phase with the lines of its own node. Through a transformer it is followed as
   phasors to the rows of the primary side, and above them counted as `base_above` says.
3. What a line feeds back in phase with its voltage is no import and makes room, as on straight
   rows.
4. Sites without phasors never come here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt
from typing import Final, TypeAlias

from edgectl.model.site import Connection, Site
from edgectl.units import Triple

WYE: Final = 0
DELTA: Final = 3
DOUBLE: Final = 6
"""Where the three lines of each kind begin among nine groups."""

VA: Final = 3
PRIMARY: Final = 4
"""The first of the three rows of a transformer's primary side."""

Groups: TypeAlias = list[float]
"""What is drawn below a node, by kind and line: nine currents."""

Line: TypeAlias = tuple[float, float, float, float, float]
"""What loads one line, by direction: 0, +30, -30, +60 and -60 degrees."""

_COS_30: Final = sqrt(0.75)
_ROOT_3: Final = sqrt(3.0)
_CORNERS: Final = (
    (1.0, 1.0, 1.0, 1.0),
    (1.0, 1.0, 1.0, 0.0),
    (1.0, 1.0, 0.0, 1.0),
    (1.0, 0.0, 1.0, 0.0),
    (0.0, 1.0, 0.0, 1.0),
)
"""Who takes part beside what is in phase: +30, -30, +60, -60 degrees. Without load that feeds back
nobody leaves out what is at 30 degrees; without doubles there is nothing at 60."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What one ampere of an EVSE puts on a node: `groups`, and `rows`, which it loads."""

    groups: tuple[float, ...]
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Curves:
    """The phasors of one site.

    `turns[n]`: the turns ratio of the transformer that node n is the secondary side of. `own[i]`:
    the groups of EVSE i at its own node; `reach[i]`: what it loads, by node.
    """

    parent: tuple[int, ...]
    turns: tuple[float | None, ...]
    own_node: tuple[int, ...]
    own: tuple[tuple[int, ...], ...]
    reach: tuple[dict[int, Reach], ...]

    def of_group(self, i: int, n: int, group: int) -> Groups:
        """What one ampere of one of EVSE i's own groups is at node n above it."""
        groups, at = [0.0] * 9, self.own_node[i]
        groups[group] = 1.0
        while at != n:
            ratio = self.turns[at]
            groups = groups if ratio is None else above_of(groups, ratio)
            at = self.parent[at]
        return groups


def curves_of(
    site: Site,
    parent: tuple[int, ...],
    turns: tuple[float | None, ...],
    path: tuple[tuple[int, ...], ...],
    phases: Sequence[tuple[int, ...]],
) -> Curves:
    """The phasors of a site whose EVSEs are wired to `phases` (0-based)."""
    own = tuple(
        (DELTA + first_of(wired),)
        if evse.connection is Connection.LINE_TO_LINE
        else tuple(WYE + p for p in wired)
        for evse, wired in zip(site.evses, phases, strict=True)
    )
    return Curves(
        parent=parent,
        turns=turns,
        own_node=tuple(nodes[0] for nodes in path),
        own=own,
        reach=tuple(_reach(nodes, groups, turns) for nodes, groups in zip(path, own, strict=True)),
    )


def first_of(pair: Sequence[int]) -> int:
    """The line of a pair whose next one is the other: 1 of (1, 2), 2 of (2, 0)."""
    one, other = pair
    return one if (one + 1) % 3 == other else other


def _reach(
    path: tuple[int, ...], own: tuple[int, ...], turns: Sequence[float | None]
) -> dict[int, Reach]:
    groups = [0.0] * 9
    for g in own:
        groups[g] = 1.0
    found: dict[int, Reach] = {}
    for n in path:
        ratio = turns[n]
        rows = [p for p in range(3) if any(line_of(groups, p))]
        rows.append(VA)
        above = groups
        if ratio is not None:
            above = above_of(groups, ratio)
            rows += [PRIMARY + p for p in range(3) if any(line_of(above, p))]
        found[n] = Reach(groups=tuple(groups), rows=tuple(rows))
        groups = above
    return found


def sum_groups(
    curves: Curves, currents_a: Sequence[float], *, shown: Sequence[bool] = ()
) -> list[Groups]:
    """Per node what is drawn below it when EVSE i draws `currents_a[i]` on each of its phases.

    What is `shown` at a node is left out there and above.
    """
    sums: list[Groups] = [[0.0] * 9 for _ in curves.parent]
    for node, own, current_a in zip(curves.own_node, curves.own, currents_a, strict=True):
        if current_a != 0.0:
            groups = sums[node]
            for g in own:
                groups[g] += current_a
    for n in range(len(sums) - 1, -1, -1):
        above = curves.parent[n]
        if shown and shown[n]:
            sums[n] = [0.0] * 9
            continue
        if above >= 0:
            ratio = curves.turns[n]
            given = sums[n] if ratio is None else above_of(sums[n], ratio)
            up = sums[above]
            for g in range(9):
                up[g] += given[g]
    return sums


def above_of(groups: Sequence[float], turns: float) -> Groups:
    """The same loads seen from the primary side of a transformer."""
    a, b, c, ab, bc, ca, double_a, double_b, double_c = groups
    three = 3.0 / turns
    return [
        *(0.0, 0.0, 0.0),
        *(a / turns + three * double_a, b / turns + three * double_b, c / turns + three * double_c),
        *(ca / turns, ab / turns, bc / turns),
    ]


def line_of(groups: Sequence[float], p: int) -> Line:
    """What loads line p."""
    following, last = (p + 1) % 3, (p + 2) % 3
    return (
        groups[p] + 2.0 * groups[DOUBLE + p],
        groups[DELTA + p],
        groups[DELTA + last],
        groups[DOUBLE + following],
        groups[DOUBLE + last],
    )


def loads_of(curves: Curves, n: int, row: int, groups: Sequence[float]) -> bool:
    """Whether any of what is drawn below node n loads one of its rows."""
    turns = curves.turns[n]
    if row < VA:
        return any(line_of(groups, row))
    if row == VA:
        return any(groups)
    return turns is not None and any(line_of(above_of(groups, turns), row - PRIMARY))


def primary_base(base_a: Sequence[float], turns: float, p: int) -> tuple[float, float]:
    """The phasor of a base load on line p of the primary side of its transformer."""
    ahead, behind = base_a[p] / turns, base_a[(p + 2) % 3] / turns
    return _COS_30 * (ahead + behind), 0.5 * (ahead - behind)


def base_above(base_a: Sequence[float], turns: float) -> Triple:
    """A base load in phase that loads any row above a transformer no less than `base_a` does.

    It is what flows where base load is alike on all lines. In any direction within 60 degrees of a
    line's voltage, where all sums of draws are, it reaches at least as far as the two phasors, and
    as far across the voltage where one of them is fed back.
    """
    a, b, c = base_a
    return (
        max(_ROOT_3 * a, _ROOT_3 * c, abs(a - c)) / turns,
        max(_ROOT_3 * b, _ROOT_3 * a, abs(b - a)) / turns,
        max(_ROOT_3 * c, _ROOT_3 * b, abs(c - b)) / turns,
    )


def import_a(re: float, im: float) -> float:
    """Magnitude of a line's current, what is fed back in phase with the voltage left out."""
    if re > 0.0:
        return sqrt(re * re + im * im)
    return -im if im < 0.0 else im


def worst_a(re: float, im: float, line: Line) -> float:
    """The greatest import for any draw up to `line`, beside a base load of `re` + j `im`."""
    straight, ahead, behind, far_ahead, far_behind = line
    worst = 0.0
    for k_ahead, k_behind, k_far_ahead, k_far_behind in _corners(re, im, far_ahead or far_behind):
        up, down = k_ahead * ahead, k_behind * behind
        far_up, far_down = k_far_ahead * far_ahead, k_far_behind * far_behind
        worst = max(
            worst,
            import_a(
                re + straight + _COS_30 * (up + down) + 0.5 * (far_up + far_down),
                im + 0.5 * (up - down) + _COS_30 * (far_up - far_down),
            ),
        )
    return worst


def _corners(re: float, im: float, far: float) -> tuple[tuple[float, float, float, float], ...]:
    # A base load that is drawn lies within 30 degrees of the voltage: its tangent is below 0.6.
    if re < 0.0 or (im > 0.6 * re or -im > 0.6 * re):
        return _CORNERS
    return _CORNERS[:3] if far != 0.0 else _CORNERS[:1]


def rise_a(re: float, im: float, line: Line, unit: Line, ceiling_a: float) -> float:
    """How much more of `unit` a line bears within its ceiling; infinity for any."""
    straight, ahead, behind, far_ahead, far_behind = line
    more, more_ahead, more_behind, more_far_ahead, more_far_behind = unit
    far = far_ahead or far_behind or more_far_ahead or more_far_behind
    least = inf
    for k_ahead, k_behind, k_far_ahead, k_far_behind in _corners(re, im, far):
        up, down = k_ahead * more_ahead, k_behind * more_behind
        far_up, far_down = k_far_ahead * more_far_ahead, k_far_behind * more_far_behind
        rise_re = more + _COS_30 * (up + down) + 0.5 * (far_up + far_down)
        rise_im = 0.5 * (up - down) + _COS_30 * (far_up - far_down)
        if rise_re == 0.0 and rise_im == 0.0:
            continue
        up, down = k_ahead * ahead, k_behind * behind
        far_up, far_down = k_far_ahead * far_ahead, k_far_behind * far_behind
        least = min(
            least,
            _crossing(
                re + straight + _COS_30 * (up + down) + 0.5 * (far_up + far_down),
                im + 0.5 * (up - down) + _COS_30 * (far_up - far_down),
                rise_re,
                rise_im,
                ceiling_a,
            ),
        )
    return least


def _crossing(re: float, im: float, rise_re: float, rise_im: float, ceiling_a: float) -> float:
    """The greatest t at which the import of a sum + rise * t is still within a ceiling."""
    if re < 0.0 and rise_im != 0.0:
        # As long as the line feeds back, only what is across the voltage counts.
        level = ((ceiling_a if rise_im > 0.0 else -ceiling_a) - im) / rise_im
        if re + rise_re * level <= 0.0:
            return level
    a = rise_re * rise_re + rise_im * rise_im
    b = re * rise_re + im * rise_im
    c = (re - ceiling_a) * (re + ceiling_a) + im * im
    root = sqrt(max(0.0, b * b - a * c))
    # Two forms of the larger root: each adds what has one sign, so that nothing cancels.
    if b > 0.0 or (b == 0.0 and root > 0.0):
        return -c / (b + root)
    return (root - b) / a


def proved_base_a(meter_a: float, line: Line) -> float:
    """The base load in phase that makes a line carry `meter_a` beside EVSEs that draw `line`.

    A negative meter value has fed-back current with its sign and the rest on top (S3).
    """
    re, im = _phasor(line)
    if meter_a < 0.0:
        return meter_a - abs(im) - re
    return sqrt(max(0.0, (meter_a - im) * (meter_a + im))) - re


def base_between(meter_a: float, low: Line, high: Line) -> tuple[float, float]:
    """The least base load of a line whose EVSEs draw between two bounds, and at least the greatest.

    What is proved is concave in the draws: it is least at a corner of them. Where draws across the
    voltage alone are more than the meter shows, it is less inside; the corner counts more, safely.
    """
    least = inf
    lines: list[tuple[float, ...]] = [()]
    for a, b in zip(low, high, strict=True):
        lines = [(*line, one) for line in lines for one in ((a,) if a == b else (a, b))]
    for straight, ahead, behind, far_ahead, far_behind in lines:
        line = (straight, ahead, behind, far_ahead, far_behind)
        least = min(least, proved_base_a(meter_a, line))
    re, _ = _phasor(low)
    up = 0.5 * (high[1] - low[2]) + _COS_30 * (high[3] - low[4])
    down = 0.5 * (low[1] - high[2]) + _COS_30 * (low[3] - high[4])
    im = 0.0 if down <= 0.0 <= up else min(abs(up), abs(down))
    if meter_a < 0.0:
        return least, meter_a - im - re
    return least, sqrt(max(0.0, (meter_a - im) * (meter_a + im))) - re


def in_phase_a(groups: Sequence[float]) -> Triple:
    """What is drawn in phase with each line."""
    one, two, three = (_phasor(line_of(groups, p))[0] for p in range(3))
    return one, two, three


def primary_a(base_a: Sequence[float], groups: Sequence[float], turns: float) -> Triple:
    """The currents of a transformer's primary lines when everybody draws `groups`."""
    above = above_of(groups, turns)
    flows = []
    for p in range(3):
        base_re, base_im = primary_base(base_a, turns, p)
        re, im = _phasor(line_of(above, p))
        flows.append(import_a(base_re + re, base_im + im))
    return flows[0], flows[1], flows[2]


def _phasor(line: Line) -> tuple[float, float]:
    straight, ahead, behind, far_ahead, far_behind = line
    return (
        straight + _COS_30 * (ahead + behind) + 0.5 * (far_ahead + far_behind),
        0.5 * (ahead - behind) + _COS_30 * (far_ahead - far_behind),
    )


def row_values(
    base: Sequence[float], groups: Sequence[float], voltage_v: Triple, turns: float | None
) -> list[float]:
    """The rows of a node: three lines, the sum in VA, and three primary lines behind `turns`.

    `base`: of the lines, and of the sum.
    """
    count = VA + 1 if turns is None else PRIMARY + 3
    return [row_value(row, base, groups, voltage_v, turns) for row in range(count)]


def row_value(
    row: int,
    base: Sequence[float],
    groups: Sequence[float],
    voltage_v: Triple,
    turns: float | None,
) -> float:
    """One of these rows."""
    if row < VA:
        return _signed_worst_a(base[row], line_of(groups, row))
    if row == VA or turns is None:
        return base[VA] + va_of_groups(groups, voltage_v)
    re, im = primary_base(base, turns, row - PRIMARY)
    return worst_a(re, im, line_of(above_of(groups, turns), row - PRIMARY))


def _signed_worst_a(base_a: float, line: Line) -> float:
    """The greatest import; where a line only feeds back, what a straight row has for that."""
    worst = worst_a(base_a, 0.0, line)
    return worst if worst > 0.0 else min(0.0, base_a + line[0])


def va_of_groups(groups: Sequence[float], voltage_v: Triple) -> float:
    """The apparent power of what is drawn, each load at the voltage between its own ends."""
    va = 0.0
    for p in range(3):
        v, following, last = voltage_v[p], voltage_v[(p + 1) % 3], voltage_v[(p + 2) % 3]
        va += v * groups[p]
        if groups[DELTA + p] != 0.0:
            va += groups[DELTA + p] * sqrt(v * v + v * following + following * following)
        if groups[DOUBLE + p] != 0.0:
            va += groups[DOUBLE + p] * (2.0 * v + 0.5 * (following + last))
    return va
