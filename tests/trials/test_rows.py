"""The rows that checkers hold a site against: what flows there and what an ampere does to it."""

from cmath import rect
from dataclasses import replace
from math import radians, sqrt

import pytest

from edgectl.control.reaction import LinkTiming
from edgectl.control.static import prove
from edgectl.model.site import Connection, Node, Transformer, has_phasors
from edgectl.simulator.trace import NodePhasors, NodeTruth
from edgectl.simulator.trial.drawn import TRACE_S, Drawn
from edgectl.simulator.trial.effects import Effects
from edgectl.simulator.trial.rows import ApartRow, PhasorRow, SumRow
from edgectl.simulator.trial.trial import draw_trial
from edgectl.units import NodeId
from tests.trials.handmade import Steps, evidence

T1 = Node(
    id=NodeId("n0"),
    parent=None,
    limit_a=(100.0,) * 3,
    primary_limit_a=(20.0,) * 3,
    transformer=Transformer(4.0),
)


def drawn(*phases: int, pair: bool = False, amps: Steps = ((0.0, 10.0),), used: int = 3) -> Drawn:
    """An EVSE that is asked 10 A."""
    found = evidence(asked=[(0.0, 10.0)], drawn=amps)
    e0, e1 = found.site.evses
    connection = Connection.LINE_TO_LINE if pair else Connection.LINE_TO_NEUTRAL
    wired = replace(e0, phases=phases, connection=connection)
    found.trace.evses[e0.id].phases[:] = [used] * len(found.trace.times_s)
    return Drawn(replace(found, site=replace(found.site, evses=(wired, e1))), wired)


def truth(line_1: complex, base_1: complex, *, primary_1: complex = 0j) -> NodeTruth:
    nothing = (0j, 0j)
    return NodeTruth(
        current_a=(0.0, 0.0, 0.0),
        power_w=0.0,
        base_power_w=0.0,
        phasors=NodePhasors(
            line_a=(line_1, *nothing),
            primary_a=(primary_1, *nothing),
            base_line_a=(base_1, *nothing),
            base_primary_a=(0j, *nothing),
        ),
    )


def rows(*truths: NodeTruth) -> tuple[PhasorRow, PhasorRow]:
    """Line 1 of a transformer's node, and its primary line 2."""
    found = evidence(asked=[(0.0, 10.0)], drawn=[(0.0, 10.0)])
    effects = Effects(replace(found.site, nodes=(T1,)))
    return (
        PhasorRow(truths, T1, 0, effects, primary=False),
        PhasorRow(truths, T1, 1, effects, primary=True),
    )


def test_an_ampere_between_two_lines_is_one_on_each_and_half_of_one_on_the_primary_line() -> None:
    def effects(one: Drawn) -> list[float]:
        return [row.effect(one, 0) for row in rows()]

    # primary (b - a) / 4 of a = 1, b = -1; of c = 1, b = -1; of all three; of a alone
    assert effects(drawn(1, 2, pair=True, used=2)) == pytest.approx([1.0, 0.5])
    assert effects(drawn(3, 2, pair=True, used=2)) == pytest.approx([0.0, 0.25])
    assert effects(drawn(1, 2, 3)) == pytest.approx([1.0, sqrt(3.0) / 4.0])
    assert effects(drawn(1, 2, 3, used=1)) == pytest.approx([1.0, 0.25])
    assert effects(drawn(1, 2, 3, used=0)) == [0.0, 0.0]


def test_a_base_load_that_rose_explains_what_flows_beside_it_and_no_more() -> None:
    before = truth(rect(10.0, radians(90.0)), 0j)
    after = truth(rect(10.0, radians(90.0)) + 10.0, 10.0 + 0j)
    line_1, _ = rows(before, after)
    assert line_1.flow(1) == pytest.approx(10.0 * sqrt(2.0))
    assert line_1.base_rise(1, 0) == pytest.approx(10.0 * (sqrt(2.0) - 1.0))
    assert line_1.base_rise(1, 1) == 0.0


def test_the_lines_of_both_sides_are_held_against_limits_of_their_own() -> None:
    line_1, primary_2 = rows(truth(30.0 + 0j, 0j, primary_1=7.0 + 0j))
    assert (line_1.limit, line_1.flow(0)) == (100.0, 30.0)
    assert (primary_2.limit, primary_2.flow(0)) == (20.0, 0.0)


def test_an_ampere_between_two_lines_is_root_three_voltages() -> None:
    found = evidence(asked=[(0.0, 10.0)], drawn=[(0.0, 10.0)])
    row = SumRow((), found.site.nodes[0], found.site)
    assert row.effect(drawn(1, 2, pair=True, used=2), 0) == pytest.approx(230.0 * sqrt(3.0))
    assert row.effect(drawn(1, 2, 3, used=2), 0) == pytest.approx(460.0)


STOPS: Steps = [(0.0, 10.0), (200.0, 0.0)]


@pytest.mark.parametrize(
    ("phases", "used", "metered", "lost_a"),
    [
        pytest.param((2,), 1, True, 10.0, id="it relieved"),
        pytest.param((1,), 1, True, 0.0, id="it is on the greater phase"),
        pytest.param((3,), 1, True, 0.0, id="it is on neither"),
        pytest.param((2, 1, 3), 1, True, 10.0, id="it used the lesser phase alone"),
    ],
)
def test_what_stops_on_the_lesser_phase_explains_a_difference(
    *, phases: tuple[int, ...], used: int, metered: bool, lost_a: float
) -> None:
    node = replace(T1, unbalance_a=5.0, transformer=None)
    row = ApartRow((), node, 0, 1)
    one = drawn(*phases, amps=STOPS, used=used)
    one.evse = replace(one.evse, traits=replace(one.evse.traits, metered=metered))
    n = int(203.0 / TRACE_S)
    assert row.relief_lost([one], n, n - 8) == lost_a


def test_base_load_that_is_farther_apart_is_the_bound() -> None:
    node = replace(T1, unbalance_a=5.0, transformer=None)
    sample = NodeTruth(
        current_a=(22.0, 4.0, 0.0), power_w=0.0, base_power_w=0.0, base_a=(12.0, 4.0, 0.0)
    )
    row = ApartRow([sample], node, 0, 1)
    assert row.flow(0) == 18.0
    assert row.ceiling(0, 5.0) == 8.0


def test_one_seed_of_eight_is_north_american_and_bears_what_nobody_controls() -> None:
    kinds = set()
    for seed in range(96):
        site = draw_trial(seed).loaded.site
        apart = any(node.unbalance_a is not None for node in site.nodes)
        if seed % 8 != 7:
            assert (site.voltage_v, has_phasors(site), apart) == (230.0, False, False)
            continue
        assert site.voltage_v == 120.0
        timing = {link.id: LinkTiming(write_s=0.0, timeout_s=0.0) for link in site.links}
        assert prove(site, link_timing=timing).risks == ()
        primary = any(any(node.primary_limit_a) for node in site.nodes)
        kinds.add((has_phasors(site), primary, apart))
    assert {(True, False, False), (True, True, False), (False, False, True)} <= kinds
