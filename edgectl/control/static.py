"""The static proof: what flows when nobody controls, and how fast we are when we do (S20, S22).

1. S22: every row (the phases and the VA sum of a node, and the lines that feed its transformer)
   must bear its worst base load plus the EVSEs' failsafe currents (all gateways dead), and plus
   their boot currents (site power returns). An EVSE without watchdog counts with its charger's
   hardware maximum in both. Where currents are phasors so are both sums, for every draw up to them.
2. S20: `physics_s` bounds how long an unforeseen step may overload a node; its breaker must bear
   that long.
3. What does not fit is a risk with a stable name. The owner accepts it by that name or the daemon
   does not start.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from edgectl.control.curved import PRIMARY, row_values, sum_groups
from edgectl.control.layout import VA_ROW, Layout, layout_of
from edgectl.control.reaction import LinkTiming, Reaction, reaction, write_all_s
from edgectl.control.sums import total
from edgectl.control.tree import base_worst_a, evses_below
from edgectl.model.site import Evse, KeepAlive, Site
from edgectl.units import PHASES, EvseId, LinkId, NodeId, OptionalTriple, Triple

VA_VOLTAGE_SHARE: Final = 1.10
"""Without a measured voltage a VA row counts the nominal one times this."""

SLOWER_THAN_TRIP: Final = "slower-than-trip"
"""Begins the name of a risk that no sum has to do with."""

_SLACK_A: Final = 1e-6
_NO_TIMING: Final = LinkTiming(write_s=0.0, timeout_s=0.0)


@dataclass(frozen=True, slots=True)
class Load:
    """What loads the rows of a node: three phases, the sum in VA, primary lines behind these.

    `alone`: by the EVSEs; `together`: with the worst base load.
    """

    alone: tuple[float, ...]
    together: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class PrimaryProof:
    """The figures of the lines that feed a node's transformer, in primary amperes."""

    limit_a: OptionalTriple
    base_max_a: Triple
    failsafe_a: Triple
    return_a: Triple
    short_a: Triple


@dataclass(frozen=True, slots=True)
class NodeProof:
    """The figures of one node, for its whole subtree; `failsafe_*`, `return_*` without base load.

    `short_*`: by how much the worse of both sums, base load included, exceeds the limit; 0 where it
    fits. `reaction` None: no EVSE below, nothing here reacts. `unwatched`: EVSEs below without
    watchdog. `primary` None: no transformer feeds it.
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
    primary: PrimaryProof | None = None

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
    layout = layout_of(site)
    proofs: dict[NodeId, NodeProof] = {}
    risks: list[Risk] = []
    for n, node in enumerate(site.nodes):
        figures = _Figures(layout, n)
        proof = _prove_node(figures, reaction(site, node.id, link_timing=link_timing))
        proofs[node.id] = proof
        risks += _risks(figures, proof)
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


class _Figures:
    """What flows at one node; `limit` of its rows."""

    def __init__(self, layout: Layout, n: int) -> None:
        self.node: Final = layout.site.nodes[n]
        self.evses: Final = evses_below(layout.site, self.node.id)
        self.volts: Final = layout.nominal_v[n] * VA_VOLTAGE_SHARE
        self.limit: Final = layout.node_limits[n].ceiling
        base_a = base_worst_a(layout.site, self.node.id)
        self._layout, self._n = layout, n
        self._base = (*base_a, total(base_a) * self.volts)
        self.base: Final = self._rows(self._base, (0.0,) * len(layout.site.evses))

    def load(self, count_a: Callable[[Evse], float]) -> Load:
        """What loads the rows when every EVSE draws what it counts."""
        currents_a = [count_a(evse) for evse in self._layout.site.evses]
        nothing = (0.0,) * (VA_ROW + 1)
        return Load(self._rows(nothing, currents_a), self._rows(self._base, currents_a))

    def _rows(self, base: Sequence[float], currents_a: Sequence[float]) -> tuple[float, ...]:
        layout, n = self._layout, self._n
        if layout.curves is not None:
            groups = sum_groups(layout.curves, currents_a)[n]
            volts = (self.volts,) * 3
            turns = layout.turns[n]
            return tuple(row_values(base, groups, volts, turns))
        amps = [
            total(currents_a[i] if p in layout.phases[i] else 0.0 for i in layout.below[n])
            for p in range(3)
        ]
        va = total(amps) * self.volts
        return (base[0] + amps[0], base[1] + amps[1], base[2] + amps[2], base[VA_ROW] + va)


def _prove_node(figures: _Figures, found: Reaction | None) -> NodeProof:
    node, base = figures.node, figures.base
    failsafe, back = figures.load(failsafe_count_a), figures.load(return_count_a)
    short = [
        max(_over(one, limit), _over(other, limit))
        for one, other, limit in zip(failsafe.together, back.together, figures.limit, strict=True)
    ]
    primary = None
    if node.transformer is not None:
        primary = PrimaryProof(
            limit_a=node.primary_limit_a,
            base_max_a=_triple(base[PRIMARY:]),
            failsafe_a=_triple(failsafe.alone[PRIMARY:]),
            return_a=_triple(back.alone[PRIMARY:]),
            short_a=_triple(short[PRIMARY:]),
        )
    return NodeProof(
        node=node.id,
        limit_a=node.limit_a,
        limit_va=node.limit_va,
        base_max_a=_triple(base),
        base_max_va=base[VA_ROW],
        failsafe_a=_triple(failsafe.alone),
        failsafe_va=failsafe.alone[VA_ROW],
        return_a=_triple(back.alone),
        return_va=back.alone[VA_ROW],
        short_a=_triple(short),
        short_va=short[VA_ROW],
        reaction=found,
        trip_s=node.trip_s,
        unwatched=tuple(evse.id for evse in figures.evses if not has_watchdog(evse)),
        primary=primary,
    )


def _risks(figures: _Figures, proof: NodeProof) -> list[Risk]:
    risks = []
    for word, said, count_a in (
        ("gateways-dead", "all gateways dead", failsafe_count_a),
        ("power-returns", "site power returns", return_count_a),
    ):
        rows = _short_rows(figures, figures.load(count_a)) + _unbalance_rows(figures, count_a)
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
                name=f"{SLOWER_THAN_TRIP}/{proof.node}",
                node=proof.node,
                text=f"an unforeseen step may overload it for {proof.physics_s:.1f} s, "
                f"its breaker bears {proof.trip_s:g} s (trip_s)",
            )
        )
    return risks


def _short_rows(figures: _Figures, load: Load) -> list[str]:
    """Say each row that does not fit, in A."""
    rows = []
    for row, limit in enumerate(figures.limit):
        short = _over(load.together[row], limit)
        if limit is None or short <= 0:
            continue
        if row == VA_ROW:
            rows.append(
                f"the sum is short of {short / 1000:.1f} kVA = {short / (3 * figures.volts):.1f} A "
                f"on each phase (limit {limit / 1000:g} kVA)"
            )
            continue
        where = f"L{row + 1}" if row < VA_ROW else f"primary L{row - PRIMARY + 1}"
        base_a, evses_a = figures.base[row], load.alone[row]
        parts = f"base {_amps(base_a)} A + EVSEs {_amps(evses_a)} A"
        if abs(load.together[row] - base_a - evses_a) > _SLACK_A:
            parts += f", as phasors {_amps(load.together[row])} A"
        rows.append(f"{where} is short of {short:.1f} A ({parts}, limit {limit:g} A)")
    return rows


def _amps(value: float) -> str:
    return f"{round(value, 3):g}"


def _unbalance_rows(figures: _Figures, count_a: Callable[[Evse], float]) -> list[str]:
    """How far a phase may be above another that bears nothing but what is wired to both."""
    bound_a, evses = figures.node.unbalance_a, figures.evses
    rows: list[str] = []
    if bound_a is None:
        return rows
    for more in PHASES:
        apart_a = figures.base[more - 1] + max(
            total(count_a(e) for e in evses if more in e.phases and less not in e.phases)
            for less in PHASES
            if less != more
        )
        if apart_a > bound_a + _SLACK_A:
            rows.append(
                f"L{more} may be {apart_a:.1f} A above another phase (unbalance_a {bound_a:g} A)"
            )
    return rows


def _over(value: float, limit: float | None) -> float:
    if limit is None or value <= limit + _SLACK_A:
        return 0.0
    return value - limit


def _triple(row: Sequence[float]) -> Triple:
    return (row[0], row[1], row[2])


def _names(evses: tuple[EvseId, ...]) -> str:
    shown = ", ".join(evses[:5])
    return shown if len(evses) <= 5 else f"{shown} and {len(evses) - 5} more"
