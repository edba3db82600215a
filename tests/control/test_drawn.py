"""The sums of what EVSEs drew, bit for bit those of a slow and obvious way to make them."""

from array import array
from dataclasses import replace
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgectl.control import _drawn
from edgectl.control.account import Commitment
from edgectl.control.drawn import Drawn
from edgectl.control.layout import layout_of
from edgectl.model.reading import EvseSample
from edgectl.model.site import Node
from edgectl.model.snapshot import EvseView
from edgectl.units import EvseId, NodeId, Triple
from tests.control.world import GRID, TRAITS, evse, site

AMOUNTS = (array("i"), array("i"), array("d"))
"""Currents that add up as amounts: they have no kinds."""

AMPERES = st.floats(0.0, 40.0)
MOMENTS = st.lists(st.floats(0.0, 20.0), min_size=1, max_size=12).map(sorted)


@st.composite
def evses(draw: st.DrawFn) -> tuple[Triple, float, float, tuple[EvseSample, ...]]:
    """Wired phases, commitment, refresh time and readings, oldest first; perhaps none."""
    wired = draw(st.sampled_from([(1.0, 1.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 1.0)]))
    moments = draw(st.one_of(st.just([]), MOMENTS))
    samples = []
    for taken_s in moments:
        values = [draw(st.one_of(AMPERES, st.none())) if w else None for w in wired]
        samples.append(EvseSample(taken_s, (values[0], values[1], values[2])))
    return wired, draw(AMPERES), draw(st.sampled_from([0.0, 0.5, 3.0])), tuple(samples)


def obvious(
    below: list[tuple[Triple, float, float, tuple[EvseSample, ...]]],
    before_s: float,
    taken_s: float,
) -> tuple[list[float], list[float], bool]:
    low, high, all_after = [0.0] * 3, [0.0] * 3, True
    for wired, committed_a, refresh_s, samples in below:
        after = [k for k, one in enumerate(samples) if one.taken_s >= taken_s + refresh_s]
        before = [k for k, one in enumerate(samples) if one.taken_s <= before_s]
        if samples and not after:
            all_after = False
        first = before[-1] if before else 0
        last = max(after[0], first) if after else len(samples) - 1
        for p in range(3):
            if not wired[p]:
                continue
            seen = [one.current_a[p] for one in samples[first : last + 1]]
            known = [value for value in seen if value is not None]
            if not seen or len(known) < len(seen):
                high[p] += committed_a
            elif before and after:
                low[p] += min(known)
                high[p] += max(known)
            else:
                high[p] += max(*known, committed_a)
    return low, high, all_after


@settings(max_examples=300, deadline=None)
@given(
    below=st.lists(evses(), min_size=1, max_size=5),
    taken_s=st.floats(0.0, 20.0),
    refresh_s=st.sampled_from([0.0, 1.0]),
)
def test_the_bounds_are_those_of_the_slow_way(
    below: list[tuple[Triple, float, float, tuple[EvseSample, ...]]],
    taken_s: float,
    refresh_s: float,
) -> None:
    count = len(below)
    sums = _drawn.Sums(
        array("i", [0, count]),
        array("i", range(count)),
        array("i", [0] * count),
        array("i", [-1]),
        *AMOUNTS,
    )
    before_s = taken_s - refresh_s
    for _ in range(2):  # nothing is carried over from one filling to the next
        sums.begin()
        for i, (wired, committed_a, charger_s, samples) in enumerate(below):
            if samples:
                sums.read(i, wired, committed_a, samples, charger_s, before_s, line_to_line=False)
            else:
                sums.unread(i, wired, committed_a)
        sums.finish()
        low, high, closed = sums.bounds(0, before_s, taken_s, s4_base=True)
    assert (list(low), list(high), closed) == obvious(below, before_s, taken_s)


def test_sums_go_up_the_tree() -> None:
    """The root has node 1 below it; e0 hangs on the root, e1 on node 1."""
    sums = _drawn.Sums(
        array("i", [0, 2, 3]),
        array("i", [0, 1, 1]),
        array("i", [0, 1]),
        array("i", [-1, 0]),
        *AMOUNTS,
    )
    sums.begin()
    every = (1.0, 1.0, 1.0)
    first, second = EvseSample(5.0, (8.0, 7.0, 6.0)), EvseSample(7.0, (1.0, 2.0, 3.0))
    sums.read(0, every, 10.0, (first,), 1.0, 0.0, line_to_line=False)
    sums.read(1, every, 20.0, (second,), 1.0, 0.0, line_to_line=False)
    sums.finish()
    assert sums.known_s.tolist() == [6.0, 6.0]
    assert sums.committed_a.tolist() == [30.0] * 3 + [20.0] * 3
    assert sums.newest(0, 0.0, 9.0, s4_base=True) == ((9.0, 9.0, 9.0), (9.0, 9.0, 9.0))
    assert sums.newest(1, 0.0, 9.0, s4_base=True) == ((1.0, 2.0, 3.0), (1.0, 2.0, 3.0))


@st.composite
def moments(draw: st.DrawFn) -> tuple[tuple[EvseSample, ...], float, float]:
    """Readings of one EVSE on L1, what it may draw, and how old what it shows may be."""
    taken = sorted(draw(st.lists(st.sampled_from([2.0, 4.0, 6.0, 8.0]), min_size=1, unique=True)))
    read = tuple(
        EvseSample(s, (draw(st.sampled_from([0.0, 5.0, 10.0])), None, None)) for s in taken
    )
    return read, draw(st.sampled_from([10.0, 16.0, 32.0])), draw(st.sampled_from([0.0, 1.0]))


@given(
    each=st.lists(st.one_of(moments(), st.none()), min_size=3, max_size=3),
    meter_a=st.sampled_from([10.0, 30.0, 50.0, 90.0]),
    base_a=st.sampled_from([0.0, 20.0, 40.0, 100.0]),
)
def test_while_a_span_is_open_the_base_is_the_same_without_the_sums(
    each: list[tuple[tuple[EvseSample, ...], float, float] | None], meter_a: float, base_a: float
) -> None:
    """Meter values of 5 s; one EVSE hangs on the connection, two on the hall below it."""
    hall = NodeId("hall")
    nodes = [Node(id=GRID, parent=None), Node(id=hall, parent=GRID)]
    evses, views, commitments = [], {}, []
    for n, one in enumerate(each, 1):
        samples, committed_a, refresh_s = one or ((), 20.0, 0.0)
        traits = replace(TRAITS, refresh_s=refresh_s)
        evses.append(evse(n, node=GRID if n == 1 else hall, traits=traits))
        views[EvseId(f"e{n}")] = EvseView(samples=samples)
        last_a = samples[-1].current_a[0] if samples else None
        commitments.append(
            Commitment(committed_a, committed_a, committed_a, last_a, silent=False, failsafe_a=6.0)
        )
    layout = layout_of(site(evses=evses, nodes=nodes, meters=[]))
    drawn = Drawn(layout, commitments, views, [-inf, -inf], s4_base=True)
    for n in (0, 1):
        quick = drawn.while_open(n, 5.0, (meter_a, 7.0, 0.0), (base_a, 9.0, 0.0))
        bounds = drawn.bounds(n, 5.0, 5.0)
        least_a, greatest_a = meter_a - bounds.greatest_a[0], meter_a - bounds.least_a[0]
        if quick is not None:
            assert not bounds.closed
            assert quick[0] == pytest.approx(max(least_a, min(base_a, greatest_a)))
            assert quick[1:] == (7.0, 0.0), "nobody loads the others: the meter is the base"
