"""One event as the desk holds it, and as it is kept on disk."""

import math
from dataclasses import dataclass, replace
from typing import Final, cast

from edgectl.clock import Instant
from edgectl.contract.dr import DrResponse, DrState
from edgectl.contract.envelope import rfc3339
from edgectl.contract.openadr import parse_event
from edgectl.contract.refusal import RefusalCode
from edgectl.errors import Refused
from edgectl.grid.event import Event
from edgectl.grid.plan import EventPlan, plan
from edgectl.model.site import Site
from edgectl.model.store import Document

IN_FORCE: Final = frozenset({DrState.ACCEPTED, DrState.PARTIAL, DrState.ACTIVE})


@dataclass(frozen=True, slots=True)
class HeldEvent:
    """One version of an event.

    `plan` is always there while it is in force. `modified_utc_s`: of the version, or when it came
    if that was not said. `owed`: answers that are not yet in the outbox, oldest first. `fault`: why
    it is refused. `deleted`: somebody deleted it; `by_word`: not by emptying its own topic.
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

    @property
    def in_force(self) -> bool:
        """It puts its ceilings."""
        return self.state in IN_FORCE and self.plan is not None

    def moved(self, state: DrState, *, ended_utc_s: float | None = None) -> "HeldEvent":
        """Advanced to `state`, with an answer owed."""
        return replace(self, state=state, owed=(*self.owed, state), ended_utc_s=ended_utc_s)

    def advanced(self, now: Instant) -> "HeldEvent":
        """The state of this moment; without a trusted clock nothing is over."""
        if self.plan is None or not self.in_force:
            return self
        when = self.plan.schedule
        if now.utc_trusted and when.until_utc_s <= now.utc_s:
            return self.moved(DrState.COMPLETED, ended_utc_s=now.utc_s)
        if self.state is not DrState.ACTIVE and when.from_utc_s <= now.utc_s:
            return self.moved(DrState.ACTIVE)
        return self

    def view(self) -> Document:
        """What people want to know of it."""
        view: Document = {
            "event_id": self.event.id,
            "program_id": self.event.program,
            "state": self.state.value,
        }
        if self.plan is not None:
            when = self.plan.schedule
            view["mandatory"] = self.plan.program.mandatory
            view["targets"] = [str(element) for element in self.plan.elements]
            view["from"] = rfc3339(max(0.0, when.from_utc_s))
            if math.isfinite(when.until_utc_s):
                view["until"] = rfc3339(when.until_utc_s)
        if self.event.priority is not None:
            view["priority"] = self.event.priority
        if self.event.name is not None:
            view["name"] = self.event.name
        return view

    def to_doc(self) -> Document:
        """Everything that cannot be worked out again."""
        return {
            "body": self.body,
            "modified": self.modified_utc_s,
            "anchor": self.anchor_utc_s,
            "draw": self.draw,
            "state": self.state.value,
            "owed": [state.value for state in self.owed],
            "deleted": self.deleted,
            "by_word": self.by_word,
            "ended": self.ended_utc_s,
        }

    def response(self, state: DrState) -> DrResponse:
        """The answer for a state of this version."""
        ignored = self.plan.ignored if self.plan is not None else ()
        unknown = self.plan.unknown if self.plan is not None else ()
        code: RefusalCode | None = None
        message: str | None = None
        if state is DrState.PARTIAL:
            code = RefusalCode.UNKNOWN_TARGET if unknown else RefusalCode.NOT_SUPPORTED
            message = "the import limit is taken; what is named here is not acted on"
        elif state is DrState.REFUSED and self.fault is not None:
            code, message = RefusalCode(self.fault.code), self.fault.message
        verdict = state is DrState.PARTIAL
        return DrResponse(
            event_id=self.event.id,
            program_id=self.event.program,
            modified=_text(self.event.modified_utc_s),
            state=state,
            code=code,
            message=message,
            not_acted_on=ignored if verdict and ignored else None,
            unknown_targets=unknown if verdict and unknown else None,
        )


def from_doc(key: str, doc: Document, site: Site) -> HeldEvent:
    """Read a kept event; the site may no longer have a place for it. Raises on a broken one."""
    body = cast("Document", doc["body"])
    event = parse_event(body, event_id=key)
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
    )
    if held.state not in IN_FORCE:
        return held
    try:
        judged = plan(event, site, anchor_utc_s=held.anchor_utc_s, draw=held.draw)
    except Refused as fault:
        return replace(held.moved(DrState.REFUSED, ended_utc_s=held.modified_utc_s), fault=fault)
    return replace(held, plan=judged)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("not a number")
    return float(value)


def _text(utc_s: float | None) -> str | None:
    return rfc3339(utc_s) if utc_s is not None else None
