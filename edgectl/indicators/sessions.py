"""Charging sessions of one port, from what its device says: a state machine over values.

1. A session is a stay: from plug in to plug out. It is kept over restarts and over times in which
   nobody answers.
2. Its energy is the difference of the port's register from the last reading before it to the first
   one after it; so it ends with the first reading after the plug out, or when none comes in time.
3. An interruption is a time without charging between two times with, or at the end if not by the
   vehicle's own wish. A vehicle that is full is not interrupted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from edgectl.indicators.energy import Reading

LAST_READING_S: Final = 120.0
"""How long after a plug out its last reading is waited for."""

SUCCESS_WH: Final = 100.0
"""Less energy is no successful session (practice of the charging networks)."""


class PortState(StrEnum):
    """What a port does. `UNHEARD`: since the daemon's start nobody has answered yet."""

    UNHEARD = "unheard"
    ABSENT = "absent"
    PLUGGED = "plugged"
    ASKING = "asking"
    CHARGING = "charging"
    PAUSED = "paused"
    FAULT = "fault"
    SILENT = "silent"
    ISOLATED = "isolated"


class Cause(StrEnum):
    """Why charging stood still. `ROOM`: limits of the site itself; `VEHICLE`: its own wish."""

    ROOM = "room"
    UTILITY = "utility"
    OPERATOR = "operator"
    TECHNICIAN = "technician"
    PLAN = "plan"
    FAULT = "fault"
    SILENT = "silent"
    VEHICLE = "vehicle"


PRESENT: Final = frozenset(
    {PortState.PLUGGED, PortState.ASKING, PortState.CHARGING, PortState.PAUSED}
)
_ASKS: Final = frozenset({PortState.ASKING, PortState.CHARGING, PortState.PAUSED})


@dataclass(frozen=True, slots=True, kw_only=True)
class PortSeen:
    """One look at a port; times in UTC.

    `power_w`: the most since the last look. `register`: newest reading of its own meter.
    `session_counter_wh`: what the charger itself counts of the stay. `held_by`:
    who holds charging back, where somebody does. `curtailed`: it gets less than it could take.
    `errors`: codes of what is wrong with it. `heard_s`: when it answered last.
    """

    at_s: float
    state: PortState
    power_w: float | None = None
    register: Reading | None = None
    session_counter_wh: float | None = None
    held_by: Cause | None = None
    curtailed: bool = False
    errors: frozenset[str] = frozenset()
    heard_s: float | None = None


@dataclass(frozen=True, slots=True)
class Stops:
    """Interruptions of one cause."""

    count: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A stay at a port. While it runs `end_s` is None and `energy_wh` counts on.

    `start_known` False: the vehicle was there before we were. `estimated`: its energy is in part a
    guess; `unread_s`: charging time that no reading covers yet. `asked`: the vehicle asked for
    energy, so this is an attempt.
    """

    session_id: str
    port_id: str
    start_s: float
    start_known: bool = True
    end_s: float | None = None
    first_energy_s: float | None = None
    last_energy_s: float | None = None
    energy_wh: float = 0.0
    estimated: bool = False
    peak_w: float = 0.0
    charging_s: float = 0.0
    unread_s: float = 0.0
    curtailed_s: float = 0.0
    asked: bool = False
    ended_well: bool = True
    error_codes: tuple[str, ...] = ()
    interruptions: Mapping[Cause, Stops] = field(default_factory=dict)
    stopped_by: Cause | None = None
    stopped_s: float | None = None

    @property
    def success(self) -> bool:
        """Energy flowed, and it did not end in a fault."""
        return self.asked and self.energy_wh >= SUCCESS_WH and self.ended_well


def begin(port_id: str, session_id: str, seen: PortSeen, *, known: bool) -> Session:
    """A vehicle is there."""
    return Session(session_id=session_id, port_id=port_id, start_s=seen.at_s, start_known=known)


def go_on(session: Session, seen: PortSeen, *, before: PortState, span_s: float) -> Session:
    """The session up to now; `before`: the state in which the last `span_s` seconds passed."""
    charged_s = span_s if before is PortState.CHARGING else 0.0
    curtailed_s = span_s if seen.curtailed and before in _ASKS else 0.0
    asked = session.asked or seen.state in _ASKS
    peak_w = max(session.peak_w, seen.power_w or 0.0)
    errors = session.error_codes
    if not seen.errors.issubset(errors):
        errors = tuple(sorted(seen.errors.union(errors)))
    told = (session.asked, session.peak_w, session.error_codes)
    if charged_s or curtailed_s or told != (asked, peak_w, errors):
        session = replace(
            session,
            asked=asked,
            charging_s=session.charging_s + charged_s,
            unread_s=session.unread_s + charged_s,
            curtailed_s=session.curtailed_s + curtailed_s,
            last_energy_s=seen.at_s if charged_s else session.last_energy_s,
            error_codes=errors,
            peak_w=peak_w,
        )
    if seen.state is PortState.CHARGING:
        return _charging(session, seen.at_s)
    if session.first_energy_s is None or session.stopped_by is not None:
        return session
    return replace(session, stopped_by=_why_stopped(seen), stopped_s=seen.at_s)


def end(session: Session, *, at_s: float, before: PortState) -> Session:
    """Close it; its energy may still come."""
    if session.stopped_by not in {None, Cause.VEHICLE}:
        session = _interrupted(session, until_s=at_s)
    return replace(
        session,
        end_s=at_s,
        stopped_by=None,
        stopped_s=None,
        ended_well=before is not PortState.FAULT,
    )


def _charging(session: Session, at_s: float) -> Session:
    if session.first_energy_s is None:
        return replace(session, first_energy_s=at_s, last_energy_s=at_s)
    if session.stopped_by is None:
        return session
    return replace(_interrupted(session, until_s=at_s), stopped_by=None, stopped_s=None)


def _interrupted(session: Session, *, until_s: float) -> Session:
    cause, from_s = session.stopped_by, session.stopped_s
    if cause is None or from_s is None:
        return session
    before = session.interruptions.get(cause, Stops())
    stops = Stops(before.count + 1, before.seconds + max(0.0, until_s - from_s))
    return replace(session, interruptions={**session.interruptions, cause: stops})


def _why_stopped(seen: PortSeen) -> Cause:
    if seen.state is PortState.FAULT:
        return Cause.FAULT
    if seen.state in {PortState.SILENT, PortState.UNHEARD}:
        return Cause.SILENT
    if seen.state is PortState.ISOLATED:
        return Cause.TECHNICIAN
    return seen.held_by or Cause.VEHICLE
