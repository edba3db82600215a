"""One ceiling per row and per EVSE, each with its holder; later rules may only narrow (S17)."""

from edgectl.clock import Instant
from edgectl.control.judge import NodeJudgement
from edgectl.control.layout import Layout
from edgectl.control.limits import EvseCeiling, NodeCeilings, margins
from edgectl.control.rows import watts_per_a
from edgectl.model.ceiling import TimedCeiling
from edgectl.model.rules import Rules
from edgectl.model.site import Evse, Node
from edgectl.model.snapshot import Snapshot


def cap_nodes(
    snapshot: Snapshot, layout: Layout, now: Instant, rules: Rules
) -> tuple[NodeCeilings, ...]:
    """The ceilings of every node, in the site's order."""
    by_node: dict[str, list[TimedCeiling]] = {}
    for ceiling in snapshot.ceilings:
        if ceiling.node is not None and is_active(ceiling, now):
            by_node.setdefault(ceiling.node, []).append(ceiling)
    if not by_node:
        return layout.node_limits
    return tuple(
        _cap_node(node, limit, by_node[node.id], nominal_v, rules) if node.id in by_node else limit
        for node, limit, nominal_v in zip(
            snapshot.site.nodes, layout.node_limits, layout.nominal_v, strict=True
        )
    )


def cap_evses(
    snapshot: Snapshot,
    layout: Layout,
    judged: tuple[NodeJudgement, ...],
    now: Instant,
    rules: Rules,
) -> tuple[EvseCeiling, ...]:
    """The ceiling of every EVSE, in the site's order."""
    by_evse: dict[str, list[TimedCeiling]] = {}
    for ceiling in snapshot.ceilings:
        if ceiling.evse is not None and is_active(ceiling, now):
            by_evse.setdefault(ceiling.evse, []).append(ceiling)
    if not by_evse:
        return layout.evse_limits
    return tuple(
        _cap_evse(
            evse,
            limit,
            by_evse[evse.id],
            watts_per_a(layout, judged[layout.own_node[i]], i),
            rules,
        )
        if evse.id in by_evse
        else limit
        for i, (evse, limit) in enumerate(zip(snapshot.site.evses, layout.evse_limits, strict=True))
    )


def is_active(ceiling: TimedCeiling, now: Instant) -> bool:
    """Whether it holds now. With an untrusted clock nothing ends by time."""
    if now.utc_s < ceiling.from_utc_s:
        return False
    return ceiling.until_utc_s is None or now.utc_s < ceiling.until_utc_s or not now.utc_trusted


def _cap_node(
    node: Node,
    limit: NodeCeilings,
    ceilings: list[TimedCeiling],
    nominal_v: float,
    rules: Rules,
) -> NodeCeilings:
    rows, holders = list(limit.ceiling), list(limit.holder)
    for ceiling in ceilings:
        for row, asked in enumerate((*ceiling.limit_a, ceiling.limit_w)):
            if asked is None:
                continue
            present = rows[row]
            if present is None or asked < present or not rules.s17_ladder:
                rows[row] = asked
                holders[row] = ceiling.holder
    capped = tuple(rows)
    return NodeCeilings(
        ceiling=capped, margin=margins(node, capped, nominal_v), holder=tuple(holders)
    )


def _cap_evse(
    evse: Evse,
    limit: EvseCeiling,
    ceilings: list[TimedCeiling],
    watts_per_a: float,
    rules: Rules,
) -> EvseCeiling:
    best = limit
    for ceiling in ceilings:
        asked = [a for p in evse.phases if (a := ceiling.limit_a[p - 1]) is not None]
        if ceiling.limit_w is not None:
            asked.append(ceiling.limit_w / watts_per_a)
        if not asked:
            continue
        limit_a = min(asked)
        if limit_a < best.max_a or not rules.s17_ladder:
            best = EvseCeiling(
                max_a=limit_a, holder=ceiling.holder, until_utc_s=ceiling.until_utc_s
            )
    return best
