"""Until when nobody could know that a meter stood still (S5), told from what truly flowed.

1. A meter that repeats a value is believed until what is drawn below it has surely moved by more
   than `FROZEN_MOVED_A` since it stood still.
2. Surely: at every moment of a time in which all that draws was read again. What says nothing of
   its currents, or cannot be asked, may have drawn anything; so what it moved from is known only
   once all can be asked again (S4), and one that kept silent is asked after a while only (S10).
3. Then its base ages as that of a lost meter; the age counts from the moment when it stood still.
4. A meter that sees the base load alone stands still beside EVSEs that move, and is believed.
5. Where currents are phasors, what moves is what is drawn in phase with the voltage of a line.
"""

from collections.abc import Collection, Sequence
from typing import Final

from edgectl.model.reading import FROZEN_MOVED_A
from edgectl.model.site import Evse, Meter, Node, Sees, has_phasors
from edgectl.simulator.allowance import FROZEN_S, STALE_S
from edgectl.simulator.faults import Fault, FaultKind
from edgectl.simulator.trial import troubles
from edgectl.simulator.trial.effects import Effects
from edgectl.simulator.trial.evidence import Evidence
from edgectl.simulator.trial.troubles import COME_BACK_S, Span
from edgectl.units import Triple

_TRACE_S: Final = 0.25
_ROUNDS: Final = 2.0
_CLEAR_A: Final = 0.6
"""So much more than the rule's bound, for what is read in whole tenths at two different moments."""


def unknown_spans(evidence: Evidence, node: Node, below: Collection[str]) -> list[Span]:
    """When a node's base load rested on a meter that stood still, and nobody could know.

    `below`: the ids of the nodes of its subtree, its own among them.
    """
    counted = [meter for meter in evidence.site.meters if meter.sees is not Sees.PART]
    own = [meter for meter in counted if meter.node == node.id]
    meters = own or [meter for meter in counted if meter.node in below]
    return [
        Span(fault.at_s, _until_s(evidence, meter, fault))
        for meter in meters
        for fault in evidence.faults
        if fault.kind is FaultKind.METER_STUCK and fault.id in troubles.mates(evidence, meter)
    ]


def _until_s(evidence: Evidence, meter: Meter, fault: Fault) -> float:
    ends_s = evidence.duration_s if fault.until_s is None else fault.until_s
    evses = _evses_below(evidence, meter)
    if meter.sees is Sees.BASE_ONLY or any(not evse.traits.metered for evse in evses):
        return ends_s
    moved_s = _moved_s(evidence, meter, evses, fault.at_s, ends_s)
    return min(ends_s, max(moved_s, fault.at_s + STALE_S + FROZEN_S))


def _moved_s(
    evidence: Evidence, meter: Meter, evses: Sequence[Evse], from_s: float, until_s: float
) -> float:
    """When it was sure that the EVSEs had moved; `until_s` if it never was."""
    holds_s = meter.poll_s + meter.refresh_s
    holds_s += max(
        (_ROUNDS * evse.traits.poll_s + evse.traits.refresh_s for evse in evses), default=0.0
    )
    blurred = [
        *(
            Span(span.from_s, span.until_s + COME_BACK_S)
            for evse in evses
            for span in troubles.of_device(evidence, evse)
        ),
        *(span for evse in evses for span in troubles.of_readings(evidence, evse)),
    ]
    times_s = evidence.trace.times_s
    samples = range(int(from_s / _TRACE_S) + 1, min(int(until_s / _TRACE_S), len(times_s)))
    holds_n = int(holds_s / _TRACE_S) + 1
    first = next(
        (n for n in samples if not troubles.any_touches(blurred, times_s[n] - holds_s, times_s[n])),
        None,
    )
    if first is None:
        return until_s
    sums = _Sums(evidence, meter, evses)
    spans_a = [sums.at(n) for n in range(max(0, first - holds_n), first + 1)]
    least_a = [min(sums_a[p] for sums_a in spans_a) for p in range(3)]
    most_a = [max(sums_a[p] for sums_a in spans_a) for p in range(3)]
    since_s: list[float | None] = [None] * 3
    for n in range(first, samples.stop):
        now_s, sums_a = times_s[n], sums.at(n)
        blurs = troubles.any_touches(blurred, now_s - holds_s, now_s)
        for p in range(3):
            apart_a = max(sums_a[p] - most_a[p], least_a[p] - sums_a[p])
            if blurs or apart_a <= FROZEN_MOVED_A + _CLEAR_A:
                since_s[p] = None
            elif (began_s := since_s[p]) is None:
                since_s[p] = now_s
            elif now_s - began_s >= 2.0 * holds_s:
                return now_s
    return until_s


class _Sums:
    """What is drawn below a meter on each line, in phase with its voltage."""

    def __init__(self, evidence: Evidence, meter: Meter, evses: Sequence[Evse]) -> None:
        site = evidence.site
        self._trace, self._evses = evidence.trace, evses
        self._effects = Effects(site) if has_phasors(site) else None
        self._node = next(node for node in site.nodes if node.id == meter.node)

    def at(self, n: int) -> Triple:
        """The sums at a sample, in A."""
        sums_a = [0.0, 0.0, 0.0]
        for evse in self._evses:
            traced = self._trace.evses[evse.id]
            amps, used = traced.drawn_a[n], traced.phases[n]
            if self._effects is None:
                for phase in evse.phases[:used]:
                    sums_a[phase - 1] += amps
            else:
                for p, phasor in enumerate(self._effects.on_lines(self._node, evse, used)):
                    sums_a[p] += amps * phasor.real
        return sums_a[0], sums_a[1], sums_a[2]


def _evses_below(evidence: Evidence, meter: Meter) -> list[Evse]:
    below = {meter.node}
    for node in evidence.site.nodes:
        if node.parent in below:
            below.add(node.id)
    return [evse for evse in evidence.site.evses if evse.node in below]
