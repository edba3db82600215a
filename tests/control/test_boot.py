"""What a charger allows after its own power returned, and who is locked off (S11)."""

from dataclasses import replace

import pytest

from edgectl.model.decision import AlarmCode, Decision
from edgectl.model.rules import Rules
from edgectl.model.site import KeepAlive
from edgectl.units import EvseId
from tests.control.world import GRID, TRAITS, World, evse, site

E1, E2 = EvseId("e1"), EvseId("e2")
LOW = replace(TRAITS, boot_a=6.0)
HIGH = replace(TRAITS, boot_a=32.0)


def boot_alarms(decision: Decision) -> set[str]:
    return {one.id for one in decision.alarms if one.code is AlarmCode.BOOT_CURRENT}


def test_s11_an_isolated_evse_counts_nothing_and_is_no_longer_so_when_it_answers() -> None:
    world = World(site(evses=[evse(1), evse(2)], limit_a=(50.0, None, None), base_max_a=(0.0,) * 3))
    world.reads("e2", 0.0)
    world.meter(0.0)
    counted = world.step()
    assert counted.evses[E1].committed_a == TRAITS.hardware_max_a
    world.isolated = (E1,)
    locked_off = world.step()
    assert locked_off.evses[E1].silent
    assert locked_off.evses[E1].committed_a == 0.0
    freed_a = counted.nodes[GRID].account_a[0] - locked_off.nodes[GRID].account_a[0]
    assert freed_a == TRAITS.hardware_max_a
    world.isolated = ()
    world.wait(1.0)
    world.reads("e1", 0.0)
    back = world.step()
    assert back.evses[E1].committed_a == TRAITS.hardware_max_a, "what it was told is not known"


@pytest.mark.parametrize(("boot_a", "counted_a"), [(6.0, 10.0), (25.0, 25.0)])
@pytest.mark.parametrize("metered", [True, False])
def test_s11_a_silence_that_no_meter_sees_may_be_a_reboot(
    boot_a: float, counted_a: float, *, metered: bool
) -> None:
    """Its watchdog brings it down from what it was told; a reboot may have made it forget that."""
    one = evse(1, traits=replace(TRAITS, boot_a=boot_a))
    world = World(site(evses=[one], meters=None if metered else []))
    world.settle(20.0, {"e1": 10.0})
    fed_s = world.silent("e1").last_feed_s
    assert fed_s is not None
    world.wait(6.0)
    expected_a = 10.0 if metered else counted_a
    assert world.step().evses[E1].committed_a == expected_a
    world.wait(75.0)
    if metered:
        world.meter(26.0)
    fallen_a = TRAITS.failsafe_a if metered else max(TRAITS.failsafe_a, boot_a)
    assert world.step().evses[E1].committed_a == fallen_a


def test_s11_a_boot_current_that_does_not_fit_beside_the_base_is_said_and_pauses_nobody() -> None:
    world = World(site(evses=[evse(1, traits=HIGH), evse(2, traits=LOW)]))
    fits = world.settle(60.0, {"e1": 10.0, "e2": 6.0})
    assert boot_alarms(fits) == set()
    tight = world.settle(70.0, {"e1": 10.0, "e2": 6.0})
    assert boot_alarms(tight) == {"e1"}
    assert tight.evses[E1].setpoint_a >= 6.0
    world.rules = Rules(s11_boot=False)
    assert boot_alarms(world.settle(70.0, {"e1": 10.0, "e2": 6.0})) == set()


def test_s11_a_silent_charger_has_an_alarm_of_its_own() -> None:
    """Its boot current is in its count where that matters."""
    world = World(site(evses=[evse(1, traits=HIGH), evse(2, traits=LOW)]))
    world.settle(70.0, {"e1": 10.0, "e2": 6.0})
    for _ in range(8):
        world.wait(1.0)
        world.reads("e2", 6.0)
        world.meter(86.0)
        decision = world.step()
    assert decision.evses[E1].silent
    assert boot_alarms(decision) == set()


def test_s11_a_charger_without_watchdog_counts_what_it_boots_with_for_ever() -> None:
    bare = replace(TRAITS, boot_a=25.0, keepalive=KeepAlive.NONE, watchdog_s=None)
    world = World(site(evses=[evse(1, traits=bare)], meters=[]))
    world.settle(20.0, {"e1": 10.0})
    world.wait(500.0)
    assert world.step().evses[E1].committed_a == 25.0
