"""The newest events, kept in memory for the technician: what happened here before he came.

1. It compares ticks by itself, so that it tells the same whether or not anything is published.
2. It is bounded (S23): the oldest event goes first, and the numbers show that one is missing.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from edgectl.contract.envelope import rfc3339
from edgectl.contract.local_tool import EventsAnswer, NumberedEvent
from edgectl.contract.messages import Event
from edgectl.contract.refusal import RefusalCode, refused
from edgectl.daemon.region.happenings import Happenings
from edgectl.model.decision import Alarm
from edgectl.model.ports import Clock
from edgectl.model.record import TickRecord

KEPT: Final = 1000
TOLD_AT_ONCE: Final = 200


class Chronicle:
    """Observes every tick. `alarms`: what is wrong beside the decision's own alarms."""

    def __init__(self, clock: Clock, *, alarms: Callable[[], tuple[Alarm, ...]] = tuple) -> None:
        self._clock = clock
        self._alarms = alarms
        self._happenings = Happenings()
        self._events: deque[NumberedEvent] = deque(maxlen=KEPT)
        self._last = 0

    def watch(self, alarms: Callable[[], tuple[Alarm, ...]]) -> None:
        """Take what is wrong from another daemon from now on."""
        self._alarms = alarms

    def observe(self, record: TickRecord) -> None:
        """Take down what happened since the last tick."""
        for event in self._happenings.take(record, (*record.decision.alarms, *self._alarms())):
            self.tell(event)

    def tell(self, event: Event) -> None:
        """Take down one event more."""
        self._last += 1
        self._events.append(NumberedEvent(number=self._last, **event.model_dump()))

    async def look(self, _words: Sequence[str], query: Mapping[str, str]) -> object:
        """Answer `GET /v1/events`: those after number `after`, of `id` if given, the newest."""
        after = _whole_number(query, "after", 0)
        limit = min(TOLD_AT_ONCE, _whole_number(query, "limit", TOLD_AT_ONCE))
        wanted = query.get("id")
        found = [
            event
            for event in self._events
            if event.number > after and (wanted is None or event.id == wanted)
        ]
        oldest = self._events[0].number if self._events else self._last + 1
        answer = EventsAnswer(
            events=found[-limit:] if limit else [],
            at=rfc3339(self._clock.now().utc_s),
            last=self._last,
            missed=max(0, oldest - 1 - after) if after else 0,
        )
        return answer.to_json()


def _whole_number(query: Mapping[str, str], name: str, fallback: int) -> int:
    text = query.get(name)
    if text is None:
        return fallback
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise refused(
            RefusalCode.MALFORMED, f"{name}={text!r} is not a whole number", "send digits only"
        )
    return int(text)
