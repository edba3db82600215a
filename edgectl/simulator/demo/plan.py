"""What a demo does to its site, and when: arrivals, load steps, silent devices, an event.

Times are parts of the run as they fall in a run of 90 s.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edgectl.model.site import Evse, KeepAlive, Node, Program, Site
from edgectl.simulator.depot import Scenario
from edgectl.simulator.faults import Fault, FaultKind
from edgectl.simulator.sessions import Session
from edgectl.units import Triple

_WRITTEN_FOR_S: Final = 90.0
_CHARGER_SILENT_S: Final = (14.0, 36.0)
_FIRST_STEP_S: Final = 25.0
_EVENT_S: Final = (36.0, 62.0)
_METER_SILENT_S: Final = (66.0, 78.0)
_SECOND_STEP_S: Final = 69.0
_STEP_PART: Final = 0.4
_EVENT_PART: Final = 0.65


@dataclass(frozen=True, slots=True, kw_only=True)
class DrPlan:
    """The event that the demo sends, in seconds of the scenario."""

    program: Program
    node: Node
    from_s: float
    until_s: float
    limit_w: float
    pause_w: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A whole run. `dr` is None where the site has no demand-response program."""

    duration_s: float
    scenario: Scenario
    dr: DrPlan | None


def plan_run(site: Site, sessions: Sequence[Session], *, duration_s: float) -> Plan:
    """Plan faults and event for a site; leaves out what the site has nothing for."""
    factor = duration_s / _WRITTEN_FOR_S
    faults = [*_charger_fault(site, factor), *_load_faults(site, factor)]
    return Plan(
        duration_s=duration_s,
        scenario=Scenario(sessions=tuple(sessions), faults=tuple(faults)),
        dr=_event(site, factor),
    )


def _charger_fault(site: Site, factor: float) -> list[Fault]:
    """Silence a charger of its own link, the last one that has a watchdog."""
    alone = [
        evse for evse in site.evses if sum(other.link == evse.link for other in site.evses) == 1
    ]
    watched = [evse for evse in alone or site.evses if _has_watchdog(evse)]
    if not watched:
        return []
    from_s, until_s = _CHARGER_SILENT_S
    return [
        Fault(
            kind=FaultKind.CHARGER_SILENT,
            id=watched[-1].id,
            at_s=from_s * factor,
            until_s=until_s * factor,
        )
    ]


def _load_faults(site: Site, factor: float) -> list[Fault]:
    loaded = [node for node in site.nodes if any(node.base_max_a)]
    if not loaded:
        return []
    faults = [
        Fault(
            kind=FaultKind.BASE_STEP,
            id=loaded[0].id,
            at_s=_FIRST_STEP_S * factor,
            add_a=_step_a(loaded[0]),
        )
    ]
    metered = [
        (meter, node) for node in reversed(loaded) for meter in site.meters if meter.node == node.id
    ]
    node = loaded[-1]
    if metered:
        meter, node = metered[-1] if len(metered) == 1 else metered[-2]
        from_s, until_s = _METER_SILENT_S
        faults.append(
            Fault(
                kind=FaultKind.METER_SILENT,
                id=meter.id,
                at_s=from_s * factor,
                until_s=until_s * factor,
            )
        )
    faults.append(
        Fault(
            kind=FaultKind.BASE_STEP,
            id=node.id,
            at_s=_SECOND_STEP_S * factor,
            add_a=_step_a(node),
        )
    )
    return faults


def _event(site: Site, factor: float) -> DrPlan | None:
    program = next((program for program in site.programs if not program.signed), None)
    if program is None:
        return None
    root = site.nodes[0]
    limits_w = [] if root.limit_va is None else [root.limit_va]
    known_a = [limit_a for limit_a in root.limit_a if limit_a is not None]
    if len(known_a) == 3:
        limits_w.append(sum(known_a) * site.voltage_v)
    wanted_w = sum(evse.max_a * len(evse.phases) for evse in site.evses) * site.voltage_v
    limit_w = _EVENT_PART * min(limits_w, default=wanted_w)
    # In whole kW, as a utility would send it.
    limit_w = max(round(limit_w / 1000.0), 1) * 1000.0
    if program.hold_minimum and program.minimum_w is not None:
        limit_w = max(limit_w, program.minimum_w)
    pause_w = sum(evse.traits.pause_a * len(evse.phases) for evse in site.evses) * site.voltage_v
    from_s, until_s = _EVENT_S
    return DrPlan(
        program=program,
        node=root,
        from_s=from_s * factor,
        # The event's duration goes out in whole seconds.
        until_s=from_s * factor + round((until_s - from_s) * factor),
        limit_w=limit_w,
        pause_w=pause_w,
    )


def _has_watchdog(evse: Evse) -> bool:
    return evse.traits.watchdog_s is not None and evse.traits.keepalive is not KeepAlive.NONE


def _step_a(node: Node) -> Triple:
    one_a, two_a, three_a = node.base_max_a
    return (_STEP_PART * one_a, _STEP_PART * two_a, _STEP_PART * three_a)
