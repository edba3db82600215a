"""The connection itself: lost, refused, half open, given up at a stop."""

from itertools import pairwise

from edgectl.model.reading import Quality
from edgectl.model.site import KeepAlive
from edgectl.units import EvseId, MeterId
from tests.links.toys import CURRENT, SETPOINT, Depot, charger_profile, play


def test_f17_reconnects_are_capped_and_jittered() -> None:
    async def script(depot: Depot) -> None:
        await depot.until(10.0)
        depot.line.reachable = False
        await depot.until(610.0)
        status = depot.owner.status()
        assert not status.connected
        assert 60 <= status.failed_connects <= 90
        assert ("link_down", "lan") in depot.alarms()
        depot.line.reachable = True
        await depot.until(622.0)
        assert depot.owner.status().connected
        assert depot.meter("m2").samples[-1].taken_s > 609.0
        assert depot.alarms() == set()
        last_s = depot.evse("e1").last_answer_s
        assert last_s is not None
        assert last_s > 610.0, "it is called as soon as its link is back"

    depot = play(script, chargers=[1], meters=[2])
    assert depot.log.said.count(("warning", "link_down")) <= 2


def test_f17_a_peer_that_accepts_and_hangs_up_at_once_is_not_stormed() -> None:
    async def script(depot: Depot) -> None:
        for tenth in range(3000):
            # Here for the connection and an answer or two, then gone.
            depot.line.reachable = not depot.owner.status().connected
            await depot.until(tenth / 10.0)
        assert 30 <= depot.owner.status().connects <= 45

    play(script, meters=[1])


def test_a_half_open_connection_is_given_up_and_made_anew() -> None:
    async def script(depot: Depot) -> None:
        await depot.until(10.0)
        depot.station.dead |= {1, 2}
        await depot.until(40.0)
        assert depot.owner.status().connects >= 2
        depot.station.dead.clear()
        await depot.until(80.0)
        assert depot.meter("m1").samples[-1].taken_s > 75.0
        assert depot.alarms() == set()
        assert depot.owner.status().connects <= 8

    play(script, meters=[1, 2])


def test_f14_one_dead_device_beside_others_never_drops_the_connection() -> None:
    async def script(depot: Depot) -> None:
        depot.station.dead.add(1)
        await depot.until(300.0)
        assert depot.owner.status().connects == 1

    play(script, meters=[1, 2])


def test_age_and_quality_follow_the_time_of_the_request() -> None:
    async def script(depot: Depot) -> None:
        depot.station.answer_s[1] = 0.4
        await depot.until(10.6)
        newest = depot.meter("m1").samples[-1]
        assert newest.taken_s == 10.0, "a reading is as old as its request"
        quality, age_s = depot.image.meter_quality(MeterId("m1"), 10.6)
        assert quality is Quality.GOOD
        assert age_s is not None
        assert abs(age_s - 0.6) < 1e-6
        depot.station.dead.add(1)
        await depot.until(20.0)
        assert depot.image.meter_quality(MeterId("m1"), 20.0)[0] is Quality.STALE
        await depot.until(30.0)
        assert depot.image.meter_quality(MeterId("m1"), 30.0)[0] is Quality.BAD
        assert depot.meter("m1").samples[-1] == newest

    play(script, meters=[1])


def test_the_status_counts_what_each_device_did() -> None:
    async def script(depot: Depot) -> None:
        depot.station.dead.add(9)
        await depot.until(30.0)

    depot = play(script, meters=[1, 9])
    good, dead = depot.owner.status().units
    assert (good.unit, good.misses, good.answers) == (1, 0, good.requests)
    assert good.round_trip_s is not None
    assert abs(good.round_trip_s - 0.01) < 1e-6
    assert dead.answers == 0
    assert dead.misses == dead.requests == dead.misses_in_a_row
    assert "no answer within" in dead.last_error


def test_s18_the_safe_stop_writes_reads_back_and_sends_no_more() -> None:
    async def script(depot: Depot) -> None:
        for unit in (1, 2, 3):
            depot.setpoints[f"e{unit}"] = 20.0
        await depot.until(20.0)
        depot.station.dead.add(2)
        now_s = depot.clock.monotonic_s()
        values = {EvseId(f"e{unit}"): 6.0 for unit in (1, 2, 3)}
        await depot.owner.safe_stop(values, deadline_s=now_s + 5.0)
        assert depot.clock.monotonic_s() < now_s + 5.0
        for unit in (1, 3):
            assert depot.station.setpoint_a(unit) == 6.0
            view = depot.evse(f"e{unit}")
            assert view.confirmed is not None
            assert view.confirmed.value_a == 6.0
        assert [sent.value_a for sent in depot.evse("e2").sent] == [6.0]
        end = len(depot.station.heard)
        await depot.until(100.0)
        assert len(depot.station.heard) == end

    play(script, chargers=[1, 2, 3], meters=[9])


def test_s18_the_safe_stop_needs_no_lease_and_ends_at_its_deadline() -> None:
    async def script(depot: Depot) -> None:
        await depot.until(20.0)
        depot.leased = False
        depot.setpoints["e1"] = 20.0
        await depot.until(30.0)
        depot.station.answer_s[1] = 0.9
        await depot.owner.safe_stop({EvseId("e1"): 0.0}, deadline_s=31.5)
        assert depot.clock.monotonic_s() <= 31.5
        assert depot.station.setpoint_a(1) == 0.0

    play(script, chargers=[1])


def test_s18_the_safe_stop_tells_again_what_a_charger_only_said_yes_to() -> None:
    """It answered and dropped the last write, in a register that nobody can read."""

    async def script(depot: Depot) -> None:
        depot.setpoints["e1"] = 20.0
        await depot.until(20.0)
        depot.station.keeps = lambda _unit, address, _word: address != SETPOINT
        depot.setpoints["e1"] = 6.0
        await depot.until(40.0)
        depot.station.keeps = lambda _unit, _address, _word: True
        assert (depot.station.setpoint_a(1), depot.evse("e1").sent) == (20.0, ())
        await depot.owner.safe_stop({EvseId("e1"): 6.0}, deadline_s=45.0)

    depot = play(
        script, chargers=[1], profile=charger_profile(KeepAlive.ANY_ACCESS, readback=False)
    )
    assert depot.station.setpoint_a(1) == 6.0


def test_s18_the_safe_stop_reads_back_what_is_held_already() -> None:
    async def script(depot: Depot) -> None:
        await depot.until(20.0)
        depot.station.words[1][SETPOINT] = 200  # another client, since it was read last
        await depot.owner.safe_stop({EvseId("e1"): 6.0}, deadline_s=25.0)

    depot = play(script, chargers=[1], profile=charger_profile(KeepAlive.TOKEN))
    assert depot.station.setpoint_a(1) == 6.0
    assert depot.station.reads(1, SETPOINT, since_s=20.0)


def test_a_meter_above_its_threshold_brings_the_next_tick_forward() -> None:
    async def script(depot: Depot) -> None:
        depot.image.set_wake_above({MeterId("m1"): (None, 25.0, 50.0)})
        await depot.until(10.5)
        assert depot.woken == []
        depot.station.add_meter(1, 90.0, 20.0, 50.1)
        await depot.until(11.5)
        assert len(depot.woken) == 1
        assert 11.0 < depot.woken[0] < 11.1

    play(script, meters=[1])


def test_two_runs_are_equal_to_the_last_bit() -> None:
    async def script(depot: Depot) -> None:
        await depot.until(30.0)
        depot.station.dead.add(1)
        depot.setpoints["e2"] = 20.0
        await depot.until(120.0)
        depot.line.reachable = False
        await depot.until(150.0)
        depot.line.reachable = True
        depot.station.dead.clear()
        await depot.until(300.0)

    first, second = (play(script, chargers=[1, 2], meters=[3]) for _ in range(2))
    assert first.station.heard == second.station.heard
    assert first.image.freeze() == second.image.freeze()
    other = play(script, chargers=[1, 2], meters=[3], seed=2)
    assert other.station.heard != first.station.heard


def test_polls_do_not_drift() -> None:
    async def script(depot: Depot) -> None:
        depot.station.answer_s[1] = 0.3
        await depot.until(3600.0)

    depot = play(script, meters=[1])
    polls = depot.station.reads(1, CURRENT)
    assert abs(len(polls) - 3600) <= 1
    assert all(abs(later - sooner - 1.0) < 0.35 for sooner, later in pairwise(polls))
