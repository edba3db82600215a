"""When what could not be reached or seen, told from the faults of a trial and what truly flowed."""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from edgectl.model.site import Evse, Meter
from edgectl.simulator.faults import Fault, FaultKind
from edgectl.simulator.trial.evidence import Evidence

COME_BACK_S: Final = 66.0
"""A charger that kept silent is called again after 60 s at the latest (S10), and then asked."""

_SAME_A: Final = 0.02

_TALK: Final = frozenset(
    {
        FaultKind.CHARGER_SILENT,
        FaultKind.METER_SILENT,
        FaultKind.METER_NONSENSE,
        FaultKind.SLOW_REPLIES,
        FaultKind.LOST_REPLIES,
        FaultKind.GARBLED,
        FaultKind.REBOOT,
    }
)
_UNRULY: Final = frozenset(
    {
        FaultKind.IGNORES_WRITES,
        FaultKind.DELAYS_WRITES,
        FaultKind.OTHER_MASTER,
        FaultKind.REBOOT,
        FaultKind.VEHICLE_IGNORES,
    }
)


@dataclass(frozen=True, slots=True)
class Span:
    """A time, with both ends."""

    from_s: float
    until_s: float

    def touches(self, from_s: float, until_s: float) -> bool:
        """Tell whether any of it lies in the given time."""
        return self.from_s <= until_s and self.until_s >= from_s


def of_device(
    evidence: Evidence, device: Evse | Meter, *, but: Collection[FaultKind] = ()
) -> list[Span]:
    """When a device could not be talked to as it should be; `but`: kinds left out."""
    same = mates(evidence, device)
    return [
        _span(fault)
        for fault in evidence.faults
        if fault.kind not in but
        and (
            fault.kind is FaultKind.SITE_POWER
            or (fault.kind in _TALK and fault.id in same)
            or (fault.kind is FaultKind.LINK_DOWN and fault.id == device.link)
        )
    ]


def of_obedience(
    evidence: Evidence, evse: Evse, *, only: Collection[FaultKind] = _UNRULY
) -> list[Span]:
    """When an EVSE or its vehicle did not do as it was told; `only`: faults of these kinds."""
    same = mates(evidence, evse)
    return [
        _unseen(evidence, evse, fault) if fault.kind is FaultKind.OTHER_MASTER else _span(fault)
        for fault in evidence.faults
        if fault.kind is FaultKind.SITE_POWER or (fault.kind in only and fault.id in same)
    ]


def of_readings(evidence: Evidence, evse: Evse) -> list[Span]:
    """When the readings of an EVSE stood still, whatever it drew."""
    same = mates(evidence, evse)
    return [
        _span(fault)
        for fault in evidence.faults
        if fault.kind is FaultKind.VALUES_STUCK and fault.id in same
    ]


def of_kind(evidence: Evidence, *kinds: FaultKind) -> list[Span]:
    """When faults of these kinds were there."""
    return [_span(fault) for fault in evidence.faults if fault.kind in kinds]


def of_gateway(evidence: Evidence) -> list[Span]:
    """When no daemon decided: from the moment when one ended until the next began."""
    spans = []
    for life, after in zip(evidence.lives, [*evidence.lives[1:], None], strict=True):
        ended_s = life.until_s if life.stopping_s is None else life.stopping_s
        spans.append(Span(ended_s, float("inf") if after is None else after.started_s))
    return spans


def any_touches(spans: Iterable[Span], from_s: float, until_s: float) -> bool:
    """Tell whether one of the spans lies in the given time."""
    return any(span.touches(from_s, until_s) for span in spans)


def merged(spans: Sequence[Span], *, gap_s: float) -> list[Span]:
    """Join spans that are less than `gap_s` apart."""
    joined: list[Span] = []
    for span in sorted(spans, key=lambda one: one.from_s):
        if joined and span.from_s <= joined[-1].until_s + gap_s:
            joined[-1] = Span(joined[-1].from_s, max(joined[-1].until_s, span.until_s))
        else:
            joined.append(span)
    return joined


def mates(evidence: Evidence, device: Evse | Meter) -> set[str]:
    """Give the EVSEs of the same charger, or all names of the same meter."""
    devices = evidence.site.evses if isinstance(device, Evse) else evidence.site.meters
    return {other.id for other in devices if (other.link, other.unit) == (device.link, device.unit)}


def _unseen(evidence: Evidence, evse: Evse, fault: Fault) -> Span:
    """When another master's setpoint stood at an EVSE and nobody could know of it.

    A register that cannot be read keeps it until the next write, for which there is no cause before
    a vehicle has drawn more than it was told for so long that a reading must show it, while its
    readings do not stand still. That may be the next vehicle, hours after the fault.
    """
    span = _span(fault)
    if evse.traits.readback:
        return span
    times_s, traced = evidence.trace.times_s, evidence.trace.evses[evse.id]
    stuck = of_readings(evidence, evse)
    from_s: float | None = None
    for n in range(bisect_left(times_s, fault.at_s), len(times_s)):
        told_a = traced.asked_a[n] + _SAME_A
        if traced.drawn_a[n] <= told_a or any_touches(stuck, times_s[n], times_s[n]):
            from_s = None
        elif from_s is None:
            from_s = times_s[n]
        drew_s = 0.0 if from_s is None else times_s[n] - from_s
        shown = evse.traits.metered and drew_s >= evse.traits.silent_after_s and from_s is not None
        if shown or traced.limit_a[n] <= told_a:
            return Span(span.from_s, max(span.until_s, times_s[n]))
    return Span(span.from_s, max(span.until_s, evidence.duration_s))


def _span(fault: Fault) -> Span:
    until_s = fault.at_s if fault.until_s is None else fault.until_s
    if fault.kind in {FaultKind.SITE_POWER, FaultKind.DELAYS_WRITES}:
        until_s += fault.delay_s
    return Span(fault.at_s, until_s)
