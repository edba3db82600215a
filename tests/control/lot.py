"""A parking lot in motion for tests of policies: vehicles come, charge as told, and leave.

Time goes in minutes with a few steps at the start of each, which is enough for setpoints to settle:
devices here read fresh and follow at once. Everything a vehicle got is counted here, from what it
drew, and nothing from the product's own figures.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from edgectl.model.ceiling import Holder, Rank
from edgectl.model.decision import Decision
from edgectl.model.policy import Sharing
from edgectl.model.reading import VehicleState
from edgectl.model.site import Evse
from edgectl.model.target import ChargeTarget
from edgectl.units import EvseId
from tests.control.world import UTC0_S, World, evse, site

MINUTE_S = 60.0
SUB_STEPS = 3
VOLTS = 230.0


@dataclass(frozen=True)
class Stay:
    """One vehicle at one EVSE; times in seconds from the start, energy as it wants it."""

    evse: str
    arrives_s: float
    leaves_s: float
    wants_wh: float
    most_a: float = 32.0


@dataclass
class Lot:
    """`delivered_wh[k]`: what stay k got; `starts`: how often a vehicle began to draw, per EVSE."""

    sharing: Sharing
    stays: Sequence[Stay]
    limit_a: float
    evses: Sequence[Evse]
    noise_a: float = 0.0
    base_a: float = 0.0
    seed: int = 0
    announced: bool = True
    priorities: dict[str, int] = field(default_factory=dict)
    delivered_wh: list[float] = field(default_factory=list)
    starts: dict[str, list[float]] = field(default_factory=dict)
    decisions: list[Decision] = field(default_factory=list)

    def __post_init__(self) -> None:
        depot = site(evses=self.evses, limit_a=(self.limit_a, None, None), margin_a=0.0)
        self.world = World(replace(depot, sharing=self.sharing))
        self.start_s = self.world.now_s
        self.delivered_wh = [0.0] * len(self.stays)
        self.drawn_a: dict[str, float] = {one.id: 0.0 for one in self.evses}
        self.rng = random.Random(self.seed)

    def run(self, duration_s: float) -> "Lot":
        for minute in range(int(duration_s / MINUTE_S)):
            self._minute(self.start_s + minute * MINUTE_S)
        return self

    def _minute(self, at_s: float) -> None:
        for k in range(SUB_STEPS):
            self.world.now_s = at_s + k * 6.0
            self._targets()
            self._read()
            decision = self.world.step()
            self.world.obey(decision)
            self._follow()
        self.decisions.append(decision)
        for k, stay in self._present():
            self.delivered_wh[k] += self.drawn_a[stay.evse] * VOLTS * MINUTE_S / 3600.0

    def _present(self) -> list[tuple[int, Stay]]:
        now_s = self.world.now_s - self.start_s
        return [(k, s) for k, s in enumerate(self.stays) if s.arrives_s <= now_s < s.leaves_s]

    def _targets(self) -> None:
        self.world.targets = tuple(
            ChargeTarget(
                evse=EvseId(stay.evse),
                energy_wh=stay.wants_wh,
                departure_utc_s=UTC0_S + self.start_s + stay.leaves_s,
                holder=Holder(Rank.OPERATOR, "command", f"c{k}"),
                priority=self.priorities.get(stay.evse),
            )
            for k, stay in self._present()
            if self.announced
        )

    def _read(self) -> None:
        present = {stay.evse: k for k, stay in self._present()}
        for one in self.evses:
            self.world.reads(one.id, self.drawn_a[one.id])
            k = present.get(one.id)
            vehicle = VehicleState.ABSENT if k is None else VehicleState.CHARGING
            got_wh = None if k is None else self.delivered_wh[k]
            view = replace(self.world.silent(one.id), vehicle=vehicle, session_wh=got_wh)
            self.world.evses[one.id] = view
        self.world.meter(
            self.base_a + self.rng.uniform(-self.noise_a, self.noise_a) + sum(self.drawn_a.values())
        )

    def _follow(self) -> None:
        present = {stay.evse: (k, stay) for k, stay in self._present()}
        for one in self.evses:
            view = self.world.silent(one.id)
            told_a = view.confirmed.value_a if view.confirmed else 0.0
            before_a = self.drawn_a[one.id]
            after_a = 0.0
            if one.id in present:
                k, stay = present[one.id]
                if self.delivered_wh[k] < stay.wants_wh:
                    after_a = min(told_a, stay.most_a)
            if after_a > 0.0 >= before_a:
                self.starts.setdefault(one.id, []).append(self.world.now_s - self.start_s)
            self.drawn_a[one.id] = after_a


def bays(count: int, **changes: object) -> list[Evse]:
    return [evse(n, **changes) for n in range(1, count + 1)]
