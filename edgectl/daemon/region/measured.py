"""What was measured and decided, as samples for the region: how often, the site file says.

1. A sample's time is that of its newest reading; a silent device repeats both value and time.
2. Over its interval a measured value is averaged, with its extremes; a counter, and what is in
   force, is given as it stands at the end.
3. A sample within the dead band of the one before is left out: what the region has, still holds.
   A quality that changed is always told, and everything is told again every `at_least_s`.
4. What was never measured is left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, TypeVar

from edgectl.clock import Instant
from edgectl.contract.envelope import rfc3339
from edgectl.contract.messages import COARSE_S, Sample
from edgectl.contract.vocabulary import Quality, Quantity, of_phase
from edgectl.model.decision import NodeDecision
from edgectl.model.reading import (
    FRESH_POLLS,
    EvseSample,
    MeterSample,
    quality_at,
    taken_after,
)
from edgectl.model.record import TickRecord
from edgectl.model.settings import Sampling, TelemetrySettings
from edgectl.model.snapshot import EvseView, MeterView
from edgectl.units import PHASES, OptionalTriple

_S = TypeVar("_S", MeterSample, EvseSample)

_CURRENT: Final = of_phase("current_a")
_VOLTAGE: Final = of_phase("voltage_v")
_POWER: Final = of_phase("power_w")
_CEILING: Final = of_phase("ceiling_a")
_EXPORT_CEILING: Final = of_phase("export_ceiling_a")
_BASE: Final = of_phase("base_a")
_COMMITTED: Final = of_phase("committed_a")

COUNTER_POLL_S: Final = 30.0
"""Devices are asked for their counters so often, as a rule; profiles may say otherwise."""

_COUNTERS: Final = frozenset(
    {Quantity.ENERGY_IMPORT_WH, Quantity.ENERGY_EXPORT_WH, Quantity.SESSION_WH}
)
_IN_FORCE: Final = frozenset(
    {
        *(Quantity.SETPOINT_A, Quantity.CEILING_VA, Quantity.EXPORT_CEILING_W),
        *(quantity for _, quantity in (*_CEILING, *_EXPORT_CEILING)),
    }
)


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples that are due. `coarse` ones stay when a backlog is thinned."""

    coarse: tuple[Sample, ...] = ()
    fine: tuple[Sample, ...] = ()


@dataclass(slots=True)
class _Sent:
    value: float
    quality: Quality
    sent_s: float


@dataclass(slots=True)
class _Series:
    """One quantity of one thing: its newest value, and the interval that runs.

    `poll_s` None: it is decided, not measured, and `quality` says how far it may be believed.
    """

    quantity: Quantity
    sampling: Sampling
    poll_s: float | None
    taken_s: float = 0.0
    value: float = 0.0
    quality: Quality = Quality.GOOD
    readings: int = 0
    total: float = 0.0
    least: float = 0.0
    greatest: float = 0.0
    sent: _Sent | None = None

    def add(self, taken_s: float, value: float) -> None:
        self.taken_s = taken_s
        self.value = value
        if not self.readings or value < self.least:
            self.least = value
        if not self.readings or value > self.greatest:
            self.greatest = value
        self.total += value
        self.readings += 1

    def worth(self) -> float:
        """What the interval comes to."""
        as_it_stands = self.quantity in _COUNTERS or self.quantity in _IN_FORCE
        if as_it_stands or not self.readings:
            return self.value
        return self.total / self.readings

    def spread(self) -> tuple[float, float] | None:
        """Extremes of the interval, where it has any."""
        if self.readings < 2 or self.quantity in _COUNTERS:
            return None
        return self.least, self.greatest

    def quality_at(self, now_s: float) -> Quality:
        if self.poll_s is None:
            return self.quality
        poll_s = self.poll_s
        if self.quantity in _COUNTERS:
            # A counter is read seldom, and what it counted stays true.
            poll_s = max(poll_s, COUNTER_POLL_S)
            return Quality.GOOD if now_s - self.taken_s <= FRESH_POLLS * poll_s else Quality.STALE
        return quality_at(now_s - self.taken_s, poll_s=poll_s)

    def left_band(self, *values: float) -> bool:
        """Whether any of the values is out of the dead band around what was sent last."""
        band = self.sampling.dead_band
        if self.sent is None or band is None:
            return True
        return any(abs(value - self.sent.value) > band for value in values)

    def begin_anew(self) -> None:
        self.readings = 0
        self.total = 0.0


@dataclass(slots=True)
class _Rhythm:
    """All series of one interval fall due together; `coarse_s`: when a coarse batch is due."""

    due_s: float
    coarse_s: float


@dataclass(slots=True)
class Measured:
    """Collects readings tick by tick and gives out what is due."""

    settings: TelemetrySettings
    _series: dict[tuple[str, Quantity], _Series] = field(default_factory=dict)
    _on_change: dict[tuple[str, Quantity], _Series] = field(default_factory=dict)
    _intervals_s: set[float] = field(default_factory=set)
    _seen_s: dict[str, float] = field(default_factory=dict)
    _rhythms: dict[float, _Rhythm] = field(default_factory=dict)

    def take(self, record: TickRecord) -> Batch:
        """Add what is new in this tick and give what is due after it."""
        self._collect(record)
        now = record.now
        coarse: list[Sample] = []
        fine: list[Sample] = []
        due = {every_s: self._is_due(every_s, now.mono_s) for every_s in self._intervals_s}
        # Most ticks end no interval, and then only what is told of at once can be news.
        ends = any(is_due for is_due, _ in due.values())
        for (id_, _), series in (self._series if ends else self._on_change).items():
            is_due, is_coarse = due[series.sampling.every_s]
            if is_due and self._is_news(series, now.mono_s):
                (coarse if is_coarse else fine).append(_sample(id_, series, now))
            elif not is_due and series.sampling.on_change and series.left_band(series.value):
                series.begin_anew()
                fine.append(_sample(id_, series, now))
            elif is_due:
                series.begin_anew()
        return Batch(tuple(coarse), tuple(fine))

    def rest(self, now: Instant) -> Batch:
        """Give the intervals that run, unfinished: the daemon ends."""
        running = [
            _sample(id_, series, now)
            for (id_, _), series in self._series.items()
            if series.readings
        ]
        return Batch(coarse=tuple(running))

    def _is_due(self, every_s: float, now_s: float) -> tuple[bool, bool]:
        """Whether an interval ends with this tick, and whether with a coarse batch."""
        rhythm = self._rhythms.get(every_s)
        if rhythm is None:
            rhythm = self._rhythms[every_s] = _Rhythm(now_s + every_s, now_s + every_s)
        if now_s < rhythm.due_s:
            return False, False
        # Due times keep their own rhythm unless whole intervals were missed.
        rhythm.due_s = max(rhythm.due_s, now_s - every_s) + every_s
        is_coarse = now_s >= rhythm.coarse_s
        if is_coarse:
            rhythm.coarse_s = max(rhythm.coarse_s, now_s - COARSE_S) + COARSE_S
        return True, is_coarse

    def _is_news(self, series: _Series, now_s: float) -> bool:
        sent = series.sent
        return (
            sent is None
            or sent.quality is not series.quality_at(now_s)
            or now_s - sent.sent_s >= self.settings.at_least_s
            or series.left_band(series.worth(), *(series.spread() or ()))
        )

    def _collect(self, record: TickRecord) -> None:
        for meter in record.snapshot.site.meters:
            view = record.snapshot.meters.get(meter.id)
            if view is not None:
                self._take_meter(meter.id, view, poll_s=meter.poll_s)
        now_s = record.now.mono_s
        for evse in record.snapshot.site.evses:
            evse_view = record.snapshot.evses.get(evse.id)
            if evse_view is not None:
                self._take_evse(evse.id, evse_view, poll_s=evse.traits.poll_s)
            decided = record.decision.evses.get(evse.id)
            if decided is not None:
                self._add(evse.id, now_s, Quantity.SETPOINT_A, decided.setpoint_a)
        for node, decision in record.decision.nodes.items():
            for quantity, value in _of_node(decision):
                self._add(node, now_s, quantity, value, quality=decision.quality)
        for node, export in record.decision.exports.items():
            for index, quantity in _EXPORT_CEILING:
                self._add(node, now_s, quantity, export.ceiling_a[index])
            self._add(node, now_s, Quantity.EXPORT_CEILING_W, export.ceiling_w)

    def _take_meter(self, meter: str, view: MeterView, *, poll_s: float) -> None:
        for sample in self._unseen(meter, view.samples):
            taken_s = sample.taken_s
            self._add_triple(meter, taken_s, _CURRENT, sample.current_a, poll_s=poll_s)
            self._add_triple(meter, taken_s, _VOLTAGE, sample.voltage_v, poll_s=poll_s)
            self._add_triple(meter, taken_s, _POWER, sample.power_w, poll_s=poll_s)
            known = [power for power in sample.power_w if power is not None]
            wired = [current for current in sample.current_a if current is not None]
            for quantity, value in (
                (Quantity.POWER_W, sum(known) if known and len(known) >= len(wired) else None),
                (Quantity.ENERGY_IMPORT_WH, sample.energy_import_wh),
                (Quantity.ENERGY_EXPORT_WH, sample.energy_export_wh),
            ):
                self._add(meter, taken_s, quantity, value, poll_s=poll_s)

    def _take_evse(self, evse: str, view: EvseView, *, poll_s: float) -> None:
        for sample in self._unseen(evse, view.samples):
            self._add_triple(evse, sample.taken_s, _CURRENT, sample.current_a, poll_s=poll_s)
            self._add(evse, sample.taken_s, Quantity.POWER_W, sample.power_w, poll_s=poll_s)
        counted_s = view.counted_s
        if counted_s is not None:
            for quantity, value in (
                (Quantity.SESSION_WH, view.session_wh),
                (Quantity.ENERGY_IMPORT_WH, view.energy_wh),
            ):
                self._add(evse, counted_s, quantity, value, poll_s=poll_s)

    def _unseen(self, device: str, samples: tuple[_S, ...]) -> tuple[_S, ...]:
        unseen = taken_after(samples, self._seen_s.get(device, float("-inf")))
        if unseen:
            self._seen_s[device] = unseen[-1].taken_s
        return unseen

    def _add_triple(
        self,
        device: str,
        taken_s: float,
        quantities: tuple[tuple[int, Quantity], ...],
        values: OptionalTriple,
        *,
        poll_s: float,
    ) -> None:
        for index, quantity in quantities:
            value = values[index]
            if value is not None:
                self._add(device, taken_s, quantity, value, poll_s=poll_s)

    def _add(
        self,
        id_: str,
        taken_s: float,
        quantity: Quantity,
        value: float | None,
        *,
        poll_s: float | None = None,
        quality: Quality = Quality.GOOD,
    ) -> None:
        if value is None:
            return
        series = self._series.get((id_, quantity))
        if series is None:
            sampling = self.settings.of(quantity.value)
            if not sampling.publish:
                return
            series = self._series[id_, quantity] = _Series(quantity, sampling, poll_s)
            self._intervals_s.add(sampling.every_s)
            if sampling.on_change:
                self._on_change[id_, quantity] = series
        series.quality = quality
        series.add(taken_s, value)


def _of_node(decision: NodeDecision) -> Iterator[tuple[Quantity, float | None]]:
    for phase in PHASES:
        index = phase - 1
        yield _CEILING[index][1], decision.ceiling_a[index]
        yield _BASE[index][1], decision.base_a[index]
        yield _COMMITTED[index][1], decision.account_a[index] - decision.base_a[index]
    yield Quantity.CEILING_VA, decision.ceiling_va


def _sample(id_: str, series: _Series, now: Instant) -> Sample:
    """Give the interval out and begin the next one."""
    value, spread = series.worth(), series.spread()
    quality = series.quality_at(now.mono_s)
    series.sent = _Sent(value, quality, now.mono_s)
    series.begin_anew()
    return Sample(
        id=id_,
        q=series.quantity,
        t=rfc3339(now.utc_s - (now.mono_s - series.taken_s)),
        v=round(value, 3),
        min=None if spread is None else round(spread[0], 3),
        max=None if spread is None else round(spread[1], 3),
        quality=quality,
    )
