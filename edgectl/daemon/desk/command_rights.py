"""What a signed command needs beside its form: rights, its own verb, its place in the sequence."""

from collections.abc import Mapping
from typing import Final

from edgectl.contract.commands import Command, LimitCommand, ReleaseCommand, Verb
from edgectl.contract.refusal import RefusalCode, refused
from edgectl.daemon.desk.held_command import HeldCommand
from edgectl.daemon.desk.permission import check_places, check_strength, check_verb
from edgectl.grid.targets import Element, find
from edgectl.model.issuer import Seal
from edgectl.model.site import Site
from edgectl.model.store import Document

_SAYS_ITS_VERB: Final = frozenset({Verb.RESUME})
"""A pause has the same fields: moved to this topic by a broker it would be its opposite."""


def check_sequence(seal: Seal, last: int | None) -> None:
    """Raise `Refused` unless the number is higher than the issuer's last accepted one."""
    if seal.seq is None:
        raise refused(
            RefusalCode.MALFORMED,
            "seq: it is missing",
            "number the issuer's commands upwards and sign the number",
        )
    if last is not None and seal.seq <= last:
        raise refused(
            RefusalCode.REPLAYED,
            f"seq: {seal.seq} is not above {last}, the last one accepted of {seal.issuer.id}",
            "number the issuer's commands upwards",
        )


def check_rights(
    seal: Seal,
    verb: Verb,
    command: Command,
    body: Document,
    *,
    others: Mapping[str, HeldCommand],
    site: Site,
) -> None:
    """Raise `Refused` where the issuer may not do this, here, or so strongly."""
    issuer = seal.issuer
    if command.issuer != issuer.id:
        raise refused(
            RefusalCode.MALFORMED,
            f"issuer: {command.issuer} stands beside iss: {issuer.id}",
            "sign as the issuer that the command names",
        )
    said = body.get("verb")
    if said != verb.value and (said is not None or verb in _SAYS_ITS_VERB):
        raise refused(
            RefusalCode.MALFORMED,
            f"verb: the signed command is for {str(said)[:40]}, the topic is {verb.value}",
            f"sign `verb: {verb.value}` and send it to the topic of that name",
        )
    check_verb(issuer, verb.value)
    places = _places(command, others, site)
    check_places(issuer, places, site)
    if isinstance(command, LimitCommand):
        for element in places:
            for limit_a in command.limit_a or [None]:
                check_strength(issuer, element, site, limit_a=limit_a, limit_w=command.limit_w)


def _places(command: Command, others: Mapping[str, HeldCommand], site: Site) -> tuple[Element, ...]:
    """Where the command would act; names that the site lacks are found later."""
    if isinstance(command, ReleaseCommand):
        other = others.get(command.target_command_id)
        return () if other is None else other.elements
    if isinstance(command, LimitCommand) and command.node is not None:
        return find(site, command.node)
    return find(site, command.evse or "")
