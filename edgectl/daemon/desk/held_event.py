"""One event as the desk holds it, and as it is kept on disk."""

import math
from dataclasses import dataclass, replace
from typing import Final, TypeAlias, cast

from edgectl.clock import Instant
from edgectl.contract.dr import NAMES_MAX, DrResponse, DrState, impact_of
from edgectl.contract.envelope import rfc3339
from edgectl.contract.openadr import parse_event
from edgectl.contract.refusal import RefusalCode, refused
from edgectl.errors import Refused
from edgectl.grid.event import Event
from edgectl.grid.plan import EventPlan, plan
from edgectl.model.ceiling import Rank
from edgectl.model.site import Site
from edgectl.model.store import Document
from edgectl.units import EventId, ProgramId

EventKey: TypeAlias = tuple[ProgramId, EventId]

IN_FORCE: Final = frozenset({DrState.ACCEPTED, DrState.PARTIAL, DrState.ACTIVE})

STEP_S: Final = 2.0
"""A clock was set when it moves by more than this beside the steady one."""


@dataclass(frozen=True, slots=True)
class Promise:
    """What an event costs and what is promised for it.

    `missing_wh`: what vehicles will lack at their departure, by EVSE. `ceiling_w`: what will be
    kept in the tightest interval. `floor_w`: no interval is kept below it, for the vehicles' sake.
    `refused`: it costs more than the program's rule gives.
    """

    missing_wh: tuple[tuple[str, float], ...] = ()
    ceiling_w: float | None = None
    floor_w: float | None = None
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Lift:
    """An event set aside on site for a time, by a higher rank.

    `command_id`: what set it aside, and what a release names to end it.
    """

    until_utc_s: float
    by: str
    reason: str
    rank: Rank
    command_id: str


@dataclass(frozen=True, slots=True)
class ClockBefore:
    """A clock that was set back while an event was in force by it.

    `ahead_s` before the present one. `until_utc_s`, by the present one: how long it is heeded.
    """

    ahead_s: float
    until_utc_s: float

    def after(self, step_s: float) -> "ClockBefore":
        """The same once the present clock was set, by `step_s` forward."""
        return ClockBefore(self.ahead_s - step_s, self.until_utc_s + step_s)


@dataclass(frozen=True, slots=True)
class EventSeal:
    """Whose signature an event came with, and until when it is valid."""

    issuer: str
    expires_utc_s: float


@dataclass(frozen=True, slots=True)
class HeldEvent:
    """One version of an event.

    `plan` is always there while it is in force. `modified_utc_s`: of the version, or when it came
    if that was not said. `anchor_utc_s`: what `now` means in it; `anchor_trusted`: as a clock said
    that was right. `owed`: answers that are not yet in the outbox, oldest first. `fault`: why
    it is refused. `deleted`: somebody deleted it; `by_word`: not by emptying its own topic.
    `recovering`: it is over, and the site has not come back yet. `skipped`: it is over without
    having been active here. `before`: clocks of before by which it holds, too. `again_utc_s`: since
    when it is in force again, after a clock that was ahead had ended it.
    """

    event: Event
    body: Document
    plan: EventPlan | None
    modified_utc_s: float
    anchor_utc_s: float
    draw: float
    state: DrState
    owed: tuple[DrState, ...] = ()
    fault: Refused | None = None
    deleted: bool = False
    by_word: bool = False
    ended_utc_s: float | None = None
    recovering: bool = False
    seal: EventSeal | None = None
    promise: Promise | None = None
    lift: Lift | None = None
    anchor_trusted: bool = True
    skipped: bool = False
    before: tuple[ClockBefore, ...] = ()
    again_utc_s: float | None = None

    @property
    def key(self) -> EventKey:
        """By which it is known."""
        return self.event.program, self.event.id

    @property
    def in_force(self) -> bool:
        """It counts, lifted or not."""
        return self.state in IN_FORCE and self.plan is not None

    @property
    def verdict(self) -> DrState:
        """How it is taken: whole, or in part."""
        plan, promise = self.plan, self.promise
        partial = plan is not None and (plan.ignored or plan.unknown or plan.watches_only)
        raised = promise is not None and promise.floor_w is not None
        return DrState.PARTIAL if partial or raised else DrState.ACCEPTED

    @property
    def only_recorded(self) -> bool:
        """It is refused because nothing of it is acted on, and kept all the same."""
        fault = self.fault
        return (
            self.state is DrState.REFUSED
            and fault is not None
            and fault.code == RefusalCode.NOT_SUPPORTED.value
        )

    @property
    def puts_ceilings(self) -> bool:
        """It has ceilings, or has not come back from them yet."""
        return self.in_force or (self.recovering and self.plan is not None)

    @property
    def begins_utc_s(self) -> float:
        """When it puts its first ceiling, without its ramp; `math.inf` if never."""
        if self.plan is None:
            return math.inf
        return self.plan.schedule.from_utc_s - max((c.ahead_s for c in self.before), default=0.0)

    def effective_plans(self) -> tuple[EventPlan, ...]:
        """What is put at present: nothing while it is lifted, no less than what is promised.

        By the present clock and by each of before.
        """
        made = self.plan
        if not self.puts_ceilings or self.lift is not None or made is None:
            return ()
        if self.promise is not None and self.promise.floor_w is not None:
            made = replace(made, floor_w=self.promise.floor_w)
        return (made, *(made.shifted(-clock.ahead_s) for clock in self.before))

    def moved(self, state: DrState, *, ended_utc_s: float | None = None) -> "HeldEvent":
        """Advanced to `state`, with an answer owed."""
        return replace(self, state=state, owed=(*self.owed, state), ended_utc_s=ended_utc_s)

    def lifted(self, lift: Lift) -> "HeldEvent":
        """Set aside for a time, which is reported upstream."""
        return replace(self, lift=lift, owed=(*self.owed, DrState.REFUSED))

    def unlifted(self) -> "HeldEvent":
        """In force again, which is reported upstream."""
        return replace(self, lift=None, owed=(*self.owed, self.state))

    def anchored(self, anchor_utc_s: float, site: Site, *, trusted: bool) -> "HeldEvent":
        """The same with another meaning of `now`; a version without a date came as much later."""
        moved_s = anchor_utc_s - self.anchor_utc_s
        dated = self.event.modified_utc_s is not None
        return replace(
            self,
            plan=plan(self.event, site, anchor_utc_s=anchor_utc_s, draw=self.draw),
            anchor_utc_s=anchor_utc_s,
            anchor_trusted=trusted,
            modified_utc_s=self.modified_utc_s + (0.0 if dated else moved_s),
        )

    def changes_utc_s(self) -> float:
        """When time alone changes it next; `math.inf` if never."""
        if self.plan is None or not self.puts_ceilings:
            return math.inf
        when = self.plan.schedule
        if self.recovering:
            return when.until_utc_s + self.plan.recovery_s
        times = [when.until_utc_s, *(clock.until_utc_s for clock in self.before)]
        if self.state is not DrState.ACTIVE:
            times.append(when.from_utc_s)
        if self.lift is not None:
            times.append(self.lift.until_utc_s)
        return min(times)

    def advanced(self, now: Instant) -> "HeldEvent":
        """The state of this moment; without a trusted clock nothing is over, but lifts are."""
        if self.plan is None or not self.puts_ceilings:
            return self
        when = self.plan.schedule
        if self.recovering:
            back_s = when.until_utc_s + self.plan.recovery_s
            return replace(self, recovering=False) if back_s <= now.utc_s else self
        if self.lift is not None and (not now.utc_trusted or self.lift.until_utc_s <= now.utc_s):
            return self.unlifted().advanced(now)
        if now.utc_trusted and when.until_utc_s <= now.utc_s:
            over = self.moved(DrState.COMPLETED, ended_utc_s=now.utc_s)
            back_s = when.until_utc_s + self.plan.recovery_s
            return replace(
                over,
                recovering=back_s > now.utc_s and self.lift is None,
                skipped=self.state is not DrState.ACTIVE,
                lift=None,
                before=(),
            )
        heeded = tuple(clock for clock in self.before if clock.until_utc_s > now.utc_s)
        if now.utc_trusted and heeded != self.before:
            return replace(self, before=heeded).advanced(now)
        early_s = when.from_utc_s - now.utc_s
        if self.state is DrState.ACTIVE and now.utc_trusted and early_s > STEP_S and not heeded:
            return self.moved(self.verdict)
        if self.state is not DrState.ACTIVE and when.from_utc_s <= now.utc_s:
            return self.moved(DrState.ACTIVE)
        return self

    def to_doc(self) -> Document:
        """Everything that cannot be worked out again."""
        seal, promise, lift, fault = self.seal, self.promise, self.lift, self.fault
        return {
            "body": self.body,
            "modified": self.modified_utc_s,
            "anchor": self.anchor_utc_s,
            "anchor_trusted": self.anchor_trusted,
            "draw": self.draw,
            "state": self.state.value,
            "owed": [state.value for state in self.owed],
            "deleted": self.deleted,
            "by_word": self.by_word,
            "ended": self.ended_utc_s,
            "recovering": self.recovering,
            "before": [[clock.ahead_s, clock.until_utc_s] for clock in self.before],
            "again": self.again_utc_s,
            "seal": None if seal is None else [seal.issuer, seal.expires_utc_s],
            "promise": None
            if promise is None
            else {
                "missing": [list(pair) for pair in promise.missing_wh],
                "ceiling": promise.ceiling_w,
                "floor": promise.floor_w,
                "refused": promise.refused,
            },
            "lift": None
            if lift is None
            else [lift.until_utc_s, lift.by, lift.reason, int(lift.rank), lift.command_id],
            "fault": None if fault is None else [fault.code, fault.message, fault.remedy],
        }

    def response(self, state: DrState) -> DrResponse:
        """The answer for a state of this version."""
        ignored = self.plan.ignored if self.plan is not None else ()
        unknown = self.plan.unknown if self.plan is not None else ()
        code: RefusalCode | None = None
        message: str | None = None
        remedy: str | None = None
        if state is DrState.PARTIAL:
            code, message = self._why_partial(unknown=bool(unknown))
        elif state is DrState.REFUSED and self.lift is not None:
            code = RefusalCode.LIFTED
            until = rfc3339(self.lift.until_utc_s)
            message = f"set aside until {until} by {self.lift.by}: {self.lift.reason}"
        elif state is DrState.REFUSED and self.fault is not None:
            code, message = RefusalCode(self.fault.code), self.fault.message
            remedy = self.fault.remedy
        verdict = state in {DrState.PARTIAL, DrState.REFUSED}
        promise = self.promise if state in IN_FORCE or state is DrState.REFUSED else None
        impact, rest = impact_of(() if promise is None else promise.missing_wh)
        return DrResponse(
            event_id=self.event.id,
            program_id=self.event.program,
            modified=_text(self.event.modified_utc_s),
            state=state,
            code=code,
            message=message,
            remedy=remedy,
            promised_w=None if promise is None else promise.ceiling_w,
            impact=impact or None,
            impact_rest=rest,
            not_acted_on=ignored[:NAMES_MAX] if verdict and ignored else None,
            unknown_targets=unknown if verdict and unknown else None,
        )

    def _why_partial(self, *, unknown: bool) -> tuple[RefusalCode, str]:
        if self.promise is not None and self.promise.floor_w is not None:
            return RefusalCode.VEHICLES_FIRST, (
                "kept as far as vehicles still meet their departure; promised_w says how far"
            )
        if unknown:
            return RefusalCode.UNKNOWN_TARGET, "what is named here is not at this site"
        if self.plan is not None and self.plan.watches_only:
            return RefusalCode.WATCHED_ONLY, (
                "what is fed back is measured, recorded and said where it is too much; no charger"
                " here feeds back, and what else generates takes no orders from here"
            )
        return RefusalCode.NOT_SUPPORTED, "what is named here is kept and not acted on"


def store_key(key: EventKey) -> str:
    """The key on the disk; neither part can have a slash."""
    return "/".join(key)


def from_doc(name: str, doc: Document, site: Site) -> HeldEvent:
    """Read a kept event; the site may no longer have a place for it. Raises on a broken one.

    `name`: its key on the disk, or, where programs were not told apart yet, its id alone.
    """
    body = cast("Document", doc["body"])
    event = parse_event(body, event_id=name.rpartition("/")[2])
    held = HeldEvent(
        event=event,
        body=body,
        plan=None,
        modified_utc_s=_number(doc["modified"]),
        anchor_utc_s=_number(doc["anchor"]),
        draw=_number(doc["draw"]),
        state=DrState(str(doc["state"])),
        owed=tuple(DrState(word) for word in cast("list[str]", doc["owed"])),
        deleted=doc["deleted"] is True,
        by_word=doc["by_word"] is True,
        ended_utc_s=None if doc["ended"] is None else _number(doc["ended"]),
        recovering=doc.get("recovering") is True,
        seal=_seal(doc.get("seal")),
        promise=_promise(doc.get("promise")),
        lift=_lift(doc.get("lift")),
        fault=_fault(doc.get("fault")),
        anchor_trusted=doc.get("anchor_trusted") is not False,
        before=tuple(
            ClockBefore(_number(ahead), _number(until))
            for ahead, until in cast("list[list[object]]", doc.get("before", []))
        ),
        again_utc_s=None if doc.get("again") is None else _number(doc["again"]),
    )
    if held.state not in IN_FORCE and not held.recovering:
        return held
    try:
        judged = plan(event, site, anchor_utc_s=held.anchor_utc_s, draw=held.draw)
    except Refused as fault:
        gone = held.moved(DrState.REFUSED, ended_utc_s=held.modified_utc_s)
        return replace(gone, fault=fault, recovering=False, lift=None)
    return replace(held, plan=judged)


def _seal(doc: object) -> EventSeal | None:
    if doc is None:
        return None
    issuer, expires = cast("list[object]", doc)
    return EventSeal(issuer=str(issuer), expires_utc_s=_number(expires))


def _promise(doc: object) -> Promise | None:
    if doc is None:
        return None
    kept = cast("dict[str, object]", doc)
    return Promise(
        missing_wh=tuple(
            (str(evse), _number(wh)) for evse, wh in cast("list[list[object]]", kept["missing"])
        ),
        ceiling_w=None if kept["ceiling"] is None else _number(kept["ceiling"]),
        floor_w=None if kept["floor"] is None else _number(kept["floor"]),
        refused=kept["refused"] is True,
    )


def _lift(doc: object) -> Lift | None:
    if doc is None:
        return None
    until, by, reason, *more = cast("list[object]", doc)
    rank, command_id = more or (int(Rank.TECHNICIAN), "")
    return Lift(
        until_utc_s=_number(until),
        by=str(by),
        reason=str(reason),
        rank=Rank(cast("int", rank)),
        command_id=str(command_id),
    )


def _fault(doc: object) -> Refused | None:
    if doc is None:
        return None
    code, message, remedy = (str(part) for part in cast("list[object]", doc))
    return refused(RefusalCode(code), message, remedy)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("not a number")
    return float(value)


def _text(utc_s: float | None) -> str | None:
    return rfc3339(utc_s) if utc_s is not None else None
