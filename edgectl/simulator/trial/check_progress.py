"""The daemon lives: it ticks, talks, connects, charges; and it does not contradict itself.

1. No step is ever broken and no task ends by a fault.
2. Every task makes progress: ticks come each second, no link is left alone for longer than its
   longest wait, the connection to the region comes back, its backlog goes down.
3. Once nothing but one charger fails any more, a vehicle that wants power and has room gets some,
   and none that could take more is left beside room that nobody uses (DESIGN 5). Of a charger that
   nobody can talk to only what its watchdog leaves it counts by then (S9, S10).
4. What is kept stays bounded (S23).
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from edgectl.model.site import Evse, Mode
from edgectl.simulator.faults import FaultKind
from edgectl.simulator.trial import troubles
from edgectl.simulator.trial.evidence import Breach, Evidence, Look
from edgectl.simulator.trial.promises import promises
from edgectl.simulator.trial.room import at_the_end, counted, has_room, is_lost, path
from edgectl.simulator.trial.wishes import is_held_down, most_drawn_a, wants_all_the_time

TICK_S: Final = 1.0
_LATE_S: Final = 0.6
_LINK_WAIT_S: Final = 66.0
_CONNECT_WAIT_S: Final = 75.0
_TASKS_MAX: Final = 40
_MORE_A: Final = 6.0
_FOLLOWS_A: Final = 0.5
_BACKLOG_MAX: Final = 30
_TOLD_PART: Final = 0.8


def check_progress(evidence: Evidence) -> list[Breach]:
    """Give everything that stands still or came to an end."""
    return [
        *_check_lives(evidence),
        *_check_ticks(evidence),
        *_check_looks(evidence),
        *_check_region(evidence),
        *(() if evidence.site.mode is Mode.OBSERVE else _check_charging(evidence)),
    ]


def _check_lives(evidence: Evidence) -> Iterator[Breach]:
    for life in evidence.lives:
        if life.failure:
            yield Breach(check="failed", at_s=life.until_s, text=life.failure)
        for crash in life.crashes:
            yield Breach(check="broken_step", at_s=life.until_s, text=crash)
    if evidence.overgrown:
        yield Breach(
            check="bounds",
            at_s=evidence.duration_s,
            text=f"more {evidence.overgrown} are kept than the bound allows",
        )


def _check_ticks(evidence: Evidence) -> Iterator[Breach]:
    for life in evidence.lives:
        ended_s = life.until_s if life.stopping_s is None else life.stopping_s
        inside = [at_s for at_s in evidence.ticks_s if life.started_s <= at_s <= ended_s]
        for before_s, after_s in pairwise([life.started_s, *inside, ended_s]):
            if after_s - before_s > TICK_S + _LATE_S:
                yield Breach(
                    check="tick",
                    at_s=before_s,
                    text=f"no tick for {after_s - before_s:.2f} s",
                )
                break


def _check_looks(evidence: Evidence) -> Iterator[Breach]:
    dead = troubles.of_gateway(evidence)
    broker = troubles.of_kind(
        evidence, FaultKind.BROKER_AWAY, FaultKind.BROKER_MUTE, FaultKind.BROKER_KILLED
    )
    told: set[str] = set()
    for look in evidence.looks:
        if look.tasks > _TASKS_MAX + 3 * len(evidence.site.links) and "tasks" not in told:
            told.add("tasks")
            yield Breach(check="bounds", at_s=look.at_s, text=f"{look.tasks} tasks are alive")
        if not troubles.any_touches(dead, look.at_s - _LINK_WAIT_S, look.at_s):
            for link in _left_alone(evidence, look):
                if link not in told:
                    told.add(link)
                    yield Breach(
                        check="wedged",
                        at_s=look.at_s,
                        text=f"nothing was sent on link {link} for {_LINK_WAIT_S:g} s",
                    )
        away = troubles.any_touches([*dead, *broker], look.at_s - _CONNECT_WAIT_S, look.at_s)
        if not away and not look.connected and "broker" not in told:
            told.add("broker")
            yield Breach(check="wedged", at_s=look.at_s, text="the broker is not connected to")


def _left_alone(evidence: Evidence, look: Look) -> list[str]:
    if look.at_s < _LINK_WAIT_S:
        return []
    return [
        link.id
        for link in evidence.site.links
        if look.talked_s.get(link.id, 0.0) < look.at_s - _LINK_WAIT_S
    ]


def _check_region(evidence: Evidence) -> Iterator[Breach]:
    """In the quiet time the region hears of the site as it should, and the backlog is gone."""
    from_s = evidence.duration_s - 100.0
    told = sum(h.name == "telemetry" and h.at_s >= from_s for h in evidence.heard)
    if told < int(_TOLD_PART * 100.0 / evidence.tells_every_s):
        yield Breach(
            check="untold",
            at_s=evidence.duration_s,
            text=f"{told} telemetry messages in the last 100 s, one in"
            f" {evidence.tells_every_s:g} s is due",
        )
    if evidence.looks and evidence.looks[-1].backlog > _BACKLOG_MAX:
        yield Breach(
            check="wedged",
            at_s=evidence.looks[-1].at_s,
            text=f"{evidence.looks[-1].backlog} rows still wait for the region",
        )


def _check_charging(evidence: Evidence) -> Iterator[Breach]:
    """At the end, who has wanted power for long and has room for it draws some, or more."""
    last, made = at_the_end(evidence), promises(evidence)
    for evse in evidence.site.evses:
        if (
            not wants_all_the_time(evidence, evse)
            or is_lost(evidence, evse)
            or is_held_down(evidence, evse, made)
        ):
            continue
        traced, nodes = evidence.trace.evses[evse.id], path(evidence, evse)
        least_a = max([evse.traits.min_a, *evse.traits.allowed_a[:1]])
        if all(traced.drawn_a[n] <= 0.0 for n in last):
            if all(has_room(evidence, node, evse, least_a) for node in nodes):
                yield Breach(
                    check="starved",
                    at_s=evidence.duration_s,
                    text=f"{evse.id} wants power and gets none, though all of its nodes have room",
                )
        elif _is_kept_small(evidence, evse, last) and all(
            has_room(evidence, node, evse, _MORE_A) for node in nodes
        ):
            yield Breach(
                check="room",
                at_s=evidence.duration_s,
                text=f"{evse.id} draws all of the {traced.limit_a[last[-1]]:g} A that it is"
                f" allowed, though all of its nodes bear {_MORE_A:g} A more",
            )


def _is_kept_small(evidence: Evidence, evse: Evse, last: range) -> bool:
    """Whether its vehicle has taken all that it was allowed, and can take far more."""
    traced = evidence.trace.evses[evse.id]
    most_a = min(evse.max_a, most_drawn_a(evidence, evse))
    counts = counted(evidence, evse)
    return all(
        traced.drawn_a[n] > 0.0
        and abs(traced.limit_a[n] - traced.drawn_a[n]) <= _FOLLOWS_A
        and traced.limit_a[n] * counts + _MORE_A < most_a
        for n in last
    )
