"""The process image: the newest that is known of every meter and EVSE, filled by the link owners.

1. A reading's time is when its request was sent, and it keeps that time (S1).
2. What a charger may have heard is entered before it is sent: setpoints, and whatever could feed
   its watchdog (S9, S10).
3. Everything is bounded (S23): samples by number and age; of setpoints sent and not confirmed,
   beyond `MOST_SENT`, the two oldest become one with the larger value.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final, Generic, Protocol, TypeVar

from edgectl.devices.samples import EvseFacts
from edgectl.model.quick import maker
from edgectl.model.reading import EvseSample, MeterSample, Quality, VehicleState, quality_at
from edgectl.model.site import Site
from edgectl.model.snapshot import Confirmed, EvseView, MeterView, Sent
from edgectl.units import PHASES, EvseId, MeterId, OptionalTriple

MOST_SAMPLES: Final = 32
SAMPLES_S: Final = 16.0
MOST_SENT: Final = 16


class _Taken(Protocol):
    @property
    def taken_s(self) -> float: ...


S = TypeVar("S", bound=_Taken)

_view_of = maker(EvseView)


class Image:
    """Filled by the link owners, frozen by the tick, on one event loop: nothing here waits."""

    def __init__(
        self,
        site: Site,
        *,
        on_wake: Callable[[], None] = lambda: None,
        meters: Mapping[MeterId, MeterView] | None = None,
        evses: Mapping[EvseId, EvseView] | None = None,
    ) -> None:
        """Begin with what is known of some `meters` and `evses` already, if anything."""
        self._meters = {meter.id: _MeterCell(meter.poll_s) for meter in site.meters}
        self._evses = {evse.id: _EvseCell(evse.traits.poll_s) for evse in site.evses}
        for meter, meter_view in (meters or {}).items():
            for sample in meter_view.samples:
                self._meters[meter].add(sample)
        for evse, evse_view in (evses or {}).items():
            self._evses[evse].know(evse_view)
        self._on_wake = on_wake
        self._wake_above_a: dict[MeterId, OptionalTriple] = {}

    def freeze(self) -> tuple[dict[MeterId, MeterView], dict[EvseId, EvseView]]:
        """Everything as it stands now, as values that nothing will move any more."""
        return (
            {id_: cell.view() for id_, cell in self._meters.items()},
            {id_: cell.view() for id_, cell in self._evses.items()},
        )

    def set_wake_above(self, wake_above_a: dict[MeterId, OptionalTriple]) -> None:
        """Take the values from which on a meter brings the next tick forward."""
        self._wake_above_a = wake_above_a

    def meter_sample(self, meter: MeterId, sample: MeterSample) -> None:
        """Enter a meter's answer; wakes the tick when it is above its threshold on a phase."""
        cell = self._meters[meter]
        cell.add(sample)
        if _above(sample, self._wake_above_a.get(meter, (None, None, None))):
            self._on_wake()

    def meter_missed(self, meter: MeterId, why: str) -> None:
        """Count an answer that did not come or is no data; the samples age on."""
        self._meters[meter].missed(why)

    def evse_facts(self, evse: EvseId, facts: EvseFacts) -> None:
        """Enter what a round of values says; what it does not say stays as it was."""
        self._evses[evse].take(facts)

    def answered(self, evse: EvseId, sent_s: float) -> None:
        """Enter a good answer about this EVSE, by the time of its request."""
        cell = self._evses[evse]
        last_s = cell.last_answer_s
        cell.last_answer_s = sent_s if last_s is None else max(last_s, sent_s)
        cell.touch()

    def fed(self, evse: EvseId, sent_s: float) -> None:
        """Enter an ordinary request that could feed the EVSE's watchdog, before it is sent."""
        cell = self._evses[evse]
        cell.last_feed_s = sent_s
        cell.touch()

    def sent(self, evse: EvseId, value_a: float, sent_s: float) -> None:
        """Enter a setpoint before it is written, or one that somebody else has written."""
        self._evses[evse].add_sent(Sent(value_a=value_a, sent_s=sent_s))

    def confirmed(self, evse: EvseId, value_a: float, *, sent_s: float, confirmed_s: float) -> None:
        """Enter that the charger holds what was written at `sent_s`; older writes are over."""
        self._evses[evse].confirm(
            Confirmed(value_a=value_a, sent_s=sent_s, confirmed_s=confirmed_s)
        )

    def told_anew(self, evse: EvseId, factor: float, *, but_a: float) -> None:
        """Enter that all that was told counts `factor` times as much; `but_a`: what does not."""
        self._evses[evse].tell_anew(factor, but_a=but_a)

    def measured_anew(self, evse: EvseId, factor: float) -> None:
        """Enter that all that was measured is `factor` times as many amperes."""
        self._evses[evse].measure_anew(factor)

    def voltage_v(self, meter: MeterId, now_s: float) -> OptionalTriple:
        """Voltages of the newest sample on the site's phases; None where there is no fresh one."""
        return self._meters[meter].voltage_v(now_s)

    def watchdog_unproved(self, evse: EvseId) -> None:
        """Enter that the watchdog cannot be counted on (S9): its time is not what was asked for."""
        cell = self._evses[evse]
        cell.watchdog_s = 0.0
        cell.touch()

    def meter_quality(self, meter: MeterId, now_s: float) -> tuple[Quality, float | None]:
        """Quality and age of the newest sample; no age where there is none."""
        return self._meters[meter].quality(now_s)

    def evse_quality(self, evse: EvseId, now_s: float) -> tuple[Quality, float | None]:
        """Quality and age of the newest sample; no age where there is none."""
        return self._evses[evse].quality(now_s)

    def misses(self, meter: MeterId) -> tuple[int, str]:
        """How often a meter gave no data since its last sample, and the last cause."""
        cell = self._meters[meter]
        return cell.misses, cell.why


def _above(sample: MeterSample, threshold_a: OptionalTriple) -> bool:
    """Whether a phase draws more than its threshold; what is fed back draws nothing."""
    for phase in PHASES:
        current_a = sample.current_a[phase - 1]
        limit_a = threshold_a[phase - 1]
        power_w = sample.power_w[phase - 1]
        if current_a is None or limit_a is None or (power_w is not None and power_w < 0):
            continue
        if current_a > limit_a:
            return True
    return False


class _Ring(Generic[S]):
    """The newest samples, oldest first: at most `MOST_SAMPLES`, of `SAMPLES_S` and one before."""

    def __init__(self, poll_s: float) -> None:
        self._poll_s = poll_s
        self._samples: deque[S] = deque(maxlen=MOST_SAMPLES)

    def add(self, sample: S) -> None:
        samples = self._samples
        samples.append(sample)
        horizon_s = sample.taken_s - SAMPLES_S
        while len(samples) > 1 and samples[1].taken_s <= horizon_s:
            samples.popleft()

    def quality(self, now_s: float) -> tuple[Quality, float | None]:
        if not self._samples:
            return Quality.BAD, None
        age_s = now_s - self._samples[-1].taken_s
        return quality_at(age_s, poll_s=self._poll_s), age_s


class _MeterCell(_Ring[MeterSample]):
    def __init__(self, poll_s: float) -> None:
        super().__init__(poll_s)
        self.misses = 0
        self.why = ""
        self._view = MeterView()

    def add(self, sample: MeterSample) -> None:
        super().add(sample)
        self.misses = 0
        self._view = MeterView(samples=tuple(self._samples))

    def voltage_v(self, now_s: float) -> OptionalTriple:
        if self.quality(now_s)[0] is not Quality.GOOD:
            return (None, None, None)
        return self._samples[-1].voltage_v

    def missed(self, why: str) -> None:
        self.misses += 1
        self.why = why

    def view(self) -> MeterView:
        return self._view


class _EvseCell(_Ring[EvseSample]):
    def __init__(self, poll_s: float) -> None:
        super().__init__(poll_s)
        self.vehicle = VehicleState.UNKNOWN
        self.last_answer_s: float | None = None
        self.last_feed_s: float | None = None
        self.failsafe_a: float | None = None
        self.watchdog_s: float | None = None
        self._session_wh: float | None = None
        self._energy_wh: float | None = None
        self._counted_s: float | None = None
        self._sent: list[Sent] = []
        self._confirmed: Confirmed | None = None
        self._view: EvseView | None = None

    def know(self, view: EvseView) -> None:
        for sample in view.samples:
            self.add(sample)
        self.vehicle = view.vehicle
        self.last_answer_s = view.last_answer_s
        self.last_feed_s = view.last_feed_s
        self.failsafe_a = view.failsafe_a
        self.watchdog_s = view.watchdog_s
        self._session_wh = view.session_wh
        self._energy_wh = view.energy_wh
        self._sent = list(view.sent)
        self._confirmed = view.confirmed
        self.touch()

    def touch(self) -> None:
        self._view = None

    def take(self, facts: EvseFacts) -> None:
        self.touch()
        if facts.sample is not None:
            self.add(facts.sample)
        if facts.vehicle is not None:
            self.vehicle = facts.vehicle
        self.failsafe_a = _newer(facts.failsafe_a, self.failsafe_a)
        self.watchdog_s = _newer(facts.watchdog_s, self.watchdog_s)
        self._session_wh = _newer(facts.session_wh, self._session_wh)
        self._energy_wh = _newer(facts.energy_wh, self._energy_wh)
        self._counted_s = _newer(facts.counted_s, self._counted_s)

    def add_sent(self, sent: Sent) -> None:
        self.touch()
        self._sent = [entry for entry in self._sent if entry.value_a != sent.value_a]
        self._sent.append(sent)
        if len(self._sent) > MOST_SENT:
            self._sent[:2] = [_larger(self._sent[:2])]

    def confirm(self, confirmed: Confirmed) -> None:
        self.touch()
        self._confirmed = confirmed
        self._sent = [entry for entry in self._sent if entry.sent_s > confirmed.sent_s]

    def tell_anew(self, factor: float, *, but_a: float) -> None:
        self.touch()

        def scaled(value_a: float) -> float:
            return value_a if value_a == but_a else value_a * factor

        self._sent = [replace(entry, value_a=scaled(entry.value_a)) for entry in self._sent]
        if self._confirmed is not None:
            value_a = scaled(self._confirmed.value_a)
            self._confirmed = replace(self._confirmed, value_a=value_a)

    def measure_anew(self, factor: float) -> None:
        self.touch()
        for n, sample in enumerate(self._samples):
            one, two, three = (None if a is None else a * factor for a in sample.current_a)
            self._samples[n] = replace(sample, current_a=(one, two, three))

    def view(self) -> EvseView:
        if self._view is None:
            # One is made of every charger at every tick, and keywords would double its price.
            self._view = _view_of(
                tuple(self._samples),
                self.vehicle,
                self.last_answer_s,
                self.last_feed_s,
                tuple(self._sent),
                self._confirmed,
                self.failsafe_a,
                self.watchdog_s,
                self._session_wh,
                self._energy_wh,
                self._counted_s,
            )
        return self._view


def _newer(now: float | None, before: float | None) -> float | None:
    return before if now is None else now


def _larger(entries: Iterable[Sent]) -> Sent:
    pair = tuple(entries)
    return Sent(
        value_a=max(entry.value_a for entry in pair),
        sent_s=max(entry.sent_s for entry in pair),
    )
