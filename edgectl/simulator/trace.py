"""What truly happened at the simulated site, sampled: the evidence that the report judges."""

from dataclasses import dataclass, field

from edgectl.simulator.phasors import Complexes
from edgectl.units import EvseId, MeterId, NodeId, Triple


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePhasors:
    """The currents of a node's lines, each counted from the voltage of its own line.

    `primary_a`: of the lines that feed its transformer; without one its own lines again.
    """

    line_a: Complexes
    primary_a: Complexes
    base_line_a: Complexes
    base_primary_a: Complexes


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeTruth:
    """One node at one moment, with everything below it. `base_*` is the part that is not EVSEs.

    `current_a`: what counts against the ceilings; what feeds back is negative. `phasors`: where
    currents are no amounts; there a line that feeds back counts what is across its voltage.
    """

    current_a: Triple
    power_w: float
    base_power_w: float
    base_a: Triple = (0.0, 0.0, 0.0)
    phasors: NodePhasors | None = None


@dataclass(slots=True)
class EvseTrace:
    """One EVSE at the times of the trace.

    `drawn_a`: on each of the first `phases` of its terminals. `limit_a`: what its charger allows.
    `asked_a`: the setpoint that last reached the charger, whether or not it obeyed.
    """

    drawn_a: list[float] = field(default_factory=list)
    phases: list[int] = field(default_factory=list)
    limit_a: list[float] = field(default_factory=list)
    asked_a: list[float] = field(default_factory=list)
    state: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Trace:
    """Samples at `times_s`, in seconds of the scenario, and when each meter answered.

    `mean_v`: the site's voltage, line to neutral, over the three phases.
    """

    times_s: list[float] = field(default_factory=list)
    mean_v: list[float] = field(default_factory=list)
    nodes: dict[NodeId, list[NodeTruth]] = field(default_factory=dict)
    evses: dict[EvseId, EvseTrace] = field(default_factory=dict)
    meter_answers_s: dict[MeterId, list[float]] = field(default_factory=dict)
