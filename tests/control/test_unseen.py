"""What nobody sees is not believed: boot currents, vehicles that did not follow, unused phases."""

from dataclasses import replace

import pytest

from edgectl.model.policy import Policy
from edgectl.model.reading import EvseSample, VehicleState
from edgectl.model.site import Node, Sees
from edgectl.units import EvseId, NodeId
from tests.control.test_policy import target, world_of
from tests.control.world import GRID, TRAITS, World, evse, site

E1 = EvseId("e1")
PANEL = NodeId("panel")
BOOTS = replace(TRAITS, boot_a=32.0)


def rebooted(world: World, *, shows_a: float | None) -> World:
    """Two EVSEs at 10 A each; then e1 reboots and says nothing, and e2 obeys."""
    for name in ("e1", "e2"):
        world.sends(name, 10.0)
        world.confirms(name)
    for second in range(60):
        world.wait(1.0)
        if second < 30:
            world.reads("e1", 10.0)
        confirmed = world.silent("e2").confirmed
        assert confirmed is not None
        world.reads("e2", confirmed.value_a)
        if shows_a is not None:
            world.meter(shows_a)
        decision = world.step()
        setpoint_a = decision.evses[EvseId("e2")].setpoint_a
        if setpoint_a != confirmed.value_a:
            world.sends("e2", setpoint_a)
            world.confirms("e2")
    return world


@pytest.mark.parametrize("shows_a", [5.0, None], ids=["base_only", "dead"])
def test_s11_a_meter_that_does_not_show_the_chargers_takes_no_boot_current_away(
    shows_a: float | None,
) -> None:
    place = site(
        evses=[evse(1, traits=BOOTS), evse(2)], limit_a=(50.0, None, None), base_max_a=(5.0,) * 3
    )
    sees = Sees.BASE_ONLY if shows_a is not None else Sees.ALL
    world = World(replace(place, meters=(replace(place.meters[0], sees=sees),)))
    decision = rebooted(world, shows_a=shows_a).step()
    assert decision.evses[E1].committed_a == 32.0
    assert 5.0 + 32.0 + decision.evses[EvseId("e2")].setpoint_a <= 50.0


def test_s11_a_charger_that_forgot_its_watchdog_does_not_fall_to_its_failsafe_current() -> None:
    """Its watchdog time is long over, and it may have rebooted: nobody has set it again."""
    place = site(
        evses=[evse(1, traits=BOOTS), evse(2)],
        meters=[],
        limit_a=(50.0, None, None),
        base_max_a=(5.0,) * 3,
    )
    world = rebooted(World(place), shows_a=None)
    world.wait(3600.0)
    world.answers("e2")
    assert world.step().evses[E1].committed_a == 32.0


def test_s11_a_meter_further_up_does_not_watch_a_panel() -> None:
    nodes = [
        Node(id=GRID, parent=None, limit_a=(200.0, None, None), base_max_a=(60.0,) * 3),
        Node(id=PANEL, parent=GRID, limit_a=(45.0, None, None), margin_a=1.0),
    ]
    evses = [evse(1, node=PANEL, traits=BOOTS), evse(2, node=PANEL)]
    decision = rebooted(World(site(evses=evses, nodes=nodes)), shows_a=40.0).step()
    assert decision.evses[E1].committed_a == 32.0
    assert 32.0 + decision.evses[EvseId("e2")].setpoint_a <= 45.0


def test_s8_who_was_seen_not_to_follow_is_not_believed_unseen() -> None:
    world = World(
        site(
            evses=[evse(1), evse(2)],
            meters=[],
            limit_a=(50.0, None, None),
            base_max_a=(10.0,) * 3,
        )
    )
    for name, told_a in (("e1", 10.0), ("e2", 6.0)):
        world.sends(name, told_a)
        world.confirms(name)
    for second in range(90):
        world.wait(1.0)
        if second < 40:
            world.reads("e1", 30.0)
        else:
            world.answers("e1")
        confirmed = world.silent("e2").confirmed
        world.reads("e2", 0.0 if confirmed is None else confirmed.value_a)
        decision = world.step()
        world.obey(decision)
    assert decision.evses[E1].committed_a >= 30.0
    assert 10.0 + 30.0 + decision.evses[EvseId("e2")].setpoint_a <= 50.0


def test_a_phase_is_not_unused_by_a_reading_that_is_not_renewed() -> None:
    world = World(
        site(
            evses=[evse(1, phases=(1, 2, 3)), evse(2, phases=(2,))],
            meters=[],
            limit_a=(50.0,) * 3,
            base_max_a=(5.0,) * 3,
        )
    )
    for second in range(120):
        world.wait(1.0)
        told = {
            name: 0.0 if view.confirmed is None else view.confirmed.value_a
            for name in ("e1", "e2")
            for view in (world.silent(name),)
        }
        world.vehicle("e1", VehicleState.CHARGING)
        view = world.silent("e1")
        view = replace(view, last_answer_s=world.now_s)
        if second < 100:
            sample = EvseSample(world.now_s, (told["e1"], 0.0, 0.0))
            view = replace(view, samples=(*view.samples, sample)[-32:])
        world.evses[E1] = view
        world.reads("e2", told["e2"])
        decision = world.step()
        world.obey(decision)
        if second == 99:
            assert decision.nodes[GRID].account_a[1] < 50.0
        if second == 107:
            # From its last reading on it may load all its phases again.
            assert 5.0 + decision.evses[E1].setpoint_a + told["e2"] <= 50.0 or (
                decision.evses[EvseId("e2")].setpoint_a < told["e2"]
            )
    assert 5.0 + sum(one.setpoint_a for one in decision.evses.values()) <= 50.0


def test_a_fault_does_not_make_a_vehicle_need_its_energy_again() -> None:
    world = world_of([evse(1)], Policy.DEADLINE, limit_a=40.0)
    world.targets = (target(world, "e1", hours=3, energy_wh=5000.0),)

    def need_wh(register_wh: float) -> float | None:
        world.evses[E1] = replace(world.silent("e1"), energy_wh=register_wh)
        urgency = world.everything(0.0, {"e1": 0.0}).evses[E1].urgency
        return None if urgency is None else urgency.need_wh

    need_wh(700_000.0)
    assert need_wh(704_000.0) == 1000.0
    world.vehicle("e1", VehicleState.FAULT)
    need_wh(704_000.0)
    world.vehicle("e1", VehicleState.CHARGING)
    assert need_wh(704_000.0) == 1000.0
