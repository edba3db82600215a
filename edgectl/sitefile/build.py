"""The model of a site and its settings, from a draft that nothing is wrong with."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from edgectl.devices.profile import Profile
from edgectl.model.issuer import Issuer
from edgectl.model.policy import Policy, Sharing
from edgectl.model.serial_line import Parity, SerialLine
from edgectl.model.settings import (
    SAMPLING,
    BrokerAddress,
    CommandSettings,
    Exclusion,
    ExclusionCause,
    IndicatorSettings,
    MqttProtocol,
    MqttSettings,
    Opening,
    Sampling,
    Settings,
    TelemetrySettings,
    Unsigned,
)
from edgectl.model.site import (
    Cap,
    Connection,
    Evse,
    Link,
    LinkKind,
    LinkLoss,
    Meter,
    Mode,
    Node,
    Program,
    Sees,
    Site,
    Transformer,
    WhenMissed,
    nominal_voltages,
)
from edgectl.sitefile.cross import MODBUS_PORT
from edgectl.sitefile.entries.authority import LinkLossEntry, ProgramEntry
from edgectl.sitefile.entries.devices import EvseEntry, LinkEntry, MeterEntry
from edgectl.sitefile.entries.electrical import NodeEntry
from edgectl.sitefile.entries.operation import CapEntry, IndicatorsEntry
from edgectl.sitefile.entries.region import MqttEntry, SamplingEntry, TelemetryEntry
from edgectl.sitefile.entries.site_file import SiteFile
from edgectl.sitefile.entries.values import DAYS
from edgectl.sitefile.fitting import traits_of
from edgectl.sitefile.outside import minute_of
from edgectl.units import W_PER_KW, EvseId, LinkId, MeterId, NodeId, ProgramId

CREDENTIAL: Final = "credential:"
CREDENTIALS: Final = Path("/run/credentials/edgectl.service")
"""Where systemd puts what the unit loads as credentials, for the service alone."""
BYTES_PER_MB: Final = 1_000_000.0


def build_site(file: SiteFile, profiles: Mapping[str, Profile]) -> Site:
    """Build the site; the file is checked and every profile that it names is in `profiles`."""
    head = file.site
    nodes = tuple(_parents_first([_node(entry) for entry in file.nodes]))
    volts = nominal_voltages(nodes, float(head.voltage_v))
    return Site(
        id=head.id,
        region=head.region,
        timezone=head.timezone,
        voltage_v=float(head.voltage_v),
        mode=Mode(head.mode),
        nodes=nodes,
        meters=tuple(_meter(entry, profiles[entry.profile]) for entry in file.meters),
        evses=tuple(
            _evse(entry, profiles[entry.profile], voltage_v=volts[NodeId(entry.node)])
            for entry in file.evses
        ),
        links=tuple(_link(entry) for entry in file.links),
        groups={name: tuple(members) for name, members in file.groups.items()},
        caps=tuple(_cap(entry) for entry in file.caps),
        programs=tuple(_program(entry) for entry in file.programs),
        sharing=Sharing(
            policy=Policy(file.policy.name),
            turn_s=file.policy.turn_s,
            min_off_s=file.policy.min_off_s,
        ),
    )


def build_settings(file: SiteFile, *, folder: Path, issuers: tuple[Issuer, ...] = ()) -> Settings:
    """Build the settings; names of files are relative to `folder`, where the site file stands."""
    return Settings(
        mqtt=None if file.mqtt is None else _mqtt(file.mqtt, folder),
        commands=CommandSettings(unsigned=Unsigned(file.commands.unsigned), issuers=issuers),
        telemetry=_telemetry(file.telemetry),
        indicators=_indicators(file.indicators, groups=file.groups),
        accept_risks=frozenset(file.accept_risks),
    )


def _parents_first(nodes: list[Node]) -> Iterator[Node]:
    """Every parent before its children, otherwise in the file's order."""
    children: dict[NodeId | None, list[Node]] = {}
    for node in nodes:
        children.setdefault(node.parent, []).append(node)
    waiting = list(children.get(None, []))
    while waiting:
        node = waiting.pop(0)
        yield node
        waiting = [*children.get(node.id, []), *waiting]


def _node(entry: NodeEntry) -> Node:
    limits = entry.limit_a or [None, None, None]
    primary = entry.primary_limit_a or [None, None, None]
    export = entry.export_limit_a or [None, None, None]
    base = entry.base_max_a
    return Node(
        id=NodeId(entry.id),
        parent=None if entry.parent is None else NodeId(entry.parent),
        limit_a=(_float(limits[0]), _float(limits[1]), _float(limits[2])),
        limit_va=_float(entry.limit_va),
        base_max_a=(float(base[0]), float(base[1]), float(base[2])),
        margin_a=_float(entry.margin_a),
        trip_s=_float(entry.trip_s),
        unbalance_a=_float(entry.unbalance_a),
        transformer=None
        if entry.transformer is None
        else Transformer(turns_ratio=float(entry.transformer.turns_ratio)),
        primary_limit_a=(_float(primary[0]), _float(primary[1]), _float(primary[2])),
        export_limit_a=(_float(export[0]), _float(export[1]), _float(export[2])),
        export_limit_va=_float(entry.export_limit_va),
    )


def _float(value: float | None) -> float | None:
    return None if value is None else float(value)


def _meter(entry: MeterEntry, profile: Profile) -> Meter:
    overrides = entry.overrides
    return Meter(
        id=MeterId(entry.id),
        node=NodeId(entry.node),
        profile=entry.profile,
        link=LinkId(entry.link),
        unit=entry.unit,
        poll_s=float(entry.poll_s),
        phases=tuple(entry.phases),
        refresh_s=profile.refresh_s,
        sign=1 if overrides is None or overrides.sign is None else overrides.sign,
        address_offset=0 if overrides is None else overrides.address_offset or 0,
        word_order=None if overrides is None else overrides.word_order,
        sees=Sees(entry.sees),
    )


def _evse(entry: EvseEntry, profile: Profile, *, voltage_v: float) -> Evse:
    overrides = entry.overrides
    return Evse(
        id=EvseId(entry.id),
        node=NodeId(entry.node),
        profile=entry.profile,
        link=LinkId(entry.link),
        unit=entry.unit,
        connector=entry.connector,
        phases=tuple(entry.phases),
        max_a=float(entry.max_a),
        traits=traits_of(entry, profile, voltage_v=voltage_v),
        weight=float(entry.weight),
        tier=entry.tier,
        address_offset=0 if overrides is None else overrides.address_offset or 0,
        word_order=None if overrides is None else overrides.word_order,
        connection=Connection(entry.connection),
    )


def _link(entry: LinkEntry) -> Link:
    kind = LinkKind(entry.kind)
    serial = None
    if kind is not LinkKind.TCP:
        standard = SerialLine()
        serial = SerialLine(
            baud=standard.baud if entry.baud is None else entry.baud,
            parity=standard.parity if entry.parity is None else Parity(entry.parity),
            stop_bits=standard.stop_bits if entry.stop_bits is None else entry.stop_bits,
        )
    if kind is LinkKind.RTU:
        return Link(id=LinkId(entry.id), kind=kind, device=entry.device or "", serial=serial)
    return Link(
        id=LinkId(entry.id),
        kind=kind,
        host=entry.host or "",
        port=MODBUS_PORT if entry.port is None else entry.port,
        serial=serial,
    )


def _cap(entry: CapEntry) -> Cap:
    return Cap(
        node=NodeId(entry.node),
        limit_w=entry.kw * W_PER_KW,
        from_minute=minute_of(entry.from_),
        to_minute=minute_of(entry.to),
        days=frozenset(DAYS.index(day) for day in entry.days),
    )


def _program(entry: ProgramEntry) -> Program:
    return Program(
        id=ProgramId(entry.id),
        mandatory=entry.kind == "mandatory",
        signed=entry.signed,
        default_unit=entry.default_unit,
        reference_w=None if entry.reference_kw is None else entry.reference_kw * W_PER_KW,
        minimum_w=None if entry.minimum_kw is None else entry.minimum_kw * W_PER_KW,
        hold_minimum=entry.below_minimum == "hold",
        simple_levels=(
            _part((entry.simple_levels or {}).get(1)),
            _part((entry.simple_levels or {}).get(2)),
            _part((entry.simple_levels or {}).get(3)),
        ),
        alerts={name: _percent(percent) for name, percent in sorted((entry.alerts or {}).items())},
        link_loss=None if entry.on_link_loss is None else _link_loss(entry.on_link_loss),
        when_missed=WhenMissed(entry.when_missed or "partial"),
        recover_within_s=float(entry.recover_within_s),
    )


def _link_loss(entry: LinkLossEntry) -> LinkLoss:
    return LinkLoss(
        after_s=float(entry.after_s),
        limit_w=entry.limit_kw * W_PER_KW,
        for_s=float(entry.for_s),
    )


def _part(percent: str | None) -> float | None:
    return None if percent is None else _percent(percent)


def _percent(text: str) -> float:
    return float(text.rstrip("%")) / 100.0


def _mqtt(entry: MqttEntry, folder: Path) -> MqttSettings:
    return MqttSettings(
        brokers=tuple(BrokerAddress(host=b.host, port=b.port) for b in entry.brokers),
        protocol=MqttProtocol(str(entry.protocol)),
        ca=_file(entry.ca, folder),
        cert=_file(entry.cert, folder),
        key=_file(entry.key, folder),
        username=entry.username,
        password_file=_file(entry.password_file, folder),
    )


def _telemetry(entry: TelemetryEntry) -> TelemetrySettings:
    named: dict[str, Sampling] = {
        quantity: _sampling(one, SAMPLING[quantity]) for quantity, one in entry.quantities.items()
    }
    return TelemetrySettings(
        sampling={**SAMPLING, **named},
        at_least_s=float(entry.at_least_s),
        disk_bytes=round(entry.disk_mb * BYTES_PER_MB),
        backfill_rows_per_s=float(entry.backfill_rows_per_s),
    )


def _indicators(
    entry: IndicatorsEntry, *, groups: Mapping[str, Sequence[str]]
) -> IndicatorSettings:
    return IndicatorSettings(
        exclusions=tuple(
            Exclusion(
                ports=frozenset(port for name in one.evses for port in groups.get(name, [name])),
                from_s=datetime.fromisoformat(one.from_).timestamp(),
                until_s=datetime.fromisoformat(one.until).timestamp(),
                cause=ExclusionCause(one.cause),
                evidence=one.evidence,
            )
            for one in entry.exclusions
        ),
        opening=tuple(
            Opening(
                days=frozenset(DAYS.index(day) for day in one.days),
                from_minute=minute_of(one.from_),
                to_minute=minute_of(one.to),
            )
            for one in entry.opening_hours
        ),
    )


def _sampling(entry: SamplingEntry, usual: Sampling) -> Sampling:
    """Take what the file says; a dead band of null is said, too."""
    says_band = "dead_band" in entry.model_fields_set
    return Sampling(
        every_s=usual.every_s if entry.every_s is None else float(entry.every_s),
        dead_band=_float(entry.dead_band) if says_band else usual.dead_band,
        on_change=usual.on_change if entry.on_change is None else entry.on_change,
        publish=entry.publish,
    )


def _file(name: str | None, folder: Path) -> str | None:
    """A path relative to the site file, or a credential that systemd gives the service."""
    if name is None:
        return None
    if name.startswith(CREDENTIAL):
        return str(CREDENTIALS / name.removeprefix(CREDENTIAL))
    return str(folder / name)
