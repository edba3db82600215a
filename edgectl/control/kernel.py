"""The typed door of the allocation kernel: the only importer of `edgectl._kernel`.

1. What goes in is checked here (finite, in range, consistent); what comes out is checked again, by
   code that shares nothing with the filling: no row above its headroom because of an admitted EVSE,
   every setpoint in its allowed set. Both failures are faults of ours: `InvariantBroken`.
2. The answer depends on the problem alone: not on the order of the nodes, not on earlier calls.
3. The step's own arrays are the kernel's: `FlatAllocator` copies nothing, since gathering values
   from records costs more than the allocation itself.
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
TURNS_MIN: Final = _kernel.TURNS_MIN
TURNS_MAX: Final = _kernel.TURNS_MAX
SCALE_MIN: Final = _kernel.SCALE_MIN
SCALE_MAX: Final = _kernel.SCALE_MAX

_CODES: Final = {
    _kernel.OWN_MAXIMUM: ReasonCode.OWN_MAXIMUM,
    _kernel.NODE_CEILING: ReasonCode.NODE_CEILING,
    _kernel.VA_CEILING: ReasonCode.VA_CEILING,
    _kernel.INCREMENT: ReasonCode.INCREMENT,
    _kernel.NOT_ADMITTED: ReasonCode.NOT_ADMITTED,
    _kernel.BASE_OVER_CEILING: ReasonCode.BASE_OVER_CEILING,
    _kernel.NO_DEMAND: ReasonCode.NO_DEMAND,
    _kernel.PRIMARY_CEILING: ReasonCode.PRIMARY_CEILING,
    _kernel.UNBALANCE: ReasonCode.UNBALANCE,
}

_FAULTS: Final = {
    _kernel.BAD_NODE: "a ceiling, base load or voltage is no usable number, at node",
    _kernel.BAD_EVSE: "weight, tier, bounds, step, list or pause value cannot be used, at EVSE",
    _kernel.BAD_QUEUE: "the queue does not name every EVSE once, at position",
    _kernel.ROW_EXCEEDED: "the answer exceeds a ceiling at node",
    _kernel.SETPOINT_OUTSIDE: "the answer is outside the allowed set of EVSE",
}


def bears_ratios(turns: Iterable[float], *, line_to_line: bool) -> bool:
    """Whether an EVSE can stand behind transformers of these ratios, from its own node upwards.

    They may scale its current by no more than `SCALE_MAX` and no less than `SCALE_MIN`.
    """
    scale, kind = 1.0, int(line_to_line)
    for ratio in turns:
        # To neutral, line to line, and that seen through one transformer; then line to line again.
        scale = scale * (3.0 / ratio) if kind == 2 else scale / ratio
        kind = 2 if kind == 1 else 1
        if not SCALE_MIN <= scale <= SCALE_MAX:
            return False
    return True


class FlatAllocator:
    """Allocates current to the EVSEs of one site, on arrays that the caller fills in place.

    Compiled once, in O((N + M) d) for N EVSEs, M nodes and depth d. `parents`: per node the index
    of its parent, None for a root, in any order. `evse_nodes`: per EVSE the index of its node.
    `evse_phases`: per EVSE the set of site phases (1, 2, 3) that it loads. `allowed`: per EVSE the
    currents that it can be told, ascending; an empty tuple where its step says that.
    `turns_ratios`: per node that of the delta-wye transformer whose secondary side it is (primary
    volts line to line over secondary volts line to neutral), None for a plain node.
    `unbalance_a`: per node by how much the currents of two of its phases may differ, None for any;
    not beside line-to-line EVSEs or transformers. `line_to_line`: per EVSE whether its two phases
    are wired to each other.

    In, per node: `ceiling` and `base`, four places each (L1, L2, L3 in A, their sum in VA), a
    ceiling of infinity is none, `base` is cumulative (the node with everything below it) and may be
    negative; `voltage_v`, three places, line to neutral; `primary_ceiling`, three places, heard at
    a transformer; `export_ceiling`, four places, for what is fed back. Above a transformer currents
    are primary amperes. In, per EVSE: `weight`; `tier`, counted from 0 without gaps, the highest
    first; `min_a`, `max_a` (not admitted if less than `min_a`); `step_a`, 0 is continuous;
    `pause_a`, what it counts and gets until it is admitted, also while tiers above its own are
    filled; with `max_discharge_a` > 0 it discharges between `min_discharge_a` and that, pauses at 0
    and does not charge. `queue` names every EVSE once.

    Out, after `solve`, per EVSE: `setpoint_a` (negative: discharge), `admitted`, and what `stop`
    makes a reason of; per node: `deficit`, four places, by how much base load alone is above a
    ceiling, `primary_deficit`, three, and `export_deficit`, four.

    The arrays keep their lengths for life. The fastest way to fill one that is not empty is a
    slice: `flat.max_a[:] = array("d", values)`.
    """

    def __init__(
        self,
        *,
        parents: Sequence[int | None],
        evse_nodes: Sequence[int],
        evse_phases: Sequence[Collection[int]],
        allowed: Sequence[tuple[float, ...]],
        turns_ratios: Sequence[float | None] | None = None,
        unbalance_a: Sequence[float | None] | None = None,
        line_to_line: Sequence[bool] | None = None,
    ) -> None:
        m, n = len(parents), len(evse_nodes)
        try:
            self._kernel = _kernel.Kernel(
                array("i", [-1 if parent is None else parent for parent in parents]),
                array("d", [ratio or 0.0 for ratio in turns_ratios or [None] * m]),
                array("d", _unlimited(unbalance_a or [None] * m)),
                array("i", evse_nodes),
                array("i", [_phase_bits(phases) for phases in evse_phases]),
                array("i", line_to_line or [False] * n),
                *_lists(allowed),
            )
        except (ValueError, OverflowError) as error:
            invariant(False, f"the topology cannot be compiled: {error}")
        self.ceiling: Final = _doubles(4 * m, inf)
        self.base: Final = _doubles(4 * m)
        self.voltage_v: Final = _doubles(3 * m)
        self.primary_ceiling: Final = _doubles(3 * m, inf)
        self.export_ceiling: Final = _doubles(4 * m, inf)
        self.weight: Final = _doubles(n, 1.0)
        self.tier: Final = _ints(n)
        self.min_a: Final = _doubles(n)
        self.max_a: Final = _doubles(n)
        self.step_a: Final = _doubles(n)
        self.pause_a: Final = _doubles(n)
        self.min_discharge_a: Final = _doubles(n)
        self.max_discharge_a: Final = _doubles(n)
        self.queue: Final = array("i", range(n))
        self.setpoint_a: Final = _doubles(n)
        self.admitted: Final = _ints(n)
        self.deficit: Final = _doubles(4 * m)
        self.primary_deficit: Final = _doubles(3 * m)
        self.export_deficit: Final = _doubles(4 * m)
        self._code = _ints(n)
        self._stop_node = _ints(n)
        self._stop_row = _ints(n)
        self._stops: dict[tuple[int, int, int], Stop] = {}
        self._kernel.bind(
            ceiling=self.ceiling,
            base=self.base,
            primary_ceiling=self.primary_ceiling,
            export_ceiling=self.export_ceiling,
            voltage=self.voltage_v,
            weight=self.weight,
            tier=self.tier,
            minimum=self.min_a,
            maximum=self.max_a,
            discharge_min=self.min_discharge_a,
            discharge_max=self.max_discharge_a,
            step=self.step_a,
            pause=self.pause_a,
            order=self.queue,
            setpoint=self.setpoint_a,
            admitted=self.admitted,
            code=self._code,
            stop_node=self._stop_node,
            stop_row=self._stop_row,
            deficit=self.deficit,
            primary_deficit=self.primary_deficit,
            export_deficit=self.export_deficit,
        )

    def solve(self) -> None:
        """Solve what the arrays hold, and check the answer.

        O(N d + (N + M) log M) for each tier; no allocation, the GIL is released. `InvariantBroken`
        names the first node, EVSE or place in the queue whose values cannot be used.
        """
        self._must_be_done(self._kernel.solve())
        self._must_be_done(self._kernel.verify())

    def stop(self, evse: int) -> Stop:
        """What stopped an EVSE: one value per kind of stop for life, many EVSEs share few."""
        key = (self._code[evse], self._stop_node[evse], self._stop_row[evse])
        stop = self._stops.get(key)
        if stop is None:
            stop = _stop(*key)
            self._stops[key] = stop
        return stop

    def _every_stop(self) -> tuple[Stop, ...]:
        """`stop` of all EVSEs, with one look into the dictionary for each."""
        kinds = zip(self._code, self._stop_node, self._stop_row, strict=True)
        found = [self._stops.get(kind) for kind in kinds]
        return tuple([self.stop(i) if one is None else one for i, one in enumerate(found)])

    def outcome(self) -> Outcome:
        """The answer as values that stay."""
        deficit, export = self.deficit.tolist(), self.export_deficit.tolist()
        primary = self.primary_deficit.tolist()
        return Outcome(
            setpoint_a=tuple(self.setpoint_a),
            admitted=tuple(map(bool, self.admitted)),
            stops=self._every_stop(),
            deficit_a=tuple(zip(deficit[0::4], deficit[1::4], deficit[2::4], strict=True)),
            deficit_va=tuple(deficit[3::4]),
            primary_deficit_a=tuple(zip(primary[0::3], primary[1::3], primary[2::3], strict=True)),
            export_deficit_a=tuple(zip(export[0::4], export[1::4], export[2::4], strict=True)),
            export_deficit_va=tuple(export[3::4]),
        )

    def _must_be_done(self, status: int) -> None:
        if status != _kernel.DONE:
            invariant(False, f"{_FAULTS[status]} {self._kernel.bad_index}")


class Allocator:
    """The same with sequences in and values out, for callers whose problem comes as records.

    Compiled like `FlatAllocator`; `solve` may be called as often as wanted.
    """

    def __init__(
        self,
        *,
        parents: Sequence[int | None],
        evse_nodes: Sequence[int],
        evse_phases: Sequence[Collection[int]],
        turns_ratios: Sequence[float | None] | None = None,
        unbalance_a: Sequence[float | None] | None = None,
        line_to_line: Sequence[bool] | None = None,
    ) -> None:
        self._parents, self._evse_nodes, self._evse_phases = parents, evse_nodes, evse_phases
        self._turns_ratios, self._line_to_line = turns_ratios, line_to_line
        self._unbalance_a = unbalance_a
        self._allowed: Sequence[tuple[float, ...]] = [()] * len(evse_nodes)
        self._flat = self._compiled()

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
        primary_ceiling_a: Sequence[OptionalTriple] | None = None,
        export_ceiling_a: Sequence[OptionalTriple] | None = None,
        export_ceiling_va: Sequence[float | None] | None = None,
        min_discharge_a: Sequence[float] | None = None,
        max_discharge_a: Sequence[float] | None = None,
    ) -> Outcome:
        """Solve one problem: ceilings, base and voltage per node, the others per EVSE.

        As `FlatAllocator` says. A ceiling of None is none; tiers may have gaps, 0 is the highest.
        What is left out (the primary and export ceilings, discharge) is as in the call before.
        """
        if allowed != self._allowed:
            self._allowed = allowed
            self._flat = self._compiled()
        flat = self._flat
        try:
            if primary_ceiling_a is not None:
                _fill(flat.primary_ceiling, _ceilings(primary_ceiling_a))
            if export_ceiling_a is not None and export_ceiling_va is not None:
                _fill(flat.export_ceiling, _rows(export_ceiling_a, export_ceiling_va))
            if min_discharge_a is not None and max_discharge_a is not None:
                _fill(flat.min_discharge_a, min_discharge_a)
                _fill(flat.max_discharge_a, max_discharge_a)
            _fill(flat.ceiling, _rows(ceiling_a, ceiling_va))
            _fill(flat.base, [v for abc, va in _paired(base_a, base_va) for v in (*abc, va)])
            _fill(flat.voltage_v, [v for abc in voltage_v for v in abc])
            _fill(flat.weight, weight)
            _fill(flat.min_a, min_a)
            _fill(flat.max_a, max_a)
            _fill(flat.step_a, step_a)
            _fill(flat.pause_a, pause_a)
            _fill_ints(flat.tier, _ranks(tier))
            _fill_ints(flat.queue, queue)
        except (ValueError, OverflowError) as error:
            invariant(False, f"the problem does not fit the topology: {error}")
        flat.solve()
        return flat.outcome()

    def _compiled(self) -> FlatAllocator:
        return FlatAllocator(
            parents=self._parents,
            evse_nodes=self._evse_nodes,
            evse_phases=self._evse_phases,
            allowed=self._allowed,
            turns_ratios=self._turns_ratios,
            unbalance_a=self._unbalance_a,
            line_to_line=self._line_to_line,
        )


def _stop(code: int, node: int, row: int) -> Stop:
    if node < 0:
        return Stop(_CODES[code])
    if row < len(ROWS):
        return Stop(_CODES[code], node, ROWS[row])
    primary = row < len(ROWS) + 3
    return Stop(_CODES[code], node, ROWS[(row - len(ROWS)) % 3], primary, not primary)


def _doubles(count: int, value: float = 0.0) -> "array[float]":
    return array("d", [value]) * count


def _ints(count: int) -> "array[int]":
    return array("i", [0]) * count


def _fill(target: "array[float]", values: Sequence[float]) -> None:
    if len(values) != len(target):
        raise ValueError(f"{len(values)} values where {len(target)} are needed")
    # Even an empty array may not be resized, and assigning nothing to it counts as that.
    if target:
        target[:] = array("d", values)


def _fill_ints(target: "array[int]", values: Sequence[int]) -> None:
    if len(values) != len(target):
        raise ValueError(f"{len(values)} values where {len(target)} are needed")
    # Even an empty array may not be resized, and assigning nothing to it counts as that.
    if target:
        target[:] = array("i", values)


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


def _rows(per_phase: Sequence[OptionalTriple], va: Sequence[float | None]) -> list[float]:
    """Four ceilings per node end to end, infinity for none."""
    return _unlimited(v for abc, total in _paired(per_phase, va) for v in (*abc, total))


def _ceilings(per_phase: Sequence[OptionalTriple]) -> list[float]:
    """Three ceilings per node end to end, infinity for none."""
    return _unlimited(v for abc in per_phase for v in abc)


def _unlimited(ceilings: Iterable[float | None]) -> list[float]:
    values = list(ceilings)
    invariant(inf not in values, "a ceiling is infinite; None says that there is none")
    return [inf if v is None else v for v in values]


def _ranks(tiers: Sequence[int]) -> list[int]:
    """Tiers counted from 0 without gaps, the highest first."""
    distinct = sorted(set(tiers))
    rank = {tier: k for k, tier in enumerate(distinct)}
    return [rank[tier] for tier in tiers]


def _lists(allowed: Sequence[tuple[float, ...]]) -> "tuple[array[int], array[float]]":
    """All lists of allowed currents end to end, and where each one starts."""
    starts, values = array("i", [0]), array("d")
    for currents in allowed:
        values.extend(currents)
        starts.append(len(values))
    return starts, values
