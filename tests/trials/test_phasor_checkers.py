"""The checkers can fail where currents are phasors, and where phases may not be far apart."""

from copy import deepcopy
from dataclasses import replace

import pytest

from edgectl.model.site import Node
from edgectl.simulator.trial.check_overload import check_overload
from edgectl.simulator.trial.evidence import Evidence
from edgectl.simulator.trial.phasor_room import bears
from edgectl.simulator.trial.trial import draw_trial, run_trial
from edgectl.simulator.trial.verdict import judge_trial

TRANSFORMER = 63
APART = 231
AT = 1200  # a sample of the trace, 300 s after the start

pytestmark = pytest.mark.timeout(900)


def without_faults(seed: int) -> Evidence:
    return run_trial(draw_trial(seed).only(faults=frozenset(), orders=frozenset()))


@pytest.fixture(scope="module")
def garage() -> Evidence:
    return without_faults(TRANSFORMER)


@pytest.fixture(scope="module")
def uneven() -> Evidence:
    return without_faults(APART)


def transformed(evidence: Evidence) -> Node:
    return next(node for node in evidence.site.nodes if any(node.primary_limit_a))


def everybody_draws(evidence: Evidence) -> None:
    for traced in evidence.trace.evses.values():
        for n in range(AT, AT + 400):
            traced.drawn_a[n] = traced.asked_a[n] = 50.0
            traced.phases[n] = 2


def put(evidence: Evidence, *, line: float, primary: float) -> None:
    """So much of what the transformer's node bears flows on lines 2 of both sides."""
    everybody_draws(evidence)
    node = transformed(evidence)
    limit_a, primary_limit_a = node.limit_a[1] or 0.0, node.primary_limit_a[1] or 0.0
    truths = evidence.trace.nodes[node.id]
    for n in range(AT, AT + 400):
        phasors = truths[n].phasors
        assert phasors is not None
        flows = replace(
            phasors,
            line_a=(0j, line * limit_a + 0j, 0j),
            primary_a=(0j, primary * primary_limit_a + 0j, 0j),
        )
        truths[n] = replace(truths[n], phasors=flows, power_w=0.0)


@pytest.mark.parametrize(
    ("line", "primary", "where"),
    [
        pytest.param(0.9, 0.9, "", id="within both"),
        pytest.param(1.5, 0.9, "A on L2", id="on a line"),
        pytest.param(0.9, 1.5, "A on primary L2", id="on a primary line"),
    ],
)
def test_both_sides_of_a_transformer_are_watched(
    garage: Evidence, line: float, primary: float, where: str
) -> None:
    assert judge_trial(TRANSFORMER, garage).breaches == ()
    evidence = deepcopy(garage)
    put(evidence, line=line, primary=primary)
    name = transformed(evidence).id
    said = [one.text for one in check_overload(evidence) if one.text.startswith(f"{name} draws")]
    assert [text.split(",")[0].split(" ", 3)[3] for text in said] == ([where] if where else [])


def phases_apart(evidence: Evidence, part: float) -> None:
    """Everybody draws on line 1 alone, `part` of what the phases may be apart."""
    site = evidence.site
    node = next(one for one in site.nodes if one.unbalance_a is not None)
    evidence.site = replace(site, evses=tuple(replace(evse, phases=(1,)) for evse in site.evses))
    everybody_draws(evidence)
    flows_a = part * (node.unbalance_a or 0.0)
    truths = evidence.trace.nodes[node.id]
    for n in range(AT - 400, AT + 400):
        more_a = flows_a if n >= AT else 0.0
        truths[n] = replace(
            truths[n], current_a=(more_a, 0.0, 0.0), base_a=(0.0, 0.0, 0.0), power_w=0.0
        )


@pytest.mark.parametrize(("part", "breached"), [(0.99, False), (1.1, True)])
def test_how_far_phases_are_apart_is_watched(
    uneven: Evidence, *, part: float, breached: bool
) -> None:
    assert judge_trial(APART, uneven).breaches == ()
    evidence = deepcopy(uneven)
    phases_apart(evidence, part)
    said = [
        one.text
        for one in check_overload(evidence)
        if "A of L1 above" in one.text and 300.0 <= one.at_s < 400.0
    ]
    assert bool(said) is breached


@pytest.mark.parametrize(("part", "room"), [(0.9, True), (1.1, False)])
@pytest.mark.parametrize("side", ["limit_a", "primary_limit_a"])
def test_room_is_what_even_the_amounts_leave(
    garage: Evidence, *, side: str, part: float, room: bool
) -> None:
    """One pair draws 40 A: 40 A on its lines, 20 A on one line of the primary side."""
    site = garage.site
    pair = replace(next(evse for evse in site.evses if evse.voltages == 3.0**0.5), phases=(1, 2))
    (node,) = (one for one in site.nodes if any(one.primary_limit_a))
    turns = 1.0 if node.transformer is None else node.transformer.turns_ratio
    most_a = 40.0 if side == "limit_a" else 40.0 * 2.0 / turns
    bound = {"limit_a": (None,) * 3, "primary_limit_a": (None,) * 3, "limit_va": None}
    node = replace(
        node,
        **{**bound, side: (most_a / part / 0.98,) * 3},  # type: ignore[arg-type]
        base_max_a=(0.0,) * 3,
        margin_a=None,
    )
    site = replace(
        site,
        nodes=tuple(
            node if one.id == node.id else replace(one, base_max_a=(0.0,) * 3) for one in site.nodes
        ),
        evses=(replace(pair, node=node.id),),
    )
    assert bears(site, node, [(site.evses[0], 40.0)], truths=(), measured=lambda _: False) is room
