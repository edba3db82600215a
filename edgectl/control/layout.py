"""The site as indices: who is above whom, who loads which row. Made once per site, never changed.

A row is what a ceiling applies to: three phases (0, 1, 2) and the sum in VA (3) of a node, and
behind a transformer the three lines that feed it (4, 5, 6). Nodes are numbered in the site's order,
parents before children, so that one backward pass sums a tree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor

from edgectl.control.curved import Curves, base_above, curves_of, first_of
from edgectl.control.kernel import Allocator
from edgectl.control.limits import (
    EvseCeiling,
    NodeCeilings,
    evse_limit,
    node_limit,
    unbalance_bound_a,
)
from edgectl.model.site import (
    ChargerTraits,
    Connection,
    Meter,
    Node,
    Sees,
    Site,
    has_phasors,
    nominal_voltages,
)
from edgectl.units import EvseId, MeterId, NodeId, Triple

VA_ROW = 3
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Layout:
    """Indices of one site, and what of its facts the verbs want in columns.

    `parent[n]`: -1 at the root. `part_meters[n]`: meters that raise alarms alone (S7). `below[n]`:
    the EVSEs in the subtree of node n; `loaded[n]`: which of its phases any of them loads. `up[n]`:
    the nodes from n up to the root; `path[i]` the same from an EVSE's own node. `phases[i]`: the
    site phases (0-based) that EVSE i is wired to; `wired[i]`: the same as factors 1 and 0, for a
    line-to-line EVSE on the first of its pair alone.
    `curves`: the phasors of a site that has line-to-line EVSEs or transformers; there the allocator
    knows every EVSE twice, the second time for what it draws whatever it is told.
    `turns[n]`: the turns ratio of the transformer that node n is the secondary side of, if any.
    `nominal_v[n]`: nominal voltage of node n, line to neutral.
    `base_worst_a[n]`: worst base load of the whole subtree of node n. `seen_by[i]`: the meters that
    show EVSE i to every limited node above it; `boots_high[i]`: its charger
    boots above its minimum.
    `unbalance_a[n]`: how far its phases may be apart, less the margin; None for any.
    `least_a[i]`: the least that EVSE i can be told from its minimum on.
    """

    site: Site
    allocator: Allocator
    parent: tuple[int, ...]
    children: tuple[tuple[int, ...], ...]
    meter: tuple[Meter | None, ...]
    part_meters: tuple[tuple[Meter, ...], ...]
    below: tuple[tuple[int, ...], ...]
    up: tuple[tuple[int, ...], ...]
    own_node: tuple[int, ...]
    path: tuple[tuple[int, ...], ...]
    phases: tuple[tuple[int, ...], ...]
    wired: tuple[Triple, ...]
    curves: Curves | None
    turns: tuple[float | None, ...]
    nominal_v: tuple[float, ...]
    loaded: tuple[tuple[bool, bool, bool], ...]
    base_worst_a: tuple[Triple, ...]
    evse_ids: tuple[EvseId, ...]
    seen_by: tuple[frozenset[MeterId], ...]
    boots_high: tuple[bool, ...]
    node_limits: tuple[NodeCeilings, ...]
    unbalance_a: tuple[float | None, ...]
    evse_limits: tuple[EvseCeiling, ...]
    weight: tuple[float, ...]
    tier: tuple[int, ...]
    min_a: tuple[float, ...]
    least_a: tuple[float, ...]
    step_a: tuple[float, ...]
    pause_a: tuple[float, ...]
    allowed_a: tuple[tuple[float, ...], ...]


def layout_of(site: Site, phases: Sequence[tuple[int, ...]] | None = None) -> Layout:
    """The layout of `site`, with every EVSE on the phases that it is wired to, or on fewer.

    The last ones are kept: a site does not change between ticks, and vehicles come slowly.
    """
    wired = _memo[0] if _memo and _memo[0].site is site else None
    if wired is None:
        wired = _make(site, _wired_phases(site))
        _memo[:] = [wired]
    if phases is None or phases == wired.phases:
        return wired
    if len(_memo) == 1 or _memo[1].phases != phases:
        _memo[1:] = [_make(site, tuple(phases))]
    return _memo[1]


_memo: list[Layout] = []
"""The wired one, and the last one with fewer phases. Made of the site alone: purity is kept."""


def round_up(traits: ChargerTraits, current_a: float) -> float:
    """The least that the charger can be told from a current on; its greatest, if there is none."""
    if traits.allowed_a:
        return next(
            (a for a in traits.allowed_a if a >= current_a - ROUNDING), traits.allowed_a[-1]
        )
    if traits.step_a <= 0:
        return current_a
    return ceil(current_a / traits.step_a - ROUNDING) * traits.step_a


def round_down(traits: ChargerTraits, current_a: float) -> float:
    """The most that the charger can be told up to a current; 0 if there is nothing."""
    if traits.allowed_a:
        return max((a for a in traits.allowed_a if a <= current_a + ROUNDING), default=0.0)
    if traits.step_a <= 0:
        return current_a
    return floor(current_a / traits.step_a + ROUNDING) * traits.step_a


def _wired_phases(site: Site) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(sorted({p - 1 for p in evse.phases})) for evse in site.evses)


def _make(site: Site, phases: tuple[tuple[int, ...], ...]) -> Layout:
    number = {node.id: n for n, node in enumerate(site.nodes)}
    parent = tuple(-1 if node.parent is None else number[node.parent] for node in site.nodes)
    unbalance_a = tuple(unbalance_bound_a(node) for node in site.nodes)
    meter_at = {meter.node: meter for meter in site.meters if meter.sees is not Sees.PART}
    parts_at: dict[NodeId, list[Meter]] = {}
    for meter in site.meters:
        if meter.sees is Sees.PART:
            parts_at.setdefault(meter.node, []).append(meter)
    up = tuple(_up(n, parent) for n in range(len(parent)))
    own_node = tuple(number[evse.node] for evse in site.evses)
    path = tuple(up[n] for n in own_node)
    below: list[list[int]] = [[] for _ in site.nodes]
    for i, nodes in enumerate(path):
        for n in nodes:
            below[n].append(i)
    children: list[list[int]] = [[] for _ in site.nodes]
    for n, above in enumerate(parent):
        if above >= 0:
            children[above].append(n)
    turns = tuple(
        None if node.transformer is None else node.transformer.turns_ratio for node in site.nodes
    )
    worst = [list(node.base_max_a) for node in site.nodes]
    for n in reversed(range(len(site.nodes))):
        if parent[n] >= 0:
            ratio = turns[n]
            given = worst[n] if ratio is None else base_above(worst[n], ratio)
            for p in range(3):
                worst[parent[n]][p] += given[p]
    curves = curves_of(site, parent, turns, path, phases) if has_phasors(site) else None
    volts = nominal_voltages(site.nodes, site.voltage_v)
    nominal_v = tuple(volts[node.id] for node in site.nodes)
    return Layout(
        site=site,
        allocator=_allocator(site, parent, own_node, phases, unbalance_a, turns=turns),
        parent=parent,
        children=tuple(tuple(c) for c in children),
        meter=tuple(meter_at.get(node.id) for node in site.nodes),
        part_meters=tuple(tuple(parts_at.get(node.id, ())) for node in site.nodes),
        below=tuple(tuple(b) for b in below),
        up=up,
        own_node=own_node,
        path=path,
        phases=phases,
        wired=tuple(
            _wired((first_of(one),) if evse.connection is Connection.LINE_TO_LINE else one)
            for evse, one in zip(site.evses, phases, strict=True)
        ),
        curves=curves,
        turns=turns,
        nominal_v=nominal_v,
        loaded=tuple(_loaded(one, phases) for one in below),
        base_worst_a=tuple((w[0], w[1], w[2]) for w in worst),
        evse_ids=tuple(evse.id for evse in site.evses),
        unbalance_a=unbalance_a,
        seen_by=tuple(_seen_by([site.nodes[n] for n in nodes], meter_at) for nodes in path),
        boots_high=tuple(evse.traits.boot_a > evse.traits.min_a for evse in site.evses),
        node_limits=tuple(
            node_limit(node, nominal) for node, nominal in zip(site.nodes, nominal_v, strict=True)
        ),
        evse_limits=tuple(evse_limit(evse) for evse in site.evses),
        weight=tuple(evse.weight for evse in site.evses),
        tier=tuple(evse.tier for evse in site.evses),
        min_a=tuple(evse.traits.min_a for evse in site.evses),
        least_a=tuple(round_up(evse.traits, evse.traits.min_a) for evse in site.evses),
        step_a=tuple(evse.traits.step_a for evse in site.evses),
        pause_a=tuple(evse.traits.pause_a for evse in site.evses),
        allowed_a=tuple(evse.traits.allowed_a for evse in site.evses),
    )


def _allocator(
    site: Site,
    parent: Sequence[int],
    own_node: Sequence[int],
    phases: Sequence[tuple[int, ...]],
    unbalance_a: Sequence[float | None],
    *,
    turns: Sequence[float | None],
) -> Allocator:
    phasors = has_phasors(site)
    times = 2 if phasors else 1
    return Allocator(
        parents=[None if above < 0 else above for above in parent],
        evse_nodes=tuple(own_node) * times,
        evse_phases=[tuple(p + 1 for p in wired) for wired in phases] * times,
        unbalance_a=unbalance_a,
        turns_ratios=turns if phasors else None,
        line_to_line=[evse.connection is Connection.LINE_TO_LINE for evse in site.evses] * times
        if phasors
        else None,
    )


def _up(node: int, parent: tuple[int, ...]) -> tuple[int, ...]:
    nodes = []
    while node >= 0:
        nodes.append(node)
        node = parent[node]
    return tuple(nodes)


def _wired(phases: tuple[int, ...]) -> Triple:
    return (float(0 in phases), float(1 in phases), float(2 in phases))


def _loaded(below: list[int], phases: tuple[tuple[int, ...], ...]) -> tuple[bool, bool, bool]:
    used = {p for i in below for p in phases[i]}
    return (0 in used, 1 in used, 2 in used)


def _seen_by(nodes: Sequence[Node], meter_at: Mapping[NodeId, Meter]) -> frozenset[MeterId]:
    """The meters that show an EVSE to every limited node above it.

    They stand at the first limited node or below: what they show goes up with the bases (S7).
    """
    found = set[MeterId]()
    for node in nodes:
        meter = meter_at.get(node.id)
        if meter is not None and meter.sees is Sees.ALL:
            found.add(meter.id)
        limits = (*node.limit_a, node.limit_va, *node.primary_limit_a)
        if any(limit is not None for limit in limits):
            break
    return frozenset(found)
