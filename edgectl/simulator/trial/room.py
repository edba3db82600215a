"""Whether the nodes above an EVSE would bear more of it at the end of a trial."""

from typing import Final

from edgectl.model.site import Evse, Node, Sees
from edgectl.simulator.trial import troubles
from edgectl.simulator.trial.evidence import Evidence
from edgectl.simulator.trial.wishes import END_S

_TRACE_S: Final = 0.25
_SPARE_A: Final = 3.0
_MARGIN_PART: Final = 0.02


def at_the_end(evidence: Evidence) -> range:
    """Give the samples that are looked at: the last before the gateway is told to stop."""
    count = min(len(evidence.trace.times_s), int(evidence.duration_s / _TRACE_S))
    return range(max(0, count - int(END_S / _TRACE_S)), count)


def is_lost(evidence: Evidence, evse: Evse) -> bool:
    """Tell whether nobody can talk to it at the end."""
    from_s = evidence.duration_s - END_S
    return troubles.any_touches(troubles.of_device(evidence, evse), from_s, evidence.duration_s)


def has_room(evidence: Evidence, node: Node, evse: Evse, more_a: float) -> bool:
    """Tell whether a node bears so much more of an EVSE, by what flows and by the worst case."""
    truths = evidence.trace.nodes[node.id]
    hidden_a = _unseen_base_a(evidence, node)
    inside = _nodes_below(evidence, node)
    below = [other for other in evidence.site.evses if other.node in inside]
    needs_a, last = more_a + _SPARE_A, at_the_end(evidence)
    volts = evidence.site.voltage_v
    for phase in evse.phases:
        limit_a = node.limit_a[phase - 1]
        if limit_a is None:
            continue
        margin_a = _MARGIN_PART * limit_a if node.margin_a is None else node.margin_a
        flow_a = max(truths[n].current_a[phase - 1] for n in last)
        flow_a += sum(
            _reserved_a(evidence, other, last) for other in below if phase in other.phases
        )
        if flow_a + hidden_a + needs_a > limit_a - margin_a:
            return False
    if node.limit_va is None:
        return True
    margin_va = _MARGIN_PART * node.limit_va if node.margin_a is None else 3 * volts * node.margin_a
    reserved_a = sum(_reserved_a(evidence, other, last) * len(other.phases) for other in below)
    flow_w = 1.1 * (max(truths[n].power_w for n in last) + volts * reserved_a)
    wanted_w = 1.1 * volts * (needs_a * len(evse.phases) + 3.0 * hidden_a)
    return flow_w + wanted_w <= node.limit_va - margin_va


def _reserved_a(evidence: Evidence, evse: Evse, last: range) -> float:
    """What an EVSE may draw, and does not: what it is told, or alone what its watchdog leaves it.

    Where no meter shows it, its silence may be a restart (S11).
    """
    traced, traits = evidence.trace.evses[evse.id], evse.traits
    if is_lost(evidence, evse):
        left_a = max(traits.failsafe_a, traits.boot_a)
        return max(max(0.0, left_a - traced.drawn_a[n]) for n in last)
    return max(max(0.0, traced.asked_a[n] - traced.drawn_a[n]) for n in last)


def _nodes_below(evidence: Evidence, node: Node) -> set[str]:
    below = {str(node.id)}
    for other in evidence.site.nodes:
        if other.parent in below:
            below.add(other.id)
    return below


def _unseen_base_a(evidence: Evidence, node: Node) -> float:
    """The worst base load that no meter measures, at the node and below; greatest phase."""
    counted = [meter for meter in evidence.site.meters if meter.sees is not Sees.PART]
    if any(meter.node == node.id for meter in counted):
        return 0.0
    below = [child for child in evidence.site.nodes if child.parent == node.id]
    return max(node.base_max_a) + sum(_unseen_base_a(evidence, child) for child in below)


def path(evidence: Evidence, evse: Evse) -> list[Node]:
    """Give the nodes above an EVSE, the one that it hangs on first."""
    by_id = {node.id: node for node in evidence.site.nodes}
    nodes = [by_id[evse.node]]
    while (above := nodes[-1].parent) is not None:
        nodes.append(by_id[above])
    return nodes
