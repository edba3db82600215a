"""The whole site file."""

from typing import Annotated

from pydantic import AfterValidator, Field

from edgectl.sitefile.entries.authority import CommandsEntry, ProgramEntry
from edgectl.sitefile.entries.devices import EvseEntry, LinkEntry, MeterEntry
from edgectl.sitefile.entries.electrical import NodeEntry, SiteHead
from edgectl.sitefile.entries.operation import CapEntry, IndicatorsEntry, PolicyEntry
from edgectl.sitefile.entries.region import MqttEntry, TelemetryEntry
from edgectl.sitefile.entries.values import (
    Entry,
    Id,
    distinct,
)


class SiteFile(Entry):
    """Site file of edgectl: one depot behind one gateway."""

    site: SiteHead
    nodes: Annotated[list[NodeEntry], Field(min_length=1, max_length=2000)] = Field(
        description="The electrical tree, as a flat list."
    )
    links: Annotated[list[LinkEntry], Field(max_length=5000)] = Field(
        default=[], description="Modbus connections."
    )
    meters: Annotated[list[MeterEntry], Field(max_length=2000)] = Field(
        default=[], description="Meters."
    )
    evses: Annotated[list[EvseEntry], Field(min_length=1, max_length=10_000)] = Field(
        description="EVSEs."
    )
    groups: dict[Id, Annotated[list[Id], Field(min_length=1), AfterValidator(distinct)]] = Field(
        default={}, description="Further names for nodes and EVSEs."
    )
    caps: Annotated[list[CapEntry], Field(max_length=1000)] = Field(
        default=[], description="The operator's own ceilings by time of day."
    )
    programs: Annotated[list[ProgramEntry], Field(max_length=100)] = Field(
        default=[], description="Demand-response programs."
    )
    policy: PolicyEntry = Field(default=PolicyEntry(name="fair"))
    mqtt: MqttEntry | None = Field(default=None)
    telemetry: TelemetryEntry = Field(default=TelemetryEntry())
    indicators: IndicatorsEntry = Field(default=IndicatorsEntry())
    commands: CommandsEntry = Field(default=CommandsEntry())
    accept_risks: Annotated[list[str], Field(max_length=1000), AfterValidator(distinct)] = Field(
        default=[], description="Names of risks, as `edgectl check` prints them."
    )
