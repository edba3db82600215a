"""What the reports of a run must say, worked out from its sessions alone.

The site is wide enough for all, so every vehicle draws its own maximum from `start_s` after it is
plugged in until it has what it wants or leaves. No code of the product is used.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

BLOCK_S = 900.0


@dataclass(frozen=True, kw_only=True)
class Stay:
    """A session of the file: seconds from the start of the run, Wh, W."""

    port: str
    arrival_s: float
    departure_s: float
    energy_wh: float
    power_w: float
    start_s: float

    @property
    def charging(self) -> tuple[float, float]:
        """From when to when it draws."""
        from_s = self.arrival_s + self.start_s
        until_s = min(from_s + self.energy_wh * 3600.0 / self.power_w, self.departure_s)
        return from_s, max(from_s, until_s)

    @property
    def taken_wh(self) -> float:
        from_s, until_s = self.charging
        return self.power_w * (until_s - from_s) / 3600.0


@dataclass
class Expected:
    """One day."""

    energy_wh: dict[str, float] = field(default_factory=dict)
    sessions: dict[str, int] = field(default_factory=dict)
    charging_s: dict[str, float] = field(default_factory=dict)
    peak_w: float = 0.0
    peak_at_s: float = 0.0


def within(span: tuple[float, float], from_s: float, until_s: float) -> float:
    return max(0.0, min(span[1], until_s) - max(span[0], from_s))


def expected(stays: Sequence[Stay], *, from_s: float, until_s: float) -> Expected:
    made = Expected()
    for stay in stays:
        seconds = within(stay.charging, from_s, until_s)
        add(made.energy_wh, stay.port, stay.power_w * seconds / 3600.0)
        add(made.charging_s, stay.port, seconds)
        if from_s <= stay.departure_s < until_s:
            made.sessions[stay.port] = made.sessions.get(stay.port, 0) + 1
    block_s = from_s
    while block_s < until_s:
        demand_w = sum(
            stay.power_w * within(stay.charging, block_s, block_s + BLOCK_S) / BLOCK_S
            for stay in stays
        )
        if demand_w > made.peak_w:
            made.peak_w, made.peak_at_s = demand_w, block_s
        block_s += BLOCK_S
    return made


def add(sums: dict[str, float], port: str, value: float) -> None:
    sums[port] = sums.get(port, 0.0) + value


def without_overlap(stays: Iterable[Stay], *, apart_s: float) -> list[Stay]:
    """Leave out a stay that begins before the one before it at its port has gone."""
    free_s: dict[str, float] = {}
    kept = []
    for stay in sorted(stays, key=lambda one: one.arrival_s):
        if stay.arrival_s >= free_s.get(stay.port, 0.0) + apart_s:
            kept.append(stay)
            free_s[stay.port] = stay.departure_s
    return kept
