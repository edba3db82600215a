"""What each command does, worked out before anything is kept."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from edgectl.clock import Instant
from edgectl.contract.commands import (
    Command,
    IsolateCommand,
    LimitCommand,
    PauseCommand,
    ReleaseCommand,
    ResumeCommand,
    TargetCommand,
    Verb,
)
from edgectl.contract.envelope import rfc3339
from edgectl.contract.refusal import RefusalCode, refused
from edgectl.daemon.desk.held_command import PAUSING, HeldCommand
from edgectl.errors import Refused
from edgectl.grid.targets import Element, find
from edgectl.model.site import Site
from edgectl.units import OptionalTriple


@dataclass(frozen=True, slots=True)
class Effect:
    """`made`: the command with effect and answer. `changed`: others that it ends, wholly or not."""

    made: HeldCommand
    changed: tuple[HeldCommand, ...] = ()


def work_out(
    command: Command,
    held: HeldCommand,
    *,
    others: Mapping[str, HeldCommand],
    site: Site,
    now: Instant,
) -> Effect:
    """The effect of a valid command, or `Refused`. `held`: the command as it will be remembered."""
    match command:
        case LimitCommand():
            return _limit(command, held, site, now)
        case PauseCommand():
            return _pause(command, held, site, now)
        case ResumeCommand():
            return _resume(command, held, others.values(), site)
        case TargetCommand():
            return _target(command, held, others.values(), site, now)
        case ReleaseCommand():
            return _release(command, held, others)
        case IsolateCommand():
            return _isolate(command, held, others.values(), site)


def _limit(command: LimitCommand, held: HeldCommand, site: Site, now: Instant) -> Effect:
    name = command.node if command.node is not None else command.evse
    places = _places(site, str(name), nodes=command.node is not None)
    made = replace(
        held,
        elements=places,
        until_utc_s=now.utc_s + command.duration_s,
        limit_a=_triple(command.limit_a),
        limit_w=command.limit_w,
    )
    return Effect(answered(made, f"limit on {_listed(places)} for {command.duration_s:g} s"))


def _pause(command: PauseCommand, held: HeldCommand, site: Site, now: Instant) -> Effect:
    places = _places(site, command.evse, nodes=False)
    made = replace(held, elements=places)
    if command.duration_s is None:
        return Effect(answered(made, f"{_listed(places)} paused until resumed or released"))
    made = replace(made, until_utc_s=now.utc_s + command.duration_s)
    return Effect(answered(made, f"{_listed(places)} paused for {command.duration_s:g} s"))


def _resume(
    command: ResumeCommand, held: HeldCommand, others: Iterable[HeldCommand], site: Site
) -> Effect:
    places = _places(site, command.evse, nodes=False)
    pauses = [o for o in others if o.verb in PAUSING and set(o.elements) & set(places)]
    above = [pause for pause in pauses if pause.rank < held.rank]
    changed = tuple(pause.without(places) for pause in pauses if pause.rank >= held.rank)
    if above and not changed:
        raise _not_permitted(above[0])
    if above:
        message = f"{_listed(places)}: pauses ended, but {_said(above[0])} still holds"
    elif changed:
        message = f"{_listed(places)} resumed"
    else:
        message = f"{_listed(places)} was not paused"
    return Effect(answered(held, message), changed)


def _isolate(
    command: IsolateCommand, held: HeldCommand, others: Iterable[HeldCommand], site: Site
) -> Effect:
    places = _places(site, command.evse, nodes=False)
    before = [o for o in others if o.verb is Verb.ISOLATE and set(o.elements) & set(places)]
    message = (
        f"{_listed(places)} counts nothing until it answers, and stays paused until it is resumed"
    )
    made = answered(replace(held, elements=places), message)
    return Effect(made, tuple(other.without(places) for other in before))


def _target(
    command: TargetCommand,
    held: HeldCommand,
    others: Iterable[HeldCommand],
    site: Site,
    now: Instant,
) -> Effect:
    places = _places(site, command.evse, nodes=False)
    if len(places) != 1:
        raise refused(
            RefusalCode.UNKNOWN_TARGET,
            f"evse: {command.evse} names {len(places)} EVSEs, a target is for one",
            "name one EVSE",
        )
    if command.departure <= now.utc_s:
        raise refused(
            RefusalCode.EXPIRED,
            f"departure: {rfc3339(command.departure)} is past",
            "send a departure to come",
        )
    before = [o for o in others if o.verb is Verb.TARGET and places[0] in o.elements]
    above = [target for target in before if target.rank < held.rank]
    if above:
        raise _not_permitted(above[0])
    made = replace(
        held,
        elements=places,
        until_utc_s=command.departure,
        energy_wh=command.energy_wh,
        departure_utc_s=command.departure,
        vehicle=command.vehicle,
        priority=command.priority,
    )
    message = f"{command.energy_wh:g} Wh at {places[0]} by {rfc3339(command.departure)}"
    return Effect(answered(made, message), tuple(other.without(places) for other in before))


def _release(
    command: ReleaseCommand, held: HeldCommand, others: Mapping[str, HeldCommand]
) -> Effect:
    other = others.get(command.target_command_id)
    if other is None:
        raise refused(
            RefusalCode.UNKNOWN_TARGET,
            f"target_command_id: {command.target_command_id} is not held",
            "name what is in force: `edgectl status` shows commands, `edgectl dr` events",
        )
    if other.rank < held.rank:
        raise _not_permitted(other)
    if not other.elements:
        return Effect(answered(held, f"{other.id} was not in force any more"))
    message = f"{other.verb.value} {other.id} released"
    return Effect(answered(held, message), (other.without(other.elements),))


def answered(made: HeldCommand, message: str) -> HeldCommand:
    """The command with its answer."""
    until_s = made.until_utc_s
    until = None if until_s is None else rfc3339(until_s)
    return replace(made, answer=made.answer.model_copy(update={"message": message, "until": until}))


def _places(site: Site, name: str, *, nodes: bool) -> tuple[Element, ...]:
    found = find(site, name)
    if not found or any((place.node is not None) != nodes for place in found):
        kind = "node" if nodes else "evse"
        raise refused(
            RefusalCode.UNKNOWN_TARGET,
            f"{kind}: this site has no {kind} {name}",
            "name a node, an EVSE or a group of the site's birth message",
        )
    return found


def _triple(limit_a: list[float | None] | None) -> OptionalTriple:
    if limit_a is None:
        return (None, None, None)
    first, second, third = limit_a * 3 if len(limit_a) == 1 else limit_a
    return (first, second, third)


def _listed(places: tuple[Element, ...]) -> str:
    return ", ".join(str(place) for place in places)


def _said(held: HeldCommand) -> str:
    return f"{held.verb.value} {held.id} of {held.actor}"


def _not_permitted(held: HeldCommand) -> Refused:
    return refused(
        RefusalCode.NOT_PERMITTED,
        f"{_said(held)} has a higher rank",
        "ask whoever set it to end it",
    )
