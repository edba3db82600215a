"""Whether a node would bear more of an EVSE where currents are phasors.

Theory: amounts are never less than the magnitude of their phasor sum, whatever part of them is
drawn. Where even the amounts fit there is room beyond doubt.
"""

from collections.abc import Callable, Sequence
from math import sqrt
from typing import Final

from edgectl.model.site import Evse, Node, Site, nominal_voltages
from edgectl.simulator.trace import NodeTruth
from edgectl.simulator.trial.effects import LINES, Effects
from edgectl.units import Triple

_MARGIN_PART: Final = 0.02
_VA_PART: Final = 1.1
_ROOT_3: Final = sqrt(3.0)


def bears(
    site: Site,
    node: Node,
    counted: Sequence[tuple[Evse, float]],
    *,
    truths: Sequence[NodeTruth],
    measured: Callable[[Node], bool],
) -> bool:
    """Tell whether amounts fit: `counted` EVSEs below, each with its current in A.

    `truths`: the node at the samples that are looked at; `measured`: whether a meter shows the base
    load of a node, where else it is the worst.
    """
    effects = Effects(site)
    base_a, base_above_a = _base(site, node, truths, measured)
    sides = [(node.limit_a, base_a, effects.on_lines)]
    if node.transformer is not None:
        sides.append((node.primary_limit_a, base_above_a, effects.on_primary))
    for limits_a, own_a, on_side in sides:
        for line in LINES:
            limit_a = limits_a[line]
            if limit_a is None:
                continue
            amounts_a = own_a[line] + sum(
                amps * abs(on_side(node, evse, len(evse.phases))[line]) for evse, amps in counted
            )
            margin_a = _MARGIN_PART * limit_a if node.margin_a is None else node.margin_a
            if amounts_a > limit_a - margin_a:
                return False
    if node.limit_va is None:
        return True
    volts = nominal_voltages(site.nodes, site.voltage_v)
    own_v = volts[node.id]
    sum_va = own_v * sum(base_a)
    sum_va += sum(amps * evse.voltages * volts[evse.node] for evse, amps in counted)
    margin_va = (
        _MARGIN_PART * node.limit_va if node.margin_a is None else 3.0 * own_v * node.margin_a
    )
    return _VA_PART * sum_va <= node.limit_va - margin_va


def _base(
    site: Site, node: Node, truths: Sequence[NodeTruth], measured: Callable[[Node], bool]
) -> tuple[Triple, Triple]:
    """No less than what base load counts on a node's lines and on those of its primary side."""
    if measured(node):
        seen = [truth.phasors for truth in truths if truth.phasors is not None]
        one, two, three = (max(abs(each.base_line_a[p]) for each in seen) for p in LINES)
    else:
        sums_a = list(node.base_max_a)
        for child in site.nodes:
            if child.parent == node.id:
                _, above_a = _base(site, child, (), lambda _: False)
                sums_a = [own + more for own, more in zip(sums_a, above_a, strict=True)]
        one, two, three = sums_a
    if node.transformer is None:
        return (one, two, three), (one, two, three)
    above = _ROOT_3 * max(one, two, three) / node.transformer.turns_ratio
    return (one, two, three), (above, above, above)
