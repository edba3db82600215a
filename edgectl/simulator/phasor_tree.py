"""The electrical tree of a site whose currents do not add up as amounts.

Base loads are between line and neutral with power factor 1. The voltage sags alike on all lines of
all nodes, with the power that the grid connection carries.
"""

import random
from collections.abc import Iterable

from edgectl.model.site import Sees, Site
from edgectl.simulator.phasors import Complexes, Phasors, draw_on, import_a, watts_of
from edgectl.simulator.trace import NodePhasors, NodeTruth
from edgectl.simulator.tree import SAG_AT_FULL_LOAD, Load, Seen, Tree
from edgectl.units import Triple


class PhasorTree(Tree):
    """A tree of phasors; `mean_v` is the voltage where no transformer is below."""

    def __init__(self, site: Site, rng: random.Random) -> None:
        super().__init__(site, rng)
        self._all, self._base = Phasors(site), Phasors(site)
        self._sagging = 1.0
        self._full_load_w = _full_load_w(site, self._all.voltage_v[0])

    def sum_up(self, loads: Iterable[Load]) -> None:
        """Sum base loads and `loads`."""
        volts_v = self._all.voltage_v
        for k, branch in enumerate(self._branches):
            self._all.set_base_a(k, branch.own_base_a)
            self._base.set_base_a(k, branch.own_base_a)
        self._base.sum_up(())
        self._all.sum_up(
            (
                node,
                draw_on(phases, between_lines=between_lines),
                amps,
                amps * watts_of(len(phases), volts_v[node], between_lines=between_lines),
            )
            for node, phases, between_lines, amps in loads
        )
        self._sagging = 1.0 - SAG_AT_FULL_LOAD * self._all.power_w[0] / self._full_load_w
        self.mean_v = self._nominal_v * self._sagging
        self.voltage_v = (self.mean_v,) * 3

    def seen(self, node: int, sees: Sees) -> Seen:
        """What a meter at a node sees, on the secondary side of its transformer."""
        volts = self._all.voltage_v[node] * self._sagging
        if sees is Sees.PART:
            own_a = self._branches[node].own_base_a
            one_w, two_w, three_w = (volts * amps for amps in own_a)
            one_a, two_a, three_a = (abs(amps) for amps in own_a)
        else:
            phasors = self._all if sees is Sees.ALL else self._base
            one_w, two_w, three_w = (self._sagging * watts for watts in phasors.line_power_w(node))
            one_a, two_a, three_a = phasors.amps(node)
        return Seen(
            voltage_v=(volts,) * 3,
            current_a=(one_a, two_a, three_a),
            power_w=(one_w, two_w, three_w),
        )

    def truth(self, node: int) -> NodeTruth:
        """Give a node's sample for the trace."""
        flows = NodePhasors(
            line_a=self._all.against_voltage(node),
            primary_a=self._all.primary_against_voltage(node),
            base_line_a=self._base.against_voltage(node),
            base_primary_a=self._base.primary_against_voltage(node),
        )
        return NodeTruth(
            current_a=_imports(flows.line_a),
            power_w=self._sagging * self._all.power_w[node],
            base_power_w=self._sagging * self._base.power_w[node],
            base_a=_imports(flows.base_line_a),
            phasors=flows,
        )


def _imports(line_a: Complexes) -> Triple:
    one, two, three = line_a
    return (import_a(one), import_a(two), import_a(three))


def _full_load_w(site: Site, voltage_v: float) -> float:
    """What the grid connection bears; `voltage_v` is that of the first node."""
    root = site.nodes[0]
    bears_w = [3.0 * voltage_v * limit_a for limit_a in root.limit_a if limit_a]
    if root.limit_va:
        bears_w.append(root.limit_va)
    if root.transformer is not None:
        above_v = voltage_v * root.transformer.turns_ratio / 3.0**0.5
        bears_w += [3.0 * above_v * limit_a for limit_a in root.primary_limit_a if limit_a]
    everything_w = sum(evse.max_a * evse.voltages for evse in site.evses) * site.voltage_v
    return min(bears_w, default=everything_w or 1.0)
