"""The loop around the controller: it looks until nothing changes, and wastes no time on nobody."""

from collections.abc import Mapping

import pytest

from edgectl.clock import Instant
from edgectl.model.decision import Decision, EvseDecision, Reason, ReasonCode
from edgectl.model.reading import VehicleState
from edgectl.model.snapshot import Snapshot
from edgectl.model.state import State
from edgectl.simulator.sizing.drive import LOOKS_MAX, drive, prompt_site
from edgectl.simulator.sizing.yard import Yard
from edgectl.units import EvseId
from tests.sizing.yards import START_S, evse, row, site, stay

SITE = prompt_site(site(evse("a"), evse("b")))


class Controller:
    """Tells what it is told to, and remembers what it saw."""

    def __init__(self, *orders: Mapping[str, float]) -> None:
        self.orders = list(orders)
        self.seen: list[tuple[float, Snapshot]] = []

    def __call__(self, snapshot: Snapshot, state: State, now: Instant) -> tuple[Decision, State]:
        self.seen.append((now.utc_s - START_S, snapshot))
        order = self.orders.pop(0) if len(self.orders) > 1 else self.orders[0]
        evses = {
            EvseId(name): EvseDecision(
                allocation_a=amps,
                setpoint_a=amps,
                committed_a=amps,
                silent=False,
                reason=Reason(code=ReasonCode.OWN_MAXIMUM),
            )
            for name, amps in order.items()
        }
        return Decision(evses=evses, nodes={}, alarms=(), wake_above_a={}), state

    def times(self) -> list[float]:
        return [at_s for at_s, _ in self.seen]


def driven(controller: Controller, yard: Yard, *, until_s: float, tick_s: float = 60.0) -> int:
    return drive(
        SITE,
        yard,
        decide=controller,
        ceilings=lambda _: (),
        tick_s=tick_s,
        until_s=START_S + until_s,
        progress=lambda _: None,
    )


def yard_with(*stays: object) -> Yard:
    return Yard(SITE, stays, base=None, base_node=0, start_s=START_S)  # type: ignore[arg-type]


def test_it_looks_again_every_second_until_nothing_changes() -> None:
    controller = Controller({"a": 6.0, "b": 6.0}, {"a": 8.0, "b": 6.0}, {"a": 8.0, "b": 6.0})
    yard = yard_with(stay(SITE, 0, row(energy_wh=1e6)))
    assert driven(controller, yard, until_s=130.0) == 5
    assert controller.times() == [0.0, 1.0, 2.0, 60.0, 120.0]
    assert yard.setpoint_a == [8.0, 6.0]


def test_a_controller_that_never_rests_is_left_after_some_looks() -> None:
    controller = Controller(*({"a": 6.0 + k % 2, "b": 0.0} for k in range(100)))
    yard = yard_with(stay(SITE, 0, row(energy_wh=1e6)))
    assert driven(controller, yard, until_s=60.0) == LOOKS_MAX
    assert (
        driven(
            Controller(*({"a": 6.0 + k % 2, "b": 0.0} for k in range(9))),
            yard_with(stay(SITE, 0, row(energy_wh=1e6))),
            until_s=4.0,
            tick_s=1.0,
        )
        == 4
    )


def test_readings_are_of_the_moment_and_show_what_is_drawn() -> None:
    controller = Controller({"a": 10.0, "b": 0.0})
    driven(controller, yard_with(stay(SITE, 0, row(energy_wh=1e6))), until_s=60.0)
    at_s, snapshot = controller.seen[-1]
    view = snapshot.evses[EvseId("a")]
    (meter,) = snapshot.meters.values()
    assert view.samples[-1].taken_s == at_s == meter.samples[-1].taken_s
    assert view.samples[-1].current_a == (10.0, 10.0, 10.0)
    assert meter.samples[-1].current_a == pytest.approx((10.0, 10.0, 10.0))
    assert view.confirmed is not None
    assert (view.confirmed.value_a, view.vehicle) == (10.0, VehicleState.CHARGING)


def test_who_comes_in_another_s_place_is_first_seen_to_be_away() -> None:
    controller = Controller({"a": 10.0, "b": 0.0})
    first = stay(SITE, 0, row(to_s=90.0, energy_wh=1e6))
    second = stay(SITE, 0, row(from_s=95.0, to_s=300.0, energy_wh=1e6))
    driven(controller, yard_with(first, second), until_s=180.0)
    shown = {at_s: s.evses[EvseId("a")].vehicle for at_s, s in controller.seen}
    assert shown[60.0] is VehicleState.CHARGING
    assert shown[120.0] is VehicleState.ABSENT
    assert shown[121.0] is VehicleState.CHARGING


def test_time_goes_on_to_the_next_arrival_while_nobody_is_there() -> None:
    controller = Controller({"a": 6.0, "b": 6.0})
    late = stay(SITE, 0, row(from_s=86_430.0, to_s=86_700.0))
    yard = yard_with(late)
    driven(controller, yard, until_s=86_760.0)
    assert [at_s for at_s in controller.times() if 10.0 < at_s < 86_000.0] == []
    assert 86_460.0 in controller.times()
    assert yard.done[0].stay == late
    assert yard.flowed.duration_s == pytest.approx(86_760.0)


def test_the_controller_is_told_what_was_announced_until_the_announced_departure() -> None:
    one = stay(SITE, 0, row(to_s=600.0))
    controller = Controller({"a": 16.0, "b": 0.0})
    driven(controller, yard_with(one), until_s=900.0)
    told = [(at_s, snapshot.targets) for at_s, snapshot in controller.seen]
    assert {len(targets) for at_s, targets in told if 61.0 < at_s < 599.0} == {1}
    assert not any(targets for at_s, targets in told if at_s >= 600.0)
    target = next(targets[0] for _, targets in told if targets)
    assert (target.evse, target.energy_wh) == ("a", one.announced.energy_wh)
