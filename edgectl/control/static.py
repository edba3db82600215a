"""The static proof: what flows when nobody controls, and how fast we are when we do (S20, S22).

1. S22: every row (the phases and the VA sum of a node) must bear its worst base load plus the
   EVSEs' failsafe currents (all gateways dead), and plus their boot currents (site power returns).
   An EVSE without watchdog counts with its charger's hardware maximum in both.
2. S20: `physics_s` bounds how long an unforeseen step may overload a node; its breaker must bear
   that long.
3. What does not fit is a risk with a stable name. The owner accepts it by that name or the daemon
   does not start.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from edgectl.control.reaction import LinkTiming, Reaction, reaction, write_all_s
from edgectl.control.sums import total
from edgectl.control.tree import base_worst_a, evses_below
from edgectl.model.site import Evse, KeepAlive, Node, Site
from edgectl.units import PHASES, EvseId, LinkId, NodeId, OptionalTriple, Triple

VA_VOLTAGE_SHARE: Final = 1.10
"""Without a measured voltage a VA row counts the nominal one times this."""

_SLACK_A: Final = 1e-6
_NO_TIMING: Final = LinkTiming(write_s=0.0, timeout_s=0.0)


@dataclass(frozen=True, slots=True)
class NodeProof:
    """The figures of one node, summed over its subtree; `failsafe_*`, `return_*` without base load.

    `short_*`: by how much the worse of both sums, base load included, exceeds the limit; 0 where it
    fits. `reaction` None: no EVSE below, nothing here reacts. `unwatched`: EVSEs below without
    watchdog.
    """

    node: NodeId
    limit_a: OptionalTriple
    limit_va: float | None
    base_max_a: Triple
    base_max_va: float
    failsafe_a: Triple
    failsafe_va: float
    return_a: Triple
    return_va: float
    short_a: Triple
    short_va: float
    reaction: Reaction | None
    trip_s: float | None
    unwatched: tuple[EvseId, ...]

    @property
    def physics_s(self) -> float | None:
        """How long an unforeseen step may overload it (S20)."""
        return None if self.reaction is None else self.reaction.total_s


@dataclass(frozen=True, slots=True)
class LinkProof:
    """What a link has to carry.

    `busy_share`: of its time, by polls and keep-alives. `write_all_s`: every EVSE on it once, gaps
    and waits included.
    """

    link: LinkId
    meters: int
    evses: int
    busy_share: float
    write_all_s: float
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Risk:
    """Something that does not fit. `name` goes into `accept_risks` of the site file."""

    name: str
    node: NodeId
    text: str


@dataclass(frozen=True, slots=True)
class StaticProof:
    """What can be said of a site before anything runs."""

    nodes: dict[NodeId, NodeProof]
    links: dict[LinkId, LinkProof]
    risks: tuple[Risk, ...]

    def open_risks(self, accepted: frozenset[str]) -> tuple[Risk, ...]:
        """Risks that nobody accepted: with any of them the daemon does not start (S22)."""
        return tuple(risk for risk in self.risks if risk.name not in accepted)


def prove(site: Site, *, link_timing: Mapping[LinkId, LinkTiming]) -> StaticProof:
    """Work out S20 and S22 for every node."""
    proofs = {
        node.id: _prove_node(site, node, reaction(site, node.id, link_timing=link_timing))
        for node in site.nodes
    }
    write_s = write_all_s(site, link_timing=link_timing)
    links = {
        link.id: LinkProof(
            link=link.id,
            meters=sum(meter.link == link.id for meter in site.meters),
            evses=sum(evse.link == link.id for evse in site.evses),
            busy_share=link_timing.get(link.id, _NO_TIMING).busy_share,
            write_all_s=write_s[link.id],
            timeout_s=link_timing.get(link.id, _NO_TIMING).timeout_s,
        )
        for link in site.links
    }
    risks = [risk for proof in proofs.values() for risk in _risks(site, proof)]
    return StaticProof(nodes=proofs, links=links, risks=tuple(risks))


def has_watchdog(evse: Evse) -> bool:
    """Whether the charger falls back by itself when nobody talks to it; after 0 s means never."""
    return bool(evse.traits.watchdog_s) and evse.traits.keepalive is not KeepAlive.NONE


def failsafe_count_a(evse: Evse) -> float:
    """What an EVSE counts when all gateways are dead (S22 a)."""
    return evse.traits.failsafe_a if has_watchdog(evse) else evse.traits.hardware_max_a


def return_count_a(evse: Evse) -> float:
    """What an EVSE counts when site power returns (S22 b)."""
    return evse.traits.boot_a if has_watchdog(evse) else evse.traits.hardware_max_a


def _prove_node(site: Site, node: Node, found: Reaction | None) -> NodeProof:
    evses = evses_below(site, node.id)
    base_a = base_worst_a(site, node.id)
    failsafe_a = _load(evses, {evse.id: failsafe_count_a(evse) for evse in evses})
    return_a = _load(evses, {evse.id: return_count_a(evse) for evse in evses})
    worse_a = _largest(failsafe_a, return_a)
    base_va, failsafe_va, return_va = (_va(site, amps) for amps in (base_a, failsafe_a, return_a))
    return NodeProof(
        node=node.id,
        limit_a=node.limit_a,
        limit_va=node.limit_va,
        base_max_a=base_a,
        base_max_va=base_va,
        failsafe_a=failsafe_a,
        failsafe_va=failsafe_va,
        return_a=return_a,
        return_va=return_va,
        short_a=_excess(base_a, worse_a, node.limit_a),
        short_va=_over(base_va + max(failsafe_va, return_va), node.limit_va),
        reaction=found,
        trip_s=node.trip_s,
        unwatched=tuple(evse.id for evse in evses if not has_watchdog(evse)),
    )


def _risks(site: Site, proof: NodeProof) -> list[Risk]:
    risks = []
    for word, said, load_a, load_va, count_a in (
        (
            "gateways-dead",
            "all gateways dead",
            proof.failsafe_a,
            proof.failsafe_va,
            failsafe_count_a,
        ),
        ("power-returns", "site power returns", proof.return_a, proof.return_va, return_count_a),
    ):
        rows = _short_rows(site, proof, load_a, load_va) + _unbalance_rows(site, proof, count_a)
        if rows:
            text = f"{said}: {'; '.join(rows)}"
            if proof.unwatched:
                text += "; without watchdog, so counted at hardware maximum: " + _names(
                    proof.unwatched
                )
            risks.append(Risk(name=f"{word}/{proof.node}", node=proof.node, text=text))
    if proof.physics_s is not None and proof.trip_s is not None and proof.physics_s > proof.trip_s:
        risks.append(
            Risk(
                name=f"slower-than-trip/{proof.node}",
                node=proof.node,
                text=f"an unforeseen step may overload it for {proof.physics_s:.1f} s, "
                f"its breaker bears {proof.trip_s:g} s (trip_s)",
            )
        )
    return risks


def _short_rows(site: Site, proof: NodeProof, load_a: Triple, load_va: float) -> list[str]:
    """Say each row that does not fit, in A."""
    rows = []
    excess = _excess(proof.base_max_a, load_a, proof.limit_a)
    for phase in PHASES:
        k = phase - 1
        if excess[k] > 0:
            rows.append(
                f"L{phase} is short of {excess[k]:.1f} A (base {proof.base_max_a[k]:g} A + EVSEs "
                f"{load_a[k]:g} A, limit {proof.limit_a[k]:g} A)"
            )
    short_va = _over(proof.base_max_va + load_va, proof.limit_va)
    if short_va > 0:
        three_phases_v = 3 * site.voltage_v * VA_VOLTAGE_SHARE
        rows.append(
            f"the sum is short of {short_va / 1000:.1f} kVA = {short_va / three_phases_v:.1f} A on "
            f"each phase (limit {(proof.limit_va or 0.0) / 1000:g} kVA)"
        )
    return rows


def _unbalance_rows(site: Site, proof: NodeProof, count_a: Callable[[Evse], float]) -> list[str]:
    """How far a phase may be above another that bears nothing but what is wired to both."""
    bound_a = next(node.unbalance_a for node in site.nodes if node.id == proof.node)
    if bound_a is None:
        return []
    evses, rows = evses_below(site, proof.node), []
    for more in PHASES:
        apart_a = proof.base_max_a[more - 1] + max(
            total(count_a(e) for e in evses if more in e.phases and less not in e.phases)
            for less in PHASES
            if less != more
        )
        if apart_a > bound_a + _SLACK_A:
            rows.append(
                f"L{more} may be {apart_a:.1f} A above another phase (unbalance_a {bound_a:g} A)"
            )
    return rows


def _load(evses: tuple[Evse, ...], count_a: Mapping[EvseId, float]) -> Triple:
    """Each EVSE loads every phase that it is wired to."""
    return _sum_triples(
        [
            (
                count_a[evse.id] if 1 in evse.phases else 0.0,
                count_a[evse.id] if 2 in evse.phases else 0.0,
                count_a[evse.id] if 3 in evse.phases else 0.0,
            )
            for evse in evses
        ]
    )


def _va(site: Site, amps: Triple) -> float:
    return total(amps) * site.voltage_v * VA_VOLTAGE_SHARE


def _excess(base: Triple, load: Triple, limit: OptionalTriple) -> Triple:
    return (
        _over(base[0] + load[0], limit[0]),
        _over(base[1] + load[1], limit[1]),
        _over(base[2] + load[2], limit[2]),
    )


def _over(value: float, limit: float | None) -> float:
    if limit is None or value <= limit + _SLACK_A:
        return 0.0
    return value - limit


def _largest(left: Triple, right: Triple) -> Triple:
    return (max(left[0], right[0]), max(left[1], right[1]), max(left[2], right[2]))


def _sum_triples(triples: list[Triple]) -> Triple:
    return (
        total(triple[0] for triple in triples),
        total(triple[1] for triple in triples),
        total(triple[2] for triple in triples),
    )


def _names(evses: tuple[EvseId, ...]) -> str:
    shown = ", ".join(evses[:5])
    return shown if len(evses) <= 5 else f"{shown} and {len(evses) - 5} more"
