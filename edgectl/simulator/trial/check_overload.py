"""No overload that is not explained by what nobody could foresee a moment ago (S12, S15, S20).

Theory: at any time t the currents that the daemon commands must fit beside everything else as it
was at some time in the last W(t) seconds, where W is the node's `physics_s` (S20), longer while its
meter says nothing. So an overload at t is explained only by what has grown within W: the base load,
what a charger or vehicle draws beyond what it was told, what it draws again while it has shown so
all the time or was silent (meanwhile the base load seemed less: S4), and a ceiling that fell.

1. Judged is what truly flows, against limits, caps and what was promised to the region; on the
   lines that feed a transformer, and how far phases are apart, too (`rows`).
2. Where every EVSE that could be reached for long enough draws nothing, nobody can do more.
3. While no daemon runs, chargers fall to their failsafe currents within their watchdog times.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from edgectl.model.site import Mode, Node, Sees, nominal_v, voltages_of
from edgectl.simulator.allowance import STALE_S, allowance
from edgectl.simulator.trial import troubles
from edgectl.simulator.trial.caps import cap_at
from edgectl.simulator.trial.drawn import TRACE_S, Drawn, index_of
from edgectl.simulator.trial.evidence import Breach, Evidence
from edgectl.simulator.trial.promises import Promise, promises
from edgectl.simulator.trial.rows import Row, SumRow, rows_of
from edgectl.simulator.trial.stuck_meters import unknown_spans
from edgectl.simulator.trial.troubles import COME_BACK_S, Span
from edgectl.units import EvseId

_SLACK_A: Final = 0.02
_SLACK_PART: Final = 1e-4
_WATTS_PART: Final = 1.05
"""The site's voltage sags, and amperes make up for it."""

_STARTS_S: Final = 3.0
"""From the start of a process until it has called everybody once."""


def check_overload(evidence: Evidence) -> list[Breach]:
    """Give the first moment of every overload that nothing explains."""
    if evidence.site.mode is Mode.OBSERVE:
        return []
    made = promises(evidence)
    evses = {evse.id: Drawn(evidence, evse) for evse in evidence.site.evses}
    breaches = [
        breach
        for node in evidence.site.nodes
        for breach in _Judge(evidence, node, evses, made).breaches()
    ]
    for evse in evidence.site.evses:
        breaches.extend(_check_evse(evidence, evses[evse.id], made))
    return breaches


@dataclass(frozen=True, slots=True)
class _Window:
    """The samples that explain sample n, and who could have been lowered in that time."""

    first: int
    lowerable: tuple[Drawn, ...]


class _Judge:
    """Holds one node against its ceilings."""

    def __init__(
        self,
        evidence: Evidence,
        node: Node,
        evses: dict[EvseId, Drawn],
        made: Sequence[Promise],
    ) -> None:
        self._evidence = evidence
        self._node = node
        self._times_s = evidence.trace.times_s
        below = _below(evidence, node.id)
        self._drawn = [one for one in evses.values() if one.evse.node in below]
        self._dead = troubles.of_gateway(evidence)
        truths = evidence.trace.nodes[node.id]
        self._rows = [
            (row, _ceilings(evidence, node, row, made))
            for row in rows_of(evidence.site, node, truths)
        ]
        allowed = allowance(evidence.site, node.id, links=evidence.links)
        self._physics_s = 0.0 if allowed is None else allowed.physics_s
        self._poll_s = 0.0 if allowed is None else allowed.poll_s
        self._blind = [
            span
            for meter in evidence.site.meters
            if meter.node in below and meter.sees is not Sees.PART
            for span in troubles.of_device(evidence, meter)
        ]
        self._unknown = [
            Span(span.from_s, span.until_s + self._physics_s)
            for span in unknown_spans(evidence, node, below)
        ]
        shown = _shown_below(evidence, below)
        self._unshown = [
            one for one in self._drawn if not one.evse.traits.metered and one.evse.id not in shown
        ]
        timeout_s = max((facts.timeout_s for facts in evidence.links.values()), default=0.0)
        silent_s = [one.evse.traits.silent_after_s for one in self._drawn]
        self._hears_late_s = max(silent_s, default=0.0) + 2.0 * timeout_s
        self._failsafe_s = max(
            ((one.evse.traits.watchdog_s or 0.0) + one.evse.traits.settle_s for one in self._drawn),
            default=0.0,
        )

    def breaches(self) -> Iterator[Breach]:
        """Give the first sample of every overload without an explanation."""
        if not self._drawn:
            return
        for row, ceilings in self._rows:
            breached = False
            for n, ceiling in enumerate(ceilings):
                if ceiling is None or row.flow(n) <= _with_slack(ceiling, row.unit):
                    breached = False
                    continue
                text = None if breached else self._unexplained(n, row, ceilings)
                if text is not None:
                    breached = True
                    yield Breach(check="overload", at_s=self._times_s[n], text=text)

    def _unexplained(self, n: int, row: Row, ceilings: Sequence[float | None]) -> str | None:
        ceiling = row.ceiling(n, ceilings[n] or 0.0)
        limit, flow = row.limit, row.flow(n)
        times_s = self._times_s
        now_s = times_s[n]
        nobody = any(
            span.from_s <= now_s <= span.until_s + self._physics_s + _STARTS_S
            for span in self._dead
        )
        if nobody and (limit is None or flow <= limit):
            return None  # what somebody asked for is kept by a daemon only, a limit by failsafes
        if troubles.any_touches(self._unknown, now_s, now_s):
            return None
        window = self._window(n)
        if row.apart and troubles.any_touches(self._blind, times_s[window.first] - STALE_S, now_s):
            return None
        unit = row.unit
        lowerable = sum(
            effect * max(0.0, one.amps[n] - one.unruly_a[n] - row.least_a(one))
            for one in window.lowerable
            if (effect := row.effect(one, n)) > 0.0
        )
        if lowerable <= _SLACK_A * unit:
            return None
        samples = range(window.first, n + 1)
        base_rise = row.base_rise(n, window.first)
        unruly_rise = sum(
            row.effect(one, n) * (one.unruly_a[n] - self._unruly_before(one, n, window))
            for one in self._drawn
            if one.unruly_a[n] > 0.0
        )
        masked_fall = sum(
            effect * (max(one.masked_a[window.first : n + 1]) - one.masked_a[n])
            for one in self._drawn
            if (effect := row.effect(one, n)) > 0.0
        )
        relief_lost = row.relief_lost(self._drawn, n, window.first)
        before = [c for k in samples if (c := ceilings[k]) is not None]
        free = len(before) < len(samples)
        fall = float("inf") if free else max(before) - ceiling
        excess = flow - ceiling
        explained = base_rise + unruly_rise + masked_fall + relief_lost + fall
        if excess <= explained + _SLACK_A * unit + _SLACK_PART * ceiling:
            return None
        return (
            f"{self._node.id} draws {flow:.2f} {row.where}, its ceiling is {ceiling:.2f};"
            f" in the last {times_s[n] - times_s[window.first]:.1f} s base load rose"
            f" {base_rise:.2f}, what was not told {unruly_rise:.2f}, what was shown already"
            f" {masked_fall:.2f}, what made room fell {relief_lost:.2f}, the ceiling"
            f" fell {fall:.2f};"
            f" {lowerable:.2f} could have been lowered"
        )

    def _window(self, n: int) -> _Window:
        now_s = self._times_s[n]
        span_s = self._physics_s
        if troubles.any_touches(self._blind, now_s - STALE_S - span_s, now_s):
            span_s += STALE_S - min(self._poll_s, STALE_S)
        if any(
            troubles.any_touches((*one.silent, *one.unruly_spans), now_s - span_s, now_s)
            for one in self._drawn
        ):
            span_s += self._hears_late_s
        from_s = now_s - span_s
        abandoned = False
        for span in self._dead:
            back_s = span.until_s + _STARTS_S
            if span.from_s <= now_s <= back_s + span_s:
                from_s = min(from_s, span.from_s - span_s)
                abandoned = now_s <= span.from_s + self._failsafe_s + 2.0
        heard = [one for one in self._drawn if self._hears(one, now_s, span_s)]
        first = max(0, n - int((now_s - from_s) / TRACE_S) - 1)
        return _Window(first, () if abandoned else tuple(heard))

    def _unruly_before(self, one: Drawn, n: int, window: _Window) -> float:
        """What of it could be known; of who says nothing and no meter shows, nothing ever."""
        return 0.0 if one in self._unshown else min(one.unruly_a[window.first : n + 1])

    def _hears(self, one: Drawn, now_s: float, span_s: float) -> bool:
        """Tell whether an EVSE could be told something in all of the last time.

        One that ignored what it was told is told again ever more slowly, at last once a minute.
        """
        spans = (*one.silent, *one.ignored)
        return not troubles.any_touches(spans, now_s - span_s - COME_BACK_S, now_s)


def _check_evse(evidence: Evidence, one: Drawn, made: Sequence[Promise]) -> Iterator[Breach]:
    """An EVSE's own ceiling, where it can be reached and obeys."""
    evse, times_s = one.evse, evidence.trace.times_s
    allowed = allowance(evidence.site, evse.node, links=evidence.links)
    physics_s = 0.0 if allowed is None else allowed.physics_s
    dead = troubles.of_gateway(evidence)
    volts = nominal_v(evidence.site, evse=evse.id)
    for promise in made:
        if promise.evse != evse.id:
            continue
        from_s = promise.from_s + physics_s
        for n in range(index_of(from_s) + 1, min(index_of(promise.until_s), len(times_s))):
            limit_a = promise.limit_a
            if limit_a is None:
                # In W it is a limit for the phases that the vehicle uses.
                watts_per_a = volts * voltages_of(evse.connection, max(one.phases[n], 1))
                limit_a = (promise.limit_w or 0.0) / watts_per_a * _WATTS_PART
            if one.amps[n] - one.unruly_a[n] <= limit_a + _SLACK_A:
                continue
            early_s = times_s[n] - physics_s - COME_BACK_S
            if troubles.any_touches((*one.silent, *one.unruly_spans, *dead), early_s, times_s[n]):
                continue
            yield Breach(
                check="evse_ceiling",
                at_s=times_s[n],
                text=f"{evse.id} draws {one.amps[n]:.2f} A; {promise.order} was accepted and "
                f"allows {limit_a:.2f} A",
            )
            break


def _ceilings(
    evidence: Evidence, node: Node, row: Row, made: Sequence[Promise]
) -> list[float | None]:
    """Give the ceiling of a row at every sample."""
    times_s = evidence.trace.times_s
    ceilings: list[float | None] = [row.limit] * len(times_s)
    spans: list[tuple[float, float, float]] = []
    for promise in made:
        asked = row.asked(promise)
        if promise.node == node.id and asked is not None:
            spans.append((promise.from_s, promise.until_s, asked))
    if isinstance(row, SumRow):
        spans.extend(cap_at(evidence, node))
    for from_s, until_s, value in spans:
        for n in range(index_of(from_s) + 1, min(index_of(until_s), len(times_s))):
            before = ceilings[n]
            ceilings[n] = value if before is None else min(before, value)
    return ceilings


def _with_slack(ceiling: float, unit: float) -> float:
    return ceiling * (1.0 + _SLACK_PART) + _SLACK_A * unit


def _shown_below(evidence: Evidence, below: Collection[str]) -> set[EvseId]:
    """The EVSEs that some meter of the subtree shows."""
    return {
        evse.id
        for meter in evidence.site.meters
        if meter.sees is Sees.ALL and meter.node in below
        for evse in evidence.site.evses
        if evse.node in _below(evidence, meter.node)
    }


def _below(evidence: Evidence, node: str) -> set[str]:
    below = {node}
    for other in evidence.site.nodes:
        if other.parent in below:
            below.add(other.id)
    return below
