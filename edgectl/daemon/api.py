"""The local API: routes, rights, audit. Transport and models are elsewhere.

1. Reading is for root, the daemon's own user and the groups `edgectl` and `edgectl-admin`; writing
   for root, the daemon's own user and `edgectl-admin`.
2. Nothing here decides: a write goes to the command desk like every other command, and every write,
   granted or not, is logged with the uid that asked and its reason.
3. A fault of ours in an answer is logged and answered with 500; control goes on.
"""

import dataclasses
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, Protocol, TypeAlias

import structlog
from structlog.typing import FilteringBoundLogger

from edgectl.clock import Instant
from edgectl.contract.commands import CommandResponse, CommandResult
from edgectl.contract.explain import why
from edgectl.contract.local import (
    ConfigStatus,
    ErrorAnswer,
    ErrorBody,
    Health,
    MqttStatus,
    status,
)
from edgectl.contract.refusal import RefusalCode, refused
from edgectl.contract.wire_json import read_object
from edgectl.errors import BadInput, Refused, StorageFailed
from edgectl.grid.targets import find
from edgectl.model.decision import Alarm, Severity
from edgectl.model.local_api import HttpRequest, HttpResponse, Peer
from edgectl.model.ports import Clock
from edgectl.model.record import TickRecord
from edgectl.model.site import Site
from edgectl.model.store import Document

READER_GROUP: Final = "edgectl"
WRITER_GROUP: Final = "edgectl-admin"

BODY_BYTES: Final = 65536
TICK_AGE_MAX_S: Final = 3.0
"""An older tick means that control stands still: it is due every second."""

_COMMANDS: Final = ("limit", "pause", "resume", "release", "target", "isolate")

Look: TypeAlias = Callable[[Sequence[str], Mapping[str, str]], Awaitable[object]]
"""Answers a GET of its name: the words of the path after the name, and the query."""
Act: TypeAlias = Callable[[Sequence[str], Document], Awaitable[object]]
"""Answers a POST of its name, which is audited with its reason: the further words, and the body."""

_STATUS_OF_CODE: Final[Mapping[str, HTTPStatus]] = {
    "malformed": HTTPStatus.BAD_REQUEST,
    "too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "unknown_target": HTTPStatus.NOT_FOUND,
    "unknown_path": HTTPStatus.NOT_FOUND,
    "wrong_method": HTTPStatus.METHOD_NOT_ALLOWED,
    "not_permitted": HTTPStatus.FORBIDDEN,
    "not_supported": HTTPStatus.NOT_IMPLEMENTED,
    "not_ready": HTTPStatus.SERVICE_UNAVAILABLE,
    "not_stored": HTTPStatus.SERVICE_UNAVAILABLE,
}


class Facts(Protocol):
    """What the tick left behind."""

    @property
    def latest(self) -> TickRecord | None:
        """The newest finished tick, None before the first."""

    async def soon(self) -> None:
        """Have one more tick at once, and wait for it."""


class Desk(Protocol):
    """Where every command is judged and kept, from wherever it comes."""

    async def local(self, verb: str, body: Document, *, who: str, now: Instant) -> CommandResponse:
        """Take a command of the technician and say what became of it; may raise `Refused`."""


@dataclasses.dataclass(frozen=True, slots=True)
class Rights:
    """Who may do what. `group_id` says a group's number on this machine, None: no such group."""

    daemon_uid: int
    group_id: Callable[[str], int | None]

    def check_read(self, peer: Peer) -> None:
        """Raise `Refused` unless the peer may read."""
        if not (self._in(peer, READER_GROUP) or self._may_write(peer)):
            raise _not_permitted(peer, doing="read the daemon's state", group=READER_GROUP)

    def check_write(self, peer: Peer) -> None:
        """Raise `Refused` unless the peer may write."""
        if not self._may_write(peer):
            raise _not_permitted(peer, doing="change anything", group=WRITER_GROUP)

    def _may_write(self, peer: Peer) -> bool:
        return peer.uid in (0, self.daemon_uid) or self._in(peer, WRITER_GROUP)

    def _in(self, peer: Peer, group: str) -> bool:
        number = self.group_id(group)
        return number is not None and number in peer.gids


class LocalApi:
    """Answers requests; give `handle` to the server. `mqtt` returns None: nothing is published.

    `alarms`: what is wrong beside the decision's own alarms. `looks` and `acts`: what answers
    further GETs and POSTs, by the first word after `/v1`.
    """

    def __init__(
        self,
        *,
        facts: Facts,
        desk: Desk,
        clock: Clock,
        rights: Rights,
        version: str,
        mqtt: Callable[[], MqttStatus | None],
        dr: Callable[[], list[dict[str, Any]]],
        alarms: Callable[[], tuple[Alarm, ...]] = tuple,
        config: Callable[[], ConfigStatus | None] = lambda: None,
        looks: Mapping[str, Look] | None = None,
        acts: Mapping[str, Act] | None = None,
        log: FilteringBoundLogger | None = None,
    ) -> None:
        self._facts = facts
        self._desk = desk
        self._clock = clock
        self._rights = rights
        self._version = version
        self._mqtt = mqtt
        self._dr = dr
        self._alarms = alarms
        self._config = config
        self._looks = dict(looks or {})
        self._acts = dict(acts or {})
        self._log: FilteringBoundLogger = log or structlog.get_logger("edgectl")

    async def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer one request; never raises."""
        try:
            return await self._route(request)
        except Refused as refusal:
            return error_response(refusal.code, refusal.message, refusal.remedy)
        except BadInput as bad:
            finding = bad.findings[0]
            return error_response("malformed", f"{finding.path}: {finding.message}", finding.remedy)
        except StorageFailed as fault:
            return error_response(
                "not_stored",
                f"it could not be written to disk and is not in force: {fault}",
                "free space on the state directory's disk, then send it again",
            )
        except Exception:  # noqa: BLE001 - a fault in an answer must not end control
            self._log.exception("local_api_failed", path=request.path, uid=request.peer.uid)
            return error_response(
                "internal",
                "the daemon could not answer; control goes on",
                "see `journalctl -u edgectl` and report it",
            )

    async def _route(self, request: HttpRequest) -> HttpResponse:
        parts = request.path.strip("/").split("/")
        match parts:
            case ["v1", "status" | "health" as name]:
                _demand(request, "GET")
                self._rights.check_read(request.peer)
                return self._status() if name == "status" else self._health()
            case ["v1", "why"]:
                raise refused(
                    RefusalCode.UNKNOWN_TARGET,
                    "no EVSE is named",
                    "`edgectl status` lists them: `edgectl why EVSE`",
                )
            case ["v1", "why", evse]:
                _demand(request, "GET")
                self._rights.check_read(request.peer)
                return _ok(why(self._record(), evse, now=self._clock.now()).to_json())
            case ["v1", name, *words] if name in self._looks:
                _demand(request, "GET")
                self._rights.check_read(request.peer)
                return _ok(await self._looks[name](words, request.query))
            case ["v1", verb, *words] if verb in self._acts or (verb in _COMMANDS and not words):
                _demand(request, "POST")
                return await self._write(verb, words, request)
            case _:
                reads = ["status", "health", "why/EVSE", *self._looks]
                raise Refused(
                    code="unknown_path",
                    message=f"there is nothing at {request.path!r}",
                    remedy=f"GET {_paths(reads)}; POST {_paths([*_COMMANDS, *self._acts])}",
                )

    def _record(self) -> TickRecord:
        record = self._facts.latest
        if record is None:
            raise Refused(
                code="not_ready",
                message="the daemon has not finished its first tick",
                remedy="try again in a second",
            )
        return record

    def _status(self) -> HttpResponse:
        answer = status(
            self._record(),
            now=self._clock.now(),
            version=self._version,
            mqtt=self._mqtt(),
            dr=self._dr(),
            alarms=self._alarms(),
            config=self._config(),
        )
        return _ok(answer.to_json())

    def _health(self) -> HttpResponse:
        record = self._facts.latest
        if record is None:
            health = Health(ok=False, problems=["no tick has finished since the start"])
        else:
            age_s = self._clock.monotonic_s() - record.now.mono_s
            problems = _problems(record, age_s)
            health = Health(ok=not problems, tick_age_s=age_s, problems=problems)
        status_code = HTTPStatus.OK if health.ok else HTTPStatus.SERVICE_UNAVAILABLE
        return HttpResponse(status_code, health.to_json())

    async def _write(self, verb: str, words: list[str], request: HttpRequest) -> HttpResponse:
        peer = request.peer
        audit = self._log.bind(audit=True, verb=verb, uid=peer.uid, pid=peer.pid)
        try:
            self._rights.check_write(peer)
            body = read_object(request.body, max_bytes=BODY_BYTES, what="the request")
            audit = audit.bind(reason=body.get("reason"), asked=_without(body, "reason"))
            _demand_reason(body)
            if verb in self._acts:
                done = await self._acts[verb](words, body)
                audit.info("local_write", answer=done, at=words)
                return _ok(done)
            record = self._record()
            body = _addressed(body, record.snapshot.site, verb)
            if verb == "isolate":
                _demand_silence(body, record)
            who, now = f"uid-{peer.uid}", self._clock.now()
            answer = await self._desk.local(verb, body, who=who, now=now)
            if answer.result is CommandResult.ACCEPTED:
                await self._facts.soon()
        except Refused as refusal:
            audit.warning("local_write_refused", code=refusal.code, message=refusal.message)
            raise
        except StorageFailed as fault:
            audit.error("local_write_failed", message=str(fault))
            raise
        except BaseException:
            # Cut off, or a fault of ours: what it set off may have happened all the same.
            audit.error("local_write_unfinished", at=words)
            raise
        said = answer.model_dump(mode="json", exclude_none=True)
        audit.info("local_write", answer=said)
        return _rejected(answer) if answer.result is CommandResult.REJECTED else _ok(said)


def error_response(code: str, message: str, remedy: str) -> HttpResponse:
    """Build the one form that every error has."""
    answer = ErrorAnswer(error=ErrorBody(code=code, message=message, remedy=remedy))
    fallback = HTTPStatus.INTERNAL_SERVER_ERROR if code == "internal" else HTTPStatus.CONFLICT
    return HttpResponse(_STATUS_OF_CODE.get(code, fallback), answer.to_json())


def _rejected(answer: CommandResponse) -> HttpResponse:
    code = answer.code or RefusalCode.NOT_PERMITTED
    remedy = answer.remedy or "see `edgectl status`"
    return error_response(code.value, answer.message, remedy)


def _ok(value: object) -> HttpResponse:
    return HttpResponse(HTTPStatus.OK, value)


def _demand(request: HttpRequest, method: str) -> None:
    if request.method != method:
        raise Refused(
            code="wrong_method",
            message=f"{request.path} does not take {request.method}",
            remedy=f"use {method}",
        )


def _demand_reason(body: Document) -> None:
    reason = body.get("reason")
    if not isinstance(reason, str) or not reason.strip():
        raise refused(
            RefusalCode.MALFORMED,
            "there is no `reason`",
            "say in a few words why: it is kept with the change",
        )


def _demand_silence(body: Document, record: TickRecord) -> None:
    """Refuse to count nothing for a charger that answers: it has its supply (S11)."""
    name = body.get("evse")
    found = find(record.snapshot.site, name) if isinstance(name, str) else ()
    for place in found:
        decision = None if place.evse is None else record.decision.evses.get(place.evse)
        if decision is not None and not decision.silent:
            raise Refused(
                code="still_answers",
                message=f"{place} answers, so it is not locked off",
                remedy=f"`edgectl pause {place}`, lock its supply off, wait until `edgectl status`"
                " says that it is silent, then isolate it",
            )


def _paths(names: Sequence[str]) -> str:
    return ", ".join(f"/v1/{name}" for name in names)


def _addressed(body: Document, site: Site, verb: str) -> Document:
    """Say `target`, a name of whatever kind, as `node` or `evse`."""
    if "target" not in body:
        return body
    name = body["target"]
    if "node" in body or "evse" in body:
        raise refused(
            RefusalCode.MALFORMED, "`target` and `node` or `evse` are both there", "name one"
        )
    found = find(site, name) if isinstance(name, str) else ()
    if not found:
        raise refused(
            RefusalCode.UNKNOWN_TARGET,
            f"there is no node, EVSE or group {name!r}",
            "`edgectl status` lists nodes and EVSEs",
        )
    if found[0].node is not None and verb != "limit":
        raise refused(
            RefusalCode.UNKNOWN_TARGET,
            f"{name} is a node; {verb} is for an EVSE or a group of EVSEs",
            f"name an EVSE or a group; `edgectl limit {name} 0A` stops all that is under a node",
        )
    return _without(body, "target") | {"evse" if found[0].node is None else "node": name}


def _problems(record: TickRecord, age_s: float) -> list[str]:
    problems = [
        f"{alarm.code} {alarm.id}: {alarm.text}"
        for alarm in record.decision.alarms
        if alarm.severity is Severity.CRITICAL
    ]
    if age_s > TICK_AGE_MAX_S:
        problems.insert(0, f"the last tick is {age_s:.1f} s old")
    if record.decision.safe:
        problems.insert(0, "the safe decision is in force")
    return problems


def _not_permitted(peer: Peer, *, doing: str, group: str) -> Refused:
    # The socket itself is open to the readers' group, so writers need that one too.
    groups = group if group == READER_GROUP else f"{READER_GROUP},{group}"
    return refused(
        RefusalCode.NOT_PERMITTED,
        f"user id {peer.uid} may not {doing}",
        f"use sudo, or have this user added to group {group} "
        f"(`sudo usermod -aG {groups} NAME`) and log in again",
    )


def _without(body: Document, name: str) -> Document:
    return {key: value for key, value in body.items() if key != name}
