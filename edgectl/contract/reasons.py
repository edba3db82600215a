"""The step's reasons in plain words with their numbers: one sentence for each code.

Kilo-units appear here because people read these sentences; programs read the reason's own fields.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from edgectl.clock import Instant
from edgectl.model.ceiling import Holder, Rank
from edgectl.model.decision import Reason, ReasonCode

VA_ROW: Final = "va"


def reason_text(reason: Reason, *, now: Instant) -> str:
    """Say why a setpoint is what it is; `now` turns a timer into the time that is left."""
    return _SENTENCES[reason.code](reason, now)


def holder_text(holder: Holder) -> str:
    """Say who holds a ceiling."""
    match holder.kind:
        case "limit":
            return "the configured limit"
        case "event":
            firm = "mandatory" if holder.rank is Rank.UTILITY_MANDATORY else "voluntary"
            return f"the utility's {firm} event {holder.id}"
        case "command":
            return f"command {holder.id} of the {_RANKS[holder.rank]}"
        case "pause":
            return f"pause {holder.id} of the {_RANKS[holder.rank]}"
        case "isolation":
            return f"isolation {holder.id} of the {_RANKS[holder.rank]}"
        case "cap":
            return f"the operator's cap {holder.id}"
        case "failsafe":
            return f"the rule for a lost utility link ({holder.id})"
        case _:
            return f"{holder.kind} {holder.id} of the {_RANKS[holder.rank]}"


def row_text(row: str) -> str:
    """Name a row as a person at the panel does."""
    return "the sum of its phases" if row == VA_ROW else f"L{row}"


def duration_text(duration_s: float) -> str:
    """Say a duration in its two greatest units: `1 h 05 min`, `2 min 30 s`, `12 s`."""
    seconds = max(0, round(duration_s))
    if seconds < 60:
        return f"{seconds} s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {seconds:02d} s" if seconds else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"


_RANKS: Final[Mapping[Rank, str]] = MappingProxyType(
    {
        Rank.SAFETY: "safety rules",
        Rank.UTILITY_MANDATORY: "utility (mandatory)",
        Rank.OPERATOR: "operator",
        Rank.TECHNICIAN: "technician",
        Rank.UTILITY_VOLUNTARY: "utility (voluntary)",
        Rank.PLAN: "plan",
    }
)


def _own_maximum(reason: Reason, _now: Instant) -> str:
    return f"it has its own maximum{_of_a(reason)}; more is not possible here"


def _node_ceiling(reason: Reason, _now: Instant) -> str:
    return f"{_where(reason)} is at its ceiling{_of_a(reason)}{_held_by(reason)}"


def _primary_ceiling(reason: Reason, now: Instant) -> str:
    return _node_ceiling(replace(reason, side="primary"), now)


def _va_ceiling(reason: Reason, _now: Instant) -> str:
    limit = "" if reason.limit is None else f" of {reason.limit / 1000:.1f} kVA"
    return f"{_node(reason)} is at its power ceiling{limit}{_held_by(reason)}"


def _unbalance(reason: Reason, _now: Instant) -> str:
    limit = "" if reason.limit is None else f" than {reason.limit:.1f} A"
    return f"the phases of {_node(reason)} may differ by no more{limit or ' than they do'}"


def _increment(reason: Reason, _now: Instant) -> str:
    return f"the charger's next step up does not fit{_under(reason)}"


def _not_admitted(reason: Reason, _now: Instant) -> str:
    amount = _amount(reason)
    ceiling = "" if amount is None else f" (ceiling {amount}{_held_by(reason)})"
    return f"there is no room for its minimum{_under(reason)}{ceiling}; it waits in the queue"


def _base_over_ceiling(reason: Reason, _now: Instant) -> str:
    return (
        f"the base load alone takes all of {_where(reason)}, ceiling{_of_a(reason)}"
        f"{_held_by(reason)}"
    )


def _fixed_over_ceiling(reason: Reason, _now: Instant) -> str:
    return (
        f"base load and chargers that count as fixed loads take all of {_where(reason)}, ceiling"
        f"{_of_a(reason)}{_held_by(reason)}"
    )


def _no_demand(reason: Reason, now: Instant) -> str:
    if reason.until_s is None:
        has = f"; it has its minimum{_of_a(reason)}, and its share again when it draws"
        return "the vehicle takes nothing" + ("" if reason.limit is None else has)
    wait = duration_text(reason.until_s - now.mono_s)
    return (
        f"the vehicle takes nothing; it waits for its minimum with the others again in {wait}, "
        "or when its charger begins to say that it wants power"
    )


def _evse_ceiling(reason: Reason, _now: Instant) -> str:
    return f"this EVSE is limited{_to_a(reason)}{_held_by(reason)}"


def _paused(reason: Reason, _now: Instant) -> str:
    if reason.limit:
        return f"its limit{_of_a(reason)} is below its minimum{_held_by(reason)}"
    return f"it is paused{_held_by(reason)}"


def _no_vehicle(_reason: Reason, _now: Instant) -> str:
    return "no vehicle is plugged in"


def _fault(_reason: Reason, _now: Instant) -> str:
    return "the charger reports a fault; see its own display or log"


def _silent(reason: Reason, _now: Instant) -> str:
    return f"the charger does not answer; it is counted as a fixed load{_of_a(reason)}"


def _min_off(reason: Reason, now: Instant) -> str:
    if reason.until_s is None:
        return "it was stopped a short while ago and must rest"
    return (
        "it was stopped a short while ago and must rest for another "
        f"{duration_text(reason.until_s - now.mono_s)}"
    )


def _waits_for_room(reason: Reason, _now: Instant) -> str:
    where = "" if reason.node is None else f" on {_where(reason)}"
    return f"more is meant for it, but the room{where} is not proved free yet"


def _draws_less(reason: Reason, _now: Instant) -> str:
    return (
        f"its vehicle did not use what it was given; it has room{_of_a(reason)} now and is tried "
        "with more every five minutes"
    )


def _safe_decision(_reason: Reason, _now: Instant) -> str:
    return "the safe decision is in force: the present value or the failsafe current, if lower"


_SENTENCES: Final[Mapping[ReasonCode, Callable[[Reason, Instant], str]]] = MappingProxyType(
    {
        ReasonCode.OWN_MAXIMUM: _own_maximum,
        ReasonCode.NODE_CEILING: _node_ceiling,
        ReasonCode.PRIMARY_CEILING: _primary_ceiling,
        ReasonCode.VA_CEILING: _va_ceiling,
        ReasonCode.UNBALANCE: _unbalance,
        ReasonCode.INCREMENT: _increment,
        ReasonCode.NOT_ADMITTED: _not_admitted,
        ReasonCode.BASE_OVER_CEILING: _base_over_ceiling,
        ReasonCode.FIXED_OVER_CEILING: _fixed_over_ceiling,
        ReasonCode.NO_DEMAND: _no_demand,
        ReasonCode.EVSE_CEILING: _evse_ceiling,
        ReasonCode.PAUSED: _paused,
        ReasonCode.NO_VEHICLE: _no_vehicle,
        ReasonCode.FAULT: _fault,
        ReasonCode.SILENT: _silent,
        ReasonCode.MIN_OFF: _min_off,
        ReasonCode.WAITS_FOR_ROOM: _waits_for_room,
        ReasonCode.DRAWS_LESS: _draws_less,
        ReasonCode.SAFE_DECISION: _safe_decision,
    }
)


def _node(reason: Reason) -> str:
    return "a node above" if reason.node is None else str(reason.node)


def _where(reason: Reason) -> str:
    if reason.row is None:
        return _node(reason)
    if reason.side == "primary":
        return f"the primary side of {row_text(reason.row)} of {_node(reason)}"
    return f"{row_text(reason.row)} of {_node(reason)}"


def _under(reason: Reason) -> str:
    return "" if reason.node is None else f" under {_where(reason)}"


def _amount(reason: Reason) -> str | None:
    """Say the limit with the unit of its row."""
    if reason.limit is None:
        return None
    if reason.row == VA_ROW:
        return f"{reason.limit / 1000:.1f} kVA"
    return f"{reason.limit:.1f} A"


def _of_a(reason: Reason) -> str:
    amount = _amount(reason)
    return "" if amount is None else f" of {amount}"


def _to_a(reason: Reason) -> str:
    amount = _amount(reason)
    return "" if amount is None else f" to {amount}"


def _held_by(reason: Reason) -> str:
    return "" if reason.holder is None else f", set by {holder_text(reason.holder)}"
