"""No overload that is not explained by what nobody could foresee a moment ago (S12, S15, S20).

Theory: at any time t the currents that the daemon commands must fit beside everything else as it
was at some time in the last W(t) seconds, where W is the node's `physics_s` (S20), longer while its
meter says nothing. So an overload at t is explained only by what has grown within W: the base load,
what a charger or vehicle draws beyond what it was told, what it draws again while it has shown so
all the time or was silent (meanwhile the base load seemed less: S4), and a ceiling that fell.

1. Judged is what truly flows, against limits, caps and what was promised to the region.
2. Where every EVSE that could be reached for long enough draws nothing, nobody can do more.
3. While no daemon runs, chargers fall to their failsafe currents within their watchdog times.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from edgectl.model.site import Mode, Node, Sees
from edgectl.simulator.allowance import STALE_S, allowance
from edgectl.simulator.trial import troubles
from edgectl.simulator.trial.caps import cap_at
from edgectl.simulator.trial.drawn import TRACE_S, VA_ROW, Drawn, index_of
from edgectl.simulator.trial.evidence import Breach, Evidence
from edgectl.simulator.trial.promises import Promise, promises
from edgectl.simulator.trial.stuck_meters import unknown_spans
from edgectl.simulator.trial.troubles import COME_BACK_S, Span
from edgectl.units import EvseId

_SLACK_A: Final = 0.02
_SLACK_PART: Final = 1e-4
_WATTS_PART: Final = 1.05
"""The site's voltage sags, and amperes make up for it."""

_STARTS_S: Final = 3.0
"""From the start of a process until it has called everybody once."""

_PHASES: Final = (0, 1, 2)


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
        self._truths = evidence.trace.nodes[node.id]
        below = _below(evidence, node.id)
        self._drawn = [one for one in evses.values() if one.evse.node in below]
        self._volts = evidence.site.voltage_v
        self._dead = troubles.of_gateway(evidence)
        self._ceilings = [_ceilings(evidence, node, row, made) for row in (*_PHASES, VA_ROW)]
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
        for row in (*_PHASES, VA_ROW):
            breached = False
            for n, ceiling in enumerate(self._ceilings[row]):
                if ceiling is None or self._flow(n, row) <= _with_slack(ceiling, self._unit(row)):
                    breached = False
                    continue
                text = None if breached else self._unexplained(n, row, ceiling)
                if text is not None:
                    breached = True
                    yield Breach(check="overload", at_s=self._times_s[n], text=text)

    def _unexplained(self, n: int, row: int, ceiling: float) -> str | None:
        limit = self._node.limit_va if row == VA_ROW else self._node.limit_a[row]
        now_s = self._times_s[n]
        nobody = any(
            span.from_s <= now_s <= span.until_s + self._physics_s + _STARTS_S
            for span in self._dead
        )
        if nobody and (limit is None or self._flow(n, row) <= limit):
            return None  # what somebody asked for is kept by a daemon only, a limit by failsafes
        if troubles.any_touches(self._unknown, now_s, now_s):
            return None
        window = self._window(n)
        unit = self._unit(row)
        lowerable = sum(
            self._share(one, n, row)
            * max(0.0, one.amps[n] - one.unruly_a[n] - one.evse.traits.pause_a)
            for one in window.lowerable
            if one.loads(n, row)
        )
        if lowerable <= _SLACK_A * unit:
            return None
        samples = range(window.first, n + 1)
        base_rise = self._base(n, row) - min(self._base(k, row) for k in samples)
        unruly_rise = sum(
            self._share(one, n, row) * (one.unruly_a[n] - self._unruly_before(one, n, window))
            for one in self._drawn
            if one.loads(n, row) and one.unruly_a[n] > 0.0
        )
        masked_fall = sum(
            self._share(one, n, row) * (max(one.masked_a[window.first : n + 1]) - one.masked_a[n])
            for one in self._drawn
            if one.loads(n, row)
        )
        before = [c for k in samples if (c := self._ceilings[row][k]) is not None]
        free = len(before) < len(samples)
        fall = float("inf") if free else max(before) - ceiling
        excess = self._flow(n, row) - ceiling
        explained = base_rise + unruly_rise + masked_fall + fall
        if excess <= explained + _SLACK_A * unit + _SLACK_PART * ceiling:
            return None
        where = "VA" if row == VA_ROW else f"A on L{row + 1}"
        return (
            f"{self._node.id} draws {self._flow(n, row):.2f} {where}, its ceiling is {ceiling:.2f};"
            f" in the last {self._times_s[n] - self._times_s[window.first]:.1f} s base load rose"
            f" {base_rise:.2f}, what was not told {unruly_rise:.2f}, what was shown already"
            f" {masked_fall:.2f}, the ceiling fell {fall:.2f};"
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

    def _share(self, one: Drawn, n: int, row: int) -> float:
        return self._volts * one.phases[n] if row == VA_ROW else 1.0

    def _unit(self, row: int) -> float:
        return self._volts if row == VA_ROW else 1.0

    def _flow(self, n: int, row: int) -> float:
        truth = self._truths[n]
        return truth.power_w if row == VA_ROW else truth.current_a[row]

    def _base(self, n: int, row: int) -> float:
        truth = self._truths[n]
        return truth.base_power_w if row == VA_ROW else truth.base_a[row]


def _check_evse(evidence: Evidence, one: Drawn, made: Sequence[Promise]) -> Iterator[Breach]:
    """An EVSE's own ceiling, where it can be reached and obeys."""
    evse, times_s = one.evse, evidence.trace.times_s
    allowed = allowance(evidence.site, evse.node, links=evidence.links)
    physics_s = 0.0 if allowed is None else allowed.physics_s
    dead = troubles.of_gateway(evidence)
    for promise in made:
        if promise.evse != evse.id:
            continue
        from_s = promise.from_s + physics_s
        for n in range(index_of(from_s) + 1, min(index_of(promise.until_s), len(times_s))):
            limit_a = promise.limit_a
            if limit_a is None:
                # In W it is a limit for the phases that the vehicle uses.
                used = max(one.phases[n], 1)
                limit_a = (promise.limit_w or 0.0) / (evidence.site.voltage_v * used) * _WATTS_PART
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
    evidence: Evidence, node: Node, row: int, made: Sequence[Promise]
) -> list[float | None]:
    """Give the ceiling of a row at every sample."""
    times_s = evidence.trace.times_s
    limit = node.limit_va if row == VA_ROW else node.limit_a[row]
    ceilings: list[float | None] = [limit] * len(times_s)
    spans: list[tuple[float, float, float]] = []
    for promise in made:
        asked = promise.limit_w if row == VA_ROW else promise.limit_a
        if promise.node == node.id and asked is not None:
            spans.append((promise.from_s, promise.until_s, asked))
    if row == VA_ROW:
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
