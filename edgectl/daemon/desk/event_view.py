"""A held event for people: `edgectl dr`, `edgectl status`."""

import math
from collections.abc import Iterable

from edgectl.contract.dr import impact_of
from edgectl.contract.envelope import rfc3339
from edgectl.daemon.desk.held_event import HeldEvent
from edgectl.grid.limit import Limit
from edgectl.grid.plan import EventPlan
from edgectl.model.store import Document


def event_view(held: HeldEvent) -> Document:
    """What people want to know of an event; what does not apply is left out."""
    event = held.event
    view: Document = {
        "event_id": event.id,
        "program_id": event.program,
        "state": held.state.value,
    }
    if held.plan is not None:
        view |= _asked(held.plan)
    if event.priority is not None:
        view["priority"] = event.priority
    if event.name is not None:
        view["name"] = event.name
    if held.seal is not None:
        view["issuer"] = held.seal.issuer
    if held.fault is not None:
        view |= {"code": held.fault.code, "message": held.fault.message}
    if held.promise is not None:
        if held.promise.ceiling_w is not None:
            view["promised_w"] = held.promise.ceiling_w
        impact, rest = impact_of(held.promise.missing_wh)
        view["impact"] = [one.model_dump() for one in impact]
        if rest is not None:
            view["impact_rest"] = rest.model_dump()
    if held.lift is not None:
        view["lifted_until"] = rfc3339(held.lift.until_utc_s)
        view["lifted_by"] = held.lift.by
        view["lifted_for"] = held.lift.reason
        view["lift_id"] = held.lift.command_id
    return view


def _asked(plan: EventPlan) -> Document:
    when = plan.schedule
    asked: Document = {
        "mandatory": plan.program.mandatory,
        "rank": plan.rank.name.lower(),
        "targets": [str(element) for element in plan.elements],
        "from": rfc3339(max(0.0, when.from_utc_s)),
    }
    if math.isfinite(when.until_utc_s):
        asked["until"] = rfc3339(when.until_utc_s)
    return asked | _least(plan.limits, "limit") | _least(plan.exports, "export")


def _least(limits: Iterable[Limit | None], what: str) -> Document:
    """The tightest interval's, in the units that were asked for."""
    found = [limit for limit in limits if limit is not None]
    watts = [limit.power_w for limit in found if limit.power_w is not None]
    amps = [limit.current_a for limit in found if limit.current_a is not None]
    least: Document = {}
    if watts:
        least[f"{what}_w"] = min(watts)
    if amps:
        least[f"{what}_a"] = min(amps)
    return least
