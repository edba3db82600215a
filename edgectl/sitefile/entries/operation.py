"""The operator's own wishes: caps, who comes first, and what reports are told."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from edgectl.model.policy import MIN_OFF_S, TURN_S
from edgectl.sitefile.entries.values import (
    BY_ALIAS,
    DAYS,
    Days,
    Entry,
    Id,
    Moment,
    Power,
    TimeOfDay,
    distinct,
)


class CapEntry(Entry):
    """The operator's own ceiling by local time of day."""

    model_config = BY_ALIAS

    node: Id = Field(description="The node that is capped.")
    kw: Power = Field(description="Most that the node may draw, in kW; 0 means 0.")
    from_: TimeOfDay = Field(alias="from", description="Local time, such as 16:00.")
    to: TimeOfDay = Field(description="Local time; before `from` it is on the next day.")
    days: Days = Field(
        default=["mon", "tue", "wed", "thu", "fri", "sat", "sun"],
        description="Days on which it begins; default every day.",
    )


class PolicyEntry(Entry):
    """Who comes first."""

    name: Literal["fair", "priority", "deadline"] = Field(
        description="fair: all alike. priority: strictly by `tier` (or by the `priority` of a "
        "vehicle's target), in a tier by `weight`. deadline: least time to spare first."
    )
    turn_s: float = Field(
        default=TURN_S,
        ge=60,
        le=86400,
        description="Seconds for which an EVSE that charges keeps its place before those that "
        "wait for room.",
    )
    min_off_s: float = Field(
        default=MIN_OFF_S,
        ge=0,
        le=3600,
        description="Seconds for which an EVSE rests after every stop.",
    )


class OpeningEntry(Entry):
    """Hours in which the depot is open, in local time."""

    model_config = BY_ALIAS

    from_: TimeOfDay = Field(alias="from", description="Local time, such as 06:00.")
    to: TimeOfDay = Field(description="Local time; before `from` it is on the next day.")
    days: Days = Field(default=list(DAYS), description="Days on which they begin.")


class ExclusionEntry(Entry):
    """A time whose outages are not the operator's own, after 23 CFR 680.116(b)."""

    model_config = BY_ALIAS

    evses: Annotated[list[Id], Field(max_length=10_000), AfterValidator(distinct)] = Field(
        default=[], description="EVSEs or groups of EVSEs; none: all."
    )
    from_: Moment = Field(alias="from", description="Time with offset: 2026-03-01T06:00:00Z.")
    until: Moment = Field(description="Time with offset.")
    cause: Literal[
        "utility_interruption",
        "vehicle",
        "scheduled_maintenance",
        "vandalism",
        "natural_disaster",
    ] = Field(description="Why it does not count.")
    evidence: str = Field(
        min_length=1, max_length=500, description="What proves it: a ticket, a report."
    )


class IndicatorsEntry(Entry):
    """What the reports on availability need to be told."""

    opening_hours: Annotated[list[OpeningEntry], Field(max_length=100)] = Field(
        default=[], description="Stated opening hours; none: always open."
    )
    exclusions: Annotated[list[ExclusionEntry], Field(max_length=1000)] = Field(
        default=[], description="Outages that do not count."
    )
