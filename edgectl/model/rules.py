"""A switch per rule of safety, for the simulation alone: it shows that each rule carries weight.

The daemon passes `ALL_ON`; no config, environment or command can pass another.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Rules:
    """All on. A rule's meaning stands with the function of its number.

    S10, S14, S16 and S18 are carried out by the daemon, the others in `edgectl.control`.
    """

    s1_age: bool = True
    s2_implausible: bool = True
    s3_sign: bool = True
    s4_base: bool = True
    s5_frozen: bool = True
    s6_ageing: bool = True
    s7_sees: bool = True
    s8_committed: bool = True
    s9_silent: bool = True
    s10_calls: bool = True
    s11_boot: bool = True
    s12_promise: bool = True
    s13_no_raise_into_debt: bool = True
    s14_decreases_first: bool = True
    s15_over_ceiling: bool = True
    s16_lease: bool = True
    s17_ladder: bool = True
    s18_safe_stop: bool = True
    turns: bool = True
    unused_room: bool = True


ALL_ON: Final = Rules()
