"""What a node or an EVSE draws at a tick, for the ledger: measured where there is a meter."""

from collections.abc import Iterator
from dataclasses import dataclass

from edgectl.grid.ledger import Cause
from edgectl.grid.targets import Element
from edgectl.model.decision import AlarmCode
from edgectl.model.reading import EvseSample, MeterSample, Quality
from edgectl.model.record import TickRecord
from edgectl.model.site import Connection, Evse, Site, nominal_voltages
from edgectl.units import EvseId, NodeId

_FRESH_S = 15.0


@dataclass(frozen=True, slots=True)
class Power:
    """`good`: measured by a meter of that place, fresh."""

    power_w: float
    good: bool


def power_at(record: TickRecord, element: Element, below: frozenset[EvseId]) -> Power | None:
    """What is drawn there; None where nothing is known. Fed back is negative."""
    site = record.snapshot.site
    if element.evse is not None:
        return next(_evse_powers(record, frozenset({element.evse})), None)
    meter = next((m for m in site.meters if m.node == element.node), None)
    if meter is not None and element.node is not None:
        view = record.snapshot.meters.get(meter.id)
        sample = view.samples[-1] if view is not None and view.samples else None
        if sample is not None and record.now.mono_s - sample.taken_s <= _FRESH_S:
            power_w = _meter_w(sample, site, element.node)
            if power_w is not None:
                good = record.decision.nodes[element.node].quality is Quality.GOOD
                return Power(power_w, good)
    node = None if element.node is None else record.decision.nodes.get(element.node)
    if node is None:
        return None
    drawn_w = sum(power.power_w for power in _evse_powers(record, below))
    return Power(node.base_va + drawn_w, good=False)


def cause_at(record: TickRecord, node: NodeId | None, below: frozenset[EvseId]) -> Cause:
    """What is the matter while more is drawn than was promised."""
    decision = record.decision
    if node is not None:
        found = decision.nodes[node]
        if found.quality is not Quality.GOOD:
            return Cause.METER
        if found.deficit_va > 0 or any(found.deficit_a):
            return Cause.BASE_LOAD
    if any(decision.evses[evse].silent for evse in below):
        return Cause.CHARGER_SILENT
    if any(a.code is AlarmCode.EXCEEDS_SETPOINT and a.id in below for a in decision.alarms):
        return Cause.EXCEEDS_SETPOINT
    return Cause.SETTLING


def _meter_w(sample: MeterSample, site: Site, node: NodeId) -> float | None:
    one_w, two_w, three_w = sample.power_w
    if one_w is not None and two_w is not None and three_w is not None:
        return one_w + two_w + three_w
    nominal_v = nominal_voltages(site.nodes, site.voltage_v)[node]
    total_w, known = 0.0, False
    for current_a, voltage_v in zip(sample.current_a, sample.voltage_v, strict=True):
        if current_a is not None:
            known = True
            total_w += current_a * (nominal_v if voltage_v is None else voltage_v)
    return total_w if known else None


def _evse_powers(record: TickRecord, wanted: frozenset[EvseId]) -> Iterator[Power]:
    """Of those of which something is known."""
    site = record.snapshot.site
    volts = nominal_voltages(site.nodes, site.voltage_v)
    for evse in site.evses:
        if evse.id in wanted:
            power = _evse_power(record, evse, volts[evse.node])
            if power is not None:
                yield power


def _evse_power(record: TickRecord, evse: Evse, volts: float) -> Power | None:
    view = record.snapshot.evses.get(evse.id)
    sample: EvseSample | None = view.samples[-1] if view is not None and view.samples else None
    if sample is None:
        return None
    fresh = record.now.mono_s - sample.taken_s <= _FRESH_S
    if sample.power_w is not None:
        return Power(sample.power_w, good=fresh)
    power_w = drawn_w(evse, sample, volts)
    return None if power_w is None else Power(power_w, good=fresh)


def drawn_w(evse: Evse, sample: EvseSample, volts: float) -> float | None:
    """The power of measured currents, at `volts` line to neutral; None where there are none."""
    known = [current_a for current_a in sample.current_a if current_a is not None]
    if not known:
        return None
    if evse.connection is Connection.LINE_TO_LINE:
        return max(known) * evse.voltages * volts
    return sum(known) * volts
