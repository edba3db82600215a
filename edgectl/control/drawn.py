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
from edgectl.control.layout import Layout
from edgectl.model.snapshot import EvseView
from edgectl.units import EvseId, Triple

SLACK_A = 1e-6
SLACK_SHARE = 1e-9
MOMENT_S = 1e-6
"""No sum is skipped where rounding could matter."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What all EVSEs below a meter drew at its moment, per site phase.

    `closed`: every one of them was read after the window.
    """

    least_a: Triple
    greatest_a: Triple
    closed: bool


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
        own, wired = layout.own_node, layout.wired
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
                )
        sums.finish()

    def while_open(self, n: int, taken_s: float, meter_a: Triple, base_a: Triple) -> Triple | None:
        """The base at node n after a sample that has surely every span open, or None.

        Each EVSE may then have drawn anything from nothing to at least its commitment: the base is
        not above the meter, and as long as it is not below the meter less all the commitments, the
        sums need not be known.
        """
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
        return Bounds(*self._sums.bounds(n, before_s, taken_s, self._s4_base))

    def newest(self, n: int, before_s: float, taken_s: float) -> tuple[Triple, Triple]:
        """Two sums below node n: the greatest readings around a moment, and the newest ones."""
        return self._sums.newest(n, before_s, taken_s, self._s4_base)


def _sums_of(layout: Layout) -> _drawn.Sums:
    """The arrays of a layout; those of the last one are kept."""
    if _memo and _memo[0][0] is layout:
        return _memo[0][1]
    start, below = array("i", [0]), array("i")
    for evses in layout.below:
        below.extend(evses)
        start.append(len(below))
    made = _drawn.Sums(start, below, array("i", layout.own_node), array("i", layout.parent))
    _memo[:] = [(layout, made)]
    return made


_memo: list[tuple[Layout, _drawn.Sums]] = []
