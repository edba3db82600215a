"""The ports that the daemon runs on: adapters in production, memory in a simulation."""

from collections.abc import Callable, Sequence
from typing import Protocol

from edgectl.clock import Instant
from edgectl.model.record import TickRecord
from edgectl.model.snapshot import Snapshot
from edgectl.model.state import State


class Timer(Protocol):
    """Something that happens later."""

    def cancel(self) -> None:
        """Let it not happen; nothing if it has."""


class Clock(Protocol):
    """The only source of time and the only way to sleep."""

    def now(self) -> Instant:
        """Both clocks at this moment."""

    def monotonic_s(self) -> float:
        """Seconds that only ever grow."""

    async def sleep_until(self, mono_s: float) -> None:
        """Return at the monotonic instant, or at once if it is past."""

    def call_at(self, mono_s: float, act: Callable[[], None]) -> Timer:
        """Have `act` called at the monotonic instant, or soon if it is past; never right now."""


class Watchdog(Protocol):
    """The service manager's watchdog and its status line."""

    def ready(self) -> None:
        """The daemon serves."""

    def feed(self) -> None:
        """The tick is alive and verified its promise (S16)."""

    def status(self, text: str) -> None:
        """One line for the service manager."""

    def reloading(self) -> None:
        """The site file is read anew; `ready` follows, whatever comes of it."""

    def stopping(self) -> None:
        """The daemon is on its way down."""


class Journal(Protocol):
    """The flight recorder: every step as it was, for `edgectl replay`."""

    async def append(self, records: Sequence[TickRecord]) -> None:
        """Keep these ticks; a killed process loses none of them once it returns.

        `StorageFailed`: none is kept, and what comes next stands by itself. At the bound the oldest
        go (S23).
        """

    async def close(self) -> None:
        """Let go of what is open."""


class CrashRecord(Protocol):
    """Keeps what a broken step saw, for the people who mend it."""

    def keep(self, *, snapshot: Snapshot, state: State, now: Instant, error: str) -> None:
        """Write one record; `StorageFailed` when the disk refuses. Old ones beyond a bound go."""
