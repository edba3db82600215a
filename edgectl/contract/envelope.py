"""What every message carries, and how a body becomes a row and a row becomes a payload.

1. A payload is compact JSON, the same bytes for the same row and lane however often it is sent.
2. A field that does not apply is left out: never null, never a sentinel.
"""

import json
from datetime import UTC, datetime, timedelta
from typing import Annotated, ClassVar, Final, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from edgectl.model.telemetry import Detail, Lane, OutRow, StoredRow

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Timestamp: TypeAlias = Annotated[
    str,
    Field(
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$",
        description="UTC, RFC 3339",
        json_schema_extra={"format": "date-time"},
    ),
]


def rfc3339(utc_s: float) -> str:
    """UTC to the millisecond, such as `2026-03-01T16:00:00.000Z`."""
    moment = _EPOCH + timedelta(milliseconds=round(utc_s * 1000.0))
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


class Outgoing(BaseModel):
    """Base of every outgoing body and part of one. `schema_id` of a body names its format."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True
    )
    schema_id: ClassVar[str] = ""


class Envelope(Outgoing):
    """The fields beside the body of all that goes through the outbox."""

    schema_: str = Field(alias="schema")
    site: str
    stream: str = Field(description="Random, made with the outbox; with seq the key for duplicates")
    lane: Lane = Field(description="Order holds per (stream, lane)")
    seq: int = Field(ge=1, description="Counts up by one per stream; a gap is a loss")
    made_at: Timestamp


class Presence(Outgoing):
    """The fields beside the body of what is told on every connect, outside the outbox."""

    schema_: str = Field(alias="schema")
    site: str
    stream: str
    made_at: Timestamp


def to_json(body: Outgoing) -> bytes:
    """Compact JSON of a model, absent fields left out."""
    return body.model_dump_json(exclude_none=True, by_alias=True).encode()


def row(
    topic: str,
    body: Outgoing,
    *,
    made_utc_s: float,
    values: int = 0,
    detail: Detail = Detail.NONE,
    response_topic: str | None = None,
    correlation: bytes | None = None,
) -> OutRow:
    """A body as a row for the outbox; `topic` is the name below the site's prefix."""
    return OutRow(
        topic=topic,
        schema=body.schema_id,
        made_utc_s=made_utc_s,
        body=to_json(body),
        values=values,
        detail=detail,
        response_topic=response_topic,
        correlation=correlation,
    )


def payload(stored: StoredRow, *, site: str, stream: str, lane: Lane) -> bytes:
    """The whole payload of a row: envelope first, then the body's own fields."""
    head = json.dumps(
        {
            "schema": stored.row.schema,
            "site": site,
            "stream": stream,
            "lane": lane.value,
            "seq": stored.seq,
            "made_at": rfc3339(stored.row.made_utc_s),
        },
        separators=(",", ":"),
        ensure_ascii=False,
    ).encode()
    body = stored.row.body
    return head if body == b"{}" else head[:-1] + b"," + body[1:]
