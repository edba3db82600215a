"""Room for what chargers would draw after a reboot, where no meter would show it (S11).

1. A charger may lose its power and come back at any time. Where a meter shows it, that is an
   unforeseen step like any other. On the rows of a node where none does, its boot current is
   counted while it answers too: the greater of that and what it is told.
2. That holds for the limits that the owner configured: a lower ceiling is somebody's wish.
3. Nobody is stopped for it. Where the boot currents of all such chargers do not fit beside the base
   load, none is counted, and it is said: the owner took that risk by name (S22).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from edgectl.control.account import trusted_meters
from edgectl.control.alarms import row_id, unseen_boot_alarm
from edgectl.control.curved import loads_of, sum_groups
from edgectl.control.layout import VA_ROW, round_down
from edgectl.control.rows import Row, loads_row, sum_evses, va_of, volts_of, with_base
from edgectl.control.shape import TOLERANCE_A, Shaped
from edgectl.control.share import Shared
from edgectl.control.situation import Situation
from edgectl.errors import invariant
from edgectl.model.decision import Alarm

SLACK = 1e-6
HALVINGS = 60


@dataclass(frozen=True, slots=True)
class BootRow:
    """A row on which some EVSEs are seen by no meter, with what a current on each of them adds.

    `left`: as in `BootRoom`. `boot_a`: per EVSE of the row what counts at
    least; 0 for those that a meter shows. `over`: by how much loads are too much, where they do not
    add up as amounts.
    """

    node: int
    row: int
    left: float
    evses: tuple[int, ...]
    adds: tuple[float, ...]
    boot_a: tuple[float, ...]
    least_a: tuple[float, ...]
    over: Callable[[Sequence[float]], float] | None = None

    def excess(self, told_a: Sequence[float]) -> float:
        """By how much it is too much when its EVSEs are told so much, in the order of `evses`."""
        if self.over is not None:
            return self.over([max(b, a) for b, a in zip(self.boot_a, told_a, strict=True)])
        load = 0.0
        for add, boot_a, a in zip(self.adds, self.boot_a, told_a, strict=True):
            load += add * max(boot_a, a)
        return load - self.left

    def fitting_a(self, k: int, counts_a: Sequence[float], kept_a: float, over: float) -> float:
        """The most that the k-th EVSE may count for the row to hold, at least `kept_a`."""
        if self.over is None:
            return max(kept_a, counts_a[k] - over / self.adds[k])
        low_a, high_a = kept_a, counts_a[k]
        for _ in range(HALVINGS):
            middle_a = (low_a + high_a) / 2.0
            if self.excess([*counts_a[:k], middle_a, *counts_a[k + 1 :]]) > 0.0:
                high_a = middle_a
            else:
                low_a = middle_a
        return low_a

    def floor_a(self, k: int) -> float:
        """Below it the k-th EVSE need not go."""
        return max(self.boot_a[k], self.least_a[k])


@dataclass(frozen=True, slots=True)
class BootRoom:
    """What must be left for reboots. `boot_a`: per EVSE, 0 where a meter shows it at its own node.

    `sees[n]`: whether a meter at node n shows what flows there, and so to every node above.
    `left[n]`: of the rows, limit less margin, base and fixed loads; None where there is no limit.
    Of rows of phasors base and fixed loads are not taken off: they only count with the others.
    `boots[n]`: what the boot currents of all that no meter shows there add, as `sum_evses` has it;
    `beside[n]`: rows of phasors with these.
    """

    situation: Situation
    shared: Shared
    sees: tuple[bool, ...]
    boot_a: tuple[float, ...]
    left: tuple[tuple[float | None, ...], ...]
    boots: tuple[Row, ...] = ()
    beside: tuple[Row, ...] = ()

    def fits(self, n: int, row: int) -> bool:
        """Whether all those boot currents fit beside the base load."""
        left = self.left[n][row]
        return left is None or self.short(n, row, left) <= SLACK

    def short(self, n: int, row: int, left: float) -> float:
        """By how much they do not fit."""
        if self.situation.layout.curves is None:
            return self.boots[n][row] - left
        return self.beside[n][row] - left

    def rows(self, n: int, load: Sequence[float]) -> Row:
        """The rows of phasors of a node with a load beside the base and what is fixed."""
        situation, shared = self.situation, self.shared
        groups = [a + b for a, b in zip(shared.fixed[n], load, strict=True)]
        return with_base(situation.layout, situation.judged[n], n, shared.base[n], groups)

    def concerns(self, n: int, row: int) -> bool:
        """Whether any EVSE that no meter shows there loads a row."""
        if self.situation.layout.curves is None:
            return bool(self.boots[n][row])
        return loads_of(self.situation.layout.curves, n, row, self.boots[n])

    def tight(self, told_a: Sequence[float]) -> Iterator[BootRow]:
        """The rows that could bear all boot currents, and not these setpoints beside them."""
        layout, judged = self.situation.layout, self.situation.judged
        loads = sum_evses(layout, judged, told_a)
        more = self.unseen([max(0.0, b - a) for b, a in zip(self.boot_a, told_a, strict=True)])
        for n, rows in enumerate(self.left):
            if self.sees[n]:
                continue
            all_rows = None
            for row, left in enumerate(rows):
                if left is None or not self.concerns(n, row) or not self.fits(n, row):
                    continue
                if layout.curves is None:
                    over = loads[n][row] + more[n][row] > left + SLACK
                else:
                    if all_rows is None:
                        both = [a + b for a, b in zip(loads[n], more[n], strict=True)]
                        all_rows = self.rows(n, both)
                    over = all_rows[row] - left > SLACK
                if over:
                    yield self._row(n, row, left)

    def unseen(self, currents_a: Sequence[float]) -> tuple[Row, ...]:
        """Per node, what currents add there of those EVSEs that no meter shows there."""
        layout = self.situation.layout
        if layout.curves is not None:
            return tuple(sum_groups(layout.curves, currents_a, shown=self.sees))
        rows: list[Row] = [[0.0, 0.0, 0.0, 0.0] for _ in layout.parent]
        for i, current_a in enumerate(currents_a):
            if current_a != 0.0:
                own = rows[layout.own_node[i]]
                for p in layout.phases[i]:
                    own[p] += current_a
        for n in reversed(range(len(rows))):
            if self.sees[n]:
                rows[n] = [0.0, 0.0, 0.0, 0.0]
                continue
            above = layout.parent[n]
            if above >= 0:
                for p in range(3):
                    rows[above][p] += rows[n][p]
            rows[n][VA_ROW] = va_of(self.situation.judged[n], rows[n])
        return tuple(rows)

    def _row(self, n: int, row: int, left: float) -> BootRow:
        layout, commitments = self.situation.layout, self.situation.commitments
        evses = [
            i for i in layout.below[n] if not commitments[i].silent and loads_row(layout, n, row, i)
        ]
        judged, curves = self.situation.judged[n], layout.curves

        def over(counts_a: Sequence[float]) -> float:
            load = [0.0] * len(self.boots[n])
            for i, a in zip(evses, counts_a, strict=True):
                for g, share in enumerate(() if curves is None else curves.reach[i][n].groups):
                    load[g] += share * a
            return self.rows(n, load)[row] - left

        return BootRow(
            node=n,
            row=row,
            left=left,
            evses=tuple(evses),
            adds=tuple(volts_of(judged, layout.phases[i]) if row == VA_ROW else 1.0 for i in evses),
            boot_a=tuple(self.boot_a[i] if self._is_unseen(i, n) else 0.0 for i in evses),
            least_a=tuple(layout.least_a[i] for i in evses),
            over=None if curves is None else over,
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
    made = BootRoom(
        situation=situation,
        shared=shared,
        sees=tuple(meter is not None and meter.id in trusted for meter in layout.meter),
        boot_a=tuple(
            0.0 if commitment.silent else evse.traits.boot_a
            for evse, commitment in zip(layout.site.evses, situation.commitments, strict=True)
        ),
        left=tuple(_left(situation, shared, n) for n in range(len(layout.parent))),
    )
    made = replace(made, boots=made.unseen(made.boot_a))
    if layout.curves is None:
        return made
    return replace(
        made,
        beside=tuple(
            [] if made.sees[n] else made.rows(n, boots) for n, boots in enumerate(made.boots)
        ),
    )


def _left(situation: Situation, shared: Shared, n: int) -> tuple[float | None, ...]:
    limit = situation.layout.node_limits[n]
    if situation.layout.curves is not None:
        return tuple(
            None if ceiling is None else ceiling - margin
            for ceiling, margin in zip(limit.ceiling, limit.margin, strict=True)
        )
    return tuple(
        None if ceiling is None else ceiling - margin - base - fixed
        for ceiling, margin, base, fixed in zip(
            limit.ceiling, limit.margin, shared.base[n], shared.fixed[n], strict=True
        )
    )


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
        over = one.excess([told_a[i] for i in one.evses])
        if over <= 2.0 * SLACK:
            continue
        for k, i in enumerate(one.evses):
            invariant(
                told_a[i] <= one.floor_a(k) + TOLERANCE_A,
                f"{layout.site.nodes[one.node].id} row {row_id(one.row)} leaves no room for boot"
                f" currents by {over:.6g}, and {layout.evse_ids[i]} is told {told_a[i]:.6g} A",
            )


def boot_room_alarms(room: BootRoom | None) -> Iterator[Alarm]:
    """Where the boot currents of chargers that no meter shows do not fit beside the base load."""
    if room is None:
        return
    for n, left in enumerate(room.left):
        short = [
            (row, room.short(n, row, value))
            for row, value in enumerate(left)
            if value is not None and room.concerns(n, row) and not room.fits(n, row)
        ]
        if short:
            yield unseen_boot_alarm(room.situation.layout.site.nodes[n].id, *short[0])


def _take_back(situation: Situation, shared: Shared, one: BootRow, now: list[Shaped]) -> None:
    """Take raises back that the account leaves no room for, the end of the queue first (S13)."""
    commitments = situation.commitments
    place = {i: k for k, i in enumerate(one.evses)}
    counts_a = [max(now[i].setpoint_a, commitments[i].committed_a) for i in one.evses]
    over = one.excess(counts_a)
    for i in reversed(shared.ranks.queue):
        if over <= SLACK:
            return
        k = place.get(i)
        if k is None or now[i].setpoint_a <= commitments[i].in_force_a + TOLERANCE_A:
            continue
        kept_a = max(commitments[i].committed_a, one.boot_a[k])
        if now[i].setpoint_a <= kept_a:
            continue
        target_a = one.fitting_a(k, counts_a, kept_a, over)
        less_a = round_down(situation.snapshot.site.evses[i].traits, target_a)
        if less_a < max(one.least_a[k], commitments[i].in_force_a):
            less_a = commitments[i].in_force_a
        if one.over is None:
            over -= one.adds[k] * (counts_a[k] - max(less_a, kept_a))
        else:
            counts_a[k] = max(less_a, kept_a)
            over = one.excess(counts_a)
        now[i] = Shaped(less_a, (one.node, one.row), wants_raise=True)


def _cut(situation: Situation, one: BootRow, now: list[Shaped]) -> None:
    """Cut the greatest ones to a common level, nobody below its minimum or boot current."""
    told_a = [now[i].setpoint_a for i in one.evses]
    if one.excess(told_a) <= SLACK:
        return

    def at(level_a: float) -> list[float]:
        return [
            a if a <= one.floor_a(k) else max(one.floor_a(k), min(a, level_a))
            for k, a in enumerate(told_a)
        ]

    low_a, high_a = 0.0, max(told_a)
    for _ in range(HALVINGS):
        middle_a = (low_a + high_a) / 2.0
        if one.excess(at(middle_a)) > 0.0:
            high_a = middle_a
        else:
            low_a = middle_a
    for k, (i, level_a) in enumerate(zip(one.evses, at(low_a), strict=True)):
        if level_a < told_a[k]:
            down_a = round_down(situation.snapshot.site.evses[i].traits, level_a)
            less_a = max(one.least_a[k], down_a)
            now[i] = now[i]._replace(setpoint_a=less_a, held_back_by=(one.node, one.row))
