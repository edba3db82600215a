"""Ceilings over time: who asks for which limit, where, from when to when."""

from dataclasses import dataclass
from enum import IntEnum

from edgectl.units import EvseId, NodeId, OptionalTriple


class Rank(IntEnum):
    """The ladder of authority (S17); a lower number is the higher rank."""

    SAFETY = 0
    UTILITY_MANDATORY = 1
    OPERATOR = 2
    TECHNICIAN = 3
    UTILITY_VOLUNTARY = 4
    PLAN = 5


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a ceiling.

    `kind`: `limit`, `event`, `command`, `pause`, `cap` or `failsafe`; `id` names it.
    """

    rank: Rank
    kind: str
    id: str


@dataclass(frozen=True, slots=True)
class TimedCeiling:
    """A ceiling on one node or one EVSE (exactly one of both).

    `limit_a` per phase or `limit_w` for the sum, of what is drawn; `export_a` and `export_w` the
    same of what is fed back, as a positive number; 0 means 0. It holds from `from_utc_s` until
    `until_utc_s`; None: until its holder changes it, which is the declared rule for what holds
    after (S19).
    """

    holder: Holder
    reason: str
    from_utc_s: float
    until_utc_s: float | None
    node: NodeId | None = None
    evse: EvseId | None = None
    limit_a: OptionalTriple = (None, None, None)
    limit_w: float | None = None
    export_a: OptionalTriple = (None, None, None)
    export_w: float | None = None
