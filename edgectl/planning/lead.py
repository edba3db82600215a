"""How early a ceiling must begin so that it is met when its interval begins.

1. Chargers that answer need what S20 counts: all of them written once, and the vehicles following.
2. A mandatory limit must be met by chargers, too, that fall silent just before they are told. Such
   a one goes down by itself when its watchdog has run out, so the ramp begins so much earlier.
"""

from collections.abc import Mapping
from typing import Final

from edgectl.model.site import Site
from edgectl.units import EvseId, NodeId

SLACK_S: Final = 2.0
"""For the tick that begins the ramp, and for what is on the wire at that moment."""


class Leads:
    """Worked out once for a site; `physics_s` by node as `edgectl check` shows it."""

    def __init__(self, site: Site, physics_s: Mapping[NodeId, float | None]) -> None:
        parents = {node.id: node.parent for node in site.nodes}
        self._quick = {node: (reaction or 0.0) + SLACK_S for node, reaction in physics_s.items()}
        self._silent: dict[NodeId, float] = {}
        self._evses: dict[EvseId, tuple[NodeId, float]] = {}
        for evse in site.evses:
            traits = evse.traits
            own_s = 0.0
            if traits.watchdog_s is not None:
                own_s = traits.watchdog_s + max(traits.settle_s, traits.pause_settle_s)
            self._evses[evse.id] = (evse.node, own_s)
            name: NodeId | None = evse.node
            while name is not None:
                self._silent[name] = max(own_s, self._silent.get(name, 0.0))
                name = parents[name]

    def of_node(self, node: NodeId, *, mandatory: bool) -> float:
        """The lead of a ceiling on a node, in s."""
        return self._quick.get(node, 0.0) + (self._silent.get(node, 0.0) if mandatory else 0.0)

    def of_evse(self, evse: EvseId, *, mandatory: bool) -> float:
        """The lead of a ceiling on an EVSE, in s."""
        node, own_s = self._evses[evse]
        return self._quick.get(node, 0.0) + (own_s if mandatory else 0.0)
