"""Who takes part, in which order, and what the kernel gives each one.

1. An EVSE that cannot use power (no vehicle, a fault, paused, dwelling) is not asked for and holds
   its pause value.
2. An admitted EVSE keeps its place; the others wait in the order in which they asked.
3. A meter above its ceiling cuts at once, by what it proves itself, whatever the base has settled
   to (S15).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from edgectl.control.account import Commitment
from edgectl.control.judge import NodeJudgement
from edgectl.control.kernel import MAGNITUDE_MAX
from edgectl.control.layout import VA_ROW
from edgectl.control.limits import NodeCeilings
from edgectl.control.rows import Row, sum_evses, va_of
from edgectl.control.situation import Situation
from edgectl.model.allocation import Outcome
from edgectl.model.decision import ReasonCode
from edgectl.model.reading import VehicleState
from edgectl.model.rules import Rules
from edgectl.model.snapshot import EvseView, Snapshot
from edgectl.model.state import EvseState, State
from edgectl.units import Triple

MIN_OFF_S = 180.0


@dataclass(frozen=True, slots=True)
class Part:
    """Whether an EVSE takes part; if not, why, and until when (monotonic) if it ends by itself."""

    takes_part: bool
    why: ReasonCode | None = None
    until_s: float | None = None


TAKES_PART = Part(takes_part=True)
_SILENT = Part(takes_part=False, why=ReasonCode.SILENT)
_NO_VEHICLE = Part(takes_part=False, why=ReasonCode.NO_VEHICLE)
_FAULT = Part(takes_part=False, why=ReasonCode.FAULT)
_PAUSED = Part(takes_part=False, why=ReasonCode.PAUSED)


@dataclass(frozen=True, slots=True)
class Shared:
    """The kernel's answer with the loads that it was given.

    `base[n]`: base load of the four rows, as S15 left it; `fixed[n]`: the silent chargers' counts
    and what the others draw beyond their setpoints.
    `limit[n]`: ceiling less margin; None where there is no ceiling.
    """

    outcome: Outcome
    parts: tuple[Part, ...]
    queue: tuple[int, ...]
    base: tuple[tuple[float, float, float, float], ...]
    fixed: tuple[tuple[float, float, float, float], ...]
    limit: tuple[tuple[float | None, float | None, float | None, float | None], ...]


def share(situation: Situation) -> Shared:
    """Allocate to all EVSEs at once (DESIGN 5)."""
    snapshot, state, layout = situation.snapshot, situation.state, situation.layout
    judged, commitments = situation.judged, situation.commitments
    node_ceilings, evse_ceilings = situation.node_ceilings, situation.evse_ceilings
    evses = snapshot.site.evses
    parts = tuple(
        _part(
            snapshot.evses.get(evse.id),
            state.evses.get(evse.id),
            commitments[i],
            allowed=evse_ceilings[i].max_a >= layout.min_a[i],
            now_s=situation.now.mono_s,
        )
        for i, evse in enumerate(evses)
    )
    queue = _queue(snapshot, state)
    base = tuple(
        _base_rows(judged[n], node_ceilings[n], situation.rules) for n in range(len(layout.parent))
    )
    fixed_rows = sum_evses(
        layout, judged, [c.committed_a if c.silent else c.excess_a for c in commitments]
    )
    limit = tuple(
        tuple(
            None if c is None else min(c - m, MAGNITUDE_MAX)
            for c, m in zip(one.ceiling, one.margin, strict=True)
        )
        for one in node_ceilings
    )
    outcome = layout.allocator.solve(
        ceiling_a=[(row[0], row[1], row[2]) for row in limit],
        ceiling_va=[row[VA_ROW] for row in limit],
        base_a=[
            (b[0] + f[0], b[1] + f[1], b[2] + f[2]) for b, f in zip(base, fixed_rows, strict=True)
        ],
        base_va=[b[VA_ROW] + f[VA_ROW] for b, f in zip(base, fixed_rows, strict=True)],
        voltage_v=[node.voltage_v for node in judged],
        weight=layout.weight,
        tier=layout.tier,
        min_a=layout.min_a,
        max_a=[
            ceiling.max_a if part.takes_part else 0.0
            for ceiling, part in zip(evse_ceilings, parts, strict=True)
        ],
        step_a=layout.step_a,
        pause_a=[
            0.0 if one.silent else pause_a
            for one, pause_a in zip(commitments, layout.pause_a, strict=True)
        ],
        allowed=layout.allowed_a,
        queue=queue,
    )
    return Shared(
        outcome=outcome,
        parts=parts,
        queue=queue,
        base=base,
        fixed=tuple((f[0], f[1], f[2], f[3]) for f in fixed_rows),
        limit=tuple((row[0], row[1], row[2], row[3]) for row in limit),
    )


def call_values_a(situation: Situation) -> tuple[float, ...]:
    """S10: what a silent charger is called with: its failsafe current if that fits, else pause."""
    layout, judged, commitments = situation.layout, situation.judged, situation.commitments
    if not any(c.silent for c in commitments):
        return layout.pause_a
    node_ceilings, evse_ceilings = situation.node_ceilings, situation.evse_ceilings
    evses = situation.snapshot.site.evses
    wanted = [
        min(c.failsafe_a, evse_ceilings[i].max_a) if c.silent else 0.0
        for i, c in enumerate(commitments)
    ]
    loads = sum_evses(layout, judged, wanted)
    fits = [_fits(judged[n], node_ceilings[n], loads[n]) for n in range(len(loads))]
    return tuple(
        wanted[i]
        if wanted[i] >= evse.traits.min_a and all(fits[n] for n in layout.path[i])
        else evse.traits.pause_a
        for i, evse in enumerate(evses)
    )


def _fits(node: NodeJudgement, ceilings: NodeCeilings, load: Row) -> bool:
    base = (*node.base_a, va_of(node, node.base_a))
    return all(
        ceiling is None or base[row] + load[row] <= ceiling - ceilings.margin[row]
        for row, ceiling in enumerate(ceilings.ceiling)
        if load[row] > 0
    )


def _part(
    view: EvseView | None,
    state: EvseState | None,
    commitment: Commitment,
    *,
    allowed: bool,
    now_s: float,
) -> Part:
    if commitment.silent:
        return _SILENT
    vehicle = VehicleState.UNKNOWN if view is None else view.vehicle
    if vehicle is VehicleState.ABSENT:
        return _NO_VEHICLE
    if vehicle is VehicleState.FAULT:
        return _FAULT
    if not allowed:
        return _PAUSED
    if state is not None and state.stopped_s is not None and now_s < state.stopped_s + MIN_OFF_S:
        return Part(takes_part=False, why=ReasonCode.MIN_OFF, until_s=state.stopped_s + MIN_OFF_S)
    return TAKES_PART


def _queue(snapshot: Snapshot, state: State) -> tuple[int, ...]:
    """Admitted EVSEs first, in order of admission; then those that wait, in order of asking."""
    places: list[tuple[bool, float, int]] = []
    for i, evse in enumerate(snapshot.site.evses):
        known = state.evses.get(evse.id)
        if known is None:
            places.append((True, inf, i))
        elif known.admitted_s is not None:
            places.append((False, known.admitted_s, i))
        else:
            places.append((True, inf if known.asked_s is None else known.asked_s, i))
    places.sort()
    return tuple([i for _, _, i in places])


def _base_rows(
    node: NodeJudgement, ceilings: NodeCeilings, rules: Rules
) -> tuple[float, float, float, float]:
    """S15: where the meter itself is above the ceiling, the base is at least what it proves."""
    base = [node.base_a[0], node.base_a[1], node.base_a[2]]
    va = va_of(node, base)
    if not rules.s15_over_ceiling:
        return (base[0], base[1], base[2], va)
    for p in range(3):
        meter_a, ceiling_a, proved_a = node.meter_a[p], ceilings.ceiling[p], node.direct_a[p]
        if meter_a is None or ceiling_a is None or proved_a is None:
            continue
        if meter_a > ceiling_a:
            base[p] = max(base[p], proved_a)
    if _va_above(node.meter_a, node.voltage_v, ceilings.ceiling[VA_ROW]):
        # One sum over the phases: what one is proved to have more, another may have less.
        known = [b if d is None else d for b, d in zip(node.base_a, node.direct_a, strict=True)]
        va = max(va, va_of(node, known))
    return (base[0], base[1], base[2], max(va, va_of(node, base)))


def _va_above(meter_a: Sequence[float | None], voltage_v: Triple, ceiling_va: float | None) -> bool:
    if ceiling_va is None or all(value is None for value in meter_a):
        return False
    return sum((a or 0.0) * v for a, v in zip(meter_a, voltage_v, strict=True)) > ceiling_va
