"""What can be promised for an event, worked out between ticks and in small steps.

1. A mandatory event is promised whole, whatever it costs; what it costs is said.
2. A voluntary one is promised as its program's rule says: whole, as far as no vehicle misses its
   target for it, or not at all.
"""

import math
from collections.abc import Callable, Generator, Sequence
from typing import Final, TypeVar

from edgectl.clock import Instant
from edgectl.daemon.desk.held_event import Promise
from edgectl.grid.ceilings import ceilings
from edgectl.grid.plan import EventPlan
from edgectl.model.ceiling import TimedCeiling
from edgectl.model.ports import Clock
from edgectl.model.reading import VehicleState
from edgectl.model.record import TickRecord
from edgectl.model.site import Site, WhenMissed, nominal_v, nominal_voltages
from edgectl.model.target import ChargeTarget
from edgectl.planning.impact import Missed, Need, Roof, least_floor_w, missed
from edgectl.units import PHASES, EvseId, NodeId

T = TypeVar("T")

_MARGIN: Final = 0.02
_EVSES_AT_ONCE: Final = 500
_TURN_S: Final = 0.001
_SAID_TO_W: Final = 100.0
_SAID_TO_WH: Final = 100.0
_AWAY: Final = frozenset({VehicleState.ABSENT, VehicleState.FAULT})


class Promises:
    """Asked by the desk of events. `latest`: the newest tick; `targets`: what vehicles need.

    `ceilings`: everything else that narrows, by the time it does.
    """

    def __init__(
        self,
        *,
        site: Site,
        latest: Callable[[], TickRecord | None],
        targets: Callable[[], tuple[ChargeTarget, ...]],
        ceilings: Callable[[], tuple[TimedCeiling, ...]],
        clock: Clock,
    ) -> None:
        self._clock = clock
        self._site = site
        self._latest = latest
        self._targets = targets
        self._ceilings = ceilings
        self._first_wh: dict[tuple[str, EvseId], float] = {}

    async def __call__(self, plan: EventPlan, now: Instant) -> Promise:
        """What the event costs and what is promised for it."""
        asked_w = plan.least_w(self._site)
        needs = self._needs()
        if not any(need.departure_utc_s is not None for need in needs) or plan.cancels:
            return Promise(ceiling_w=asked_w)
        event = _roofs(self._site, ceilings((plan,), site=self._site, now_utc_s=now.utc_s))
        others = _standing(self._site) + _roofs(
            self._site, [c for c in self._ceilings() if c.holder.id != plan.event]
        )
        base_w = self._base_w()
        now_utc_s = now.utc_s
        without = await self._in_turns(
            missed(self._site, needs, others, base_w=base_w, now_utc_s=now_utc_s)
        )
        under = await self._in_turns(
            missed(self._site, needs, [*others, *event], base_w=base_w, now_utc_s=now_utc_s)
        )
        cost = _cost(under, without)
        rule = WhenMissed.ACCEPT if plan.program.mandatory else plan.program.when_missed
        if not cost or rule is WhenMissed.ACCEPT:
            return Promise(missing_wh=cost, ceiling_w=asked_w)
        if rule is WhenMissed.REFUSE:
            return Promise(missing_wh=cost, refused=True)
        floor_w = await self._in_turns(
            least_floor_w(
                self._site,
                needs,
                others,
                event,
                base_w=base_w,
                now_utc_s=now_utc_s,
                most_w=self._most_w(needs, base_w),
            )
        )
        floor_w = math.ceil(floor_w / (1 - _MARGIN) / _SAID_TO_W) * _SAID_TO_W
        return Promise(
            ceiling_w=max(floor_w, asked_w or 0.0),
            floor_w=floor_w,
        )

    async def _in_turns(self, steps: Generator[None, None, T]) -> T:
        """Run a long calculation, with a turn for everything else between its steps."""
        at_once = max(1, _EVSES_AT_ONCE // max(1, len(self._site.evses)))
        while True:
            try:
                for _ in range(at_once):
                    next(steps)
            except StopIteration as done:
                value: T = done.value
                return value
            await self._clock.sleep_until(self._clock.monotonic_s() + _TURN_S)

    def _needs(self) -> list[Need]:
        record = self._latest()
        if record is None:
            return []
        targets = {target.evse: target for target in self._targets()}
        needs, volts = [], nominal_voltages(self._site.nodes, self._site.voltage_v)
        for evse in self._site.evses:
            view = record.snapshot.evses.get(evse.id)
            if view is None or view.vehicle in _AWAY:
                continue
            max_w = min(evse.max_a, evse.traits.hardware_max_a) * evse.voltages
            max_w *= volts[evse.node]
            target = targets.get(evse.id)
            if target is None:
                needs.append(Need(evse=evse.id, max_w=max_w, weight=evse.weight))
                continue
            # What was charged before the target was set does not count towards it.
            have_wh = view.session_wh or 0.0
            first_wh = self._first_wh.setdefault((target.holder.id, evse.id), have_wh)
            needs.append(
                Need(
                    evse=evse.id,
                    max_w=max_w,
                    wh=max(0.0, target.energy_wh - max(0.0, have_wh - first_wh)),
                    departure_utc_s=target.departure_utc_s,
                    weight=evse.weight,
                )
            )
        known = {(target.holder.id, target.evse) for target in targets.values()}
        for key in set(self._first_wh) - known:
            del self._first_wh[key]
        return needs

    def _base_w(self) -> dict[NodeId, float]:
        record = self._latest()
        if record is None:
            return {}
        return {node: one.base_va for node, one in record.decision.nodes.items()}

    def _most_w(self, needs: Sequence[Need], base_w: dict[NodeId, float]) -> float:
        return sum(need.max_w for need in needs) + max(base_w.values(), default=0.0)


def _cost(under: Sequence[Missed], without: Sequence[Missed]) -> tuple[tuple[str, float], ...]:
    """What is missing because of the event, to a tenth of a kWh."""
    anyway = {one.evse: one.wh for one in without}
    found = ((one.evse, one.wh - anyway.get(one.evse, 0.0)) for one in under)
    return tuple(
        (evse, round(wh / _SAID_TO_WH) * _SAID_TO_WH) for evse, wh in found if wh > _SAID_TO_WH
    )


def _standing(site: Site) -> list[Roof]:
    """The configured limits less the default margin, as power."""
    roofs, volts = [], nominal_voltages(site.nodes, site.voltage_v)
    for node in site.nodes:
        limits = [a * volts[node.id] for a in node.limit_a if a is not None]
        if len(limits) == len(PHASES):
            roofs.append(Roof(node=node.id, limit_w=sum(limits) * (1 - _MARGIN)))
        if node.limit_va is not None:
            roofs.append(Roof(node=node.id, limit_w=node.limit_va * (1 - _MARGIN)))
    return roofs


def _roofs(site: Site, timed: Sequence[TimedCeiling]) -> list[Roof]:
    phases = {evse.id: evse.phases for evse in site.evses}
    roofs: list[Roof] = []
    for one in timed:
        wired = PHASES if one.evse is None else phases.get(one.evse, PHASES)
        amps = [a for p in wired if (a := one.limit_a[p - 1]) is not None]
        found = [] if one.limit_w is None else [one.limit_w]
        if len(amps) == len(wired):
            found.append(sum(amps) * nominal_v(site, node=one.node, evse=one.evse))
        roofs.extend(
            Roof(
                limit_w=limit_w * (1 - _MARGIN),
                from_utc_s=one.from_utc_s,
                until_utc_s=math.inf if one.until_utc_s is None else one.until_utc_s,
                node=one.node,
                evse=one.evse,
            )
            for limit_w in found
        )
    return roofs
