"""What was measured and decided since the last batch, as samples for the region.

1. A sample's time is its reading's own; a silent device repeats both value and time.
2. What was never measured is left out.
"""

from dataclasses import dataclass
from typing import Final, TypeVar

from edgectl.clock import Instant
from edgectl.contract.envelope import rfc3339
from edgectl.contract.messages import Sample
from edgectl.contract.vocabulary import Quality, Quantity, of_phase
from edgectl.model.decision import NodeDecision
from edgectl.model.reading import EvseSample, MeterSample, quality_at
from edgectl.model.record import TickRecord
from edgectl.model.snapshot import EvseView, MeterView
from edgectl.units import PHASES, OptionalTriple

_S = TypeVar("_S", MeterSample, EvseSample)

_CURRENT: Final = of_phase("current_a")
_VOLTAGE: Final = of_phase("voltage_v")
_POWER: Final = of_phase("power_w")
_CEILING: Final = of_phase("ceiling_a")
_BASE: Final = of_phase("base_a")
_COMMITTED: Final = of_phase("committed_a")


@dataclass(slots=True)
class _Series:
    """The newest value of one quantity, and the extremes of the interval that runs."""

    taken_s: float
    value: float
    least: float
    greatest: float
    readings: int = 0

    def add(self, taken_s: float, value: float) -> None:
        self.taken_s = taken_s
        self.value = value
        self.least = value if not self.readings else min(self.least, value)
        self.greatest = value if not self.readings else max(self.greatest, value)
        self.readings += 1


class Measured:
    """Collects readings tick by tick and gives them out as one batch."""

    def __init__(self) -> None:
        self._series: dict[str, dict[Quantity, _Series]] = {}
        self._seen_s: dict[str, float] = {}

    def take(self, record: TickRecord) -> None:
        """Add every reading that is new in this tick's snapshot."""
        for meter, meter_view in record.snapshot.meters.items():
            self._take_meter(meter, meter_view)
        for evse, evse_view in record.snapshot.evses.items():
            self._take_evse(evse, evse_view)

    def batch(self, record: TickRecord) -> list[Sample]:
        """Give everything that is known as of the tick, and begin the next interval."""
        now = record.now
        samples: list[Sample] = []
        for meter in record.snapshot.site.meters:
            samples += self._samples(meter.id, poll_s=meter.poll_s, now=now)
        for evse in record.snapshot.site.evses:
            samples += self._samples(evse.id, poll_s=evse.traits.poll_s, now=now)
            decided = record.decision.evses.get(evse.id)
            if decided is not None:
                samples.append(_sample(evse.id, Quantity.SETPOINT_A, now, decided.setpoint_a))
        for node, decision in record.decision.nodes.items():
            samples += _node_samples(node, decision, now)
        return samples

    def _take_meter(self, meter: str, view: MeterView) -> None:
        for sample in self._unseen(meter, view.samples):
            self._add_triple(meter, sample.taken_s, _CURRENT, sample.current_a)
            self._add_triple(meter, sample.taken_s, _VOLTAGE, sample.voltage_v)
            self._add_triple(meter, sample.taken_s, _POWER, sample.power_w)
            known = [power for power in sample.power_w if power is not None]
            wired = [current for current in sample.current_a if current is not None]
            if known and len(known) >= len(wired):
                self._add(meter, sample.taken_s, Quantity.POWER_W, sum(known))
            self._add(meter, sample.taken_s, Quantity.ENERGY_IMPORT_WH, sample.energy_import_wh)
            self._add(meter, sample.taken_s, Quantity.ENERGY_EXPORT_WH, sample.energy_export_wh)

    def _take_evse(self, evse: str, view: EvseView) -> None:
        for sample in self._unseen(evse, view.samples):
            self._add_triple(evse, sample.taken_s, _CURRENT, sample.current_a)
            self._add(evse, sample.taken_s, Quantity.POWER_W, sample.power_w)
        if view.last_answer_s is not None:
            self._add(evse, view.last_answer_s, Quantity.SESSION_WH, view.session_wh)
            self._add(evse, view.last_answer_s, Quantity.ENERGY_IMPORT_WH, view.energy_wh)

    def _unseen(self, device: str, samples: tuple[_S, ...]) -> list[_S]:
        seen_s = self._seen_s.get(device, float("-inf"))
        unseen = [sample for sample in samples if sample.taken_s > seen_s]
        if unseen:
            self._seen_s[device] = unseen[-1].taken_s
        return unseen

    def _add_triple(
        self,
        device: str,
        taken_s: float,
        quantities: tuple[tuple[int, Quantity], ...],
        values: OptionalTriple,
    ) -> None:
        for index, quantity in quantities:
            self._add(device, taken_s, quantity, values[index])

    def _add(self, device: str, taken_s: float, quantity: Quantity, value: float | None) -> None:
        if value is None:
            return
        of_device = self._series.setdefault(device, {})
        series = of_device.get(quantity)
        if series is None:
            series = of_device[quantity] = _Series(taken_s, value, value, value)
        series.add(taken_s, value)

    def _samples(self, device: str, *, poll_s: float, now: Instant) -> list[Sample]:
        samples = []
        for quantity, series in self._series.get(device, {}).items():
            spread = series.readings > 1 and quantity not in _COUNTERS
            samples.append(
                Sample(
                    id=device,
                    q=quantity,
                    t=_utc(series.taken_s, now),
                    v=round(series.value, 3),
                    min=round(series.least, 3) if spread else None,
                    max=round(series.greatest, 3) if spread else None,
                    quality=quality_at(now.mono_s - series.taken_s, poll_s=poll_s),
                )
            )
            series.readings = 0
        return samples


_COUNTERS: Final = frozenset(
    {Quantity.ENERGY_IMPORT_WH, Quantity.ENERGY_EXPORT_WH, Quantity.SESSION_WH}
)


def _node_samples(node: str, decision: NodeDecision, now: Instant) -> list[Sample]:
    quality = decision.quality
    samples = []
    for phase in PHASES:
        index = phase - 1
        committed_a = decision.account_a[index] - decision.base_a[index]
        for (_, quantity), value in (
            (_CEILING[index], decision.ceiling_a[index]),
            (_BASE[index], decision.base_a[index]),
            (_COMMITTED[index], committed_a),
        ):
            if value is not None:
                samples.append(_sample(node, quantity, now, value, quality))
    if decision.ceiling_va is not None:
        samples.append(_sample(node, Quantity.CEILING_VA, now, decision.ceiling_va, quality))
    return samples


def _sample(
    id_: str, quantity: Quantity, now: Instant, value: float, quality: Quality = Quality.GOOD
) -> Sample:
    return Sample(id=id_, q=quantity, t=rfc3339(now.utc_s), v=round(value, 3), quality=quality)


def _utc(taken_s: float, now: Instant) -> str:
    return rfc3339(now.utc_s - (now.mono_s - taken_s))
