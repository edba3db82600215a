"""The real controller at a simulated yard, in virtual time.

1. At each tick every device is read at that moment, and the controller decides; while setpoints
   still change it looks and decides again every second, so that what it frees is given on.
2. Chargers and vehicles follow at once and readings are not old: settle and refresh times are 0.
   Everything that the controller times itself (turns, rests, probes) counts virtual seconds.
3. While nobody is there, time goes on to the next arrival.

The controller comes in as a function, so that this module knows nothing of how it decides.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol

from edgectl.clock import Instant
from edgectl.model.ceiling import Holder, Rank, TimedCeiling
from edgectl.model.decision import Decision
from edgectl.model.reading import EvseSample, MeterSample, VehicleState
from edgectl.model.site import Evse, Meter, Site
from edgectl.model.snapshot import Confirmed, EvseView, MeterView, Snapshot
from edgectl.model.state import State
from edgectl.model.target import ChargeTarget
from edgectl.simulator.phasors import Phasors
from edgectl.simulator.sizing.yard import Visit, Yard
from edgectl.units import EvseId, OptionalTriple

LOOK_AGAIN_S: Final = 1.0
LOOKS_MAX: Final = 20
_SAMPLES_KEPT: Final = 32
_METER_SAMPLES_KEPT: Final = 4
_SAMPLES_FOR_S: Final = 150.0


class Decide(Protocol):
    """The controller: what it sees and remembers becomes what it says and remembers."""

    def __call__(self, snapshot: Snapshot, state: State, now: Instant) -> tuple[Decision, State]:
        """Decide for all EVSEs at one moment."""


def prompt_site(site: Site) -> Site:
    """The same site with devices that follow and measure at once."""
    return replace(
        site,
        evses=tuple(
            replace(
                evse,
                traits=replace(
                    evse.traits, settle_s=0.0, pause_settle_s=0.0, refresh_s=0.0, metered=True
                ),
            )
            for evse in site.evses
        ),
        meters=tuple(replace(meter, refresh_s=0.0) for meter in site.meters),
    )


def drive(
    site: Site,
    yard: Yard,
    *,
    decide: Decide,
    ceilings: Callable[[float], tuple[TimedCeiling, ...]],
    tick_s: float,
    until_s: float,
    progress: Callable[[float], None],
) -> int:
    """Run until `until_s`; the number of decisions made. `site` is one of `prompt_site`.

    `ceilings` gives what narrows at a moment; `progress` is told the time now and then.
    """
    eyes = _Eyes(site, yard)
    state = State()
    decisions = 0
    tick_at_s = yard.now_s
    while tick_at_s < until_s:
        yard.advance(tick_at_s)
        for _ in range(LOOKS_MAX):
            snapshot = eyes.look(ceilings(yard.now_s))
            decision, state = decide(snapshot, state, _instant(yard.now_s, eyes.start_s))
            decisions += 1
            if not eyes.obey(decision):
                break
            if yard.now_s + LOOK_AGAIN_S >= tick_at_s + tick_s:
                break
            yard.advance(yard.now_s + LOOK_AGAIN_S)
        progress(yard.now_s)
        tick_at_s += tick_s
        if yard.empty and yard.next_arrival_s > tick_at_s:
            skipped = (min(yard.next_arrival_s, until_s) - tick_at_s) // tick_s
            tick_at_s += max(0.0, skipped) * tick_s
    yard.advance(until_s)
    yard.flowed.close()
    progress(until_s)
    return decisions


def _instant(utc_s: float, start_s: float) -> Instant:
    return Instant(mono_s=utc_s - start_s, utc_s=utc_s, utc_trusted=True)


class _Eyes:
    """Reads the yard as perfect devices would, and hands setpoints to it."""

    def __init__(self, site: Site, yard: Yard) -> None:
        self.start_s = yard.now_s
        self._site = site
        self._yard = yard
        self._nodes = {node.id: n for n, node in enumerate(site.nodes)}
        self._samples: list[tuple[EvseSample, ...]] = [() for _ in site.evses]
        self._meters: dict[str, tuple[MeterSample, ...]] = {}
        self._confirmed: list[Confirmed] = [
            Confirmed(setpoint_a, 0.0, 0.0) for setpoint_a in yard.setpoint_a
        ]
        self._seen: list[Visit | None] = [None] * len(site.evses)

    def look(self, ceilings: Sequence[TimedCeiling]) -> Snapshot:
        """Read everything now."""
        now_s = self._yard.now_s - self.start_s
        phasors = self._yard.look()
        return Snapshot(
            site=self._site,
            meters={meter.id: self._meter(meter, phasors, now_s) for meter in self._site.meters},
            evses={evse.id: self._evse(i, evse, now_s) for i, evse in enumerate(self._site.evses)},
            ceilings=tuple(ceilings),
            targets=tuple(
                _target(evse, visit)
                for evse, visit in zip(self._site.evses, self._seen, strict=True)
                if visit is not None and visit.stay.announced.departure_utc_s > self._yard.now_s
            ),
        )

    def obey(self, decision: Decision) -> bool:
        """Hand on what is new; whether anything was, or somebody else was seen to have come."""
        now_s = self._yard.now_s - self.start_s
        changed = False
        for i, evse in enumerate(self._site.evses):
            setpoint_a = decision.evses[EvseId(evse.id)].setpoint_a
            if setpoint_a != self._yard.setpoint_a[i]:
                self._yard.tell(i, setpoint_a)
                self._confirmed[i] = Confirmed(setpoint_a, now_s, now_s)
                changed = True
            if self._seen[i] is not self._yard.visits[i]:
                self._seen[i] = self._yard.visits[i]
                changed = True
        return changed

    def _evse(self, i: int, evse: Evse, now_s: float) -> EvseView:
        visit, drawn_a = self._yard.visits[i], self._yard.draw_a[i]
        # Who comes is first seen to be away, as a charger that is polled shows it.
        vehicle = VehicleState.ABSENT
        if visit is not None and visit is self._seen[i]:
            vehicle = VehicleState.CHARGING if drawn_a > 0.0 else VehicleState.PLUGGED
        sample = EvseSample(now_s, _on_lines(evse, visit, drawn_a))
        self._samples[i] = _newest((*self._samples[i], sample), now_s)
        return EvseView(
            samples=self._samples[i],
            vehicle=vehicle,
            last_answer_s=now_s,
            last_feed_s=now_s,
            confirmed=self._confirmed[i],
            session_wh=None if visit is None else visit.delivered_wh,
        )

    def _meter(self, meter: Meter, phasors: Phasors, now_s: float) -> MeterView:
        n = self._nodes[meter.node]
        volts = phasors.voltage_v[n]
        sample = MeterSample(
            taken_s=now_s,
            current_a=phasors.amps(n),
            power_w=phasors.line_power_w(n),
            voltage_v=(volts, volts, volts),
        )
        kept = (*self._meters.get(meter.id, ()), sample)[-_METER_SAMPLES_KEPT:]
        self._meters[meter.id] = kept
        return MeterView(samples=kept)


def _target(evse: Evse, visit: Visit) -> ChargeTarget:
    """What was announced, as a command says it; after the announced departure nothing holds."""
    return ChargeTarget(
        evse=evse.id,
        energy_wh=visit.stay.announced.energy_wh,
        departure_utc_s=visit.stay.announced.departure_utc_s,
        holder=Holder(Rank.OPERATOR, "command", visit.stay.row.session_id),
    )


def _on_lines(evse: Evse, visit: Visit | None, drawn_a: float) -> OptionalTriple:
    """What a charger shows on the site's lines; None on those that it is not wired to."""
    used = set() if visit is None else {p for p, _ in visit.stay.draw}
    shown = [(drawn_a if p in used else 0.0) if p + 1 in evse.phases else None for p in range(3)]
    return (shown[0], shown[1], shown[2])


def _newest(samples: tuple[EvseSample, ...], now_s: float) -> tuple[EvseSample, ...]:
    """Those of the last minutes, and at least two."""
    first = max(0, len(samples) - _SAMPLES_KEPT)
    while first < len(samples) - 2 and samples[first].taken_s < now_s - _SAMPLES_FOR_S:
        first += 1
    return samples[first:]
