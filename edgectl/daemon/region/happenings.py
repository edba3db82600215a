"""What happened between two ticks, as events for the region.

1. An event says a change once. What flickers is bounded: an alarm is over when it has been away for
   `ALARM_HOLD_S`, and changed decisions are told at most `TOLD_MAX` at a time, each EVSE's and
   node's at most once in `TELL_EVERY_S`; what was held back is told later, as it then is.
2. The first tick is the start of the record, not a change.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edgectl.clock import Instant
from edgectl.contract.envelope import rfc3339
from edgectl.contract.evse_state import evse_status
from edgectl.contract.messages import Event
from edgectl.contract.reasons import holder_text, reason_text
from edgectl.contract.vocabulary import EventCode, EvseStatus, Severity
from edgectl.model.ceiling import Holder
from edgectl.model.decision import Alarm, AlarmCode, EvseDecision, NodeDecision
from edgectl.model.record import TickRecord
from edgectl.model.site import Evse
from edgectl.units import OptionalTriple

ALARM_HOLD_S: Final = 10.0
TELL_EVERY_S: Final = 10.0
TOLD_MAX: Final = 20
SETPOINT_CHANGE_A: Final = 0.5
UNHEARD_S: Final = 15.0


@dataclass(slots=True)
class _Raised:
    """An alarm that was told, and when it was there last."""

    alarm: Alarm
    seen_s: float


@dataclass(slots=True)
class _Told:
    """What was told last, and when."""

    what: object
    told_s: float


class Happenings:
    """Compares each tick with the one before."""

    def __init__(self) -> None:
        self._alarms: dict[tuple[AlarmCode, str], _Raised] = {}
        self._status: dict[str, EvseStatus] = {}
        self._silent: set[str] = set()
        self._told: dict[str, _Told] = {}
        self._next_evse = 0
        self._safe = False

    def take(self, record: TickRecord, alarms: Sequence[Alarm]) -> list[Event]:
        """Give the events of this tick; `alarms`: everything that is wrong now."""
        events = self._alarm_events(alarms, record.now)
        for evse in record.snapshot.site.evses:
            events += self._evse_events(evse, record)
        events += self._silence_events(record)
        events += self._ceiling_events(record)
        events += self._decision_events(record)
        if record.decision.safe and not self._safe:
            text = "the step contradicted itself; every charger was given its safe value"
            site = record.snapshot.site.id
            events.append(
                _event(EventCode.SAFE_DECISION, Severity.CRITICAL, site, record.now, text)
            )
        self._safe = record.decision.safe
        return events

    def _alarm_events(self, alarms: Sequence[Alarm], now: Instant) -> list[Event]:
        events = []
        for alarm in alarms:
            key = (alarm.code, alarm.id)
            if key not in self._alarms:
                events.append(_alarm_event(EventCode.ALARM_RAISED, alarm, alarm.severity, now))
            self._alarms[key] = _Raised(alarm, now.mono_s)
        for key, raised in list(self._alarms.items()):
            if now.mono_s - raised.seen_s >= ALARM_HOLD_S:
                del self._alarms[key]
                events.append(
                    _alarm_event(EventCode.ALARM_CLEARED, raised.alarm, Severity.INFO, now)
                )
        return events

    def _evse_events(self, evse: Evse, record: TickRecord) -> list[Event]:
        view = record.snapshot.evses.get(evse.id)
        if view is None:
            return []
        decision = record.decision.evses.get(evse.id)
        status = evse_status(
            view,
            decision,
            pause_a=evse.traits.pause_a,
            isolated=evse.id in record.snapshot.isolated,
        )
        events = []
        before = self._status.get(evse.id)
        self._status[evse.id] = status
        if before is not None and before is not status:
            data: dict[str, float | int | str] = {"from": before.value, "to": status.value}
            text = f"{evse.id} went from {before.value} to {status.value}"
            events.append(
                _event(EventCode.EVSE_STATE, Severity.INFO, evse.id, record.now, text, data=data)
            )
        return events

    def _silence_events(self, record: TickRecord) -> list[Event]:
        now = record.now
        started_s = record.state.started_s
        young = started_s is None or now.mono_s - started_s < UNHEARD_S
        events = []
        for device, silent, heard in _silences(record):
            if silent and device not in self._silent and (heard or not young):
                self._silent.add(device)
                text = f"{device} does not answer"
                events.append(_event(EventCode.DEVICE_SILENT, Severity.WARNING, device, now, text))
            elif not silent and device in self._silent:
                self._silent.discard(device)
                text = f"{device} answers again"
                events.append(_event(EventCode.DEVICE_BACK, Severity.INFO, device, now, text))
        return events

    def _ceiling_events(self, record: TickRecord) -> list[Event]:
        events = []
        for node, decision in record.decision.nodes.items():
            what = (decision.holder, decision.ceiling_a, decision.ceiling_va)
            if self._may_tell(f"node {node}", what, record.now):
                text = f"the ceiling of {node} is now set by {holder_text(decision.holder)}"
                data = _ceiling_data(decision)
                events.append(
                    _event(
                        EventCode.CEILING_CHANGED, Severity.INFO, node, record.now, text, data=data
                    )
                )
        return events

    def _decision_events(self, record: TickRecord) -> list[Event]:
        evses = record.snapshot.site.evses
        events: list[Event] = []
        # The turn begins where the last one ended, so that a busy site tells of every EVSE.
        for offset in range(len(evses)):
            index = (self._next_evse + offset) % len(evses)
            if len(events) >= TOLD_MAX:
                self._next_evse = index
                break
            evse = evses[index].id
            decision = record.decision.evses.get(evse)
            if decision is None:
                continue
            steps = round(decision.setpoint_a / SETPOINT_CHANGE_A)
            if self._may_tell(f"evse {evse}", (decision.reason.code, steps), record.now):
                events.append(_decision_event(evse, decision, record.now))
        return events

    def _may_tell(self, key: str, what: object, now: Instant) -> bool:
        """Whether it changed since it was told, long enough ago; then it counts as told."""
        told = self._told.get(key)
        if told is None:
            self._told[key] = _Told(what, now.mono_s - TELL_EVERY_S)
            return False
        if told.what == what or now.mono_s - told.told_s < TELL_EVERY_S:
            return False
        self._told[key] = _Told(what, now.mono_s)
        return True


def _silences(record: TickRecord) -> list[tuple[str, bool, bool]]:
    """Every device, whether it is silent, and whether it was ever heard."""
    found = []
    for meter in record.snapshot.site.meters:
        view = record.snapshot.meters.get(meter.id)
        samples = view.samples if view is not None else ()
        silent = not samples or record.now.mono_s - samples[-1].taken_s > UNHEARD_S
        found.append((str(meter.id), silent, bool(samples)))
    for evse in record.snapshot.site.evses:
        evse_view = record.snapshot.evses.get(evse.id)
        decision = record.decision.evses.get(evse.id)
        heard = evse_view is not None and evse_view.last_answer_s is not None
        found.append((str(evse.id), decision is not None and decision.silent, heard))
    return found


def _alarm_event(code: EventCode, alarm: Alarm, severity: Severity, now: Instant) -> Event:
    data: dict[str, float | int | str] = {"alarm": alarm.code}
    data |= {name: _rounded(value) for name, value in alarm.data.items()}
    return _event(code, severity, alarm.id, now, alarm.text, data=data)


def _decision_event(evse: str, decision: EvseDecision, now: Instant) -> Event:
    reason = decision.reason
    data: dict[str, float | int | str] = {
        "setpoint_a": round(decision.setpoint_a, 3),
        "allocation_a": round(decision.allocation_a, 3),
        "reason": reason.code.value,
    }
    if reason.node is not None:
        data["node"] = reason.node
    if reason.row is not None:
        data["row"] = reason.row
    if reason.side is not None:
        data["side"] = reason.side
    if reason.limit is not None:
        data["limit"] = round(reason.limit, 3)
    if reason.holder is not None:
        data |= _holder_data(reason.holder)
    text = f"{evse} may draw {decision.setpoint_a:g} A: {reason_text(reason, now=now)}"
    return _event(EventCode.DECISION_CHANGED, Severity.INFO, evse, now, text, data=data)


def _ceiling_data(decision: NodeDecision) -> dict[str, float | int | str]:
    data = _holder_data(decision.holder)
    data |= _named("ceiling_a", decision.ceiling_a)
    if decision.ceiling_va is not None:
        data["ceiling_va"] = round(decision.ceiling_va, 3)
    return data


def _holder_data(holder: Holder) -> dict[str, float | int | str]:
    return {"holder": holder.kind, "holder_id": holder.id}


def _named(name: str, values: OptionalTriple) -> dict[str, float | int | str]:
    return {
        f"{name}.{index + 1}": round(value, 3)
        for index, value in enumerate(values)
        if value is not None
    }


def _rounded(value: float | str) -> float | str:
    return value if isinstance(value, str) else round(value, 3)


def _event(
    code: EventCode,
    severity: Severity,
    id_: str,
    now: Instant,
    text: str,
    *,
    data: dict[str, float | int | str] | None = None,
) -> Event:
    return Event(
        code=code, severity=severity, id=id_, t=rfc3339(now.utc_s), text=text, data=data or {}
    )
