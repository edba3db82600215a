"""Who comes first: the queue for minima, and the order in which the room above them is given.

1. An admitted EVSE keeps its place for a turn; then it ranks behind those that wait (DESIGN 5). Who
   was stopped within its turn waits with the place that it had; who had its turn, as the newest.
2. `fair`: all alike. `priority`: strictly by tier, in a tier by weight; the `priority` of a
   vehicle's target stands in place of its EVSE's tier.
3. `deadline`: the least laxity first. Laxity is the time until departure less the time that the
   energy still needed takes at the fastest. Everybody's minimum comes before anybody's more.
4. Who asks for nothing (`control/demand.py`) comes behind all others, whatever its tier, unless it
   leaves soon, or presses: its laxity is less than a turn.
5. Laxity counts in bands, within which all share alike, and a band is left for a less pressing one
   only well beyond its bound: so two vehicles do not take turns from tick to tick.
"""

from bisect import bisect_right
from dataclasses import dataclass
from typing import Final

from edgectl.control.demand import asks_again
from edgectl.control.need import needed_wh
from edgectl.control.situation import Situation
from edgectl.model.decision import Urgency
from edgectl.model.policy import Policy
from edgectl.model.site import Connection
from edgectl.model.snapshot import EvseView
from edgectl.model.state import EvseState
from edgectl.model.target import ChargeTarget
from edgectl.units import S_PER_H

LAXITY_BANDS_S: Final = (300.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0, 28800.0)
"""Upper bounds; they grow, because what is far off will be judged again before it presses."""

LATE_BAND: Final = len(LAXITY_BANDS_S) + 1
"""Cannot make it any more: gets what others can spare."""
NO_TARGET_BAND: Final = LATE_BAND + 1
DONE_BAND: Final = NO_TARGET_BAND + 1
NO_DEMAND_BAND: Final = DONE_BAND + 1

BAND_SLACK_S: Final = 120.0
"""So far beyond a bound a band is left: chargers count energy in steps of up to 0.1 kWh."""

LEAVES_SOON_S: Final = 1800.0
"""Around its departure a full vehicle may begin at any moment: it heats or cools itself."""

_IN_TURN, _WAITING, _HAD_ITS_TURN, _NO_DEMAND = range(4)


@dataclass(frozen=True, slots=True)
class Ranks:
    """What the policy says of all EVSEs.

    `queue`: all of them, in the order in which minima are given. `band`: the order in which the
    room above is given, None where weight and tier alone count. `urgency`: None without a target.
    `behind`: who asks for nothing, and has its minimum where all others leave room.
    """

    queue: tuple[int, ...]
    weight: tuple[float, ...]
    tier: tuple[int, ...]
    band: tuple[int, ...] | None = None
    urgency: tuple[Urgency | None, ...] | None = None
    behind: frozenset[int] = frozenset()


def rank(situation: Situation) -> Ranks:
    """Rank all EVSEs by the site's policy."""
    layout, targets = situation.layout, situation.snapshot.targets
    policy = situation.snapshot.site.sharing.policy
    every = len(layout.evse_ids)
    behind = _behind(situation)
    if policy is Policy.DEADLINE:
        urgency = _urgencies(situation)
        band = tuple(_band(situation, i, one) for i, one in enumerate(urgency))
        presses = bisect_right(LAXITY_BANDS_S, _turn_s(situation))
        behind = frozenset(i for i in behind if band[i] >= presses)
        return Ranks(
            queue=_queue(situation, band, behind),
            weight=(1.0,) * every,
            tier=(0,) * every,
            band=tuple(NO_DEMAND_BAND if i in behind else one for i, one in enumerate(band)),
            urgency=urgency,
            behind=behind,
        )
    queue, weight, tier = _queue(situation, None, behind), (1.0,) * every, (0,) * every
    if policy is Policy.PRIORITY:
        weight, tier = layout.weight, layout.tier
        asked = {one.evse: one.priority for one in targets if one.priority is not None}
        if asked:
            tier = tuple(asked.get(id_, tier[i]) for i, id_ in enumerate(layout.evse_ids))
    if behind:
        last = max(tier) + 1
        tier = tuple(last if i in behind else one for i, one in enumerate(tier))
    return Ranks(queue=queue, weight=weight, tier=tier, behind=behind)


def _behind(situation: Situation) -> frozenset[int]:
    """Who asks for nothing, but for those that leave soon: one pre-heats just before it leaves."""
    behind = {
        evse_id: i
        for i, (evse_id, one) in enumerate(
            zip(situation.layout.evse_ids, situation.no_demand, strict=True)
        )
        if one is not None and one.until_s is not None
    }
    if behind:
        for target in situation.snapshot.targets:
            if abs(target.departure_utc_s - situation.now.utc_s) <= LEAVES_SOON_S:
                behind.pop(target.evse, None)
    return frozenset(behind.values())


def _queue(
    situation: Situation, band: tuple[int, ...] | None, behind: frozenset[int]
) -> tuple[int, ...]:
    """Who is in its turn, then who waits, then who had its turn; in each group by time.

    Last come those who ask for nothing, and of them first who has its minimum.

    With bands, those that wait and press harder than a turn lasts come first of all.
    """
    ids, now_s, no_demand = situation.layout.evse_ids, situation.now.mono_s, situation.no_demand
    turn_s = _turn_s(situation)
    presses = bisect_right(LAXITY_BANDS_S, turn_s)
    places: list[tuple[int, int, float, int]] = []
    for i, known in enumerate(map(situation.state.evses.get, ids)):
        admitted_s = None if known is None else known.admitted_s
        if admitted_s is None:
            asked_s = None if known is None else known.asked_s
            if known is not None and asks_again(known.no_demand, no_demand[i]):
                asked_s = now_s
            group, since_s = _WAITING, float("inf") if asked_s is None else asked_s
        elif now_s < admitted_s + turn_s:
            group, since_s = _IN_TURN, admitted_s
        else:
            group, since_s = _HAD_ITS_TURN, -admitted_s
        if i in behind:
            places.append((_NO_DEMAND, int(group == _WAITING), since_s, i))
        elif band is None:
            places.append((group, 0, since_s, i))
        elif band[i] < presses:
            places.append((-1, group, since_s, i))
        elif group == _IN_TURN:
            places.append((group, 0, since_s, i))
        else:
            places.append((_WAITING, band[i] * 2 + (group == _HAD_ITS_TURN), since_s, i))
    places.sort()
    return tuple([i for _, _, _, i in places])


def _turn_s(situation: Situation) -> float:
    return situation.snapshot.site.sharing.turn_s if situation.rules.turns else float("inf")


def _urgencies(situation: Situation) -> tuple[Urgency | None, ...]:
    targets = {target.evse: target for target in situation.snapshot.targets}
    views, states = situation.snapshot.evses, situation.state.evses
    return tuple(
        None
        if (target := targets.get(evse_id)) is None
        else _urgency(situation, i, target, views.get(evse_id), states.get(evse_id))
        for i, evse_id in enumerate(situation.layout.evse_ids)
    )


def _urgency(
    situation: Situation,
    i: int,
    target: ChargeTarget,
    view: EvseView | None,
    state: EvseState | None,
) -> Urgency:
    """What it still needs, and how long it could wait before charging at its fastest."""
    need_wh = needed_wh(target, view, state)
    fastest_a, draw = situation.evse_ceilings[i].max_a, situation.draws[i]
    if draw is not None and draw.most_a is not None:
        fastest_a = min(fastest_a, draw.most_a)
    layout, evse = situation.layout, situation.snapshot.site.evses[i]
    between_lines = evse.connection is Connection.LINE_TO_LINE
    voltages = evse.voltages if between_lines else len(layout.phases[i])
    fastest_w = fastest_a * layout.nominal_v[layout.own_node[i]] * voltages
    left_s = target.departure_utc_s - situation.now.utc_s
    takes_s = 0.0
    if need_wh > 0.0:
        takes_s = need_wh / fastest_w * S_PER_H if fastest_w > 0.0 else float("inf")
    return Urgency(
        need_wh=need_wh, departure_utc_s=target.departure_utc_s, laxity_s=left_s - takes_s
    )


def _band(situation: Situation, i: int, urgency: Urgency | None) -> int:
    if urgency is None:
        return NO_TARGET_BAND
    if urgency.need_wh <= 0.0:
        return DONE_BAND
    known = situation.state.evses.get(situation.layout.evse_ids[i])
    before = None if known is None else known.band
    laxity_s = urgency.laxity_s
    if laxity_s < (0.0 if before == LATE_BAND else -BAND_SLACK_S):
        return LATE_BAND
    band = bisect_right(LAXITY_BANDS_S, laxity_s)
    if before is not None and before < band:
        band = max(before, bisect_right(LAXITY_BANDS_S, laxity_s - BAND_SLACK_S))
    return band
