"""What goes first on a line, and what a sick device costs the others."""

from itertools import pairwise

from edgectl.model.modbus import Request
from edgectl.model.site import KeepAlive
from edgectl.simulator.memory.line import ExceptionCode
from edgectl.units import MeterId
from tests.links.toys import (
    CURRENT,
    ENERGY,
    SETPOINT,
    Depot,
    ToyStation,
    charger_profile,
    meter_profile,
    play,
)


def gaps(times: list[float]) -> list[float]:
    return [later - sooner for sooner, later in pairwise(times)]


def test_f14_a_dead_device_costs_the_others_one_timeout_per_wait() -> None:
    async def script(depot: Depot) -> None:
        depot.station.dead.add(9)
        await depot.until(300.0)

    depot = play(script, meters=[1, 2, 3, 9], metering=meter_profile(timeout_s=0.5))
    tries = [heard.at_s for heard in depot.station.of(9)]
    assert 10 <= len(tries) <= 20
    waits = gaps(tries)
    assert waits[0] < waits[2] < waits[4]
    assert all(23.0 <= wait <= 31.5 for wait in waits[6:])
    for unit in (1, 2, 3):
        polls = depot.station.reads(unit, CURRENT)
        assert len(polls) >= 299
        assert max(gaps(polls)) <= 1.0 + 0.5 + 0.1
        late = [gap for gap in gaps(polls) if gap > 1.1]
        assert len(late) <= len(tries)
        assert len(depot.meter(f"m{unit}").samples) > 10
    assert depot.image.misses(MeterId("m9"))[0] == len(tries)


def test_where_not_all_fits_a_meter_is_late_by_one_of_every_request_at_most() -> None:
    async def script(depot: Depot) -> None:
        for unit in range(1, 10):
            depot.station.answer_s[unit] = 0.3
        await depot.until(300.0)

    # 270 % of the time: nine readings of 0.3 s each second. One of everything: eight readings and
    # eight rewrites, the meter's currents and its count, 18 x 0.3 s.
    depot = play(script, chargers=range(1, 9), meters=[9])
    late = gaps(depot.station.reads(9, CURRENT))
    assert 2.0 < max(late) <= 1.0 + 18 * 0.3


def test_f14_a_silent_charger_does_not_hold_up_a_meter() -> None:
    async def script(depot: Depot) -> None:
        await depot.until(20.0)
        depot.station.dead.add(1)
        await depot.until(320.0)

    depot = play(script, chargers=[1], meters=[2], profile=charger_profile(timeout_s=0.5))
    polls = depot.station.reads(2, CURRENT)
    assert len(polls) >= 319
    assert max(gaps(polls)) <= 1.6


def test_s14_decreases_go_out_before_increases_and_before_everything_else() -> None:
    async def script(depot: Depot) -> None:
        for unit in range(1, 7):
            depot.setpoints[f"e{unit}"] = 16.0
            depot.station.answer_s[unit] = 0.05
        await depot.until(20.5)
        for unit in range(1, 7):
            depot.setpoints[f"e{unit}"] = 20.0 if unit % 2 else 8.0 + unit / 2
        await depot.until(40.0)

    depot = play(script, chargers=range(1, 7), meters=[9])
    heard = [h for h in depot.station.heard if 20.9 <= h.at_s < 24.0]
    writes = [h for h in heard if h.writes and h.request.address == SETPOINT]
    first = writes[:6]
    assert [h.request.unit for h in first[:3]] == [2, 4, 6], "the greatest decrease first"
    assert {h.request.unit for h in first[3:]} == {1, 3, 5}
    looks = [h for h in heard if not h.writes and h.request.address == SETPOINT]
    assert max(h.at_s for h in first[:3]) < looks[0].at_s < min(h.at_s for h in first[3:])
    start = heard.index(first[0])
    assert heard[start : start + 6] == [*first[:3], *looks[:3]]


def test_only_the_newest_of_many_decisions_is_written() -> None:
    async def script(depot: Depot) -> None:
        await depot.until(10.05)
        for value in range(7, 31):
            depot.setpoints["e1"] = float(value)
            depot.decide()
        await depot.until(12.0)

    depot = play(script, chargers=[1])
    assert [word for at_s, word in depot.station.writes(1) if at_s > 10.0] == [300]


def test_what_is_held_is_not_written_again() -> None:
    async def script(depot: Depot) -> None:
        await depot.until(300.0)

    depot = play(script, chargers=[1], profile=charger_profile(KeepAlive.TOKEN))
    assert len(depot.station.writes(1)) == 1


def test_the_least_interval_of_writes_is_kept_and_the_newest_value_goes() -> None:
    async def script(depot: Depot) -> None:
        await depot.until(10.0)
        for second in range(10, 60):
            depot.setpoints["e1"] = 6.0 + second % 7
            await depot.until(float(second) + 1.0)
        depot.setpoints["e1"] = 9.0
        await depot.until(70.0)

    depot = play(script, chargers=[1], profile=charger_profile(min_write_interval_s=5.0))
    times = [at_s for at_s, _ in depot.station.writes(1)]
    assert min(gaps(times)) >= 5.0
    assert depot.station.setpoint_a(1) == 9.0


def test_f15_the_pause_that_a_device_needs_is_kept_and_used_for_others() -> None:
    async def script(depot: Depot) -> None:
        depot.setpoints["e1"] = 10.0
        await depot.until(60.0)

    depot = play(
        script,
        chargers=[1],
        meters=[2],
        profile=charger_profile(request_gap_s=0.5),
        metering=meter_profile(poll_s=0.2),
    )
    times = [heard.at_s for heard in depot.station.of(1)]
    assert min(gaps(times)) >= 0.5
    assert depot.station.setpoint_a(1) == 10.0
    assert max(gaps(depot.station.reads(2, CURRENT))) <= 0.25


def test_f15_a_device_that_takes_8_s_to_connect() -> None:
    async def script(depot: Depot) -> None:
        await depot.until(20.0)

    depot = play(script, meters=[1], connect_s=8.0)
    assert depot.meter("m1").samples
    assert depot.owner.status().connects == 1


def test_f25_slow_reads_do_not_hold_up_fast_ones() -> None:
    async def script(depot: Depot) -> None:
        depot.station.answer_s[1] = 0.08
        await depot.until(60.0)

    depot = play(script, meters=[1], metering=meter_profile(poll_s=0.2, slow_poll_s=1.0))
    fast, slow = depot.station.reads(1, CURRENT), depot.station.reads(1, ENERGY)
    assert len(slow) >= 59
    assert len(fast) >= 299
    assert max(gaps(fast)) <= 0.3
    assert depot.meter("m1").samples[-1].energy_import_wh is not None or any(
        sample.energy_import_wh == 5 for sample in depot.meter("m1").samples
    )


def test_a_refused_block_is_split_once_and_remembered() -> None:
    def refuse(station: ToyStation) -> None:
        station.refuses = lambda request: (
            ExceptionCode.ILLEGAL_ADDRESS
            if request.address <= CURRENT + 2 < request.address + request.count
            else None
        )

    async def script(depot: Depot) -> None:
        await depot.until(50.0)

    depot = play(script, meters=[1], prepare=refuse)
    blocks = [h for h in depot.station.of(1) if h.request.count == 3]
    assert len(blocks) == 1
    assert len(depot.station.reads(1, CURRENT + 2)) == 1
    assert len(depot.station.reads(1, CURRENT + 1)) == 50
    sample = depot.meter("m1").samples[-1]
    assert sample.current_a == (10.0, 20.0, None)
    assert depot.alarms() == {("device_refuses", "m1")}
    assert [level for level, _ in depot.log.said] == ["warning"]


def test_a_single_value_that_is_refused_is_tried_again_once_a_minute() -> None:
    def refuse(station: ToyStation) -> None:
        station.refuses = lambda request: (
            ExceptionCode.ILLEGAL_FUNCTION if request.address == ENERGY else None
        )

    async def script(depot: Depot) -> None:
        await depot.until(119.0)
        assert len(depot.station.reads(1, ENERGY)) == 2
        depot.station.refuses = lambda _request: None
        await depot.until(130.0)
        assert depot.alarms() == set()

    play(script, meters=[1], metering=meter_profile(slow_poll_s=1.0), prepare=refuse)


def test_a_busy_device_is_asked_again_soon() -> None:
    busy: list[Request] = []

    def refuse(request: Request) -> ExceptionCode | None:
        busy.append(request)
        return ExceptionCode.DEVICE_BUSY if len(busy) in {1, 2} else None

    async def script(depot: Depot) -> None:
        await depot.until(0.99)
        assert len(depot.meter("m1").samples) == 1

    def prepare(station: ToyStation) -> None:
        station.refuses = refuse

    play(script, meters=[1], prepare=prepare)


def test_an_always_busy_device_counts_as_silent() -> None:
    def prepare(station: ToyStation) -> None:
        station.refuses = lambda _request: ExceptionCode.DEVICE_BUSY

    async def script(depot: Depot) -> None:
        await depot.until(200.0)

    depot = play(script, meters=[1], prepare=prepare)
    assert len(depot.station.of(1)) < 60


def test_short_answers_are_no_data() -> None:
    async def script(depot: Depot) -> None:
        depot.station.short.add(1)
        await depot.until(20.0)
        assert depot.meter("m1").samples == ()
        depot.station.short.clear()
        await depot.until(60.0)
        assert depot.meter("m1").samples

    play(script, meters=[1])
