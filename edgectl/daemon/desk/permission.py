"""What an issuer may do: which places, and how low a limit."""

from collections.abc import Iterable

from edgectl.contract.refusal import RefusalCode, refused
from edgectl.errors import Refused
from edgectl.grid.targets import Element
from edgectl.model.issuer import Issuer
from edgectl.model.site import Site, nominal_v
from edgectl.units import PHASES, NodeId


def check_places(issuer: Issuer, elements: Iterable[Element], site: Site) -> None:
    """Raise `Refused` unless every place lies at or below a node of the issuer's."""
    if issuer.nodes is None:
        return
    parents = {node.id: node.parent for node in site.nodes}
    at = {evse.id: evse.node for evse in site.evses}
    for element in elements:
        name = at.get(element.evse) if element.evse is not None else element.node
        if not _is_below(name, issuer.nodes, parents):
            raise _not_permitted(issuer, f"touch {element}", "nodes")


def check_strength(
    issuer: Issuer,
    element: Element,
    site: Site,
    *,
    limit_a: float | None = None,
    limit_w: float | None = None,
) -> None:
    """Raise `Refused` for a limit below the lowest that the issuer may set.

    A limit in W counts as the current that it leaves on each phase at nominal voltage.
    """
    if issuer.min_limit_a is None:
        return
    voltages = next((e.voltages for e in site.evses if e.id == element.evse), len(PHASES))
    found = [] if limit_a is None else [limit_a]
    if limit_w is not None:
        found.append(limit_w / (nominal_v(site, node=element.node, evse=element.evse) * voltages))
    if found and min(found) < issuer.min_limit_a:
        raise _not_permitted(
            issuer, f"leave less than {issuer.min_limit_a:g} A at {element}", "min_limit_a"
        )


def check_verb(issuer: Issuer, verb: str) -> None:
    """Raise `Refused` unless the issuer may command this."""
    if verb not in issuer.may:
        raise _not_permitted(issuer, f"command {verb[:40]}", "may")


def _is_below(
    name: NodeId | None, nodes: frozenset[NodeId], parents: dict[NodeId, NodeId | None]
) -> bool:
    while name is not None:
        if name in nodes:
            return True
        name = parents.get(name)
    return False


def _not_permitted(issuer: Issuer, what: str, key: str) -> Refused:
    return refused(
        RefusalCode.NOT_PERMITTED,
        f"{issuer.id} may not {what}",
        f"see `{key}` of the issuer in the site file",
    )
