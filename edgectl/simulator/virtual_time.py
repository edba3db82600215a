"""An asyncio event loop whose time jumps to the next timer as soon as nothing is left to do.

1. No real time passes: `loop.time()` is a number that only this module moves.
2. The same program from the same start runs through the same instants, bit for bit; of two timers
   for one instant the one that was set first goes first.
3. A program that waits for something that can never happen fails at once, with `DeadlockError`.
4. There are no sockets, threads and signals on it, so nothing but its own calls is ever looked at:
   a trial makes some thirty of them per second of a site.
"""

import asyncio
import heapq
import math
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import Any, Final, TypeVar, TypeVarTuple

from edgectl.clock import Instant

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

START_UTC_S = 1_767_225_600.0
"""2026-01-01 00:00 UTC."""

_CANCELLED_MOST: Final = 256


class DeadlockError(RuntimeError):
    """Every task waits and no timer is set: nothing can ever happen again."""


class VirtualTimeLoop(asyncio.BaseEventLoop):
    """An event loop in virtual time; threads and other processes have no place on it."""

    def __init__(self, *, start_s: float = 0.0) -> None:
        super().__init__()
        self._now_s = start_s
        self._due: deque[_Call] = deque()
        self._timers: list[tuple[float, int, _Call]] = []
        self._number = 0
        self._cancelled = 0
        self._ends = False

    def time(self) -> float:
        """Virtual seconds."""
        return self._now_s

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Have it called at this instant, after all that is due already."""
        call = _Call(self, self._now_s, callback, args, context)
        self._due.append(call)
        return call

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Do as `call_soon`: there is one thread."""
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Have it called after a delay in s."""
        return self.call_at(self._now_s + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Have it called at a virtual instant, at once if it is past."""
        call = _Call(self, when, callback, args, context)
        self._number += 1
        heapq.heappush(self._timers, (when, self._number, call))
        return call

    def stop(self) -> None:
        """End `run_forever` once this round is done."""
        super().stop()
        self._ends = True

    def forget(self) -> None:
        """Know of one more cancelled timer; should they be too many, let all of them go."""
        self._cancelled += 1
        if self._cancelled > _CANCELLED_MOST:
            self._timers = [timer for timer in self._timers if not timer[2].cancelled()]
            heapq.heapify(self._timers)
            self._cancelled = 0

    def _run_once(self) -> None:
        """What `run_forever` repeats until it is stopped: here all rounds until then."""
        self._ends = False
        due = self._due
        while not self._ends:
            if not due:
                self._leap()
            for _ in range(len(due)):
                call = due.popleft()
                if call.is_cancelled:
                    continue
                try:
                    call.within.run(call.act, *call.arguments)
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as raised:  # noqa: BLE001 - as asyncio's own handles do
                    self.call_exception_handler(
                        {"message": f"{call.act!r} raised", "exception": raised}
                    )
            timers = self._timers
            while timers and timers[0][0] <= self._now_s:
                due.append(heapq.heappop(timers)[2])

    def _leap(self) -> None:
        timers = self._timers
        while timers and timers[0][2].is_cancelled:
            heapq.heappop(timers)
        if not timers or timers[0][0] == math.inf:
            raise DeadlockError("every task waits and no timer is set")
        self._now_s = max(self._now_s, timers[0][0])
        due = self._due
        while timers and timers[0][0] <= self._now_s:
            due.append(heapq.heappop(timers)[2])


class _Call(asyncio.TimerHandle):
    """Something to be called; as asyncio's own handles, without their help for debugging."""

    __slots__ = ("_at_s", "_owner", "act", "arguments", "is_cancelled", "within")

    def __init__(
        self,
        owner: VirtualTimeLoop,
        at_s: float,
        act: Callable[..., object],
        arguments: tuple[Any, ...],
        within: Context | None,
    ) -> None:
        self._owner = owner
        self._at_s = at_s
        self.act = act
        self.arguments = arguments
        self.within = copy_context() if within is None else within
        self.is_cancelled = False

    def cancel(self) -> None:
        """Have it called no more."""
        if not self.is_cancelled:
            self.is_cancelled = True
            self.arguments = ()
            self._owner.forget()

    def cancelled(self) -> bool:
        """Tell whether it will not be called."""
        return self.is_cancelled

    def when(self) -> float:
        """Give its instant."""
        return self._at_s

    def __repr__(self) -> str:
        return f"<call at {self._at_s:g} s: {self.act!r}>"


class VirtualClock:
    """`edgectl.model.ports.Clock` on the running virtual-time loop.

    `utc_s` is the wall clock at the loop's time 0; `shift_utc` makes it jump.
    """

    def __init__(self, *, utc_s: float = START_UTC_S, utc_trusted: bool = True) -> None:
        self.utc_trusted = utc_trusted
        self._utc_s = utc_s

    def now(self) -> Instant:
        """Both clocks at this moment."""
        mono_s = self.monotonic_s()
        return Instant(mono_s=mono_s, utc_s=self._utc_s + mono_s, utc_trusted=self.utc_trusted)

    def monotonic_s(self) -> float:
        """Virtual seconds of the running loop."""
        return asyncio.get_running_loop().time()

    def shift_utc(self, by_s: float) -> None:
        """Let the wall clock jump."""
        self._utc_s += by_s

    async def sleep_until(self, mono_s: float) -> None:
        """Return at the virtual instant, or at once if it is past; others get a turn."""
        loop = asyncio.get_running_loop()
        if mono_s <= loop.time():
            await asyncio.sleep(0.0)
            return
        reached: asyncio.Future[None] = loop.create_future()
        timer = loop.call_at(mono_s, _reach, reached)
        try:
            await reached
        finally:
            timer.cancel()

    def call_at(self, mono_s: float, act: Callable[[], None]) -> asyncio.TimerHandle:
        """Have `act` called at the virtual instant."""
        return asyncio.get_running_loop().call_at(mono_s, act)


def _reach(reached: "asyncio.Future[None]") -> None:
    if not reached.done():
        reached.set_result(None)


def run(main: Coroutine[Any, Any, T], *, start_s: float = 0.0) -> T:
    """Run `main` to its end in virtual time that begins at `start_s`."""
    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(start_s=start_s)) as runner:
        return runner.run(main)
