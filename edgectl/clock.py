"""Time as a value: what a clock says at one moment. Reading a clock is the adapters' work."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment on both clocks.

    `mono_s` only ever grows and is meaningless across restarts; `utc_s` is seconds since 1970 UTC
    and may jump; `utc_trusted` says whether it was set by a time source since boot.
    """

    mono_s: float
    utc_s: float
    utc_trusted: bool = True
