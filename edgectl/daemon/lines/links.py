"""The owner of a link: the one task that talks on its line. It orders, confirms, and never decides.

1. Decreases go before read-backs, these before increases, these before keep-alives, these before
   reads and calls by their deadlines.
2. A device that keeps silent costs one timeout per wait, and goes after all others: these keep
   their poll interval.
3. Setpoints wait in no queue: of every EVSE the newest value counts.
4. Without the lease nothing goes to a device whose watchdog it could feed, and nothing is raised.
"""

import asyncio
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from edgectl.daemon.lines.charger import Charger
from edgectl.daemon.lines.errand import BUSY, Errand, Log, Next, Rank, Troubles
from edgectl.daemon.lines.guests import Guests
from edgectl.daemon.lines.health import UnitStatus
from edgectl.daemon.lines.image import Image
from edgectl.daemon.lines.lease import Lease
from edgectl.daemon.lines.mains import MainsOf
from edgectl.daemon.lines.meter import MeterDesk
from edgectl.daemon.lines.schedule import Backoff
from edgectl.daemon.lines.unit import Unit, most_urgent
from edgectl.daemon.lines.waiting import Pause, first_of
from edgectl.devices.bus_time import unanswered_s
from edgectl.devices.profile import Profile
from edgectl.errors import Refused
from edgectl.model.decision import Alarm, AlarmCode, EvseDecision, Severity
from edgectl.model.modbus import Answer, Line, Miss, MissCause, Request
from edgectl.model.ports import Clock
from edgectl.model.rules import ALL_ON, Rules
from edgectl.model.site import Evse, Link, LinkKind, Meter, Mode
from edgectl.model.snapshot import EvseView
from edgectl.units import EvseId, LinkId

CONNECT_S: Final = 10.0
RECONNECT_FIRST_S: Final = 0.5
RECONNECT_MOST_S: Final = 10.0
HALF_OPEN_AFTER: Final = 3
"""So many timeouts in a row, with no answer from anybody, and the connection is given up.

More where there are more units.
"""
LEASE_LOOK_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """How a link does. `since_s`: when the present state began."""

    link: LinkId
    connected: bool
    since_s: float
    connects: int
    failed_connects: int
    last_error: str
    units: tuple[UnitStatus, ...]


class LinkOwner:
    """Talks to everything on one link, from `run` until `safe_stop`."""

    def __init__(
        self,
        *,
        link: Link,
        meters: Sequence[Meter],
        evses: Sequence[Evse],
        profiles: Mapping[str, Profile],
        line: Line,
        image: Image,
        lease: Lease,
        clock: Clock,
        rng: random.Random,
        mode: Mode,
        log: Log,
        known: Mapping[EvseId, EvseView] | None = None,
        mains: MainsOf | None = None,
        rules: Rules = ALL_ON,
    ) -> None:
        """Begin; of the EVSEs in `known` the daemon before knew this."""
        self._link = link
        self._line = line
        self._image = image
        self._lease = lease
        self._clock = clock
        self._mode = mode
        self._troubles = Troubles(log)
        self._chargers: dict[EvseId, Charger] = {
            evse.id: Charger(
                evse,
                profiles[evse.profile],
                image=image,
                troubles=self._troubles,
                rng=rng,
                mode=mode,
                mains=mains,
                rules=rules,
            )
            for evse in evses
        }
        by_unit: dict[int, list[Meter]] = {}
        for meter in meters:
            by_unit.setdefault(meter.unit, []).append(meter)
        desks = [
            MeterDesk(same, profiles[same[0].profile], image=image, troubles=self._troubles)
            for same in by_unit.values()
        ]
        places = [(meter.unit, profiles[meter.profile]) for meter in meters]
        places += [(evse.unit, profiles[evse.profile]) for evse in evses]
        self._units = [
            Unit(
                number,
                meters=[desk for desk in desks if desk.meter.unit == number],
                chargers=[c for c in self._chargers.values() if c.evse.unit == number],
                profiles=[profile for unit, profile in places if unit == number],
                rng=rng,
            )
            for number in sorted({unit for unit, _ in places})
        ]
        first_s = max(
            [RECONNECT_FIRST_S, *(profile.transport.reconnect_min_s for _, profile in places)]
        )
        self._reconnect = Backoff(first_s=first_s, most_s=max(first_s, RECONNECT_MOST_S), rng=rng)
        self._connected = False
        self._since_s = 0.0
        self._connect_s = -math.inf
        self._connects = 0
        self._failed_connects = 0
        self._unanswered = 0
        # Each unit has had its turn before all of them are blamed on the line.
        self._half_open_after = max(HALF_OPEN_AFTER, len(self._units) + 1)
        self._last_error = ""
        self._given_up = False
        self._leased = False
        self._pause = Pause(clock)
        self._by_number = {unit.health.number: unit for unit in self._units}
        now_s = clock.monotonic_s()
        for id_, view in (known or {}).items():
            if id_ in self._chargers:
                self._chargers[id_].resume(view, now_s)
                self._by_number[self._chargers[id_].evse.unit].resume(now_s)
        self._guests = Guests()
        self._rng = rng
        self._stop: dict[EvseId, float] | None = None
        self._stop_by_s = math.inf
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Talk on the line until the safe stop is done; faults of the world never end it."""
        try:
            while self._stop is None:
                await self._go_on()
            await self._stop_safely(self._stop)
        finally:
            self._stopped.set()
            self._guests.lost("the daemon stops", self._clock.monotonic_s())
            await self._line.close()

    @property
    def evses(self) -> tuple[EvseId, ...]:
        """The EVSEs on this link."""
        return tuple(self._chargers)

    def targets(self, decided: Mapping[EvseId, EvseDecision]) -> None:
        """Take the newest decision; never waits."""
        now_s = self._clock.monotonic_s()
        for id_, charger in self._chargers.items():
            decision = decided.get(id_)
            if decision is not None and charger.aim(decision, now_s):
                self._by_number[charger.evse.unit].rouse()
                self._pause.end()

    async def safe_stop(self, values: Mapping[EvseId, float], *, deadline_s: float) -> None:
        """Write these values wherever a charger answers, read them back, and send no more.

        Returns when that is done, at the monotonic instant `deadline_s` at the latest.
        """
        self._stop = {id_: value for id_, value in values.items() if id_ in self._chargers}
        self._stop_by_s = deadline_s
        self._pause.end()
        await first_of(self._stopped.wait(), self._clock.sleep_until(deadline_s))

    async def ask(
        self,
        request: Request,
        *,
        timeout_s: float,
        before: Callable[[float], None] | None = None,
    ) -> Answer | Miss:
        """Carry out one request of the technician, in turn with the link's own.

        `Refused` where a charger that could hear it is silent: it is only called (S10). A unit that
        the site does not name may be any of this link's devices.
        """
        now_s = self._clock.monotonic_s()
        if self._stop is not None or not self._connected:
            why = self._last_error or "it is not connected yet"
            return Miss(cause=MissCause.DISCONNECTED, sent_s=now_s, received_s=now_s, detail=why)
        for charger in self._hearers(request.unit):
            if charger.must_be_called(now_s):
                raise Refused(
                    code="silent",
                    message=f"{charger.evse.id} is silent, so only its setpoint is written to it",
                    remedy="mend its supply, link or unit id; or stop the daemon and ask it alone",
                )
        if request.unit not in self._by_number:
            self._by_number[request.unit] = Unit(
                request.unit, meters=(), chargers=(), profiles=(), rng=self._rng
            )

        def entered(sent_s: float) -> None:
            for charger in self._hearers(request.unit):
                if charger.fed_by(request):
                    self._image.fed(charger.evse.id, sent_s)
            if before is not None:
                before(sent_s)

        return await self._guests.outcome(
            request, timeout_s=timeout_s, asked_s=now_s, before=entered, wake=self._pause.end
        )

    def alarms(self) -> tuple[Alarm, ...]:
        """Everything that is wrong on this link now."""
        return self._troubles.alarms()

    def status(self) -> LinkStatus:
        """How the link and everything on it does."""
        return LinkStatus(
            link=self._link.id,
            connected=self._connected,
            since_s=self._since_s,
            connects=self._connects,
            failed_connects=self._failed_connects,
            last_error=self._last_error,
            units=tuple(unit.health.status() for unit in self._units),
        )

    async def _go_on(self) -> None:
        now_s = self._clock.monotonic_s()
        if not self._connected:
            if self._connect_s > now_s:
                await self._pause.until(self._connect_s)
            else:
                await self._connect(timeout_s=CONNECT_S)
            return
        leased = self._lease.held(now_s)
        if leased != self._leased:
            self._leased = leased
            for unit in self._units:
                unit.break_off(now_s)
        found: list[Next] = []
        for unit in self._units:
            if unit.needs_lease and not leased:
                found.append(now_s + LEASE_LOOK_S)
            else:
                found.append(unit.next(now_s, leased=leased))
        found += [self._guest(errand, now_s, leased=leased) for errand in self._guests.errands()]
        wanted = most_urgent(found)
        if isinstance(wanted, Errand) and wanted.rank is Rank.RETRY:
            wanted = self._in_peace(wanted, found, now_s)
        if isinstance(wanted, Errand):
            await self._carry_out(wanted)
        else:
            await self._pause.until(wanted)

    def _guest(self, errand: Errand, now_s: float, *, leased: bool) -> Next:
        """The technician's request, or when it may go out."""
        unit = errand.request.unit
        for charger in self._hearers(unit):
            if (charger.needs_lease() and not leased) or charger.must_be_called(now_s):
                return now_s + LEASE_LOOK_S
        return self._by_number[unit].guest(errand, now_s)

    def _hearers(self, unit: int) -> Sequence[Charger]:
        """The EVSEs that may take a request to this unit for theirs."""
        known = next((one for one in self._units if one.health.number == unit), None)
        return tuple(self._chargers.values()) if known is None else known.chargers

    def _in_peace(self, retry: Errand, found: Sequence[Next], now_s: float) -> Next:
        """Hold a retry back until it takes no interval from the others, for a while at most."""
        cost_s = unanswered_s(self._link.serial, retry.timeout_s, retry.request)
        next_due_s = min((one for one in found if not isinstance(one, Errand)), default=math.inf)
        patience = self._by_number[retry.request.unit].patience
        until_s = patience.wait_until_s(now_s, cost_s=cost_s, next_due_s=next_due_s)
        return retry if until_s is None else until_s

    async def _connect(self, *, timeout_s: float) -> None:
        miss = await self._line.open(timeout_s=timeout_s)
        now_s = self._clock.monotonic_s()
        if miss is not None:
            self._failed_connects += 1
            self._lose(miss.detail, now_s)
            return
        self._connects += 1
        self._connected = True
        self._since_s = now_s
        self._unanswered = 0
        for unit in self._units:
            unit.reconnected(now_s, lost=not self._given_up)
        self._given_up = False

    def _lose(self, why: str, now_s: float) -> None:
        """Let a while pass before the next try; said until somebody answers again."""
        if self._connected:
            self._since_s = now_s
        self._connected = False
        self._last_error = why
        self._connect_s = now_s + self._reconnect.next_s()
        for unit in self._units:
            unit.break_off(now_s)
        self._guests.lost(why, now_s)
        self._troubles.begin(
            AlarmCode.LINK_DOWN,
            self._link.id,
            f"{why}; {_look_at(self._link)}",
            severity=Severity.ALARM,
        )

    async def _carry_out(self, errand: Errand) -> Answer | Miss:
        """Enter a request, send it, and hand on what came of it."""
        unit = self._by_number[errand.request.unit]
        now_s = self._clock.monotonic_s()
        unit.sending(errand, now_s)
        for charger in unit.fed_by(errand):
            self._image.fed(charger.evse.id, now_s)
        if errand.before is not None:
            errand.before(now_s)
        outcome = await self._line.exchange(errand.request, timeout_s=errand.timeout_s)
        unit.rouse()
        if not unit.health.again(outcome, later=unit.writes_later(errand)):
            errand.after(outcome)
        await self._mind_the_line(outcome)
        return outcome

    async def _mind_the_line(self, outcome: Answer | Miss) -> None:
        now_s = outcome.received_s
        if isinstance(outcome, Answer) or outcome.cause is MissCause.EXCEPTION:
            self._unanswered = 0
            if now_s - self._since_s >= RECONNECT_MOST_S:
                self._reconnect.reset()
            self._troubles.end(AlarmCode.LINK_DOWN, self._link.id)
            return
        if outcome.cause is MissCause.DISCONNECTED:
            await self._line.close()
            self._lose(outcome.detail, now_s)
            return
        self._last_error = outcome.detail
        self._unanswered += 1
        if self._unanswered >= self._half_open_after:
            await self._line.close()
            self._given_up = True
            self._lose(f"{outcome.detail}, {self._unanswered} times in a row", now_s)

    async def _stop_safely(self, values: Mapping[EvseId, float]) -> None:
        """Every EVSE gets one write, those that answer first, and one look at what it holds."""
        if self._mode is Mode.OBSERVE:
            return
        now_s = self._clock.monotonic_s()
        if not self._connected and now_s < self._stop_by_s:
            await self._connect(timeout_s=self._stop_by_s - now_s)
        order = sorted(
            (charger for id_, charger in self._chargers.items() if id_ in values),
            key=lambda charger: (charger.must_be_called(now_s), charger.setpoint.write_from_s),
        )
        written = []
        for charger in order:
            errand = charger.stop_write(values[charger.evse.id])
            if errand is None:
                continue
            if await self._last(errand, from_s=charger.setpoint.write_from_s):
                written.append(charger)
        for charger in written:
            errand = charger.look()
            if errand is not None:
                await self._last(errand)

    async def _last(self, errand: Errand, *, from_s: float = -math.inf) -> bool:
        """Carry out one request of the safe stop, if there is time; True when it was answered."""
        unit = self._by_number[errand.request.unit]
        while self._connected:
            now_s = self._clock.monotonic_s()
            due_s = max(unit.health.free_s, from_s)
            if max(due_s, now_s) >= self._stop_by_s:
                return False
            if due_s > now_s:
                await self._pause.until(due_s)
                continue
            errand.timeout_s = min(errand.timeout_s, self._stop_by_s - now_s)
            outcome = await self._carry_out(errand)
            if isinstance(outcome, Answer):
                return True
            if outcome.exception_code not in BUSY:
                return False
        return False


def _look_at(link: Link) -> str:
    """Say what to check where a link does not work."""
    if link.kind is LinkKind.RTU:
        return (
            "check adapter, cable, speed and parity, and whether another program holds"
            f" {link.where}"
        )
    return f"check power, network and whether another client holds {link.where}"
