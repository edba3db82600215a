"""Ceilings of what a node feeds back: who holds them, and whether its meter shows more.

1. The least of limit and events holds, by the ladder, as for what is drawn (S17).
2. No charger here feeds back, so nothing is commanded: what feeds back is other equipment of the
   site. An excess of `EXCESS_S` is said; a shorter one is an excursion that its own limiter ends
   (EREC G100 counts from 15 s).
3. A phase that feeds back (S3) counts with the current that its line carries, the sum in VA with
   those phases alone; a limit in W is one of net power, as a utility's meter has it, and no more
   than the sum in VA (VA is at least W).
4. Without a meter that sees all of the node nobody knows, and that is said where the limit is.
"""

from dataclasses import replace
from typing import Final

from edgectl.control.account import FOLLOWED_A
from edgectl.control.cap import is_active
from edgectl.control.judge import signed_a
from edgectl.control.situation import Situation
from edgectl.control.sums import total
from edgectl.model.ceiling import Holder, Rank, TimedCeiling
from edgectl.model.decision import Alarm, AlarmCode, Decision, ExportDecision, Severity
from edgectl.model.reading import MeterSample, Quality
from edgectl.model.site import Node, Sees
from edgectl.units import NodeId, OptionalTriple

EXCESS_S: Final = 15.0
EXCESS_SHARE: Final = 0.01
_W_ROW: Final = 3
_NONE: Final[OptionalTriple] = (None, None, None)


def watch_exports(situation: Situation, decision: Decision) -> tuple[Decision, dict[NodeId, float]]:
    """The decision with what holds for what is fed back, and since when each node is above it."""
    asked: dict[NodeId, list[TimedCeiling]] = {}
    for ceiling in situation.snapshot.ceilings:
        limits = ceiling.export_w is not None or ceiling.export_a != _NONE
        if limits and ceiling.node is not None and is_active(ceiling, situation.now):
            asked.setdefault(ceiling.node, []).append(ceiling)
    exports: dict[NodeId, ExportDecision] = {}
    since: dict[NodeId, float] = {}
    alarms: list[Alarm] = []
    for n, node in enumerate(situation.snapshot.site.nodes):
        if node.id not in asked and node.export_limit_va is None and node.export_limit_a == _NONE:
            continue
        one = _capped(node, asked.get(node.id, []), s17_ladder=situation.rules.s17_ladder)
        one = _measured(situation, n, one)
        exports[node.id] = one
        over = _over(one, situation.layout.nominal_v[n])
        known_s = situation.state.exports.get(node.id)
        if over is None:
            if one.fed_w is None and known_s is not None:
                since[node.id] = known_s
            continue
        since[node.id] = situation.now.mono_s if known_s is None else known_s
        if situation.now.mono_s - since[node.id] >= EXCESS_S:
            alarms.append(_alarm(node.id, over, one))
    if not exports:
        return decision, since
    return replace(decision, exports=exports, alarms=(*decision.alarms, *alarms)), since


def _capped(node: Node, ceilings: list[TimedCeiling], *, s17_ladder: bool) -> ExportDecision:
    own = Holder(Rank.SAFETY, "limit", node.id)
    rows = [*node.export_limit_a, node.export_limit_va]
    holders = [own] * len(rows)
    for ceiling in ceilings:
        for row, asked in enumerate((*ceiling.export_a, ceiling.export_w)):
            present = rows[row]
            if asked is not None and (present is None or asked < present or not s17_ladder):
                rows[row], holders[row] = asked, ceiling.holder
    limiting = [h for h, limit in zip(holders, rows, strict=True) if limit is not None]
    return ExportDecision(
        ceiling_a=(rows[0], rows[1], rows[2]),
        ceiling_va=node.export_limit_va,
        ceiling_w=rows[_W_ROW],
        holder=next((h for h in limiting if h.rank is not Rank.SAFETY), own),
        holder_a=(holders[0], holders[1], holders[2]),
        holder_w=holders[_W_ROW],
    )


def _measured(situation: Situation, n: int, one: ExportDecision) -> ExportDecision:
    """With what the node's meter shows, where it is good and sees everything."""
    meter, judged = situation.layout.meter[n], situation.judged[n]
    if meter is None or meter.sees is not Sees.ALL or judged.quality is not Quality.GOOD:
        return one
    view = situation.snapshot.meters.get(meter.id)
    if view is None or not view.samples:
        return one
    sample = view.samples[-1]
    nominal_v = situation.layout.nominal_v[n]
    fed = [_fed_a(sample, p, nominal_v) for p in range(3)]
    sums = [a * v for a, v in zip(fed, judged.voltage_v, strict=True) if a is not None]
    powers = [sample.power_w[phase - 1] for phase in meter.phases]
    known = [power_w for power_w in powers if power_w is not None]
    return replace(
        one,
        fed_a=(fed[0], fed[1], fed[2]),
        fed_va=total(sums) if len(sums) == len(powers) else None,
        fed_w=max(0.0, -total(known)) if len(known) == len(powers) else None,
    )


def _fed_a(sample: MeterSample, p: int, nominal_v: float) -> float | None:
    """What a phase's line carries while it feeds back; 0 while it draws, None for no data."""
    if signed_a(sample, p, nominal_v) is None or (power_w := sample.power_w[p]) is None:
        return None
    return sample.current_a[p] if power_w < 0.0 else 0.0


def _over(one: ExportDecision, nominal_v: float) -> tuple[str, float, float] | None:
    """The first row that is above its ceiling: its name, the measured value, the ceiling."""
    rows = (
        ("w", one.fed_w, one.ceiling_w, FOLLOWED_A * nominal_v),
        ("va", one.fed_va, one.ceiling_va, FOLLOWED_A * nominal_v),
        *((str(p + 1), one.fed_a[p], one.ceiling_a[p], FOLLOWED_A) for p in range(3)),
    )
    for name, fed, ceiling, enough in rows:
        if fed is None or ceiling is None:
            continue
        if fed > ceiling + max(enough, EXCESS_SHARE * ceiling):
            return name, fed, ceiling
    return None


def _alarm(node: NodeId, over: tuple[str, float, float], one: ExportDecision) -> Alarm:
    name, fed, ceiling = over
    is_phase = name.isdigit()
    unit = "A" if is_phase else name.upper()
    where = f"{node} L{name}" if is_phase else node
    own = Holder(Rank.SAFETY, "limit", node)
    holder = one.holder_a[int(name) - 1] if is_phase else one.holder_w if name == "w" else own
    return Alarm(
        code=AlarmCode.EXPORT_OVER_CEILING,
        severity=Severity.ALARM,
        id=node,
        text=f"{where} feeds back more than {ceiling:g} {unit} ({holder.kind} {holder.id}) for"
        f" {EXCESS_S:g} s and longer; no charger here feeds back: lower what generates",
        data={f"measured_{unit.lower()}": fed, f"ceiling_{unit.lower()}": ceiling},
    )
