"""The rows of a node as checkers look at them: what flows, and what an ampere of an EVSE does.

1. A line, the sum in VA, a line that feeds a transformer, and how far a phase is above another.
2. Where currents are phasors, what has grown by an ampere explains at most the greatest effect that
   an ampere has on that row. A base load that was another explains what would flow beside it.
3. How far phases are apart can be known only where a meter shows the base load. What draws on the
   lesser phase counts with what it is told until it had its time to begin.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Final

from edgectl.model.site import Node, Sees, Site, has_phasors, nominal_v, voltages_of
from edgectl.simulator.phasors import import_a
from edgectl.simulator.trace import NodePhasors, NodeTruth
from edgectl.simulator.trial.drawn import TRACE_S, Drawn
from edgectl.simulator.trial.effects import LINES, Effects
from edgectl.simulator.trial.promises import Promise

_BEGINS_S: Final = 10.0
"""What draws on the lesser phase counts for so long after it was seen to."""


class Row(ABC):
    """`limit`: what the site file says; `unit`: what an ampere is, in that of the row.

    `where`: it in words. `apart`: not itself what flows, but how far phases are apart.
    """

    unit = 1.0
    apart = False

    def __init__(self, truths: Sequence[NodeTruth], limit: float | None, where: str) -> None:
        self.truths = truths
        self.limit = limit
        self.where = where

    @abstractmethod
    def flow(self, n: int) -> float:
        """What flows at a sample."""

    @abstractmethod
    def base_rise(self, n: int, first: int) -> float:
        """By how much less would flow, had the base load stayed as at some sample from `first`."""

    @abstractmethod
    def effect(self, one: Drawn, n: int) -> float:
        """The most that an ampere of an EVSE below adds; 0 where it does not load the row."""

    def asked(self, promise: Promise) -> float | None:  # noqa: ARG002 - none as a rule
        """What a promise allows here; None where it is about something else."""
        return None

    def ceiling(self, n: int, ceiling: float) -> float:  # noqa: ARG002 - the same at all times
        """What bounds the row at a sample."""
        return ceiling

    def least_a(self, one: Drawn) -> float:
        """Down to what an EVSE is lowered for this row."""
        return one.evse.traits.pause_a

    def relief_lost(self, drawn: Sequence[Drawn], n: int, first: int) -> float:  # noqa: ARG002
        """What fell within the samples from `first` on and made room before."""
        return 0.0


class PhaseRow(Row):
    """One phase where currents add up as amounts."""

    def __init__(self, truths: Sequence[NodeTruth], node: Node, phase: int) -> None:
        super().__init__(truths, node.limit_a[phase], f"A on L{phase + 1}")
        self._phase = phase

    def flow(self, n: int) -> float:
        """Its current."""
        return self.truths[n].current_a[self._phase]

    def base_rise(self, n: int, first: int) -> float:
        """Against the least base load."""
        p = self._phase
        return self.truths[n].base_a[p] - min(self.truths[k].base_a[p] for k in range(first, n + 1))

    def effect(self, one: Drawn, n: int) -> float:
        """One, or nothing."""
        return 1.0 if one.uses(n, self._phase) else 0.0

    def asked(self, promise: Promise) -> float | None:
        """A limit in A is one for every phase."""
        return promise.limit_a


class SumRow(Row):
    """The sum in VA: with power factor 1 it is the power."""

    def __init__(self, truths: Sequence[NodeTruth], node: Node, site: Site) -> None:
        super().__init__(truths, node.limit_va, "VA")
        self.unit = site.voltage_v
        self._nominal_v = {evse.id: nominal_v(site, evse=evse.id) for evse in site.evses}

    def flow(self, n: int) -> float:
        """The power of everything below."""
        return self.truths[n].power_w

    def base_rise(self, n: int, first: int) -> float:
        """Against the least base load."""
        return self.truths[n].base_power_w - min(
            self.truths[k].base_power_w for k in range(first, n + 1)
        )

    def effect(self, one: Drawn, n: int) -> float:
        """Its voltages, nominally."""
        voltages = voltages_of(one.evse.connection, one.phases[n]) if one.phases[n] else 0.0
        return self._nominal_v[one.evse.id] * voltages

    def asked(self, promise: Promise) -> float | None:
        """A limit in W lands here."""
        return promise.limit_w


class PhasorRow(Row):
    """A line, or one that feeds the node's transformer, where currents are phasors."""

    def __init__(
        self, truths: Sequence[NodeTruth], node: Node, line: int, effects: Effects, *, primary: bool
    ) -> None:
        limit = (node.primary_limit_a if primary else node.limit_a)[line]
        where = f"A on {'primary ' if primary else ''}L{line + 1}"
        super().__init__(truths, limit, where)
        self._node = node
        self._line = line
        self._effect = effects.on_primary if primary else effects.on_lines
        self._primary = primary

    def flow(self, n: int) -> float:
        """What the line counts."""
        return import_a(self._of(n)[0])

    def base_rise(self, n: int, first: int) -> float:
        """Against what would flow beside the base load of another sample."""
        flows, base = self._of(n)
        beside = flows - base
        return import_a(flows) - min(import_a(beside + self._of(k)[1]) for k in range(first, n + 1))

    def effect(self, one: Drawn, n: int) -> float:
        """The magnitude of what an ampere puts on the line."""
        return abs(self._effect(self._node, one.evse, one.phases[n])[self._line])

    def asked(self, promise: Promise) -> float | None:
        """A limit in A is one for the node's own lines."""
        return None if self._primary else promise.limit_a

    def _of(self, n: int) -> tuple[complex, complex]:
        phasors = phasors_of(self.truths[n])
        if self._primary:
            return phasors.primary_a[self._line], phasors.base_primary_a[self._line]
        return phasors.line_a[self._line], phasors.base_line_a[self._line]


class ApartRow(Row):
    """How far one phase is above another."""

    apart = True

    def __init__(self, truths: Sequence[NodeTruth], node: Node, more: int, less: int) -> None:
        super().__init__(truths, node.unbalance_a, f"A of L{more + 1} above L{less + 1}")
        self._more, self._less = more, less

    def flow(self, n: int) -> float:
        """The difference."""
        current_a = self.truths[n].current_a
        return current_a[self._more] - current_a[self._less]

    def base_rise(self, n: int, first: int) -> float:
        """Against the least difference of the base loads."""
        return self._base_a(n) - min(self._base_a(k) for k in range(first, n + 1))

    def ceiling(self, n: int, ceiling: float) -> float:
        """Base load that is farther apart is the bound itself."""
        return max(ceiling, self._base_a(n))

    def effect(self, one: Drawn, n: int) -> float:
        """One where it uses the greater phase and not the lesser one."""
        return 1.0 if one.uses(n, self._more) and not one.uses(n, self._less) else 0.0

    def least_a(self, one: Drawn) -> float:
        """Nobody is paused for it."""
        traits = one.evse.traits
        return max([traits.pause_a, traits.min_a, *traits.allowed_a[:1]])

    def relief_lost(self, drawn: Sequence[Drawn], n: int, first: int) -> float:
        """What is no longer drawn on the lesser phase, and on whose phases nobody could know."""
        lost_a = 0.0
        for one in drawn:
            traits = one.evse.traits
            settles_s = traits.settle_s + traits.refresh_s + traits.poll_s + _BEGINS_S
            samples = range(max(0, first - int(settles_s / TRACE_S)), n + 1)
            wired = {self._more + 1, self._less + 1} & set(one.evse.phases)
            if wired == {self._less + 1} or one.uses(n, self._less):
                now_a = one.amps[n] if one.uses(n, self._less) else 0.0
                lost_a += max(max(one.told_a[k], one.amps[k]) for k in samples) - now_a
            elif len(wired) == 2:
                known_a = min(one.amps[k] for k in samples) if traits.metered else 0.0
                told_a = max(one.told_a[k] for k in samples)
                lost_a += max(one.amps[n], told_a) - known_a
        return lost_a

    def _base_a(self, n: int) -> float:
        base_a = self.truths[n].base_a
        return base_a[self._more] - base_a[self._less]


def rows_of(site: Site, node: Node, truths: Sequence[NodeTruth]) -> Iterator[Row]:
    """Give every row of a node, with a limit of its own or without."""
    if has_phasors(site):
        effects = Effects(site)
        for line in LINES:
            yield PhasorRow(truths, node, line, effects, primary=False)
        if node.transformer is not None:
            for line in LINES:
                yield PhasorRow(truths, node, line, effects, primary=True)
    else:
        for phase in LINES:
            yield PhaseRow(truths, node, phase)
    yield SumRow(truths, node, site)
    seen = any(meter.node == node.id and meter.sees is not Sees.PART for meter in site.meters)
    if node.unbalance_a is not None and seen:
        for more in LINES:
            for less in LINES:
                if more != less:
                    yield ApartRow(truths, node, more, less)


def phasors_of(truth: NodeTruth) -> NodePhasors:
    """The phasors of a sample of a site that has them."""
    if truth.phasors is None:
        raise ValueError("the site has no phasors")
    return truth.phasors
