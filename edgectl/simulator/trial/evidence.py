"""What one trial leaves behind: everything that the checkers look at, and nothing of our accounts.

Times are virtual seconds since the trial began, which is also the scenario's time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edgectl.model.site import Site
from edgectl.model.telemetry import OutboxCounts
from edgectl.simulator.allowance import LinkFacts
from edgectl.simulator.faults import Fault
from edgectl.simulator.sessions import Session
from edgectl.simulator.trace import Trace
from edgectl.simulator.trial.orders import Order
from edgectl.units import LinkId


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """Something that must never be. `check` names the checker."""

    check: str
    at_s: float
    text: str

    def __str__(self) -> str:
        return f"{self.check} at {self.at_s:.2f} s: {self.text}"


@dataclass(slots=True, kw_only=True)
class Life:
    """One process of the daemon. `ended`: killed, stopped, failed, or empty while it runs.

    `writes`: how many it sent to devices.
    """

    started_s: float
    until_s: float = float("inf")
    stopping_s: float | None = None
    ended: str = ""
    writes: int = 0
    failure: str = ""
    crashes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Heard:
    """A message of the site, as the region got it. `name`: the topic below the site's prefix."""

    at_s: float
    name: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sent:
    """An order as it went to the broker; `heard` tells whether the broker had a place for it."""

    at_s: float
    order: Order
    heard: bool


@dataclass(frozen=True, slots=True)
class Look:
    """How the daemon's tasks did at one moment."""

    at_s: float
    ticks: int
    tasks: int
    talked_s: Mapping[LinkId, float]
    connected: bool
    backlog: int


@dataclass(slots=True, kw_only=True)
class Evidence:
    """One trial. `record`: the digest of everything that the daemon decided, asked and said.

    `tells_every_s`: how often everything is told to the region, whether or not it changed.
    `clock_s`: what was added to the gateway's wall clock, from when on. `quiet_s`: from when on
    nothing fails any more. `journals`: the flight record of every process, where there is one.
    """

    site: Site
    links: Mapping[LinkId, LinkFacts]
    sessions: tuple[Session, ...]
    faults: tuple[Fault, ...]
    duration_s: float
    quiet_s: float
    start_utc_s: float
    tells_every_s: float
    trace: Trace
    lives: list[Life] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    clock_s: list[tuple[float, float]] = field(default_factory=list)
    ticks_s: list[float] = field(default_factory=list)
    last_seq: int = 0
    stream: str = ""
    counts: OutboxCounts = field(default_factory=OutboxCounts)
    delivered_wh: float = 0.0
    overgrown: str = ""
    journals: tuple[bytes, ...] = ()
    record: str = ""
