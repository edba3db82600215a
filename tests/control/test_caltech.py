"""The Caltech garage of the example site: figures that trials of others found (DESIGN 5)."""

from cmath import rect
from collections.abc import Sequence
from dataclasses import replace
from math import radians
from pathlib import Path

import pytest

from edgectl.model.site import Connection, Site
from edgectl.sitefile.load import load_site
from edgectl.units import EvseId
from tests.control.world import World
from tests.oracle.allocation import max_min
from tests.oracle.problem import Row

SITE_FILE = Path(__file__).parents[2] / "config" / "acn-caltech.yaml"
LINE_TO_LINE_V = 208.0


def garage() -> Site:
    """The example site as the trials had it: any current from 6 A on, no margin."""
    site = load_site(SITE_FILE).site
    return replace(
        site,
        nodes=tuple(replace(node, margin_a=0.0) for node in site.nodes),
        evses=tuple(
            replace(
                one, traits=replace(one.traits, step_a=0.0, allowed_a=(), min_a=6.0, boot_a=6.0)
            )
            for one in site.evses
        ),
    )


def allocated(site: Site) -> dict[EvseId, float]:
    world = World(site)
    for _ in range(3):
        world.wait(1.0)
        world.meter(0.0, 0.0, 0.0, meter=site.meters[0].id)
        for one in site.evses:
            world.reads(one.id, 0.0)
        decision = world.step()
    return {name: one.allocation_a for name, one in decision.evses.items()}


def of_node(site: Site, found: dict[EvseId, float], node: str) -> Sequence[float]:
    return [found[one.id] for one in site.evses if one.node == node]


def test_the_whole_garage_gets_what_the_transformer_bears() -> None:
    site = garage()
    found = allocated(site)
    assert sum(found.values()) == pytest.approx(609.32, abs=0.005)
    assert sum(found.values()) * LINE_TO_LINE_V == pytest.approx(126_740.0, abs=5.0)
    for pod in ("cc-pod", "av-pod"):
        assert sum(of_node(site, found, pod)) == pytest.approx(80.0, abs=1e-6)
    assert of_node(site, found, "T1") == pytest.approx([11.824] * 38, abs=0.0005)


def by_amounts(site: Site) -> float:
    """The most that a controller that adds amounts of current could share out: linear programs.

    A pair counts in full on both of its lines, and once, twice and once on the primary ones: on
    primary B, fed by lines b and a, that between 1 and 2 is twice.
    """
    parent = {node.id: node.parent for node in site.nodes}
    rows = []
    for n, node in enumerate(site.nodes):
        inside = {
            i: one
            for i, one in enumerate(site.evses)
            if one.node == node.id or parent[one.node] == node.id
        }
        for p, limit_a in enumerate(node.limit_a, 1):
            if limit_a is not None:
                loads = {i: 1.0 for i, one in inside.items() if p in one.phases}
                rows.append(Row(n, f"line {p}", loads, limit_a))
        for p, limit_a in enumerate(node.primary_limit_a, 1):
            if limit_a is not None and node.transformer is not None:
                fed = {p, 3 if p == 1 else p - 1}
                loads = {
                    i: len(fed & set(one.phases)) / node.transformer.turns_ratio
                    for i, one in inside.items()
                }
                rows.append(Row(n, f"primary {p}", loads, limit_a))
    bounds = {i: (one.traits.min_a, one.max_a) for i, one in enumerate(site.evses)}
    found = max_min(rows, [0.0] * len(bounds), bounds, dict.fromkeys(bounds, 1.0))
    return sum(found.values())


def test_a_controller_that_adds_amounts_would_give_a_fifth_less() -> None:
    """609.32 A through the step, and 487.4 A at most by the linear bound."""
    site = garage()
    linear_a, total_a = by_amounts(site), sum(allocated(site).values())
    assert linear_a == pytest.approx(487.4, abs=0.05)
    assert linear_a / total_a == pytest.approx(487.4 / 609.32, abs=0.0001)


def test_no_line_carries_more_than_it_may() -> None:
    """By complex arithmetic on what everybody gets."""
    site = garage()
    found = allocated(site)
    angles = {(1, 2): (0, 1, 30.0), (2, 3): (1, 2, -90.0), (3, 1): (2, 0, 150.0)}
    lines = [0j, 0j, 0j]
    for one in site.evses:
        assert one.connection is Connection.LINE_TO_LINE
        out, back, angle = angles[one.phases[0], one.phases[1]]
        flow = found[one.id] * rect(1.0, radians(angle))
        lines[out] += flow
        lines[back] -= flow
    a, b, c = lines
    primary = [abs(a - c) / 4.0, abs(b - a) / 4.0, abs(c - b) / 4.0]
    assert max(abs(line) for line in lines) <= 416.667 + 1e-6
    assert max(primary) == pytest.approx(180.505, abs=1e-6)
