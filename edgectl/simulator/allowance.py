"""How long an unforeseen step may overload a node: rule S20, worked out from site facts.

1. physics_s = poll of the node's meter (without one: of its EVSEs) + 0.15 s + the greatest, over
   the EVSEs below, of (time to write every EVSE of its link once + one request timeout) + settle
   time. Twice that where the node's meter sees everything and an EVSE below has no readings of its
   own: the first cut may change nothing.
2. From the last good answer of the node's meter until the next, 15 s stand in place of the poll;
   while the meter is stuck 10 s more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from edgectl.model.site import Evse, Sees, Site
from edgectl.simulator.faults import Fault, FaultKind
from edgectl.units import LinkId, MeterId, NodeId

STALE_S: Final = 15.0
FROZEN_S: Final = 10.0
_REACTION_S: Final = 0.15
_ANSWER_S: Final = 0.1
_SERIAL_ANSWER_S: Final = 0.05
_LOST: Final = frozenset(
    {
        FaultKind.METER_SILENT,
        FaultKind.METER_NONSENSE,
        FaultKind.GARBLED,
        FaultKind.SLOW_REPLIES,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFacts:
    """What a link's slowest device needs: gap after a request, time until it is given up.

    `character_s`: time of one character on a serial line, 0 on a network.
    """

    request_gap_s: float
    timeout_s: float
    character_s: float = 0.0

    @property
    def written_s(self) -> float:
        """One answered write: on a serial line at most 13 + 8 characters, two gaps, 50 ms."""
        if self.character_s == 0.0:
            return _ANSWER_S
        return (13 + 8 + 2 * 3.5) * self.character_s + _SERIAL_ANSWER_S

    @property
    def given_up_s(self) -> float:
        """One request without answer: on a serial line as long again in silence.

        Before that the longest answer is waited for, 8 + 255 characters and two gaps.
        """
        if self.character_s == 0.0:
            return self.timeout_s
        return 2.0 * self.timeout_s + (8 + 255 + 2 * 3.5) * self.character_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Blindness:
    """A time without good readings of a node's meter.

    `instead_of_poll_s` stands in place of its poll.
    """

    from_s: float
    until_s: float
    instead_of_poll_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """`physics_s` of one node, and when it is longer.

    Without an EVSE below nothing there reacts.
    """

    poll_s: float
    physics_s: float
    blind: tuple[Blindness, ...] = ()

    def during_s(self, from_s: float, until_s: float) -> float:
        """Give the longest overload allowed to one that lasts from `from_s` until `until_s`."""
        instead_s = [
            blind.instead_of_poll_s
            for blind in self.blind
            if from_s <= blind.until_s and until_s >= blind.from_s
        ]
        return self.physics_s - self.poll_s + max(self.poll_s, *instead_s, 0.0)


def allowance(
    site: Site,
    node: NodeId,
    *,
    links: Mapping[LinkId, LinkFacts],
    faults: Sequence[Fault] = (),
    meter_answers_s: Mapping[MeterId, Sequence[float]] | None = None,
) -> Allowance | None:
    """Work out S20 for a node; None where no EVSE is below it."""
    below = _nodes_below(site, node)
    evses = [evse for evse in site.evses if evse.node in below]
    if not evses:
        return None
    meters = [m for m in site.meters if m.node == node and m.sees is not Sees.PART]
    poll_s = max([meter.poll_s for meter in meters] or [evse.traits.poll_s for evse in evses])
    slowest_s = max(
        _write_all_s([other for other in site.evses if other.link == evse.link], links[evse.link])
        + links[evse.link].given_up_s
        + max(evse.traits.settle_s, evse.traits.pause_settle_s)
        for evse in evses
    )
    answers_s = meter_answers_s or {}
    blind = [
        span
        for meter in meters
        for span in _blind_spans(meter.id, faults, answers_s.get(meter.id, ()))
    ]
    physics_s = poll_s + _REACTION_S + slowest_s
    if any(m.sees is Sees.ALL for m in meters) and not all(e.traits.metered for e in evses):
        physics_s *= 2.0
    return Allowance(poll_s=poll_s, physics_s=physics_s, blind=tuple(blind))


def _nodes_below(site: Site, node: NodeId) -> set[NodeId]:
    below = {node}
    for other in site.nodes:
        if other.parent in below:
            below.add(other.id)
    return below


def _write_all_s(evses: Sequence[Evse], facts: LinkFacts) -> float:
    """Give the time to write every EVSE of a link once.

    Units with a write interval wait side by side.
    """
    per_unit: dict[int, float] = {}
    for evse in evses:
        wait_s = per_unit.get(evse.unit, 0.0)
        per_unit[evse.unit] = wait_s + evse.traits.min_write_interval_s
    return len(evses) * (facts.written_s + facts.request_gap_s) + max(per_unit.values())


def _blind_spans(
    meter: MeterId, faults: Sequence[Fault], answers_s: Sequence[float]
) -> list[Blindness]:
    spans = []
    for fault in faults:
        stuck = fault.kind is FaultKind.METER_STUCK
        if fault.id != meter or not (stuck or fault.kind in _LOST):
            continue
        until_s = fault.until_s if fault.until_s is not None else float("inf")
        before_s = [at_s for at_s in answers_s if at_s <= fault.at_s]
        after_s = [at_s for at_s in answers_s if at_s >= until_s]
        # Whoever does not ask again within the stale time has no excuse in the meter any more.
        again_s = min(min(after_s, default=until_s + STALE_S), until_s + STALE_S)
        spans.append(
            Blindness(
                from_s=max(before_s, default=fault.at_s),
                until_s=again_s,
                instead_of_poll_s=STALE_S + (FROZEN_S if stuck else 0.0),
            )
        )
    return spans
