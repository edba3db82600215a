"""The voltages that watts and VA rows are reckoned with: measured, else from above, else high."""

from dataclasses import replace
from math import nan

import pytest

from edgectl.clock import Instant
from edgectl.control.account import commit
from edgectl.control.judge import STALE_VOLTAGE_SHARE, judge
from edgectl.control.layout import layout_of
from edgectl.model.reading import FRESH_POLLS
from edgectl.model.rules import Rules
from edgectl.model.site import Meter, Node, Transformer
from edgectl.model.snapshot import Snapshot
from edgectl.model.state import State
from edgectl.units import LinkId, MeterId, NodeId, OptionalTriple, Triple
from tests.control.world import GRID, M_GRID, UTC0_S, World, evse, site

PANEL = NodeId("panel")
M_PANEL = MeterId("m-panel")
POLL_S = 2.0
HIGH_V = 230.0 * STALE_VOLTAGE_SHARE
ALL_HIGH = (HIGH_V, HIGH_V, HIGH_V)
MEASURED: Triple = (221.0, 222.0, 223.0)


def world(*, metered: bool = True, transformer: Transformer | None = None) -> World:
    """A grid connection with a meter, and a panel below it, with one or without."""
    nodes = [
        Node(id=GRID, parent=None, limit_a=(100.0,) * 3),
        Node(id=PANEL, parent=GRID, limit_a=(50.0,) * 3, transformer=transformer),
    ]
    meters = [
        Meter(id=id_, node=node, profile="test", link=LinkId("lan"), unit=unit, poll_s=POLL_S)
        for id_, node, unit in ((M_GRID, GRID, 98), (M_PANEL, PANEL, 99))
    ]
    evses = [evse(1, node=PANEL, phases=(1, 2, 3))]
    return World(site(evses=evses, nodes=nodes, meters=meters if metered else meters[:1]))


def volts(at: World) -> tuple[Triple, Triple]:
    """Of the grid connection and of the panel."""
    snapshot = Snapshot(site=at.site, meters=at.meters, evses=at.evses)
    now, rules, state = Instant(at.now_s, UTC0_S, utc_trusted=True), Rules(), State()
    layout, commitments = layout_of(at.site), commit(snapshot, State(), now, rules)
    judged, _ = judge(snapshot, layout, commitments, state, now, rules)
    grid, panel = (one.voltage_v for one in judged)
    return grid, panel


def test_before_anything_is_measured_they_are_high() -> None:
    assert volts(world()) == (ALL_HIGH, ALL_HIGH)


def test_each_meter_tells_those_of_its_own_node() -> None:
    at = world()
    at.meter(1.0, 1.0, 1.0, voltage_v=MEASURED)
    at.meter(1.0, 1.0, 1.0, meter=M_PANEL, voltage_v=(218.0, 219.0, 220.0))
    assert volts(at) == (MEASURED, (218.0, 219.0, 220.0))


@pytest.mark.parametrize("metered", [True, False], ids=["silent", "none"])
def test_a_node_whose_meter_says_nothing_has_those_from_above(*, metered: bool) -> None:
    at = world(metered=metered)
    at.meter(1.0, 1.0, 1.0, voltage_v=MEASURED)
    assert volts(at) == (MEASURED, MEASURED)


@pytest.mark.parametrize("none_v", [None, nan, 5.0, 1000.0])
def test_a_value_that_can_be_none_is_that_from_above_on_its_phase_alone(
    none_v: float | None,
) -> None:
    at = world()
    at.meter(1.0, 1.0, 1.0, voltage_v=MEASURED)
    said: OptionalTriple = (218.0, none_v, 220.0)
    at.meter(1.0, 1.0, 1.0, meter=M_PANEL, voltage_v=said)
    assert volts(at)[1] == (218.0, 222.0, 220.0)
    at.meter(1.0, 1.0, 1.0, voltage_v=said)
    assert volts(at)[0] == (218.0, HIGH_V, 220.0)


@pytest.mark.parametrize(("waits_s", "fresh"), [(FRESH_POLLS * POLL_S, True), (5.25, False)])
def test_only_what_is_fresh_counts(waits_s: float, *, fresh: bool) -> None:
    at = world()
    at.meter(1.0, 1.0, 1.0, voltage_v=(210.0,) * 3)
    at.meter(1.0, 1.0, 1.0, voltage_v=MEASURED)
    at.meter(1.0, 1.0, 1.0, meter=M_PANEL, voltage_v=(218.0,) * 3)
    at = replace(at, now_s=at.now_s + waits_s)
    assert volts(at) == ((MEASURED, (218.0,) * 3) if fresh else (ALL_HIGH, ALL_HIGH))


def test_behind_a_transformer_those_from_above_mean_nothing() -> None:
    """It has 2 x 230 V / sqrt 3 line to neutral above it where it has 230 V below."""
    at = world(transformer=Transformer(2.0))
    above_v = 2.0 * 230.0 / 3.0**0.5
    at.meter(1.0, 1.0, 1.0, voltage_v=(above_v,) * 3)
    assert volts(at) == ((above_v,) * 3, ALL_HIGH)
