"""The queue outlives the daemon: who waits before whom, and who has how much of its turn used."""

import asyncio

import pytest

from edgectl.model.record import TickRecord
from edgectl.simulator import virtual_time
from edgectl.units import EvseId
from tests.field.yard import Bay, Place, stay, whole_yard, yard
from tests.whole.harness import Whole, restarted

# Room for one at a time; they come in the order that is not the site file's.
BAYS = [Bay(id=name, watchdog_s=60.0) for name in "abc"]
SITE = yard(*BAYS, nodes=[Place(limit_a=(10.0, 10.0, 10.0))])
STAYS = (stay("c"), stay("b", from_s=40.0), stay("a", from_s=80.0))
TURN_S = 900.0


async def runs(whole: Whole, until_s: float, *, kill: bool) -> None:
    whole.daemon.tick.observe(whole.records.append)
    running = asyncio.create_task(whole.daemon.run())
    await whole.until(until_s)
    if kill:
        running.cancel()
        await asyncio.wait([running])
    else:
        whole.daemon.stop()
        await running


def charging(record: TickRecord) -> list[str]:
    decided = record.decision.evses
    return [bay for bay in "abc" if decided[EvseId(bay)].setpoint_a >= 6.0]


def waiting(record: TickRecord) -> list[str]:
    places = {bay: record.decision.evses[EvseId(bay)].place for bay in "abc"}
    return sorted((bay for bay in "abc" if places[bay]), key=lambda bay: places[bay] or 0)


def played(*, kill: bool, away_s: float, trusted: bool = True) -> list[TickRecord]:
    async def main() -> list[TickRecord]:
        whole = whole_yard(SITE, *STAYS)
        whole.clock.utc_trusted = trusted
        await runs(whole, 400.0, kill=kill)
        await whole.until(400.0 + away_s)
        again = restarted(whole)
        await runs(again, 1400.0, kill=True)
        return again.records

    return virtual_time.run(main())


@pytest.mark.parametrize("kill", [True, False])
def test_a_restart_keeps_the_order_and_what_is_left_of_a_turn(*, kill: bool) -> None:
    records = played(kill=kill, away_s=20.0)
    heard = [record for record in records if record.now.mono_s > 460.0]
    assert charging(heard[0]) == ["c"]
    assert waiting(heard[0]) == ["b", "a"]
    ended_s = next(record.now.mono_s for record in heard if charging(record) != ["c"])
    assert TURN_S <= ended_s <= TURN_S + 40.0, "the turn began before the restart"
    after = next(charging(record) for record in heard if charging(record) not in (["c"], []))
    assert after == ["b"]


def test_a_clock_that_nobody_trusts_costs_the_time_without_a_daemon_alone() -> None:
    records = played(kill=True, away_s=20.0, trusted=False)
    heard = [record for record in records if record.now.mono_s > 460.0]
    assert (charging(heard[0]), waiting(heard[0])) == (["c"], ["b", "a"])
    ended_s = next(record.now.mono_s for record in heard if charging(record) != ["c"])
    # It is kept once a minute then: so much of the turn may be given again, and the time away.
    assert TURN_S <= ended_s <= TURN_S + 40.0 + 20.0 + 61.0


def test_a_restart_after_the_turn_gives_the_room_to_the_first_who_waits() -> None:
    records = played(kill=True, away_s=600.0)
    first = next(
        charging(record) for record in records if record.now.mono_s > 1100.0 and charging(record)
    )
    assert first == ["b"]
