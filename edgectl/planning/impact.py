"""What ceilings cost the vehicles: who misses its target, and by how much.

The estimate runs the time to come in steps of a quarter-hour, cut where a ceiling begins or ends or
a vehicle departs. In each step the power that every node leaves is filled up evenly by weight, as
the controller shares it. Left out: minimum currents, turns, tapering near full, single phases
(a node's power counts as a whole). So it is a forecast to promise by, not the controller's word.
"""

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Final

from edgectl.model.site import Site
from edgectl.units import EvseId, NodeId

STEP_S: Final = 900.0
HORIZON_S: Final = 48 * 3600.0
ENOUGH_WH: Final = 100.0
"""A smaller shortfall is no missed target."""

BISECTIONS: Final = 10
_EPSILON_W: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Need:
    """A vehicle: what it still wants and by when. `departure_utc_s` None: it said nothing."""

    evse: EvseId
    max_w: float
    wh: float = math.inf
    departure_utc_s: float | None = None
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Roof:
    """A power that must not be exceeded at a node or an EVSE, base load included, for a time."""

    limit_w: float
    from_utc_s: float = 0.0
    until_utc_s: float = math.inf
    node: NodeId | None = None
    evse: EvseId | None = None

    def raised(self, floor_w: float) -> "Roof":
        """The same, no lower than `floor_w`."""
        return Roof(
            limit_w=max(self.limit_w, floor_w),
            from_utc_s=self.from_utc_s,
            until_utc_s=self.until_utc_s,
            node=self.node,
            evse=self.evse,
        )


@dataclass(frozen=True, slots=True)
class Missed:
    """A vehicle that will leave with so much less than it needs."""

    evse: EvseId
    wh: float


def missed(
    site: Site,
    needs: Sequence[Need],
    roofs: Sequence[Roof],
    *,
    base_w: dict[NodeId, float],
    now_utc_s: float,
) -> Generator[None, None, tuple[Missed, ...]]:
    """Who misses its target under these roofs. Yields between steps, so that others get a turn.

    `base_w`: what each node draws beside its EVSEs, everything below it included.
    """
    departures = [n.departure_utc_s for n in needs if n.departure_utc_s is not None]
    end_s = min(max(departures, default=now_utc_s), now_utc_s + HORIZON_S)
    got_wh = dict.fromkeys((need.evse for need in needs), 0.0)
    paths = _paths(site, needs)
    time_s = now_utc_s
    while time_s < end_s - 1e-3:
        until_s = _next_cut(time_s, end_s, needs, roofs)
        hours = (until_s - time_s) / 3600.0
        power = _fill(needs, roofs, paths, got_wh, base_w=base_w, at_s=time_s, hours=hours)
        for evse, power_w in power.items():
            got_wh[evse] += power_w * hours
        time_s = until_s
        yield
    return tuple(
        Missed(need.evse, need.wh - got_wh[need.evse])
        for need in needs
        if need.departure_utc_s is not None
        and need.departure_utc_s <= end_s
        and need.wh - got_wh[need.evse] > ENOUGH_WH
    )


def least_floor_w(
    site: Site,
    needs: Sequence[Need],
    roofs: Sequence[Roof],
    event: Sequence[Roof],
    *,
    base_w: dict[NodeId, float],
    now_utc_s: float,
    most_w: float,
) -> Generator[None, None, float]:
    """The least power to which an event's roofs must be raised so that nobody misses for it."""
    without = yield from missed(site, needs, roofs, base_w=base_w, now_utc_s=now_utc_s)
    lost_anyway = {one.evse: one.wh for one in without}
    low_w = min((roof.limit_w for roof in event), default=0.0)
    high_w = most_w
    for _ in range(BISECTIONS):
        middle_w = (low_w + high_w) / 2
        raised = [roof.raised(middle_w) for roof in event]
        found = yield from missed(
            site, needs, [*roofs, *raised], base_w=base_w, now_utc_s=now_utc_s
        )
        if all(one.wh <= lost_anyway.get(one.evse, 0.0) + ENOUGH_WH for one in found):
            high_w = middle_w
        else:
            low_w = middle_w
    return high_w


def _paths(site: Site, needs: Sequence[Need]) -> dict[EvseId, tuple[NodeId, ...]]:
    parents = {node.id: node.parent for node in site.nodes}
    at = {evse.id: evse.node for evse in site.evses}
    paths: dict[EvseId, tuple[NodeId, ...]] = {}
    for need in needs:
        path: list[NodeId] = []
        name: NodeId | None = at[need.evse]
        while name is not None:
            path.append(name)
            name = parents[name]
        paths[need.evse] = tuple(path)
    return paths


def _next_cut(time_s: float, end_s: float, needs: Sequence[Need], roofs: Sequence[Roof]) -> float:
    cuts = [time_s + STEP_S, end_s]
    cuts.extend(n.departure_utc_s for n in needs if n.departure_utc_s is not None)
    for roof in roofs:
        cuts.extend((roof.from_utc_s, roof.until_utc_s))
    return min(cut for cut in cuts if cut > time_s + 1e-3)


def _fill(
    needs: Sequence[Need],
    roofs: Sequence[Roof],
    paths: dict[EvseId, tuple[NodeId, ...]],
    got_wh: dict[EvseId, float],
    *,
    base_w: dict[NodeId, float],
    at_s: float,
    hours: float,
) -> dict[EvseId, float]:
    """Even filling by weight: raise one level for all until a roof or a vehicle's own end stops."""
    room, own = _rooms(roofs, base_w, at_s)
    most: dict[EvseId, float] = {}
    weight: dict[EvseId, float] = {}
    for need in needs:
        if need.departure_utc_s is not None and need.departure_utc_s <= at_s:
            continue
        left_w = max(0.0, need.wh - got_wh[need.evse]) / hours
        most[need.evse] = min(need.max_w, left_w, own.get(need.evse, math.inf))
        weight[need.evse] = need.weight
    given = dict.fromkeys(most, 0.0)
    open_ = {evse for evse, most_w in most.items() if most_w > _EPSILON_W}
    while open_:
        pull: dict[NodeId, float] = {}
        for evse in open_:
            for node in paths[evse]:
                if node in room:
                    pull[node] = pull.get(node, 0.0) + weight[evse]
        until_full = min((room[node] / total for node, total in pull.items()), default=math.inf)
        until_enough = min((most[evse] - given[evse]) / weight[evse] for evse in open_)
        rise = min(until_full, until_enough)
        for evse in open_:
            given[evse] += rise * weight[evse]
        for node, total in pull.items():
            room[node] -= rise * total
        full = {node for node in pull if room[node] <= _EPSILON_W}
        open_ = {
            evse
            for evse in open_
            if most[evse] - given[evse] > _EPSILON_W and not full.intersection(paths[evse])
        }
    return given


def _rooms(
    roofs: Sequence[Roof], base_w: dict[NodeId, float], at_s: float
) -> tuple[dict[NodeId, float], dict[EvseId, float]]:
    room: dict[NodeId, float] = {}
    own: dict[EvseId, float] = {}
    for roof in roofs:
        if not roof.from_utc_s <= at_s < roof.until_utc_s:
            continue
        if roof.node is not None:
            left_w = max(0.0, roof.limit_w - base_w.get(roof.node, 0.0))
            room[roof.node] = min(left_w, room.get(roof.node, math.inf))
        elif roof.evse is not None:
            own[roof.evse] = min(roof.limit_w, own.get(roof.evse, math.inf))
    return room, own
