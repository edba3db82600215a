"""Whoever is not talked to falls to its failsafe current in its watchdog time, and a stopped site.

1. A charger that was armed once and is cut off allows no more than its failsafe current after its
   watchdog time (S9, S16, S22).
2. So does one that hears everything and whose answers come too late: nothing but calls feeds its
   watchdog, and whoever hears a call has lowered its setpoint (S10).
3. After an orderly stop every charger that answers allows no more than its failsafe current, nor
   more than before (S18). Before is what was in force as far as anybody could know: a register
   that cannot be read says what it answered last (S8), whoever lowered it since.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from edgectl.model.site import Evse, KeepAlive, Mode
from edgectl.simulator.device.device_catalog import is_dc
from edgectl.simulator.faults import FaultKind
from edgectl.simulator.trial import troubles
from edgectl.simulator.trial.evidence import Breach, Evidence, Life
from edgectl.simulator.trial.troubles import COME_BACK_S, Span

_TRACE_S: Final = 0.25
_ARMED_S: Final = 90.0
"""In good contact for so long, a charger has its failsafe block."""

_DEVICE_S: Final = 1.5
_CALLED_S: Final = 12.0
"""From its silence on: two calls, the first of which may wait for others on its link."""

_SLACK_A: Final = 0.01
_WATTS_PART: Final = 0.02
"""A power stands for more amperes when the site's voltage sags."""

_CUT: Final = (FaultKind.CHARGER_SILENT, FaultKind.LINK_DOWN)


def check_failsafe(evidence: Evidence) -> list[Breach]:
    """Give every charger that did not fall back when it had to."""
    found: list[Breach] = []
    if evidence.site.mode is Mode.OBSERVE:
        return found
    for evse in evidence.site.evses:
        found.extend(_check_cut_off(evidence, evse))
        found.extend(_check_unheard(evidence, evse))
        for life in evidence.lives:
            if life.ended == "stopped":
                found.extend(_check_stopped(evidence, evse, life))
    return found


def _check_cut_off(evidence: Evidence, evse: Evse) -> Iterator[Breach]:
    watchdog_s = evse.traits.watchdog_s
    if evse.traits.keepalive is KeepAlive.NONE or watchdog_s is None:
        return
    same = troubles.mates(evidence, evse)
    cuts = [
        Span(fault.at_s, fault.until_s or evidence.duration_s)
        for fault in evidence.faults
        if fault.kind in _CUT and (fault.id in same or fault.id == evse.link)
    ]
    dead = troubles.of_gateway(evidence)
    other = [
        *troubles.of_device(evidence, evse, but=_CUT),
        *troubles.of_obedience(evidence, evse),
    ]
    for cut in troubles.merged([*cuts, *dead], gap_s=0.0):
        fallen_s = cut.from_s + watchdog_s + _DEVICE_S
        if fallen_s >= min(cut.until_s, evidence.duration_s):
            continue
        begun_s = max(life.started_s for life in evidence.lives if life.started_s <= cut.from_s)
        if begun_s > cut.from_s - _ARMED_S:
            continue
        early_s = cut.from_s - _ARMED_S - COME_BACK_S
        if troubles.any_touches(other, early_s, cut.until_s) or troubles.any_touches(
            cuts, early_s, cut.from_s - _TRACE_S
        ):
            continue
        yield from _not_fallen(evidence, evse, cut, fallen_s)


def _check_unheard(evidence: Evidence, evse: Evse) -> Iterator[Breach]:
    watchdog_s, same = evse.traits.watchdog_s, troubles.mates(evidence, evse)
    if evse.traits.keepalive is KeepAlive.NONE or watchdog_s is None:
        return
    for fault in evidence.faults:
        late = (
            fault.kind is FaultKind.SLOW_REPLIES
            and fault.delay_s > evidence.links[evse.link].timeout_s
        )
        if not late or fault.id not in same or fault.until_s is None:
            continue
        unheard = Span(fault.at_s, fault.until_s)
        fallen_s = fault.at_s + evse.traits.silent_after_s + max(watchdog_s, _CALLED_S) + _DEVICE_S
        alone = replace(evidence, faults=tuple(one for one in evidence.faults if one is not fault))
        other = [
            *troubles.of_device(alone, evse),
            *troubles.of_obedience(alone, evse),
            *troubles.of_gateway(evidence),
        ]
        early_s = fault.at_s - _ARMED_S - COME_BACK_S
        if not troubles.any_touches(other, early_s, unheard.until_s):
            yield from _not_fallen(evidence, evse, unheard, fallen_s)


def _not_fallen(evidence: Evidence, evse: Evse, cut: Span, fallen_s: float) -> Iterator[Breach]:
    limits_a, times_s = evidence.trace.evses[evse.id].limit_a, evidence.trace.times_s
    for n in range(int(fallen_s / _TRACE_S) + 1, len(times_s)):
        if times_s[n] >= cut.until_s:
            break
        if limits_a[n] > evse.traits.failsafe_a + _slack_a(evse):
            yield Breach(
                check="failsafe",
                at_s=times_s[n],
                text=f"{evse.id} allows {limits_a[n]:g} A, {times_s[n] - cut.from_s:.1f} s after"
                f" anybody could talk to it; its watchdog is {evse.traits.watchdog_s:g} s, its"
                f" failsafe current {evse.traits.failsafe_a:g} A",
            )
            break


def _check_stopped(evidence: Evidence, evse: Evse, life: Life) -> Iterator[Breach]:
    asked_s = life.until_s if life.stopping_s is None else life.stopping_s
    spans = [*troubles.of_device(evidence, evse), *troubles.of_obedience(evidence, evse)]
    early_s = max(asked_s - COME_BACK_S, life.started_s)
    after_s = life.until_s + 2 * _TRACE_S
    traced = evidence.trace.evses[evse.id].limit_a
    n, before = int(after_s / _TRACE_S), int(asked_s / _TRACE_S)
    if n >= len(traced) or asked_s - life.started_s < COME_BACK_S:
        return
    if any(life.until_s <= after.started_s < after_s for after in evidence.lives):
        return  # the next process has spoken to it already
    if troubles.any_touches(spans, early_s, after_s):
        return
    # A charger that was paused rises to its failsafe current once its watchdog fires.
    fallen = after_s - asked_s > 0.6 * (evse.traits.watchdog_s or float("inf"))
    before_a = max(traced[before], _lowered_unseen_a(evidence, evse, before))
    raised = traced[n] > before_a + _slack_a(evse) and not fallen
    if raised or traced[n] > evse.traits.failsafe_a + _slack_a(evse):
        yield Breach(
            check="safe_stop",
            at_s=after_s,
            text=f"{evse.id} allows {traced[n]:g} A after an orderly stop; before it allowed "
            f"{before_a:g} A, its failsafe current is {evse.traits.failsafe_a:g} A",
        )


def _lowered_unseen_a(evidence: Evidence, evse: Evse, at: int) -> float:
    """What was asked of a charger that another master may have lowered since; else 0.

    Where the register cannot be read no daemon sees that: a vehicle that draws less is no sign.
    """
    masters = troubles.of_obedience(evidence, evse, only=(FaultKind.OTHER_MASTER,))
    if evse.traits.readback or not any(span.from_s <= at * _TRACE_S for span in masters):
        return 0.0
    return evidence.trace.evses[evse.id].asked_a[at]


def _slack_a(evse: Evse) -> float:
    return _SLACK_A + (_WATTS_PART * evse.traits.failsafe_a if is_dc(evse) else 0.0)
