"""Names to the nodes and EVSEs that they stand for."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from edgectl.grid.event import Target
from edgectl.model.site import Site, nominal_v
from edgectl.units import PHASES, EvseId, NodeId

_OF_THE_MESSAGE: Final = frozenset({"PROGRAM_NAME", "EVENT_NAME"})
"""Target types of OpenADR 3.0.1 that name no place."""


@dataclass(frozen=True, slots=True)
class Element:
    """A node or an EVSE, exactly one of both."""

    node: NodeId | None = None
    evse: EvseId | None = None

    def __str__(self) -> str:
        return str(self.node if self.node is not None else self.evse)


@dataclass(frozen=True, slots=True)
class Resolved:
    """What names stand for, and the names that stand for nothing here."""

    elements: tuple[Element, ...]
    unknown: tuple[str, ...]


def find(site: Site, name: str) -> tuple[Element, ...]:
    """What one name stands for: a node, an EVSE, a group, the site (its root), or nothing."""
    plain = _find_plain(site, name)
    if plain:
        return plain
    if name in site.groups:
        members = (found for member in site.groups[name] for found in _find_plain(site, member))
        return tuple(dict.fromkeys(members))
    return roots(site) if name == site.id else ()


def resolve(site: Site, targets: Iterable[Target]) -> Resolved:
    """What an event is for: each named element by itself; without a place named, the root node."""
    names = [target.name for target in targets if target.kind not in _OF_THE_MESSAGE]
    if not names:
        return Resolved(elements=roots(site), unknown=())
    found = {name: find(site, name) for name in names}
    return Resolved(
        elements=tuple(dict.fromkeys(e for elements in found.values() for e in elements)),
        unknown=tuple(name for name, elements in found.items() if not elements),
    )


def full_v(site: Site, element: Element) -> float:
    """The W of one ampere on every phase of a place, at nominal voltage."""
    volts = nominal_v(site, node=element.node, evse=element.evse)
    return volts * next((e.voltages for e in site.evses if e.id == element.evse), len(PHASES))


def roots(site: Site) -> tuple[Element, ...]:
    """The grid connection."""
    return tuple(Element(node=node.id) for node in site.nodes if node.parent is None)


def _find_plain(site: Site, name: str) -> tuple[Element, ...]:
    """A node or an EVSE by its own id; groups do not nest."""
    if any(node.id == name for node in site.nodes):
        return (Element(node=NodeId(name)),)
    if any(evse.id == name for evse in site.evses):
        return (Element(evse=EvseId(name)),)
    return ()
