"""Turns over time: nobody keeps the place of a waiting equal for turn after turn (DESIGN 5).

Judged in the quiet time at the end, and only where turns are short enough to show in it: somebody
has drawn all the time, through two turns at least, while an equal who could have had its place got
nothing. Whoever loads no more phases of the same node, in the same way, and is content with no more
has fitted wherever the other did.
"""

from collections.abc import Iterator
from typing import Final

from edgectl.model.policy import Policy
from edgectl.model.site import Evse, Mode
from edgectl.simulator.trial.evidence import Breach, Evidence
from edgectl.simulator.trial.promises import promises
from edgectl.simulator.trial.room import is_lost
from edgectl.simulator.trial.wishes import is_held_down, wants_all_the_time

_TRACE_S: Final = 0.25
_LOOKED_AT_S: Final = 150.0
"""What is left of the quiet time once all that was silent has been called again."""

_TURNS: Final = 2.0


def check_turns(evidence: Evidence) -> list[Breach]:
    """Give everybody who waits for an equal that does not give way."""
    sharing = evidence.site.sharing
    short = max(_TURNS * sharing.turn_s, sharing.min_off_s + sharing.turn_s) <= _LOOKED_AT_S
    if not short or sharing.policy is not Policy.FAIR or evidence.site.mode is Mode.OBSERVE:
        return []
    return list(_waiting(evidence))


def _waiting(evidence: Evidence) -> Iterator[Breach]:
    made = promises(evidence)
    asking = [
        evse
        for evse in evidence.site.evses
        if wants_all_the_time(evidence, evse)
        and not is_held_down(evidence, evse, made)
        and not is_lost(evidence, evse)
    ]
    for waits in asking:
        if any(_drawn(evidence, waits)):
            continue
        for stays in evidence.site.evses:
            if stays.id != waits.id and _has_its_place(evidence, stays, waits):
                yield Breach(
                    check="turns",
                    at_s=evidence.duration_s,
                    text=f"{waits.id} waits for {_LOOKED_AT_S:g} s while {stays.id}, its equal,"
                    f" draws all the time; a turn is {evidence.site.sharing.turn_s:g} s",
                )
                break


def _has_its_place(evidence: Evidence, stays: Evse, waits: Evse) -> bool:
    used = stays.phases[: min(evidence.trace.evses[stays.id].phases[-1], len(stays.phases))]
    return (
        not is_lost(evidence, stays)
        and stays.tier == waits.tier
        and stays.node == waits.node
        and waits.connection is stays.connection
        and set(waits.phases) <= set(used)
        and waits.traits.min_a <= stays.traits.min_a
        and not waits.traits.allowed_a
        and all(_drawn(evidence, stays))
    )


def _drawn(evidence: Evidence, evse: Evse) -> list[float]:
    return evidence.trace.evses[evse.id].drawn_a[-int(_LOOKED_AT_S / _TRACE_S) :]
