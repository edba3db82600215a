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
from edgectl.control.alarms import unseen_boot_alarm
from edgectl.control.layout import VA_ROW, round_down
from edgectl.control.rows import volts_of
from edgectl.control.shape import TOLERANCE_A, Shaped
from edgectl.control.share import Shared
from edgectl.control.situation import Situation
from edgectl.errors import invariant
from edgectl.model.allocation import ROWS
from edgectl.model.decision import Alarm

SLACK = 1e-6
HALVINGS = 60


@dataclass(frozen=True, slots=True)
class BootRow:
    """A row on which some EVSEs are seen by no meter, with what a current on each of them adds.

    `left`: limit less margin, base and fixed loads. `boot_a`: per EVSE of the row what counts at
    least; 0 for those that a meter shows.
    """

    node: int
    row: int
    left: float
    evses: tuple[int, ...]
    adds: tuple[float, ...]
    boot_a: tuple[float, ...]
    least_a: tuple[float, ...]

    @property
    def fits(self) -> bool:
        """Whether the boot currents of all of them fit beside the base load."""
        return self.excess(self.boot_a) <= SLACK

    def excess(self, told_a: Sequence[float]) -> float:
        """By how much it is too much when its EVSEs are told so much, in the order of `evses`."""
        load = 0.0
        for add, boot_a, a in zip(self.adds, self.boot_a, told_a, strict=True):
            load += add * max(boot_a, a)
        return load - self.left

    def floor_a(self, k: int) -> float:
        """Below it the k-th EVSE need not go."""
        return max(self.boot_a[k], self.least_a[k])


def boot_rows(situation: Situation, shared: Shared) -> tuple[BootRow, ...]:
    """Every limited row on which a charger that answers is seen by no meter."""
    layout = situation.layout
    if not situation.rules.s11_boot:
        return ()
    trusted = trusted_meters(situation.snapshot, situation.state, situation.now)
    if all(not seen_by.isdisjoint(trusted) for seen_by in layout.seen_by):
        return ()
    sees = [meter is not None and meter.id in trusted for meter in layout.meter]
    rows = []
    for n, node in enumerate(layout.node_limits):
        boots = {i: boot_a for i in layout.below[n] if (boot_a := _unseen_a(situation, sees, n, i))}
        if not boots:
            continue
        for row, ceiling in enumerate(node.ceiling):
            if ceiling is None:
                continue
            evses = [
                i
                for i in layout.below[n]
                if not situation.commitments[i].silent
                and (row == VA_ROW or row in layout.phases[i])
            ]
            judged = situation.judged[n]
            rows.append(
                BootRow(
                    node=n,
                    row=row,
                    left=ceiling - node.margin[row] - shared.base[n][row] - shared.fixed[n][row],
                    evses=tuple(evses),
                    adds=tuple(
                        volts_of(judged, layout.phases[i]) if row == VA_ROW else 1.0 for i in evses
                    ),
                    boot_a=tuple(boots.get(i, 0.0) for i in evses),
                    least_a=tuple(layout.least_a[i] for i in evses),
                )
            )
    return tuple(rows)


def keep_boot_room(
    situation: Situation, shared: Shared, shaped: tuple[Shaped, ...], rows: Sequence[BootRow]
) -> tuple[Shaped, ...]:
    """The setpoints, with raises taken back and values cut until every row has that room."""
    now = list(shaped)
    for one in rows:
        if one.fits:
            _take_back(situation, shared, one, now)
            _cut(situation, one, now)
    return tuple(now)


def verify_boot_room(
    rows: Sequence[BootRow], situation: Situation, told_a: Sequence[float]
) -> None:
    """S12 for these rows: within, or nobody above what it is cut to at most."""
    layout = situation.layout
    for one in rows:
        over = one.excess([told_a[i] for i in one.evses])
        if not one.fits or over <= 2.0 * SLACK:
            continue
        for k, i in enumerate(one.evses):
            invariant(
                told_a[i] <= one.floor_a(k) + TOLERANCE_A,
                f"{layout.site.nodes[one.node].id} row {ROWS[one.row]} leaves no room for boot"
                f" currents by {over:.6g}, and {layout.evse_ids[i]} is told {told_a[i]:.6g} A",
            )


def boot_room_alarms(situation: Situation, shared: Shared) -> Iterator[Alarm]:
    """Where the boot currents of chargers that no meter shows do not fit beside the base load."""
    said = set[int]()
    for one in boot_rows(situation, shared):
        if not one.fits and one.node not in said:
            said.add(one.node)
            node = situation.layout.site.nodes[one.node].id
            yield unseen_boot_alarm(node, one.row, one.excess(one.boot_a))


def _unseen_a(situation: Situation, sees: Sequence[bool], n: int, i: int) -> float:
    """The boot current of an EVSE that answers, on a node where no meter shows it; else 0."""
    if situation.commitments[i].silent:
        return 0.0
    for up in situation.layout.path[i]:
        if sees[up]:
            return 0.0
        if up == n:
            break
    return situation.snapshot.site.evses[i].traits.boot_a


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
        target_a = max(kept_a, counts_a[k] - over / one.adds[k])
        less_a = round_down(situation.snapshot.site.evses[i].traits, target_a)
        if less_a < max(one.least_a[k], commitments[i].in_force_a):
            less_a = commitments[i].in_force_a
        over -= one.adds[k] * (counts_a[k] - max(less_a, kept_a))
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
