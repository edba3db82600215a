"""EVSEs without readings of their own: an overload ends, although nobody knows who draws what."""

import random
from dataclasses import dataclass, field, replace

import pytest

from edgectl.control.reaction import LinkTiming, physics_s
from edgectl.model.rules import Rules
from edgectl.units import LinkId
from tests.control.world import GRID, TRAITS, World, evse, setpoints, site

LIMIT_A = 100.0
BARE = replace(TRAITS, metered=False)
FOLLOW_S = 9.0
TIMING = {LinkId("lan"): LinkTiming(write_s=0.1, timeout_s=1.0)}


@dataclass
class Lot:
    """Vehicles that draw the lesser of what they were told and what they want, 9 s later."""

    world: World
    wants_a: dict[str, float]
    base_a: float
    told: list[tuple[float, dict[str, float]]] = field(default_factory=list)
    flow_a: list[float] = field(default_factory=list)
    setpoints_a: list[dict[str, float]] = field(default_factory=list)

    def run(self, seconds: int) -> "Lot":
        for _ in range(seconds):
            self.world.wait(1.0)
            drawn = {name: min(self.in_force_a(name), a) for name, a in self.wants_a.items()}
            self.flow_a.append(self.base_a + sum(drawn.values()))
            self.world.meter(self.flow_a[-1])
            for one in self.world.site.evses:
                if one.traits.metered:
                    self.world.reads(one.id, drawn[one.id])
                else:
                    self.world.answers(one.id)
            decision = self.world.step()
            self.world.obey(decision)
            self.setpoints_a.append(setpoints(decision))
            self.told.append((self.world.now_s + FOLLOW_S, self.setpoints_a[-1]))
        return self

    def in_force_a(self, name: str) -> float:
        return next((t[name] for at_s, t in reversed(self.told) if at_s <= self.world.now_s), 0.0)

    def longest_over_s(self) -> int:
        longest = run = 0
        for flow_a in self.flow_a:
            run = run + 1 if flow_a > LIMIT_A else 0
            longest = max(longest, run)
        return longest


def lot(wants_a: list[float], *, metered: int = 0, base_a: float = 20.0, base_max_a: float) -> Lot:
    evses = [evse(n, traits=TRAITS if n <= metered else BARE) for n in range(1, len(wants_a) + 1)]
    place = site(evses=evses, limit_a=(LIMIT_A, None, None), base_max_a=(base_max_a,) * 3)
    wants = {str(one.id): a for one, a in zip(evses, wants_a, strict=True)}
    return Lot(World(place), wants, base_a)


def test_s15_s20_who_draws_less_than_told_is_cut_further_when_the_first_cut_changed_nothing() -> (
    None
):
    """Told 13 A each, six vehicles draw 7 A; then 44 A of base load come."""
    run = lot([7.0] * 6, base_max_a=85.0).run(200)
    assert run.longest_over_s() == 0
    assert min(run.setpoints_a[-1].values()) >= 8.0
    run.base_a = 64.0
    run.run(300)
    allowed_s = physics_s(run.world.site, GRID, link_timing=TIMING)
    assert allowed_s is not None
    assert allowed_s == pytest.approx(2 * (1.0 + 0.15 + 0.6 + 1.0 + 10.0))
    assert 10 < run.longest_over_s() <= allowed_s
    # What the cut taught is kept: room comes back, and no overload.
    assert run.flow_a[-1] > 80.0
    assert all(flow_a <= LIMIT_A for flow_a in run.flow_a[240:])
    final = run.setpoints_a[-60:]
    assert all(told == final[0] for told in final)


def test_s15_without_the_rule_it_goes_on_for_long() -> None:
    run = lot([7.0] * 6, base_max_a=85.0)
    run.world.rules = replace(Rules(), s15_over_ceiling=False)
    run.run(200)
    run.base_a = 64.0
    assert run.run(100).longest_over_s() > 2 * 12.75


def test_s21_who_draws_what_it_was_told_is_cut_once_and_by_no_more_than_the_excess() -> None:
    run = lot([32.0] * 6, base_max_a=85.0).run(200)
    before_a = run.setpoints_a[-1]["e1"]
    run.base_a += 20.0
    run.run(100)
    told = [now["e1"] for now in run.setpoints_a[200:]]
    assert run.longest_over_s() <= 11
    assert min(told) == pytest.approx(before_a - 20.0 / 6, abs=0.1)
    assert told[3:] == [told[3]] * len(told[3:])


@pytest.mark.parametrize("seed", range(20))
def test_s20_no_step_of_the_base_load_outlasts_two_reactions(seed: int) -> None:
    rng = random.Random(seed)
    metered = rng.randint(0, 3)
    wants = [rng.choice([0.0, 7.0, 12.0, 32.0]) for _ in range(6)]
    run = lot(wants, metered=metered, base_a=rng.uniform(0.0, 40.0), base_max_a=85.0)
    allowed_s = physics_s(run.world.site, GRID, link_timing=TIMING)
    assert allowed_s is not None
    for _ in range(8):
        run.run(rng.randint(60, 120))
        run.base_a = rng.uniform(0.0, 85.0)
    run.run(60)
    assert run.longest_over_s() <= allowed_s
