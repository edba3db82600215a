"""What the broker does not take: which rows hold a lane, for how long, and what becomes of them.

1. A refusal in the PUBACK is the broker's word. A connection that the broker itself ends is only a
   hint: some hang up on what they do not take, but so does a line that breaks.
2. So a row that was on its way at such an end goes alone the next time. After `hang_ups_doubted`
   of them it is offered alone, with nothing else on its way, on a connection that lasted `stable_s`
   before; only those ends tell. An end without the broker (silence, a stop) never does.
3. An end within `stable_s` of a refusal tells against what was refused, not against what was on its
   way: mosquitto with `max_queued_messages 0` hangs up on whatever comes after one.
4. A row makes way after `denied_tries` refusals or `hang_ups_proven` ends. If others of its topic
   were taken meanwhile it is given up; else it is set aside on the disk, as are those of its topic
   that follow, until the broker takes the topic again.
5. A topic of which a row is doubted or proven so is shut: its live rows are not sent, or each would
   end the connection. The next row after the proof is the witness: if it is taken, the topic is
   open and the proven row is given up; else one is tried every `probe_every_s`.
"""

from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

import structlog

from edgectl.daemon.region.pace import Pace
from edgectl.model.telemetry import Denial, StoredRow

SUSPECTS_MAX: Final = 1000
"""More than can be on their way; those that a bound took meanwhile are forgotten with the rest."""

_HUNG_UP: Final = "it ends the connection on what comes there"
_log: Final = structlog.get_logger(__name__)


class Fate(Enum):
    """What becomes of the row that is first in the backfill lane."""

    OFFERED = auto()
    SET_ASIDE = auto()
    GIVEN_UP = auto()


@dataclass(slots=True)
class _Held:
    """A row that was not taken: how often, and how many of its topic were taken before."""

    topic: str
    taken_before: int
    tries: int = 0
    hang_ups: int = 0


@dataclass(slots=True)
class _Closed:
    """A topic of which nothing is taken.

    `probe_s`: of a shut one, when it is tried again. `blamed`: the number of the row that was
    proven, until another of the topic was not taken either.
    """

    why: str
    probe_s: float | None = None
    blamed: int | None = None


@dataclass(frozen=True, slots=True)
class _Refused:
    """The newest refusal of this connection; `row` None: of something that is no row."""

    row: StoredRow | None
    at_s: float


class Refusals:
    """What is known of refusals. `denied`: by whole topic, each said once; the rest below it."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._denied: dict[str, Denial] = {}
        self._held: dict[int, _Held] = {}
        self._taken: Counter[str] = Counter()
        self._closed: dict[str, _Closed] = {}
        self._opened: set[str] = set()
        self._blamed: set[int] = set()
        self._last: _Refused | None = None

    def began(self) -> None:
        """Begin on a connection, which may have other rights."""
        self._denied.clear()
        self._last = None

    def note(self, denial: Denial, now_s: float, one: StoredRow | None = None) -> None:
        """Take a refusal down, of a row or of something else."""
        self._last = _Refused(one, now_s)
        tell = _log.debug if denial.topic in self._denied else _log.warning
        self._denied[denial.topic] = denial
        tell("broker_refuses", topic=denial.topic, code=denial.code, text=denial.text)

    def granted(self, wholes: Iterable[str]) -> None:
        """Know that topics are not refused any more."""
        for whole in wholes:
            self._denied.pop(whole, None)

    def denied(self) -> tuple[str, ...]:
        """The topics that are refused now, whole."""
        return tuple(sorted(self._denied))

    def closed(self) -> tuple[tuple[str, str], ...]:
        """Topics whose rows are set aside, and why."""
        return tuple((topic, self._closed[topic].why) for topic in sorted(self._closed))

    def opened(self) -> tuple[str, ...]:
        """Topics of which something was taken: what is set aside of them may come back."""
        return tuple(sorted(self._opened - self._closed.keys()))

    def moved(self, numbers: Sequence[tuple[int, int]]) -> None:
        """Rows that were set aside have these numbers now, each after the one it had."""
        for before, seq in numbers:
            if before in self._blamed:
                self._blamed.discard(before)
                self._held[seq] = _Held("", taken_before=-1, hang_ups=self._pace.hang_ups_proven)

    def came_back(self, topic: str) -> None:
        """Nothing of the topic is set aside any more."""
        self._opened.discard(topic)

    def taken(self, one: StoredRow, whole: str) -> None:
        """The broker took a row."""
        self._denied.pop(whole, None)
        self._held.pop(one.seq, None)
        self._taken[one.row.topic] += 1
        closed = self._closed.pop(one.row.topic, None)
        if closed is not None and closed.blamed is not None:
            self._blamed.add(closed.blamed)
        self._opened.add(one.row.topic)

    def refused(self, one: StoredRow) -> bool:
        """Count a refusal of the row that holds the lane; True when it was the last."""
        held = self._hold(one)
        held.tries += self._pace.denied_tries if one.row.topic in self._closed else 1
        return held.tries >= self._pace.denied_tries

    def hung_up(self, lost: Sequence[StoredRow], now_s: float) -> None:
        """Count that the broker ended the connection with these rows on their way."""
        if self._last is not None and now_s - self._last.at_s < self._pace.stable_s:
            lost = () if self._last.row is None else (self._last.row,)
        for one in lost:
            held = self._hold(one)
            if len(lost) > 1:
                continue
            held.hang_ups += 1
            closed = self._closed.get(one.row.topic)
            if closed is not None and closed.probe_s is not None:
                held.hang_ups = self._pace.hang_ups_proven
                closed.probe_s = now_s + self._pace.probe_every_s
                closed.blamed = None

    def cleared(self, seq: int) -> None:
        """The broker took a row for the second time."""
        self._held.pop(seq, None)

    def together(
        self, rows: Sequence[StoredRow], proven: Container[str] | None = None
    ) -> Sequence[StoredRow]:
        """The first of these rows that may be on their way at once.

        A row that was not taken before goes alone; so does one whose topic is not among `proven` on
        this connection. A refusal then finds nothing newer on its way.
        """
        known = 0
        for one in rows:
            if one.seq in self._held or (proven is not None and one.row.topic not in proven):
                break
            known += 1
        return rows[: max(known, 1)]

    def needs_calm(self, one: StoredRow) -> bool:
        """Whether it goes with nothing else on its way, on a connection that has lasted."""
        held = self._held.get(one.seq)
        return (held is not None and self._is_doubted(held)) or self._is_probed(one.row.topic)

    def is_shut(self, topic: str) -> bool:
        """Whether a live row of it would end the connection."""
        return self._is_probed(topic) or any(
            held.topic == topic and self._is_doubted(held) for held in self._held.values()
        )

    def fate(self, one: StoredRow, now_s: float) -> Fate:
        """What is due for the first row of the lane."""
        topic, held = one.row.topic, self._held.get(one.seq)
        closed = self._closed.get(topic)
        probe_s = None if closed is None else closed.probe_s
        if held is not None and self._is_spent(held):
            given_up = self._taken[topic] > held.taken_before
            return Fate.GIVEN_UP if given_up else Fate.SET_ASIDE
        if probe_s is not None and now_s < probe_s:
            return Fate.SET_ASIDE
        return Fate.OFFERED

    def why(self, one: StoredRow, whole: str) -> str:
        """Why it is not taken, for people."""
        held, denial = self._held.get(one.seq), self._denied.get(whole)
        if held is not None and held.hang_ups >= self._pace.hang_ups_proven:
            return _HUNG_UP
        return "refused" if denial is None else f"{denial.text} (code {denial.code})"

    def out_of_the_way(self, one: StoredRow, fate: Fate, *, why: str, now_s: float) -> None:
        """The row left the lane; a topic of which it was the proof is closed."""
        held = self._held.pop(one.seq, None)
        if fate is not Fate.SET_ASIDE or one.row.topic in self._closed:
            return
        _log.error("rows_set_aside", seq=one.seq, topic=one.row.topic, why=why)
        closed = self._closed[one.row.topic] = _Closed(why)
        if held is not None and held.hang_ups >= self._pace.hang_ups_proven:
            closed.probe_s, closed.blamed = now_s, one.seq

    def _is_doubted(self, held: _Held) -> bool:
        return held.hang_ups >= self._pace.hang_ups_doubted

    def _is_probed(self, topic: str) -> bool:
        closed = self._closed.get(topic)
        return closed is not None and closed.probe_s is not None

    def _is_spent(self, held: _Held) -> bool:
        return held.tries >= self._pace.denied_tries or held.hang_ups >= self._pace.hang_ups_proven

    def _hold(self, one: StoredRow) -> _Held:
        if one.seq not in self._held and len(self._held) >= SUSPECTS_MAX:
            self._held.clear()
        topic = one.row.topic
        return self._held.setdefault(one.seq, _Held(topic, self._taken[topic]))
