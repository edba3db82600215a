"""One ceiling per row and per EVSE, each with its holder; later rules may only narrow (S17)."""

from dataclasses import dataclass

from edgectl.clock import Instant
from edgectl.control.judge import NodeJudgement
from edgectl.control.layout import VA_ROW, Layout
from edgectl.model.ceiling import Holder, Rank, TimedCeiling
from edgectl.model.rules import Rules
from edgectl.model.site import Evse, Node
from edgectl.model.snapshot import Snapshot

MARGIN_SHARE = 0.02


@dataclass(frozen=True, slots=True)
class NodeCeilings:
    """The four rows of a node: L1, L2, L3 in A and the sum in VA. None: no ceiling on that row."""

    ceiling: tuple[float | None, float | None, float | None, float | None]
    margin: tuple[float, float, float, float]
    holder: tuple[Holder, Holder, Holder, Holder]


@dataclass(frozen=True, slots=True)
class EvseCeiling:
    """The most an EVSE may be told, before anything is shared, and who says so."""

    max_a: float
    holder: Holder
    until_utc_s: float | None


def cap_nodes(snapshot: Snapshot, now: Instant, rules: Rules) -> tuple[NodeCeilings, ...]:
    """The ceilings of every node, in the site's order."""
    active = [c for c in snapshot.ceilings if c.node is not None and is_active(c, now)]
    by_node: dict[str, list[TimedCeiling]] = {}
    for ceiling in active:
        by_node.setdefault(str(ceiling.node), []).append(ceiling)
    return tuple(
        _cap_node(node, by_node.get(node.id, []), snapshot.site.voltage_v, rules)
        for node in snapshot.site.nodes
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
            by_evse.setdefault(str(ceiling.evse), []).append(ceiling)
    return tuple(
        _cap_evse(
            evse,
            by_evse.get(evse.id, []),
            sum(judged[layout.path[i][0]].voltage_v[p] for p in layout.phases[i]),
            rules,
        )
        for i, evse in enumerate(snapshot.site.evses)
    )


def is_active(ceiling: TimedCeiling, now: Instant) -> bool:
    """Whether it holds now. With an untrusted clock nothing ends by time."""
    if now.utc_s < ceiling.from_utc_s:
        return False
    return ceiling.until_utc_s is None or now.utc_s < ceiling.until_utc_s or not now.utc_trusted


def _cap_node(
    node: Node, ceilings: list[TimedCeiling], nominal_v: float, rules: Rules
) -> NodeCeilings:
    own = Holder(Rank.SAFETY, "limit", node.id)
    rows: list[float | None] = [*node.limit_a, node.limit_va]
    holders = [own, own, own, own]
    for ceiling in ceilings:
        for row, limit in enumerate((*ceiling.limit_a, ceiling.limit_w)):
            if limit is None:
                continue
            present = rows[row]
            if present is None or limit < present or not rules.s17_ladder:
                rows[row] = limit
                holders[row] = ceiling.holder
    margins = [_margin(node, row, limit, nominal_v) for row, limit in enumerate(rows)]
    return NodeCeilings(
        ceiling=(rows[0], rows[1], rows[2], rows[3]),
        margin=(margins[0], margins[1], margins[2], margins[3]),
        holder=(holders[0], holders[1], holders[2], holders[3]),
    )


def _margin(node: Node, row: int, ceiling: float | None, nominal_v: float) -> float:
    if ceiling is None:
        return 0.0
    if node.margin_a is None:
        return MARGIN_SHARE * ceiling
    wanted = node.margin_a if row != VA_ROW else 3 * nominal_v * node.margin_a
    return min(wanted, ceiling)


def _cap_evse(
    evse: Evse, ceilings: list[TimedCeiling], voltage_sum_v: float, rules: Rules
) -> EvseCeiling:
    best = EvseCeiling(
        max_a=min(evse.max_a, evse.traits.hardware_max_a),
        holder=Holder(Rank.SAFETY, "limit", evse.id),
        until_utc_s=None,
    )
    for ceiling in ceilings:
        limits = [limit for p in evse.phases if (limit := ceiling.limit_a[p - 1]) is not None]
        if ceiling.limit_w is not None:
            limits.append(ceiling.limit_w / voltage_sum_v)
        if not limits:
            continue
        limit_a = min(limits)
        if limit_a < best.max_a or not rules.s17_ladder:
            best = EvseCeiling(
                max_a=limit_a, holder=ceiling.holder, until_utc_s=ceiling.until_utc_s
            )
    return best
