"""A meter above its ceiling: the base load that it proves by itself (S15).

1. What it shows less the most that the EVSEs below may be drawing is surely base load, whatever the
   base has settled to.
2. An EVSE without readings may be drawing less than it was told, and then a cut below that changes
   nothing. Where the meter is still above after they must have followed, nothing is believed of
   them any more: what they may be drawing is base load, as far as the site's worst case goes.
   So an overload ends after two reactions at most (S20).
"""

from typing import Final

from edgectl.control.curved import PRIMARY, import_a, primary_base
from edgectl.control.judge import NodeJudgement
from edgectl.control.layout import VA_ROW
from edgectl.control.limits import NodeCeilings
from edgectl.control.rows import amounts_on_lines, measured_va_of, va_of
from edgectl.control.situation import Situation
from edgectl.units import NodeId, Triple

WRITTEN_S: Final = 1.0
"""Until a first cut is written; on a slower link the second one comes early, which is safe."""

_ZERO: Triple = (0.0, 0.0, 0.0)


def over_since_s(situation: Situation) -> dict[NodeId, float]:
    """Since when each node's meter shows more than a ceiling of it; those that do now."""
    before, now_s = situation.state.over_s, situation.now.mono_s
    return {
        node.id: before.get(node.id, now_s)
        for node, judged, ceilings in zip(
            situation.snapshot.site.nodes, situation.judged, situation.node_ceilings, strict=True
        )
        if any(_phases_over(judged, ceilings))
        or _va_over(judged, ceilings)
        or _primary_over(judged, ceilings)
    }


def proved_base(situation: Situation, n: int) -> tuple[float, ...]:
    """The base load of a node's rows, where its meter is above a ceiling as that proves."""
    base = _proved_base(situation, n)
    turns = situation.layout.turns[n]
    if turns is None:
        return base
    return (*base, *(import_a(*primary_base(base, turns, p)) for p in range(3)))


def _proved_base(situation: Situation, n: int) -> tuple[float, float, float, float]:
    judged, ceilings = situation.judged[n], situation.node_ceilings[n]
    base = [judged.base_a[0], judged.base_a[1], judged.base_a[2]]
    va = va_of(judged, base)
    if not situation.rules.s15_over_ceiling:
        return (base[0], base[1], base[2], va)
    phases_over, va_over = _phases_over(judged, ceilings), _va_over(judged, ceilings)
    primary_over = _primary_over(judged, ceilings)
    if not va_over and not any(phases_over) and not primary_over:
        return (base[0], base[1], base[2], va)
    proved = _with_unseen(situation, n)
    for p in range(3):
        if phases_over[p] or primary_over:
            base[p] = max(base[p], proved[p])
    if va_over:
        # One sum over the phases: what one is proved to have more, another may have less.
        va = max(va, va_of(judged, proved))
    return (base[0], base[1], base[2], max(va, va_of(judged, base)))


def _with_unseen(situation: Situation, n: int) -> Triple:
    """What the meter proves, with what nobody follows that has no readings; else the base."""
    judged, worst_a = situation.judged[n], situation.layout.base_worst_a[n]
    unseen_a = _unseen_a(situation, n)
    proved = [
        base_a if direct_a is None else max(direct_a, min(direct_a + more_a, most_a))
        for base_a, direct_a, more_a, most_a in zip(
            judged.base_a, judged.direct_a, unseen_a, worst_a, strict=True
        )
    ]
    return (proved[0], proved[1], proved[2])


def _unseen_a(situation: Situation, n: int) -> Triple:
    """What EVSEs without readings may draw, once they have had their time; nothing before."""
    layout, commitments = situation.layout, situation.commitments
    since_s, meter = situation.state.over_s.get(layout.site.nodes[n].id), layout.meter[n]
    if since_s is None or meter is None:
        return _ZERO
    total = [0.0, 0.0, 0.0]
    for i in layout.below[n]:
        commitment = commitments[i]
        if commitment.silent or commitment.measured_a is not None:
            continue
        traits = layout.site.evses[i].traits
        settle_s = max(traits.settle_s, traits.pause_settle_s)
        if situation.now.mono_s < since_s + meter.poll_s + WRITTEN_S + settle_s:
            return _ZERO
        for p, share in enumerate(amounts_on_lines(layout, n, i)):
            total[p] += share * commitment.committed_a
    return (total[0], total[1], total[2])


def _phases_over(judged: NodeJudgement, ceilings: NodeCeilings) -> tuple[bool, bool, bool]:
    one, two, three = (
        meter_a is not None and ceiling_a is not None and meter_a > ceiling_a
        for meter_a, ceiling_a in zip(judged.meter_a, ceilings.ceiling[:VA_ROW], strict=True)
    )
    return one, two, three


def _va_over(judged: NodeJudgement, ceilings: NodeCeilings) -> bool:
    ceiling_va, shown_va = ceilings.ceiling[VA_ROW], measured_va_of(judged)
    return ceiling_va is not None and shown_va is not None and shown_va > ceiling_va


def _primary_over(judged: NodeJudgement, ceilings: NodeCeilings) -> bool:
    """Nobody measures the lines that feed a transformer; what they carry follows from the others.

    Two of its own lines make each of them: then all three count as they are proved.
    """
    return judged.implied is not None and any(
        ceiling_a is not None and flows_a is not None and flows_a > ceiling_a
        for flows_a, ceiling_a in zip(
            judged.implied.primary_a, ceilings.ceiling[PRIMARY:], strict=False
        )
    )
