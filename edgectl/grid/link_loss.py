"""What holds when the utility is not heard (S19, `on_link_loss` of a program).

1. Without a heartbeat or a new valid limit for `after_s` the program's own limit holds.
2. A new valid limit ends it at once; a heartbeat that is back ends it only after `for_s`.
3. Without either it holds on: it never runs out to unlimited.
"""

from dataclasses import dataclass, replace

from edgectl.model.site import LinkLoss


@dataclass(frozen=True, slots=True)
class LinkWatch:
    """`heard_s`: when the utility was last heard. `lost_s`: since when its absence limits.

    Both monotonic; a start counts as hearing.
    """

    heard_s: float
    lost_s: float | None = None

    def heard(self, now_s: float) -> "LinkWatch":
        """A heartbeat came."""
        return replace(self, heard_s=now_s)

    def limited(self, now_s: float) -> "LinkWatch":
        """A new valid limit came."""
        return LinkWatch(heard_s=now_s)

    def advanced(self, now_s: float, rule: LinkLoss) -> "LinkWatch":
        """The state of this moment."""
        silent = now_s - self.heard_s >= rule.after_s
        if self.lost_s is None:
            return replace(self, lost_s=now_s) if silent else self
        if silent or now_s - self.lost_s < rule.for_s:
            return self
        return LinkWatch(heard_s=self.heard_s)
