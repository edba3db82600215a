"""OpenADR 3 event objects, 3.0.1 and 3.1, as they come over the wire.

1. Both forms of targets and both forms of `now` are taken, in every version.
2. Fields that we do not know are left alone; fields that we know must have their right type.
3. Everything is bounded: intervals, payloads, values, targets, the length of names.
"""

import re
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    ValidationError,
    WithJsonSchema,
)

from edgectl.contract.refusal import RefusalCode, malformed, refused
from edgectl.contract.wire_time import WireTime, utc_from_text
from edgectl.errors import Refused
from edgectl.grid.event import (
    Duration,
    Event,
    Interval,
    Payload,
    Period,
    Start,
    StartWord,
    Target,
    Value,
)
from edgectl.units import EventId, ProgramId

MAX_INTERVALS: Final = 600
MAX_PAYLOADS: Final = 32
MAX_VALUES: Final = 256
MAX_TARGETS: Final = 64
ID_PATTERN: Final = r"^[a-zA-Z0-9_-]+$"

_OBJECT_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_DURATION: Final = re.compile(
    r"P(?=[0-9]|T[0-9])(?:([0-9]+)Y)?(?:([0-9]+)M)?(?:([0-9]+)([DW]))?"
    r"(?:T(?:([0-9]+)H)?(?:([0-9]+)M)?(?:([0-9]+(?:\.[0-9]+)?)S)?)?"
)
_DURATION_CHARS: Final = 64
_S_PER_DAY: Final = 86400.0
_LONGEST_YEARS: Final = 9999
_NOW: Final = re.compile(
    r"(0001-01-01|0000-00-00|0000-01-01)([Tt ]00:00:00(\.0{1,9})?([Zz]|[+-]00:00)?)?"
)


def parse_duration(text: object) -> Duration:
    """Read an ISO 8601 duration in the pattern of OpenADR, `P0S` too; raises ValueError."""
    if not isinstance(text, str) or len(text) > _DURATION_CHARS:
        raise ValueError("must be an ISO 8601 duration, such as PT30M")
    if text == "P0S":
        return Duration()
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError("must be an ISO 8601 duration that is not negative, such as PT30M")
    years, months, days, day_or_week, hours, minutes, seconds = match.groups()
    month_count = int(years or 0) * 12 + int(months or 0)
    day_count = int(days or 0) * (7 if day_or_week == "W" else 1)
    sum_s = day_count * _S_PER_DAY + int(hours or 0) * 3600.0 + int(minutes or 0) * 60.0
    return Duration(
        months=min(month_count, _LONGEST_YEARS * 12), seconds=sum_s + float(seconds or 0.0)
    )


def parse_start(text: object) -> Start:
    """Read the start of a period: a time, or one of the words for now; raises ValueError."""
    if isinstance(text, str) and _NOW.fullmatch(text):
        return StartWord.NOW
    return utc_from_text(text)


def parse_event(body: object, *, event_id: str | None = None) -> Event:
    """Read an event object or raise `Refused`; a body's own id must agree with `event_id`."""
    try:
        model = EventObject.model_validate(body)
    except ValidationError as error:
        raise malformed(error, what="the event") from None
    return _event(model, _one_id(model.id, event_id))


_WireDuration = Annotated[
    Duration,
    BeforeValidator(parse_duration),
    WithJsonSchema({"type": "string", "description": "ISO 8601 duration"}),
]
_WireStart = Annotated[
    float | StartWord,
    BeforeValidator(parse_start),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
_Name = Annotated[str, Field(min_length=1, max_length=128)]
_ObjectId = Annotated[str, Field(min_length=1, max_length=128, pattern=ID_PATTERN)]


class _Wire(BaseModel):
    model_config = ConfigDict(
        strict=True,
        extra="ignore",
        frozen=True,
        allow_inf_nan=False,
        arbitrary_types_allowed=True,
    )


class PointObject(_Wire):
    """A pair of floats."""

    x: float
    y: float


class ValuesMap(_Wire):
    """Values with what they mean; also the typed targets of 3.0.1."""

    type: _Name
    values: Annotated[
        list[bool | int | float | str | PointObject], Field(max_length=MAX_VALUES), FailFast()
    ]
    """One wrong value is enough to name: each costs a fault for every type that it could be."""


class IntervalPeriodObject(_Wire):
    """When. Null is as good as absent."""

    start: _WireStart | None = None
    duration: _WireDuration | None = None
    randomize_start: _WireDuration | None = Field(default=None, alias="randomizeStart")


class IntervalObject(_Wire):
    """One window."""

    id: Annotated[int, Field(ge=-(2**31), lt=2**31)]
    interval_period: IntervalPeriodObject | None = Field(default=None, alias="intervalPeriod")
    payloads: Annotated[list[ValuesMap], Field(min_length=1, max_length=MAX_PAYLOADS)]


class PayloadDescriptorObject(_Wire):
    """What the numbers of a payload type are in."""

    object_type: Literal["EVENT_PAYLOAD_DESCRIPTOR"] | None = Field(
        default=None, alias="objectType"
    )
    payload_type: _Name = Field(alias="payloadType")
    units: _Name | None = None


def _one_unit(
    descriptors: list[PayloadDescriptorObject] | None,
) -> list[PayloadDescriptorObject] | None:
    seen: dict[str, str | None] = {}
    for descriptor in descriptors or ():
        if seen.setdefault(descriptor.payload_type, descriptor.units) != descriptor.units:
            raise ValueError(f"two units for {descriptor.payload_type}")
    return descriptors


class EventObject(_Wire):
    """An event, in its request form or as a server gives it."""

    id: _ObjectId | None = None
    object_type: Literal["EVENT"] | None = Field(default=None, alias="objectType")
    created: WireTime | None = Field(default=None, alias="createdDateTime")
    modified: WireTime | None = Field(default=None, alias="modificationDateTime")
    program_id: _ObjectId = Field(alias="programID")
    event_name: Annotated[str, Field(max_length=1024)] | None = Field(
        default=None, alias="eventName"
    )
    duration: _WireDuration | None = None
    priority: Annotated[int, Field(ge=0, lt=2**53)] | None = None
    targets: Annotated[list[_Name | ValuesMap], Field(max_length=MAX_TARGETS)] | None = None
    payload_descriptors: (
        Annotated[
            list[PayloadDescriptorObject], Field(max_length=MAX_PAYLOADS), AfterValidator(_one_unit)
        ]
        | None
    ) = Field(default=None, alias="payloadDescriptors")
    interval_period: IntervalPeriodObject | None = Field(default=None, alias="intervalPeriod")
    intervals: Annotated[list[IntervalObject], Field(max_length=MAX_INTERVALS)] | None = None


def event_schema() -> dict[str, Any]:
    """JSON Schema of the events that are taken."""
    return EventObject.model_json_schema(by_alias=True)


def _one_id(own: str | None, given: str | None) -> str:
    if own is not None and given is not None and own != given:
        raise refused(
            RefusalCode.MALFORMED,
            f"id: {own} stands in the body and {given} in the topic",
            "send the event to the topic of its own id",
        )
    event_id = own if own is not None else given
    if event_id is None:
        raise refused(
            RefusalCode.MALFORMED,
            "id is missing",
            "send the event with its id, so that it can be changed and deleted",
        )
    if not _OBJECT_ID.fullmatch(event_id):
        raise refused(
            RefusalCode.MALFORMED,
            f"id: {event_id[:128]!r} is no object id of OpenADR",
            "use at most 128 letters, digits, - and _",
        )
    return event_id


def _event(model: EventObject, event_id: str) -> Event:
    period = _period(model.interval_period)
    intervals = tuple(
        Interval(
            id=interval.id,
            payloads=tuple(
                Payload(payload.type, tuple(_value(value) for value in payload.values))
                for payload in interval.payloads
            ),
            period=_period(interval.interval_period),
        )
        for interval in model.intervals or ()
    )
    default = period.duration if period is not None else None
    if not intervals and not _is_zero(model.duration) and not _is_zero(default):
        raise _no_intervals()
    return Event(
        id=EventId(event_id),
        program=ProgramId(model.program_id),
        intervals=intervals,
        modified_utc_s=model.modified if model.modified is not None else model.created,
        name=model.event_name,
        priority=model.priority,
        targets=_targets(model),
        period=period,
        duration=model.duration,
        units={
            descriptor.payload_type: descriptor.units
            for descriptor in model.payload_descriptors or ()
            if descriptor.units is not None
        },
    )


def _is_zero(duration: Duration | None) -> bool:
    return duration is not None and duration.zero


def _no_intervals() -> Refused:
    return refused(
        RefusalCode.MALFORMED,
        "intervals is missing or empty: the event asks for nothing",
        "send at least one interval; to cancel, delete the event or send a duration of PT0S",
    )


def _period(model: IntervalPeriodObject | None) -> Period | None:
    if model is None:
        return None
    return Period(start=model.start, duration=model.duration, randomize=model.randomize_start)


def _value(value: Value | PointObject) -> Value:
    return (value.x, value.y) if isinstance(value, PointObject) else value


def _targets(model: EventObject) -> tuple[Target, ...]:
    found: list[Target] = []
    for number, target in enumerate(model.targets or ()):
        if isinstance(target, str):
            found.append(Target(target))
            continue
        for value in target.values:
            if not isinstance(value, str):
                raise refused(
                    RefusalCode.MALFORMED,
                    f"targets[{number}].values: {value!r} is not a name",
                    "send the names of nodes, groups or EVSEs as text",
                )
            found.append(Target(value, target.type))
    if len(found) > MAX_TARGETS:
        raise refused(
            RefusalCode.TOO_LARGE,
            f"targets: {len(found)} names, at most {MAX_TARGETS} are taken",
            "name a group of the site instead",
        )
    return tuple(found)
