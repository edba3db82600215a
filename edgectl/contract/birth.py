"""What is told on every connect, made from the site: `status` and the birth on `site`."""

from dataclasses import dataclass, field

from edgectl.contract.envelope import rfc3339
from edgectl.contract.messages import (
    BirthEvse,
    BirthMeter,
    BirthNode,
    BirthProgram,
    BirthQuantity,
    SiteBirth,
    Status,
)
from edgectl.contract.vocabulary import UNITS
from edgectl.model.settings import TelemetrySettings
from edgectl.model.site import Evse, Node, Site

CAPABILITIES = ("telemetry", "events", "reports", "import_capacity_limit", "commands")


@dataclass(frozen=True, slots=True, kw_only=True)
class BirthFacts:
    """What the messages say of this daemon. `config_hash`: of the site file and its profiles."""

    site: Site
    version: str
    config_hash: str
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)
    capabilities: tuple[str, ...] = CAPABILITIES


def presence(
    facts: BirthFacts, *, online: bool, stream: str, made_utc_s: float, will: bool = False
) -> Status:
    """Say that the daemon came or went now; the will, made beforehand, cannot say since when."""
    made_at = rfc3339(made_utc_s)
    return Status(
        schema=Status.schema_id,
        site=facts.site.id,
        stream=stream,
        made_at=made_at,
        state="online" if online else "offline",
        since=None if will else made_at,
        version=facts.version,
        config_hash=facts.config_hash,
    )


def birth(facts: BirthFacts, *, stream: str, made_utc_s: float, brief: bool = False) -> SiteBirth:
    """Say what there is at the site; `brief`: no more than what is needed to read the samples."""
    site = facts.site
    return SiteBirth(
        schema=SiteBirth.schema_id,
        site=site.id,
        stream=stream,
        made_at=rfc3339(made_utc_s),
        brief=True if brief else None,
        nodes=tuple(_node(node, brief=brief) for node in site.nodes),
        meters=tuple(
            BirthMeter(id=meter.id, node=meter.node, profile=None if brief else meter.profile)
            for meter in site.meters
        ),
        evses=tuple(_evse(evse, brief=brief) for evse in site.evses),
        programs=tuple(
            BirthProgram(id=program.id, kind="mandatory" if program.mandatory else "voluntary")
            for program in site.programs
        ),
        quantities=_quantities(facts.telemetry),
        capabilities=facts.capabilities,
    )


def _node(node: Node, *, brief: bool) -> BirthNode:
    if brief:
        return BirthNode(id=node.id, parent=node.parent)
    return BirthNode(
        id=node.id,
        parent=node.parent,
        limit_a=None if node.limit_a == (None, None, None) else node.limit_a,
        limit_va=node.limit_va,
    )


def _evse(evse: Evse, *, brief: bool) -> BirthEvse:
    if brief:
        return BirthEvse(id=evse.id, node=evse.node)
    return BirthEvse(
        id=evse.id,
        node=evse.node,
        profile=evse.profile,
        phases=evse.phases,
        max_a=min(evse.max_a, evse.traits.hardware_max_a),
    )


def _quantities(telemetry: TelemetrySettings) -> dict[str, BirthQuantity]:
    """Every quantity that is sent."""
    return {
        quantity.value: BirthQuantity(
            unit=unit,
            scale=1.0,
            every_s=sampling.every_s,
            dead_band=sampling.dead_band,
            on_change=sampling.on_change,
        )
        for quantity, unit in UNITS.items()
        if (sampling := telemetry.of(quantity.value)).publish
    }
