"""Vehicles that draw more than they are told: others give way once, and all come to rest (S21)."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest

from edgectl.model.ceiling import Holder, Rank, TimedCeiling
from edgectl.model.site import Meter, Sees
from edgectl.units import EvseId, LinkId
from tests.control.world import GRID, M_GRID, TRAITS, World, evse, setpoints, site

LIMIT_A = 100.0
BASE_A = 20.0
MOVE_A = 0.05
NAMES = [f"e{n}" for n in range(1, 7)]
Draws = Callable[[float], float]


def obeys(told_a: float) -> float:
    return told_a


@dataclass
class Yard:
    """Six vehicles; `draws`: what each one draws when told so much, `lag` ticks later."""

    draws: dict[str, Draws]
    lag: int = 0
    step_a: float = 0.0
    flow_a: list[float] = field(default_factory=list)
    told: list[dict[str, float]] = field(default_factory=list)

    def run(self, ticks: int) -> "Yard":
        traits = replace(TRAITS, step_a=self.step_a)
        world = World(site(evses=[evse(n, traits=traits) for n in range(1, 7)]))
        world.settle(BASE_A, dict.fromkeys(NAMES, 13.0))
        in_force = [dict.fromkeys(NAMES, 13.0)] * (self.lag + 1)
        for _ in range(ticks):
            now = in_force[-1 - self.lag]
            drawn = {name: self.draws.get(name, obeys)(now[name]) for name in NAMES}
            self.flow_a.append(BASE_A + sum(drawn.values()))
            world.wait(1.0)
            decision = world.everything(BASE_A, drawn)
            world.obey(decision)
            self.told.append(setpoints(decision))
            in_force.append(self.told[-1])
        return self

    def changes(self) -> list[int]:
        """The ticks at which anybody was told something else, by more than a rounding."""
        return [
            k
            for k, (before, after) in enumerate(pairwise(self.told), 1)
            if any(abs(after[name] - before[name]) > MOVE_A for name in NAMES)
        ]


@pytest.mark.parametrize("lag", [0, 4])
def test_s21_who_ignores_its_setpoint_is_made_room_for_in_one_tick(lag: int) -> None:
    yard = Yard({"e1": lambda _: 32.0}, lag).run(60)
    assert yard.changes() == [1], "two readings show it"
    assert list(yard.told[-1].values()) == pytest.approx([(98.0 - 20.0 - 32.0) / 5] * 6)


@pytest.mark.parametrize("lag", [0, 4])
@pytest.mark.parametrize(
    "exceeds", [lambda a: a + 5.0, lambda a: 1.3 * a], ids=["by_5", "by_30_pc"]
)
def test_s21_an_offset_moves_the_others_no_more_than_three_times(exceeds: Draws, lag: int) -> None:
    """Down at once, as if it followed nothing; and up when it was seen what it follows."""
    yard = Yard({"e1": exceeds}, lag).run(120)
    assert len(yard.changes()) <= 3
    assert yard.flow_a[-1] == pytest.approx(98.0, abs=0.25)
    assert max(yard.flow_a[1 + lag + 1 :]) <= LIMIT_A


def test_s21_who_is_above_its_setpoint_is_not_raised_before_it_had_its_time() -> None:
    """The meter cuts it before its own readings show what it exceeds by, every other second.

    Each raise gave it its time to follow anew: cut and raised it overloaded its node for ever.
    """
    traits = replace(TRAITS, hardware_max_a=63.0, settle_s=3.0, refresh_s=1.0, step_a=1.0)
    world = World(site(evses=[evse(1, traits=traits, max_a=63.0)], limit_a=(59.4, None, None)))
    world.settle(4.0, {"e1": 53.0}, ticks=40)
    told_a, flow_a = [53.0], []
    for k in range(1, 41):
        drawn_a = told_a[-1] + 3.5
        flow_a.append(4.0 + drawn_a)
        world.wait(1.0)
        if k % 2 == 0:
            world.reads("e1", drawn_a)
        world.meter(4.0 + drawn_a)
        decision = world.step()
        world.obey(decision)
        told_a.append(setpoints(decision)["e1"])
    assert flow_a[0] == 60.5
    assert max(flow_a[1:]) < 59.4
    assert set(told_a[1:]) == {49.0}, "59.4 less 2 of margin, 4 of base and 3.5 of excess"


def test_s21_readings_that_tremble_do_not_move_anybody() -> None:
    rng = random.Random(3)
    yard = Yard({"e1": lambda a: a + 5.0 + rng.uniform(-0.1, 0.1)}).run(200)
    assert yard.changes()[-1] < 60


@pytest.mark.parametrize("seed", range(30))
def test_s21_whoever_exceeds_however_all_come_to_rest_within_the_ceiling(seed: int) -> None:
    rng = random.Random(seed)
    draws: dict[str, Draws] = {}
    for name in rng.sample(NAMES, rng.randint(1, 3)):
        amount, kind = rng.uniform(2.5, 8.0), rng.choice(["ignores", "offset", "factor"])
        draws[name] = {
            "ignores": lambda _, amount=amount: 13.0 + amount,
            "offset": lambda a, amount=amount: a + amount if a > 0.0 else 0.0,
            "factor": lambda a, amount=amount: a * (1.0 + amount / 13.0),
        }[kind]
    yard = Yard(draws, rng.randint(0, 6), rng.choice([0.0, 0.1, 1.0])).run(150)
    assert max(yard.flow_a[20:]) <= LIMIT_A
    assert len(yard.changes()) <= 12
    assert all(k < 120 for k in yard.changes())


BASE_ONLY = Meter(
    id=M_GRID,
    node=GRID,
    profile="test",
    link=LinkId("lan"),
    unit=99,
    poll_s=1.0,
    refresh_s=0.0,
    sees=Sees.BASE_ONLY,
)


def takes_nothing(*, metered: bool) -> World:
    """e1 was told 0 A and says ever since that it holds 8 A, which are drawn; e2 is at 13 A."""
    traits = replace(TRAITS, metered=metered)
    evses = [evse(1, traits=traits), evse(2)]
    world = World(site(evses=evses, meters=[BASE_ONLY], limit_a=(35.0, None, None)))
    world.settle(13.0, {"e1": 6.0, "e2": 13.0})
    world.ceilings = (
        TimedCeiling(
            holder=Holder(Rank.TECHNICIAN, "pause", "test"),
            reason="test",
            from_utc_s=0.0,
            until_utc_s=None,
            evse=EvseId("e1"),
            limit_a=(0.0, None, None),
        ),
    )
    return world


@pytest.mark.parametrize("metered", [True, False])
def test_s12_who_answers_and_takes_no_setpoint_is_a_fixed_load_for_the_others(
    *, metered: bool
) -> None:
    world = takes_nothing(metered=metered)
    for _ in range(30):
        for value_a in (0.0, 8.0):
            world.wait(1.0)
            world.sends("e1", value_a)
            world.evses[EvseId("e1")] = replace(
                world.evses[EvseId("e1")], sent=world.evses[EvseId("e1")].sent[-2:]
            )
            if metered:
                world.reads("e1", 8.0)
            else:
                world.answers("e1")
            world.reads("e2", setpoint_in_force(world, "e2"))
            world.meter(13.0)
            decision = world.step()
            told_a = decision.evses[EvseId("e2")].setpoint_a
            if told_a != setpoint_in_force(world, "e2"):
                world.sends("e2", told_a)
                world.confirms("e2")
    assert decision.evses[EvseId("e1")].setpoint_a == 0.0
    assert told_a == pytest.approx(35.0 - 2.0 - 13.0 - 8.0)


def setpoint_in_force(world: World, name: str) -> float:
    confirmed = world.evses[EvseId(name)].confirmed
    assert confirmed is not None
    return confirmed.value_a
