"""Telemetry and events on their way from the tick to the outbox.

1. `observe` only takes the record down: the tick feels neither a full disk nor a slow one.
2. While the outbox accepts nothing, rows wait in memory and an alarm says so; beyond a bound the
   oldest telemetry goes first and is counted; the count is published once the outbox accepts again
   (S23).
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

import structlog

from edgectl.clock import Instant
from edgectl.contract.envelope import rfc3339
from edgectl.contract.messages import Event, event_row, telemetry_rows
from edgectl.contract.vocabulary import EventCode, Severity
from edgectl.daemon.region.happenings import Happenings
from edgectl.daemon.region.measured import Batch, Measured
from edgectl.errors import StorageFailed
from edgectl.model.decision import Alarm, AlarmCode
from edgectl.model.ports import Clock
from edgectl.model.record import TickRecord
from edgectl.model.settings import TelemetrySettings
from edgectl.model.telemetry import Detail, Outbox, OutboxCounts, OutRow

RECORDS_MAX: Final = 60
PENDING_MAX: Final = 2000
TELL_BOUNDS_EVERY_S: Final = 60.0

_log: Final = structlog.get_logger(__name__)


class Telemetry:
    """Turns ticks into rows. `alarms` gives what is wrong beside the decision's own alarms."""

    def __init__(
        self,
        *,
        outbox: Outbox,
        clock: Clock,
        alarms: Callable[[], tuple[Alarm, ...]] = tuple,
        settings: TelemetrySettings | None = None,
        happenings: Happenings | None = None,
    ) -> None:
        self._outbox = outbox
        self._clock = clock
        self._alarms = alarms
        self._records: deque[TickRecord] = deque(maxlen=RECORDS_MAX)
        self._arrived = asyncio.Event()
        self._stopping = False
        self._measured = Measured(settings or TelemetrySettings())
        self.happenings = Happenings() if happenings is None else happenings
        self._newest: TickRecord | None = None
        self._pending: deque[OutRow] = deque()
        self._failure: StorageFailed | None = None
        self._lost_rows = 0
        self._lost_values = 0
        self._bounds_told = outbox.counts
        self._bounds_told_s = float("-inf")
        self._told_stream = ""

    def observe(self, record: TickRecord) -> None:
        """Take a finished tick down; never waits."""
        self._records.append(record)
        self._arrived.set()

    def tell(self, event: Event) -> None:
        """Publish one event more; never waits."""
        self._queue([event_row(event, made_utc_s=self._utc_s())])
        self._arrived.set()

    def stop(self) -> None:
        """Let `run` append what there is, an unfinished batch too, and return."""
        self._stopping = True
        self._arrived.set()

    def alarms(self) -> tuple[Alarm, ...]:
        """What is wrong with the way to the outbox now."""
        if self._failure is None:
            return ()
        text = f"{self._failure}; {len(self._pending)} rows wait, {self._lost_rows} are lost"
        return (
            Alarm(
                code=AlarmCode.TELEMETRY_NOT_KEPT, severity=Severity.ALARM, id="outbox", text=text
            ),
        )

    async def run(self) -> None:
        """Make rows and append them until `stop`; the outbox must be closed after it."""
        while not self._stopping:
            await self._arrived.wait()
            self._arrived.clear()
            self._digest()
            await self._append()
        self._digest()
        if self._newest is not None:
            now = self._clock.now()
            self._queue(_rows(self._measured.rest(now), made_utc_s=now.utc_s))
        await self._append()

    def _digest(self) -> None:
        while self._records:
            record = self._newest = self._records.popleft()
            batch = self._measured.take(record)
            alarms = (*record.decision.alarms, *self._alarms())
            events = self.happenings.take(record, alarms)
            self._queue([event_row(event, made_utc_s=record.now.utc_s) for event in events])
            self._queue(_rows(batch, made_utc_s=record.now.utc_s))

    def _queue(self, rows: list[OutRow]) -> None:
        self._pending.extend(rows)
        while len(self._pending) > PENDING_MAX:
            going = next(
                (row for row in self._pending if row.detail is not Detail.NONE), self._pending[0]
            )
            self._pending.remove(going)
            self._lost_rows += 1
            self._lost_values += going.values

    async def _append(self) -> None:
        self._queue([event_row(one, made_utc_s=self._utc_s()) for one in self._bound_events()])
        if not self._pending:
            return
        rows = tuple(self._pending)
        try:
            await self._outbox.append(rows)
        except StorageFailed as error:
            tell = _log.error if self._failure is None else _log.debug
            tell("outbox_failed", error=str(error), waiting=len(rows))
            self._failure = error
            return
        for _ in rows:
            self._pending.popleft()
        if self._failure is not None:
            self._failure = None
            _log.info("outbox_accepts_again", lost_rows=self._lost_rows)
            self._queue([event_row(self._failed_event(), made_utc_s=self._utc_s())])
            self._lost_rows = self._lost_values = 0

    def _bound_events(self) -> list[Event]:
        """Say what the bounds of the outbox took since it was last said, at most once a minute."""
        counts, told = self._outbox.counts, self._bounds_told
        now = self._clock.now()
        if now.mono_s - self._bounds_told_s < TELL_BOUNDS_EVERY_S:
            return []
        events = []
        if counts.replaced and self._outbox.stream != self._told_stream:
            self._told_stream = self._outbox.stream
            told = OutboxCounts()
            text = "the outbox file could not be read; it was put aside and a new stream begun"
            events.append(self._event(EventCode.OUTBOX_REPLACED, Severity.ALARM, now, text, {}))
        if counts.thinned_values > told.thinned_values:
            text = "the outbox is at its bound: the oldest telemetry lost detail"
            data = {"values": counts.thinned_values - told.thinned_values}
            data["values_total"] = counts.thinned_values
            events.append(self._event(EventCode.OUTBOX_THINNED, Severity.WARNING, now, text, data))
        if counts.dropped_rows > told.dropped_rows:
            text = "the outbox is at its bound: the oldest rows were dropped"
            data = {
                "rows": counts.dropped_rows - told.dropped_rows,
                "values": counts.dropped_values - told.dropped_values,
                "rows_total": counts.dropped_rows,
                "values_total": counts.dropped_values,
            }
            events.append(self._event(EventCode.OUTBOX_DROPPED, Severity.ALARM, now, text, data))
        if counts.set_aside_rows > told.set_aside_rows:
            text = (
                "the broker refuses these rows; they come back under new numbers when it does not"
            )
            data = {"rows": counts.set_aside_rows - told.set_aside_rows, "aside": counts.aside}
            data["rows_total"] = counts.set_aside_rows
            events.append(self._event(EventCode.OUTBOX_SET_ASIDE, Severity.ALARM, now, text, data))
        if counts.refused_rows > told.refused_rows:
            text = "the broker refused rows while it took others of their topic; they were given up"
            data = {
                "rows": counts.refused_rows - told.refused_rows,
                "values": counts.refused_values - told.refused_values,
                "rows_total": counts.refused_rows,
                "values_total": counts.refused_values,
            }
            events.append(self._event(EventCode.OUTBOX_REFUSED, Severity.ALARM, now, text, data))
        if events:
            self._bounds_told = counts
            self._bounds_told_s = now.mono_s
        return events

    def _failed_event(self) -> Event:
        text = "the outbox could not be written for a while; what waited in memory is in it now"
        data = {"rows": self._lost_rows, "values": self._lost_values}
        severity = Severity.ALARM if self._lost_rows else Severity.WARNING
        return self._event(EventCode.OUTBOX_FAILED, severity, self._clock.now(), text, data)

    def _event(
        self, code: EventCode, severity: Severity, now: Instant, text: str, data: dict[str, int]
    ) -> Event:
        return Event(
            code=code,
            severity=severity,
            id="outbox",
            t=rfc3339(now.utc_s),
            text=text,
            data=dict(data),
        )

    def _utc_s(self) -> float:
        return self._clock.now().utc_s


def _rows(batch: Batch, *, made_utc_s: float) -> list[OutRow]:
    return [
        *telemetry_rows(batch.coarse, made_utc_s=made_utc_s, detail=Detail.COARSE),
        *telemetry_rows(batch.fine, made_utc_s=made_utc_s),
    ]
