"""One port over time: its sessions, its outages and its energy, from one look to the next.

1. The time between two looks passed in the state of the first one. Where looks are further apart
   than `GAP_S` nobody knows, and what nobody knows is an outage.
2. A port that is in no outage is up: it answers, and it would charge.
3. Restarts are gaps like any other: what is kept goes on, and the energy of a gap comes from the
   register.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from edgectl.indicators.energy import Gain, Reading, gain, integrated
from edgectl.indicators.sessions import (
    LAST_READING_S,
    PRESENT,
    PortSeen,
    PortState,
    Session,
    begin,
    end,
    go_on,
)
from edgectl.model.quick import maker

GAP_S: Final = 30.0
RESET_WH: Final = 50.0


class OutageCause(StrEnum):
    """Why a port was not there. `NO_DATA`: nobody was watching."""

    FAULT = "fault"
    SILENT = "silent"
    ISOLATED = "isolated"
    NO_DATA = "no_data"


_OUT: Final = {
    PortState.FAULT: OutageCause.FAULT,
    PortState.SILENT: OutageCause.SILENT,
    PortState.ISOLATED: OutageCause.ISOLATED,
}


@dataclass(frozen=True, slots=True)
class Outage:
    """A port was not there from one moment to another; `until_s` None: it still is not."""

    port_id: str
    cause: OutageCause
    from_s: float
    until_s: float | None
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """What is remembered of a port.

    `integrated`: what its power came to, while it has shown no register. `ending`: a session whose
    last reading is waited for.
    """

    port_id: str
    first_s: float
    seen_s: float
    state: PortState
    register: Reading | None = None
    integrated: Reading | None = None
    session_counter_wh: float | None = None
    session: Session | None = None
    ending: Session | None = None
    outage: Outage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PortNews:
    """What one look brought. `span_s`: known time since the look before, passed in `passed_in`."""

    started: Session | None = None
    ended: tuple[Session, ...] = ()
    outages: tuple[Outage, ...] = ()
    gain: Gain | None = None
    span_s: float = 0.0
    passed_in: PortState = PortState.UNHEARD


_port = maker(Port)
_port_news = maker(PortNews)


def look(
    port: Port | None, port_id: str, seen: PortSeen, *, session_id: str, most_w: float
) -> tuple[Port, PortNews]:
    """Take one look into account; `session_id` is for a session that begins with it."""
    if port is None:
        port = Port(port_id=port_id, first_s=seen.at_s, seen_s=seen.at_s, state=PortState.UNHEARD)
    gap = seen.at_s - port.seen_s > GAP_S
    span_s = 0.0 if gap else max(0.0, seen.at_s - port.seen_s)
    register, integral, counted = _counted(port, seen, most_w=most_w)
    state = port.state if seen.state is PortState.UNHEARD else seen.state
    session, ending, ended, started = _sessions(
        port, seen, state=state, span_s=span_s, counted=counted, session_id=session_id
    )
    outage, outages = _outages(port, seen, gap=gap)
    news = _port_news(
        started=started,
        ended=ended,
        outages=outages,
        gain=counted,
        span_s=span_s,
        passed_in=port.state,
    )
    counter_wh = port.session_counter_wh
    if seen.session_counter_wh is not None:
        counter_wh = seen.session_counter_wh
    after = _port(
        port_id=port.port_id,
        first_s=port.first_s,
        seen_s=seen.at_s,
        state=state,
        register=register,
        integrated=integral,
        session_counter_wh=counter_wh,
        session=session,
        ending=ending,
        outage=outage,
    )
    return after, news


def moved(port: Port, by_s: float) -> Port:
    """The same after the clock was set: what is going on keeps its length."""
    return replace(
        port,
        first_s=port.first_s + by_s,
        seen_s=port.seen_s + by_s,
        register=_moved_reading(port.register, by_s),
        integrated=_moved_reading(port.integrated, by_s),
        session=None if port.session is None else _moved_session(port.session, by_s),
        ending=None if port.ending is None else _moved_session(port.ending, by_s),
        outage=None
        if port.outage is None
        else replace(port.outage, from_s=port.outage.from_s + by_s),
    )


def _counted(
    port: Port, seen: PortSeen, *, most_w: float
) -> tuple[Reading | None, Reading | None, Gain | None]:
    """Take the newest reading, and say what it adds; power is counted until a register is read.

    Gives what the register says now, what power came to, and the gain.
    """
    before, reading = port.register, seen.register
    if reading is not None and (before is None or reading.at_s > before.at_s):
        counted = None if before is None else gain(before, reading, most_w=most_w)
        return reading, None, counted
    if before is not None or seen.power_w is None:
        return before, port.integrated, None
    reading = integrated(port.integrated, seen.power_w, at_s=seen.at_s)
    counted = None if port.integrated is None else gain(port.integrated, reading, most_w=most_w)
    return None, reading, counted


def _sessions(
    port: Port,
    seen: PortSeen,
    *,
    state: PortState,
    span_s: float,
    counted: Gain | None,
    session_id: str,
) -> tuple[Session | None, Session | None, tuple[Session, ...], Session | None]:
    """Give the session, the one whose last reading is waited for, those that ended, a new one."""
    session, ending = port.session, port.ending
    ended: list[Session] = []
    started = None
    if session is not None:
        session = go_on(session, seen, before=port.state, span_s=span_s)
    if counted is not None:
        ending, session = _shared(ending, session, counted)
    if ending is not None and (
        _read_after(seen, ending) or seen.at_s - (ending.end_s or 0.0) > LAST_READING_S
    ):
        ended.append(ending)
        ending = None
    if session is not None and (state is PortState.ABSENT or _changed_unseen(port, seen)):
        if ending is not None:
            ended.append(ending)
        ending, session = end(session, at_s=seen.at_s, before=port.state), None
    if session is None and state in PRESENT:
        known = port.state is PortState.ABSENT
        session = started = go_on(
            begin(port.port_id, session_id, seen, known=known),
            seen,
            before=PortState.UNHEARD,
            span_s=0.0,
        )
    return session, ending, tuple(ended), started


def _shared(
    ending: Session | None, session: Session | None, counted: Gain
) -> tuple[Session | None, Session | None]:
    """Give what was counted to the stay in which it flowed; to two of them by charging time."""
    if ending is None or session is None:
        only = ending or session
        given = None if only is None else _with_energy(only, counted)
        return (given, None) if ending is not None else (None, given)
    charged_s = ending.unread_s + session.unread_s
    part = ending.unread_s / charged_s if charged_s > 0.0 else 1.0
    guessed = counted.estimated or 0.0 < part < 1.0
    return (
        _with_energy(ending, replace(counted, wh=counted.wh * part, estimated=guessed)),
        _with_energy(session, replace(counted, wh=counted.wh * (1.0 - part), estimated=guessed)),
    )


def _changed_unseen(port: Port, seen: PortSeen) -> bool:
    """Whether the charger began to count a new session while nobody was watching."""
    before, now = port.session_counter_wh, seen.session_counter_wh
    unseen = seen.at_s - port.seen_s > GAP_S or port.outage is not None
    return unseen and before is not None and now is not None and now < before - RESET_WH


def _read_after(seen: PortSeen, ending: Session) -> bool:
    reading, end_s = seen.register, ending.end_s
    return reading is not None and end_s is not None and reading.at_s >= end_s


def _with_energy(session: Session, counted: Gain) -> Session:
    return replace(
        session,
        energy_wh=session.energy_wh + counted.wh,
        unread_s=0.0,
        estimated=session.estimated or (counted.estimated and counted.wh > 0.0),
    )


def _outages(port: Port, seen: PortSeen, *, gap: bool) -> tuple[Outage | None, tuple[Outage, ...]]:
    """Give the outage that lasts, and those that are over."""
    over: list[Outage] = []
    outage = port.outage
    if gap and outage is None:
        evidence = "nobody was watching"
        outage = Outage(port.port_id, OutageCause.NO_DATA, port.seen_s, None, evidence)
    cause = _OUT.get(seen.state)
    if seen.state is PortState.UNHEARD:
        return outage, ()
    if outage is not None and outage.cause is not cause:
        over.append(replace(outage, until_s=seen.at_s))
        outage = None
    if outage is None and cause is not None:
        earliest_s = over[-1].until_s if over else port.first_s
        began_s = _began_s(seen, cause, earliest_s=earliest_s or port.first_s)
        outage = Outage(port.port_id, cause, began_s, None, _evidence(seen))
    return outage, tuple(over)


def _began_s(seen: PortSeen, cause: OutageCause, *, earliest_s: float) -> float:
    """A silent port was there when it answered last."""
    heard_s = seen.heard_s
    if cause is OutageCause.SILENT and heard_s is not None:
        return max(earliest_s, min(heard_s, seen.at_s))
    return seen.at_s


def _evidence(seen: PortSeen) -> str:
    return ", ".join(sorted(seen.errors)) or f"the charger was {seen.state.value}"


def _moved_reading(reading: Reading | None, by_s: float) -> Reading | None:
    return None if reading is None else Reading(reading.at_s + by_s, reading.wh)


def _moved_session(session: Session, by_s: float) -> Session:
    def moved_s(at_s: float | None) -> float | None:
        return None if at_s is None else at_s + by_s

    return replace(
        session,
        start_s=session.start_s + by_s,
        end_s=moved_s(session.end_s),
        first_energy_s=moved_s(session.first_energy_s),
        last_energy_s=moved_s(session.last_energy_s),
        stopped_s=moved_s(session.stopped_s),
    )
