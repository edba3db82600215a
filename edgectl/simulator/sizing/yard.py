"""The vehicles of a depot and what they take.

Theory: between two moments nothing changes; a moment is an arrival, a departure, a full vehicle,
another base load, a quarter-hour, a decision of the controller.

1. A vehicle draws the least of its setpoint and its own maximum, at once, until it has its energy;
   below the EVSE's minimum it draws nothing. Charging curves are not in files of sessions.
2. Nothing here is random and nothing looks at what the controller believes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edgectl.model.site import Site
from edgectl.simulator.phasors import Phasors
from edgectl.simulator.sizing.base_load_file import LoadProfile
from edgectl.simulator.sizing.flowed import QUARTER_S, Flowed
from edgectl.simulator.sizing.stays import Stay

_NEVER_S: Final = float("inf")
_ROUNDING_WH: Final = 1e-3
"""Seconds since 1970 are exact to a quarter of a microsecond: at 1 MW that is less than this."""
_WS_PER_WH: Final = 3600.0


@dataclass(slots=True)
class Visit:
    """A stay as it went. Times are seconds since 1970, None while there was no energy yet."""

    stay: Stay
    delivered_wh: float = 0.0
    first_energy_s: float | None = None
    last_energy_s: float | None = None


class Yard:
    """A site's EVSEs with the vehicles at them; `now_s` is seconds since 1970.

    `visits[i]`: who stands at EVSE i, None: nobody. `draw_a[i]`: what it draws.
    """

    def __init__(
        self,
        site: Site,
        stays: Sequence[Stay],
        *,
        base: LoadProfile | None,
        base_node: int,
        start_s: float,
    ) -> None:
        count = len(site.evses)
        self.now_s = start_s
        self.visits: list[Visit | None] = [None] * count
        self.setpoint_a = [evse.traits.pause_a for evse in site.evses]
        self.draw_a = [0.0] * count
        self.phasors = Phasors(site)
        self.flowed = Flowed(site)
        self.done: list[Visit] = []
        self._least_a = [evse.traits.min_a for evse in site.evses]
        self._stays = stays
        self._next = 0
        self._present: set[int] = set()
        self._base = base
        self._base_node = base_node
        self._base_change_s = _NEVER_S
        self._set_base()
        self._dirty = True

    @property
    def empty(self) -> bool:
        """Nobody is there."""
        return not self._present

    @property
    def next_arrival_s(self) -> float:
        """When the next vehicle comes; infinity after the last one."""
        return self._stays[self._next].arrival_s if self._next < len(self._stays) else _NEVER_S

    def tell(self, evse: int, setpoint_a: float) -> None:
        """Give an EVSE another setpoint; its vehicle follows at once."""
        self.setpoint_a[evse] = setpoint_a
        self._draw(evse)

    def advance(self, until_s: float) -> None:
        """Let everything go on until `until_s`, arrivals at that very moment included."""
        while True:
            at_s = min(until_s, self._next_event_s())
            if at_s > self.now_s:
                self._flow(at_s - self.now_s)
                self.now_s = at_s
            self._change()
            if at_s >= until_s:
                return

    def look(self) -> Phasors:
        """What flows now."""
        if self._dirty:
            self.phasors.sum_up(
                (
                    visit.stay.node,
                    visit.stay.draw,
                    self.draw_a[i],
                    self.draw_a[i] * visit.stay.watts_per_a,
                )
                for i in sorted(self._present)
                if (visit := self.visits[i]) is not None and self.draw_a[i] > 0.0
            )
            self._dirty = False
        return self.phasors

    def _next_event_s(self) -> float:
        at_s = min(self.next_arrival_s, self._base_change_s)
        at_s = min(at_s, self.now_s - self.now_s % QUARTER_S + QUARTER_S)
        for i in self._present:
            visit = self.visits[i]
            if visit is None:
                continue
            at_s = min(at_s, visit.stay.departure_s)
            if self.draw_a[i] > 0.0:
                left_wh = visit.stay.energy_wh - visit.delivered_wh
                power_w = self.draw_a[i] * visit.stay.watts_per_a
                at_s = min(at_s, self.now_s + left_wh * _WS_PER_WH / power_w)
        return at_s

    def _flow(self, for_s: float) -> None:
        self.flowed.add(self.look(), from_s=self.now_s, for_s=for_s)
        until_s = self.now_s + for_s
        for i in self._present:
            visit = self.visits[i]
            if visit is None or self.draw_a[i] <= 0.0:
                continue
            gained_wh = self.draw_a[i] * visit.stay.watts_per_a * for_s / _WS_PER_WH
            visit.delivered_wh = min(visit.stay.energy_wh, visit.delivered_wh + gained_wh)
            if visit.first_energy_s is None:
                visit.first_energy_s = self.now_s
            visit.last_energy_s = until_s

    def _change(self) -> None:
        """Whatever is due at this moment: who is full, who leaves, who comes, the base load."""
        for i in sorted(self._present):
            visit = self.visits[i]
            if visit is None:
                continue
            if visit.stay.departure_s <= self.now_s:
                self.done.append(visit)
                self.visits[i] = None
                self._present.discard(i)
            self._draw(i)
        while self.next_arrival_s <= self.now_s:
            stay = self._stays[self._next]
            self._next += 1
            self.visits[stay.evse] = Visit(stay)
            self._present.add(stay.evse)
            self._draw(stay.evse)
        if self._base_change_s <= self.now_s:
            self._set_base()

    def _draw(self, i: int) -> None:
        visit, before_a = self.visits[i], self.draw_a[i]
        wants = visit is not None and visit.delivered_wh < visit.stay.energy_wh - _ROUNDING_WH
        if visit is None or not wants or self.setpoint_a[i] < self._least_a[i]:
            self.draw_a[i] = 0.0
        else:
            self.draw_a[i] = min(self.setpoint_a[i], visit.stay.max_a)
        self._dirty = self._dirty or self.draw_a[i] != before_a

    def _set_base(self) -> None:
        if self._base is None:
            return
        self.phasors.set_base(self._base_node, self._base.at(self.now_s))
        self._base_change_s = self._base.next_change_s(self.now_s)
        self._dirty = True
