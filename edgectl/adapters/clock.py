"""The real clocks of this machine.

The wall clock counts as set by a time source when systemd-timesyncd has left its mark since boot,
or when the kernel says so (chrony and ntpd tell it). Where neither can be read it does not.

Both clocks give whole microseconds, the next one: finer than anything here is fast, and a third of
the digits that the journal would have to keep. No reading is before its moment, so that whoever
slept until an instant finds it past.
"""

import asyncio
import ctypes
import math
import time
from collections.abc import Callable
from pathlib import Path

from edgectl.clock import Instant

TIMESYNC_MARK = Path("/run/systemd/timesync/synchronized")
LOOK_EVERY_S = 1.0

_TIMER_SLIPS = 10
_TIME_ERROR = 5
_STA_UNSYNC = 0x0040


class _Timex(ctypes.Structure):
    """The head of `struct timex` of <sys/timex.h>; the rest is room for what the kernel writes."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_long * 32),
    )


def kernel_says_synchronised() -> bool:
    """Ask the kernel, changing nothing; False when it cannot be asked."""
    try:
        adjtimex = ctypes.CDLL(None).adjtimex
    except (AttributeError, OSError):
        return False
    timex = _Timex(modes=0)
    state = int(adjtimex(ctypes.byref(timex)))
    return 0 <= state < _TIME_ERROR and not int(timex.status) & _STA_UNSYNC


class SystemClock:
    """`edgectl.model.ports.Clock` of this machine."""

    def __init__(
        self,
        *,
        always_trusted: bool = False,
        timesync_mark: Path = TIMESYNC_MARK,
        kernel_synchronised: Callable[[], bool] = kernel_says_synchronised,
    ) -> None:
        self._timesync_mark = timesync_mark
        self._kernel_synchronised = kernel_synchronised
        self._always_trusted = always_trusted
        self._trusted = False
        self._looked_s = -math.inf

    def now(self) -> Instant:
        """Both clocks at this moment; the time source is looked at once a second at most."""
        mono_s = self.monotonic_s()
        if mono_s - self._looked_s >= LOOK_EVERY_S:
            self._looked_s = mono_s
            self._trusted = (
                self._always_trusted or self._timesync_mark.exists() or self._kernel_synchronised()
            )
        utc_s = _micros_s(time.time_ns())
        return Instant(mono_s=mono_s, utc_s=utc_s, utc_trusted=self._trusted)

    def monotonic_s(self) -> float:
        """Seconds that only ever grow."""
        return _micros_s(time.monotonic_ns())

    async def sleep_until(self, mono_s: float) -> None:
        """Return at the monotonic instant, or at once if it is past; others get a turn."""
        for _ in range(_TIMER_SLIPS):  # a timer may go off a clock tick early
            await asyncio.sleep(max(0.0, mono_s - time.monotonic()))
            if time.monotonic() >= mono_s:
                return

    def call_at(self, mono_s: float, act: Callable[[], None]) -> "_Timer":
        """Have `act` called at the monotonic instant, or soon if it is past."""
        return _Timer(mono_s, act)


class _Timer:
    """A timer of the event loop, wound again where it goes off a clock tick early."""

    def __init__(self, mono_s: float, act: Callable[[], None]) -> None:
        self._mono_s = mono_s
        self._act = act
        self._handle = self._wind()

    def cancel(self) -> None:
        self._handle.cancel()

    def _wind(self) -> asyncio.TimerHandle:
        wait_s = max(0.0, self._mono_s - time.monotonic())
        return asyncio.get_running_loop().call_later(wait_s, self._go_off)

    def _go_off(self) -> None:
        if time.monotonic() < self._mono_s:
            self._handle = self._wind()
        else:
            self._act()


def _micros_s(ns: int) -> float:
    return (ns // 1000 + 1) / 1e6
