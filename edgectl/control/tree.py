"""What hangs below what, asked of the site itself: for proofs that are made once."""

from edgectl.control.layout import layout_of
from edgectl.control.sums import total
from edgectl.model.site import Evse, Site
from edgectl.units import NodeId, Triple


def base_worst_a(site: Site, node: NodeId) -> Triple:
    """Worst base load of a node: its own `base_max_a` and that of every node below it."""
    if any(one.transformer is not None for one in site.nodes):
        return layout_of(site).base_worst_a[[one.id for one in site.nodes].index(node)]
    inside = subtree(site, node)
    own = [node.base_max_a for node in site.nodes if node.id in inside]
    return (total(a[0] for a in own), total(a[1] for a in own), total(a[2] for a in own))


def subtree(site: Site, node: NodeId) -> frozenset[NodeId]:
    """The node and everything below it; relies on parents standing before children."""
    inside = {node}
    for other in site.nodes:
        if other.parent in inside:
            inside.add(other.id)
    return frozenset(inside)


def evses_below(site: Site, node: NodeId) -> tuple[Evse, ...]:
    """EVSEs that load a node."""
    inside = subtree(site, node)
    return tuple(evse for evse in site.evses if evse.node in inside)
