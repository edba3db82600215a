"""The daemon lives: it ticks, talks, connects, charges; and it does not contradict itself.

1. No step is ever broken and no task ends by a fault.
2. Every task makes progress: ticks come each second, no link is left alone for longer than its
   longest wait, the connection to the region comes back, its backlog goes down.
3. Once nothing fails any more, a vehicle that wants power and has room gets some.
4. What is kept stays bounded (S23).
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from edgectl.model.site import Evse, Mode, Node, Sees
from edgectl.simulator.faults import FaultKind
from edgectl.simulator.trial import troubles
from edgectl.simulator.trial.evidence import Breach, Evidence, Look
from edgectl.simulator.trial.promises import promises
from edgectl.simulator.trial.wishes import END_S, is_held_down, wants_all_the_time

TICK_S: Final = 1.0
_LATE_S: Final = 0.6
_LINK_WAIT_S: Final = 66.0
_CONNECT_WAIT_S: Final = 75.0
_TASKS_MAX: Final = 40
_TRACE_S: Final = 0.25
_SPARE_A: Final = 3.0
_MARGIN_PART: Final = 0.02
_BACKLOG_MAX: Final = 30
_TOLD_PART: Final = 0.8


def check_progress(evidence: Evidence) -> list[Breach]:
    """Give everything that stands still or came to an end."""
    return [
        *_check_lives(evidence),
        *_check_ticks(evidence),
        *_check_looks(evidence),
        *_check_region(evidence),
        *(() if evidence.site.mode is Mode.OBSERVE else _check_charging(evidence)),
    ]


def _check_lives(evidence: Evidence) -> Iterator[Breach]:
    for life in evidence.lives:
        if life.failure:
            yield Breach(check="failed", at_s=life.until_s, text=life.failure)
        for crash in life.crashes:
            yield Breach(check="broken_step", at_s=life.until_s, text=crash)
    if evidence.overgrown:
        yield Breach(
            check="bounds",
            at_s=evidence.duration_s,
            text=f"more {evidence.overgrown} are kept than the bound allows",
        )


def _check_ticks(evidence: Evidence) -> Iterator[Breach]:
    for life in evidence.lives:
        ended_s = life.until_s if life.stopping_s is None else life.stopping_s
        inside = [at_s for at_s in evidence.ticks_s if life.started_s <= at_s <= ended_s]
        for before_s, after_s in pairwise([life.started_s, *inside, ended_s]):
            if after_s - before_s > TICK_S + _LATE_S:
                yield Breach(
                    check="tick",
                    at_s=before_s,
                    text=f"no tick for {after_s - before_s:.2f} s",
                )
                break


def _check_looks(evidence: Evidence) -> Iterator[Breach]:
    dead = troubles.of_gateway(evidence)
    broker = troubles.of_kind(
        evidence, FaultKind.BROKER_AWAY, FaultKind.BROKER_MUTE, FaultKind.BROKER_KILLED
    )
    told: set[str] = set()
    for look in evidence.looks:
        if look.tasks > _TASKS_MAX + 3 * len(evidence.site.links) and "tasks" not in told:
            told.add("tasks")
            yield Breach(check="bounds", at_s=look.at_s, text=f"{look.tasks} tasks are alive")
        if not troubles.any_touches(dead, look.at_s - _LINK_WAIT_S, look.at_s):
            for link in _left_alone(evidence, look):
                if link not in told:
                    told.add(link)
                    yield Breach(
                        check="wedged",
                        at_s=look.at_s,
                        text=f"nothing was sent on link {link} for {_LINK_WAIT_S:g} s",
                    )
        away = troubles.any_touches([*dead, *broker], look.at_s - _CONNECT_WAIT_S, look.at_s)
        if not away and not look.connected and "broker" not in told:
            told.add("broker")
            yield Breach(check="wedged", at_s=look.at_s, text="the broker is not connected to")


def _left_alone(evidence: Evidence, look: Look) -> list[str]:
    if look.at_s < _LINK_WAIT_S:
        return []
    return [
        link.id
        for link in evidence.site.links
        if look.talked_s.get(link.id, 0.0) < look.at_s - _LINK_WAIT_S
    ]


def _check_region(evidence: Evidence) -> Iterator[Breach]:
    """In the quiet time the region hears of the site as it should, and the backlog is gone."""
    from_s = evidence.duration_s - 100.0
    told = sum(h.name == "telemetry" and h.at_s >= from_s for h in evidence.heard)
    if told < int(_TOLD_PART * 100.0 / evidence.tells_every_s):
        yield Breach(
            check="untold",
            at_s=evidence.duration_s,
            text=f"{told} telemetry messages in the last 100 s, one in"
            f" {evidence.tells_every_s:g} s is due",
        )
    if evidence.looks and evidence.looks[-1].backlog > _BACKLOG_MAX:
        yield Breach(
            check="wedged",
            at_s=evidence.looks[-1].at_s,
            text=f"{evidence.looks[-1].backlog} rows still wait for the region",
        )


def _check_charging(evidence: Evidence) -> Iterator[Breach]:
    """At the end, who has wanted power for long and has room for it draws some."""
    count = len(evidence.trace.times_s)
    last = range(max(0, count - int(END_S / _TRACE_S)), count)
    made = promises(evidence)
    for evse in evidence.site.evses:
        traced = evidence.trace.evses[evse.id]
        if not wants_all_the_time(evidence, evse):
            continue
        if any(traced.drawn_a[n] > 0.0 for n in last):
            continue
        if is_held_down(evidence, evse, made):
            continue
        nodes = _path(evidence, evse)
        if all(_has_room(evidence, node, evse, last) for node in nodes):
            yield Breach(
                check="starved",
                at_s=evidence.duration_s,
                text=f"{evse.id} wants power and gets none, though all of its nodes have room",
            )


def _has_room(evidence: Evidence, node: Node, evse: Evse, last: range) -> bool:
    """Whether a node would bear the EVSE's minimum, by what flows and by the worst case."""
    truths = evidence.trace.nodes[node.id]
    hidden_a = _unseen_base_a(evidence, node)
    inside = _nodes_below(evidence, node)
    below = [other for other in evidence.site.evses if other.node in inside]
    needs_a = max([evse.traits.min_a, *evse.traits.allowed_a[:1]]) + _SPARE_A
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
    """What an EVSE is told it may draw, and does not."""
    traced = evidence.trace.evses[evse.id]
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


def _path(evidence: Evidence, evse: Evse) -> list[Node]:
    by_id = {node.id: node for node in evidence.site.nodes}
    nodes = [by_id[evse.node]]
    while (above := nodes[-1].parent) is not None:
        nodes.append(by_id[above])
    return nodes
