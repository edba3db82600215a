"""What is known once readings are judged and ceilings set: the ground of all later verbs."""

from dataclasses import dataclass

from edgectl.clock import Instant
from edgectl.control.account import Commitment
from edgectl.control.judge import NodeJudgement
from edgectl.control.layout import Layout
from edgectl.control.limits import EvseCeiling, NodeCeilings
from edgectl.model.rules import Rules
from edgectl.model.snapshot import Snapshot
from edgectl.model.state import DrawState, NoDemand, State


@dataclass(frozen=True, slots=True)
class Situation:
    """Node values are in the site's order of nodes, EVSE values in its order of EVSEs."""

    snapshot: Snapshot
    state: State
    now: Instant
    rules: Rules
    layout: Layout
    commitments: tuple[Commitment, ...]
    draws: tuple[DrawState | None, ...]
    judged: tuple[NodeJudgement, ...]
    node_ceilings: tuple[NodeCeilings, ...]
    evse_ceilings: tuple[EvseCeiling, ...]
    no_demand: tuple[NoDemand | None, ...]
