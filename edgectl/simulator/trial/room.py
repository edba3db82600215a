"""Whether the nodes above an EVSE would bear more of it at the end of a trial."""

from typing import Final

from edgectl.model.site import Evse, Node, Sees, has_phasors
from edgectl.simulator.device.device_catalog import is_dc
from edgectl.simulator.trial import phasor_room, troubles
from edgectl.simulator.trial.evidence import Evidence
from edgectl.simulator.trial.wishes import END_S

_TRACE_S: Final = 0.25
_SPARE_A: Final = 3.0
_MARGIN_PART: Final = 0.02
_VA_PER_W: Final = 1.1
_UNKNOWN_V_SHARE: Final = 0.90


def at_the_end(evidence: Evidence) -> range:
    """Give the samples that are looked at: the last before the gateway is told to stop."""
    count = min(len(evidence.trace.times_s), int(evidence.duration_s / _TRACE_S))
    return range(max(0, count - int(END_S / _TRACE_S)), count)


def is_lost(evidence: Evidence, evse: Evse) -> bool:
    """Tell whether nobody can talk to it at the end."""
    from_s = evidence.duration_s - END_S
    return troubles.any_touches(troubles.of_device(evidence, evse), from_s, evidence.duration_s)


def has_room(evidence: Evidence, node: Node, evse: Evse, wanted_a: float) -> bool:
    """Tell whether a node bears so much more of an EVSE.

    What is drawn counts beside what is reserved and the base load: where no meter measures that it
    is the worst case, whatever flows (S7); where one does, what EVSEs without readings draw may be
    base load, too (S4).
    """
    truths = evidence.trace.nodes[node.id]
    inside = _nodes_below(evidence, node)
    below = [other for other in evidence.site.evses if other.node in inside]
    reserved_a = {other.id: _reserved_a(evidence, other, node) for other in below}
    needs_a, last = wanted_a + _SPARE_A, at_the_end(evidence)
    if has_phasors(evidence.site):
        drawn_a = {other.id: max(_drawn_a(evidence, other)) for other in below}
        return phasor_room.bears(
            evidence.site,
            node,
            [(evse, needs_a), *((one, drawn_a[one.id] + reserved_a[one.id]) for one in below)],
            truths=[truths[n] for n in last],
            measured=lambda one: _is_measured(evidence, one),
        )
    volts = evidence.site.voltage_v
    more_a = {
        one.id: (counted(evidence, one) - 1.0) * max(_drawn_a(evidence, one)) for one in below
    }
    for phase in evse.phases:
        limit_a = node.limit_a[phase - 1]
        if limit_a is None:
            continue
        margin_a = _MARGIN_PART * limit_a if node.margin_a is None else node.margin_a
        flow_a = max(truths[n].current_a[phase - 1] - truths[n].base_a[phase - 1] for n in last)
        flow_a += sum(reserved_a[one.id] + more_a[one.id] for one in below if phase in one.phases)
        flow_a += _base_a(evidence, node, phase)
        if flow_a + needs_a > limit_a - margin_a:
            return False
    if node.limit_va is None:
        return True
    margin_va = _MARGIN_PART * node.limit_va if node.margin_a is None else 3 * volts * node.margin_a
    flow_w = max(truths[n].power_w - truths[n].base_power_w for n in last)
    flow_w += volts * sum((reserved_a[one.id] + more_a[one.id]) * len(one.phases) for one in below)
    flow_w += volts * needs_a * len(evse.phases)
    base_w = _base_w(evidence, node)
    return _VA_PER_W * flow_w + max(base_w, _VA_PER_W * base_w) <= node.limit_va - margin_va


def counted(evidence: Evidence, evse: Evse) -> float:
    """What an ampere that flows counts as (DESIGN 5): more where watts are told at a guess.

    DC chargers are told watts, reckoned with 0.90 of the nominal voltage where no meter has it.
    """
    above = {node.id for node in path(evidence, evse)}
    if not is_dc(evse) or any(meter.node in above for meter in evidence.site.meters):
        return 1.0
    mean_v = max(evidence.trace.mean_v[n] for n in at_the_end(evidence))
    return max(1.0, mean_v / (_UNKNOWN_V_SHARE * evidence.site.voltage_v))


def _unread(evidence: Evidence, node: Node) -> list[Evse]:
    """The EVSEs below a node that never show their current.

    One that is lost showed it before, and by then the base load is known beside it.
    """
    inside = _nodes_below(evidence, node)
    return [evse for evse in evidence.site.evses if evse.node in inside and not evse.traits.metered]


def _drawn_a(evidence: Evidence, evse: Evse) -> list[float]:
    traced = evidence.trace.evses[evse.id]
    return [traced.drawn_a[n] for n in at_the_end(evidence)]


def _reserved_a(evidence: Evidence, evse: Evse, node: Node) -> float:
    """What an EVSE may draw at a node, and does not: what it is told, or what its watchdog leaves.

    Where no meter shows it, it may restart at any time, and its silence may be a restart (S11).
    """
    traced, traits = evidence.trace.evses[evse.id], evse.traits
    last = at_the_end(evidence)
    if is_lost(evidence, evse):
        left_a = max(traits.failsafe_a, traits.boot_a)
        return max(max(0.0, left_a - traced.drawn_a[n]) for n in last)
    least_a = 0.0 if _is_shown(evidence, evse, node) else traits.boot_a
    return max(max(0.0, max(least_a, traced.asked_a[n]) - traced.drawn_a[n]) for n in last)


def _is_shown(evidence: Evidence, evse: Evse, node: Node) -> bool:
    """Tell whether a meter at a node, or between it and an EVSE below, shows what that draws."""
    showing = {meter.node for meter in evidence.site.meters if meter.sees is Sees.ALL}
    for between in path(evidence, evse):
        if between.id in showing:
            return True
        if between.id == node.id:
            return False
    return False


def _nodes_below(evidence: Evidence, node: Node) -> set[str]:
    below = {str(node.id)}
    for other in evidence.site.nodes:
        if other.parent in below:
            below.add(other.id)
    return below


def _base_a(evidence: Evidence, node: Node, phase: int) -> float:
    """The most that the base load of a node may be: by its meter, else its own worst and below."""
    if _is_measured(evidence, node):
        truths = evidence.trace.nodes[node.id]
        base_a = max(truths[n].base_a[phase - 1] for n in at_the_end(evidence))
        unread = [one for one in _unread(evidence, node) if phase in one.phases]
        return base_a + sum(max(_drawn_a(evidence, one)) for one in unread)
    children = [child for child in evidence.site.nodes if child.parent == node.id]
    return node.base_max_a[phase - 1] + sum(_base_a(evidence, child, phase) for child in children)


def _base_w(evidence: Evidence, node: Node) -> float:
    """The same of all three phases."""
    if _is_measured(evidence, node):
        truths = evidence.trace.nodes[node.id]
        base_w = max(truths[n].base_power_w for n in at_the_end(evidence))
        unread_a = [
            len(one.phases) * max(_drawn_a(evidence, one)) for one in _unread(evidence, node)
        ]
        return base_w + evidence.site.voltage_v * sum(unread_a)
    children = [child for child in evidence.site.nodes if child.parent == node.id]
    own_w = evidence.site.voltage_v * sum(node.base_max_a)
    return own_w + sum(_base_w(evidence, child) for child in children)


def _is_measured(evidence: Evidence, node: Node) -> bool:
    return any(
        meter.node == node.id and meter.sees is not Sees.PART for meter in evidence.site.meters
    )


def path(evidence: Evidence, evse: Evse) -> list[Node]:
    """Give the nodes above an EVSE, the one that it hangs on first."""
    by_id = {node.id: node for node in evidence.site.nodes}
    nodes = [by_id[evse.node]]
    while (above := nodes[-1].parent) is not None:
        nodes.append(by_id[above])
    return nodes
