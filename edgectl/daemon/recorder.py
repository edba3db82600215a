"""The flight recorder: every tick on its way to the journal.

1. `observe` only takes the tick down: deciding feels neither a full disk nor a slow one.
2. What cannot be kept is counted and said, and tried again after a while; control goes on (S23).
"""

import asyncio
from collections import deque
from typing import Final

from edgectl.daemon.lines.errand import Log, Troubles
from edgectl.errors import StorageFailed
from edgectl.model.decision import Alarm, AlarmCode, Severity
from edgectl.model.ports import Clock, Journal
from edgectl.model.record import TickRecord

WAITING_MAX: Final = 120
AGAIN_S: Final = 30.0


class Recorder:
    """Hands ticks to the journal in their order."""

    def __init__(self, *, journal: Journal, clock: Clock, log: Log) -> None:
        self.lost = 0
        self._journal = journal
        self._clock = clock
        self._troubles = Troubles(log)
        self._waiting: deque[TickRecord] = deque(maxlen=WAITING_MAX)
        self._arrived = asyncio.Event()
        self._stopping = False
        self._again_s: float | None = None

    def observe(self, record: TickRecord) -> None:
        """Take a finished tick down; never waits."""
        if len(self._waiting) == WAITING_MAX:
            self.lost += 1
        self._waiting.append(record)
        self._arrived.set()

    def stop(self) -> None:
        """Let `run` write what there is and return."""
        self._stopping = True
        self._arrived.set()

    def alarms(self) -> tuple[Alarm, ...]:
        """What is wrong with the journal now."""
        return self._troubles.alarms()

    async def run(self) -> None:
        """Write ticks until `stop`; the journal stays open."""
        while not self._stopping:
            await self._arrived.wait()
            self._arrived.clear()
            await self._append()
        await self._append()

    async def _append(self) -> None:
        records = tuple(self._waiting)
        self._waiting.clear()
        if not records:
            return
        if self._again_s is not None and records[-1].now.mono_s < self._again_s:
            self.lost += len(records)
            return
        try:
            await self._journal.append(records)
        except Exception as fault:  # noqa: BLE001 - whatever it is, control goes on without a record
            self.lost += len(records)
            self._again_s = self._clock.monotonic_s() + AGAIN_S
            self._troubles.begin(
                AlarmCode.JOURNAL_FAILED,
                "journal",
                f"nothing is recorded: {_said(fault)}",
                severity=Severity.WARNING,
            )
            return
        if self._again_s is not None:
            self._again_s = None
            self._troubles.end(AlarmCode.JOURNAL_FAILED, "journal")


def _said(fault: Exception) -> str:
    if isinstance(fault, StorageFailed):
        return f"{fault}; free space on that disk and check who may write there"
    return f"the recorder itself failed, {fault!r}; please report it"
