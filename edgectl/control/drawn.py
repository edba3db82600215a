"""What the EVSEs below a meter drew at the moment of a sample of it (S4).

Theory: a meter and the chargers below it are never read at the same moment. Each EVSE is therefore
an interval that surely holds its current at the meter's moment: from its last reading before the
window to its first one after it. The window is the meter's request time, widened by the refresh
times of meter and charger. While an EVSE was not read after the window, its span is open, and it
may have drawn anything from nothing to what it is committed to.

Every EVSE counts for every waiting sample of every meter above it, at each tick. Frozen records
would cost milliseconds here: what an EVSE drew back from its newest reading is worked out once, as
flat lists, for all the meters above it, and sums are kept in plain variables. They are added up in
the site's order of EVSEs, so that a replay gives the same bits.
"""

# ruff: noqa: FURB136, PLR1730 - calls of min and max cost three times what they stand for here

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import TypeAlias

from edgectl.control.account import Commitment
from edgectl.control.layout import ALL_WIRED, Layout
from edgectl.model.reading import EvseSample
from edgectl.model.snapshot import EvseView
from edgectl.units import EvseId, OptionalTriple, Triple

SLACK_A = 1e-6
SLACK_SHARE = 1e-9
MOMENT_S = 1e-6
"""No sum is skipped where rounding could matter."""


Extremes: TypeAlias = tuple[float, float, float, float, float, float]
"""The least on each site phase, then the greatest."""


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
        self._most_a: list[Triple] = []
        self._readings: list[_Readings | None] = []
        self._known_s = [-inf] * len(layout.parent)
        self._committed_a = [[0.0, 0.0, 0.0] for _ in layout.parent]
        for i, evse in enumerate(layout.site.evses):
            commitment, n = commitments[i], layout.own_node[i]
            wired = layout.wired[i]
            committed_a = commitment.committed_a
            most_a = (committed_a * wired[0], committed_a * wired[1], committed_a * wired[2])
            self._most_a.append(most_a)
            total_a = self._committed_a[n]
            total_a[0] += most_a[0]
            total_a[1] += most_a[1]
            total_a[2] += most_a[2]
            if commitment.silent or commitment.measured_a is None:
                self._readings.append(None)
                continue
            samples = views[evse.id].samples
            refresh_s = evse.traits.refresh_s
            self._readings.append(
                _Readings(samples, wired, most_a, refresh_s=refresh_s, back_to_s=back_to_s[n])
            )
            known_s = samples[-1].taken_s - refresh_s
            if known_s > self._known_s[n]:
                self._known_s[n] = known_s
        for n in reversed(range(len(layout.parent))):
            above = layout.parent[n]
            if above >= 0:
                self._known_s[above] = max(self._known_s[above], self._known_s[n])
                for p in range(3):
                    self._committed_a[above][p] += self._committed_a[n][p]

    def while_open(self, n: int, taken_s: float, meter_a: Triple, base_a: Triple) -> Triple | None:
        """The base at node n after a sample that has surely every span open, or None.

        Each EVSE may then have drawn anything from nothing to at least its commitment: the base is
        not above the meter, and as long as it is not below the meter less all the commitments, the
        sums need not be known.
        """
        if not -inf < self._known_s[n] + MOMENT_S < taken_s or not self._s4_base:
            return None  # without any reading below there is no open span either
        after = [0.0, 0.0, 0.0]
        for p, loaded in enumerate(self._layout.loaded[n]):
            meter, base, committed_a = meter_a[p], base_a[p], self._committed_a[n][p]
            after[p] = meter if meter < base or not loaded else base
            slack_a = SLACK_A + SLACK_SHARE * (abs(meter) + committed_a)
            if loaded and not meter - committed_a + slack_a < after[p]:
                return None
        return (after[0], after[1], after[2])

    def bounds(self, n: int, before_s: float, taken_s: float) -> Bounds:
        """The sums of all EVSEs below node n for a window that begins at `before_s`."""
        low1 = low2 = low3 = high1 = high2 = high3 = 0.0
        closed = True
        all_readings, most_a, s4_base = self._readings, self._most_a, self._s4_base
        for i in self._layout.below[n]:
            readings = all_readings[i]
            if readings is None:
                one, two, three = most_a[i]
                high1 += one
                high2 += two
                high3 += three
                continue
            read_s, after_s = readings.taken_s, taken_s + readings.refresh_s
            first = 0
            while read_s[first] > before_s:
                first += 1
            after = read_s[0] >= after_s
            if read_s[1] >= after_s or read_s[first] == -inf or not s4_base:
                extremes = readings.around(before_s, after_s) if s4_base else readings.extremes[0]
            elif after:
                extremes = readings.extremes[first]
            else:
                closed = False
                _, _, _, four, five, six = readings.extremes[first]
                one, two, three = most_a[i]
                high1 += four if four >= one else one
                high2 += five if five >= two else two
                high3 += six if six >= three else three
                continue
            one, two, three, four, five, six = extremes
            low1 += one
            low2 += two
            low3 += three
            high1 += four
            high2 += five
            high3 += six
            if not after:
                closed = False
        return Bounds((low1, low2, low3), (high1, high2, high3), closed)

    def newest(self, n: int, before_s: float, taken_s: float) -> tuple[Triple, Triple]:
        """Two sums below node n: the greatest readings around a moment, and the newest ones."""
        read1 = read2 = read3 = latest1 = latest2 = latest3 = 0.0
        for i in self._layout.below[n]:
            readings = self._readings[i]
            if readings is None:
                one, two, three = latest_a = self._most_a[i]
            else:
                latest_a, read_s = readings.latest, readings.taken_s
                after_s, first = taken_s + readings.refresh_s, 0
                while read_s[first] > before_s:
                    first += 1
                if not self._s4_base:
                    extremes = readings.extremes[0]
                elif read_s[1] >= after_s or read_s[first] == -inf:
                    extremes = readings.between(*readings.span(before_s, after_s))
                else:
                    extremes = readings.extremes[first]
                _, _, _, one, two, three = extremes
            read1 += one
            read2 += two
            read3 += three
            one, two, three = latest_a
            latest1 += one
            latest2 += two
            latest3 += three
        return (read1, read2, read3), (latest1, latest2, latest3)


class _Readings:
    """One EVSE's readings, counted back from the newest (0), as far as the windows reach.

    `taken_s` ends with minus infinity, where searches end. `extremes[k]`: the least on each phase
    in the span from reading k up to the newest, then the greatest. Without a value on a phase that
    it is wired to there is no least, and its commitment (`most_a`) is the greatest.
    """

    __slots__ = ("_known", "_most_a", "_seen", "extremes", "latest", "refresh_s", "taken_s")

    def __init__(
        self,
        samples: Sequence[EvseSample],
        wired: Triple,
        most_a: Triple,
        *,
        refresh_s: float,
        back_to_s: float,
    ) -> None:
        taken_s: list[float] = []
        extremes: list[Extremes] = []
        seen: list[OptionalTriple] = []
        self.refresh_s = refresh_s
        self.taken_s = taken_s
        self.extremes = extremes
        self._most_a = most_a
        self._seen = seen
        self._known: dict[tuple[int, int], Extremes] | None = None
        low1 = low2 = low3 = inf
        high1 = high2 = high3 = -inf
        gap = False
        for sample in reversed(samples):
            current_a = sample.current_a if wired is ALL_WIRED else _only(sample.current_a, wired)
            seen.append(current_a)
            taken_s.append(sample.taken_s)
            one, two, three = current_a
            if gap or one is None or two is None or three is None:
                gap = True
                extremes.append(self.between(len(seen) - 1, 0))
            else:
                if one < low1:
                    low1 = one
                if one > high1:
                    high1 = one
                if two < low2:
                    low2 = two
                if two > high2:
                    high2 = two
                if three < low3:
                    low3 = three
                if three > high3:
                    high3 = three
                extremes.append((low1, low2, low3, high1, high2, high3))
            if sample.taken_s <= back_to_s:
                break
        taken_s.append(-inf)
        one, two, three = seen[0]
        self.latest: Triple = (one or 0.0, two or 0.0, three or 0.0)

    def around(self, before_s: float, after_s: float) -> Extremes:
        """What it may have drawn in a window, whatever was read of it."""
        first, last = self.span(before_s, after_s)
        extremes = self.between(first, last)
        if self.taken_s[last] >= after_s and self.taken_s[first] <= before_s:
            return extremes
        return self.open_yet(extremes)

    def open_yet(self, extremes: Extremes) -> Extremes:
        """The same while its span is open: nothing, or the commitment, if that is more."""
        _, _, _, one, two, three = extremes
        most1, most2, most3 = self._most_a
        return (
            0.0,
            0.0,
            0.0,
            max(one, most1),
            max(two, most2),
            max(three, most3),
        )

    def span(self, before_s: float, after_s: float) -> tuple[int, int]:
        """From the last reading before the window to the first one after it, as far as known."""
        read_s = self.taken_s
        first, last, oldest = 0, 0, len(self._seen) - 1
        while first < oldest and read_s[first] > before_s:
            first += 1
        while last < first and read_s[last + 1] >= after_s:
            last += 1
        return first, last

    def between(self, first: int, last: int) -> Extremes:
        """The extremes in the span from `first` to a younger reading, `last`; kept once found."""
        if self._known is None:
            self._known = {}
        known = self._known.get((first, last))
        if known is None:
            known = self._known[first, last] = self._between(first, last)
        return known

    def _between(self, first: int, last: int) -> Extremes:
        low1, low2, low3, high1, high2, high3 = 0.0, 0.0, 0.0, *self._most_a
        one, two, three = zip(*self._seen[last : first + 1], strict=True)
        if None not in one:
            low1, high1 = min(one), max(one)
        if None not in two:
            low2, high2 = min(two), max(two)
        if None not in three:
            low3, high3 = min(three), max(three)
        return (low1, low2, low3, high1, high2, high3)


def _only(seen: OptionalTriple, wired: Triple) -> OptionalTriple:
    """Readings of the phases that it is wired to; nothing flows on the others."""
    return (
        seen[0] if wired[0] else 0.0,
        seen[1] if wired[1] else 0.0,
        seen[2] if wired[2] else 0.0,
    )
