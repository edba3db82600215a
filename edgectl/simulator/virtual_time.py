"""An asyncio event loop whose time jumps to the next timer as soon as nothing is left to do.

1. No real time passes: `loop.time()` is a number that only this module moves.
2. The same program from the same start runs through the same instants, bit for bit.
3. A program that waits for something that can never happen fails at once, with `DeadlockError`.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from edgectl.clock import Instant

T = TypeVar("T")

START_UTC_S = 1_767_225_600.0
"""2026-01-01 00:00 UTC."""


class DeadlockError(RuntimeError):
    """Every task waits and no timer is set: nothing can ever happen again."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time; threads and other processes have no place on it."""

    def __init__(self, *, start_s: float = 0.0) -> None:
        super().__init__(_Leaping(self._leap))
        self._now_s = start_s

    def time(self) -> float:
        """Virtual seconds."""
        return self._now_s

    def reach(self, mono_s: float) -> None:
        """Make good what rounding left short of `mono_s`; never goes back."""
        self._now_s = max(self._now_s, mono_s)

    def _leap(self, timeout_s: float | None) -> None:
        if timeout_s is None:
            raise DeadlockError("every task waits and no timer is set")
        self._now_s += timeout_s


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
        await asyncio.sleep(max(0.0, mono_s - loop.time()))
        if isinstance(loop, VirtualTimeLoop):
            loop.reach(mono_s)


def run(main: Coroutine[Any, Any, T], *, start_s: float = 0.0) -> T:
    """Run `main` to its end in virtual time that begins at `start_s`."""
    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(start_s=start_s)) as runner:
        return runner.run(main)


class _Leaping(selectors.DefaultSelector):
    """A selector that lets time leap where another would wait."""

    def __init__(self, leap: Callable[[float | None], None]) -> None:
        super().__init__()
        self._leap = leap

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and (timeout is None or timeout > 0):
            self._leap(timeout)
        return ready
