"""The depot itself and its electrical tree."""

from typing import Literal

from pydantic import Field

from edgectl.sitefile.entries.values import (
    Apparent,
    Current,
    Entry,
    Id,
    OptionalTriple,
    Seconds,
    Triple,
)


class SiteHead(Entry):
    """The depot itself."""

    id: Id = Field(description="Name of the site; part of every MQTT topic.")
    region: Id = Field(description="Name of the region; part of every MQTT topic.")
    timezone: str = Field(
        min_length=1, max_length=64, description="IANA time zone of `caps`, such as Europe/Berlin."
    )
    voltage_v: float = Field(
        ge=50,
        le=1000,
        description="Nominal voltage between a phase and neutral, in V: 120 at 208 V between "
        "phases. Where transformers are fed from, it follows from their ratios.",
    )
    mode: Literal["control", "observe"] = Field(
        default="control",
        description="observe: read, decide, explain and publish, but write nothing to any charger.",
    )


class Transformer(Entry):
    """A transformer that feeds this node: everything else of the node is on its secondary side."""

    winding: Literal["delta-wye"] = Field(description="How it is wound.")
    turns_ratio: float = Field(
        ge=0.001,
        le=1000,
        description="Voltage between two primary lines by that between a secondary line and "
        "neutral: 4 for 480 V to 208/120 V.",
    )


class NodeEntry(Entry):
    """A point of the electrical tree. The one without `parent` is the grid connection."""

    id: Id = Field(description="Name of the node; unique over nodes, meters, EVSEs and groups.")
    parent: Id | None = Field(default=None, description="The node that feeds this one.")
    limit_a: OptionalTriple | None = Field(
        default=None, description="Limit of each site phase L1, L2, L3 in A; null: no limit there."
    )
    limit_va: Apparent | None = Field(
        default=None, description="Limit of the sum over the phases, in VA."
    )
    base_max_a: Triple = Field(
        default=[0.0, 0.0, 0.0],
        description="Worst base load connected at this node itself, per phase in A; "
        "nodes below it are not counted here.",
    )
    margin_a: Current | None = Field(
        default=None, description="Distance kept from each limit, in A; default 2 % of the limit."
    )
    trip_s: Seconds | None = Field(
        default=None,
        description="How long the breaker or fuse surely bears an overload, in s; "
        "`edgectl check` compares the reaction time with it.",
    )
    unbalance_a: Current | None = Field(
        default=None,
        description="By how much the currents of two phases may differ at this node, in A.",
    )
    export_limit_a: OptionalTriple | None = Field(
        default=None,
        description="The most that may be fed back per phase, in A; null on a phase for no limit. "
        "It is watched and said: no charger feeds back.",
    )
    export_limit_va: Apparent | None = Field(
        default=None,
        description="The most that may be fed back over all phases, in VA; it is watched and said.",
    )
    transformer: Transformer | None = Field(
        default=None,
        description="The transformer between this node and its parent; nodes above it count "
        "amperes of its primary side.",
    )
    primary_limit_a: OptionalTriple | None = Field(
        default=None,
        description="Limit of each line that feeds the transformer, in A of its primary side; "
        "null: no limit there.",
    )
