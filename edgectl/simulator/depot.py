"""The simulated depot: chargers, vehicles, meters and base load on one electrical tree.

1. Time comes in: every read, write and look at the truth first moves the physics to the clock's
   present.
2. The physics moves in fixed steps, so that a run does not depend on who looks and when.
3. Everything drawn at random comes from the seed.
"""

import heapq
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from edgectl.model.quick import maker
from edgectl.model.site import (
    Connection,
    Evse,
    Meter,
    Site,
    has_phasors,
    nominal_voltages,
)
from edgectl.simulator.device.charge_point import ChargePoint
from edgectl.simulator.device.charx import CharxSec
from edgectl.simulator.device.device_catalog import (
    ChargerOf,
    SimulatedMeter,
    is_dc,
    refuse_unknown,
    simulated_charger,
    simulated_meter,
)
from edgectl.simulator.device.simulated_device import Charger, Words
from edgectl.simulator.device.simulated_meters import Measured
from edgectl.simulator.device.station import DepotStation, Unit, silent
from edgectl.simulator.faults import AROUND, Fault, FaultKind
from edgectl.simulator.phasor_tree import PhasorTree
from edgectl.simulator.sessions import Session
from edgectl.simulator.trace import EvseTrace, NodeTruth, Trace
from edgectl.simulator.tree import Tree
from edgectl.units import EvseId, LinkId, MeterId, NodeId, Triple

_BASE_STEP_S: Final = 1.0
_TRACE_STEP_S: Final = 0.25
_NEVER_S: Final = math.inf
_ROUNDING_S: Final = 1e-9
_NONSENSE_A: Final = 2_147_483.647
"""On a meter's first two terminals: out of the range of one that gives floats, and what one that
counts whole milliamperes says where it has no value."""

_VEHICLE: Final = frozenset({FaultKind.VEHICLE_EXCEEDS, FaultKind.VEHICLE_IGNORES})
_NONE: Final[frozenset[FaultKind]] = frozenset()
_AT_ONCE: Final = frozenset({FaultKind.REBOOT, FaultKind.OTHER_MASTER})


_measured = maker(Measured)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Who comes when, and what goes wrong; times count from the scenario's start."""

    sessions: tuple[Session, ...] = ()
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseTruth:
    """One EVSE as it truly is.

    `limit_a` is what its charger allows, `pilot_a` what the vehicle is told.
    """

    state: str
    limit_a: float
    pilot_a: float
    current_a: float
    session_wh: float
    silent: bool


@dataclass(slots=True)
class _Outlet:
    evse: Evse
    point: ChargePoint
    node: int
    between_lines: bool
    charger: "_Charger"
    trace: EvseTrace
    asked_a: float = 0.0
    faults: list[Fault] = field(default_factory=list)


@dataclass(slots=True)
class _Charger:
    device: Charger
    next_sample_s: float
    outlets: dict[int, _Outlet] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    events: list[tuple[float, Fault]] = field(default_factory=list)

    def asked(self, address: int, words: Words) -> None:
        """Note the setpoint that a write carries."""
        setpoint = self.device.setpoint_of(address, words)
        if setpoint is not None and setpoint[0] in self.outlets:
            self.outlets[setpoint[0]].asked_a = setpoint[1]


@dataclass(slots=True)
class _Meter:
    meter: Meter
    device: SimulatedMeter
    node: int
    next_sample_s: float
    sampled_s: float
    faults: list[Fault] = field(default_factory=list)
    import_wh: float = 0.0
    export_wh: float = 0.0


class Depot:
    """A site's physics and devices. Built by `build_depot`."""

    def __init__(
        self,
        site: Site,
        *,
        seed: int,
        clock: Callable[[], float],
        step_s: float,
        record: bool,
        charger_of: ChargerOf,
    ) -> None:
        self.site = site
        self.trace = Trace(nodes={node.id: [] for node in site.nodes})
        self._clock = clock
        self._step_s = step_s
        self._record = record
        self._rng = random.Random(seed)
        self._chances = random.Random(f"chances {seed}")
        self._later: list[tuple[float, int, Callable[[float], object]]] = []
        self._number = 0
        self._dark_until_s = -_NEVER_S
        self._now_s = self._start_s = clock()
        self._next_base_s = self._now_s
        self._next_trace_s = _NEVER_S
        self._agenda: list[tuple[float, Session, bool]] = []
        self._faults: tuple[Fault, ...] = ()
        self._step_edges_s: list[float] = []
        self._delivered_wh = 0.0
        self._dirty = True
        self._nominal_v = nominal_voltages(site.nodes, site.voltage_v)
        self._tree = PhasorTree(site, self._rng) if has_phasors(site) else Tree(site, self._rng)
        self._stations = {link.id: DepotStation(self) for link in site.links}
        self._outlets: dict[EvseId, _Outlet] = {}
        self._chargers: list[_Charger] = []
        self._meters: dict[MeterId, _Meter] = {}
        self._add_chargers(charger_of)
        for meter in site.meters:
            known = [m for m in self._meters.values() if _same_device(m.meter, meter)]
            if known:
                self._meters[meter.id] = known[0]
                self.trace.meter_answers_s[meter.id] = self.trace.meter_answers_s[known[0].meter.id]
            else:
                self._add_meter(meter)
        self._settle()

    def begin(self, scenario: Scenario) -> None:
        """Start the one scenario now: its times count from this moment, and so does the trace."""
        self.advance()
        self._start_s = self._now_s
        self._faults = tuple(fault for fault in scenario.faults if fault.kind not in AROUND)
        comings = [(session.arrival_s, session, True) for session in scenario.sessions]
        goings = [(session.departure_s, session, False) for session in scenario.sessions]
        self._agenda = sorted(
            comings + goings, key=lambda entry: (-entry[0], entry[2], entry[1].evse)
        )
        for fault in self._faults:
            self._place(fault)
        self._next_trace_s = self._now_s if self._record else _NEVER_S

    def advance(self, now_s: float | None = None) -> None:
        """Move the physics on to `now_s`, by default the clock's present."""
        until_s = (self._clock() if now_s is None else now_s) + _ROUNDING_S
        while self._now_s + self._step_s <= until_s:
            self._now_s += self._step_s
            self._step(self._now_s)

    def now_s(self) -> float:
        """Give the clock's present, up to a step later than what the physics stands at."""
        return self._clock()

    def scenario_s(self) -> float:
        """Give where the physics stands, in seconds of the scenario."""
        return self._now_s - self._start_s

    def chance(self) -> float:
        """Draw a number from 0 to 1, for what happens to one request."""
        return self._chances.random()

    def later(self, delay_s: float, act: Callable[[float], object]) -> None:
        """Have `act` called with the time, once `delay_s` is over."""
        self._number += 1
        heapq.heappush(self._later, (self._clock() + delay_s, self._number, act))

    def station_for(self, link: LinkId) -> DepotStation:
        """Give everything that answers on one link."""
        return self._stations[link]

    def stations(self) -> Mapping[LinkId, DepotStation]:
        """Give every link's station."""
        return self._stations

    def node_truth(self, node: NodeId) -> NodeTruth:
        """Give what truly flows at a node, everything below it included."""
        self.advance()
        return self._tree.truth(self._tree.index[node])

    def true_current_a(self, node: NodeId) -> Triple:
        """Give the true current per site phase at a node."""
        return self.node_truth(node).current_a

    def evse_truth(self, evse: EvseId) -> EvseTruth:
        """Give one EVSE as it truly is."""
        self.advance()
        outlet = self._outlets[evse]
        point = outlet.point
        return EvseTruth(
            state=point.iec_state,
            limit_a=point.limit_a,
            pilot_a=point.pilot_a,
            current_a=point.current_a,
            session_wh=point.session_wh,
            silent=silent(outlet.charger.faults, self.scenario_s()),
        )

    def delivered_wh(self) -> float:
        """Give the energy that the vehicles have taken."""
        return self._delivered_wh

    def active_faults(self) -> tuple[Fault, ...]:
        """Give the faults that are there now."""
        scenario_s = self.scenario_s()
        return tuple(fault for fault in self._faults if fault.active(scenario_s))

    def _add_chargers(self, charger_of: ChargerOf) -> None:
        by_charger: dict[tuple[LinkId, int], list[Evse]] = {}
        for evse in self.site.evses:
            by_charger.setdefault((evse.link, evse.unit), []).append(evse)
        for (link, number), evses in by_charger.items():
            points = self._points(evses)
            device = charger_of(evses[0], points, voltage_v=self._nominal_v[evses[0].node])
            charger = _Charger(device, self._now_s + self._rng.random() * device.refresh_s)
            device.reboot(self._now_s)
            self._chargers.append(charger)
            for evse in evses:
                point = points[evse.connector - 1]
                node = self._tree.index[evse.node]
                trace = self.trace.evses[evse.id] = EvseTrace()
                outlet = _Outlet(
                    evse,
                    point,
                    node,
                    evse.connection is Connection.LINE_TO_LINE,
                    charger,
                    trace,
                    asked_a=point.limit_a,
                )
                self._outlets[evse.id] = charger.outlets[evse.connector] = outlet
            unit = Unit(
                device=device,
                faults=charger.faults,
                any_unit=isinstance(device, CharxSec),
                asked=charger.asked,
            )
            self._stations[link].add(number, unit)

    def _points(self, evses: Sequence[Evse]) -> tuple[ChargePoint, ...]:
        by_connector = {evse.connector: evse for evse in evses}
        points = []
        for connector in range(1, max(by_connector) + 1):
            evse = by_connector.get(connector, evses[0])
            lifetime_wh = float(self._rng.randrange(100_000, 20_000_000))
            points.append(
                ChargePoint(
                    terminals=len(evse.phases),
                    max_a=evse.max_a,
                    lifetime_wh=lifetime_wh,
                    dc=is_dc(evse),
                    between_lines=evse.connection is Connection.LINE_TO_LINE,
                    voltage_v=self._nominal_v[evse.node],
                    volts_share=self._nominal_v[evse.node] / self.site.voltage_v,
                )
            )
        return tuple(points)

    def _add_meter(self, meter: Meter) -> None:
        device = simulated_meter(meter)
        box = _Meter(
            meter=meter,
            device=device,
            node=self._tree.index[meter.node],
            next_sample_s=self._now_s + self._rng.random() * device.refresh_s,
            sampled_s=self._now_s,
        )
        self._meters[meter.id] = box
        answers_s = self.trace.meter_answers_s[meter.id] = []
        self._stations[meter.link].add(
            meter.unit,
            Unit(
                device=device,
                faults=box.faults,
                any_unit=False,
                answers_s=answers_s if self._record else None,
            ),
        )

    def _place(self, fault: Fault) -> None:
        if fault.kind is FaultKind.BASE_STEP:
            self._tree.add_step(fault)
            ends_s = [] if fault.until_s is None else [fault.until_s]
            self._step_edges_s = sorted([*self._step_edges_s, fault.at_s, *ends_s], reverse=True)
        elif fault.kind is FaultKind.SITE_POWER:
            self._place_power_cut(fault)
        elif fault.id in self._meters:
            self._meters[MeterId(fault.id)].faults.append(fault)
        else:
            outlet = self._outlets[EvseId(fault.id)]
            outlet.charger.faults.append(fault)
            if fault.kind in _VEHICLE:
                outlet.faults.append(fault)
            if fault.kind in _AT_ONCE:
                _in_order(outlet.charger.events, (fault.at_s, fault))

    def _place_power_cut(self, fault: Fault) -> None:
        """Everything is off; when the power returns every charger boots, and answers later."""
        until_s = fault.at_s if fault.until_s is None else fault.until_s
        for charger in self._chargers:
            charger.faults.append(replace(fault, until_s=until_s + fault.delay_s))
            _in_order(charger.events, (fault.at_s, fault))
            _in_order(charger.events, (until_s, replace(fault, kind=FaultKind.REBOOT)))
        for meter in self._meters.values():
            meter.faults.append(replace(fault, kind=FaultKind.METER_SILENT))

    def _settle(self) -> None:
        self._tree.move_base(now_s=self._now_s, scenario_s=-1.0)
        self._sum_up()
        for charger in self._chargers:
            charger.device.sample()
        for meter in self._meters.values():
            self._sample(meter, self._now_s)

    def _step(self, now_s: float) -> None:
        scenario_s = now_s - self._start_s
        while self._agenda and self._agenda[-1][0] <= scenario_s:
            _, session, arrives = self._agenda.pop()
            point = self._outlets[session.evse].point
            if arrives:
                point.plug(session.vehicle, now_s=now_s)
            else:
                point.unplug()
            self._dirty = True
        edge = bool(self._step_edges_s) and self._step_edges_s[-1] <= scenario_s
        if edge:
            self._step_edges_s.pop()
        if edge or now_s >= self._next_base_s:
            self._next_base_s = now_s + _BASE_STEP_S
            dark = scenario_s < self._dark_until_s
            self._tree.move_base(now_s=now_s, scenario_s=scenario_s, dark=dark)
            self._dirty = True
        while self._later and self._later[0][0] <= now_s:
            heapq.heappop(self._later)[2](now_s)
        self._step_chargers(now_s, scenario_s)
        if self._dirty:
            self._sum_up()
        self._refresh(now_s)
        if now_s >= self._next_trace_s:
            self._next_trace_s = now_s + _TRACE_STEP_S - _ROUNDING_S
            self.trace.times_s.append(scenario_s)
            self.trace.mean_v.append(self._tree.mean_v)
            for node, k in self._tree.index.items():
                self.trace.nodes[node].append(self._tree.truth(k))
            for outlet in self._outlets.values():
                outlet.trace.drawn_a.append(outlet.point.current_a)
                outlet.trace.phases.append(outlet.point.used_phases)
                outlet.trace.limit_a.append(outlet.point.limit_a)
                outlet.trace.asked_a.append(outlet.asked_a)
                outlet.trace.state.append(outlet.point.iec_state)

    def _step_chargers(self, now_s: float, scenario_s: float) -> None:
        step_s, mean_v = self._step_s, self._tree.mean_v
        for charger in self._chargers:
            device = charger.device
            if charger.faults and self._misbehave(charger, now_s, scenario_s):
                continue
            device.step(now_s)
            for point in device.points:
                if point.vehicle is None and point.pilot_a == point.limit_a:
                    continue
                before_wh = point.lifetime_wh
                if point.step(now_s, step_s, mean_v):
                    self._dirty = True
                self._delivered_wh += point.lifetime_wh - before_wh

    def _misbehave(self, charger: _Charger, now_s: float, scenario_s: float) -> bool:
        """Let a charger's faults begin and end; True while it has no power."""
        while charger.events and charger.events[0][0] <= scenario_s:
            self._befall(charger, charger.events.pop(0)[1], now_s)
        if scenario_s < self._dark_until_s:
            return True
        for outlet in charger.outlets.values():
            if outlet.faults:
                active = [fault for fault in outlet.faults if fault.active(scenario_s)]
                outlet.point.misbehave(
                    deaf=any(fault.kind is FaultKind.VEHICLE_IGNORES for fault in active),
                    excess_a=sum(fault.amount_a for fault in active),
                    now_s=now_s,
                )
        return False

    def _befall(self, charger: _Charger, fault: Fault, now_s: float) -> None:
        """Let one thing happen to a charger that is over in a moment."""
        self._dirty = True
        if fault.kind is FaultKind.SITE_POWER:
            for point in charger.device.points:
                point.power_loss(now_s=now_s)
            until_s = fault.at_s if fault.until_s is None else fault.until_s
            self._dark_until_s = max(self._dark_until_s, until_s)
        elif fault.kind is FaultKind.REBOOT:
            charger.device.reboot(now_s)
        else:
            outlet = self._outlets[EvseId(fault.id)]
            function, address, words = charger.device.setpoint_write(
                outlet.evse.connector, fault.amount_a
            )
            charger.device.write(function, address, words, now_s)

    def _sum_up(self) -> None:
        self._dirty = False
        loads = []
        for outlet in self._outlets.values():
            amps = outlet.point.current_a
            if amps > 0.0:
                phases = outlet.evse.phases[: outlet.point.used_phases]
                loads.append((outlet.node, phases, outlet.between_lines, amps))
        self._tree.sum_up(loads)

    def _refresh(self, now_s: float) -> None:
        for charger in self._chargers:
            if now_s >= charger.next_sample_s:
                charger.next_sample_s += charger.device.refresh_s
                if not self._is_stuck(charger, now_s):
                    charger.device.sample()
        for meter in self._meters.values():
            if now_s >= meter.next_sample_s:
                meter.next_sample_s += meter.device.refresh_s
                self._sample(meter, now_s)

    def _is_stuck(self, charger: _Charger, now_s: float) -> bool:
        scenario_s = now_s - self._start_s
        return any(
            fault.kind is FaultKind.VALUES_STUCK and fault.active(scenario_s)
            for fault in charger.faults
        )

    def _sample(self, box: _Meter, now_s: float) -> None:
        scenario_s = now_s - self._start_s
        wrong = _NONE
        if box.faults:
            wrong = frozenset(fault.kind for fault in box.faults if fault.active(scenario_s))
        if FaultKind.METER_STUCK in wrong:
            return
        seen = self._tree.seen(box.node, box.meter.sees)
        voltage_v, current_a, power_w = [0.0] * 3, [0.0] * 3, [0.0] * 3
        for terminal, phase in enumerate(box.meter.phases):
            voltage_v[terminal] = seen.voltage_v[phase - 1]
            current_a[terminal] = seen.current_a[phase - 1]
            power_w[terminal] = box.meter.sign * seen.power_w[phase - 1]
        if FaultKind.METER_NONSENSE in wrong:
            current_a[0] = current_a[1] = _NONSENSE_A
        gained_wh = sum(power_w) * (now_s - box.sampled_s) / 3600.0
        if gained_wh >= 0.0:
            box.import_wh += gained_wh
        else:
            box.export_wh -= gained_wh
        box.sampled_s = now_s
        box.device.sample(
            _measured(
                voltage_v=(voltage_v[0], voltage_v[1], voltage_v[2]),
                current_a=(current_a[0], current_a[1], current_a[2]),
                power_w=(power_w[0], power_w[1], power_w[2]),
                import_wh=box.import_wh,
                export_wh=box.export_wh,
            )
        )


def _same_device(one: Meter, other: Meter) -> bool:
    return (one.link, one.unit) == (other.link, other.unit)


def _in_order(events: list[tuple[float, Fault]], event: tuple[float, Fault]) -> None:
    events.append(event)
    events.sort(key=lambda one: one[0])


def build_depot(
    site: Site,
    *,
    seed: int,
    clock: Callable[[], float],
    scenario: Scenario | None = None,
    step_s: float = 0.25,
    record: bool = False,
    charger_of: ChargerOf = simulated_charger,
) -> Depot:
    """Build the simulated depot of a site; with a scenario it begins at once.

    `clock` gives monotonic seconds. `record` keeps the trace that a report is made of. `charger_of`
    makes the device of an EVSE. Raises BadInput where the site names something that has no
    simulated counterpart.
    """
    refuse_unknown(site, charger_of)
    depot = Depot(site, seed=seed, clock=clock, step_s=step_s, record=record, charger_of=charger_of)
    if scenario is not None:
        depot.begin(scenario)
    return depot
