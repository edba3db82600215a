"""Nothing that was acknowledged is lost, and nothing hostile is taken.

1. Of every (stream, seq) that the outbox took, the region has got one copy, but for what the bounds
   dropped and counted (S23). Within a lane new numbers only rise.
2. An order that reached a working daemon is answered; a hostile one is never accepted.
"""

from collections.abc import Iterator
from typing import Any, Final

from edgectl.simulator.faults import FaultKind
from edgectl.simulator.trial import troubles
from edgectl.simulator.trial.evidence import Breach, Evidence, Sent
from edgectl.simulator.trial.orders import OrderKind
from edgectl.simulator.trial.troubles import Span

_ANSWERED_S: Final = 70.0
"""For the connection to come back, if it has to."""

_TAKEN: Final = frozenset({"accepted", "partial", "active", "completed"})
_WITHOUT_ANSWER: Final = frozenset({OrderKind.EVENT_DELETED, OrderKind.HOSTILE})


def check_telling(evidence: Evidence) -> list[Breach]:
    """Give everything that was lost, disordered, unanswered or taken from a stranger."""
    return [*_check_rows(evidence), *_check_answers(evidence)]


def _check_rows(evidence: Evidence) -> Iterator[Breach]:
    numbered = [heard for heard in evidence.heard if "seq" in heard.body]
    have = {heard.body["seq"] for heard in numbered if heard.body["stream"] == evidence.stream}
    lost = [seq for seq in range(1, evidence.last_seq + 1) if seq not in have]
    if len(lost) > evidence.counts.dropped_rows:
        yield Breach(
            check="telemetry",
            at_s=evidence.duration_s,
            text=f"{len(lost)} of {evidence.last_seq} rows never came, the first is {lost[0]}",
        )
    newest: dict[str, int] = {}
    seen: set[int] = set()
    for heard in numbered:
        seq, lane = heard.body["seq"], heard.body["lane"]
        if seq in seen:
            continue
        seen.add(seq)
        if seq < newest.get(lane, 0):
            yield Breach(
                check="order",
                at_s=heard.at_s,
                text=f"row {seq} came for the first time after {newest[lane]} of lane {lane}",
            )
        newest[lane] = max(seq, newest.get(lane, 0))


def _check_answers(evidence: Evidence) -> Iterator[Breach]:
    commands: dict[str, list[Any]] = {}
    events: dict[str, list[Any]] = {}
    for heard in evidence.heard:
        if heard.name == "command/response":
            commands.setdefault(str(heard.body.get("command_id")), []).append(heard.body["result"])
        elif heard.name == "dr/response":
            events.setdefault(str(heard.body.get("event_id")), []).append(heard.body["state"])
    excuses = [
        *troubles.of_gateway(evidence),
        *troubles.of_kind(evidence, FaultKind.BROKER_KILLED, FaultKind.DISK_FULL),
    ]
    doubts = troubles.of_kind(evidence, FaultKind.CLOCK_UNTRUSTED)
    for sent in evidence.sent:
        order = sent.order
        if order.kind is OrderKind.HOSTILE:
            if order.hostile == "expired" and troubles.any_touches(doubts, sent.at_s, sent.at_s):
                continue  # without a trusted clock nothing is known to have expired
            taken = {*commands.get(order.id, ()), *events.get(order.id, ())} & _TAKEN
            if taken:
                yield Breach(
                    check="hostile",
                    at_s=sent.at_s,
                    text=f"{order.id} ({order.hostile}) was {', '.join(sorted(taken))}",
                )
            continue
        if order.kind in _WITHOUT_ANSWER or not _must_be_answered(evidence, sent, excuses):
            continue
        known = order.about if order.kind is OrderKind.AGAIN else order.id
        if known not in (events if order.kind is OrderKind.EVENT else commands):
            yield Breach(
                check="answer",
                at_s=sent.at_s,
                text=f"{order.kind} {order.id} was never answered",
            )


def _must_be_answered(evidence: Evidence, sent: Sent, excuses: list[Span]) -> bool:
    """Whether nothing on its way to the desk and back could have lost it."""
    if not sent.heard or sent.at_s + _ANSWERED_S > evidence.duration_s:
        return False
    return not troubles.any_touches(excuses, sent.at_s - 1.0, sent.at_s + _ANSWERED_S)
