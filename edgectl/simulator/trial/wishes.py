"""Who wants power at the end of a trial, and whether anybody asked that it gets none."""

from typing import Final

from edgectl.model.site import Evse, nominal_v, voltages_of
from edgectl.simulator.trial.evidence import Evidence
from edgectl.simulator.trial.promises import Promise

END_S: Final = 30.0
"""The time at the end in which it is looked at."""

_TRACE_S: Final = 0.25


def wants_all_the_time(evidence: Evidence, evse: Evse) -> bool:
    """Tell whether one vehicle was there in the whole quiet time and was never full."""
    traced, n0 = evidence.trace.evses[evse.id], int(evidence.quiet_s / _TRACE_S)
    stays = [
        session
        for session in evidence.sessions
        if session.evse == evse.id
        and session.arrival_s < evidence.quiet_s
        and session.departure_s > evidence.duration_s
    ]
    if not stays:
        return False
    from_n = int(stays[0].arrival_s / _TRACE_S)
    share = nominal_v(evidence.site, evse=evse.id) / evidence.site.voltage_v
    energy_wh = share * sum(
        amps * voltages_of(evse.connection, phases) * mean_v * _TRACE_S / 3600.0
        for amps, phases, mean_v in zip(
            traced.drawn_a[from_n:],
            traced.phases[from_n:],
            evidence.trace.mean_v[from_n:],
            strict=True,
        )
    )
    return energy_wh < 0.95 * stays[0].vehicle.energy_wh and n0 > 0


def most_drawn_a(evidence: Evidence, evse: Evse) -> float:
    """Give the most that its vehicle of the end can draw."""
    ends_s = evidence.duration_s
    return max(
        (
            session.vehicle.max_a
            for session in evidence.sessions
            if session.evse == evse.id and session.arrival_s < ends_s < session.departure_s
        ),
        default=0.0,
    )


def is_held_down(evidence: Evidence, evse: Evse, made: list[Promise]) -> bool:
    """Tell whether somebody may have asked that it gets nothing; any word counts."""
    ends_s = evidence.duration_s
    asked = [
        sent
        for sent in evidence.sent
        if sent.order.fields.get("evse") == evse.id
        or "node" in sent.order.fields
        or "kw" in sent.order.fields
    ]
    if any(
        sent.order.duration_s is None
        or sent.at_s + sent.order.from_s + sent.order.duration_s > ends_s - END_S - 200.0
        for sent in asked
    ):
        return True
    return (
        bool(evidence.site.caps)
        or any(abs(by_s) > 1.0 for _, by_s in evidence.clock_s)
        or any(promise.until_s > ends_s - 200.0 for promise in made)
    )
