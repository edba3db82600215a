"""The utility's programs, and who may command from outside."""

from typing import Annotated, Literal

from pydantic import Field

from edgectl.sitefile.entries.values import (
    Current,
    Entry,
    FileName,
    Id,
    Percent,
    Power,
    Seconds,
)


class LinkLossEntry(Entry):
    """What holds when the utility's heartbeat is gone."""

    after_s: Seconds = Field(description="Time without heartbeat after which it begins, in s.")
    limit_kw: Power = Field(description="The limit that then holds, in kW; 0 means 0.")
    for_s: Seconds = Field(description="Shortest time that it holds, in s.")


class ProgramEntry(Entry):
    """A demand-response program of the utility."""

    id: Id = Field(description="The programID of its events.")
    kind: Literal["mandatory", "voluntary"] = Field(description="Whether its events bind.")
    signed: bool = Field(
        default=False,
        description="Whether its events must be signed by an issuer of `commands.issuers`.",
    )
    default_unit: Literal["W", "KW", "A", "AMPS", "PERCENT"] | None = Field(
        default=None,
        description="Unit of a limit that comes without one; without this key such a limit is "
        "refused.",
    )
    reference_kw: Power | None = Field(
        default=None, description="What 100 % means in levels and alerts, in kW."
    )
    minimum_kw: Power | None = Field(
        default=None, description="Least that the utility guarantees to leave, in kW."
    )
    below_minimum: Literal["obey", "hold"] = Field(
        default="obey",
        description="What happens to a limit below `minimum_kw`: obey and report it, or hold the "
        "minimum.",
    )
    simple_levels: dict[Annotated[int, Field(ge=1, le=3)], Percent] | None = Field(
        default=None, description="Ceiling of SIMPLE levels 1 to 3 in % of `reference_kw`."
    )
    alerts: dict[Literal["ALERT_GRID_EMERGENCY", "ALERT_BLACK_START"], Percent] | None = Field(
        default=None, description="Ceiling during an alert, in % of `reference_kw`."
    )
    on_link_loss: LinkLossEntry | None = Field(
        default=None,
        description="What holds when the utility is not heard; without it an event holds until its "
        "own end and nothing more.",
    )
    when_missed: Literal["accept", "partial", "refuse"] | None = Field(
        default=None,
        description="What a voluntary event gets that would make a vehicle miss its target: taken "
        "whole, as far as no vehicle misses (default), or refused.",
    )
    recover_within_s: Annotated[float, Field(ge=0, le=3600)] = Field(
        default=60.0,
        description="After an event the site comes back at a random moment of so many seconds.",
    )


class IssuerEntry(Entry):
    """Who may sign commands and events."""

    id: Id = Field(description="The `iss` of what it signs.")
    rank: Literal["utility_mandatory", "operator", "technician", "utility_voluntary"] = Field(
        description="Its place on the ladder of authority."
    )
    may: Annotated[
        list[Literal["limit", "pause", "resume", "target", "release"]], Field(min_length=1)
    ] = Field(description="What it may command.")
    nodes: list[Id] | None = Field(
        default=None, description="Where, with all below; default everywhere."
    )
    programs: list[Id] | None = Field(
        default=None,
        description="Whose events it may sign; default those of its rank: a utility_mandatory all, "
        "a utility_voluntary the voluntary ones, others none.",
    )
    min_limit_a: Current | None = Field(
        default=None, description="Lowest limit that it may set, in A per phase."
    )
    keys: Annotated[list[FileName], Field(min_length=1)] = Field(
        description="Files with its public keys: JWK or JWK sets, Ed25519 or P-256."
    )


class CommandsEntry(Entry):
    """What may be commanded from outside."""

    unsigned: Literal["never", "mtls", "loopback"] = Field(
        default="never",
        description="Whether unsigned commands and events are taken: never; over TLS with our "
        "certificate (mtls); or only from a broker on 127.0.0.1 or ::1 (loopback).",
    )
    issuers: Annotated[list[IssuerEntry], Field(max_length=100)] = Field(
        default=[], description="Who may sign commands and events."
    )
