"""The step in a loop with a physical depot of its own: what truly flows is judged, not accounts.

Vehicles follow the pilot within five seconds or draw less, the base load jumps, devices fall silent
and come back (their own watchdogs acting), readings are skewed. The only thing that may never
happen is an overload that lasts longer than S20 allows.
"""

import random
from dataclasses import dataclass, field, replace

import pytest

from edgectl.model.reading import VehicleState
from edgectl.model.rules import Rules
from edgectl.model.site import Evse, Meter, Node
from edgectl.units import EvseId, LinkId, MeterId, NodeId
from tests.control.world import TRAITS, World, evse, site

SETTLE_S = 10.0
STALE_S = 15.0
POLL_S = 1.0
TICK_S = 1.0  # this loop writes and reads once a second
TICKS = 240
BASE_MAX_A = 40.0


@dataclass
class Truth:
    """One EVSE and its vehicle: `limit_a` is in the charger, `drawn_a` flows."""

    limit_a: float = 0.0
    drawn_a: float = 0.0
    appetite_a: float = 32.0
    follow_at_s: float = 0.0
    silent_until_s: float = 0.0
    heard_s: float = 0.0
    plugged: bool = True


@dataclass
class Depot:
    """Two feeders under a grid node, all metered, and everything drawn from one seed."""

    rng: random.Random
    world: World
    truths: dict[str, Truth] = field(default_factory=dict)
    base_a: dict[str, float] = field(default_factory=dict)
    meter_silent_until_s: dict[str, float] = field(default_factory=dict)
    over_since_s: dict[str, float] = field(default_factory=dict)
    called: set[str] = field(default_factory=set)
    worst_excess_s: float = float("-inf")

    def run(self) -> float:
        for _ in range(TICKS):
            self.world.wait(1.0)
            self.weather()
            self.flow()
            self.read()
            self.obey()
        return self.worst_excess_s

    def weather(self) -> None:
        now_s = self.world.now_s
        before_a = dict(self.base_a)
        for name in self.base_a:
            if self.rng.random() < 0.02:
                self.base_a[name] = self.rng.uniform(0.0, BASE_MAX_A)
            if self.rng.random() < 0.01:
                self.meter_silent_until_s[name] = now_s + self.rng.uniform(1.0, 60.0)
                self.base_a[name] = self.rng.choice([self.base_a[name], BASE_MAX_A])
        if any(self.base_a[name] > old_a for name, old_a in before_a.items()):
            self.over_since_s.clear()  # a further unforeseen step has a time of its own
        for truth in self.truths.values():
            if self.rng.random() < 0.01:
                truth.appetite_a = self.rng.choice([0.0, 8.0, 16.0, 32.0])
            if self.rng.random() < 0.004:
                truth.silent_until_s = now_s + self.rng.uniform(2.0, 100.0)
            if self.rng.random() < 0.01:
                truth.plugged = not truth.plugged

    def flow(self) -> None:
        """Vehicles and watchdogs, then what flows against the limits."""
        now_s = self.world.now_s
        for truth in self.truths.values():
            if now_s - truth.heard_s > 60.0:
                truth.limit_a = 6.0
            wanted_a = min(truth.limit_a, truth.appetite_a) if truth.plugged else 0.0
            if not truth.plugged or (truth.drawn_a != wanted_a and now_s >= truth.follow_at_s):
                truth.drawn_a = wanted_a
                truth.follow_at_s = now_s + self.rng.uniform(1.0, 9.0)
        for node in self.world.site.nodes:
            limit_a = (node.limit_a[0] or 0.0) + 1e-6
            if self.total(node.id) <= limit_a or self.total(node.id, helpless=True) > limit_a:
                self.over_since_s.pop(node.id, None)
                continue
            since_s = self.over_since_s.setdefault(node.id, now_s)
            self.worst_excess_s = max(
                self.worst_excess_s, now_s - since_s - self.allowed_s(node.id, since_s)
            )

    def allowed_s(self, node: str, since_s: float) -> float:
        """S20: the stale time stands in place of the poll while the node's meter says nothing."""
        heard = self.meter_silent_until_s.get(node, 0.0) <= since_s
        return (POLL_S if heard else STALE_S) + 0.15 + TICK_S + SETTLE_S

    def total(self, node: str, *, helpless: bool = False) -> float:
        """What flows at a node; `helpless`: only what no controller could lower at this moment."""
        nodes = ["f1", "f2", "grid"] if node == "grid" else [node]
        flow_a = sum(self.base_a[n] for n in nodes)
        for one in self.world.site.evses:
            truth = self.truths[one.id]
            if one.node in nodes and (not helpless or self.world.now_s < truth.silent_until_s):
                flow_a += truth.drawn_a
        return flow_a

    def read(self) -> None:
        now_s = self.world.now_s
        for name, truth in self.truths.items():
            # S10: who is silent hears only its calls, and is read again once one was answered.
            if now_s >= truth.silent_until_s and name not in self.called:
                truth.heard_s = now_s
                self.world.reads(name, truth.drawn_a, taken_s=now_s - self.rng.uniform(0.0, 0.4))
                view = self.world.evses[EvseId(name)]
                self.world.evses[EvseId(name)] = replace(
                    view,
                    last_feed_s=now_s,
                    vehicle=VehicleState.CHARGING if truth.plugged else VehicleState.ABSENT,
                )
        for node in self.world.site.nodes:
            if now_s >= self.meter_silent_until_s.get(node.id, 0.0):
                self.world.meter(self.total(node.id), meter=MeterId(f"m-{node.id}"))

    def obey(self) -> None:
        decision = self.world.step()
        self.called = {name for name, one in decision.evses.items() if one.silent}
        for name, one in decision.evses.items():
            truth = self.truths[name]
            view = self.world.evses.get(name)
            heard = self.world.now_s >= truth.silent_until_s
            in_force = view.confirmed.value_a if view and view.confirmed else None
            if one.setpoint_a == in_force and not one.silent:
                continue
            self.world.sends(name, one.setpoint_a)
            if heard:
                truth.limit_a = one.setpoint_a
                truth.heard_s = self.world.now_s
                self.world.confirms(name)


def depot(seed: int) -> Depot:
    rng = random.Random(seed)
    traits = replace(TRAITS, refresh_s=rng.choice([0.0, 0.5]), step_a=rng.choice([0.0, 1.0]))
    nodes = [
        Node(
            id=NodeId(name),
            parent=parent,
            limit_a=(limit_a, None, None),
            base_max_a=(BASE_MAX_A,) * 3,
        )
        for name, parent, limit_a in (
            ("grid", None, rng.uniform(130.0, 180.0)),
            ("f1", NodeId("grid"), rng.uniform(60.0, 90.0)),
            ("f2", NodeId("grid"), rng.uniform(60.0, 90.0)),
        )
    ]
    evses: list[Evse] = [
        evse(n, node=NodeId("f1" if n % 2 else "f2"), traits=traits) for n in range(1, 9)
    ]
    meters = [
        Meter(
            id=MeterId(f"m-{node.id}"),
            node=node.id,
            profile="test",
            link=LinkId("lan"),
            unit=90 + k,
            poll_s=1.0,
            refresh_s=0.2,
        )
        for k, node in enumerate(nodes)
    ]
    world = World(site(evses=evses, nodes=nodes, meters=meters))
    return Depot(
        rng=rng,
        world=world,
        truths={one.id: Truth(heard_s=world.now_s) for one in evses},
        base_a={node.id: 10.0 for node in nodes},
    )


@pytest.mark.parametrize("block", range(4))
def test_s20_no_overload_outlasts_physics(block: int, *, prove: bool) -> None:
    for seed in range(block * 1000, block * 1000 + (250 if prove else 10)):
        assert depot(seed).run() <= 0.0, f"seed {seed}"


@pytest.mark.parametrize(
    ("rule", "first"),
    [("s1_age", 0), ("s6_ageing", 0), ("s9_silent", 150)],  # few seeds need S9: some from 150 on
)
def test_s20_the_loop_finds_what_a_missing_rule_lets_through(rule: str, first: int) -> None:
    def worst_excess_s(seed: int) -> float:
        run = depot(seed)
        run.world.rules = replace(Rules(), **{rule: False})
        return run.run()

    assert any(worst_excess_s(seed) > 0.0 for seed in range(first, first + 120))
