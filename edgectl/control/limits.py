"""The ceilings that stand before anybody asks for another: the configured limits."""

from dataclasses import dataclass

from edgectl.model.ceiling import Holder, Rank
from edgectl.model.site import Evse, Node

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


def node_limit(node: Node, nominal_v: float) -> NodeCeilings:
    """What the owner configured for a node."""
    own = Holder(Rank.SAFETY, "limit", node.id)
    rows = (*node.limit_a, node.limit_va)
    return NodeCeilings(
        ceiling=rows, margin=margins(node, rows, nominal_v), holder=(own, own, own, own)
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


def margins(
    node: Node,
    rows: tuple[float | None, float | None, float | None, float | None],
    nominal_v: float,
) -> tuple[float, float, float, float]:
    """What is kept free below each row's ceiling; 0 where there is none."""
    one, two, three, va = rows
    wanted_a, wanted_va = node.margin_a, None
    if wanted_a is not None:
        wanted_va = 3 * nominal_v * wanted_a
    return (
        _margin(wanted_a, one),
        _margin(wanted_a, two),
        _margin(wanted_a, three),
        _margin(wanted_va, va),
    )


def _margin(wanted: float | None, ceiling: float | None) -> float:
    if ceiling is None:
        return 0.0
    return MARGIN_SHARE * ceiling if wanted is None else min(wanted, ceiling)
