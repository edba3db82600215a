"""Carries a decision to the owners of the lines; it orders and confirms, and never decides."""

from collections.abc import Sequence

from edgectl.daemon.lines.links import LinkOwner
from edgectl.model.decision import Decision


class Actuation:
    """Gives every link owner its part of the newest decision."""

    def __init__(self, owners: Sequence[LinkOwner]) -> None:
        self._owners = owners

    def apply(self, decision: Decision) -> None:
        """Hand it on; the owners write decreases before increases."""
        for owner in self._owners:
            owner.targets(decision.evses)
