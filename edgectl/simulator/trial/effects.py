"""What an ampere of an EVSE puts on the lines of the nodes above it, where currents are phasors."""

from edgectl.model.site import Evse, Node, Site
from edgectl.simulator.phasors import Complexes, Phasors, draw_of
from edgectl.units import EvseId

LINES: tuple[int, ...] = (0, 1, 2)


class Effects:
    """Worked out once for each EVSE and number of phases that its vehicle uses.

    A phasor is counted from the voltage of the line that it is on.
    """

    def __init__(self, site: Site) -> None:
        self._index = {node.id: k for k, node in enumerate(site.nodes)}
        self._phasors = Phasors(site)
        self._known: dict[tuple[EvseId, int], list[tuple[Complexes, Complexes]]] = {}

    def on_lines(self, node: Node, evse: Evse, used: int) -> Complexes:
        """On a node's lines, the secondary ones of a transformer."""
        return self._of(evse, used)[self._index[node.id]][0]

    def on_primary(self, node: Node, evse: Evse, used: int) -> Complexes:
        """On the lines that feed a node's transformer."""
        return self._of(evse, used)[self._index[node.id]][1]

    def _of(self, evse: Evse, used: int) -> list[tuple[Complexes, Complexes]]:
        found = self._known.get((evse.id, used))
        if found is None:
            phasors = self._phasors
            phasors.sum_up(
                [(self._index[evse.node], draw_of(evse, used), 1.0, 0.0)] if used else []
            )
            found = self._known[evse.id, used] = [
                (phasors.against_voltage(k), phasors.primary_against_voltage(k))
                for k in self._index.values()
            ]
        return found
