"""Demand response over MQTT: what arrives on `dr/*`, and the answers on `dr/response`."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgectl.contract import topics
from edgectl.contract.envelope import Envelope, Outgoing, Timestamp
from edgectl.contract.openadr import ID_PATTERN, event_schema, parse_event
from edgectl.contract.refusal import RefusalCode, malformed, refused
from edgectl.contract.wire_json import read_object
from edgectl.contract.wire_time import WireTime
from edgectl.errors import Refused
from edgectl.grid.event import Event
from edgectl.model.store import Document
from edgectl.units import EventId, ProgramId

EVENT_BYTES_MAX: Final = 131_072
INDEX_BYTES_MAX: Final = 262_144
INDEX_EVENTS_MAX: Final = 2048
IMPACT_MAX: Final = 100
NAMES_MAX: Final = 64
_ID_CHARS: Final = 128
_WRITES: Final = frozenset({"CREATE", "UPDATE", "POST", "PUT"})


class DrState(StrEnum):
    """How far an event has come."""

    RECEIVED = "received"
    ACCEPTED = "accepted"
    PARTIAL = "partial"
    REFUSED = "refused"
    ACTIVE = "active"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class Impact(Outgoing):
    """A vehicle that will miss its target by so much because of an event."""

    evse: str
    missing_wh: float


class ImpactRest(Outgoing):
    """The vehicles beyond `IMPACT_MAX`, which miss less than those named, together."""

    evses: int
    missing_wh: float


class DrResponse(Outgoing):
    """An answer to an event. `modified`: the version that it is about.

    `promised_w`: the ceiling that will be kept in the tightest interval. `impact`: vehicles that
    will miss their targets because of the event, the worst first; `impact_rest`: those left out.
    `not_acted_on`: payload types that are only recorded, at most `NAMES_MAX`. `unknown_targets`:
    names not known here.
    """

    schema_id: ClassVar[str] = "edgectl/v1/dr/response"

    event_id: str | None = None
    program_id: str | None = None
    modified: Timestamp | None = None
    state: DrState
    code: RefusalCode | None = None
    message: str | None = None
    remedy: str | None = None
    promised_w: float | None = None
    impact: Annotated[tuple[Impact, ...], Field(max_length=IMPACT_MAX)] | None = None
    impact_rest: ImpactRest | None = None
    not_acted_on: tuple[str, ...] | None = None
    unknown_targets: tuple[str, ...] | None = None


def impact_of(
    missing_wh: Sequence[tuple[str, float]],
) -> tuple[tuple[Impact, ...], ImpactRest | None]:
    """The vehicles that miss most, as many as an answer names, and the others together."""
    worst = sorted(missing_wh, key=lambda pair: -pair[1])
    rest = worst[IMPACT_MAX:]
    named = tuple(Impact(evse=evse, missing_wh=wh) for evse, wh in worst[:IMPACT_MAX])
    left_wh = sum(wh for _, wh in rest)
    return named, ImpactRest(evses=len(rest), missing_wh=left_wh) if rest else None


class DrResponseMessage(Envelope, DrResponse):
    """`dr/response` as it is published."""


class DrIndex(BaseModel):
    """The whole list of events; what it does not name is deleted."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    made_at: WireTime
    events: Annotated[dict[str, WireTime], Field(max_length=INDEX_EVENTS_MAX)]


@dataclass(frozen=True, slots=True)
class Upsert:
    """An event, new or changed; `body` is the object as it came."""

    event: Event
    body: Document

    @property
    def event_id(self) -> str:
        """Which one."""
        return self.event.id

    @property
    def program_id(self) -> str | None:
        """Of which program."""
        return self.event.program

    @property
    def modified_utc_s(self) -> float | None:
        """Its version, where that was said."""
        return self.event.modified_utc_s


@dataclass(frozen=True, slots=True)
class Deletion:
    """An event is gone. `modified_utc_s`: the version that was deleted, where that was said.

    `program_id` None: whichever program has it.
    """

    event_id: EventId
    modified_utc_s: float | None = None
    program_id: ProgramId | None = None


@dataclass(frozen=True, slots=True)
class Unusable:
    """A message that says nothing; ids as far as they could be read."""

    fault: Refused
    event_id: str | None = None
    program_id: str | None = None


Notice: TypeAlias = Upsert | Deletion | DrIndex | Unusable


def is_dr_topic(name: str) -> bool:
    """Whether the desk of events has to hear a topic's name (below the site's prefix)."""
    return name in {topics.DR_EVENT, topics.DR_INDEX} or name.startswith(f"{topics.DR_EVENT}/")


def read_notice(name: str, payload: bytes, *, retained: bool) -> Notice:
    """Read one message of a topic for which `is_dr_topic` holds."""
    if name == topics.DR_INDEX:
        return _index(payload)
    if name == topics.DR_EVENT:
        return _one_shot(payload, retained=retained)
    event_id = name.removeprefix(f"{topics.DR_EVENT}/")
    if not payload:
        return Deletion(EventId(event_id[:_ID_CHARS]))
    try:
        body = read_object(payload, max_bytes=EVENT_BYTES_MAX, what="the event")
    except Refused as fault:
        return Unusable(fault, event_id[:_ID_CHARS])
    return _upsert(body, event_id=event_id)


def schemas() -> dict[str, dict[str, Any]]:
    """JSON Schemas of demand response, by topic name."""
    return {
        f"{topics.DR_EVENT}/{{event_id}}": event_schema(),
        topics.DR_INDEX: DrIndex.model_json_schema(),
        topics.DR_RESPONSE: DrResponseMessage.model_json_schema(by_alias=True),
    }


def _index(payload: bytes) -> Notice:
    try:
        body = read_object(payload, max_bytes=INDEX_BYTES_MAX, what="the index")
        return DrIndex.model_validate(body)
    except ValidationError as error:
        return Unusable(malformed(error, what="the index"))
    except Refused as fault:
        return Unusable(fault)


def _one_shot(payload: bytes, *, retained: bool) -> Notice:
    try:
        body = read_object(payload, max_bytes=EVENT_BYTES_MAX, what="the event")
    except Refused as fault:
        return Unusable(fault)
    wrapped = "operation" in body or "object" in body
    event = body.get("object") if wrapped else body
    if not isinstance(event, dict):
        return Unusable(
            refused(
                RefusalCode.MALFORMED,
                "object is missing or no JSON object",
                "send the event as `object` beside `object_type` and `operation`",
            )
        )
    if retained:
        return _unusable(
            event,
            refused(
                RefusalCode.RETAINED,
                f"a retained message on {topics.DR_EVENT}",
                f"send it without the retain flag, or retained to {topics.DR_EVENT}/ and its id",
            ),
        )
    return _operation(body, event) if wrapped else _upsert(event, event_id=None)


def _operation(body: Document, event: Document) -> Notice:
    kind = body.get("object_type", body.get("objectType"))
    operation = body.get("operation")
    if kind != "EVENT":
        return _unusable(
            event,
            refused(
                RefusalCode.NOT_SUPPORTED if isinstance(kind, str) else RefusalCode.MALFORMED,
                "object_type is not EVENT",
                "send events only; programs are configured in the site file",
            ),
        )
    if operation == "DELETE":
        return _deletion(event)
    if isinstance(operation, str) and operation in _WRITES:
        return _upsert(event, event_id=None)
    return _unusable(
        event,
        refused(
            RefusalCode.NOT_SUPPORTED if isinstance(operation, str) else RefusalCode.MALFORMED,
            "operation is none of CREATE, UPDATE and DELETE",
            "send one of these",
        ),
    )


def _upsert(body: Document, *, event_id: str | None) -> Notice:
    try:
        return Upsert(event=parse_event(body, event_id=event_id), body=body)
    except Refused as fault:
        known = event_id if event_id is not None else _text(body, "id")
        return Unusable(fault, known[:_ID_CHARS] if known else None, _text(body, "programID"))


class _Deleted(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    id: Annotated[str, Field(min_length=1, max_length=_ID_CHARS, pattern=ID_PATTERN)]
    modified: WireTime | None = Field(default=None, alias="modificationDateTime")
    program: Annotated[str, Field(max_length=_ID_CHARS)] | None = Field(
        default=None, alias="programID"
    )


def _deletion(body: Document) -> Notice:
    try:
        deleted = _Deleted.model_validate(body)
    except ValidationError as error:
        return _unusable(body, malformed(error, what="the deleted event"))
    return Deletion(
        EventId(deleted.id),
        modified_utc_s=deleted.modified,
        program_id=None if deleted.program is None else ProgramId(deleted.program),
    )


def _unusable(body: Document, fault: Refused) -> Unusable:
    return Unusable(fault, _text(body, "id"), _text(body, "programID"))


def _text(body: Document, key: str) -> str | None:
    value = body.get(key)
    return value[:_ID_CHARS] if isinstance(value, str) and value else None
