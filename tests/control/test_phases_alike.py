"""L1, L2 and L3 are alike: a site whose phases are named otherwise is decided the same way."""

import random
from dataclasses import dataclass, replace
from itertools import permutations

import pytest

from edgectl.model.decision import Alarm, Decision
from edgectl.model.reading import MeterSample
from edgectl.model.site import Evse, Meter, Node, Sees
from edgectl.model.snapshot import MeterView
from edgectl.units import LinkId, MeterId, NodeId, OptionalTriple, Triple
from tests.control.world import GRID, TRAITS, World, evse, setpoints, site

FEEDER, PANEL = NodeId("feeder"), NodeId("panel")
OTHERS = tuple(order for order in permutations((0, 1, 2)) if order != (0, 1, 2))


@dataclass(frozen=True)
class Named:
    """`order[p]`: the name (0-based) that the phase p of the drawn site has here."""

    order: tuple[int, ...]

    def triple(self, values: Triple) -> Triple:
        one, two, three = (values[self.order.index(p)] for p in range(3))
        return (one, two, three)

    def optional(self, values: OptionalTriple) -> OptionalTriple:
        one, two, three = (values[self.order.index(p)] for p in range(3))
        return (one, two, three)

    def phases(self, phases: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(self.order[p - 1] + 1 for p in phases)


def drawn_site(rng: random.Random, names: Named) -> World:
    def limits() -> OptionalTriple:
        return names.optional((rng.uniform(40, 90), rng.uniform(40, 90), rng.uniform(40, 90)))

    def bases() -> Triple:
        return names.triple((rng.uniform(5, 30), rng.uniform(5, 30), rng.uniform(5, 30)))

    nodes = [
        Node(id=GRID, parent=None, limit_a=limits(), limit_va=45_000.0, base_max_a=bases()),
        Node(id=FEEDER, parent=GRID, limit_a=limits(), base_max_a=bases()),
        Node(id=PANEL, parent=FEEDER, limit_va=20_000.0, base_max_a=bases()),
    ]
    evses: list[Evse] = []
    for n in range(1, 9):
        wired = rng.choice([(1,), (2,), (3,), (1, 2), (2, 3), (3, 1), (1, 2, 3), (1, 2, 3)])
        # Steps: a rounding of sums in another order is no other setpoint.
        traits = replace(
            TRAITS, step_a=0.5, boot_a=rng.choice([6.0, 16.0]), metered=rng.random() < 0.8
        )
        evses.append(
            evse(
                n,
                node=rng.choice([GRID, FEEDER, PANEL]),
                phases=names.phases(wired),
                traits=traits,
            )
        )
    seen = rng.choice([(1, 2, 3), (2,), (1, 3)])
    meters = [
        _meter("m-grid", GRID, (1, 2, 3)),
        _meter(
            "m-feeder", FEEDER, names.phases(seen), sees=rng.choice([Sees.ALL, Sees.ALL, Sees.PART])
        ),
    ]
    return World(site(evses=evses, nodes=nodes, meters=meters))


def _meter(name: str, node: NodeId, phases: tuple[int, ...], sees: Sees = Sees.ALL) -> Meter:
    return Meter(
        id=MeterId(name),
        node=node,
        profile="test",
        link=LinkId("lan"),
        unit=99,
        poll_s=1.0,
        phases=tuple(sorted(phases)),
        refresh_s=0.2,
        sees=sees,
    )


def played(seed: int, names: Named) -> list[Decision]:
    """A minute and a half: loads jump, meters fall silent, one vehicle ignores what it is told."""
    rng = random.Random(seed)
    world = drawn_site(rng, names)
    decisions: list[Decision] = []
    base = {node.id: [rng.uniform(0, 20) for _ in range(3)] for node in world.site.nodes}
    deaf = rng.choice(world.site.evses).id
    mute_until_s: dict[MeterId, float] = {}
    for _ in range(90):
        world.wait(1.0)
        older_s = rng.choice([0.0, 0.0, 0.4])
        if rng.random() < 0.05:
            base[rng.choice([GRID, FEEDER, PANEL])][rng.randrange(3)] = rng.uniform(-5, 40)
        flows = {node: list(values) for node, values in base.items()}
        for one in world.site.evses:
            deaf_a = 20.0 if one.id == deaf and decisions else None
            amps = _draws(world, one, deaf_a, mute=rng.random() < 0.02, older_s=older_s)
            for phase in one.phases:
                flows[one.node][names.order.index(phase - 1)] += amps
        flows[FEEDER] = [a + b for a, b in zip(flows[FEEDER], flows[PANEL], strict=True)]
        flows[GRID] = [a + b for a, b in zip(flows[GRID], flows[FEEDER], strict=True)]
        for meter in world.site.meters:
            deaf_s = rng.choice([2.0, 6.0, 25.0]) if rng.random() < 0.03 else 0.0
            mute_until_s[meter.id] = max(mute_until_s.get(meter.id, 0.0), world.now_s + deaf_s)
            if mute_until_s[meter.id] <= world.now_s:
                _measure(world, meter, flows[meter.node], names)
        decision = world.step()
        world.obey(decision)
        decisions.append(decision)
    return decisions


def _draws(world: World, one: Evse, deaf_a: float | None, *, mute: bool, older_s: float) -> float:
    """What a vehicle draws, and its charger says if it is not mute."""
    confirmed = world.silent(one.id).confirmed
    amps = 0.0 if confirmed is None else min(confirmed.value_a, 20.0)
    amps = amps if deaf_a is None else deaf_a
    if not mute and one.traits.metered:
        world.reads(one.id, amps, taken_s=world.now_s - older_s)
    elif not mute:
        world.answers(one.id)
    return amps


def _measure(world: World, meter: Meter, flow: list[float], names: Named) -> None:
    here = names.triple((flow[0], flow[1], flow[2]))
    amps: list[float | None] = [None, None, None]
    watts: list[float | None] = [None, None, None]
    volts: list[float | None] = [None, None, None]
    levels = names.triple((228.0, 231.0, 235.0))
    for phase in meter.phases:
        p = phase - 1
        amps[p], volts[p], watts[p] = abs(here[p]), levels[p], here[p] * levels[p]
    old = world.meters[meter.id].samples if meter.id in world.meters else ()
    sample = MeterSample(
        taken_s=world.now_s,
        current_a=(amps[0], amps[1], amps[2]),
        power_w=(watts[0], watts[1], watts[2]),
        voltage_v=(volts[0], volts[1], volts[2]),
    )
    world.meters[meter.id] = MeterView(samples=(*old, sample)[-32:])


def _alarm(alarm: Alarm, names: Named) -> tuple[str, str]:
    """What it says, in the names of the drawn site."""
    head, _, row = alarm.id.rpartition(".")
    if row in {"1", "2", "3"}:
        return str(alarm.code), f"{head}.{names.order.index(int(row) - 1) + 1}"
    return str(alarm.code), alarm.id


@pytest.mark.parametrize("seed", range(12))
def test_a_site_with_other_names_of_its_phases_is_decided_the_same_way(seed: int) -> None:
    plain = Named((0, 1, 2))
    names = Named(OTHERS[seed % len(OTHERS)])
    for one, other in zip(played(seed, plain), played(seed, names), strict=True):
        assert setpoints(other) == pytest.approx(setpoints(one), abs=1e-6)
        for node, here in other.nodes.items():
            there = one.nodes[node]
            for name in ("base_a", "account_a", "promise_a", "deficit_a", "ceiling_a", "margin_a"):
                wanted = names.triple(getattr(there, name))
                assert getattr(here, name) == pytest.approx(wanted, abs=1e-6), (node, name)
            for name in ("base_va", "account_va", "promise_va", "deficit_va"):
                assert getattr(here, name) == pytest.approx(getattr(there, name), abs=1e-3), name
            assert here.quality is there.quality
        for meter, above in other.wake_above_a.items():
            assert above == pytest.approx(names.optional(one.wake_above_a[meter]), abs=1e-6)
        assert {_alarm(a, names) for a in other.alarms} == {_alarm(a, plain) for a in one.alarms}
