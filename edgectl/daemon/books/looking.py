"""What one tick shows of every port and meter, in the terms of the books: times in UTC."""

from collections.abc import Mapping
from typing import Final

from edgectl.clock import Instant
from edgectl.contract.evse_state import evse_status
from edgectl.contract.vocabulary import EvseStatus
from edgectl.daemon.books.power import drawn_w
from edgectl.indicators.books import MeterSeen, SiteSeen
from edgectl.indicators.energy import Reading
from edgectl.indicators.sessions import Cause, PortSeen, PortState
from edgectl.model.ceiling import Rank
from edgectl.model.decision import Alarm, EvseDecision, ReasonCode, Severity
from edgectl.model.quick import maker
from edgectl.model.reading import EvseSample, taken_after
from edgectl.model.record import TickRecord
from edgectl.model.site import Evse, Meter, Site, nominal_voltages
from edgectl.model.snapshot import EvseView, MeterView
from edgectl.units import MeterId

UNHEARD_S: Final = 15.0
"""So long after the start a device that has not answered yet is not called silent."""

_NOTHING: Final = EvseView()
_STATE_OF: Final = {status: PortState(status.value) for status in EvseStatus}
_NOT_HELD: Final = frozenset(
    {
        ReasonCode.OWN_MAXIMUM,
        ReasonCode.NO_DEMAND,
        ReasonCode.NO_VEHICLE,
        ReasonCode.FAULT,
        ReasonCode.SILENT,
    }
)
_CAUSE_OF_RANK: Final[Mapping[Rank, Cause]] = {
    Rank.SAFETY: Cause.ROOM,
    Rank.UTILITY_MANDATORY: Cause.UTILITY,
    Rank.UTILITY_VOLUNTARY: Cause.UTILITY,
    Rank.OPERATOR: Cause.OPERATOR,
    Rank.TECHNICIAN: Cause.TECHNICIAN,
    Rank.PLAN: Cause.PLAN,
}

_port_seen = maker(PortSeen)


class Looking:
    """Turns ticks into looks; remembers which samples it has seen, and when it began."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._volts = nominal_voltages(site.nodes, site.voltage_v)
        self._began_s: float | None = None
        self._seen_s: dict[str, float] = {}
        self._meters: dict[MeterId, Meter] = {}
        for meter in site.meters:
            # The first meter of a node speaks for it.
            if all(other.node != meter.node for other in self._meters.values()):
                self._meters[meter.id] = meter

    def look(self, record: TickRecord, alarms: tuple[Alarm, ...]) -> SiteSeen:
        """Say what the tick saw."""
        now = record.now
        if self._began_s is None:
            self._began_s = now.mono_s
        errors: dict[str, set[str]] = {}
        for alarm in alarms:
            if alarm.severity is not Severity.INFO:
                errors.setdefault(alarm.id, set()).add(alarm.code.value)
        return SiteSeen(
            at_s=now.utc_s,
            ports={
                evse.id: self._port(evse, record, frozenset(errors.get(evse.id, ())))
                for evse in self._site.evses
            },
            meters={
                meter.node: self._meter(meter, record.snapshot.meters.get(meter.id), now)
                for meter in self._meters.values()
            },
        )

    def _port(self, evse: Evse, record: TickRecord, errors: frozenset[str]) -> PortSeen:
        view = record.snapshot.evses.get(evse.id, _NOTHING)
        decision = record.decision.evses.get(evse.id)
        now = record.now
        isolated = evse.id in record.snapshot.isolated
        status = evse_status(view, decision, pause_a=evse.traits.pause_a, isolated=isolated)
        state = _STATE_OF[status]
        young = self._began_s is not None and now.mono_s - self._began_s < UNHEARD_S
        if view.last_answer_s is None and young and not isolated:
            state = PortState.UNHEARD
        held = decision is not None and decision.reason.code not in _NOT_HELD
        return _port_seen(
            at_s=now.utc_s,
            state=state,
            power_w=self._power_w(evse, view),
            register=_reading(view.counted_s, view.energy_wh, now),
            session_counter_wh=view.session_wh,
            held_by=_cause(decision) if state is PortState.PAUSED else None,
            curtailed=held,
            errors=errors,
            heard_s=None if view.last_answer_s is None else _utc_s(view.last_answer_s, now),
        )

    def _power_w(self, evse: Evse, view: EvseView) -> float | None:
        """The most of what is new; from currents where the charger tells no power."""
        new = taken_after(view.samples, self._seen_s.get(evse.id, float("-inf")))
        if new:
            self._seen_s[evse.id] = new[-1].taken_s
        powers = [self._power_of(evse, sample) for sample in new or view.samples[-1:]]
        known = [power for power in powers if power is not None]
        return max(known, default=None)

    def _power_of(self, evse: Evse, sample: EvseSample) -> float | None:
        if sample.power_w is not None:
            return sample.power_w
        return drawn_w(evse, sample, self._volts[evse.node])

    def _meter(self, meter: Meter, view: MeterView | None, now: Instant) -> MeterSeen:
        samples = () if view is None else view.samples
        new = taken_after(samples, self._seen_s.get(meter.id, float("-inf")))
        if new:
            self._seen_s[meter.id] = new[-1].taken_s
        imported = exported = None
        for sample in reversed(samples):
            imported = imported or _reading(sample.taken_s, sample.energy_import_wh, now)
            exported = exported or _reading(sample.taken_s, sample.energy_export_wh, now)
            if imported is not None and exported is not None:
                break
        powers = [
            sum(power for power in sample.power_w if power is not None)
            for sample in new
            if any(power is not None for power in sample.power_w)
        ]
        return MeterSeen(
            imported=imported,
            exported=exported,
            power_w=sum(powers) / len(powers) if powers else None,
        )


def _reading(taken_s: float | None, wh: float | None, now: Instant) -> Reading | None:
    return None if taken_s is None or wh is None else Reading(_utc_s(taken_s, now), wh)


def _utc_s(mono_s: float, now: Instant) -> float:
    return now.utc_s - (now.mono_s - mono_s)


def _cause(decision: EvseDecision | None) -> Cause:
    holder = None if decision is None else decision.reason.holder
    return Cause.ROOM if holder is None else _CAUSE_OF_RANK[holder.rank]
