"""Faults and vehicles of a trial, drawn from a seed for a site."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from edgectl.model.site import Evse, Site
from edgectl.simulator.device.charge_point import Vehicle
from edgectl.simulator.device.device_catalog import is_dc
from edgectl.simulator.faults import Fault, FaultKind
from edgectl.simulator.sessions import Session
from edgectl.units import MeterId, Triple

_LATE_S: Final = 1.4
"""Later than any device is waited for."""

_WEIGHTS: Final = {
    FaultKind.BASE_STEP: 10,
    FaultKind.CHARGER_SILENT: 5,
    FaultKind.METER_SILENT: 4,
    FaultKind.METER_STUCK: 3,
    FaultKind.METER_NONSENSE: 2,
    FaultKind.SLOW_REPLIES: 3,
    FaultKind.LOST_REPLIES: 4,
    FaultKind.GARBLED: 3,
    FaultKind.REBOOT: 4,
    FaultKind.VALUES_STUCK: 2,
    FaultKind.IGNORES_WRITES: 3,
    FaultKind.DELAYS_WRITES: 3,
    FaultKind.OTHER_MASTER: 3,
    FaultKind.VEHICLE_EXCEEDS: 3,
    FaultKind.VEHICLE_IGNORES: 3,
    FaultKind.SITE_POWER: 1,
    FaultKind.LINK_DOWN: 4,
    FaultKind.BROKER_AWAY: 2,
    FaultKind.BROKER_MUTE: 1,
    FaultKind.BROKER_KILLED: 1,
    FaultKind.DISK_FULL: 2,
    FaultKind.CLOCK_JUMP: 2,
    FaultKind.CLOCK_UNTRUSTED: 1,
    FaultKind.GATEWAY_KILLED: 4,
    FaultKind.GATEWAY_STOPPED: 2,
}

_LONG_LOST_S: Final = 40.0
_LOST_PART: Final = 0.12

_AROUND_ONE: Final = frozenset(
    {
        FaultKind.BROKER_AWAY,
        FaultKind.BROKER_MUTE,
        FaultKind.BROKER_KILLED,
        FaultKind.DISK_FULL,
        FaultKind.CLOCK_JUMP,
        FaultKind.CLOCK_UNTRUSTED,
    }
)
_WHOLE: Final = frozenset(
    {FaultKind.GATEWAY_KILLED, FaultKind.GATEWAY_STOPPED, FaultKind.SITE_POWER}
)


def draw_faults(
    rng: random.Random, site: Site, *, from_s: float, until_s: float, count: int
) -> tuple[Fault, ...]:
    """Draw `count` faults in their order of time; all are over at `until_s`."""
    draw = _Draw(rng, site, until_s)
    faults: list[Fault] = []
    while len(faults) < count:
        at_s = round(rng.uniform(from_s, until_s - 1.0), 3)
        kind = rng.choices(list(_WEIGHTS), weights=list(_WEIGHTS.values()))[0]
        fault = draw.one(kind, at_s)
        if fault is not None and not _collides(fault, faults):
            faults.append(fault)
    faults.extend(_draw_sun(rng, site))
    faults.extend(_draw_unseen_steps(rng, site, faults))
    return tuple(sorted(faults, key=lambda fault: (fault.at_s, fault.kind, fault.id)))


def _draw_sun(rng: random.Random, site: Site) -> Iterator[Fault]:
    """Sometimes a roof feeds back more than its feeder bears, from the start to the end."""
    node = rng.choice(site.nodes)
    if any(node.base_max_a) and rng.random() < 0.15:
        feeds_a = -round(rng.uniform(1.0, 3.0) * max(a or 20.0 for a in node.limit_a), 1)
        yield Fault(kind=FaultKind.BASE_STEP, id=node.id, at_s=1.0, add_a=(feeds_a,) * 3)


def _draw_unseen_steps(rng: random.Random, site: Site, faults: Sequence[Fault]) -> Iterator[Fault]:
    """Let the base load rise to its worst while its meter is lost for long, in half of the cases.

    By chance the two would hardly meet for as long as a lost meter may be believed.
    """
    worst_a = {node.id: node.base_max_a for node in site.nodes}
    places = {meter.id: meter.node for meter in site.meters}
    for fault in tuple(faults):
        if fault.kind is not FaultKind.METER_SILENT or fault.until_s is None:
            continue
        if fault.until_s - fault.at_s < _LONG_LOST_S or rng.random() < 0.5:
            continue
        node = places[MeterId(fault.id)]
        at_s = round(fault.at_s + rng.uniform(0.5, 5.0), 3)
        if any(worst_a[node]):
            yield replace(fault, kind=FaultKind.BASE_STEP, id=node, at_s=at_s, add_a=worst_a[node])


def draw_loss(
    rng: random.Random, site: Site, *, from_s: float, until_s: float
) -> tuple[Fault, ...]:
    """In one of ten trials a charger is lost when all else has come right, and never comes back."""
    evse = rng.choice(site.evses)
    if len(site.evses) == 1 or rng.random() >= _LOST_PART:
        return ()
    return (Fault(kind=FaultKind.CHARGER_SILENT, id=evse.id, at_s=from_s, until_s=until_s),)


def draw_long_stays(site: Site, *, duration_s: float) -> tuple[Session, ...]:
    """Give every EVSE one vehicle from the start to the end, which never has enough."""
    return tuple(
        Session(
            evse=evse.id,
            vehicle=Vehicle(
                energy_wh=evse.max_a * 3.0 * site.voltage_v * duration_s / 1800.0,
                max_a=evse.max_a,
                taper_from=1.0,
            ),
            arrival_s=1.0,
            departure_s=2.0 * duration_s,
        )
        for evse in site.evses
    )


def draw_sessions(rng: random.Random, site: Site, *, duration_s: float) -> tuple[Session, ...]:
    """Give every EVSE its vehicles, one after the other."""
    sessions: list[Session] = []
    for evse in site.evses:
        at_s = round(rng.choice([1.0, rng.uniform(1.0, 0.3 * duration_s)]), 2)
        while at_s < duration_s:
            stay_s = rng.choice([rng.uniform(60.0, 400.0), 2.0 * duration_s])
            sessions.append(
                Session(
                    evse=evse.id,
                    vehicle=_draw_vehicle(rng, evse, site.voltage_v),
                    arrival_s=at_s,
                    departure_s=round(at_s + stay_s, 2),
                )
            )
            at_s = round(at_s + stay_s + rng.uniform(5.0, 120.0), 2)
    return tuple(sessions)


class _Draw:
    """Draws one fault of a kind; None where the site has nothing for it."""

    def __init__(self, rng: random.Random, site: Site, until_s: float) -> None:
        self._rng = rng
        self._site = site
        self._until_s = until_s
        self._how: dict[FaultKind, Callable[[FaultKind, float, float], Fault | None]] = {
            FaultKind.BASE_STEP: self._base_step,
            FaultKind.METER_SILENT: self._of_meter,
            FaultKind.METER_STUCK: self._of_meter,
            FaultKind.METER_NONSENSE: self._of_meter,
            FaultKind.SLOW_REPLIES: self._bad_replies,
            FaultKind.LOST_REPLIES: self._bad_replies,
            FaultKind.GARBLED: self._bad_replies,
            FaultKind.SITE_POWER: self._site_power,
            FaultKind.LINK_DOWN: self._link_down,
            FaultKind.GATEWAY_KILLED: self._gateway,
            FaultKind.GATEWAY_STOPPED: self._gateway,
        }

    def one(self, kind: FaultKind, at_s: float) -> Fault | None:
        """Draw a fault of this kind that begins at `at_s`."""
        rng = self._rng
        length_s = rng.choice([rng.uniform(1.0, 10.0), rng.uniform(5.0, 90.0)])
        until_s = round(min(at_s + length_s, self._until_s), 3)
        how = self._how.get(kind)
        if how is not None:
            return how(kind, at_s, until_s)
        if kind in _AROUND_ONE:
            by_s = rng.choice([rng.uniform(-5.0, 5.0), rng.uniform(-4000.0, 4000.0)])
            return Fault(kind=kind, id=kind.value, at_s=at_s, until_s=until_s, by_s=round(by_s, 2))
        return self._charger(kind, at_s, until_s)

    def _charger(self, kind: FaultKind, at_s: float, until_s: float) -> Fault:
        rng = self._rng
        evse = rng.choice(self._site.evses)
        if kind is FaultKind.REBOOT:
            length_s = rng.choice([rng.uniform(0.5, 20.0), rng.uniform(20.0, 90.0)])
            until_s = round(min(at_s + length_s, self._until_s), 3)
        amount_a = 0.0
        if kind is FaultKind.OTHER_MASTER:
            amounts_a = [6, 10, 16, 32] if is_dc(evse) else [0, 6, 10, 16, 32]
            amount_a = min(float(rng.choice(amounts_a)), evse.max_a)
        elif kind is FaultKind.VEHICLE_EXCEEDS:
            amount_a = round(rng.uniform(0.6, 6.0), 1)
        delay_s = round(rng.uniform(0.3, 4.0), 2) if kind is FaultKind.DELAYS_WRITES else 0.0
        return Fault(
            kind=kind,
            id=evse.id,
            at_s=at_s,
            until_s=until_s,
            amount_a=amount_a,
            delay_s=delay_s,
        )

    def _of_meter(self, kind: FaultKind, at_s: float, until_s: float) -> Fault | None:
        if not self._site.meters:
            return None
        if kind is FaultKind.METER_STUCK:
            # Nobody can see it before something moves; long enough that something does.
            length_s = self._rng.uniform(20.0, 150.0)
            until_s = round(min(at_s + length_s, self._until_s), 3)
        meter = self._rng.choice(self._site.meters).id
        return Fault(kind=kind, id=meter, at_s=at_s, until_s=until_s)

    def _bad_replies(self, kind: FaultKind, at_s: float, until_s: float) -> Fault:
        rng = self._rng
        evses, meters = self._site.evses, self._site.meters
        device = rng.choice([*(evse.id for evse in evses), *(meter.id for meter in meters)])
        return Fault(
            kind=kind,
            id=device,
            at_s=at_s,
            until_s=until_s,
            delay_s=rng.choice([round(rng.uniform(0.05, 0.4), 3), _LATE_S]),
            part=round(rng.uniform(0.05, 0.5), 2),
        )

    def _site_power(self, kind: FaultKind, at_s: float, until_s: float) -> Fault | None:
        boots_s = round(self._rng.uniform(1.0, 15.0), 2)
        until_s = min(until_s, self._until_s - boots_s)
        if at_s >= until_s:
            return None
        return Fault(kind=kind, id="site", at_s=at_s, until_s=until_s, delay_s=boots_s)

    def _link_down(self, kind: FaultKind, at_s: float, until_s: float) -> Fault:
        link = self._rng.choice(self._site.links).id
        return Fault(kind=kind, id=link, at_s=at_s, until_s=until_s)

    def _gateway(self, kind: FaultKind, at_s: float, until_s: float) -> Fault:
        rng = self._rng
        soon_s = round(min(at_s + rng.choice([0.1, 2.0]), self._until_s), 3)
        killed = kind is FaultKind.GATEWAY_KILLED
        return Fault(
            kind=kind,
            id="gateway",
            at_s=at_s,
            until_s=rng.choice([soon_s, until_s]),
            moment=rng.choice(["", "before", "after"]) if killed else "",
        )

    def _base_step(self, kind: FaultKind, at_s: float, until_s: float) -> Fault | None:
        rng = self._rng
        loaded = [node for node in self._site.nodes if any(node.base_max_a)]
        if not loaded:
            return None
        node = rng.choice(loaded)
        up = rng.random() < 0.75  # else a roof full of solar cells comes out of the clouds
        part = rng.uniform(0.2, 1.0) if up else rng.uniform(-1.2, -0.2)
        phases = rng.choice([(1, 1, 1), (1, 1, 1), (1, 0, 0), (0, 1, 0), (0, 0, 1)])
        add_a = [round(part * node.base_max_a[k] * phases[k], 2) for k in range(3)]
        triple: Triple = (add_a[0], add_a[1], add_a[2])
        return Fault(kind=kind, id=node.id, at_s=at_s, until_s=until_s, add_a=triple)


def _collides(fault: Fault, others: Sequence[Fault]) -> bool:
    """Whether the gateway or the site would have to fail while it is failing already."""
    if fault.kind not in _WHOLE:
        return False
    return any(
        other.kind in _WHOLE
        and other.at_s - 60.0 < (fault.until_s or fault.at_s)
        and fault.at_s < (other.until_s or other.at_s) + 60.0
        for other in others
    )


def _draw_vehicle(rng: random.Random, evse: Evse, voltage_v: float) -> Vehicle:
    phases = rng.choice([3, 3, 3, 1, 2])
    max_a = float(rng.choice([32, 32, 20, 16, 10]))
    if is_dc(evse):  # its rectifier loads all its phases
        phases, max_a = 3, evse.max_a * rng.choice([1.0, 1.0, 0.5])
    full_w = min(max_a, evse.max_a) * min(phases, len(evse.phases)) * voltage_v
    minutes = rng.choice([3.0, 10.0, 120.0])
    return Vehicle(
        energy_wh=full_w * minutes / 60.0,
        max_a=max_a,
        phases=phases,
        follow_s=round(rng.uniform(0.3, 3.0), 2),
        stop_s=round(rng.uniform(0.3, 3.0), 2),
        start_s=round(rng.uniform(1.0, 5.0), 2),
        taper_from=rng.choice([1.0, 0.9, 0.6]),
    )
