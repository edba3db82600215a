"""S11: a charger that no meter sees may reboot at any time, and then draws its boot current."""

import random
from cmath import rect
from dataclasses import replace
from itertools import combinations, product
from math import radians, sqrt
from typing import Any

import pytest

from edgectl.control.boot import boot_room, verify_boot_room
from edgectl.errors import InvariantBroken
from edgectl.model.decision import AlarmCode, Decision, Severity
from edgectl.model.reading import VehicleState
from edgectl.model.rules import Rules
from edgectl.model.site import Connection, Evse, Meter, Node, Sees
from edgectl.units import EvseId, LinkId, MeterId, NodeId
from tests.control.test_balance import situation_of
from tests.control.world import GRID, M_GRID, TRAITS, World, evse, setpoints, site

PANEL = NodeId("panel")


def boots(n: int, boot_a: float, **changes: object) -> Evse:
    return evse(n, traits=replace(TRAITS, boot_a=boot_a), **changes)


def bare(*evses: Evse, limit_a: float, rules: Rules | None = None) -> World:
    """A site without any meter; base load of 10 A counts, 2 A are kept free."""
    place = site(evses=evses, meters=[], limit_a=(limit_a, None, None), base_max_a=(10.0,) * 3)
    return World(place, rules=rules or Rules())


def lives(world: World, seconds: int) -> Decision:
    """Every vehicle draws what its charger was told last."""
    for _ in range(seconds):
        world.wait(1.0)
        for one in world.site.evses:
            view = world.silent(one.id)
            drawn = view.vehicle is not VehicleState.ABSENT and view.confirmed is not None
            world.reads(one.id, view.confirmed.value_a if drawn and view.confirmed else 0.0)
        if world.site.meters:
            total_a = sum(
                view.confirmed.value_a
                for one in world.site.evses
                if (view := world.silent(one.id)).confirmed
                and view.vehicle is not VehicleState.ABSENT
            )
            for meter in world.site.meters:
                world.meter(total_a, meter=meter.id)
        decision = world.step()
        world.obey(decision)
    return decision


def room_alarms(decision: Decision) -> list[str]:
    return [one.id for one in decision.alarms if one.code is AlarmCode.BOOT_CURRENT]


def test_s11_room_for_the_boot_current_of_a_paused_charger_is_kept_free() -> None:
    """62 A less margin and base are 50: one with 16 A boot current rests, the other gets 34."""
    world = bare(boots(1, 16.0), boots(2, 16.0), limit_a=62.0)
    world.answers("e2")
    world.vehicle("e2", VehicleState.ABSENT)
    decision = lives(world, 60)
    assert setpoints(decision) == {"e1": 32.0, "e2": 0.0}
    world.site = replace(
        world.site, nodes=(replace(world.site.nodes[0], limit_a=(52.0, 52.0, 52.0)),)
    )
    cut = lives(world, 1)
    assert setpoints(cut) == pytest.approx({"e1": 24.0, "e2": 0.0}, abs=1e-3), "by no more"
    assert setpoints(lives(world, 60)) == pytest.approx({"e1": 24.0, "e2": 0.0}, abs=1e-3)
    world.vehicle("e2", VehicleState.CHARGING)
    decision = lives(world, 60)
    assert setpoints(decision) == pytest.approx({"e1": 20.0, "e2": 20.0}, abs=1e-3)
    assert room_alarms(decision) == []


def test_s11_a_meter_of_the_base_load_shows_no_reboot() -> None:
    """It measures 10 A; of 52 A less margin 16 A are kept free for the one without a vehicle."""
    only = Meter(
        id=M_GRID,
        node=GRID,
        profile="test",
        link=LinkId("lan"),
        unit=99,
        poll_s=1.0,
        refresh_s=0.0,
        sees=Sees.BASE_ONLY,
    )
    evses = [boots(1, 16.0), boots(2, 16.0)]
    world = World(site(evses=evses, meters=[only], limit_a=(52.0, None, None)))
    world.answers("e2")
    world.vehicle("e2", VehicleState.ABSENT)
    drawn_a = {"e1": 0.0, "e2": 0.0}
    for _ in range(60):
        world.wait(1.0)
        for name, current_a in drawn_a.items():
            world.reads(name, current_a)
        world.meter(10.0)
        decision = world.step()
        world.obey(decision)
        drawn_a = setpoints(decision)
    assert drawn_a == pytest.approx({"e1": 52.0 - 2.0 - 10.0 - 16.0, "e2": 0.0}, abs=1e-3)


def test_s11_what_is_told_above_the_boot_current_counts_in_its_place() -> None:
    world = bare(boots(1, 8.0), boots(2, 8.0), boots(3, 8.0), limit_a=57.0)
    assert setpoints(lives(world, 90)) == pytest.approx(dict.fromkeys(("e1", "e2", "e3"), 15.0))


def test_s11_between_lines_boot_currents_count_as_phasors() -> None:
    """e1 on AB and e2 on CA meet on line A, 60 degrees apart."""
    around: dict[str, Any] = {"connection": Connection.LINE_TO_LINE}
    world = bare(
        boots(1, 16.0, phases=(1, 2), **around), boots(2, 16.0, phases=(3, 1), **around), limit_a=60
    )
    node = replace(world.site.nodes[0], base_max_a=(0.0,) * 3, margin_a=0.0)

    def limited(limit_a: float) -> None:
        nodes = (replace(node, limit_a=(limit_a, None, None)),)
        world.site = replace(world.site, nodes=nodes)

    world.answers("e2")
    world.vehicle("e2", VehicleState.ABSENT)
    limited(60.0)
    assert setpoints(lives(world, 60)) == {"e1": 32.0, "e2": 0.0}, "42.3 A, and amounts are 48 A"
    limited(36.0)
    left_a = sqrt(36.0**2 - (16.0 * sqrt(3.0) / 2.0) ** 2) - 16.0 / 2.0
    assert setpoints(lives(world, 60)) == pytest.approx({"e1": left_a, "e2": 0.0}, abs=1e-5)
    limited(16.0 * sqrt(3.0) - 0.1)
    assert "grid" in room_alarms(lives(world, 60)), "both boots are 27.7 A"
    limited(16.0 * sqrt(3.0) + 0.1)
    assert "grid" not in room_alarms(lives(world, 60))


def test_s11_what_does_not_fit_is_said_and_stops_nobody() -> None:
    world = bare(boots(1, 32.0), boots(2, 32.0), limit_a=52.0)
    decision = lives(world, 60)
    assert "grid" in room_alarms(decision)
    assert setpoints(decision) == pytest.approx({"e1": 20.0, "e2": 20.0})


@pytest.mark.parametrize(
    ("limits", "short", "where"),
    [
        ({"limit_a": (None, 52.0, None)}, {"short_a": 72.0 + 2.0 - 52.0 + 2.0}, "grid L2"),
        ({"limit_va": 52.0 * 253.0}, {"short_va": (74.0 - 52.0) * 253.0 + 6 * 230.0}, "grid in VA"),
    ],
    ids=["phase", "va"],
)
def test_s11_what_does_not_fit_is_said_with_its_row(
    limits: dict[str, Any], short: dict[str, float], where: str
) -> None:
    node = Node(id=GRID, parent=None, base_max_a=(0.0, 10.0, 0.0), margin_a=2.0)
    evses = [boots(n, 32.0, phases=(2,)) for n in (1, 2)]
    world = World(site(evses=evses, nodes=[replace(node, **limits)], meters=[]))
    (alarm,) = (one for one in lives(world, 30).alarms if one.id == "grid" and "boot" in one.code)
    assert alarm.severity is Severity.WARNING
    assert alarm.data == pytest.approx(short)
    assert f"and {where} does not bear" in alarm.text


def test_s11_under_a_trusted_meter_nothing_is_kept_free_and_without_it_it_is_again() -> None:
    place = site(
        evses=[boots(1, 16.0), boots(2, 16.0)],
        limit_a=(52.0, None, None),
        base_max_a=(10.0,) * 3,
    )
    world = World(place)
    world.answers("e2")
    world.vehicle("e2", VehicleState.ABSENT)
    lives(world, 60)
    assert setpoints(lives(world, 5))["e1"] == 32.0
    for _ in range(30):
        world.wait(1.0)
        world.reads("e1", 32.0)
        world.reads("e2", 0.0)
        decision = world.step()
        world.obey(decision)
    assert setpoints(decision)["e1"] == pytest.approx(52.0 - 2.0 - 10.0 - 16.0, abs=1e-3)


def test_s11_a_meter_above_keeps_the_room_on_the_panel_alone() -> None:
    """The panel has no meter of its own; what hangs beside it is not held back."""
    nodes = [
        Node(id=GRID, parent=None, limit_a=(70.0, None, None), margin_a=2.0),
        Node(id=PANEL, parent=GRID, limit_a=(42.0, None, None), margin_a=2.0),
    ]
    meter = Meter(
        id=MeterId("m-grid"),
        node=GRID,
        profile="test",
        link=LinkId("lan"),
        unit=99,
        poll_s=1.0,
        refresh_s=0.0,
    )
    evses = [boots(1, 20.0, node=PANEL), boots(2, 20.0, node=PANEL), boots(3, 20.0)]
    world = World(site(evses=evses, nodes=nodes, meters=[meter]))
    world.answers("e2")
    world.vehicle("e2", VehicleState.ABSENT)
    decision = lives(world, 90)
    assert setpoints(decision) == pytest.approx({"e1": 20.0, "e2": 0.0, "e3": 32.0}, abs=1e-3)


def test_s13_nobody_is_raised_before_who_makes_room_beside_the_boot_currents_has_followed() -> None:
    """e1 was told 20 A and still draws 32; 6 A are kept for e3: of 50 A 12 are left for e2."""
    world = bare(boots(1, 6.0), boots(2, 6.0), boots(3, 6.0), limit_a=62.0)
    for name, held_a in {"e1": 32.0, "e2": 6.0, "e3": 0.0}.items():
        world.sends(name, held_a)
        world.confirms(name)
    world.vehicle("e3", VehicleState.ABSENT)
    for _ in range(20):
        world.wait(1.0)
        decision = world.everything(0.0, {"e1": 32.0, "e2": 6.0, "e3": 0.0})
    world.sends("e1", 20.0)
    world.confirms("e1")
    for _ in range(9):
        world.wait(1.0)
        decision = world.everything(0.0, {"e1": 32.0, "e2": 6.0, "e3": 0.0})
        told = setpoints(decision)
        assert told["e2"] == pytest.approx(12.0, abs=1e-3)
    assert sum(setpoints(lives(world, 60)).values()) == pytest.approx(50.0 - 6.0, abs=1e-3)


def test_s11_without_the_rule_no_room_is_kept() -> None:
    world = bare(boots(1, 16.0), boots(2, 16.0), limit_a=52.0, rules=Rules(s11_boot=False))
    world.answers("e2")
    world.vehicle("e2", VehicleState.ABSENT)
    assert setpoints(lives(world, 60))["e1"] == 32.0


def test_s12_a_decision_without_room_for_boot_currents_breaks_the_promise() -> None:
    world = bare(boots(1, 16.0), boots(2, 16.0), limit_a=52.0)
    lives(world, 60)
    situation, shared = situation_of(world)
    room = boot_room(situation, shared)
    verify_boot_room(room, situation, [24.0, 0.0])
    with pytest.raises(InvariantBroken, match="grid row 1 leaves no room for boot currents by 1"):
        verify_boot_room(room, situation, [25.0, 0.0])


@pytest.mark.parametrize("seed", range(25))
def test_s11_whoever_reboots_the_limit_holds_where_all_boot_currents_fit(seed: int) -> None:
    """Judged by the currents: any set of chargers draws its boot current, the others as told."""
    rng = random.Random(seed)
    count = rng.randint(2, 5)
    evses = [boots(n, rng.choice([6.0, 10.0, 16.0])) for n in range(1, count + 1)]
    needed_a = 10.0 + 2.0 + sum(one.traits.boot_a for one in evses)
    limit_a = needed_a + rng.uniform(0.0, 40.0)
    world = bare(*evses, limit_a=limit_a)
    for _ in range(8):
        name = f"e{rng.randint(1, count)}"
        gone = world.silent(name).vehicle is VehicleState.ABSENT
        world.vehicle(name, VehicleState.CHARGING if gone else VehicleState.ABSENT)
        decision = lives(world, rng.randint(15, 60))
        told = setpoints(decision)
        for size in range(count + 1):
            for rebooted in combinations(evses, size):
                flow_a = 10.0 + sum(
                    one.traits.boot_a if one in rebooted else told[one.id] for one in evses
                )
                assert flow_a <= limit_a + 1e-6
    assert EvseId("e1") in decision.evses


ANGLES = {(1, 2): 30.0, (2, 3): -90.0, (3, 1): 150.0, (1,): 0.0, (2,): -120.0, (3,): 120.0}
BASE_A = 10.0


def line_flows(drawn_a: dict[Evse, float]) -> list[float]:
    """What the lines carry beside the base load, by complex arithmetic on what each one draws."""
    lines = [BASE_A * rect(1.0, radians(angle)) for angle in (0.0, -120.0, 120.0)]
    for one, current_a in drawn_a.items():
        flow = current_a * rect(1.0, radians(ANGLES[one.phases]))
        lines[one.phases[0] - 1] += flow
        if len(one.phases) == 2:
            lines[one.phases[1] - 1] -= flow
    return [abs(line) for line in lines]


@pytest.mark.parametrize("seed", range(15))
def test_s11_between_lines_too_the_limit_holds_whoever_reboots(seed: int) -> None:
    """Every one draws its boot current, or as told, or nothing; all boot currents fit."""
    rng = random.Random(seed)
    evses = [
        boots(
            n,
            rng.choice([6.0, 10.0, 16.0]),
            phases=(wired := rng.choice(list(ANGLES)) if n > 1 else (1, 2)),
            connection=Connection.LINE_TO_LINE if len(wired) == 2 else Connection.LINE_TO_NEUTRAL,
        )
        for n in range(1, rng.randint(3, 5))
    ]
    needed_a = max(
        max(line_flows({one: one.traits.boot_a for one in some}))
        for size in range(len(evses) + 1)
        for some in combinations(evses, size)
    )
    limit_a = needed_a + 2.0 + rng.uniform(0.1, 30.0)
    world = bare(*evses, limit_a=limit_a)
    node = replace(world.site.nodes[0], limit_a=(limit_a,) * 3)
    world.site = replace(world.site, nodes=(node,))
    fullest_a = 0.0
    for _ in range(8):
        name = rng.choice(evses).id
        gone = world.silent(name).vehicle is VehicleState.ABSENT
        world.vehicle(name, VehicleState.CHARGING if gone else VehicleState.ABSENT)
        decision = lives(world, rng.randint(15, 60))
        told = setpoints(decision)
        assert room_alarms(decision) == []
        choices = [(0.0, told[one.id], one.traits.boot_a) for one in evses]
        for drawn_a in product(*choices):
            flows = line_flows(dict(zip(evses, drawn_a, strict=True)))
            fullest_a = max(fullest_a, *flows)
            assert max(flows) <= limit_a - 2.0 + 1e-5
    assert fullest_a > 0.8 * (limit_a - 2.0)
