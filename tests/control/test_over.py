"""A meter above a ceiling of its node (S15): since when, and the base load that it proves."""

from cmath import rect
from dataclasses import replace
from math import radians

import pytest

from edgectl.control.over import proved_base
from edgectl.model.rules import Rules
from edgectl.model.site import Node, Transformer
from edgectl.units import NodeId
from tests.control.world import GRID, TRAITS, World, evse, site

LIMIT_A = 100.0
VOLTS = (230.0, 230.0, 230.0)


def world(*, limit_va: float | None = None) -> World:
    node = Node(
        id=GRID,
        parent=None,
        limit_a=(LIMIT_A,) * 3,
        limit_va=limit_va,
        base_max_a=(60.0,) * 3,
    )
    return World(site(evses=[evse(1)], nodes=[node]))


def over(at: World, *flow_a: float) -> dict[NodeId, float]:
    """A second later the meter shows this, and a step follows."""
    at.wait(1.0)
    at.meter(*flow_a, voltage_v=VOLTS)
    at.step()
    return at.state.over_s


@pytest.mark.parametrize("phase", [0, 1, 2])
def test_a_phase_is_over_above_its_ceiling_and_not_at_it(phase: int) -> None:
    at = world()
    flow_a = [0.0, 0.0, 0.0]
    flow_a[phase] = LIMIT_A
    assert over(at, *flow_a) == {}
    flow_a[phase] = LIMIT_A + 0.01
    assert over(at, *flow_a) == {GRID: at.now_s}


def test_the_sum_is_over_above_its_ceiling_and_not_at_it() -> None:
    at = world(limit_va=6900.0)
    assert over(at, 10.0, 10.0, 10.0) == {}
    assert over(at, 12.0, 10.0, 9.0) == {GRID: at.now_s}


def test_the_first_moment_counts_until_it_is_over_no_more() -> None:
    at = world()
    over(at, 120.0)
    since_s = at.now_s
    assert over(at, 110.0) == over(at, 101.0) == {GRID: since_s}
    assert over(at, 99.0) == {}
    assert over(at, 101.0) == {GRID: at.now_s}


def test_a_meter_that_shows_nothing_is_over_nothing() -> None:
    at = world()
    assert over(at, 120.0) != {}
    at.wait(60.0)
    at.step()
    assert at.state.over_s == {}


HELD_A = 32.0
READ_A = (30.0, 20.0)
METER_A = (70.0, 55.0, 5.0)
BETWEEN_A = (METER_A[0] - HELD_A, METER_A[1] - HELD_A, METER_A[2])
"""What S4 leaves of base load while neither EVSE has a reading after the meter's moment."""
PROVED_A = (METER_A[0] - READ_A[0], METER_A[1] - READ_A[1], METER_A[2])


def counted(node: Node, rules: Rules | None = None) -> World:
    """Two EVSEs may draw 32 A each, and were read with less just before the meter's moment."""
    nodes = [node]
    if node.parent is not None:
        nodes.insert(0, Node(id=GRID, parent=None, base_max_a=(60.0,) * 3))
    wired = {"node": node.id, "phases": (1,)}, {"node": node.id, "phases": (2,)}
    place = site(evses=[evse(1, **wired[0]), evse(2, **wired[1])], nodes=nodes)
    at = World(
        replace(place, meters=(replace(place.meters[0], node=node.id),)), rules=rules or Rules()
    )
    for name in ("e1", "e2"):
        at.sends(name, HELD_A)
        at.confirms(name)
    for _ in range(18):
        at.wait(1.0)
        for name in ("e1", "e2"):
            at.reads(name, HELD_A)
        at.meter(HELD_A, HELD_A, voltage_v=VOLTS)
        at.step()
    at.wait(1.0)
    for name, read_a in zip(("e1", "e2"), READ_A, strict=True):
        at.reads(name, read_a)
    at.wait(0.5)
    at.meter(*METER_A, voltage_v=VOLTS)
    return at


def panel(**changes: object) -> Node:
    made = Node(id=GRID, parent=None, base_max_a=(60.0,) * 3)
    return replace(made, **changes)  # type: ignore[arg-type]


def va(base_a: tuple[float, ...]) -> float:
    return sum(VOLTS[0] * a for a in base_a)


def test_only_a_phase_that_is_over_counts_what_it_proves() -> None:
    at = counted(panel(limit_a=(60.0,) * 3))
    base_a = (PROVED_A[0], *BETWEEN_A[1:])
    assert proved_base(at.situation(), 0) == pytest.approx((*base_a, va(base_a)))


def test_a_sum_that_is_over_counts_what_it_proves_and_no_phase_does() -> None:
    at = counted(panel(limit_va=20000.0))
    assert proved_base(at.situation(), 0) == pytest.approx((*BETWEEN_A, va(PROVED_A)))


def test_what_is_over_nothing_proves_nothing() -> None:
    at = counted(panel(limit_a=(80.0,) * 3, limit_va=40000.0))
    assert proved_base(at.situation(), 0) == pytest.approx((*BETWEEN_A, va(BETWEEN_A)))


def test_without_s15_nothing_is_proved() -> None:
    at = counted(panel(limit_a=(60.0,) * 3), Rules(s15_over_ceiling=False))
    assert proved_base(at.situation(), 0) == pytest.approx((*BETWEEN_A, va(BETWEEN_A)))


SECONDARY = NodeId("t1")
TURNS = 2.0
LINES = tuple(rect(1.0, radians(angle)) for angle in (0.0, -120.0, 120.0))


def primary(base_a: tuple[float, ...]) -> tuple[float, ...]:
    """Every line of the primary side carries the difference of two windings, over the turns."""
    flows = [a * line for a, line in zip(base_a, LINES, strict=True)]
    return tuple(abs(flows[p] - flows[(p + 2) % 3]) / TURNS for p in range(3))


@pytest.mark.parametrize(
    ("limit_a", "base_a"),
    [
        # 70 A and 5 A at 120 degrees to each other make 72.7 A: 36.3 A on the first line.
        ((36.2, None, None), PROVED_A),
        ((36.5, None, None), BETWEEN_A),
        # 55 A and 70 A make 108.5 A: 54.2 A on the second one; 5 A and 55 A 28.8 A on the third.
        ((None, 54.0, None), PROVED_A),
        ((None, 54.5, None), BETWEEN_A),
        ((None, None, 28.7), PROVED_A),
        ((None, None, 29.0), BETWEEN_A),
    ],
)
def test_a_primary_line_that_is_over_has_all_phases_count_what_they_prove(
    limit_a: tuple[float | None, ...], base_a: tuple[float, ...]
) -> None:
    transformer = Transformer(turns_ratio=TURNS)
    at = counted(panel(id=SECONDARY, parent=GRID, transformer=transformer, primary_limit_a=limit_a))
    expected = (*base_a, va(base_a), *primary(base_a))
    assert proved_base(at.situation(), 1) == pytest.approx(expected)
    at.step()
    assert at.state.over_s == ({SECONDARY: at.now_s} if base_a == PROVED_A else {})


DIRECT_A = 140.0 - 10.0 - HELD_A
"""What the meter proves while the one without readings is believed to draw all that it may."""


def unseen(base_max_a: float, *, settle_s: float = 8.0, pause_settle_s: float = 12.0) -> World:
    """e2 has no readings and may draw 32 A on phases 2 and 3; the meter is within its ceiling."""
    traits = replace(TRAITS, metered=False, settle_s=settle_s, pause_settle_s=pause_settle_s)
    at = World(
        site(
            evses=[evse(1, phases=(1, 2)), evse(2, phases=(2, 3), traits=traits)],
            nodes=[panel(limit_a=(200.0, 100.0, 200.0), base_max_a=(base_max_a,) * 3)],
        )
    )
    for name in ("e1", "e2"):
        at.sends(name, HELD_A)
        at.confirms(name)
    for _ in range(30):
        at.wait(1.0)
        at.reads("e1", 10.0)
        at.answers("e2")
        at.meter(10.0, 50.0, 32.0, voltage_v=VOLTS)
        at.step()
    assert at.state.over_s == {}
    return at


def goes_on(at: World, seconds: int, *, silent: bool = False) -> tuple[float, ...]:
    """The base load of the rows once the meter has shown 140 A on phase 2 for so long."""
    base: tuple[float, ...] = ()
    for _ in range(seconds + 1):
        at.wait(1.0)
        at.reads("e1", 10.0)
        if not silent:
            at.answers("e2")
        at.meter(10.0, 140.0, 32.0, voltage_v=VOLTS)
        base = proved_base(at.situation(), 0)
        at.step()
    return base


@pytest.mark.parametrize(("settle_s", "pause_settle_s"), [(8.0, 12.0), (12.0, 8.0)])
def test_who_has_no_readings_is_believed_until_it_must_have_followed(
    settle_s: float, pause_settle_s: float
) -> None:
    """One poll of 1 s, 1 s to write, and the longer of its two times to follow."""
    at = unseen(200.0, settle_s=settle_s, pause_settle_s=pause_settle_s)
    assert goes_on(at, 13) == pytest.approx((0.0, DIRECT_A, 32.0, va((0.0, DIRECT_A, 32.0))))
    base_a = (0.0, DIRECT_A + HELD_A, 32.0)
    assert goes_on(at, 0) == pytest.approx((*base_a, va(base_a)))


@pytest.mark.parametrize(
    ("base_max_a", "counts_a"), [(50.0, DIRECT_A), (110.0, 110.0), (200.0, DIRECT_A + HELD_A)]
)
def test_what_nobody_follows_is_base_load_as_far_as_the_worst_case_goes(
    base_max_a: float, counts_a: float
) -> None:
    assert goes_on(unseen(base_max_a), 30)[1] == pytest.approx(counts_a)


def test_the_silent_are_a_fixed_load_and_no_base_load_besides() -> None:
    assert goes_on(unseen(200.0), 30, silent=True)[1] == pytest.approx(DIRECT_A)
