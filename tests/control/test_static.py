"""S20 and S22 by hand: small sites whose sums can be done in the head."""

from dataclasses import replace
from math import sqrt

import pytest

from edgectl.control.reaction import LinkTiming, physics_s, reaction
from edgectl.control.static import StaticProof, prove
from edgectl.control.tree import base_worst_a, evses_below
from edgectl.model.site import (
    ChargerTraits,
    Connection,
    Evse,
    KeepAlive,
    Link,
    LinkKind,
    Meter,
    Mode,
    Node,
    Sees,
    Site,
    Transformer,
)
from edgectl.units import EvseId, LinkId, MeterId, NodeId

GRID, PANEL, SUB = NodeId("grid"), NodeId("panel"), NodeId("sub")
LAN = LinkId("lan")
WATCHED = ChargerTraits(
    hardware_max_a=32.0,
    keepalive=KeepAlive.REWRITE,
    watchdog_s=60.0,
    failsafe_a=6.0,
    boot_a=10.0,
    settle_s=10.0,
    pause_settle_s=6.0,
    poll_s=2.0,
)
BARE = replace(WATCHED, keepalive=KeepAlive.NONE, watchdog_s=None, failsafe_a=0.0, boot_a=0.0)
TIMING = {LAN: LinkTiming(write_s=0.1, timeout_s=1.0)}


def evse(
    name: str,
    *,
    node: NodeId = GRID,
    phases: tuple[int, ...] = (1, 2, 3),
    traits: ChargerTraits = WATCHED,
    link: LinkId = LAN,
    unit: int = 1,
) -> Evse:
    return Evse(
        id=EvseId(name),
        node=node,
        profile="any",
        link=link,
        unit=unit,
        connector=1,
        phases=phases,
        max_a=16.0,
        traits=traits,
    )


def site(*evses: Evse, nodes: tuple[Node, ...], meters: tuple[Meter, ...] = ()) -> Site:
    links = sorted({one.link for one in evses} | {LAN})
    return Site(
        id="s",
        region="r",
        timezone="UTC",
        voltage_v=200.0,
        mode=Mode.CONTROL,
        nodes=nodes,
        meters=meters,
        evses=evses,
        links=tuple(Link(id=link, kind=LinkKind.TCP, host=link, port=502) for link in links),
    )


def meter(node: NodeId, *, poll_s: float) -> Meter:
    return Meter(id=MeterId(f"m-{node}"), node=node, profile="any", link=LAN, unit=9, poll_s=poll_s)


def grid(limit_a: float, *, base_a: float = 0.0, trip_s: float | None = None) -> Node:
    return Node(
        id=GRID,
        parent=None,
        limit_a=(limit_a, limit_a, limit_a),
        base_max_a=(base_a, base_a, base_a),
        trip_s=trip_s,
    )


def names(proof: StaticProof) -> list[str]:
    return [risk.name for risk in proof.risks]


def test_s22_sums_are_failsafe_and_boot_currents() -> None:
    proof = prove(site(evse("a"), evse("b"), nodes=(grid(50.0, base_a=30.0),)), link_timing=TIMING)
    figures = proof.nodes[GRID]
    assert figures.failsafe_a == (12.0, 12.0, 12.0)
    assert figures.return_a == (20.0, 20.0, 20.0)
    assert figures.base_max_a == (30.0, 30.0, 30.0)
    assert figures.short_a == (0.0, 0.0, 0.0)
    assert proof.risks == ()


def test_s22_gateways_dead_is_short_by_what_does_not_fit() -> None:
    traits = replace(WATCHED, failsafe_a=8.0, boot_a=0.0)
    two = (evse("a", traits=traits), evse("b", traits=traits, phases=(2,)))
    proof = prove(site(*two, nodes=(grid(40.0, base_a=30.0),)), link_timing=TIMING)
    assert proof.nodes[GRID].short_a == (0.0, 6.0, 0.0)
    assert names(proof) == ["gateways-dead/grid"]
    assert "L2 is short of 6.0 A" in proof.risks[0].text
    assert "L1" not in proof.risks[0].text


def test_s22_power_returns_is_short_by_what_does_not_fit() -> None:
    proof = prove(site(evse("a"), nodes=(grid(39.0, base_a=30.0),)), link_timing=TIMING)
    assert proof.nodes[GRID].short_a == (1.0, 1.0, 1.0)
    assert names(proof) == ["power-returns/grid"]


def test_s22_no_watchdog_counts_hardware_maximum_in_both() -> None:
    proof = prove(site(evse("a", traits=BARE), nodes=(grid(30.0),)), link_timing=TIMING)
    figures = proof.nodes[GRID]
    assert (figures.failsafe_a[0], figures.return_a[0]) == (32.0, 32.0)
    assert figures.unwatched == (EvseId("a"),)
    assert names(proof) == ["gateways-dead/grid", "power-returns/grid"]
    assert "a" in proof.risks[0].text.split("hardware maximum: ")[1]


@pytest.mark.parametrize(
    ("failsafe_a", "boot_a", "short_a"),
    [(6.0, 10.0, (5.0, 0.0, 15.0)), (10.0, 6.0, (5.0, 0.0, 15.0))],
)
def test_s22_each_phase_is_short_by_the_worse_of_both_sums(
    failsafe_a: float, boot_a: float, short_a: tuple[float, ...]
) -> None:
    traits = replace(WATCHED, failsafe_a=failsafe_a, boot_a=boot_a)
    wired: tuple[tuple[int, ...], ...] = ((1,), (1,), (2,), (3,), (3,), (3,))
    evses = [evse(str(n), phases=phases, traits=traits) for n, phases in enumerate(wired)]
    proof = prove(site(*evses, nodes=(grid(15.0),)), link_timing=TIMING)
    assert proof.nodes[GRID].short_a == short_a


@pytest.mark.parametrize(
    ("count", "said"), [(5, "a0, a1, a2, a3, a4"), (7, "a0, a1, a2, a3, a4 and 2 more")]
)
def test_s22_up_to_five_without_watchdog_are_named(count: int, said: str) -> None:
    evses = [evse(f"a{n}", traits=BARE, unit=n + 1) for n in range(count)]
    proof = prove(site(*evses, nodes=(grid(30.0),)), link_timing=TIMING)
    assert proof.risks[0].text.endswith(f"hardware maximum: {said}")


def test_s22_sums_go_up_the_tree_with_worst_base_of_all_below() -> None:
    nodes = (
        grid(100.0, base_a=10.0),
        Node(id=PANEL, parent=GRID, limit_a=(50.0, None, None), base_max_a=(5.0, 6.0, 7.0)),
        Node(id=SUB, parent=PANEL, base_max_a=(1.0, 1.0, 1.0)),
    )
    all_of_it = site(
        evse("a", node=SUB, phases=(2, 1)), evse("b", node=PANEL), evse("c"), nodes=nodes
    )
    proof = prove(all_of_it, link_timing=TIMING)
    assert base_worst_a(all_of_it, GRID) == (16.0, 17.0, 18.0)
    assert base_worst_a(all_of_it, PANEL) == (6.0, 7.0, 8.0)
    assert proof.nodes[SUB].failsafe_a == (6.0, 6.0, 0.0)
    assert proof.nodes[PANEL].failsafe_a == (12.0, 12.0, 6.0)
    assert proof.nodes[GRID].failsafe_a == (18.0, 18.0, 12.0)
    assert [one.id for one in evses_below(all_of_it, PANEL)] == ["a", "b"]


def test_s22_va_row_counts_nominal_voltage_times_1_1() -> None:
    node = Node(id=GRID, parent=None, limit_va=9000.0, base_max_a=(5.0, 5.0, 5.0))
    proof = prove(site(evse("a"), nodes=(node,)), link_timing=TIMING)
    figures = proof.nodes[GRID]
    # 200 V x 1.10 = 220 V: base 15 A, EVSE 30 A over the phases
    assert figures.base_max_va == pytest.approx(3300.0)
    assert figures.failsafe_va == pytest.approx(18.0 * 220.0)
    assert figures.return_va == pytest.approx(6600.0)
    assert figures.short_va == pytest.approx(900.0)
    assert names(proof) == ["power-returns/grid"]
    assert "0.9 kVA = 1.4 A on each phase" in proof.risks[0].text


def test_s22_phase_without_limit_is_never_short() -> None:
    node = Node(id=GRID, parent=None, limit_a=(5.0, None, None))
    proof = prove(site(evse("a"), nodes=(node,)), link_timing=TIMING)
    assert proof.nodes[GRID].short_a == (5.0, 0.0, 0.0)


def test_s22_limit_of_zero_is_a_limit() -> None:
    proof = prove(site(evse("a"), nodes=(grid(0.0),)), link_timing=TIMING)
    assert proof.nodes[GRID].short_a == (10.0, 10.0, 10.0)


def test_s22_unbalance_counts_who_is_on_one_phase_and_not_the_other() -> None:
    traits = replace(WATCHED, failsafe_a=6.0, boot_a=0.0)
    wired: tuple[tuple[int, ...], ...] = ((1,), (1,), (1, 2), (1, 2, 3))
    evses = [evse(str(n), phases=phases, traits=traits) for n, phases in enumerate(wired)]
    node = replace(grid(100.0, base_a=3.0), unbalance_a=21.0)
    assert prove(site(*evses, nodes=(node,)), link_timing=TIMING).risks == ()
    proof = prove(site(*evses, nodes=(replace(node, unbalance_a=20.0),)), link_timing=TIMING)
    assert names(proof) == ["gateways-dead/grid"]
    assert "L1 may be 21.0 A above another phase (unbalance_a 20 A)" in proof.risks[0].text
    assert "L2" not in proof.risks[0].text


def test_s22_unbalance_counts_the_base_load_of_each_phase() -> None:
    node = replace(grid(100.0), base_max_a=(1.0, 5.0, 9.0), unbalance_a=4.9)
    (risk,) = prove(
        site(evse("a", traits=replace(WATCHED, boot_a=0.0)), nodes=(node,)), link_timing=TIMING
    ).risks[:1]
    assert "L1 may" not in risk.text
    assert "L2 may be 5.0 A above another phase" in risk.text
    assert "L3 may be 9.0 A above another phase" in risk.text


def test_s22_risk_is_open_until_accepted_by_name() -> None:
    proof = prove(site(evse("a", traits=BARE), nodes=(grid(30.0),)), link_timing=TIMING)
    left = proof.open_risks(frozenset({"gateways-dead/grid", "no-such/risk"}))
    assert [risk.name for risk in left] == ["power-returns/grid"]
    assert proof.open_risks(frozenset(names(proof))) == ()


def test_s20_metered_node() -> None:
    one = site(evse("a"), nodes=(grid(50.0),), meters=(meter(GRID, poll_s=0.5),))
    # poll 0.5 + 0.15 + (1 write 0.1 + timeout 1 + settle 10)
    assert physics_s(one, GRID, link_timing=TIMING) == pytest.approx(11.75)
    assert physics_s(one, GRID, link_timing=TIMING, poll_s=15.0) == pytest.approx(26.25)


def test_s20_node_without_meter_waits_for_the_slowest_poll_of_its_evses() -> None:
    two = site(
        evse("a"), evse("b", traits=replace(WATCHED, poll_s=3.0), unit=2), nodes=(grid(50.0),)
    )
    # poll 3 + 0.15 + (2 writes 0.2 + timeout 1 + settle 10)
    assert physics_s(two, GRID, link_timing=TIMING) == pytest.approx(14.35)


def test_s20_every_evse_of_the_link_is_written_first_also_those_elsewhere() -> None:
    nodes = (grid(50.0), Node(id=PANEL, parent=GRID))
    both = site(
        evse("a", node=PANEL),
        *(evse(f"b{n}", unit=n) for n in range(2, 6)),
        nodes=nodes,
        meters=(meter(PANEL, poll_s=1.0),),
    )
    assert physics_s(both, PANEL, link_timing=TIMING) == pytest.approx(1 + 0.15 + 0.5 + 1 + 10)


def test_s20_minimum_write_interval_holds_once_for_each_evse_of_a_unit() -> None:
    slow = replace(WATCHED, min_write_interval_s=5.0)
    side_by_side = site(
        evse("a", traits=slow, unit=1),
        evse("b", traits=slow, unit=2),
        nodes=(grid(50.0),),
        meters=(meter(GRID, poll_s=1.0),),
    )
    assert physics_s(side_by_side, GRID, link_timing=TIMING) == pytest.approx(17.35)
    mixed = replace(
        side_by_side,
        evses=(
            side_by_side.evses[0],
            replace(side_by_side.evses[1], traits=replace(WATCHED, min_write_interval_s=2.0)),
        ),
    )
    assert physics_s(mixed, GRID, link_timing=TIMING) == pytest.approx(17.35), "the slowest one"
    one_unit = replace(
        side_by_side, evses=tuple(replace(one, unit=1) for one in side_by_side.evses)
    )
    assert physics_s(one_unit, GRID, link_timing=TIMING) == pytest.approx(22.35)


def test_s20_greatest_over_the_evses_not_the_sum_of_greatest() -> None:
    fast = LinkId("fast")
    timing = {LAN: LinkTiming(write_s=2.0, timeout_s=3.0), fast: LinkTiming(0.1, 0.5)}
    quick_link = evse("a", link=fast, traits=replace(WATCHED, settle_s=11.0))
    quick_car = evse("b", traits=replace(WATCHED, settle_s=3.0, pause_settle_s=2.0))
    two = site(quick_link, quick_car, nodes=(grid(50.0),), meters=(meter(GRID, poll_s=1.0),))
    # behind the quick link 0.1 + 0.5 + 11 = 11.6 s, behind the slow one 2 + 3 + 3 = 8 s
    assert physics_s(two, GRID, link_timing=timing) == pytest.approx(12.75)


def test_s20_a_link_without_evses_has_nothing_to_write() -> None:
    quiet = LinkId("quiet")
    one = site(evse("a"), nodes=(grid(50.0),))
    two = replace(one, links=(*one.links, Link(id=quiet, kind=LinkKind.TCP, host="h", port=502)))
    proof = prove(two, link_timing=TIMING)
    assert (proof.links[quiet].write_all_s, proof.links[LAN].write_all_s) == (0.0, 0.1)


def test_s20_pause_counts_where_it_is_slower() -> None:
    one = site(
        evse("a", traits=replace(WATCHED, settle_s=3.0, pause_settle_s=6.0)),
        nodes=(grid(50.0),),
        meters=(meter(GRID, poll_s=1.0),),
    )
    assert physics_s(one, GRID, link_timing=TIMING) == pytest.approx(8.25)


@pytest.mark.parametrize(
    ("sees", "twice"),
    [(Sees.ALL, True), (Sees.BASE_ONLY, False), (Sees.PART, False), (None, False)],
)
def test_s20_evses_without_readings_need_it_twice_below_a_meter_that_sees_them(
    sees: Sees | None, *, twice: bool
) -> None:
    """They may draw less than told, which shows when the first cut has changed nothing."""
    meters = () if sees is None else (replace(meter(GRID, poll_s=2.0), sees=sees),)
    mixed = site(
        evse("a"),
        evse("b", unit=2, traits=replace(WATCHED, metered=False)),
        nodes=(grid(50.0), Node(id=PANEL, parent=GRID)),
        meters=meters,
    )
    once_s = 2.0 + 0.15 + 0.2 + 1.0 + 10.0
    assert physics_s(mixed, GRID, link_timing=TIMING) == pytest.approx(once_s * (1 + twice))
    # A lost meter is waited for once; the second reaction has its ordinary poll.
    lost_s = physics_s(mixed, GRID, link_timing=TIMING, poll_s=15.0)
    assert lost_s == pytest.approx(15.0 - 2.0 + once_s * (1 + twice))


def test_s20_node_without_evses_has_none() -> None:
    nodes = (grid(50.0), Node(id=PANEL, parent=GRID, trip_s=0.1))
    proof = prove(
        site(evse("a"), nodes=nodes, meters=(meter(PANEL, poll_s=1.0),)), link_timing=TIMING
    )
    assert proof.nodes[PANEL].physics_s is None
    assert proof.risks == ()


@pytest.mark.parametrize(("trip_s", "risky"), [(13.0, True), (13.3, False), (None, False)])
def test_s20_is_held_against_the_breaker(trip_s: float | None, *, risky: bool) -> None:
    one = site(evse("a"), nodes=(grid(50.0, trip_s=trip_s),))
    proof = prove(one, link_timing=TIMING)
    assert proof.nodes[GRID].physics_s == pytest.approx(13.25)
    assert names(proof) == (["slower-than-trip/grid"] if risky else [])


def pair(name: str, *phases: int) -> Evse:
    return replace(evse(name, node=PANEL, phases=phases), connection=Connection.LINE_TO_LINE)


def behind_a_transformer(limit_a: float, primary_a: float) -> Site:
    """Three legs of 6 A (boot current 10 A) beside 5 A of base load on each line; ratio 4."""
    panel = Node(
        id=PANEL,
        parent=GRID,
        limit_a=(limit_a,) * 3,
        base_max_a=(5.0,) * 3,
        transformer=Transformer(4.0),
        primary_limit_a=(primary_a,) * 3,
    )
    legs = (pair("ab", 1, 2), pair("bc", 2, 3), pair("ca", 3, 1))
    return site(*legs, nodes=(grid(100.0), panel))


def test_s22_sums_are_phasors_between_lines_and_behind_a_transformer() -> None:
    proof = prove(behind_a_transformer(50.0, 50.0), link_timing=TIMING)
    panel, root_3 = proof.nodes[PANEL], sqrt(3.0)
    assert panel.failsafe_a == pytest.approx((6.0 * root_3,) * 3)
    assert panel.return_a == pytest.approx((10.0 * root_3,) * 3)
    assert panel.primary is not None
    assert panel.primary.base_max_a == pytest.approx((5.0 * root_3 / 4.0,) * 3)
    assert panel.primary.failsafe_a == pytest.approx((3 * 6.0 / 4.0,) * 3)
    assert panel.primary.return_a == pytest.approx((3 * 10.0 / 4.0,) * 3)
    # The grid node counts amperes of the primary side.
    assert proof.nodes[GRID].return_a == pytest.approx(panel.primary.return_a)
    assert proof.nodes[GRID].base_max_a == pytest.approx(panel.primary.base_max_a)
    assert proof.risks == ()


def test_s22_what_is_short_between_lines_and_behind_a_transformer_is_said() -> None:
    proof = prove(behind_a_transformer(16.0, 9.5), link_timing=TIMING)
    panel = proof.nodes[PANEL]
    assert panel.primary is not None
    assert panel.short_a == pytest.approx((5.0 + 10.0 * sqrt(3.0) - 16.0,) * 3)
    assert panel.primary.short_a == pytest.approx((7.5 + 5.0 * sqrt(3.0) / 4.0 - 9.5,) * 3)
    assert names(proof) == ["power-returns/panel"]
    assert "L3 is short of 6.3 A (base 5 A + EVSEs 17.321 A, " in proof.risks[0].text
    assert "primary L1 is short of 0.2 A (base 2.165 A + EVSEs 7.5 A" in proof.risks[0].text


def test_s22_one_leg_alone_is_no_sum_of_amounts() -> None:
    """10 A on AB beside 5 A in phase with line 1: 30 degrees are between them."""
    panel = Node(id=PANEL, parent=GRID, limit_a=(14.0,) * 3, base_max_a=(5.0,) * 3)
    proof = prove(site(pair("ab", 1, 2), nodes=(grid(100.0), panel)), link_timing=TIMING)
    together_a = sqrt(5.0**2 + 10.0**2 + 2 * 5.0 * 10.0 * sqrt(0.75))
    assert proof.nodes[PANEL].short_a == pytest.approx((together_a - 14.0, together_a - 14.0, 0.0))
    assert "as phasors 14.547 A, limit 14 A" in proof.risks[0].text


@pytest.mark.parametrize(
    ("of_panel", "at_panel_s"),
    [
        ((), 2.0),
        (((5.0, Sees.ALL),), 5.0),
        (((5.0, Sees.BASE_ONLY),), 5.0),
        (((7.0, Sees.PART),), 2.0),
        (((0.5, Sees.ALL), (7.0, Sees.PART)), 0.5),
        (((0.5, Sees.ALL), (4.0, Sees.ALL)), 4.0),
    ],
)
def test_s20_the_slowest_meter_of_the_node_itself_that_shows_its_load_counts(
    of_panel: tuple[tuple[float, Sees], ...], at_panel_s: float
) -> None:
    """The EVSE is polled every 2 s, and the connection above has a meter of 3 s."""
    nodes = (grid(50.0), Node(id=PANEL, parent=GRID, limit_a=(40.0,) * 3))
    meters = tuple(
        replace(meter(PANEL, poll_s=poll_s), id=MeterId(f"m{k}"), sees=sees)
        for k, (poll_s, sees) in enumerate(of_panel)
    )
    place = site(evse("a", node=PANEL), nodes=nodes, meters=(meter(GRID, poll_s=3.0), *meters))
    found = {node: reaction(place, node, link_timing=TIMING) for node in (GRID, PANEL)}
    assert {node: one and one.poll_s for node, one in found.items()} == {
        GRID: 3.0,
        PANEL: at_panel_s,
    }
