"""The site's rule for sharing: who comes first, and for how long."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

TURN_S: Final = 900.0
MIN_OFF_S: Final = 180.0


class Policy(StrEnum):
    """Who comes first.

    `FAIR`: all alike. `PRIORITY`: strictly by tier, in a tier by weight. `DEADLINE`: who has the
    least time to spare until departure.
    """

    FAIR = "fair"
    PRIORITY = "priority"
    DEADLINE = "deadline"


@dataclass(frozen=True, slots=True)
class Sharing:
    """`turn_s`: for so long an admitted EVSE keeps its place before waiters.

    `min_off_s`: for so long an EVSE rests after every stop.
    """

    policy: Policy = Policy.FAIR
    turn_s: float = TURN_S
    min_off_s: float = MIN_OFF_S
