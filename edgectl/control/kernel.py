"""The typed door of the allocation kernel: the only importer of `edgectl._kernel`.

1. What goes in is checked here (finite, in range, consistent); what comes out is checked again, by
   code that shares nothing with the filling: no row above its headroom because of an admitted EVSE,
   every setpoint in its allowed set. Both failures are faults of ours: `InvariantBroken`.
2. The answer depends on the problem alone: not on the order of the nodes, not on earlier calls.
"""

from array import array
from collections.abc import Collection, Iterable, Sequence
from math import inf
from typing import Final, TypeVar

from edgectl import _kernel
from edgectl.errors import invariant
from edgectl.model.allocation import ROWS, Outcome, Stop
from edgectl.model.decision import ReasonCode
from edgectl.units import OptionalTriple, Triple

_T = TypeVar("_T")

MAGNITUDE_MAX: Final = _kernel.MAGNITUDE_MAX
"""No current, apparent power or voltage may be larger than this."""

WEIGHT_MIN: Final = _kernel.WEIGHT_MIN
WEIGHT_MAX: Final = _kernel.WEIGHT_MAX
STEP_MIN_A: Final = _kernel.STEP_MIN_A

_CODES: Final = {
    _kernel.OWN_MAXIMUM: ReasonCode.OWN_MAXIMUM,
    _kernel.NODE_CEILING: ReasonCode.NODE_CEILING,
    _kernel.VA_CEILING: ReasonCode.VA_CEILING,
    _kernel.INCREMENT: ReasonCode.INCREMENT,
    _kernel.NOT_ADMITTED: ReasonCode.NOT_ADMITTED,
    _kernel.BASE_OVER_CEILING: ReasonCode.BASE_OVER_CEILING,
    _kernel.NO_DEMAND: ReasonCode.NO_DEMAND,
}

_FAULTS: Final = {
    _kernel.BAD_NODE: "a ceiling, base load or voltage is no usable number, at node",
    _kernel.BAD_EVSE: "weight, tier, bounds, step, list or pause value cannot be used, at EVSE",
    _kernel.BAD_QUEUE: "the queue does not name every EVSE once, at position",
    _kernel.ROW_EXCEEDED: "the answer exceeds a ceiling at node",
    _kernel.SETPOINT_OUTSIDE: "the answer is outside the allowed set of EVSE",
}


class Allocator:
    """Allocates current to the EVSEs of one site; compiled once, `solve` may be called every tick.

    `parents`: per node the index of its parent, None for a root, in any order. `evse_nodes`: per
    EVSE the index of its node. `evse_phases`: per EVSE the set of site phases (1, 2, 3) that it
    loads.
    """

    def __init__(
        self,
        *,
        parents: Sequence[int | None],
        evse_nodes: Sequence[int],
        evse_phases: Sequence[Collection[int]],
    ) -> None:
        node_count, evse_count = len(parents), len(evse_nodes)
        try:
            self._kernel = _kernel.Kernel(
                array("i", [-1 if parent is None else parent for parent in parents]),
                array("i", evse_nodes),
                array("i", [_phase_bits(phases) for phases in evse_phases]),
            )
        except (ValueError, OverflowError) as error:
            invariant(False, f"the topology cannot be compiled: {error}")
        self._node_count, self._evse_count = node_count, evse_count
        self._setpoint_a = array("d", bytes(8 * evse_count))
        self._admitted = array("i", bytes(4 * evse_count))
        self._code = array("i", bytes(4 * evse_count))
        self._stop_node = array("i", bytes(4 * evse_count))
        self._stop_row = array("i", bytes(4 * evse_count))
        self._deficit = array("d", bytes(32 * node_count))
        self._work = array("d", bytes(48 * node_count))
        self._stops: dict[tuple[int, int, int], Stop] = {}

    def solve(
        self,
        *,
        ceiling_a: Sequence[OptionalTriple],
        ceiling_va: Sequence[float | None],
        base_a: Sequence[Triple],
        base_va: Sequence[float],
        voltage_v: Sequence[Triple],
        weight: Sequence[float],
        tier: Sequence[int],
        min_a: Sequence[float],
        max_a: Sequence[float],
        step_a: Sequence[float],
        pause_a: Sequence[float],
        allowed: Sequence[tuple[float, ...]],
        queue: Sequence[int],
    ) -> Outcome:
        """Solve one problem: five values per node, the others per EVSE; `queue` names every EVSE.

        A ceiling of None is none. `base_a` and `base_va` are cumulative (the node with everything
        below it) and may be negative. `tier` 0 is the highest. `step_a` 0 is continuous; a
        non-empty `allowed` tuple (ascending) stands in place of the step. An EVSE with `max_a` <
        `min_a` is not admitted. An EVSE counts `pause_a` until it is admitted, also while tiers
        above its own are filled.
        """
        try:
            ceiling = _rows(ceiling_a, ceiling_va)
            base = array("d", [v for abc, va in _paired(base_a, base_va) for v in (*abc, va)])
            voltage = array("d", [v for abc in voltage_v for v in abc])
            minimum, maximum = array("d", min_a), array("d", max_a)
            step, pause = array("d", step_a), array("d", pause_a)
            starts, listed = _lists(allowed)
            status = self._kernel.solve(
                ceiling,
                base,
                voltage,
                array("d", weight),
                _ranks(tier),
                minimum,
                maximum,
                step,
                pause,
                starts,
                listed,
                array("i", queue),
                self._setpoint_a,
                self._admitted,
                self._code,
                self._stop_node,
                self._stop_row,
                self._deficit,
            )
            self._must_be_done(status)
            status = self._kernel.verify(
                ceiling,
                base,
                voltage,
                minimum,
                maximum,
                step,
                pause,
                starts,
                listed,
                self._setpoint_a,
                self._admitted,
                self._work,
            )
            self._must_be_done(status)
        except (ValueError, OverflowError) as error:
            invariant(False, f"the problem does not fit the topology: {error}")
        return self._outcome()

    def _must_be_done(self, status: int) -> None:
        if status != _kernel.DONE:
            invariant(False, f"{_FAULTS[status]} {self._kernel.bad_index}")

    def _outcome(self) -> Outcome:
        deficit = self._deficit.tolist()
        stop = self._stop
        return Outcome(
            setpoint_a=tuple(self._setpoint_a),
            admitted=tuple(map(bool, self._admitted)),
            stops=tuple(map(stop, self._code, self._stop_node, self._stop_row)),
            deficit_a=tuple(zip(deficit[0::4], deficit[1::4], deficit[2::4], strict=True)),
            deficit_va=tuple(deficit[3::4]),
        )

    def _stop(self, code: int, node: int, row: int) -> Stop:
        """One value per kind of stop for the life of the site: many EVSEs share few of them."""
        stop = self._stops.get((code, node, row))
        if stop is None:
            stop = Stop(_CODES[code], node, ROWS[row]) if node >= 0 else Stop(_CODES[code])
            self._stops[(code, node, row)] = stop
        return stop


def _phase_bits(phases: Iterable[int]) -> int:
    bits = 0
    for phase in phases:
        invariant(phase in {1, 2, 3}, f"there is no phase {phase}")
        bits |= 1 << (phase - 1)
    return bits


def _paired(
    per_phase: Sequence[tuple[_T, _T, _T]], total: Sequence[_T]
) -> Iterable[tuple[tuple[_T, _T, _T], _T]]:
    return zip(per_phase, total, strict=True)


def _rows(per_phase: Sequence[OptionalTriple], va: Sequence[float | None]) -> "array[float]":
    """Four ceilings per node in one array, infinity for none."""
    values = [v for abc, total in _paired(per_phase, va) for v in (*abc, total)]
    invariant(inf not in values, "a ceiling is infinite; None says that there is none")
    return array("d", [inf if v is None else v for v in values])


def _ranks(tiers: Sequence[int]) -> "array[int]":
    """Tiers counted from 0 without gaps, the highest first."""
    distinct = sorted(set(tiers))
    rank = {tier: k for k, tier in enumerate(distinct)}
    return array("i", [rank[tier] for tier in tiers])


def _lists(allowed: Sequence[tuple[float, ...]]) -> "tuple[array[int], array[float]]":
    """All lists of allowed currents end to end, and where each one starts."""
    starts, values = array("i", [0]), array("d")
    for currents in allowed:
        values.extend(currents)
        starts.append(len(values))
    return starts, values
