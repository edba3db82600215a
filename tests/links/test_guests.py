"""The technician's requests on a link that has its owner."""

import asyncio
from itertools import pairwise

import pytest

from edgectl.daemon.lines.guests import MOST
from edgectl.daemon.lines.workbench import Workbench
from edgectl.errors import Refused
from edgectl.model.modbus import Answer, Function, Miss, MissCause, Request
from edgectl.model.site import KeepAlive, Mode
from edgectl.simulator.memory.line import ExceptionCode
from tests.links.toys import (
    CURRENT,
    FAILSAFE,
    ID,
    ID_WORD,
    SETPOINT,
    Depot,
    charger_profile,
    meter_profile,
    play,
    toy_meter,
    toy_site,
)


def ask(unit: int, address: int = CURRENT) -> Request:
    return Request(unit=unit, function=Function.READ_HOLDING, address=address, count=1)


def test_a_read_is_answered_between_the_polls() -> None:
    async def script(depot: Depot) -> None:
        await depot.until(10.5)
        outcome = await depot.owner.ask(ask(1), timeout_s=1.0)
        assert isinstance(outcome, Answer)
        assert outcome.words == (100,)
        assert 10.5 <= outcome.sent_s < 10.7

    play(script, meters=[1])


def test_polls_keep_their_interval_beside_many_reads() -> None:
    async def script(depot: Depot) -> None:
        await depot.until(10.0)
        for _ in range(200):
            await depot.owner.ask(ask(1, CURRENT + 1), timeout_s=1.0)
        polled = depot.station.reads(1, CURRENT, since_s=10.0)
        assert max(b - a for a, b in pairwise(polled)) <= 1.1

    play(script, meters=[1])


def test_a_dead_device_is_a_miss_and_no_more_than_that() -> None:
    async def script(depot: Depot) -> None:
        depot.station.dead.add(1)
        await depot.until(60.0)
        outcome = await depot.owner.ask(ask(1), timeout_s=0.5)
        assert isinstance(outcome, Miss)
        assert outcome.cause is MissCause.TIMEOUT

    play(script, meters=[1, 2])


def test_a_link_that_is_down_answers_at_once() -> None:
    async def script(depot: Depot) -> None:
        depot.line.reachable = False
        await depot.until(20.0)
        before_s = depot.clock.monotonic_s()
        outcome = await depot.owner.ask(ask(1), timeout_s=0.5)
        assert isinstance(outcome, Miss)
        assert outcome.cause is MissCause.DISCONNECTED
        assert depot.clock.monotonic_s() == before_s

    play(script, meters=[1])


def test_a_link_that_goes_down_tells_those_who_wait() -> None:
    async def script(depot: Depot) -> None:
        depot.station.answer_s[1] = 0.3
        await depot.until(10.0)
        waiting = [asyncio.ensure_future(depot.owner.ask(ask(1), timeout_s=1.0)) for _ in range(3)]
        await depot.until(10.1)
        depot.line.reachable = False
        outcomes = await asyncio.gather(*waiting)
        assert all(isinstance(outcome, Miss) for outcome in outcomes)

    play(script, meters=[1])


def test_s23_there_is_room_for_a_few_and_whoever_stops_waiting_leaves_no_request() -> None:
    async def script(depot: Depot) -> None:
        depot.station.answer_s[1] = 0.9
        await depot.until(10.0)
        waiting = [
            asyncio.ensure_future(depot.owner.ask(ask(1, CURRENT + 2), timeout_s=1.0))
            for _ in range(MOST)
        ]
        await depot.until(10.01)
        with pytest.raises(Refused, match="wait for this link already"):
            await depot.owner.ask(ask(1), timeout_s=1.0)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await depot.until(30.0)
        assert len(depot.station.reads(1, CURRENT + 2, since_s=10.0)) <= 1

    play(script, meters=[1])


def test_s10_a_silent_charger_is_not_asked() -> None:
    async def script(depot: Depot) -> None:
        depot.silent = {"e1"}
        depot.station.dead.add(1)
        await depot.until(30.0)
        heard = len(depot.station.of(1))
        with pytest.raises(Refused) as refusal:
            await depot.owner.ask(ask(1), timeout_s=1.0)
        assert refusal.value.code == "silent"
        # A unit that the site does not name may be the same device.
        with pytest.raises(Refused):
            await depot.owner.ask(ask(77), timeout_s=1.0)
        assert len(depot.station.of(1)) == heard

    play(script, chargers=[1], meters=[2])


def test_s10_a_charger_that_falls_silent_while_a_request_waits_does_not_get_it() -> None:
    async def script(depot: Depot) -> None:
        await depot.until(20.0)
        depot.leased = False
        await depot.until(24.0)
        asked = asyncio.ensure_future(depot.owner.ask(ask(1, CURRENT + 2), timeout_s=1.0))
        depot.station.dead.add(1)
        await depot.until(33.0)
        depot.leased = True
        await depot.until(45.0)
        assert depot.station.reads(1, CURRENT + 2, since_s=24.0) == []
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)

    play(script, chargers=[1], profile=charger_profile(KeepAlive.ANY_ACCESS))


def test_s9_a_read_that_feeds_a_watchdog_is_entered_before_it_is_sent() -> None:
    async def script(depot: Depot) -> None:
        await depot.until(20.0)
        for unit in (1, 77):
            await depot.until(depot.clock.monotonic_s() + 0.5)
            begun_s = depot.clock.monotonic_s()
            asked = asyncio.ensure_future(depot.owner.ask(ask(unit), timeout_s=0.3))
            await depot.until(begun_s + 0.005)
            fed_s = depot.evse("e1").last_feed_s
            assert fed_s is not None
            assert fed_s >= begun_s
            await asked

    play(script, chargers=[1], profile=charger_profile(KeepAlive.ANY_ACCESS))


def test_s16_without_the_lease_nothing_is_asked_of_whom_it_would_feed() -> None:
    async def script(depot: Depot) -> None:
        await depot.until(20.0)
        depot.leased = False
        await depot.until(24.0)
        heard = len(depot.station.of(1))
        asked = asyncio.ensure_future(depot.owner.ask(ask(1), timeout_s=1.0))
        await depot.until(28.0)
        assert len(depot.station.of(1)) == heard
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)

    play(script, chargers=[1], profile=charger_profile(KeepAlive.ANY_ACCESS))


def bench(depot: Depot, *, mode: Mode = Mode.CONTROL) -> Workbench:
    meter, charger = meter_profile(), charger_profile()
    return Workbench(
        site=toy_site([toy_meter("m2", 2)], depot.evses, mode),
        profiles={meter.id: meter, charger.id: charger},
        owners=[depot.owner],
        image=depot.image,
        clock=depot.clock,
    )


def test_a_quantity_and_a_raw_register_are_read() -> None:
    async def script(depot: Depot) -> None:
        await depot.until(20.0)
        desk = bench(depot)
        said = await desk.read(["m2", "current_a.2"], {})
        assert isinstance(said, dict)
        assert (said["value"], said["unit"], said["address"]) == (20.0, "A", CURRENT + 1)
        raw = await desk.read(["e1", f"holding:{ID}"], {})
        assert isinstance(raw, dict)
        assert (raw["value"], raw["words"], raw["unit_id"]) == (float(ID_WORD), [ID_WORD], 1)

    play(script, chargers=[1], meters=[2])


def test_what_the_device_refuses_is_said_with_its_place() -> None:
    async def script(depot: Depot) -> None:
        await depot.until(20.0)
        with pytest.raises(Refused) as refusal:
            await bench(depot).read(["m2", "holding:999"], {})
        assert refusal.value.code == "no_answer"
        assert "register 999" in refusal.value.message

    play(script, chargers=[1], meters=[2])


@pytest.mark.parametrize("what", ["setpoint_a", f"holding:{SETPOINT}", f"holding:{FAILSAFE}"])
def test_what_edgectl_keeps_is_not_written_behind_its_back(what: str) -> None:
    async def script(depot: Depot) -> None:
        await depot.until(20.0)
        writes = len([one for one in depot.station.heard if one.writes])
        with pytest.raises(Refused) as refusal:
            await bench(depot).write([("e1"), what], {"value": 16, "reason": "r"})
        assert refusal.value.code == "not_permitted"
        assert "edgectl limit" in refusal.value.remedy
        assert len([one for one in depot.station.heard if one.writes]) == writes

    play(script, chargers=[1], meters=[2])


def test_s9_a_forced_setpoint_counts_before_it_is_sent_and_is_set_back() -> None:
    async def script(depot: Depot) -> None:
        depot.setpoints["e1"] = 8.0
        await depot.until(20.0)
        entered: list[float] = []

        def keeps(_unit: int, _address: int, _word: int) -> bool:
            entered.extend(one.value_a for one in depot.evse("e1").sent)
            return True

        depot.station.keeps = keeps
        body = {"value": 20, "reason": "r", "force": True}
        said = await bench(depot).write(["e1", "setpoint_a"], body)
        assert entered == [20.0]
        assert isinstance(said, dict)
        assert (said["before"]["value"], said["after"]["value"]) == (8.0, 20.0)
        assert "set the setpoint again" in said["note"]
        await depot.until(90.0)
        assert depot.station.setpoint_a(1) == 8.0

    play(script, chargers=[1], meters=[2])


def test_a_raw_write_over_the_setpoint_counts_with_the_hardware_maximum() -> None:
    async def script(depot: Depot) -> None:
        depot.setpoints["e1"] = 8.0
        await depot.until(20.0)
        body = {"value": 100, "reason": "r", "force": True}
        await bench(depot).write(["e1", f"holding:{SETPOINT}"], body)
        assert 32.0 in {one.value_a for one in depot.evse("e1").sent}

    play(script, chargers=[1], meters=[2])


def test_in_observe_mode_nothing_is_edgectls_own() -> None:
    async def script(depot: Depot) -> None:
        await depot.until(20.0)
        desk = bench(depot, mode=Mode.OBSERVE)
        said = await desk.write(["e1", "setpoint_a"], {"value": 16, "reason": "r"})
        assert isinstance(said, dict)
        assert depot.station.setpoint_a(1) == 16.0
        assert "note" not in said

    play(script, chargers=[1], meters=[2], mode=Mode.OBSERVE)


def test_a_write_that_the_device_refuses_is_said() -> None:
    async def script(depot: Depot) -> None:
        await depot.until(20.0)
        depot.station.refuses = lambda request: (
            ExceptionCode.ILLEGAL_VALUE if request.words and request.address == ID else None
        )
        with pytest.raises(Refused) as refusal:
            await bench(depot).write(["e1", f"holding:{ID}"], {"value": 1, "reason": "r"})
        assert refusal.value.code == "no_answer"

    play(script, chargers=[1], meters=[2])


@pytest.mark.parametrize("value", [True, "16", None, [1]])
def test_a_write_needs_a_number(value: object) -> None:
    async def script(depot: Depot) -> None:
        with pytest.raises(Refused, match="a number"):
            await bench(depot).write(["e1", f"holding:{ID}"], {"value": value, "reason": "r"})

    play(script, chargers=[1], meters=[2])


def test_the_devices_of_a_link_are_listed_with_how_they_do() -> None:
    async def script(depot: Depot) -> None:
        depot.station.dead.add(2)
        await depot.until(40.0)
        said = await bench(depot).look_at_devices([], {})
        assert isinstance(said, dict)
        (link,) = said["links"]
        assert (link["id"], link["connected"], link["where"]) == ("lan", True, "10.0.0.1 port 502")
        devices = {device["id"]: device for device in link["devices"]}
        assert devices["e1"]["age_s"] < 2.0
        assert devices["e1"]["misses"] == 0
        assert "age_s" not in devices["m2"]
        assert devices["m2"]["misses"] > 0
        assert "no answer within" in devices["m2"]["last_error"]

    play(script, chargers=[1], meters=[2])
