"""What a decision says beside its setpoints: rows of a transformer, reasons, places, wakes."""

from dataclasses import replace
from math import sqrt

import pytest

from edgectl.model.ceiling import Holder, Rank, TimedCeiling
from edgectl.model.decision import Alarm, AlarmCode, Decision, ReasonCode
from edgectl.model.policy import Policy, Sharing
from edgectl.model.reading import VehicleState
from edgectl.model.site import Connection, Meter, Node, Sees, Transformer
from edgectl.units import EvseId, LinkId, MeterId, NodeId, OptionalTriple
from tests.control.world import GRID, M_GRID, UTC0_S, World, evse, setpoints, site

SHOP = NodeId("shop")
M_SHOP = MeterId("m-shop")
E1 = EvseId("e1")
VOLTS = 230.0


def shop(**changes: object) -> World:
    """e1 hangs on L1 behind a transformer of ratio 2, whose first primary line bears 12 A.

    What L1 carries leaves the primary side on its lines 1 and 2, halved.
    """
    behind = Node(
        id=SHOP,
        parent=GRID,
        limit_a=(40.0, None, 50.0),
        primary_limit_a=(12.0, 30.0, None),
        transformer=Transformer(turns_ratio=2.0),
    )
    meter = Meter(
        id=M_SHOP, node=SHOP, profile="test", link=LinkId("lan"), unit=9, poll_s=1.0, refresh_s=0.0
    )
    nodes = [Node(id=GRID, parent=None, limit_a=(100.0,) * 3), replace(behind, **changes)]  # type: ignore[arg-type]
    return World(site(evses=[evse(1, node=SHOP)], nodes=nodes, meters=[meter]))


def shows(world: World, drawn_a: float, *current_a: float, ticks: int = 20) -> Decision:
    """e1 holds and draws so much, and the meter shows these currents."""
    world.sends("e1", drawn_a)
    world.confirms("e1")
    for _ in range(ticks):
        world.wait(1.0)
        world.reads("e1", drawn_a)
        world.meter(*current_a, meter=M_SHOP, voltage_v=(VOLTS,) * 3)
        decision = world.step()
    return decision


def alarms(decision: Decision, code: AlarmCode) -> list[Alarm]:
    return [one for one in decision.alarms if one.code is code]


def test_the_lines_that_feed_a_transformer_have_figures_of_their_own() -> None:
    decision = shows(shop(), 20.0, 20.0, 0.0, 0.0)
    said = decision.nodes[SHOP].primary
    assert said is not None
    assert said.ceiling_a == (12.0, 30.0, None)
    assert said.margin_a == pytest.approx((0.24, 0.6, 0.0)), "2 % of each"
    assert said.base_a == pytest.approx((0.0,) * 3, abs=1e-6)
    assert said.account_a == pytest.approx((10.0, 10.0, 0.0))
    told_a = 2.0 * (12.0 - 0.24)
    assert setpoints(decision) == pytest.approx({"e1": told_a})
    assert said.promise_a == pytest.approx((told_a / 2.0, told_a / 2.0, 0.0))
    assert said.deficit_a == pytest.approx((0.0,) * 3)
    assert [one.id for one in said.holder_a] == ["shop"] * 3
    reason = decision.evses[E1].reason
    assert (reason.code, reason.node, reason.row, reason.side, reason.limit) == (
        ReasonCode.PRIMARY_CEILING,
        SHOP,
        "1",
        "primary",
        12.0,
    )
    assert decision.nodes[GRID].account_a == pytest.approx((10.0, 10.0, 0.0))
    assert decision.nodes[GRID].primary is None


def test_base_load_on_all_lines_counts_root_3_times_over_the_turns_on_each_primary_line() -> None:
    decision = shows(shop(), 0.0, 30.0, 30.0, 30.0)
    said, base_a = decision.nodes[SHOP].primary, 30.0 * sqrt(3.0) / 2.0
    assert said is not None
    assert said.base_a == pytest.approx((base_a,) * 3)
    assert said.deficit_a == pytest.approx((base_a - 12.0, 0.0, 0.0))
    (deficit,) = alarms(decision, AlarmCode.BASE_OVER_CEILING)
    (over,) = alarms(decision, AlarmCode.OVER_CEILING)
    assert (deficit.id, over.id) == ("shop.primary.1", "shop.primary.1")
    where = {"ceiling_a": 12.0, "phase": 1, "side": "primary"}
    assert deficit.data == {**where, "deficit_a": pytest.approx(base_a - 12.0)}
    assert over.data == {**where, "measured_a": pytest.approx(base_a)}
    assert "shop primary L1" in over.text


@pytest.mark.parametrize(
    ("drawn_a", "limit_a", "primary_a", "wakes_a"),
    [
        # Lines 1 and 2 carry 10 A; two phases make each, so that 2 A of room are 2 A of each.
        (20.0, (40.0, None, 50.0), (12.0, 30.0, None), (22.0, 2.0, 2.0)),
        (20.0, (21.0, None, 1.0), (12.0, 30.0, None), (21.0, 2.0, 1.0)),
        (20.0, (40.0, None, None), (30.0, 11.0, None), (21.0, 1.0, 1.0)),
        (20.0, (40.0, None, None), (None, None, 7.0), (27.0, 7.0, 7.0)),
        (20.0, (40.0, None, 50.0), (None, None, None), (40.0, None, 50.0)),
        (28.0, (40.0, None, 50.0), (12.0, 30.0, None), (28.0, 0.0, 0.0)),
    ],
)
def test_no_phase_rises_past_its_wake_without_the_next_tick_coming_at_once(
    drawn_a: float,
    limit_a: OptionalTriple,
    primary_a: OptionalTriple,
    wakes_a: OptionalTriple,
) -> None:
    decision = shows(shop(limit_a=limit_a, primary_limit_a=primary_a), drawn_a, drawn_a, 0.0, 0.0)
    assert decision.wake_above_a[M_SHOP] == pytest.approx(wakes_a)


def test_without_a_fresh_value_the_account_says_what_a_primary_line_carries() -> None:
    """Nobody knows what flows: any value that is 2 A above nothing is looked at at once."""
    world = shop()
    shows(world, 20.0, 20.0, 0.0, 0.0)
    world.wait(1.0)
    for _ in range(20):
        world.wait(1.0)
        world.reads("e1", 20.0)
        decision = world.step()
    said = decision.nodes[SHOP].primary
    assert said is not None
    assert said.account_a == pytest.approx((10.0, 10.0, 0.0))
    assert decision.wake_above_a[M_SHOP] == pytest.approx((2.0, 2.0, 2.0))


@pytest.mark.parametrize(
    ("limit_a", "limit_kva", "wakes_a"),
    [
        # 20 A and 30 A leave 11.5 kVA of 23: 25 A on each of the two phases of the meter.
        ((None, None, None), 23.0, (45.0, 55.0, None)),
        ((40.0, None, 16.0), 23.0, (40.0, 55.0, 16.0)),
        ((40.0, 60.0, 16.0), 23.0, (40.0, 55.0, 16.0)),
        ((None, None, None), 9.2, (20.0, 30.0, None)),
        ((40.0, 60.0, 16.0), None, (40.0, 60.0, 16.0)),
    ],
)
def test_the_room_of_the_sum_is_that_of_the_phases_that_the_meter_sees(
    limit_a: OptionalTriple, limit_kva: float | None, wakes_a: OptionalTriple
) -> None:
    limit_va = None if limit_kva is None else limit_kva * 1000.0
    place = site(
        evses=[evse(1, phases=(1, 2))],
        nodes=[Node(id=GRID, parent=None, limit_a=limit_a, limit_va=limit_va)],
    )
    world = World(replace(place, meters=(replace(place.meters[0], phases=(1, 2)),)))
    world.sends("e1", 10.0)
    world.confirms("e1")
    for _ in range(20):
        world.wait(1.0)
        world.reads("e1", 10.0)
        world.meter(20.0, 30.0, 5.0, voltage_v=(VOLTS,) * 3)
        decision = world.step()
    assert decision.wake_above_a[M_GRID] == pytest.approx(wakes_a)


def test_a_meter_of_the_base_load_wakes_where_the_evses_leave_no_more_on_any_row() -> None:
    """e1 draws 10 A on L1 and L2: 4.6 kVA of 23; 20 A and 30 A of base load are 11.5."""
    place = site(
        evses=[evse(1, phases=(1, 2))],
        nodes=[Node(id=GRID, parent=None, limit_a=(50.0, 42.0, None), limit_va=23_000.0)],
    )
    world = World(replace(place, meters=(replace(place.meters[0], sees=Sees.BASE_ONLY),)))
    world.sends("e1", 10.0)
    world.confirms("e1")
    for _ in range(20):
        world.wait(1.0)
        world.reads("e1", 10.0)
        world.meter(20.0, 30.0, 0.0, voltage_v=(VOLTS,) * 3)
        decision = world.step()
    part_a = (23_000.0 - 4_600.0 - 11_500.0) / (3.0 * VOLTS)
    assert decision.wake_above_a[M_GRID] == pytest.approx((20.0 + part_a, 32.0, part_a))


@pytest.mark.parametrize(("ends_s", "says_s"), [(600.0, 600.0), (None, None)])
def test_a_pause_says_whose_it_is_and_until_when(
    ends_s: float | None, says_s: float | None
) -> None:
    world = World(site(evses=[evse(1)]))
    world.settle(0.0, {"e1": 10.0})
    holder = Holder(Rank.TECHNICIAN, "pause", "p1")
    world.ceilings = (
        TimedCeiling(
            holder=holder,
            reason="cable",
            from_utc_s=0.0,
            until_utc_s=None if ends_s is None else UTC0_S + world.now_s + ends_s,
            evse=E1,
            limit_a=(4.0, None, None),
        ),
    )
    reason = world.step().evses[E1].reason
    assert (reason.code, reason.holder, reason.limit) == (ReasonCode.PAUSED, holder, 4.0)
    assert reason.until_s == (None if says_s is None else world.now_s + says_s)


def test_each_tier_counts_its_own_places() -> None:
    """Room for one minimum: e1 has it; of tier 0 e2 and e3 wait, of tier 1 e4 and e5."""
    tiers = {1: 0, 2: 0, 3: 0, 4: 1, 5: 1}
    depot = site(
        evses=[evse(n, tier=tier) for n, tier in tiers.items()], limit_a=(10.0, None, None)
    )
    world = World(replace(depot, sharing=Sharing(policy=Policy.PRIORITY)))
    world.settle(0.0, {"e1": 6.0})
    for name in ("e4", "e2", "e5", "e3"):
        world.answers(name)
        world.live(5.0)
    decision = world.live(5.0)
    assert {str(name): one.place for name, one in decision.evses.items()} == {
        "e1": None,
        "e2": 1,
        "e3": 2,
        "e4": 1,
        "e5": 2,
    }
    world.vehicle("e2", VehicleState.ABSENT)
    decision = world.live(5.0)
    assert (decision.evses[EvseId("e2")].place, decision.evses[EvseId("e3")].place) == (None, 1)
    assert decision.evses[EvseId("e2")].reason.code is ReasonCode.NO_VEHICLE


@pytest.mark.parametrize(
    ("asked_a", "code", "holder"),
    [(None, ReasonCode.OWN_MAXIMUM, "limit"), (12.0, ReasonCode.EVSE_CEILING, "limit-e1")],
)
def test_who_has_all_that_it_may_have_is_told_whose_word_that_is(
    asked_a: float | None, code: ReasonCode, holder: str
) -> None:
    world = World(site(evses=[evse(1, max_a=16.0)]))
    if asked_a is not None:
        world.ceilings = (
            TimedCeiling(
                holder=Holder(Rank.OPERATOR, "limit-e1", "c1"),
                reason="test",
                from_utc_s=0.0,
                until_utc_s=None,
                evse=E1,
                limit_a=(asked_a, None, None),
            ),
        )
    world.settle(0.0, {"e1": 6.0})
    reason = world.live(20.0).evses[E1].reason
    assert reason.holder is not None
    assert (reason.code, reason.holder.kind, reason.limit) == (code, holder, asked_a or 16.0)


@pytest.mark.parametrize("between", [False, True], ids=["amounts", "phasors"])
@pytest.mark.parametrize(
    ("limit_a", "base_a", "silent", "code"),
    [
        (35.0, 0.0, True, ReasonCode.NOT_ADMITTED),
        (31.0, 0.0, True, ReasonCode.FIXED_OVER_CEILING),
        (30.0, 29.0, True, ReasonCode.FIXED_OVER_CEILING),
        (30.0, 31.0, True, ReasonCode.BASE_OVER_CEILING),
        (10.0, 31.0, False, ReasonCode.BASE_OVER_CEILING),
        (10.0, 5.0, False, ReasonCode.NOT_ADMITTED),
    ],
)
def test_what_keeps_an_evse_out_is_base_load_or_silent_chargers_or_those_before_it(
    limit_a: float, base_a: float, *, silent: bool, between: bool, code: ReasonCode
) -> None:
    """e1 is silent and counts 32 A on L1, or not there; e2 wants its minimum of 6 A there."""
    evses = [evse(2)]
    if silent:
        evses.insert(0, evse(1))
    if between:  # on the two other lines: all that it does is to make them phasors
        evses.append(evse(3, phases=(2, 3), connection=Connection.LINE_TO_LINE))
    node = Node(
        id=GRID,
        parent=None,
        limit_a=(limit_a, None, None),
        base_max_a=(base_a, 0.0, 0.0),
        margin_a=0.0,
    )
    world = World(site(evses=evses, nodes=[node], meters=[]))
    world.sends("e2", 0.0)
    world.confirms("e2")
    reason = world.step().evses[EvseId("e2")].reason
    assert (reason.code, reason.row, reason.limit) == (code, "1", limit_a)


@pytest.mark.parametrize(
    ("most_a", "code"),
    [(15.0, ReasonCode.DRAWS_LESS), (16.0, ReasonCode.OWN_MAXIMUM)],
)
def test_who_was_seen_to_draw_less_than_its_maximum_has_that_for_a_reason(
    most_a: float, code: ReasonCode
) -> None:
    world = World(site(evses=[evse(1, max_a=16.0)]))
    world.settle(0.0, {"e1": 6.0})
    world.live(300.0, most_a={"e1": most_a - 2.0})
    assert world.live(5.0, most_a={"e1": most_a - 2.0}).evses[E1].reason.code is code
