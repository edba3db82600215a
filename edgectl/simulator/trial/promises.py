"""What the daemon has promised to the region: ceilings by accepted commands and events.

1. Only what was answered as accepted binds; from the moment of the answer until its end.
2. A command's duration runs on the monotonic clock. Only when the daemon was started again after
   the wall clock had been set may it have ended sooner: nobody can tell then.
3. An event holds by the gateway's wall clock.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from edgectl.simulator.trial.evidence import Evidence, Sent
from edgectl.simulator.trial.orders import OrderKind

_IN_FORCE: Final = frozenset({"accepted", "partial", "active"})
_STEP_S: Final = 1.0
"""Wall-clock steps below it change nothing that anybody could see."""

_SPLIT_S: Final = 1.5
"""Answers, starts and ends are told in milliseconds and acted on at the next tick."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """One ceiling that holds from `from_s` until `until_s`; at a node or an EVSE.

    `limit_a`: on every phase; `limit_w`: for the sum.
    """

    order: str
    from_s: float
    until_s: float
    node: str | None = None
    evse: str | None = None
    limit_a: float | None = None
    limit_w: float | None = None


def promises(evidence: Evidence) -> list[Promise]:
    """Give every promise that was made in a trial."""
    answered = _answers(evidence)
    found: list[Promise] = []
    for sent in evidence.sent:
        answered_s = answered.get(sent.order.id)
        if answered_s is None:
            continue
        if sent.order.kind is OrderKind.EVENT:
            found.extend(_of_event(evidence, sent, answered_s))
        elif sent.order.kind in {OrderKind.LIMIT, OrderKind.PAUSE}:
            found.append(_of_command(evidence, sent, answered_s))
    return [one for one in found if one.until_s > one.from_s]


def _answers(evidence: Evidence) -> dict[str, float]:
    """When each order was first answered as accepted."""
    first: dict[str, float] = {}
    for heard in evidence.heard:
        if heard.name == "command/response":
            name, good = heard.body.get("command_id"), heard.body.get("result") == "accepted"
        elif heard.name == "dr/response":
            name, good = heard.body.get("event_id"), heard.body.get("state") in _IN_FORCE
        else:
            continue
        if good and isinstance(name, str):
            first.setdefault(name, heard.at_s)
    return first


def _of_command(evidence: Evidence, sent: Sent, answered_s: float) -> Promise:
    order = sent.order
    until_s = evidence.duration_s if order.duration_s is None else sent.at_s + order.duration_s
    until_s = min(until_s, _ended_by_word(evidence, sent), _forgotten_s(evidence, answered_s))
    limits = order.fields.get("limit_a")
    return Promise(
        order=order.id,
        from_s=answered_s,
        until_s=until_s - _SPLIT_S,
        node=order.fields.get("node"),
        evse=order.fields.get("evse"),
        limit_a=0.0 if order.kind is OrderKind.PAUSE else None if limits is None else limits[0],
        limit_w=order.fields.get("limit_w"),
    )


def _ended_by_word(evidence: Evidence, sent: Sent) -> float:
    """When somebody asked for the end of a command or event, heard or not."""
    order = sent.order
    for other in evidence.sent:
        if other.at_s < sent.at_s:
            continue
        about = other.order.about == order.id
        released = other.order.kind is OrderKind.RELEASE and about
        deleted = other.order.kind is OrderKind.EVENT_DELETED and about
        resumed = (
            other.order.kind is OrderKind.RESUME
            and order.kind is OrderKind.PAUSE
            and other.order.fields.get("evse") == order.fields.get("evse")
        )
        if released or deleted or resumed:
            return other.at_s
    return float("inf")


def _forgotten_s(evidence: Evidence, answered_s: float) -> float:
    """The first start after the wall clock was set since the answer."""
    jumps_s = [at_s for at_s, by_s in evidence.clock_s if abs(by_s) > _STEP_S and at_s > answered_s]
    starts_s = [
        life.started_s for life in evidence.lives if jumps_s and life.started_s >= min(jumps_s)
    ]
    return min(starts_s, default=float("inf"))


def _of_event(evidence: Evidence, sent: Sent, answered_s: float) -> Iterator[Promise]:
    """Give the spans in which the gateway's wall clock is inside the event."""
    order = sent.order
    begins_s = sent.at_s + order.from_s
    ends_s = begins_s + (order.duration_s or 0.0)
    over_s = min(_ended_by_word(evidence, sent), evidence.duration_s)
    edges = [(0.0, 0.0), *evidence.clock_s, (evidence.duration_s, 0.0)]
    ahead_s = 0.0
    for (at_s, by_s), (next_s, _) in pairwise(edges):
        ahead_s += by_s
        yield Promise(
            order=order.id,
            from_s=max(answered_s, at_s, begins_s - ahead_s) + _SPLIT_S,
            until_s=min(next_s, ends_s - ahead_s, over_s) - _SPLIT_S,
            node="n0",
            limit_w=order.fields["kw"] * 1000.0,
        )
        if next_s >= ends_s - ahead_s and next_s > answered_s:
            # It was over once, or leapt over; should the clock be set back, nobody asks that it
            # begins again.
            return
