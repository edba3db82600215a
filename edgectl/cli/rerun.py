"""Runs recorded steps again, as they were or for another site, and says what differs.

1. The recorded readings are taken as they are: with another site nobody knows how the vehicles
   would have answered, so a step says what would have been told at that moment, not what would have
   become of it.
2. Ceilings of events and commands stay as recorded; the operator's caps are those of the site.
3. Where steps are missing, and at the first one, the recorded state is taken up.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final
from zoneinfo import ZoneInfo

from edgectl.clock import Instant
from edgectl.contract.journal import Head, JournalStep, checksum, shape
from edgectl.control.step import step
from edgectl.control.verify import safe_decision
from edgectl.model.ceiling import TimedCeiling
from edgectl.model.decision import Decision, EvseDecision
from edgectl.model.record import TickRecord
from edgectl.model.site import Site
from edgectl.model.snapshot import EvseView, MeterView, Snapshot
from edgectl.model.state import State
from edgectl.planning.caps import cap_ceilings
from edgectl.units import EvseId

LONGEST_S: Final = 5.0
"""A step counts until the next one, for so long at most, in the means."""


@dataclass(frozen=True, slots=True)
class Rerun:
    """One step, recorded and run again.

    `broke`: how the step broke, which is answered with the safe decision. `same`: every EVSE is
    told the same for the same reason, with the same share and count. `exact`: so is every bit of
    the decision and of the next state; None where the recording version had other fields.
    """

    recorded: JournalStep
    record: TickRecord
    broke: str | None
    same: bool
    exact: bool | None


def rerun(
    steps: Iterable[tuple[Head, JournalStep]], *, other_site: Site | None = None
) -> Iterator[Rerun]:
    """Run every step again; with `other_site` for that one."""
    state: State | None = None
    number = 0
    ours = shape()
    caps = _Caps(other_site)
    for head, recorded in steps:
        before = recorded.before
        if before is not None and (
            other_site is None or state is None or recorded.number != number + 1
        ):
            state = before if other_site is None else _known_state(before, other_site)
        if state is None:  # pragma: no cover - a first step is whole
            continue
        number = recorded.number
        snapshot = recorded.snapshot
        if other_site is not None:
            snapshot = _known_snapshot(snapshot, other_site, caps.at(recorded.now.utc_s))
        decision, after, broke = _step(snapshot, state, recorded.now)
        yield Rerun(
            recorded=recorded,
            record=TickRecord(
                number=number,
                now=recorded.now,
                snapshot=snapshot,
                before=state,
                state=after,
                decision=decision,
                started_utc_s=recorded.now.utc_s,
                tick_p99_ms=0.0,
            ),
            broke=broke,
            same=decision.safe is recorded.safe and decision.evses == recorded.evses,
            exact=checksum(decision, after) == recorded.checksum if head.shape == ours else None,
        )
        state = after


@dataclass(slots=True)
class EvseDifference:
    """What an EVSE was told and would be told. Means are over time, in A."""

    evse: EvseId
    steps: int = 0
    differing: int = 0
    most_a: float = 0.0
    first_utc_s: float | None = None
    first: tuple[EvseDecision, EvseDecision] | None = None
    seconds: float = 0.0
    recorded_as: float = 0.0
    replayed_as: float = 0.0

    @property
    def recorded_mean_a(self) -> float:
        """What it was told on average."""
        return self.recorded_as / self.seconds if self.seconds else 0.0

    @property
    def replayed_mean_a(self) -> float:
        """What it would be told on average."""
        return self.replayed_as / self.seconds if self.seconds else 0.0

    def take(self, now: Instant, recorded: EvseDecision, replayed: EvseDecision) -> None:
        """Compare one step."""
        self.steps += 1
        if recorded == replayed:
            return
        self.differing += 1
        self.most_a = max(self.most_a, abs(replayed.setpoint_a - recorded.setpoint_a))
        if self.first is None:
            self.first_utc_s = now.utc_s
            self.first = (recorded, replayed)


@dataclass(slots=True)
class Summary:
    """What a whole replay showed. `broken`: when and how steps broke that did not break before."""

    steps: int = 0
    same: int = 0
    exact: int = 0
    incomparable: int = 0
    first_utc_s: float | None = None
    last_utc_s: float | None = None
    first_differing: Rerun | None = None
    broken: list[tuple[float, str]] = field(default_factory=list)
    broke_again: int = 0
    evses: dict[EvseId, EvseDifference] = field(default_factory=dict)
    only_recorded: set[EvseId] = field(default_factory=set)
    only_replayed: set[EvseId] = field(default_factory=set)
    _last: Rerun | None = None

    def take(self, one: Rerun) -> None:
        """Add one step."""
        now = one.recorded.now
        self.steps += 1
        self.same += one.same
        self.exact += one.exact is True
        self.incomparable += one.exact is None
        self.first_utc_s = now.utc_s if self.first_utc_s is None else self.first_utc_s
        self.last_utc_s = now.utc_s
        if self.first_differing is None and (not one.same or one.exact is False):
            self.first_differing = one
        if one.broke is not None and not one.recorded.safe:
            self.broken.append((now.utc_s, one.broke))
        self.broke_again += one.broke is not None and one.recorded.safe
        self._weigh(now)
        recorded, replayed = one.recorded.evses, one.record.decision.evses
        self.only_recorded |= recorded.keys() - replayed.keys()
        self.only_replayed |= replayed.keys() - recorded.keys()
        for id_ in recorded.keys() & replayed.keys():
            self.evses.setdefault(id_, EvseDifference(id_)).take(now, recorded[id_], replayed[id_])
        self._last = one

    def _weigh(self, now: Instant) -> None:
        """Let the step before count until this one."""
        last = self._last
        if last is None:
            return
        seconds = min(LONGEST_S, max(0.0, now.mono_s - last.recorded.now.mono_s))
        for id_, one in self.evses.items():
            recorded, replayed = last.recorded.evses.get(id_), last.record.decision.evses.get(id_)
            if recorded is not None and replayed is not None:
                one.seconds += seconds
                one.recorded_as += seconds * recorded.setpoint_a
                one.replayed_as += seconds * replayed.setpoint_a


def _step(snapshot: Snapshot, state: State, now: Instant) -> tuple[Decision, State, str | None]:
    """As the tick does it: what breaks is answered with the safe decision."""
    try:
        decision, after = step(snapshot, state, now)
    except Exception as broken:  # noqa: BLE001 - whatever it is, the tick answers it so
        return safe_decision(snapshot, state, now), state, repr(broken)
    return decision, after, None


def _known_snapshot(snapshot: Snapshot, site: Site, caps: tuple[TimedCeiling, ...]) -> Snapshot:
    """What was seen, as far as the site has it; its other devices were never heard."""
    nodes, evses = {node.id for node in site.nodes}, {evse.id for evse in site.evses}
    kept = tuple(
        one
        for one in snapshot.ceilings
        if one.holder.kind != "cap" and (one.node in nodes or one.evse in evses)
    )
    return replace(
        snapshot,
        site=site,
        meters={one.id: snapshot.meters.get(one.id, MeterView()) for one in site.meters},
        evses={one.id: snapshot.evses.get(one.id, EvseView()) for one in site.evses},
        ceilings=(*kept, *caps),
    )


def _known_state(state: State, site: Site) -> State:
    meters, evses = {one.id for one in site.meters}, {one.id for one in site.evses}
    return replace(
        state,
        meters={id_: one for id_, one in state.meters.items() if id_ in meters},
        evses={id_: one for id_, one in state.evses.items() if id_ in evses},
    )


class _Caps:
    """The caps of a site, worked out once an hour as the daemon does."""

    def __init__(self, site: Site | None) -> None:
        self._site = site
        self._made_utc_s: float | None = None
        self._caps: tuple[TimedCeiling, ...] = ()

    def at(self, utc_s: float) -> tuple[TimedCeiling, ...]:
        if self._site is None:
            return ()
        if self._made_utc_s is None or not 0.0 <= utc_s - self._made_utc_s < 3600.0:
            zone = ZoneInfo(self._site.timezone)
            self._caps = cap_ceilings(self._site.caps, zone=zone, now_utc_s=utc_s)
            self._made_utc_s = utc_s
        return self._caps
