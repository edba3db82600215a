"""Who takes part, in which order, and what the kernel gives each one.

1. An EVSE that cannot use power (no vehicle, a fault, paused, dwelling) is not asked for and holds
   its pause value.
2. The policy says who comes first (`control/policy.py`).
3. A meter above its ceiling cuts at once, by what it proves itself (S15, `control/over.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from edgectl.control.account import OFFSET_A
from edgectl.control.curved import PRIMARY, Curves
from edgectl.control.judge import NodeJudgement
from edgectl.control.kernel import MAGNITUDE_MAX
from edgectl.control.layout import VA_ROW, Layout
from edgectl.control.limits import NodeCeilings
from edgectl.control.over import proved_base
from edgectl.control.policy import Ranks, rank
from edgectl.control.rows import Row, sum_evses, va_of, with_base
from edgectl.control.situation import Situation
from edgectl.model.allocation import Outcome
from edgectl.model.decision import ReasonCode
from edgectl.model.reading import VehicleState
from edgectl.model.snapshot import EvseView
from edgectl.model.state import EvseState

MOST_PASSES: Final = 40
PASS_A: Final = 1e-7


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
_ABSENT = VehicleState.ABSENT
_FAULTY = VehicleState.FAULT


@dataclass(frozen=True, slots=True)
class Shared:
    """The kernel's answer with the loads that it was given.

    `base[n]`: base load of every row, as S15 left it; `fixed[n]`: the silent chargers' counts, what
    the others draw beyond their setpoints, and what those who do are cut by, as `sum_evses` has it.
    `limit[n]`: ceiling less margin; None where there is no ceiling.
    """

    outcome: Outcome
    parts: tuple[Part, ...]
    ranks: Ranks
    base: tuple[tuple[float, ...], ...]
    fixed: tuple[tuple[float, ...], ...]
    limit: tuple[tuple[float | None, ...], ...]


def share(situation: Situation) -> Shared:
    """Allocate to all EVSEs at once (DESIGN 5)."""
    snapshot, state, layout = situation.snapshot, situation.state, situation.layout
    commitments = situation.commitments
    node_ceilings, evse_ceilings = situation.node_ceilings, situation.evse_ceilings
    min_off_s, now_s = snapshot.site.sharing.min_off_s, situation.now.mono_s
    parts = tuple(
        [
            _part(view, known, commitment.silent, ceiling.max_a >= min_a, min_off_s, now_s)
            for view, known, commitment, ceiling, min_a in zip(
                map(snapshot.evses.get, layout.evse_ids),
                map(state.evses.get, layout.evse_ids),
                commitments,
                evse_ceilings,
                layout.min_a,
                strict=True,
            )
        ]
    )
    ranks = rank(situation)
    base = tuple(proved_base(situation, n) for n in range(len(layout.parent)))
    fixed_a = [c.committed_a if c.silent else c.excess_a for c in commitments]
    limit = tuple(
        tuple(
            None if c is None else min(c - m, MAGNITUDE_MAX)
            for c, m in zip(one.ceiling, one.margin, strict=True)
        )
        for one in node_ceilings
    )
    problem = _Problem(situation, ranks, limit, base)
    most_a = [
        0.0
        if not part.takes_part
        else ceiling.max_a
        if draw is None or draw.most_a is None
        else min(ceiling.max_a, draw.most_a)
        for ceiling, part, draw in zip(evse_ceilings, parts, situation.draws, strict=True)
    ]
    for i in ranks.behind:
        most_a[i] = min(most_a[i], layout.least_a[i])
    outcome, fixed_rows = problem.solve(most_a, fixed_a)
    return Shared(
        outcome=outcome,
        parts=parts,
        ranks=ranks,
        base=base,
        fixed=tuple(tuple(f) for f in fixed_rows),
        limit=limit,
    )


@dataclass(frozen=True, slots=True)
class _Fixed:
    """What is drawn whatever is told: by every EVSE, and what that makes at every node."""

    each_a: Sequence[float]
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class _Problem:
    """What the kernel is given, but for what changes between its passes."""

    situation: Situation
    ranks: Ranks
    limit: Sequence[tuple[float | None, ...]]
    base: Sequence[tuple[float, ...]]

    def solve(self, most_a: Sequence[float], fixed_a: Sequence[float]) -> tuple[Outcome, list[Row]]:
        """Allocate beside the base and fixed loads of `fixed_a`; the answer, and those as rows.

        Whoever draws beyond its setpoint and is told less goes on with what it draws, as far as
        anybody knows: what it is cut by is a fixed load too, until it has shown better (S8). So all
        others are at once where they would be after many ticks of giving way (S21).
        """
        commitments = self.situation.commitments
        beyond = [i for i, c in enumerate(commitments) if not c.silent and c.excess_a > OFFSET_A]
        counted_a = list(fixed_a)
        for _ in range(MOST_PASSES):
            rows = sum_evses(self.situation.layout, self.situation.judged, counted_a)
            outcome = self._solve_by_band(most_a, _Fixed(counted_a, rows))
            moved_a = 0.0
            for i in beyond:
                cut_a = max(0.0, commitments[i].in_force_a - outcome.setpoint_a[i])
                moved_a = max(moved_a, fixed_a[i] + cut_a - counted_a[i])
                counted_a[i] = max(counted_a[i], fixed_a[i] + cut_a)
            if moved_a <= PASS_A:
                break
        return outcome, rows

    def _solve_by_band(self, most_a: Sequence[float], fixed: _Fixed) -> Outcome:
        """Minima to as many as possible first; then the room above them, band after band.

        Without bands one pass does both. With them, who has its minimum counts it while the bands
        before its own are filled; who asks for nothing has it after all bands.
        """
        layout, commitments = self.situation.layout, self.situation.commitments
        pause_a = [
            0.0 if one.silent else a for one, a in zip(commitments, layout.pause_a, strict=True)
        ]
        if self.ranks.band is None:
            return self._solve(most_a, pause_a, self.ranks.tier, fixed)
        behind = self.ranks.behind
        least = self._solve(
            [
                0.0 if i in behind else min(a, b)
                for i, (a, b) in enumerate(zip(most_a, layout.least_a, strict=True))
            ],
            pause_a,
            self.ranks.tier,
            fixed,
        )
        more = self._solve(
            [
                a if has or i in behind else 0.0
                for i, (a, has) in enumerate(zip(most_a, least.admitted, strict=True))
            ],
            [
                low_a if has else a
                for low_a, a, has in zip(least.setpoint_a, pause_a, least.admitted, strict=True)
            ],
            self.ranks.band,
            fixed,
        )
        return replace(
            more,
            admitted=tuple(
                late if i in behind else has
                for i, (has, late) in enumerate(zip(least.admitted, more.admitted, strict=True))
            ),
            stops=tuple(
                stop if has or i in behind else why
                for i, (stop, why, has) in enumerate(
                    zip(more.stops, least.stops, least.admitted, strict=True)
                )
            ),
        )

    def _solve(
        self,
        max_a: Sequence[float],
        pause_a: Sequence[float],
        tier: Sequence[int],
        fixed: _Fixed,
    ) -> Outcome:
        layout, base, rows = self.situation.layout, self.base, fixed.rows
        if layout.curves is not None:
            return self._solve_phasors(layout.curves, max_a, pause_a, tier, fixed)
        return layout.allocator.solve(
            ceiling_a=[(row[0], row[1], row[2]) for row in self.limit],
            ceiling_va=[row[VA_ROW] for row in self.limit],
            base_a=[
                (b[0] + f[0], b[1] + f[1], b[2] + f[2]) for b, f in zip(base, rows, strict=True)
            ],
            base_va=[b[VA_ROW] + f[VA_ROW] for b, f in zip(base, rows, strict=True)],
            voltage_v=[node.voltage_v for node in self.situation.judged],
            weight=self.ranks.weight,
            tier=tier,
            min_a=layout.min_a,
            max_a=max_a,
            step_a=layout.step_a,
            pause_a=pause_a,
            allowed=layout.allowed_a,
            queue=self.ranks.queue,
        )

    def _solve_phasors(
        self,
        curves: Curves,
        max_a: Sequence[float],
        pause_a: Sequence[float],
        tier: Sequence[int],
        fixed: _Fixed,
    ) -> Outcome:
        """The same where a load has a direction, and what is fixed cannot stand with the base.

        Every EVSE is there twice: what it draws whatever it is told is what its second self has as
        pause value, and that one is never admitted.
        """
        layout, count = self.situation.layout, len(max_a)
        none, one = (0.0,) * count, (1.0,) * count
        sides = [
            row[PRIMARY:] if turns is not None else (None, None, None)
            for row, turns in zip(self.limit, curves.turns, strict=True)
        ]
        outcome = layout.allocator.solve(
            ceiling_a=[(row[0], row[1], row[2]) for row in self.limit],
            ceiling_va=[row[VA_ROW] for row in self.limit],
            primary_ceiling_a=[(side[0], side[1], side[2]) for side in sides],
            base_a=[(b[0], b[1], b[2]) for b in self.base],
            base_va=[b[VA_ROW] for b in self.base],
            voltage_v=[node.voltage_v for node in self.situation.judged],
            weight=(*self.ranks.weight, *one),
            tier=(*tier, *(max(tier, default=0),) * count),
            min_a=(*layout.min_a, *one),
            max_a=(*max_a, *none),
            step_a=(*layout.step_a, *none),
            pause_a=(*pause_a, *fixed.each_a),
            allowed=(*layout.allowed_a, *((),) * count),
            queue=(*self.ranks.queue, *range(count, 2 * count)),
        )
        return replace(
            outcome,
            setpoint_a=outcome.setpoint_a[:count],
            admitted=outcome.admitted[:count],
            stops=outcome.stops[:count],
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
    fits = [_fits(layout, judged[n], n, node_ceilings[n], loads[n]) for n in range(len(loads))]
    return tuple(
        wanted[i]
        if wanted[i] >= evse.traits.min_a and all(fits[n] for n in layout.path[i])
        else evse.traits.pause_a
        for i, evse in enumerate(evses)
    )


def _fits(layout: Layout, node: NodeJudgement, n: int, ceilings: NodeCeilings, load: Row) -> bool:
    base = (*node.base_a, va_of(node, node.base_a))
    loaded = with_base(layout, node, n, base, load)
    alone = with_base(layout, node, n, base, [0.0] * len(load))
    return all(
        ceiling is None
        or loaded[row] <= ceiling - ceilings.margin[row]
        or loaded[row] <= alone[row]
        for row, ceiling in enumerate(ceilings.ceiling)
    )


def _part(  # noqa: PLR0917 - keywords cost time here
    view: EvseView | None,
    state: EvseState | None,
    silent: bool,  # noqa: FBT001
    allowed: bool,  # noqa: FBT001
    min_off_s: float,
    now_s: float,
) -> Part:
    if silent:
        return _SILENT
    if view is not None:
        if view.vehicle is _ABSENT:
            return _NO_VEHICLE
        if view.vehicle is _FAULTY:
            return _FAULT
    if not allowed:
        return _PAUSED
    if state is not None and state.stopped_s is not None and now_s < state.stopped_s + min_off_s:
        return Part(takes_part=False, why=ReasonCode.MIN_OFF, until_s=state.stopped_s + min_off_s)
    return TAKES_PART
