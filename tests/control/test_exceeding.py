"""Vehicles that draw more than they are told: others give way once, and all come to rest (S21)."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest

from tests.control.world import TRAITS, World, evse, setpoints, site

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
