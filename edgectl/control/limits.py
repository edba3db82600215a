"""The ceilings that stand before anybody asks for another: the configured limits."""

from dataclasses import dataclass
from math import sqrt

from edgectl.model.ceiling import Holder, Rank
from edgectl.model.site import Evse, Node

MARGIN_SHARE = 0.02
_ROOT_3 = sqrt(3.0)


@dataclass(frozen=True, slots=True)
class NodeCeilings:
    """The rows of a node: L1, L2, L3 in A and the sum in VA. None: no ceiling on that row.

    Behind a transformer three more follow: the lines of its primary side.
    """

    ceiling: tuple[float | None, ...]
    margin: tuple[float, ...]
    holder: tuple[Holder, ...]


@dataclass(frozen=True, slots=True)
class EvseCeiling:
    """The most an EVSE may be told, before anything is shared, and who says so."""

    max_a: float
    holder: Holder
    until_utc_s: float | None


def node_limit(node: Node, nominal_v: float) -> NodeCeilings:
    """What the owner configured for a node."""
    own = Holder(Rank.SAFETY, "limit", node.id)
    rows: tuple[float | None, ...] = (*node.limit_a, node.limit_va)
    if node.transformer is not None:
        rows = (*rows, *node.primary_limit_a)
    return NodeCeilings(
        ceiling=rows, margin=margins(node, rows, nominal_v), holder=(own,) * len(rows)
    )


def evse_limit(evse: Evse) -> EvseCeiling:
    """What the owner configured for an EVSE, and its charger can."""
    return EvseCeiling(
        max_a=min(evse.max_a, evse.traits.hardware_max_a),
        holder=Holder(Rank.SAFETY, "limit", evse.id),
        until_utc_s=None,
    )


def unbalance_bound_a(node: Node) -> float | None:
    """How far the phases of a node may be apart, less the margin; None for any."""
    if node.unbalance_a is None:
        return None
    return node.unbalance_a - _margin(node.margin_a, node.unbalance_a)


def margins(node: Node, rows: tuple[float | None, ...], nominal_v: float) -> tuple[float, ...]:
    """What is kept free below each row's ceiling; 0 where there is none.

    `margin_a` is an amount of current on each of the node's own lines, and as much on the lines of
    the primary side as that makes there.
    """
    wanted_a = node.margin_a
    wanted_va = None if wanted_a is None else 3 * nominal_v * wanted_a
    own = (*(_margin(wanted_a, row) for row in rows[:3]), _margin(wanted_va, rows[3]))
    if node.transformer is None:
        return own
    fed_a = None if wanted_a is None else wanted_a * _ROOT_3 / node.transformer.turns_ratio
    return (*own, *(_margin(fed_a, row) for row in rows[4:]))


def _margin(wanted: float | None, ceiling: float | None) -> float:
    if ceiling is None:
        return 0.0
    return MARGIN_SHARE * ceiling if wanted is None else min(wanted, ceiling)
