from array import array
from typing import Final, final

OWN_MAXIMUM: Final[int]
NODE_CEILING: Final[int]
VA_CEILING: Final[int]
INCREMENT: Final[int]
NOT_ADMITTED: Final[int]
BASE_OVER_CEILING: Final[int]
NO_DEMAND: Final[int]
PRIMARY_CEILING: Final[int]
UNBALANCE: Final[int]

DONE: Final[int]
BAD_NODE: Final[int]
BAD_EVSE: Final[int]
BAD_QUEUE: Final[int]
ROW_EXCEEDED: Final[int]
SETPOINT_OUTSIDE: Final[int]

MAGNITUDE_MAX: Final[float]
WEIGHT_MIN: Final[float]
WEIGHT_MAX: Final[float]
STEP_MIN_A: Final[float]
TURNS_MIN: Final[float]
TURNS_MAX: Final[float]
SCALE_MIN: Final[float]
SCALE_MAX: Final[float]

@final
class Kernel:
    node_count: Final[int]
    evse_count: Final[int]
    @property
    def bad_index(self) -> int: ...
    def __init__(
        self,
        parent: array[int],
        turns_ratio: array[float],
        unbalance: array[float],
        evse_node: array[int],
        evse_phases: array[int],
        evse_delta: array[int],
        allowed_start: array[int],
        allowed: array[float],
    ) -> None: ...
    def bind(
        self,
        *,
        ceiling: array[float],
        base: array[float],
        primary_ceiling: array[float],
        export_ceiling: array[float],
        voltage: array[float],
        weight: array[float],
        tier: array[int],
        minimum: array[float],
        maximum: array[float],
        discharge_min: array[float],
        discharge_max: array[float],
        step: array[float],
        pause: array[float],
        order: array[int],
        setpoint: array[float],
        admitted: array[int],
        code: array[int],
        stop_node: array[int],
        stop_row: array[int],
        deficit: array[float],
        primary_deficit: array[float],
        export_deficit: array[float],
    ) -> None: ...
    def solve(self) -> int: ...
    def verify(self) -> int: ...
