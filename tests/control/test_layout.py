"""The site as indices, on a tree small enough to write every column down."""

from dataclasses import replace

import pytest

from edgectl.control.judge import NodeJudgement
from edgectl.control.layout import VA_ROW, Layout, layout_of
from edgectl.control.rows import Room, Tight, room_of, sum_evses
from edgectl.model.reading import Quality
from edgectl.model.site import Meter, Node, Sees
from edgectl.units import LinkId, MeterId, NodeId
from tests.control.world import GRID, TRAITS, evse, site

HALL, BAY = NodeId("hall"), NodeId("bay")
VOLTS = {GRID: (200.0, 210.0, 220.0), HALL: (100.0, 110.0, 120.0), BAY: (100.0,) * 3}


def meter(name: str, node: NodeId, sees: Sees) -> Meter:
    return Meter(
        id=MeterId(name),
        node=node,
        profile="test",
        link=LinkId("lan"),
        unit=9,
        poll_s=1.0,
        sees=sees,
    )


def three_floors() -> Layout:
    """The connection; a hall without limits; a bay with one in VA. Four EVSEs, two in the bay."""
    nodes = [
        Node(id=GRID, parent=None, limit_a=(100.0, None, 90.0), base_max_a=(1.0, 2.0, 3.0)),
        Node(id=HALL, parent=GRID, base_max_a=(10.0, 20.0, 30.0)),
        Node(id=BAY, parent=HALL, limit_va=9000.0, base_max_a=(100.0, 200.0, 300.0)),
    ]
    meters = [
        meter("m1", GRID, Sees.ALL),
        meter("m2", HALL, Sees.ALL),
        meter("m3", BAY, Sees.BASE_ONLY),
        meter("p1", HALL, Sees.PART),
        meter("p2", HALL, Sees.PART),
    ]
    listed = replace(TRAITS, allowed_a=(0.0, 8.0, 16.0), boot_a=6.0)
    evses = [
        evse(1, phases=(3, 1)),
        evse(2, node=HALL, phases=(2,), traits=replace(TRAITS, boot_a=6.5)),
        evse(3, node=BAY, phases=(1, 2, 3), traits=listed),
        evse(4, node=BAY, phases=(1,), max_a=20.0, traits=replace(TRAITS, boot_a=2.0)),
    ]
    return layout_of(site(evses=evses, nodes=nodes, meters=meters))


def test_every_column_of_a_tree_of_three_floors() -> None:
    made = three_floors()
    assert made.parent == (-1, 0, 1)
    assert made.children == ((1,), (2,), ())
    assert made.up == ((0,), (1, 0), (2, 1, 0))
    assert made.own_node == (0, 1, 2, 2)
    assert made.path == ((0,), (1, 0), (2, 1, 0), (2, 1, 0))
    assert made.below == ((0, 1, 2, 3), (1, 2, 3), (2, 3))
    assert made.phases == ((0, 2), (1,), (0, 1, 2), (0,))
    assert made.wired == ((1.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 1.0, 1.0), (1.0, 0.0, 0.0))
    assert made.base_worst_a == (
        (111.0, 222.0, 333.0),
        (110.0, 220.0, 330.0),
        (100.0, 200.0, 300.0),
    )
    assert [one and one.id for one in made.meter] == ["m1", "m2", "m3"]
    assert [[one.id for one in parts] for parts in made.part_meters] == [[], ["p1", "p2"], []]
    assert made.least_a == (6.0, 6.0, 8.0, 6.0)
    assert made.boots_high == (True, True, False, False)
    assert [one.max_a for one in made.evse_limits] == [32.0, 32.0, 32.0, 20.0]
    assert made.curves is None


def test_who_is_shown_to_every_limited_node_is_shown_at_the_first_of_them_or_below() -> None:
    """The bay has a limit, and its meter shows no EVSE; the hall has none to be held."""
    shown = [{str(name) for name in names} for names in three_floors().seen_by]
    assert shown == [{"m1"}, {"m1", "m2"}, set(), set()]


def test_the_layouts_of_a_site_are_made_once() -> None:
    wired, fewer = ((0, 2), (1,), (0, 1, 2), (0,)), ((0, 2), (1,), (0,), (0,))
    first = three_floors()
    assert layout_of(first.site, wired) is layout_of(first.site) is first
    less = layout_of(first.site, fewer)
    assert (less.phases, less.wired[2]) == (fewer, (1.0, 0.0, 0.0))
    assert layout_of(first.site, fewer) is less
    assert layout_of(first.site, ((0,), (1,), (0,), (0,))).phases[0] == (0,)
    assert layout_of(first.site) is first


def test_phases_that_nobody_loads_are_known() -> None:
    nodes = [Node(id=GRID, parent=None), Node(id=HALL, parent=GRID), Node(id=BAY, parent=HALL)]
    evses = [evse(1, phases=(3,)), evse(2, node=HALL, phases=(2,))]
    made = layout_of(site(evses=evses, nodes=nodes, meters=[]))
    assert made.loaded == ((False, True, True), (False, True, False), (False,) * 3)


def judged(node: NodeId) -> NodeJudgement:
    return NodeJudgement(
        base_a=(0.0,) * 3,
        guard_a=(0.0,) * 3,
        direct_a=(None,) * 3,
        meter_a=(None,) * 3,
        voltage_v=VOLTS[node],
        quality=Quality.GOOD,
    )


NODES = (judged(GRID), judged(HALL), judged(BAY))
DRAWN_A = (1.0, 2.0, 4.0, 8.0)


def test_what_evses_draw_goes_up_and_counts_at_the_voltages_of_each_node() -> None:
    made = three_floors()
    assert sum_evses(made, NODES, DRAWN_A) == [
        [13.0, 6.0, 5.0, 13.0 * 200.0 + 6.0 * 210.0 + 5.0 * 220.0],
        [12.0, 6.0, 4.0, 12.0 * 100.0 + 6.0 * 110.0 + 4.0 * 120.0],
        [12.0, 4.0, 4.0, 2000.0],
    ]
    shown = sum_evses(made, NODES, DRAWN_A, shown=(False, False, True))
    assert shown == [[1.0, 2.0, 1.0, 840.0], [0.0, 2.0, 0.0, 220.0], [0.0] * 4]


def room(*, grid_va: float | None = None) -> Room:
    made = three_floors()
    return room_of(
        made,
        NODES,
        [(100.0, None, 90.0, grid_va), (None,) * 4, (None, None, None, 9000.0)],
        [(20.0, 20.0, 50.0, 18_000.0), (0.0,) * 4, (10.0, 10.0, 10.0, 3000.0)],
        sum_evses(made, NODES, DRAWN_A),
    )


@pytest.mark.parametrize(
    ("grid_va", "tightest"),
    [
        # Of the grid 67 A are left on L1 and 35 A on L3; of the bay 4 kVA.
        (None, [(0, 2, 35.0), None, (2, VA_ROW, 4000.0 / 300.0), (2, VA_ROW, 40.0)]),
        # And of the sum 42 kVA less 18 kVA of base and 4.96 kVA of EVSEs, at 420, 210, 630, 200 V.
        (
            42_000.0,
            [
                (0, 2, 35.0),
                (0, VA_ROW, 19_040.0 / 210.0),
                (2, VA_ROW, 4000.0 / 300.0),
                (2, 3, 40.0),
            ],
        ),
        (
            22_960.0 + 2100.0,
            [(0, 3, 5.0), (0, 3, 10.0), (0, 3, 2100.0 / 630.0), (0, 3, 10.5)],
        ),
    ],
)
def test_the_tightest_row_is_the_one_with_the_least_room_for_that_evse(
    grid_va: float | None, tightest: list[tuple[int, int, float] | None]
) -> None:
    left = room(grid_va=grid_va)
    for i, expected in enumerate(tightest):
        found = left.tightest(i)
        if expected is None:
            assert found is None, "it loads no row that has a ceiling"
        else:
            assert isinstance(found, Tight)
            assert (found.node, found.row) == expected[:2]
            assert found.room_a == pytest.approx(expected[2])


def test_what_is_taken_is_gone_for_everybody_above() -> None:
    left = room(grid_va=42_000.0)
    first = [left.tightest(i) for i in range(4)]
    assert all(first)
    left.take(2, 10.0)
    found = [left.tightest(i) for i in range(4)]
    # 3 kVA of the bay's 4, and 6.3 kVA of the grid's 19.04, are taken; 10 A of each phase.
    assert [one and round(one.room_a, 9) for one in found] == [
        25.0,
        round(12_740.0 / 210.0, 9),
        round(1000.0 / 300.0, 9),
        10.0,
    ]
