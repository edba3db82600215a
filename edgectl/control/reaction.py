"""How long an unforeseen step may overload a node, part by part (S20).

The meter must show it, the tick decides, the link writes every EVSE once, one of its requests may
time out first, and the vehicle follows: the slowest EVSE below the node counts. Where polls ask
more of the meter's link than fits, its reading comes late by one of each of them. Where a meter
sees EVSEs without readings of their own, all of that may be needed twice: they may be drawing less
than they were told, which only shows when the first cut has changed nothing (S15).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from edgectl.control.tree import evses_below
from edgectl.model.site import Evse, Sees, Site
from edgectl.units import EvseId, LinkId, NodeId

DECIDE_S: Final = 0.15
"""From a reading to the first write on the wire."""


@dataclass(frozen=True, slots=True)
class LinkTiming:
    """`write_s`: one setpoint write with answer and gap; `timeout_s`: of one request.

    `busy_share`: of the link's time, by ordinary polls and keep-alives. `late_s`: by how much a
    reading may come late because that is more than fits.
    """

    write_s: float
    timeout_s: float
    busy_share: float = 0.0
    late_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Reaction:
    """The parts of the time, in s. `evse` is the one that takes longest, `link` its own.

    `poll_s`: of the node's meter, without one of its EVSEs, as late as its link makes it.
    `write_s`: every EVSE of the link once. `again_s`: the second reaction that EVSEs without
    readings may need; 0 where there are none.
    """

    poll_s: float
    decide_s: float
    write_s: float
    timeout_s: float
    settle_s: float
    evse: EvseId
    link: LinkId
    again_s: float = 0.0

    @property
    def total_s(self) -> float:
        """What the node's breaker must bear."""
        once_s = self.poll_s + self.decide_s + self.write_s + self.timeout_s + self.settle_s
        return once_s + self.again_s


def reaction(
    site: Site,
    node: NodeId,
    *,
    link_timing: Mapping[LinkId, LinkTiming],
    poll_s: float | None = None,
) -> Reaction | None:
    """The longest reaction at a node; None where no EVSE is below, for nothing here reacts.

    `poll_s` stands in place of the poll while the meter is lost (`stale_s`) or frozen.
    """
    evses = evses_below(site, node)
    if not evses:
        return None
    meters = [meter for meter in site.meters if meter.node == node and meter.sees is not Sees.PART]
    usual_s = max(
        [meter.poll_s + link_timing[meter.link].late_s for meter in meters]
        or [evse.traits.poll_s + link_timing[evse.link].late_s for evse in evses]
    )
    write_s = write_all_s(site, link_timing=link_timing)
    found = [
        Reaction(
            poll_s=usual_s,
            decide_s=DECIDE_S,
            write_s=write_s[evse.link],
            timeout_s=link_timing[evse.link].timeout_s,
            settle_s=max(evse.traits.settle_s, evse.traits.pause_settle_s),
            evse=evse.id,
            link=evse.link,
        )
        for evse in evses
    ]
    longest = max(found, key=lambda one: one.total_s)
    sees_all = any(meter.sees is Sees.ALL for meter in meters)
    twice = sees_all and not all(evse.traits.metered for evse in evses)
    return replace(
        longest,
        poll_s=usual_s if poll_s is None else poll_s,
        again_s=longest.total_s if twice else 0.0,
    )


def physics_s(
    site: Site,
    node: NodeId,
    *,
    link_timing: Mapping[LinkId, LinkTiming],
    poll_s: float | None = None,
) -> float | None:
    """The sum of `reaction`."""
    found = reaction(site, node, link_timing=link_timing, poll_s=poll_s)
    return None if found is None else found.total_s


def write_all_s(site: Site, *, link_timing: Mapping[LinkId, LinkTiming]) -> dict[LinkId, float]:
    """Per link the time to write every EVSE on it once; 0 where there is none."""
    by_link: dict[LinkId, list[Evse]] = {link.id: [] for link in site.links}
    for evse in site.evses:
        by_link[evse.link].append(evse)
    return {
        link: _write_all_s(evses, link_timing[link]) if evses else 0.0
        for link, evses in by_link.items()
    }


def _write_all_s(evses: Sequence[Evse], timing: LinkTiming) -> float:
    """Writes follow each other, and units that want time between two writes wait side by side.

    That time holds before the first write of a unit too, since it may just have been written.
    """
    per_unit = Counter(evse.unit for evse in evses)
    wait_s = max(per_unit[evse.unit] * evse.traits.min_write_interval_s for evse in evses)
    return len(evses) * timing.write_s + wait_s
