"""A switch per rule of safety, for the simulation alone: it shows that each rule carries weight.

The daemon passes `Rules()`; no config, environment or command can pass another.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rules:
    """All on. A rule's meaning stands with the function of its number in `edgectl.control`."""

    s1_age: bool = True
    s2_implausible: bool = True
    s3_sign: bool = True
    s4_base: bool = True
    s6_ageing: bool = True
    s8_committed: bool = True
    s9_silent: bool = True
    s12_promise: bool = True
    s13_no_raise_into_debt: bool = True
    s15_over_ceiling: bool = True
    s17_ladder: bool = True
    turns: bool = True
    unused_room: bool = True
