"""Checks of which line carries whose current: phases, line-to-line EVSEs and transformers.

Every EVSE loads some lines of its own node. A delta-wye transformer feeds each line of its
secondary side through two of its primary lines, so above it an EVSE loads further ones.
"""

from collections.abc import Iterator, Mapping
from math import sqrt
from typing import Final

from edgectl.control.kernel import bears_ratios
from edgectl.errors import Finding
from edgectl.model.site import fed_by
from edgectl.sitefile.draft import Draft, Placed
from edgectl.sitefile.entries.devices import EvseEntry, MeterEntry
from edgectl.sitefile.entries.electrical import NodeEntry

LINES: Final = frozenset((1, 2, 3))
SAME_V_SHARE: Final = 1e-3


def check_wiring(draft: Draft) -> Iterator[Finding]:
    """Check what belongs to phases and windings."""
    nodes = {placed.entry.id: placed.entry for placed in draft.nodes}
    yield from _check_protection(draft, nodes)
    yield from _check_meters(draft, nodes)
    yield from _check_pairs(draft)
    yield from _check_transformers(draft)


def _path(nodes: Mapping[str, NodeEntry], name: str) -> list[NodeEntry]:
    """A node and all above it, as far as they are known."""
    path: list[NodeEntry] = []
    at: str | None = name
    while at is not None and at in nodes and nodes[at] not in path:
        path.append(nodes[at])
        at = nodes[at].parent
    return path


def _check_protection(draft: Draft, nodes: Mapping[str, NodeEntry]) -> Iterator[Finding]:
    """Every phase that an EVSE loads is limited somewhere between it and the grid connection."""
    for placed in draft.evses:
        path = _path(nodes, placed.entry.node)
        if not path or path[-1].parent is not None:
            continue
        bare = [phase for phase in sorted(set(placed.entry.phases)) if not _limits(path, phase)]
        if bare:
            yield draft.source.finding(
                (*placed.where, "phases"),
                code="unlimited_phase",
                message=f"no node above {placed.entry.id} limits "
                + ", ".join(f"L{phase}" for phase in bare),
                remedy="add the limit of that phase to a node, or correct the phases",
            )


def _limits(path: list[NodeEntry], phase: int) -> bool:
    """Whether any node of a path limits what flows on a phase of the first one."""
    lines = frozenset((phase,))
    for node in path:
        if node.limit_va is not None or lines & _limited(node.limit_a):
            return True
        if node.transformer is not None:
            lines = fed_by(lines)
            if lines & _limited(node.primary_limit_a):
                return True
    return False


def _limited(limits: list[float | None] | None) -> frozenset[int]:
    return frozenset(k for k, limit in enumerate(limits or [], 1) if limit is not None)


def _check_meters(draft: Draft, nodes: Mapping[str, NodeEntry]) -> Iterator[Finding]:
    """A meter must see every phase that its node limits or that an EVSE below it loads."""
    for placed in draft.meters:
        meter, node = placed.entry, nodes.get(placed.entry.node)
        seen = frozenset(meter.phases)
        if meter.sees == "part" or node is None or seen == LINES:
            continue
        needed = _limited(node.limit_a)
        if node.transformer is not None and node.primary_limit_a is not None:
            needed = LINES
        for evse in draft.evses:
            needed |= _loaded(nodes, evse.entry, node)
        if needed - seen:
            yield _unseen(draft, placed, needed - seen)


def _loaded(nodes: Mapping[str, NodeEntry], evse: EvseEntry, at: NodeEntry) -> frozenset[int]:
    """The lines of a node that an EVSE loads; none where it is not below."""
    lines = frozenset(evse.phases)
    for node in _path(nodes, evse.node):
        if node is at:
            return lines
        if node.transformer is not None:
            lines = fed_by(lines)
    return frozenset()


def _unseen(draft: Draft, placed: Placed[MeterEntry], lines: frozenset[int]) -> Finding:
    missed = ", ".join(f"L{line}" for line in sorted(lines))
    node = placed.entry.node
    return draft.source.finding(
        (*placed.where, "phases"),
        code="meter_phases",
        message=f"it does not see {missed}, which {node} limits or an EVSE below it loads",
        remedy="use a three-phase meter, or leave the node without one",
    )


def _check_pairs(draft: Draft) -> Iterator[Finding]:
    """A line-to-line EVSE hangs between two phases."""
    for placed in draft.evses:
        evse = placed.entry
        if evse.connection == "line_to_line" and len(evse.phases) != 2:
            yield draft.source.finding(
                (*placed.where, "phases"),
                code="not_a_pair",
                message=f"a line_to_line EVSE is wired to two phases, {evse.id} to "
                f"{len(evse.phases)}",
                remedy="write the two phases that it hangs between, or connection: line_to_neutral",
            )


def _check_transformers(draft: Draft) -> Iterator[Finding]:
    for placed in draft.nodes:
        node = placed.entry
        if node.primary_limit_a is not None and node.transformer is None:
            yield draft.source.finding(
                (*placed.where, "primary_limit_a"),
                code="no_transformer",
                message=f"{node.id} has no transformer, so it has no primary side",
                remedy="add transformer with its winding and turns_ratio, or write limit_a",
            )
    yield from _check_ratios(draft)
    if draft.head is not None:
        yield from _check_voltages(draft, draft.head.voltage_v)


def _check_ratios(draft: Draft) -> Iterator[Finding]:
    """All transformers above an EVSE leave something of its current, and not too much."""
    nodes = {placed.entry.id: placed.entry for placed in draft.nodes}
    for placed in draft.evses:
        evse = placed.entry
        ratios = [
            node.transformer.turns_ratio
            for node in _path(nodes, evse.node)
            if node.transformer is not None
        ]
        if not bears_ratios(ratios, line_to_line=evse.connection == "line_to_line"):
            yield draft.source.finding(
                (*placed.where, "node"),
                code="ratios_too_far",
                message=f"the transformers above {evse.id} turn its current into less than a "
                "millionth, or more than a million times, of it",
                remedy="correct turns_ratio: primary volts line to line by secondary volts line to "
                "neutral, 4 for 480 V to 208/120 V",
            )


def _check_voltages(draft: Draft, voltage_v: float) -> Iterator[Finding]:
    """All transformers that one side feeds must lead to the same voltage there."""
    order = _from_root(draft)
    top: dict[str, str] = {}
    for placed in order:
        node = placed.entry
        within = node.parent is not None and node.transformer is None
        top[node.id] = top[node.parent] if within and node.parent is not None else node.id
    known: dict[str, tuple[float, str]] = {}
    for placed in reversed(order):
        node = placed.entry
        if node.parent is None or node.transformer is None:
            continue
        own_v = known[node.id][0] if node.id in known else voltage_v
        above_v = own_v * node.transformer.turns_ratio / sqrt(3.0)
        other_v, other = known.setdefault(top[node.parent], (above_v, node.id))
        if abs(above_v - other_v) > SAME_V_SHARE * other_v:
            yield draft.source.finding(
                placed.where,
                code="voltages_differ",
                message=f"{node.parent} would have {above_v:.4g} V because of {node.id}, and has "
                f"{other_v:.4g} V because of {other}",
                remedy="correct turns_ratio; site.voltage_v is that of every node that feeds no "
                "transformer, itself or through others",
            )


def _from_root(draft: Draft) -> list[Placed[NodeEntry]]:
    """Parents before their children; nodes in a circle are left out."""
    order = [placed for placed in draft.nodes if placed.entry.parent is None]
    for above in order:
        order += [placed for placed in draft.nodes if placed.entry.parent == above.entry.id]
    return order
