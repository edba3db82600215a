"""Everything that answers at one unit of a link: its meters, its EVSEs, the turn under way.

1. Of all that the unit needs, the most urgent goes next; nothing goes in the pause that it needs.
2. A unit that keeps silent is left alone for a while, but for the calls to its silent EVSEs, which
   have waits of their own: 5 s growing to 60 s, and 5 s again once one of them answers (S10).
"""

import math
import random
from collections.abc import Iterable, Sequence
from typing import Final

from edgectl.daemon.lines.charger import Charger
from edgectl.daemon.lines.charger_turn import Ask, Turn, call_turn
from edgectl.daemon.lines.errand import Errand, Next, Rank
from edgectl.daemon.lines.health import Health
from edgectl.daemon.lines.meter import MeterDesk
from edgectl.daemon.lines.schedule import Backoff, Patience
from edgectl.devices.profile import Profile
from edgectl.model.modbus import Answer, Function, Miss
from edgectl.units import EvseId

CALL_FIRST_S: Final = 5.0
CALL_MOST_S: Final = 60.0
FIRST_CALL_WITHIN_S: Final = 0.5
LOOK_AGAIN_S: Final = 1.0
FOREIGN_GAP_S: Final = 0.05
FOREIGN_POLL_S: Final = 1.0
"""For a unit that the site does not name and the technician asks."""

_WRITES: Final = frozenset({Function.WRITE_SINGLE, Function.WRITE_MULTIPLE})
_SETPOINTS: Final = frozenset({Rank.DECREASE, Rank.INCREASE})
_NOBODY: Final[frozenset[EvseId]] = frozenset()


class Unit:
    """What one unit needs next. Knows no line and no clock."""

    def __init__(
        self,
        number: int,
        *,
        meters: Sequence[MeterDesk],
        chargers: Sequence[Charger],
        profiles: Iterable[Profile],
        rng: random.Random,
    ) -> None:
        transports = [profile.transport for profile in profiles]
        self.chargers = tuple(chargers)
        self.health = Health(
            number,
            gap_s=max((transport.request_gap_s for transport in transports), default=FOREIGN_GAP_S),
            poll_s=min((transport.poll_s for transport in transports), default=FOREIGN_POLL_S),
            rng=rng,
        )
        self.patience = Patience()
        self.needs_lease = any(charger.needs_lease() for charger in chargers)
        self._meters = tuple(meters)
        self._rng = rng
        self._calls = Backoff(first_s=CALL_FIRST_S, most_s=CALL_MOST_S, rng=rng)
        self._call_s = math.inf
        self._called_s = -math.inf
        self._idle_until_s = -math.inf
        self._write_gap_s = max(
            (charger.evse.traits.min_write_interval_s for charger in chargers), default=0.0
        )
        self._write_from_s = -math.inf
        self._silent = _NOBODY
        self._turns = 0
        self._turn: Turn | None = None
        self._ask: Ask | None = None

    def next(self, now_s: float, *, leased: bool) -> Next:
        """Give what the unit needs most; one that needs nothing is left out for a while."""
        if now_s < self._idle_until_s:
            return self._idle_until_s
        found = self._wanted(now_s, leased=leased)
        if isinstance(found, Errand):
            if self.health.in_doubt and found.rank is Rank.POLL:
                found.rank = Rank.RETRY
            return found
        self._idle_until_s = min(found, now_s + LOOK_AGAIN_S)
        return self._idle_until_s

    def resume(self, now_s: float) -> None:
        """Know that somebody may have written just now: the device may not take the next one."""
        self._write_from_s = now_s + self._write_gap_s

    def guest(self, errand: Errand, now_s: float) -> Next:
        """Give a request of the technician when the device's own pauses let it go."""
        if self.health.free_s > now_s:
            return self.health.free_s
        return self._in_time(errand, now_s)

    def sending(self, errand: Errand, now_s: float) -> None:
        """Know that a request goes out: some devices take one write of any kind in some seconds."""
        if errand.request.function in _WRITES:
            self._write_from_s = now_s + self._write_gap_s

    def writes_later(self, errand: Errand) -> bool:
        """Whether a setpoint that is refused as busy can go out again in some seconds only.

        Such a device takes no write soon after one by anybody, another master too.
        """
        return self._write_gap_s > 0.0 and errand.rank in _SETPOINTS

    def rouse(self) -> None:
        """Have it asked again at once: something about it has changed."""
        self._idle_until_s = -math.inf

    def fed_by(self, errand: Errand) -> Iterable[Charger]:
        """Give the EVSEs whose watchdog the request may feed; a call lowers the silent ones."""
        return (
            charger
            for charger in self.chargers
            if not (errand.call and charger.evse.id in self._silent)
            and charger.fed_by(errand.request)
        )

    def reconnected(self, now_s: float, *, lost: bool) -> None:
        """Begin afresh on a new connection; `lost`: the old one was lost, not given up."""
        self.rouse()
        self.health.reconnected()
        self._end_turn(now_s)
        for meter in self._meters:
            meter.reconnected(now_s)
        for charger in self.chargers:
            charger.reconnected(now_s)
        if lost and self._call_s < math.inf:
            self._call_s = max(self._called_s + CALL_FIRST_S, self._soon(now_s))

    def break_off(self, now_s: float) -> None:
        """Give up the turn under way: its next request may be out of date when it can go out."""
        self.rouse()
        self._end_turn(now_s)

    def _wanted(self, now_s: float, *, leased: bool) -> Next:
        health = self.health
        if health.free_s > now_s:
            return health.free_s
        found = [self._turn_errand(now_s)]
        if health.quiet_until_s > now_s:
            found.append(health.quiet_until_s)
        else:
            found += [meter.next(now_s) for meter in self._meters]
            found += [
                charger.next(now_s, leased=leased)
                for charger in self.chargers
                if charger.evse.id not in self._silent
            ]
        if now_s < self._write_from_s:
            found = [self._in_time(one, now_s) for one in found]
        return most_urgent(found)

    def _in_time(self, found: Next, now_s: float) -> Next:
        """Hold a write back until the device takes one again."""
        if not isinstance(found, Errand) or found.request.function not in _WRITES:
            return found
        return found if now_s >= self._write_from_s else self._write_from_s

    def _turn_errand(self, now_s: float) -> Next:
        if self._turn is None:
            self._begin_turn(now_s)
        if self._ask is None:
            return self._call_s
        ask = self._ask
        return Errand(
            rank=Rank.POLL if ask.call else Rank.KEEPALIVE,
            order=now_s,
            request=ask.request,
            timeout_s=ask.timeout_s,
            before=ask.enter,
            after=self._told,
            call=ask.call,
        )

    def _begin_turn(self, now_s: float) -> None:
        """Call the silent EVSEs when that is due, else set a failsafe block again if it must be."""
        silent = [charger for charger in self.chargers if charger.must_be_called(now_s)]
        ids = _NOBODY
        if silent:
            ids = frozenset(charger.evse.id for charger in silent if charger.can_be_called())
        if ids - self._silent:
            self._call_s = min(self._call_s, self._soon(now_s))
        if not ids:
            self._call_s = math.inf
        self._silent = frozenset(charger.evse.id for charger in silent) if silent else _NOBODY
        if self._call_s <= now_s:
            callees = [charger for charger in silent if charger.can_be_called()]
            first = self._turns % len(callees)
            self._turns += 1
            self._called_s = now_s
            self._start(call_turn(callees[first:] + callees[:first]), now_s)
            return
        for charger in self.chargers:
            if charger.evse.id not in self._silent and (turn := charger.rearm(now_s)) is not None:
                self._start(turn, now_s)
                return

    def _start(self, turn: Turn, now_s: float) -> None:
        self._turn = turn
        try:
            self._ask = next(turn)
        except StopIteration:
            self._end_turn(now_s)

    def _told(self, outcome: Answer | Miss) -> None:
        if self._turn is None:
            return
        try:
            self._ask = self._turn.send(outcome)
        except StopIteration:
            self._end_turn(outcome.received_s)

    def _end_turn(self, now_s: float) -> None:
        if self._turn is None:
            return
        self._turn.close()
        self._turn = None
        self._ask = None
        if self._call_s == math.inf:
            return
        still = {c.evse.id for c in self.chargers if c.must_be_called(now_s)}
        if still < self._silent:
            self._calls.reset()
        self._call_s = now_s + self._calls.next_s() if still else math.inf

    def _soon(self, now_s: float) -> float:
        return now_s + FIRST_CALL_WITHIN_S * self._rng.random()


def most_urgent(found: Iterable[Next]) -> Next:
    """Give the errand of the best rank and the least order; without one, the earliest time."""
    best: Errand | None = None
    soonest_s = math.inf
    for one in found:
        if not isinstance(one, Errand):
            soonest_s = min(soonest_s, one)
        elif best is None or (one.rank, one.order) < (best.rank, best.order):
            best = one
    return soonest_s if best is None else best
