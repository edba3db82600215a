"""The site as indices: who is above whom, who loads which row. Made once per site, never changed.

A row is what a ceiling applies to: three phases (0, 1, 2) and the sum in VA (3) of a node. Nodes
are numbered in the site's order, parents before children, so that one backward pass sums a tree.
"""

from dataclasses import dataclass

from edgectl.control.kernel import Allocator
from edgectl.model.site import Meter, Site
from edgectl.units import EvseId, Triple

VA_ROW = 3


@dataclass(frozen=True, slots=True)
class Layout:
    """Indices of one site.

    `parent[n]`: -1 at the root. `below[n]`: the EVSEs in the subtree of node n. `path[i]`: the
    nodes from an EVSE's own up to the root. `phases[i]`: the site phases (0-based) that EVSE i is
    wired to. `base_worst_a[n]`: worst base load of the whole subtree of node n.
    """

    site: Site
    allocator: Allocator
    parent: tuple[int, ...]
    children: tuple[tuple[int, ...], ...]
    meter: tuple[Meter | None, ...]
    below: tuple[tuple[int, ...], ...]
    path: tuple[tuple[int, ...], ...]
    phases: tuple[tuple[int, ...], ...]
    base_worst_a: tuple[Triple, ...]
    evse_ids: tuple[EvseId, ...]


def layout_of(site: Site) -> Layout:
    """The layout of `site`; the last one is kept, since a site does not change between ticks."""
    if _memo and _memo[0].site is site:
        return _memo[0]
    made = _make(site)
    _memo[:] = [made]
    return made


_memo: list[Layout] = []


def _make(site: Site) -> Layout:
    number = {node.id: n for n, node in enumerate(site.nodes)}
    parent = tuple(-1 if node.parent is None else number[node.parent] for node in site.nodes)
    meter_at = {meter.node: meter for meter in site.meters}
    phases = tuple(tuple(sorted({p - 1 for p in evse.phases})) for evse in site.evses)
    path = tuple(_path(number[evse.node], parent) for evse in site.evses)
    below: list[list[int]] = [[] for _ in site.nodes]
    for i, nodes in enumerate(path):
        for n in nodes:
            below[n].append(i)
    children: list[list[int]] = [[] for _ in site.nodes]
    for n, above in enumerate(parent):
        if above >= 0:
            children[above].append(n)
    worst = [list(node.base_max_a) for node in site.nodes]
    for n in reversed(range(len(site.nodes))):
        if parent[n] >= 0:
            for p in range(3):
                worst[parent[n]][p] += worst[n][p]
    return Layout(
        site=site,
        allocator=Allocator(
            parents=[None if above < 0 else above for above in parent],
            evse_nodes=[number[evse.node] for evse in site.evses],
            evse_phases=[tuple(p + 1 for p in wired) for wired in phases],
        ),
        parent=parent,
        children=tuple(tuple(c) for c in children),
        meter=tuple(meter_at.get(node.id) for node in site.nodes),
        below=tuple(tuple(b) for b in below),
        path=path,
        phases=phases,
        base_worst_a=tuple((w[0], w[1], w[2]) for w in worst),
        evse_ids=tuple(evse.id for evse in site.evses),
    )


def _path(node: int, parent: tuple[int, ...]) -> tuple[int, ...]:
    nodes = []
    while node >= 0:
        nodes.append(node)
        node = parent[node]
    return tuple(nodes)
