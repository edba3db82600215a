"""The operator's own ceilings by time of day, as spans of a trial."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from edgectl.model.site import Cap, Node, Site
from edgectl.simulator.trial.evidence import Evidence

_MINUTE_S: Final = 60.0
_EDGE_S: Final = 1.5


def cap_at(evidence: Evidence, node: Node) -> Iterator[tuple[float, float, float]]:
    """Give from when to when (trial time) a cap holds a node, and its limit in W.

    By the gateway's wall clock, minute by minute; at its edges a moment is left out.
    """
    for cap in evidence.site.caps:
        if cap.node != node.id:
            continue
        begun_s: float | None = None
        steps = int(evidence.duration_s) + 1
        for second in range(steps + 1):
            holds = second < steps and _holds(evidence.site, cap, _wall_s(evidence, float(second)))
            if holds and begun_s is None:
                begun_s = float(second)
            elif not holds and begun_s is not None:
                yield begun_s + _EDGE_S, second - _EDGE_S, cap.limit_w
                begun_s = None


def _wall_s(evidence: Evidence, at_s: float) -> float:
    ahead_s = sum(by_s for jumped_s, by_s in evidence.clock_s if jumped_s <= at_s)
    return evidence.start_utc_s + at_s + ahead_s


def _holds(site: Site, cap: Cap, utc_s: float) -> bool:
    local = datetime.fromtimestamp(utc_s, UTC).astimezone(ZoneInfo(site.timezone))
    minute = (local - local.replace(hour=0, minute=0, second=0, microsecond=0)) / timedelta(
        seconds=_MINUTE_S
    )
    if cap.from_minute < cap.to_minute:
        return cap.from_minute <= minute < cap.to_minute and local.weekday() in cap.days
    evening = minute >= cap.from_minute and local.weekday() in cap.days
    morning = minute < cap.to_minute and (local.weekday() - 1) % 7 in cap.days
    return evening or morning
