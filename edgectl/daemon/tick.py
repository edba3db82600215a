"""The tick: freeze the image, step, renew the lease, hand the decision on.

1. Nothing is awaited between freezing the image and handing the decision to the link owners, so no
   request can go out that the decision did not see.
2. Only a tick whose step verified its promise renews the lease and feeds the watchdog (S16).
3. A broken invariant, or any fault inside the step, ends in the safe decision, a record, and a
   restart (S18). A fault of those who only look on is said, and changes nothing.
"""

import asyncio
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol

from structlog.typing import FilteringBoundLogger

from edgectl.clock import Instant
from edgectl.control.step import step
from edgectl.control.verify import safe_decision
from edgectl.daemon.lines.image import Image
from edgectl.daemon.lines.lease import Lease
from edgectl.daemon.lines.waiting import first_of
from edgectl.model.ceiling import TimedCeiling
from edgectl.model.decision import Decision
from edgectl.model.ports import Clock, CrashRecord, Watchdog
from edgectl.model.record import TickRecord
from edgectl.model.rules import ALL_ON, Rules
from edgectl.model.site import Site
from edgectl.model.snapshot import EvseView, KeptTurn, Snapshot
from edgectl.model.state import State
from edgectl.model.target import ChargeTarget
from edgectl.units import EvseId

PERIOD_S: Final = 1.0
TIMINGS_KEPT: Final = 1000
SOON_S: Final = 2.0
SOON_LOOK_S: Final = 0.01


class Actuator(Protocol):
    """Carries decisions to the chargers."""

    def apply(self, decision: Decision) -> None:
        """Take the newest decision; never blocks."""


class Tick:
    """Decides once a period, and at once when `wake` is set."""

    def __init__(
        self,
        *,
        site: Site,
        image: Image,
        ceilings: Callable[[Instant], tuple[TimedCeiling, ...]],
        isolated: Callable[[Mapping[EvseId, EvseView]], tuple[EvseId, ...]] = lambda _: (),
        targets: Callable[[], tuple[ChargeTarget, ...]] = lambda: (),
        queue: Callable[[], tuple[KeptTurn, ...]] = lambda: (),
        actuator: Actuator,
        lease: Lease,
        clock: Clock,
        watchdog: Watchdog,
        wake: asyncio.Event,
        crash_record: CrashRecord,
        observers: Sequence[Callable[[TickRecord], None]],
        log: FilteringBoundLogger,
        rules: Rules = ALL_ON,
        state: State | None = None,
        started_utc_s: float | None = None,
    ) -> None:
        """Begin; `state` and `started_utc_s` are those of the daemon before, if there was one."""
        self._site = site
        self._rules = rules
        self._image = image
        self._ceilings = ceilings
        self._isolated = isolated
        self._targets = targets
        self._queue = queue
        self._actuator = actuator
        self._lease = lease
        self._clock = clock
        self._watchdog = watchdog
        self._crash_record = crash_record
        self._observers = list(observers)
        self._log = log
        self._state = State() if state is None else state
        self._number = 0
        self._late = 0
        self._timings = _Timings()
        self.started_utc_s = clock.now().utc_s if started_utc_s is None else started_utc_s
        self._wake = wake
        self._latest: TickRecord | None = None

    @property
    def latest(self) -> TickRecord | None:
        """The last finished tick; None before the first one."""
        return self._latest

    async def soon(self) -> None:
        """Have one more tick at once, and wait for it (for `SOON_S` at most)."""
        number, until_s = self._number, self._clock.monotonic_s() + SOON_S
        self._wake.set()
        while self._number == number and (now_s := self._clock.monotonic_s()) < until_s:
            await self._clock.sleep_until(now_s + SOON_LOOK_S)

    @property
    def state(self) -> State:
        """What the last step remembers."""
        return self._state

    def observe(self, observer: Callable[[TickRecord], None]) -> None:
        """Have one more told of every finished tick."""
        self._observers.append(observer)

    async def run(self) -> None:
        """Tick until cancelled; raises what broke the step, after the safe decision went out."""
        due_s = self._clock.monotonic_s()
        while True:
            self.once()
            now_s = self._clock.monotonic_s()
            if now_s >= due_s:  # else it was woken, and the regular one is still to come
                due_s += PERIOD_S
            if due_s <= now_s:
                self._late += 1
                due_s = now_s
            await self._sleep(due_s)

    def once(self) -> TickRecord:
        """One tick, now."""
        now = self._clock.now()
        snapshot = self.freeze()
        try:
            snapshot = replace(
                snapshot,
                ceilings=self._ceilings(now),
                isolated=self._isolated(snapshot.evses),
                targets=self._targets(),
                queue=self._queue() if self._state.started_s is None else (),
            )
            decision, state = step(snapshot, self._state, now, self._rules)
        except Exception as broken:
            self._break(snapshot, now, broken)
            raise
        before, self._state = self._state, state
        self._lease.renew(now.mono_s)
        self._actuator.apply(decision)
        self._image.set_wake_above(decision.wake_above_a)
        self._watchdog.feed()
        self._timings.add(self._clock.monotonic_s() - now.mono_s)
        self._latest = self._tell(now, snapshot, before, decision)
        return self._latest

    def safe(self) -> Decision:
        """The safe decision for this moment (S18)."""
        now = self._clock.now()
        return safe_decision(self.freeze(), self._state, now)

    def freeze(self) -> Snapshot:
        """Everything that is known of the devices at this moment."""
        meters, evses = self._image.freeze()
        return Snapshot(site=self._site, meters=meters, evses=evses)

    def _break(self, snapshot: Snapshot, now: Instant, broken: Exception) -> None:
        self._log.critical("step_broken", error=repr(broken))
        safe = safe_decision(snapshot, self._state, now)
        self._actuator.apply(safe)
        try:
            self._crash_record.keep(
                snapshot=snapshot, state=self._state, now=now, error=repr(broken)
            )
        except Exception as failed:  # noqa: BLE001 - the way down goes on without it
            self._log.error("crash_record_failed", error=repr(failed))
        self._tell(now, snapshot, self._state, safe)

    def _tell(
        self, now: Instant, snapshot: Snapshot, before: State, decision: Decision
    ) -> TickRecord:
        self._number += 1
        record = TickRecord(
            number=self._number,
            now=now,
            snapshot=snapshot,
            before=before,
            state=self._state,
            decision=decision,
            started_utc_s=self.started_utc_s,
            tick_p99_ms=self._timings.p99_s() * 1000.0,
            late_ticks=self._late,
        )
        for observe in self._observers:
            try:
                observe(record)
            except Exception as failed:  # noqa: BLE001 - who only looks on stops nothing
                self._log.error("observer_failed", error=repr(failed))
        return record

    async def _sleep(self, due_s: float) -> None:
        """Until `due_s`, or until somebody wakes the tick."""
        self._wake.clear()
        await first_of(self._clock.sleep_until(due_s), self._wake.wait())


class _Timings:
    """How long the last ticks took, kept in order: the record of every tick asks for them."""

    def __init__(self) -> None:
        self._newest_s: deque[float] = deque()
        self._ordered_s: list[float] = []

    def add(self, took_s: float) -> None:
        self._newest_s.append(took_s)
        insort(self._ordered_s, took_s)
        if len(self._newest_s) > TIMINGS_KEPT:
            del self._ordered_s[bisect_left(self._ordered_s, self._newest_s.popleft())]

    def p99_s(self) -> float:
        ordered_s = self._ordered_s
        if not ordered_s:
            return 0.0
        return ordered_s[min(len(ordered_s) - 1, int(len(ordered_s) * 0.99))]
