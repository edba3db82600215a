"""A charger that answers and gives no current: said, and counted by what it was told (S8)."""

import pytest

from edgectl.model.decision import AlarmCode, Decision
from edgectl.model.reading import STALE_S
from edgectl.units import EvseId
from tests.control.world import World, evse, site

E1 = EvseId("e1")


def blind(decision: Decision) -> bool:
    return AlarmCode.CHARGER_WITHOUT_DATA in {alarm.code for alarm in decision.alarms}


@pytest.mark.parametrize("seen_before", [True, False])
def test_s8_a_decrease_of_a_charger_whose_current_stays_bad_counts_by_time(
    *, seen_before: bool
) -> None:
    world = World(site(evses=[evse(1)]))
    world.sends("e1", 16.0)
    world.confirms("e1")
    for _ in range(20 if seen_before else 0):
        world.wait(1.0)
        assert not blind(world.everything(20.0, {"e1": 16.0}))
    world.sends("e1", 6.0)
    world.confirms("e1")
    counted = {}
    told_s = world.now_s
    for _ in range(20):
        world.wait(1.0)
        world.answers("e1")
        world.meter(26.0)
        decision = world.step()
        counted[world.now_s - told_s] = (decision.evses[E1].committed_a, blind(decision))
    for age_s, (committed_a, said) in counted.items():
        assert said is (age_s >= STALE_S)
        if age_s < STALE_S:
            assert committed_a >= 16.0, "until then it may be on its way"
        else:
            assert committed_a == 6.0


def test_s8_one_current_again_and_it_is_measured_again() -> None:
    world = World(site(evses=[evse(1)]))
    world.settle(20.0, {"e1": 10.0})
    for age_s in range(1, 21):
        world.wait(1.0)
        world.answers("e1")
        world.meter(30.0)
        assert blind(world.step()) is (age_s >= STALE_S)
    world.wait(1.0)
    decision = world.everything(20.0, {"e1": 12.0})
    assert not blind(decision)
    assert decision.evses[E1].committed_a == 12.0
