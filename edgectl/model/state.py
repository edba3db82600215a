"""What a step remembers for the next one; empty after a restart: a first, cautious tick.

Of all this only the queue outlives a restart, and comes back through the snapshot.
"""

from dataclasses import dataclass, field

from edgectl.model.target import ChargeTarget
from edgectl.units import EvseId, MeterId, NodeId, Triple


@dataclass(frozen=True, slots=True)
class MeterRun:
    """A meter's value for as long as it stays the same (S5). `since_s`: when it first appeared.

    `least_a`: the most that the EVSEs below surely drew at some moment since; `greatest_a`: the
    least that they drew at most. `frozen`: they have moved as no live meter could have missed.
    """

    value_a: Triple
    since_s: float
    least_a: Triple
    greatest_a: Triple
    frozen: bool = False


@dataclass(frozen=True, slots=True)
class BaseState:
    """A meter's base load as far as it is settled: after every sample up to `upto_s`."""

    base_a: Triple
    upto_s: float
    run: MeterRun | None = None


@dataclass(frozen=True, slots=True)
class DrawState:
    """What a vehicle was seen to draw since it was admitted. Instants are monotonic.

    `highs`: the highest draw of the last blocks of time, each with its start, oldest first.
    `below_s`: since when it draws clearly less than its setpoint. `most_a`: the maximum that it
    has for that, since `tried_s`; `trying`: with more than it drew. `idle`: the phases (0-based)
    that show no current although it draws; `idle_s`: since when just those.
    """

    highs: tuple[tuple[float, float], ...] = ()
    below_s: float | None = None
    most_a: float | None = None
    tried_s: float | None = None
    trying: bool = False
    idle: tuple[int, ...] = ()
    idle_s: float | None = None


@dataclass(frozen=True, slots=True)
class NoDemand:
    """A vehicle that draws nothing although it may. Instants are monotonic.

    `since_s`: since when it draws nothing under a confirmed setpoint of its minimum at least.
    `times`: how often in a row it was found to ask for nothing; `until_s`: until when it therefore
    ranks behind all others, None: as one of them. `wants`: its charger says that it wants power;
    `doubted`: it said so before, and drew nothing. `target`: what it was known to need. `from_wh`:
    what its charger had counted at `since_s`.
    """

    since_s: float | None
    times: int = 0
    until_s: float | None = None
    wants: bool = False
    doubted: bool = False
    target: ChargeTarget | None = None
    from_wh: float | None = None


@dataclass(frozen=True, slots=True)
class EvseState:
    """One EVSE. Instants are monotonic.

    `held_a`: the highest setpoint that still counts (S8); `excess_a`: what is drawn beyond it.
    `admitted_s`: since when it charges; `stopped_s`: when it was stopped last, until it charges
    again; `displaced`: how often room was wanting in its turn since it was plugged in, taken back
    by a whole turn to what makes it wait; `asked_s`: since when it waits or asks; `raise_s`:
    since when it is meant to get more; `band`: how pressing its target is; `energy_from_wh`: its
    energy register when it was plugged.
    `resumes`: its turn began under the daemon before, and it has not charged since. `no_demand`:
    None while it draws, and while it was not offered anything since it was plugged in.
    """

    held_a: float
    setpoint_a: float
    admitted_s: float | None = None
    stopped_s: float | None = None
    displaced: int = 0
    asked_s: float | None = None
    excess_a: float = 0.0
    raise_s: float | None = None
    band: int | None = None
    energy_from_wh: float | None = None
    draw: DrawState | None = None
    resumes: bool = False
    no_demand: NoDemand | None = None


@dataclass(frozen=True, slots=True)
class State:
    """`started_s`: monotonic time of the first tick.

    `over_s`: since when a node's meter shows more than a ceiling of it, without a break.
    `exports`: since when a node feeds back more than it may.
    """

    started_s: float | None = None
    meters: dict[MeterId, BaseState] = field(default_factory=dict)
    evses: dict[EvseId, EvseState] = field(default_factory=dict)
    over_s: dict[NodeId, float] = field(default_factory=dict)
    exports: dict[NodeId, float] = field(default_factory=dict)
