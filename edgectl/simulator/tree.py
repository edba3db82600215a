"""The electrical tree: base loads and EVSE currents summed up to the grid connection.

All loads are taken with power factor 1, so currents of one phase add up as amounts. Where they do
not, see `phasor_tree`.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

from edgectl.model.quick import maker
from edgectl.model.site import Node, Sees, Site
from edgectl.simulator.base_load import BaseLoad
from edgectl.simulator.faults import Fault
from edgectl.simulator.trace import NodeTruth
from edgectl.units import NodeId, Triple

SAG_AT_FULL_LOAD: Final = 0.015
"""The part of the voltage that is lost when the grid connection is fully loaded."""

Load: TypeAlias = tuple[int, tuple[int, ...], bool, float]
"""The index of its node, the site phases loaded, whether it is between two lines, its current."""


class Seen(NamedTuple):
    """What a meter sees per site phase; currents are magnitudes, power has the sign."""

    voltage_v: Triple
    current_a: Triple
    power_w: Triple


_node_truth = maker(NodeTruth)


@dataclass(slots=True)
class Branch:
    """A node with its base load, and what flows there."""

    node: Node
    parent: int | None
    base: BaseLoad
    steps: list[Fault] = field(default_factory=list)
    own_base_a: Triple = (0.0, 0.0, 0.0)
    base_a: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    total_a: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])


class Tree:
    """The nodes of a site with what flows through them; node 0 is the grid connection."""

    def __init__(self, site: Site, rng: random.Random) -> None:
        self.index = {node.id: k for k, node in enumerate(site.nodes)}
        self.mean_v = site.voltage_v
        self.voltage_v: Triple = (site.voltage_v,) * 3
        self._nominal_v = site.voltage_v
        self._full_load_a = _full_load_a(site)
        self._branches = [
            Branch(
                node=node,
                parent=None if node.parent is None else self.index[node.parent],
                base=BaseLoad(node.base_max_a, random.Random(rng.random())),
            )
            for node in site.nodes
        ]

    def add_step(self, step: Fault) -> None:
        """Schedule a base-load step at the node that it names."""
        self._branches[self.index[NodeId(step.id)]].steps.append(step)

    def move_base(self, *, now_s: float, scenario_s: float, dark: bool = False) -> None:
        """Let every base load move on to now; in the dark there is none."""
        for branch in self._branches:
            if not branch.base.empty:
                own_a = branch.base.at(now_s, scenario_s, branch.steps)
                branch.own_base_a = (0.0, 0.0, 0.0) if dark else own_a

    def sum_up(self, loads: Iterable[Load]) -> None:
        """Sum base loads and `loads`."""
        for branch in self._branches:
            branch.base_a = list(branch.own_base_a)
            branch.total_a = list(branch.own_base_a)
        for node, phases, _, amps in loads:
            total_a = self._branches[node].total_a
            for phase in phases:
                total_a[phase - 1] += amps
        for branch in reversed(self._branches):
            if branch.parent is not None:
                above = self._branches[branch.parent]
                for k in (0, 1, 2):
                    above.base_a[k] += branch.base_a[k]
                    above.total_a[k] += branch.total_a[k]
        sag_v = self._nominal_v * SAG_AT_FULL_LOAD / self._full_load_a
        one_a, two_a, three_a = self._branches[0].total_a
        nominal_v = self._nominal_v
        self.voltage_v = (
            nominal_v - sag_v * one_a,
            nominal_v - sag_v * two_a,
            nominal_v - sag_v * three_a,
        )
        self.mean_v = sum(self.voltage_v) / 3.0

    def seen(self, node: int, sees: Sees) -> Seen:
        """What a meter at a node sees; one that sees a part sees the node's own base load."""
        branch = self._branches[node]
        match sees:
            case Sees.ALL:
                one_a, two_a, three_a = branch.total_a
            case Sees.BASE_ONLY:
                one_a, two_a, three_a = branch.base_a
            case Sees.PART:
                one_a, two_a, three_a = branch.own_base_a
        v = self.voltage_v
        return Seen(
            voltage_v=v,
            current_a=(abs(one_a), abs(two_a), abs(three_a)),
            power_w=(v[0] * one_a, v[1] * two_a, v[2] * three_a),
        )

    def truth(self, node: int) -> NodeTruth:
        """Give a node's sample for the trace."""
        branch, v = self._branches[node], self.voltage_v
        total_a, base_a = branch.total_a, branch.base_a
        return _node_truth(
            current_a=(total_a[0], total_a[1], total_a[2]),
            power_w=v[0] * total_a[0] + v[1] * total_a[1] + v[2] * total_a[2],
            base_power_w=v[0] * base_a[0] + v[1] * base_a[1] + v[2] * base_a[2],
            base_a=(base_a[0], base_a[1], base_a[2]),
        )


def _full_load_a(site: Site) -> float:
    root = site.nodes[0]
    limits_a = [limit_a for limit_a in root.limit_a if limit_a]
    if root.limit_va:
        limits_a.append(root.limit_va / (3.0 * site.voltage_v))
    return min(limits_a, default=sum(evse.max_a for evse in site.evses) or 1.0)
