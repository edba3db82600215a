"""What the allocation kernel answers. EVSEs and nodes are indices in construction order."""

from dataclasses import dataclass
from typing import Final

from edgectl.model.decision import ReasonCode
from edgectl.units import Triple

ROWS: Final = ("1", "2", "3", "va")
"""The rows of a node: its three phases in A and the sum of its phases in VA."""


@dataclass(frozen=True, slots=True)
class Stop:
    """What stopped an EVSE. `node` and `row` (one of `ROWS`) are None where no row did.

    `primary`: the row is one of the primary side of the transformer that `node` is. `unbalance`:
    the row is how far this phase may be above another.
    """

    code: ReasonCode
    node: int | None = None
    row: str | None = None
    primary: bool = False
    unbalance: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """The allocation: per EVSE its setpoint, whether it was admitted and what stopped it.

    An EVSE that is not admitted has its pause value as setpoint; one that discharges has a negative
    setpoint. `deficit_a` and `deficit_va`: per node by how much the base load alone is above the
    ceiling, 0 where it is not; `primary_deficit_a` at the primary side of a transformer;
    `export_deficit_a` and `export_deficit_va` where somebody can discharge, by how much what is fed
    back beside them is above the export ceiling.
    """

    setpoint_a: tuple[float, ...]
    admitted: tuple[bool, ...]
    stops: tuple[Stop, ...]
    deficit_a: tuple[Triple, ...]
    deficit_va: tuple[float, ...]
    primary_deficit_a: tuple[Triple, ...]
    export_deficit_a: tuple[Triple, ...]
    export_deficit_va: tuple[float, ...]
