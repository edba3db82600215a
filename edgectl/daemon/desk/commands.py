"""The desk where commands arrive, from the region over MQTT and from the technician on site.

1. A command is on the disk before it is answered; what cannot be kept has no effect.
2. A command can only tighten, and end what its own or a lower rank set (S17). A limit above what
   holds anyway is taken and changes nothing.
3. Every limit ends by itself; a pause without a duration holds until resumed or released (S19).
4. What is signed has the rank and the rights of its issuer; unsigned commands over MQTT are utility
   voluntary unless told otherwise; over the local socket the rank is technician.
5. No accepted command is taken twice.
6. An isolated EVSE counts nothing until its charger answers; from then on, whatever becomes of it,
   it counts as ever and is only paused (S11).
"""

import asyncio
import hashlib
import json
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final, Protocol, TypeAlias

from edgectl.clock import Instant
from edgectl.contract import topics
from edgectl.contract.commands import (
    BYTES_MAX,
    LOCAL_ONLY,
    Command,
    CommandResponse,
    CommandResult,
    ReleaseCommand,
    Verb,
    parse_command,
)
from edgectl.contract.envelope import rfc3339
from edgectl.contract.refusal import RefusalCode, refused
from edgectl.contract.wire_json import read_object
from edgectl.daemon.desk.command_effects import answered, work_out
from edgectl.daemon.desk.command_keeping import REMEMBERED_S, CommandKeeping
from edgectl.daemon.desk.command_rights import check_rights, check_sequence
from edgectl.daemon.desk.held_command import HeldCommand, duplicate
from edgectl.daemon.desk.held_event import Lift
from edgectl.daemon.desk.seals import Seals
from edgectl.errors import Refused, StorageFailed
from edgectl.model.ceiling import Rank, TimedCeiling
from edgectl.model.issuer import Seal
from edgectl.model.settings import Unsigned
from edgectl.model.site import Site
from edgectl.model.snapshot import EvseView
from edgectl.model.store import Document, Entry, Store
from edgectl.model.target import ChargeTarget
from edgectl.model.trust import Connection, allows_unsigned
from edgectl.units import EvseId

Reply: TypeAlias = Callable[[str, CommandResponse], Awaitable[None]]
Audit: TypeAlias = Callable[[Document], None]


class Lifts(Protocol):
    """Sets events aside for a time; `beside` goes to the disk in the same write."""

    async def lift(
        self,
        name: str,
        lift: Lift,
        *,
        now: Instant,
        seal: Seal | None = None,
        beside: tuple[Entry, ...] = (),
    ) -> bool:
        """False: no such event is in force. Raises `Refused` for one of a higher rank."""

    async def end(
        self, command_id: str, *, rank: Rank, now: Instant, beside: tuple[Entry, ...] = ()
    ) -> str | None:
        """The event that a command had set aside; None: none. `Refused`: by a higher rank."""


COMMANDS_MAX: Final = 512
"""Commands in force and commands remembered, together."""

RESERVE: Final = 128
"""Room beyond it for the technician, and for ending what is in force."""

SKEW_S: Final = 30.0
"""How far the sender's clock may be ahead."""

_RETRY_S: Final = 10.0
_LOCAL_VALID_S: Final = 60.0
LIFT_S: Final = 3600.0
"""How long an event is set aside where nobody says for how long."""

_LOCAL: Final = "local:"
_WITHOUT_CLOCK: Final = frozenset({Verb.LIMIT, Verb.PAUSE, Verb.ISOLATE})
"""What tightens, and what a technician says of this moment and has no end by time."""
_ENDING: Final = frozenset({Verb.RESUME, Verb.RELEASE})


class CommandDesk:
    """Holds every command that is in force or could come again."""

    def __init__(
        self,
        *,
        site: Site,
        store: Store,
        unsigned: Unsigned,
        reply: Reply,
        audit: Audit,
        mqtt_rank: Rank = Rank.UTILITY_VOLUNTARY,
        seals: Seals | None = None,
        lifts: Lifts | None = None,
    ) -> None:
        self._site = site
        self._unsigned = unsigned
        self._reply = reply
        self._audit = audit
        self._mqtt_rank = mqtt_rank
        self._seals = seals or Seals(site=site.id)
        self._lifts = lifts
        self._keeping = CommandKeeping(site=site, store=store, lapsed=self._note_lapse)
        self._held = self._keeping.held
        self._lock = asyncio.Lock()
        self._retry_mono_s = 0.0
        self._local_number = 0
        self._isolated_mono_s: dict[str, float] = {}

    async def load(self, now: Instant) -> None:
        """Take up what was kept."""
        for key, fault in await self._keeping.load(now):
            self._note(now, "load", key, "unreadable", fault, actor="daemon")
        for held in self._keeping.isolations():
            self._isolated_mono_s[held.id] = now.mono_s - max(0.0, now.utc_s - held.from_utc_s)
        self.advance(now)

    async def handle(
        self, name: str, payload: bytes, *, retained: bool, connection: Connection, now: Instant
    ) -> CommandResponse | None:
        """Take one message; `name` is its topic below the site's prefix.

        The answer goes to the command/response topic by itself, and is returned for the response
        topic of MQTT 5. None: nothing that is to be answered.
        """
        if not name.startswith(topics.COMMAND) or name == topics.COMMAND_RESPONSE:
            return None
        if retained and not payload:
            return None
        word = name.removeprefix(topics.COMMAND)
        async with self._lock:
            response = await self._mqtt(
                word, payload, retained=retained, connection=connection, now=now
            )
            try:
                await self._reply(topics.COMMAND_RESPONSE, response)
            except StorageFailed as fault:
                self._note(now, word, response.command_id, "not_stored", str(fault), actor="daemon")
            return response

    async def local(self, verb: str, body: Document, *, who: str, now: Instant) -> CommandResponse:
        """Take a command of the technician `who`; an id and an end of validity are given to it."""
        async with self._lock:
            given = {
                "command_id": self._local_id(now),
                "issuer": who,
                "made_at": rfc3339(now.utc_s),
                "expires_at": rfc3339(now.utc_s + _LOCAL_VALID_S),
                **body,
            }
            raw = json.dumps(body, sort_keys=True).encode()
            return await self._take(
                verb, given, raw, rank=Rank.TECHNICIAN, actor=f"{_LOCAL}{who}", now=now
            )

    def advance(self, now: Instant) -> None:
        """Let time pass. No I/O; call it before `ceilings`."""
        self._keeping.advance(now)

    async def tick(self, now: Instant) -> None:
        """Let time pass, then keep what changed and forget what cannot come again."""
        self.advance(now)
        async with self._lock:
            if now.mono_s < self._retry_mono_s:
                return
            try:
                await self._keeping.save()
                if now.utc_trusted:
                    for key in await self._keeping.forget(now):
                        self._isolated_mono_s.pop(key, None)
            except StorageFailed as fault:
                self._retry_mono_s = now.mono_s + _RETRY_S
                self._note(now, "keep", None, "not_stored", str(fault), actor="daemon")

    def ceilings(self) -> tuple[TimedCeiling, ...]:
        """What the commands in force ask for."""
        return tuple(ceiling for held in self._held.values() for ceiling in held.ceilings())

    def isolated(self, views: Mapping[EvseId, EvseView]) -> tuple[EvseId, ...]:
        """EVSEs that are locked off and have not answered since, in the order of their names.

        `views`: what is known of every EVSE now. No I/O.
        """
        still = set[EvseId]()
        for key, held in self._held.items():
            since_s = self._isolated_mono_s.get(key, -math.inf)
            isolated = held.isolated()
            heard = frozenset(evse for evse in isolated if _heard(views.get(evse), since_s))
            if heard:
                self._keeping.change(replace(held, heard=held.heard | heard))
            still |= isolated - heard
        return tuple(sorted(still))

    def targets(self) -> tuple[ChargeTarget, ...]:
        """What vehicles need, one target for an EVSE."""
        return tuple(target for held in self._held.values() for target in held.targets())

    def view(self) -> list[Document]:
        """Every command that is in force, for people."""
        return [held.view() for held in self._held.values() if held.elements]

    async def _mqtt(
        self,
        word: str,
        payload: bytes,
        *,
        retained: bool,
        connection: Connection,
        now: Instant,
    ) -> CommandResponse:
        actor = "mqtt"
        body: Document = {}
        try:
            seal, content = self._seals.open(
                payload, max_bytes=BYTES_MAX, what="the command", now=now
            )
            body = read_object(content, max_bytes=BYTES_MAX, what="the command")
            issuer = _name(body, "issuer")
            actor = f"mqtt:{issuer}" if issuer else actor
            if seal is not None:
                actor = f"issuer:{seal.issuer.id}"
            if retained:
                raise refused(
                    RefusalCode.RETAINED,
                    "a retained command",
                    "send commands without the retain flag, and clear the topic",
                )
            if seal is None and not allows_unsigned(self._unsigned, connection):
                raise refused(
                    RefusalCode.UNSIGNED,
                    "an unsigned command that the site file does not allow",
                    "see `commands.unsigned` in the site file",
                )
        except Refused as fault:
            return self._reject(fault, word, _name(body, "command_id"), actor, now)
        rank = self._mqtt_rank if seal is None else seal.issuer.rank
        return await self._take(word, body, payload, rank=rank, actor=actor, now=now, seal=seal)

    async def _take(
        self,
        word: str,
        body: Document,
        raw: bytes,
        *,
        rank: Rank,
        actor: str,
        now: Instant,
        seal: Seal | None = None,
    ) -> CommandResponse:
        digest = hashlib.sha256(word.encode() + b"\0" + raw).hexdigest()
        try:
            verb = _verb(word, local=actor.startswith(_LOCAL))
            command = parse_command(verb, body)
            known = self._held.get(command.command_id)
            if known is not None:
                return self._again(known, digest, actor, now)
            if seal is not None:
                check_sequence(seal, self._keeping.mark(seal.issuer.id))
                check_rights(seal, verb, command, body, others=self._held, site=self._site)
            self._check(verb, command, rank, now)
            held = HeldCommand(
                id=command.command_id,
                verb=verb,
                digest=digest,
                answer=CommandResponse(
                    command_id=command.command_id, result=CommandResult.ACCEPTED, message=""
                ),
                expires_utc_s=_remembered_until_s(command, seal, now),
                rank=rank,
                actor=actor,
                reason=command.reason or "",
                from_utc_s=now.utc_s,
                trusted=now.utc_trusted,
                issuer=None if seal is None else seal.issuer.id,
                seq=None if seal is None else seal.seq,
            )
            made = await self._lifted(command, held, now, seal)
            if made is None:
                effect = work_out(command, held, others=self._held, site=self._site, now=now)
                if verb is Verb.ISOLATE:
                    self._isolated_mono_s[held.id] = now.mono_s
                await self._keeping.keep([*effect.changed, effect.made])
                made = effect.made
        except Refused as fault:
            return self._reject(fault, word, _name(body, "command_id"), actor, now)
        except StorageFailed as fault:
            failed = refused(
                RefusalCode.NOT_STORED,
                f"the gateway cannot keep the command: {fault}",
                "send it again with the same command_id when the gateway's disk is repaired",
            )
            return self._reject(failed, word, _name(body, "command_id"), actor, now)
        message = made.answer.message
        self._note(now, word, made.id, "accepted", message, actor=actor, reason=made.reason)
        return made.answer

    async def _lifted(
        self, command: Command, held: HeldCommand, now: Instant, seal: Seal | None
    ) -> HeldCommand | None:
        """A release that names an event or its lift, done and kept with it; None for all others."""
        if not isinstance(command, ReleaseCommand) or self._lifts is None:
            return None
        name, offset_s = command.target_command_id, self._keeping.offset_s
        made = answered(held, f"the event that {name} set aside holds again")
        beside = self._keeping.entries([made])
        if await self._lifts.end(name, rank=held.rank, now=now, beside=beside) is None:
            if name in self._held:
                return None
            until_s = now.utc_s + (LIFT_S if command.duration_s is None else command.duration_s)
            made = answered(replace(held, until_utc_s=until_s), f"event {name} is set aside")
            lift = Lift(
                until_utc_s=until_s,
                by=f"{held.rank.name.lower()} ({held.actor})",
                reason=held.reason,
                rank=held.rank,
                command_id=held.id,
            )
            beside = self._keeping.entries([made])
            if not await self._lifts.lift(name, lift, now=now, seal=seal, beside=beside):
                return None
        self._keeping.take_effect([made], offset_s)
        return made

    def _check(self, verb: Verb, command: Command, rank: Rank, now: Instant) -> None:
        if not now.utc_trusted:
            if verb not in _WITHOUT_CLOCK:
                raise refused(
                    RefusalCode.CLOCK_UNTRUSTED,
                    f"the gateway's clock is not set, so {verb.value} cannot be taken",
                    "send it again when the gateway has its time; limit and pause are taken",
                )
        elif command.expires_at <= now.utc_s:
            raise refused(
                RefusalCode.EXPIRED,
                f"expires_at: {rfc3339(command.expires_at)} is past, it is {rfc3339(now.utc_s)}",
                "send a new command; if it is new, set the sender's clock",
            )
        elif command.made_at > now.utc_s + SKEW_S:
            raise refused(
                RefusalCode.NOT_YET_VALID,
                f"made_at: {rfc3339(command.made_at)} is to come, it is {rfc3339(now.utc_s)}",
                "set the sender's clock",
            )
        reserve = RESERVE // 2 if verb in _ENDING else 0
        if len(self._held) >= COMMANDS_MAX + (RESERVE if rank is Rank.TECHNICIAN else reserve):
            raise refused(
                RefusalCode.TOO_MANY,
                f"{COMMANDS_MAX} commands are in force or not yet expired",
                "release commands, or wait until some have expired",
            )

    def _again(self, known: HeldCommand, digest: str, actor: str, now: Instant) -> CommandResponse:
        if known.digest == digest:
            self._note(now, known.verb.value, known.id, "duplicate", "", actor=actor)
            return duplicate(known)
        raise refused(
            RefusalCode.REPLAYED,
            f"command_id: {known.id} was used for another command",
            "give every command an id of its own",
        )

    def _reject(
        self, fault: Refused, word: str, command_id: str | None, actor: str, now: Instant
    ) -> CommandResponse:
        self._note(now, word[:64], command_id, fault.code, fault.message, actor=actor)
        return CommandResponse(
            command_id=command_id,
            result=CommandResult.REJECTED,
            code=RefusalCode(fault.code),
            message=fault.message,
            remedy=fault.remedy,
        )

    def _local_id(self, now: Instant) -> str:
        while True:
            self._local_number += 1
            made = f"local-{int(now.utc_s)}-{self._local_number}"
            if made not in self._held:
                return made

    def _note_lapse(self, held: HeldCommand, now: Instant) -> None:
        self._note(now, "lapse", held.id, "ended", held.reason, actor=held.actor)

    def _note(
        self,
        now: Instant,
        action: str,
        command_id: str | None,
        result: str,
        message: str,
        *,
        actor: str,
        reason: str = "",
    ) -> None:
        record: Document = {
            "t": rfc3339(now.utc_s),
            "mono_s": now.mono_s,
            "actor": actor,
            "source": actor.partition(":")[0],
            "action": action,
            "result": result,
            "message": message,
        }
        if command_id is not None:
            record["command_id"] = command_id
        if reason:
            record["reason"] = reason
        self._audit(record)


def _remembered_until_s(command: Command, seal: Seal | None, now: Instant) -> float:
    """As long as it is valid; after `REMEMBERED_S` its own end or its sequence refuses it."""
    valid_s = command.expires_at if seal is None else max(command.expires_at, seal.expires_utc_s)
    return min(valid_s, now.utc_s + REMEMBERED_S)


def _heard(view: EvseView | None, since_s: float) -> bool:
    """Whether the EVSE has answered a request of `since_s` or later."""
    return view is not None and view.last_answer_s is not None and view.last_answer_s >= since_s


def _verb(word: str, *, local: bool) -> Verb:
    known = [verb for verb in Verb if local or verb not in LOCAL_ONLY]
    if word in known:
        return Verb(word)
    raise refused(
        RefusalCode.NOT_SUPPORTED,
        f"{word[:64]} is no command",
        "use " + ", ".join(verb.value for verb in known),
    )


def _name(body: Document, key: str) -> str | None:
    value = body.get(key)
    return value[:128] if isinstance(value, str) and value else None
