"""What the EVSEs below a meter drew at the moment of a sample of it (S4).

Theory: a meter and the chargers below it are never read at the same moment. Each EVSE is therefore
an interval that surely holds its current at the meter's moment: from its last reading before the
window to its first one after it. The window is the meter's request time, widened by the refresh
times of meter and charger. While an EVSE was not read after the window, its span is open, and it
may have drawn anything from nothing to what it is committed to.

Every EVSE counts for every waiting sample of every meter above it, at each tick: that is half of
the step in Python, and next to nothing on flat arrays (`ext/_drawn.pyx`, which this module alone
imports). The arrays are made once per site and filled at every tick; nothing is carried over.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from edgectl.control import _drawn
from edgectl.control.account import Commitment
from edgectl.control.curved import base_between, in_phase_a, line_of, proved_base_a
from edgectl.control.layout import Layout
from edgectl.model.site import Connection
from edgectl.model.snapshot import EvseView
from edgectl.units import EvseId, Triple

SLACK_A = 1e-6
SLACK_SHARE = 1e-9
MOMENT_S = 1e-6
"""No sum is skipped where rounding could matter."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What all EVSEs below a meter drew at its moment, per site phase.

    `closed`: every one of them was read after the window. Where currents have directions `groups`
    has the bounds by kind and line, and the others what is in phase.
    """

    least_a: Triple
    greatest_a: Triple
    closed: bool
    groups: tuple[tuple[float, ...], tuple[float, ...]] | None = None

    def base_between_a(self, meter_a: Triple) -> tuple[Triple, Triple]:
        """The least and the greatest base load that a meter value leaves beside these draws."""
        if self.groups is None:
            return _minus(meter_a, self.greatest_a), _minus(meter_a, self.least_a)
        low, high = self.groups
        one, two, three = (
            base_between(meter_a[p], line_of(low, p), line_of(high, p)) for p in range(3)
        )
        return (one[0], two[0], three[0]), (one[1], two[1], three[1])


@dataclass(frozen=True, slots=True)
class Shown:
    """The base loads that a meter value proves by itself.

    `direct_a`: when every EVSE drew the greatest of its readings around that moment; `latest_a`:
    its newest one. `groups`: those greatest readings, where currents have directions.
    """

    direct_a: Triple
    latest_a: Triple
    groups: tuple[float, ...] | None = None


class Drawn:
    """What is drawn below every node, at one tick.

    `back_to_s[n]`: how far back the windows of any meter at node n or above it reach. With
    `s4_base` off every EVSE counts with its newest reading alone.
    """

    def __init__(
        self,
        layout: Layout,
        commitments: Sequence[Commitment],
        views: dict[EvseId, EvseView],
        back_to_s: Sequence[float],
        *,
        s4_base: bool,
    ) -> None:
        self._layout = layout
        self._s4_base = s4_base
        self._sums = sums = _sums_of(layout)
        sums.begin()
        own, wired, pairs = layout.own_node, layout.wired, layout.curves is not None
        for i, (evse, commitment) in enumerate(zip(layout.site.evses, commitments, strict=True)):
            if commitment.silent or commitment.measured_a is None:
                sums.unread(i, wired[i], commitment.committed_a)
            else:
                sums.read(
                    i,
                    wired[i],
                    commitment.committed_a,
                    views[evse.id].samples,
                    evse.traits.refresh_s,
                    back_to_s[own[i]],
                    pairs and evse.connection is Connection.LINE_TO_LINE,
                )
        sums.finish()

    def while_open(self, n: int, taken_s: float, meter_a: Triple, base_a: Triple) -> Triple | None:
        """The base at node n after a sample that has surely every span open, or None.

        Each EVSE may then have drawn anything from nothing to at least its commitment: the base is
        not above the meter, and as long as it is not below the meter less all the commitments, the
        sums need not be known.
        """
        if self._layout.curves is not None:
            return None
        if not -inf < self._sums.known_s[n] + MOMENT_S < taken_s or not self._s4_base:
            return None  # without any reading below there is no open span either
        after = [0.0, 0.0, 0.0]
        for p, loaded in enumerate(self._layout.loaded[n]):
            meter, base, committed_a = meter_a[p], base_a[p], self._sums.committed_a[3 * n + p]
            after[p] = meter if meter < base or not loaded else base
            slack_a = SLACK_A + SLACK_SHARE * (abs(meter) + committed_a)
            if loaded and not meter - committed_a + slack_a < after[p]:
                return None
        return (after[0], after[1], after[2])

    def bounds(self, n: int, before_s: float, taken_s: float) -> Bounds:
        """What is drawn below node n around a moment; the window begins at `before_s`."""
        if self._layout.curves is None:
            return Bounds(*self._sums.bounds(n, before_s, taken_s, self._s4_base))
        low, high, closed = self._sums.bounds_by_kind(n, before_s, taken_s, self._s4_base)
        return Bounds(in_phase_a(low), in_phase_a(high), closed, (low, high))

    def shown(self, n: int, before_s: float, taken_s: float, meter_a: Triple) -> Shown:
        """What a meter at node n proves with a value of a moment."""
        if self._layout.curves is None:
            read_a, latest_a = self._sums.newest(n, before_s, taken_s, self._s4_base)
            return Shown(_minus(meter_a, read_a), _minus(meter_a, latest_a))
        read, latest = self._sums.newest_by_kind(n, before_s, taken_s, self._s4_base)
        return Shown(_proved(meter_a, read), _proved(meter_a, latest), read)


def _proved(meter_a: Triple, groups: Sequence[float]) -> Triple:
    one, two, three = (proved_base_a(meter_a[p], line_of(groups, p)) for p in range(3))
    return (one, two, three)


def _minus(one: Triple, other: Triple) -> Triple:
    return (one[0] - other[0], one[1] - other[1], one[2] - other[2])


def _sums_of(layout: Layout) -> _drawn.Sums:
    """The arrays of a layout; those of the last one are kept."""
    if _memo and _memo[0][0] is layout:
        return _memo[0][1]
    start, below = array("i", [0]), array("i")
    for evses in layout.below:
        below.extend(evses)
        start.append(len(below))
    made = _drawn.Sums(
        start,
        below,
        array("i", layout.own_node),
        array("i", layout.parent),
        *_kinds_of(layout),
    )
    _memo[:] = [(layout, made)]
    return made


def _kinds_of(layout: Layout) -> "tuple[array[int], array[int], array[float]]":
    """What the phases of each EVSE below each node are there."""
    kinds, turns, scales = array("i"), array("i"), array("d")
    curves = layout.curves
    if curves is None:
        return kinds, turns, scales
    for n, evses in enumerate(layout.below):
        for i in evses:
            first = curves.own[i][0]
            groups = curves.of_group(i, n, first)
            (to,) = (g for g in range(len(groups)) if groups[g] != 0.0)
            kinds.append(to // 3)
            turns.append((to - first) % 3)
            scales.append(groups[to])
    return kinds, turns, scales


_memo: list[tuple[Layout, _drawn.Sums]] = []
