"""Who takes part in the sharing, and what a silent charger is called with (S10)."""

from dataclasses import replace

import pytest

from edgectl.control.share import Part, call_values_a, share
from edgectl.model.ceiling import Holder, Rank, TimedCeiling
from edgectl.model.decision import ReasonCode
from edgectl.model.reading import VehicleState
from edgectl.model.site import Node
from edgectl.model.state import EvseState, State
from edgectl.units import EvseId, NodeId, OptionalTriple
from tests.control.world import GRID, TRAITS, World, evse, site

E1, HALL = EvseId("e1"), NodeId("hall")


def test_who_is_not_admitted_counts_what_it_draws_while_paused() -> None:
    """10 A, of which a paused charger keeps 3 A: the other one has 7 A."""
    idle = replace(TRAITS, pause_a=3.0)
    world = World(
        site(
            evses=[evse(1), evse(2, traits=idle)],
            limit_a=(10.0, None, None),
            base_max_a=(0.0,) * 3,
            margin_a=0.0,
        )
    )
    world.settle(0.0, {"e1": 6.0})
    world.answers("e2")
    decision = world.live(30.0)
    assert decision.evses[EvseId("e1")].setpoint_a == 7.0
    assert decision.evses[EvseId("e2")].setpoint_a == 3.0


def capped(limit_a: float) -> tuple[TimedCeiling, ...]:
    return (
        TimedCeiling(
            holder=Holder(Rank.OPERATOR, "limit", "c1"),
            reason="test",
            from_utc_s=0.0,
            until_utc_s=None,
            evse=E1,
            limit_a=(limit_a, None, None),
        ),
    )


@pytest.mark.parametrize(
    ("vehicle", "ceiling_a", "stopped_ago_s", "why"),
    [
        (VehicleState.CHARGING, 32.0, None, None),
        (VehicleState.UNKNOWN, 32.0, None, None),
        (VehicleState.CHARGING, 6.0, None, None),
        (VehicleState.CHARGING, 5.9, None, ReasonCode.PAUSED),
        (VehicleState.ABSENT, 5.9, None, ReasonCode.NO_VEHICLE),
        (VehicleState.FAULT, 5.9, None, ReasonCode.FAULT),
        (VehicleState.CHARGING, 32.0, 179.0, ReasonCode.MIN_OFF),
        (VehicleState.CHARGING, 32.0, 180.0, None),
        (VehicleState.CHARGING, 5.9, 10.0, ReasonCode.PAUSED),
    ],
)
def test_who_takes_no_part_has_a_reason(
    vehicle: VehicleState, ceiling_a: float, stopped_ago_s: float | None, why: ReasonCode | None
) -> None:
    world = World(site(evses=[evse(1)]))
    world.sends("e1", 0.0)
    world.confirms("e1")
    world.vehicle("e1", vehicle)
    world.ceilings = capped(ceiling_a)
    stopped_s = None if stopped_ago_s is None else world.now_s - stopped_ago_s
    known = EvseState(held_a=0.0, setpoint_a=0.0, stopped_s=stopped_s)
    world.state = State(started_s=0.0, evses={E1: known})
    (part,) = share(world.situation()).parts
    until_s = world.now_s + 1.0 if why is ReasonCode.MIN_OFF else None
    assert part == Part(takes_part=why is None, why=why, until_s=until_s)


def test_a_charger_that_never_answered_takes_no_part() -> None:
    (part,) = share(World(site(evses=[evse(1)])).situation()).parts
    assert part == Part(takes_part=False, why=ReasonCode.SILENT)


@pytest.mark.parametrize(
    ("base_a", "failsafe_a", "ceiling_a", "called_a"),
    [
        ((92.0, 0.0, 0.0), 6.0, 32.0, 6.0),
        ((92.1, 0.0, 0.0), 6.0, 32.0, 1.0),
        ((90.0, 0.0, 0.0), 8.0, 32.0, 8.0),
        ((90.0, 0.0, 0.0), 8.0, 7.0, 7.0),
        ((90.0, 0.0, 0.0), 8.0, 5.0, 1.0),
        ((0.0, 0.0, 0.0), 5.0, 32.0, 1.0),
        ((0.0, 120.0, 0.0), 6.0, 32.0, 6.0),
        ((120.0, 0.0, 0.0), 6.0, 32.0, 1.0),
    ],
)
def test_s10_a_silent_charger_is_called_with_its_failsafe_current_where_that_fits(
    base_a: tuple[float, float, float], failsafe_a: float, ceiling_a: float, called_a: float
) -> None:
    """Beside the base on L1 below 98 A of 100; else with the 1 A at which it pauses."""
    traits = replace(TRAITS, failsafe_a=failsafe_a, pause_a=1.0)
    world = World(site(evses=[evse(1, traits=traits)], base_max_a=base_a))
    world.ceilings = capped(ceiling_a)
    assert call_values_a(world.situation()) == (called_a,)


@pytest.mark.parametrize(
    ("grid_a", "hall_a", "called_a"),
    [(50.0, 50.0, (6.0, 6.0)), (50.0, 5.0, (6.0, 0.0)), (11.0, 50.0, (0.0, 0.0))],
)
def test_s10_those_that_are_called_fit_together_at_every_node_above_them(
    grid_a: float, hall_a: float, called_a: tuple[float, float]
) -> None:
    limits: list[OptionalTriple] = [(grid_a, None, None), (hall_a, None, None)]
    nodes = [
        Node(id=GRID, parent=None, limit_a=limits[0], margin_a=0.0),
        Node(id=HALL, parent=GRID, limit_a=limits[1], margin_a=0.0),
    ]
    world = World(site(evses=[evse(1), evse(2, node=HALL)], nodes=nodes, meters=[]))
    assert call_values_a(world.situation()) == called_a


def test_s10_nobody_else_is_called() -> None:
    world = World(site(evses=[evse(1), evse(2)]))
    world.sends("e2", 16.0)
    world.confirms("e2")
    assert call_values_a(world.situation()) == (6.0, 0.0)
