"""The queue over a restart: who waits before whom, and how much of its turn everybody has used.

1. It is kept when it changes, not at every tick, as one document. A disk that refuses is tried
   again, and the store says so.
2. Instants are kept as they lie before the moment of writing, and that moment as UTC. Where the
   clock is not trusted, then or now, the time without a daemon does not count; what is going on is
   then kept again every `AGAIN_S`.
3. What was kept of an EVSE stands until it is heard: silence says nothing about its vehicle.
"""

import math
from dataclasses import dataclass, replace
from typing import Final

import structlog

from edgectl.clock import Instant
from edgectl.contract.record import Recorded
from edgectl.errors import StorageFailed
from edgectl.model.quick import maker
from edgectl.model.record import TickRecord
from edgectl.model.site import Site
from edgectl.model.snapshot import KeptTurn
from edgectl.model.state import EvseState
from edgectl.model.store import Store
from edgectl.units import EvseId

AGAIN_S: Final = 60.0
STEP_S: Final = 1.0
"""The wall clock was set when it moves so much beside the steady one."""

_KIND: Final = "queue"
_KEY: Final = "turns"
_log: Final = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Kept:
    """The document. Instants of `turns` count from `at_utc_s`, and are negative."""

    at_utc_s: float
    utc_trusted: bool
    turns: tuple[KeptTurn, ...]


_KEPT: Final = Recorded(Kept)

_kept_turn = maker(KeptTurn)


class Turns:
    """Observes every tick, keeps the queue, and gives what was kept to the first step."""

    def __init__(self, site: Site, *, store: Store) -> None:
        self._site = site
        self._store = store
        self._found: dict[EvseId, KeptTurn] = {}
        self._latest: TickRecord | None = None
        self._kept: tuple[KeptTurn, ...] | None = None
        self._kept_offset_s = math.nan
        self._kept_mono_s = -math.inf

    def queue(self) -> tuple[KeptTurn, ...]:
        """What the daemon before kept; instants are monotonic."""
        return tuple(self._found.values())

    def observe(self, record: TickRecord) -> None:
        """Take a finished tick down; never waits."""
        self._latest = record

    async def load(self, now: Instant) -> None:
        """Take up what was kept; what cannot be understood is said, and all begin anew."""
        doc = (await self._store.load_all(_KIND)).get(_KEY)
        if doc is None:
            return
        try:
            kept = _KEPT.of_document(doc)
        except ValueError as error:
            _log.warning("queue_not_readable", error=str(error)[:300])
            return
        away_s = 0.0
        if kept.utc_trusted and now.utc_trusted:
            away_s = max(0.0, now.utc_s - kept.at_utc_s)
        self._found = {one.evse: _shifted(one, now.mono_s - away_s) for one in kept.turns}

    async def tick(self, now: Instant) -> None:
        """Keep the queue if it is another, or meant by another clock."""
        record = self._latest
        if record is None:
            return
        turns = self._turns(record)
        offset_s = now.utc_s - now.mono_s
        if turns == self._kept and not self._is_old(now, offset_s):
            return
        kept = Kept(
            at_utc_s=now.utc_s,
            utc_trusted=now.utc_trusted,
            turns=tuple(_shifted(one, -now.mono_s) for one in turns),
        )
        try:
            await self._store.put(_KIND, _KEY, _KEPT.document(kept))
        except StorageFailed:
            return
        self._kept, self._kept_offset_s, self._kept_mono_s = turns, offset_s, now.mono_s

    def _is_old(self, now: Instant, offset_s: float) -> bool:
        if abs(offset_s - self._kept_offset_s) > STEP_S:
            return True
        return bool(self._kept) and not now.utc_trusted and now.mono_s - self._kept_mono_s > AGAIN_S

    def _turns(self, record: TickRecord) -> tuple[KeptTurn, ...]:
        turns = []
        for evse in self._site.evses:
            view, state = record.snapshot.evses.get(evse.id), record.state.evses.get(evse.id)
            if view is None or view.last_answer_s is None:
                turn = self._found.get(evse.id)
            else:
                turn = None if state is None else _turn(evse.id, state)
            if turn is not None:
                turns.append(turn)
        return tuple(turns)


def _turn(evse: EvseId, state: EvseState) -> KeptTurn | None:
    """The place of an EVSE; None where there is nothing to keep of it.

    Who asks for nothing has no place: over a restart it would come before those who wait.
    """
    behind = state.no_demand is not None and state.no_demand.until_s is not None
    turn = _kept_turn(
        evse=evse,
        asked_s=None if behind else state.asked_s,
        admitted_s=None if behind else state.admitted_s,
        stopped_s=state.stopped_s,
        displaced=state.displaced,
        energy_from_wh=state.energy_from_wh,
    )
    return None if turn == _kept_turn(evse) else turn


def _shifted(turn: KeptTurn, by_s: float) -> KeptTurn:
    def shifted(instant_s: float | None) -> float | None:
        return None if instant_s is None else instant_s + by_s

    return replace(
        turn,
        asked_s=shifted(turn.asked_s),
        admitted_s=shifted(turn.admitted_s),
        stopped_s=shifted(turn.stopped_s),
    )
