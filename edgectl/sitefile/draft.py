"""A site file as far as it can be read: what has the right shape, and the names of what has not.

One broken entry must not hide what is wrong with the others, so every entry is validated by itself
where the whole is not valid; and a broken entry keeps its name, so that nobody is told it were
missing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from edgectl.errors import Finding
from edgectl.sitefile.entries.authority import CommandsEntry, ProgramEntry
from edgectl.sitefile.entries.devices import EvseEntry, LinkEntry, MeterEntry
from edgectl.sitefile.entries.electrical import NodeEntry, SiteHead
from edgectl.sitefile.entries.operation import CapEntry, PolicyEntry
from edgectl.sitefile.entries.region import MqttEntry
from edgectl.sitefile.entries.site_file import SiteFile
from edgectl.sitefile.entries.values import FORMS
from edgectl.sitefile.source import Source, findings_of
from edgectl.sitefile.yaml_text import Where

EntryT = TypeVar("EntryT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Placed(Generic[EntryT]):
    """An entry and where it stands."""

    where: Where
    entry: EntryT


@dataclass(frozen=True, slots=True)
class Draft:
    """Valid entries with their places. `groups` holds only groups of the right shape.

    `whole` is the file as one value; None where anything has the wrong shape.
    """

    source: Source
    whole: SiteFile | None
    head: SiteHead | None
    nodes: tuple[Placed[NodeEntry], ...]
    links: tuple[Placed[LinkEntry], ...]
    meters: tuple[Placed[MeterEntry], ...]
    evses: tuple[Placed[EvseEntry], ...]
    caps: tuple[Placed[CapEntry], ...]
    programs: tuple[Placed[ProgramEntry], ...]
    policy: PolicyEntry | None
    mqtt: MqttEntry | None
    commands: CommandsEntry | None
    groups: dict[str, tuple[str, ...]]
    accept_risks: tuple[str, ...]

    def rows(self, section: str) -> Iterator[tuple[Where, dict[object, object]]]:
        """Raw entries of a section that are mappings, valid or not."""
        data = self.source.data
        entries = data.get(section) if isinstance(data, dict) else None
        for position, entry in enumerate(entries if isinstance(entries, list) else []):
            if isinstance(entry, dict):
                yield (section, position), entry

    def section(self, name: str) -> dict[object, object]:
        """A raw section that is a mapping, valid or not; empty where there is none."""
        section = self.source.data.get(name) if isinstance(self.source.data, dict) else None
        return section if isinstance(section, dict) else {}

    def names(self, section: str) -> list[tuple[Where, str]]:
        """Every name that a section gives, in the file's order, those of broken entries too."""
        return [
            ((*where, "id"), name)
            for where, entry in self.rows(section)
            if isinstance(name := entry.get("id"), str)
        ]


def read_draft(source: Source) -> tuple[Draft, list[Finding]]:
    """Check the shape; the findings are those of reading and of the shape."""
    findings = list(source.findings)
    data = source.data
    if not isinstance(data, dict):
        if not findings:
            findings.append(
                source.finding(
                    (),
                    code="wrong_type",
                    message="a site file has keys such as site, nodes, links, evses",
                    remedy="begin with a copy of one of the shipped examples",
                )
            )
        return _draft_of(source, {}, whole=None), findings
    whole = None
    try:
        whole = SiteFile.model_validate(data)
    except ValidationError as error:
        findings.extend(findings_of(error, source, model=SiteFile, forms=FORMS))
    return _draft_of(source, data, whole=whole), findings


def _draft_of(source: Source, data: dict[object, object], *, whole: SiteFile | None) -> Draft:
    return Draft(
        source=source,
        whole=whole,
        head=_one(SiteHead, data.get("site")),
        nodes=_many(NodeEntry, data, "nodes"),
        links=_many(LinkEntry, data, "links"),
        meters=_many(MeterEntry, data, "meters"),
        evses=_many(EvseEntry, data, "evses"),
        caps=_many(CapEntry, data, "caps"),
        programs=_many(ProgramEntry, data, "programs"),
        policy=_one(PolicyEntry, data.get("policy", {"name": "fair"})),
        mqtt=_one(MqttEntry, data.get("mqtt")),
        commands=_one(CommandsEntry, data.get("commands", {})),
        groups=_groups(data.get("groups")),
        accept_risks=_texts(data.get("accept_risks")),
    )


def _one(model: type[EntryT], value: object) -> EntryT | None:
    try:
        return model.model_validate(value)
    except ValidationError:
        return None


def _many(
    model: type[EntryT], data: dict[object, object], section: str
) -> tuple[Placed[EntryT], ...]:
    entries = data.get(section)
    placed = []
    for position, value in enumerate(entries if isinstance(entries, list) else []):
        entry = _one(model, value)
        if entry is not None:
            placed.append(Placed((section, position), entry))
    return tuple(placed)


def _groups(value: object) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict):
        return {}
    return {
        name: _texts(members)
        for name, members in value.items()
        if isinstance(name, str) and isinstance(members, list)
    }


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(text for text in value if isinstance(text, str))
