"""The whole step on a busy depot, and each of its verbs, against plain Python's allocation.

A meter poll and a charger poll arrive between two steps, as on a site; every instance has its own
readings.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from edgectl.clock import Instant
from edgectl.control.account import commit
from edgectl.control.cap import cap_evses, cap_nodes
from edgectl.control.explain import explain
from edgectl.control.judge import judge
from edgectl.control.layout import layout_of
from edgectl.control.shape import shape
from edgectl.control.share import call_values_a, share
from edgectl.control.situation import Situation
from edgectl.control.step import step
from edgectl.control.verify import promise_rows, verify
from edgectl.model.rules import Rules
from edgectl.model.site import Evse, Meter, Node, Site
from edgectl.model.snapshot import Snapshot
from edgectl.model.state import State
from edgectl.units import LinkId, MeterId, NodeId
from tests.bench import plain
from tests.bench.depots import depot
from tests.bench.measure import Figure, median_s
from tests.control.world import TRAITS, World, evse, site

EVSES_PER_FEEDER = 25
DRAWN_A = 8.0
INSTANCES = 6

Moment = tuple[Snapshot, State, Instant]


def figures() -> Iterator[Figure]:
    for size in (100, 1_000):
        moments = _moments(size)
        problems = [depot(seed, evses=size) for seed in range(4)]
        reference = median_s(
            lambda call: call(),
            [partial(plain.allocate, plain.Compiled(one), one) for one in problems],
        )
        whole = median_s(lambda moment: step(*moment), moments)
        against = "plain Python's allocation"
        yield Figure(f"step.{size}", whole * 1e3, "ms", reference / whole, against)
        for name, calls in _verbs(moments).items():
            taken = median_s(lambda call: call(), calls, budget_s=0.3)
            yield Figure(
                f"step.{size}.{name}",
                taken * 1e3,
                "ms",
                whole / taken,
                "faster than the whole step",
            )


def _verbs(moments: list[Moment]) -> dict[str, list[Callable[[], object]]]:
    """Each verb alone, on what the verbs before it made."""
    verbs: dict[str, list[Callable[[], object]]] = {
        name: [] for name in ("judge", "cap", "allocate", "shape", "verify", "explain")
    }
    rules = Rules()
    for snapshot, state, now in moments:
        layout = layout_of(snapshot.site)
        commitments = commit(snapshot, state, now, rules)
        judged, _ = judge(snapshot, layout, commitments, state, now, rules)
        situation = Situation(
            snapshot=snapshot,
            state=state,
            now=now,
            rules=rules,
            layout=layout,
            commitments=commitments,
            judged=judged,
            node_ceilings=cap_nodes(snapshot, now, rules),
            evse_ceilings=cap_evses(snapshot, layout, judged, now, rules),
        )
        shared = share(situation)
        calls_a = call_values_a(situation)
        shaped = shape(situation, shared, calls_a)
        promised = promise_rows(situation, shared, [one.setpoint_a for one in shaped])
        verbs["judge"].append(partial(judge, snapshot, layout, commitments, state, now, rules))
        verbs["cap"].append(partial(cap_evses, snapshot, layout, judged, now, rules))
        verbs["allocate"].append(partial(share, situation))
        verbs["shape"].append(partial(shape, situation, shared, calls_a))
        verbs["verify"].append(partial(verify, situation, shared, shaped, promised))
        verbs["explain"].append(partial(explain, situation, shared, shaped, promised))
    return verbs


def _moments(size: int) -> list[Moment]:
    world = World(_site(size))
    for one in world.site.evses:
        world.sends(one.id, DRAWN_A)
        world.confirms(one.id)
    moments = []
    for tick in range(12 + INSTANCES):
        world.wait(1.0)
        drawn = {
            one.id: DRAWN_A + (n * 7 + tick) % 5 / 10 for n, one in enumerate(world.site.evses)
        }
        for name, value_a in drawn.items():
            world.reads(name, value_a, taken_s=world.now_s - 0.2)
        for age_s in (0.5, 0.0):
            for node in world.site.nodes:
                flows_a = 3.0 + sum(
                    drawn[one.id] for one in world.site.evses if node.id in (one.node, "grid")
                )
                world.meter(
                    flows_a,
                    flows_a,
                    flows_a,
                    meter=MeterId(f"m-{node.id}"),
                    voltage_v=(230.0, 231.0, 229.0),
                    taken_s=world.now_s - age_s,
                )
        if tick >= 12:
            moments.append((world.snapshot(), world.state, world.instant()))
        world.step()
    return moments


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
