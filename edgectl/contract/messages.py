"""The bodies that go out by themselves: status, birth, telemetry, event, report.

Answers to demand response and to commands stand in their own modules and share the envelope.
"""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field

from edgectl.contract import topics
from edgectl.contract.envelope import Envelope, Outgoing, Presence, Timestamp, row
from edgectl.contract.vocabulary import EventCode, Quality, Quantity, Severity
from edgectl.model.telemetry import Detail, OutRow

SAMPLES_MAX: Final = 200
"""Samples in one message: some 16 kB, far below what a broker may refuse as too large."""

COARSE_S: Final = 60.0
"""One batch in so much time stays whole when a backlog is thinned."""


class Sample(Outgoing):
    """One value of an interval, which the site file sets for its quantity.

    `v`: of a measured quantity the average of the interval's readings, of a counter or of what is
    in force the newest. `min`, `max`: extremes of the interval, where it had more than one reading.
    `t`: when the newest reading was taken. A sample that is left out lay within its dead band.
    """

    id: str
    q: Quantity
    t: Timestamp
    v: float
    min: float | None = None
    max: float | None = None
    quality: Quality


class Telemetry(Outgoing):
    """`thinned`: so many samples were here before the outbox met its bound."""

    schema_id: ClassVar[str] = "edgectl/v1/telemetry"

    samples: tuple[Sample, ...] = Field(max_length=SAMPLES_MAX)
    thinned: int | None = None


class Event(Outgoing):
    """Something happened. `id` names the node, meter, EVSE or link; `t`: when."""

    schema_id: ClassVar[str] = "edgectl/v1/event"

    code: EventCode
    severity: Severity
    id: str
    t: Timestamp
    text: str
    data: dict[str, float | int | str] = Field(default_factory=dict)


class Report(Outgoing):
    """Base of the figures of an interval; every report adds its own."""

    schema_id: ClassVar[str] = "edgectl/v1/report"

    from_: Annotated[Timestamp, Field(alias="from")]
    until: Timestamp


class Status(Presence):
    """`since`: when this state began; the will cannot know it."""

    schema_id: ClassVar[str] = "edgectl/v1/status"

    state: Literal["online", "offline"]
    since: Timestamp | None = None
    version: str
    config_hash: str


class BirthNode(Outgoing):
    """A node; limits that do not apply are left out, per phase null."""

    id: str
    parent: str | None = None
    limit_a: tuple[float | None, float | None, float | None] | None = None
    limit_va: float | None = None


class BirthMeter(Outgoing):
    """A meter and where it measures; a brief birth has no profile."""

    id: str
    node: str
    profile: str | None = None


class BirthEvse(Outgoing):
    """An EVSE, the site phases on its own terminals in order, and the most it can draw.

    A brief birth says only where it hangs.
    """

    id: str
    node: str
    profile: str | None = None
    phases: tuple[int, ...] | None = None
    max_a: float | None = None


class BirthProgram(Outgoing):
    """A demand-response program."""

    id: str
    kind: Literal["mandatory", "voluntary"]


class BirthQuantity(Outgoing):
    """What a value of this quantity is multiplied with, and its unit; how often it is sent.

    `dead_band`, in that unit: what is left out lies so close to the sample before.
    """

    unit: str
    scale: float
    every_s: float
    dead_band: float | None = None
    on_change: bool


class SiteBirth(Presence):
    """What there is at the site; retained, so that whoever comes later can read the samples.

    `brief`: profiles, phases and limits are left out, because the broker takes no longer message.
    """

    schema_id: ClassVar[str] = "edgectl/v1/site"

    brief: Literal[True] | None = None
    nodes: tuple[BirthNode, ...]
    meters: tuple[BirthMeter, ...]
    evses: tuple[BirthEvse, ...]
    programs: tuple[BirthProgram, ...]
    quantities: dict[str, BirthQuantity]
    capabilities: tuple[str, ...]


class TelemetryMessage(Envelope, Telemetry):
    """`telemetry` as it is published."""


class EventMessage(Envelope, Event):
    """`event` as it is published."""


def schemas() -> dict[str, dict[str, Any]]:
    """JSON Schemas of these messages as they are published, by topic name."""
    published: tuple[tuple[str, type[Outgoing]], ...] = (
        (topics.STATUS, Status),
        (topics.SITE, SiteBirth),
        (topics.TELEMETRY, TelemetryMessage),
        (topics.EVENT, EventMessage),
    )
    return {name: model.model_json_schema(by_alias=True) for name, model in published}


def telemetry_rows(
    samples: Sequence[Sample], *, made_utc_s: float, detail: Detail = Detail.FINE
) -> list[OutRow]:
    """Samples as rows of bounded size. `COARSE` ones stay whole when a backlog is thinned."""
    return [
        row(
            topics.TELEMETRY,
            Telemetry(samples=tuple(part)),
            made_utc_s=made_utc_s,
            values=len(part),
            detail=detail,
        )
        for part in (
            samples[start : start + SAMPLES_MAX] for start in range(0, len(samples), SAMPLES_MAX)
        )
    ]


def event_row(event: Event, *, made_utc_s: float) -> OutRow:
    """An event as a row."""
    return row(topics.EVENT, event, made_utc_s=made_utc_s)


def thin(detailed: OutRow) -> OutRow:
    """Take detail out: coarse telemetry stays whole, the rest keeps only the count of its samples.

    Meters count energy themselves, so what is left out takes no energy with it.
    """
    if detailed.detail is not Detail.FINE or not detailed.values:
        return detailed
    emptied = Telemetry(samples=(), thinned=detailed.values)
    return row(detailed.topic, emptied, made_utc_s=detailed.made_utc_s, detail=Detail.FINE)
