"""What truly happened at the simulated site, sampled: the evidence that the report judges."""

from dataclasses import dataclass, field

from edgectl.units import MeterId, NodeId, Triple


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeTruth:
    """One node at one moment, with everything below it. `base_*` is the part that is not EVSEs."""

    current_a: Triple
    power_w: float
    base_power_w: float


@dataclass(slots=True)
class Trace:
    """Samples at `times_s`, in seconds of the scenario, and when each meter answered."""

    times_s: list[float] = field(default_factory=list)
    nodes: dict[NodeId, list[NodeTruth]] = field(default_factory=dict)
    meter_answers_s: dict[MeterId, list[float]] = field(default_factory=dict)
