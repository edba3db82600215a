"""What flowed at every node over a whole run: peaks, energy, and quarter-hours for the pictures."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from edgectl.model.site import Site
from edgectl.simulator.phasors import Phasors
from edgectl.units import OptionalTriple

QUARTER_S: Final = 900.0
_WS_PER_WH: Final = 3600.0


@dataclass(slots=True)
class NodeFlow:
    """One node. `quarters`: by start time, mean power in W and the highest load of any ceiling.

    A load is a current or power by its ceiling; 0 where the node has none.
    """

    peak_a: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    primary_peak_a: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    peak_w: float = 0.0
    energy_wh: float = 0.0
    over_s: float = 0.0
    quarters: list[tuple[float, float, float]] = field(default_factory=list)
    quarter_wh: float = 0.0
    quarter_load: float = 0.0


class Flowed:
    """Filled piece by piece; every piece lies within one quarter-hour."""

    def __init__(self, site: Site) -> None:
        self.nodes = [NodeFlow() for _ in site.nodes]
        self.duration_s = 0.0
        self._site_nodes = site.nodes
        self._quarter_s: float | None = None

    def add(self, phasors: Phasors, *, from_s: float, for_s: float) -> None:
        """Note that for `for_s` from `from_s` on it was as `phasors` says."""
        quarter_s = from_s - from_s % QUARTER_S
        if quarter_s != self._quarter_s:
            self.close()
            self._quarter_s = quarter_s
        self.duration_s += for_s
        for n, flow in enumerate(self.nodes):
            node, power_w = self._site_nodes[n], phasors.power_w[n]
            amps = phasors.amps(n)
            load = max(_load(amps, node.limit_a), _part(power_w, node.limit_va))
            _raise(flow.peak_a, amps)
            if node.transformer is not None:
                primary = phasors.primary_amps(n)
                load = max(load, _load(primary, node.primary_limit_a))
                _raise(flow.primary_peak_a, primary)
            flow.peak_w = max(flow.peak_w, power_w)
            flow.quarter_wh += power_w * for_s / _WS_PER_WH
            flow.quarter_load = max(flow.quarter_load, load)
            if load > 1.0 + 1e-9:
                flow.over_s += for_s

    def close(self) -> None:
        """End the quarter-hour that is open."""
        if self._quarter_s is None:
            return
        for flow in self.nodes:
            mean_w = flow.quarter_wh * _WS_PER_WH / QUARTER_S
            flow.quarters.append((self._quarter_s, mean_w, flow.quarter_load))
            flow.energy_wh += flow.quarter_wh
            flow.quarter_wh = flow.quarter_load = 0.0
        self._quarter_s = None


def _raise(peak: list[float], values: Sequence[float]) -> None:
    for p in range(3):
        peak[p] = max(peak[p], values[p])


def _load(amps: Sequence[float], limit_a: OptionalTriple) -> float:
    return max(_part(a, limit) for a, limit in zip(amps, limit_a, strict=True))


def _part(value: float, limit: float | None) -> float:
    if limit is None:
        return 0.0
    return value / limit if limit > 0.0 else (0.0 if value <= 0.0 else float("inf"))
