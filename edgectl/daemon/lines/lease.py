"""Liveness is earned (S16): what feeds a charger's watchdog goes out only under a fresh lease."""

from typing import Final

HOLD_S: Final = 3.0


class Lease:
    """Renewed by a tick that verified its promise; asked by whoever talks to chargers."""

    def __init__(self, *, hold_s: float = HOLD_S) -> None:
        self._hold_s = hold_s
        self._renewed_s: float | None = None

    def renew(self, now_s: float) -> None:
        """Earn another `hold_s`."""
        self._renewed_s = now_s

    def revoke(self) -> None:
        """End it at once: the promise is broken."""
        self._renewed_s = None

    def held(self, now_s: float) -> bool:
        """Whether it holds at this moment; not before the first renewal."""
        return self._renewed_s is not None and now_s - self._renewed_s <= self._hold_s
