"""The whole step on a busy depot, snapshot included, split by verb; against plain Python's fill.

Between two steps every meter is read twice and every charger once, through the daemon's own image,
and chargers take what they were told, as on a site.
"""

import gc
import random
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from types import FunctionType
from typing import cast

from edgectl.clock import Instant
from edgectl.control.step import step
from edgectl.daemon.lines.image import Image
from edgectl.devices.samples import EvseFacts
from edgectl.model.ceiling import TimedCeiling
from edgectl.model.decision import Decision
from edgectl.model.reading import EvseSample, MeterSample, VehicleState
from edgectl.model.site import Evse, Meter, Node, Site
from edgectl.model.snapshot import Snapshot
from edgectl.model.state import State
from edgectl.units import EvseId, LinkId, MeterId, NodeId
from tests.bench import plain
from tests.bench.depots import depot
from tests.bench.measure import Figure, median_s
from tests.bench.whereabouts import whereabouts
from tests.control.world import TRAITS, UTC0_S, evse, site

EVSES_PER_FEEDER = 25
WARM_TICKS = 30
TICKS = {100: 400, 1_000: 80}


def figures() -> Iterator[Figure]:
    for size, ticks in TICKS.items():
        problems = [depot(seed, evses=size) for seed in range(4)]
        reference = median_s(
            lambda call: call(),
            [partial(plain.allocate, plain.Compiled(one), one) for one in problems],
        )
        busy = BusyDepot(size)
        for _ in range(WARM_TICKS):
            busy.tick()
        gc.collect()
        gc.disable()
        try:
            with whereabouts(cast("FunctionType", step)) as seen:
                taken = [busy.tick() for _ in range(ticks)]
        finally:
            gc.enable()
        yield from _split(size, taken, seen, reference)


def _split(
    size: int, taken: list[tuple[float, float]], seen: Counter[str], reference_s: float
) -> Iterator[Figure]:
    whole = statistics.median(freeze_s + step_s for freeze_s, step_s in taken)
    frozen = statistics.median(freeze_s for freeze_s, _ in taken)
    stepped = statistics.median(step_s for _, step_s in taken)
    against = "plain Python's allocation"
    yield Figure(f"step.{size}", whole * 1e3, "ms", reference_s / whole, against)
    faster = "faster than the whole step"
    yield Figure(f"step.{size}.snapshot", frozen * 1e3, "ms", whole / frozen, faster)
    for module, count in seen.most_common():
        part = stepped * count / seen.total()
        yield Figure(f"step.{size}.{module}", part * 1e3, "ms", whole / part, faster)


@dataclass
class BusyDepot:
    """A depot in motion: vehicles draw about what they were told, base load and readings move."""

    size: int

    def __post_init__(self) -> None:
        self.site = _site(self.size)
        self.image = Image(self.site)
        self.state = State()
        self.rng = random.Random(self.size)
        self.now_s = 1000.0
        self.told_a: dict[EvseId, float] = {}
        for one in self.site.evses:
            self._write(one.id, 8.0)
        self.at_node: dict[NodeId, list[Evse]] = {node.id: [] for node in self.site.nodes}
        for one in self.site.evses:
            self.at_node[one.node].append(one)
            self.at_node[NodeId("grid")].append(one)

    def tick(self, ceilings: tuple[TimedCeiling, ...] = ()) -> tuple[float, float]:
        """Seconds that the snapshot took, and those of the step, after a second of readings."""
        self.now_s += 1.0
        self._read()
        before = time.perf_counter()
        meters, evses = self.image.freeze()
        frozen = time.perf_counter()
        snapshot = Snapshot(site=self.site, meters=meters, evses=evses, ceilings=ceilings)
        now = Instant(mono_s=self.now_s, utc_s=UTC0_S + self.now_s, utc_trusted=True)
        decision, self.state = step(snapshot, self.state, now)
        stepped = time.perf_counter()
        self._obey(decision)
        return frozen - before, stepped - frozen

    def _read(self) -> None:
        rng = self.rng
        drawn = {name: told_a * rng.uniform(0.95, 1.0) for name, told_a in self.told_a.items()}
        for name, drawn_a in drawn.items():
            taken_s = self.now_s - rng.uniform(0.0, 0.9)
            sample = EvseSample(taken_s, (drawn_a, drawn_a * 0.99, drawn_a * 1.005))
            self.image.evse_facts(name, EvseFacts(sample=sample, vehicle=VehicleState.CHARGING))
            self.image.answered(name, taken_s)
            self.image.fed(name, taken_s)
        for node in self.site.nodes:
            below_a = sum(drawn[one.id] for one in self.at_node[node.id])
            offset_s = rng.uniform(0.0, 0.4)
            for age_s in (offset_s + 0.5, offset_s):
                current_a = below_a + rng.uniform(2.0, 4.0)
                reading = MeterSample(
                    taken_s=self.now_s - age_s,
                    current_a=(current_a, current_a, current_a),
                    voltage_v=(230.0, 231.0, 229.0),
                )
                self.image.meter_sample(MeterId(f"m-{node.id}"), reading)

    def _obey(self, decision: Decision) -> None:
        for name, one in decision.evses.items():
            if one.setpoint_a != self.told_a[name]:
                self._write(name, one.setpoint_a)

    def _write(self, name: EvseId, value_a: float) -> None:
        self.told_a[name] = value_a
        self.image.sent(name, value_a, self.now_s)
        self.image.confirmed(name, value_a, sent_s=self.now_s, confirmed_s=self.now_s)


def _site(size: int) -> Site:
    feeders = max(1, size // EVSES_PER_FEEDER)
    nodes = [
        Node(
            id=NodeId("grid"),
            parent=None,
            limit_a=(size * 9.0, size * 9.0, size * 9.0),
            base_max_a=(10.0, 10.0, 10.0),
        ),
        *(
            Node(
                id=NodeId(f"f{n}"),
                parent=NodeId("grid"),
                limit_a=(250.0, 250.0, 250.0),
                limit_va=200_000.0,
                base_max_a=(5.0, 5.0, 5.0),
            )
            for n in range(feeders)
        ),
    ]
    traits = replace(TRAITS, refresh_s=1.0, step_a=1.0)
    evses: list[Evse] = [
        evse(n, node=NodeId(f"f{n % feeders}"), phases=(1, 2, 3), traits=traits)
        for n in range(size)
    ]
    meters = [
        Meter(
            id=MeterId(f"m-{node.id}"),
            node=node.id,
            profile="bench",
            link=LinkId("lan"),
            unit=1,
            poll_s=0.5,
            refresh_s=0.5,
        )
        for node in nodes
    ]
    return site(evses=evses, nodes=nodes, meters=meters)
