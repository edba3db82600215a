"""Room for what chargers would draw after a reboot, where no meter would show it (S11).

1. A charger may lose its power and come back at any time. Where a meter shows it, that is an
   unforeseen step like any other. On the rows of a node where none does, its boot current is
   counted while it answers too: the greater of that and what it is told.
2. That holds for the limits that the owner configured: a lower ceiling is somebody's wish.
3. Nobody is stopped for it. Where the boot currents of all such chargers do not fit beside the base
   load, none is counted, and it is said: the owner took that risk by name (S22).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edgectl.control.account import trusted_meters
from edgectl.control.alarms import row_id, unseen_boot_alarm
from edgectl.control.layout import round_down
from edgectl.control.rows import Row, RowAt, carries, loads_row, sum_evses, with_base
from edgectl.control.shape import TOLERANCE_A, Shaped
from edgectl.control.share import Shared
from edgectl.control.situation import Situation
from edgectl.errors import invariant
from edgectl.model.decision import Alarm
from edgectl.model.site import Sees

SLACK = 1e-6
HALVINGS = 60


@dataclass(frozen=True, slots=True)
class BootRow:
    """A row on which some EVSEs are seen by no meter.

    `limit`: less its margin. `fixed`: what is drawn whatever is told, as `sum_evses` has it; so are
    `units`, what one ampere of each of its EVSEs is there. `boot_a`: per EVSE what counts at least;
    0 for those that a meter shows.
    """

    at: RowAt
    limit: float
    fixed: Sequence[float]
    evses: tuple[int, ...]
    units: tuple[Sequence[float], ...]
    boot_a: tuple[float, ...]
    least_a: tuple[float, ...]

    def load(self, told_a: Sequence[float]) -> Row:
        """What loads the node when its EVSEs are told so much, in the order of `evses`."""
        load = list(self.fixed)
        for unit, boot_a, a in zip(self.units, self.boot_a, told_a, strict=True):
            counts_a = max(boot_a, a)
            for r, share in enumerate(unit):
                load[r] += share * counts_a
        return load

    def excess(self, load: Sequence[float]) -> float:
        """By how much a load is too much."""
        return self.at.value(load) - self.limit

    def floor_a(self, k: int) -> float:
        """Below it the k-th EVSE need not go."""
        return max(self.boot_a[k], self.least_a[k])


@dataclass(frozen=True, slots=True)
class BootRoom:
    """What must be left for reboots. `boot_a`: per EVSE, 0 where a meter shows it at its own node.

    `sees[n]`: whether a meter at node n shows what flows there, and so to every node above.
    `limit[n]`: of the rows, less margin; None where there is none. `boots[n]`: what the boot
    currents of all that no meter shows there add, as `sum_evses` has it; `beside[n]`: the rows with
    these beside base and fixed loads.
    """

    situation: Situation
    shared: Shared
    sees: tuple[bool, ...]
    boot_a: tuple[float, ...]
    limit: tuple[tuple[float | None, ...], ...]
    boots: tuple[Row, ...]
    beside: tuple[Row, ...]

    def concerns(self, n: int, row: int) -> bool:
        """Whether any EVSE that no meter shows there loads a row."""
        return carries(self.situation.layout, n, row, self.boots[n])

    def short(self, n: int, row: int, limit: float) -> float:
        """By how much all those boot currents do not fit beside the base load; 0 if they do."""
        over = self.beside[n][row] - limit
        return over if over > SLACK else 0.0

    def tight(self, told_a: Sequence[float]) -> Iterator[BootRow]:
        """The rows that could bear all boot currents, and not these setpoints beside them."""
        layout, judged = self.situation.layout, self.situation.judged
        loads = sum_evses(layout, judged, told_a)
        more_a = [max(0.0, b - a) for b, a in zip(self.boot_a, told_a, strict=True)]
        more = sum_evses(layout, judged, more_a, shown=self.sees)
        for n, limits in enumerate(self.limit):
            if self.sees[n]:
                continue
            load = [
                a + b + c for a, b, c in zip(self.shared.fixed[n], loads[n], more[n], strict=True)
            ]
            for row, limit in enumerate(limits):
                if limit is None or not self.concerns(n, row) or self.short(n, row, limit):
                    continue
                at = RowAt(layout, judged[n], n, row, self.shared.base[n])
                if at.value(load) - limit > SLACK:
                    yield self._row(at, limit)

    def _row(self, at: RowAt, limit: float) -> BootRow:
        layout, commitments, n = self.situation.layout, self.situation.commitments, at.n
        evses = [
            i
            for i in layout.below[n]
            if not commitments[i].silent and loads_row(layout, n, at.row, i)
        ]
        return BootRow(
            at=at,
            limit=limit,
            fixed=self.shared.fixed[n],
            evses=tuple(evses),
            units=tuple(at.unit(i) for i in evses),
            boot_a=tuple(self.boot_a[i] if self._is_unseen(i, n) else 0.0 for i in evses),
            least_a=tuple(layout.least_a[i] for i in evses),
        )

    def _is_unseen(self, i: int, n: int) -> bool:
        for up in self.situation.layout.path[i]:
            if self.sees[up]:
                return False
            if up == n:
                break
        return True


def boot_room(situation: Situation, shared: Shared) -> BootRoom | None:
    """The room to be left; None where a meter shows every charger, as on most sites."""
    layout = situation.layout
    if not situation.rules.s11_boot:
        return None
    trusted = trusted_meters(situation.snapshot, situation.state, situation.now)
    if all(not seen_by.isdisjoint(trusted) for seen_by in layout.seen_by):
        return None
    sees = tuple(
        meter is not None and meter.sees is Sees.ALL and meter.id in trusted
        for meter in layout.meter
    )
    boot_a = tuple(
        0.0 if commitment.silent else evse.traits.boot_a
        for evse, commitment in zip(layout.site.evses, situation.commitments, strict=True)
    )
    boots = sum_evses(layout, situation.judged, boot_a, shown=sees)
    beside = []
    for n, judged in enumerate(situation.judged):
        load = [a + b for a, b in zip(shared.fixed[n], boots[n], strict=True)]
        beside.append(with_base(layout, judged, n, shared.base[n], load))
    limit = tuple(
        tuple(
            None if ceiling is None else ceiling - margin
            for ceiling, margin in zip(one.ceiling, one.margin, strict=True)
        )
        for one in layout.node_limits
    )
    return BootRoom(situation, shared, sees, boot_a, limit, tuple(boots), tuple(beside))


def keep_boot_room(
    situation: Situation, shared: Shared, shaped: tuple[Shaped, ...], room: BootRoom | None
) -> tuple[Shaped, ...]:
    """The setpoints, with raises taken back and values cut until every row has that room."""
    if room is None:
        return shaped
    now = list(shaped)
    counts_a = [
        max(one.setpoint_a, commitment.committed_a)
        for one, commitment in zip(shaped, situation.commitments, strict=True)
    ]
    for one in room.tight(counts_a):
        _take_back(situation, shared, one, now)
        _cut(situation, one, now)
    return tuple(now)


def verify_boot_room(room: BootRoom | None, situation: Situation, told_a: Sequence[float]) -> None:
    """S12 for these rows: within, or nobody above what it is cut to at most."""
    if room is None:
        return
    layout = situation.layout
    for one in room.tight(told_a):
        over = one.excess(one.load([told_a[i] for i in one.evses]))
        if over <= 2.0 * SLACK:
            continue
        for k, i in enumerate(one.evses):
            invariant(
                told_a[i] <= one.floor_a(k) + TOLERANCE_A,
                f"{layout.site.nodes[one.at.n].id} row {row_id(one.at.row)} leaves no room for boot"
                f" currents by {over:.6g}, and {layout.evse_ids[i]} is told {told_a[i]:.6g} A",
            )


def boot_room_alarms(room: BootRoom | None) -> Iterator[Alarm]:
    """Where the boot currents of chargers that no meter shows do not fit beside the base load."""
    if room is None:
        return
    for n, limits in enumerate(room.limit):
        short = [
            (row, short)
            for row, limit in enumerate(limits)
            if limit is not None and room.concerns(n, row) and (short := room.short(n, row, limit))
        ]
        if short:
            yield unseen_boot_alarm(room.situation.layout.site.nodes[n].id, *short[0])


def _take_back(situation: Situation, shared: Shared, one: BootRow, now: list[Shaped]) -> None:
    """Take raises back that the account leaves no room for, the end of the queue first (S13)."""
    commitments = situation.commitments
    place = {i: k for k, i in enumerate(one.evses)}
    load = one.load([max(now[i].setpoint_a, commitments[i].committed_a) for i in one.evses])
    for i in reversed(shared.ranks.queue):
        if one.excess(load) <= SLACK:
            return
        k = place.get(i)
        if k is None or now[i].setpoint_a <= commitments[i].in_force_a + TOLERANCE_A:
            continue
        kept_a = max(commitments[i].committed_a, one.boot_a[k])
        if now[i].setpoint_a <= kept_a:
            continue
        unit, raised_a = one.units[k], now[i].setpoint_a
        load = [a - share * (raised_a - kept_a) for a, share in zip(load, unit, strict=True)]
        target_a = kept_a + max(0.0, one.at.rise_a(load, unit, one.limit))
        less_a = round_down(situation.snapshot.site.evses[i].traits, target_a)
        if less_a < max(one.least_a[k], commitments[i].in_force_a):
            less_a = commitments[i].in_force_a
        again_a = max(less_a, kept_a)
        load = [a + share * (again_a - kept_a) for a, share in zip(load, unit, strict=True)]
        now[i] = Shaped(less_a, (one.at.n, one.at.row), wants_raise=True)


def _cut(situation: Situation, one: BootRow, now: list[Shaped]) -> None:
    """Cut the greatest ones to a common level, nobody below its minimum or boot current."""
    told_a = [now[i].setpoint_a for i in one.evses]
    if one.excess(one.load(told_a)) <= SLACK:
        return

    def at(level_a: float) -> list[float]:
        return [
            a if a <= one.floor_a(k) else max(one.floor_a(k), min(a, level_a))
            for k, a in enumerate(told_a)
        ]

    low_a, high_a = 0.0, max(told_a)
    for _ in range(HALVINGS):
        middle_a = (low_a + high_a) / 2.0
        if one.excess(one.load(at(middle_a))) > 0.0:
            high_a = middle_a
        else:
            low_a = middle_a
    for k, (i, level_a) in enumerate(zip(one.evses, at(low_a), strict=True)):
        if level_a < told_a[k]:
            down_a = round_down(situation.snapshot.site.evses[i].traits, level_a)
            less_a = max(one.least_a[k], down_a)
            now[i] = now[i]._replace(setpoint_a=less_a, held_back_by=(one.at.n, one.at.row))
