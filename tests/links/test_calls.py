"""S10: what a silent charger is told, when, and what that counts for."""

from itertools import pairwise

import pytest

from edgectl.model.modbus import Function, Request
from edgectl.model.site import KeepAlive, Mode
from edgectl.simulator.memory.line import ExceptionCode
from tests.links.toys import (
    CURRENT,
    FAILSAFE,
    ID,
    SETPOINT,
    STATE,
    STRIDE,
    WATCHDOG,
    WATCHDOG_OFF,
    Depot,
    ToyStation,
    charger_profile,
    play,
)


def addresses(depot: Depot, unit: int = 1) -> list[tuple[str, int]]:
    return [
        ("write" if heard.writes else "read", heard.request.address)
        for heard in depot.station.of(unit)
    ]


def test_s10_f8_the_first_word_to_a_charger_is_its_setpoint() -> None:
    async def script(depot: Depot) -> None:
        await depot.until(0.9)

    depot = play(script, chargers=[1])
    said = addresses(depot)
    assert said[:2] == [("read", ID), ("write", SETPOINT)]
    assert said[2:10] == [
        ("read", FAILSAFE),
        ("write", FAILSAFE),
        ("read", FAILSAFE),
        ("read", WATCHDOG),
        ("write", WATCHDOG),
        ("read", WATCHDOG),
        ("read", SETPOINT),
        ("read", CURRENT),
    ]
    view = depot.evse("e1")
    assert (view.failsafe_a, view.watchdog_s) == (6.0, 60.0)
    assert view.confirmed is not None
    assert view.confirmed.value_a == 6.0
    assert view.sent == ()
    assert depot.station.heard[0].at_s < 0.5


def test_s10_only_a_failsafe_block_that_differs_is_written() -> None:
    def armed(station: ToyStation) -> None:
        station.words[1] |= {FAILSAFE: 60, WATCHDOG: 60}

    async def script(depot: Depot) -> None:
        await depot.until(20.0)

    depot = play(script, chargers=[1], prepare=armed)
    assert depot.station.writes(1, FAILSAFE) == []
    assert depot.station.writes(1, WATCHDOG) == []


def test_s10_calls_begin_at_5_s_and_grow_to_60_s() -> None:
    async def script(depot: Depot) -> None:
        depot.station.dead.add(1)
        await depot.until(600.0)

    depot = play(script, chargers=[1], profile=charger_profile(identify=False))
    calls = [at_s for at_s, _ in depot.station.writes(1)]
    assert calls[0] <= 0.5
    waits = [later - sooner for sooner, later in pairwise(calls)]
    assert 5.0 <= waits[0] <= 7.0
    assert all(4.9 <= wait <= 62.0 for wait in waits)
    assert waits[:4] == sorted(waits[:4])
    assert waits[5] >= 48.0
    assert 11 <= len(calls) <= 20
    assert len({round(wait, 3) for wait in waits}) == len(waits), "not jittered"


def test_s10_a_device_that_answers_again_is_called_soon_for_its_other_evses() -> None:
    """Whoever of them was not reached in the turn that heard the device."""
    heard_s: dict[str, float] = {}

    async def script(depot: Depot) -> None:
        def hears(request: Request) -> bool:
            if request.address >= STRIDE:
                return "e1" in heard_s
            return depot.clock.monotonic_s() >= 200.0

        depot.station.hears = hears
        while len(heard_s) < 2:
            await depot.until(depot.clock.monotonic_s() + 1.0)
            for name in ("e1", "e1.2"):
                if depot.evse(name).last_answer_s is not None:
                    heard_s.setdefault(name, depot.clock.monotonic_s())

    play(script, chargers=[1], profile=charger_profile(connectors=2))
    assert 200.0 <= heard_s["e1"] <= 330.0
    assert heard_s["e1.2"] - heard_s["e1"] <= 8.0


def test_s10_a_silent_charger_hears_nothing_but_its_setpoint() -> None:
    async def script(depot: Depot) -> None:
        await depot.until(10.0)
        depot.station.dead.add(1)
        await depot.until(20.0)
        depot.setpoints["e1"] = 5.0
        await depot.until(200.0)

    depot = play(script, chargers=[1], profile=charger_profile(KeepAlive.ANY_ACCESS))
    late = depot.station.of(1, since_s=20.0)
    assert {heard.request for heard in late} == {
        Request(unit=1, function=Function.WRITE_SINGLE, address=SETPOINT, words=(0,))
    }
    view = depot.evse("e1")
    assert view.last_feed_s is not None
    assert view.last_feed_s < 16.0, "a call counted as feeding"
    assert [sent.value_a for sent in view.sent][-1] == 0.0
    assert view.confirmed is not None
    assert view.confirmed.value_a == 6.0


def test_s10_a_charger_that_reboots_is_armed_again_in_the_turn_that_hears_it() -> None:
    async def script(depot: Depot) -> None:
        depot.setpoints["e1"] = 20.0
        await depot.until(10.0)
        depot.station.dead.add(1)
        await depot.until(40.0)
        depot.setpoints["e1"] = 6.0
        await depot.until(60.0)
        depot.station.add_charger(1)
        depot.station.dead.clear()
        await depot.until(180.0)

    depot = play(script, chargers=[1])
    back = depot.station.of(1, since_s=60.0)
    assert back[0].request.address == SETPOINT
    assert back[0].writes
    kinds = [(h.writes, h.request.address) for h in back[:12]]
    assert (True, FAILSAFE) in kinds
    assert (True, WATCHDOG) in kinds
    assert kinds.index((True, FAILSAFE)) < kinds.index((False, 10))
    assert depot.station.words[1][FAILSAFE] == 60
    assert depot.evse("e1").last_answer_s is not None
    assert depot.station.setpoint_a(1) == 6.0


def test_a_charger_that_reboots_unnoticed_gets_its_setpoint_and_failsafe_again() -> None:
    async def script(depot: Depot) -> None:
        await depot.until(10.0)
        depot.station.add_charger(1)
        await depot.until(60.0)

    for polled, within_s in ((True, 8.0), (False, 45.0)):
        profile = charger_profile(KeepAlive.TOKEN, setpoint_polled=polled)
        depot = play(script, chargers=[1], profile=profile)
        assert depot.station.setpoint_a(1) == 6.0
        assert depot.station.words[1][FAILSAFE] == 60
        again = [at_s for at_s, word in depot.station.writes(1) if at_s > 10.0 and word == 60]
        assert again[0] <= 10.0 + within_s
        view = depot.evse("e1")
        assert view.confirmed is not None
        assert view.confirmed.sent_s > 10.0
        assert view.sent == ()


def test_a_failsafe_block_that_was_forgotten_is_found_within_a_minute() -> None:
    async def script(depot: Depot) -> None:
        await depot.until(10.0)
        depot.station.words[1][FAILSAFE] = 320
        await depot.until(75.0)

    depot = play(script, chargers=[1])
    assert depot.station.words[1][FAILSAFE] == 60
    assert depot.evse("e1").failsafe_a == 6.0


@pytest.mark.parametrize("polled", [True, False])
def test_s10_a_watchdog_that_says_it_is_off_is_set_again(*, polled: bool) -> None:
    """It restarted between two polls, with the very setpoint that it had."""

    async def script(depot: Depot) -> None:
        await depot.until(40.0)
        depot.station.words[1] |= {FAILSAFE: 60, WATCHDOG: WATCHDOG_OFF}
        await depot.until(140.0)

    profile = charger_profile(KeepAlive.ANY_ACCESS, block_polled=polled)
    depot = play(script, chargers=[1], profile=profile)
    assert depot.station.words[1][WATCHDOG] == 60
    assert depot.evse("e1").watchdog_s == 60.0


@pytest.mark.parametrize("polled", [True, False])
def test_s10_whoever_forgot_its_failsafe_block_gets_its_setpoint_again(*, polled: bool) -> None:
    """It restarted between two polls; nobody can read what it allows now."""

    async def script(depot: Depot) -> None:
        await depot.until(40.0)
        depot.station.words[1] |= {FAILSAFE: 0, WATCHDOG: WATCHDOG_OFF, SETPOINT: 160}
        await depot.until(140.0)

    profile = charger_profile(KeepAlive.ANY_ACCESS, readback=False, block_polled=polled)
    depot = play(script, chargers=[1], profile=profile)
    assert depot.station.setpoint_a(1) == 6.0
    assert len(depot.station.writes(1, SETPOINT)) == 2, "once at the start, once after that"


def test_an_answer_lost_on_its_way_is_a_write_that_may_have_happened() -> None:
    async def script(depot: Depot) -> None:
        await depot.until(10.0)
        depot.station.deaf.add(1)
        depot.setpoints["e1"] = 16.0
        await depot.until(13.0)
        assert depot.station.setpoint_a(1) == 16.0
        view = depot.evse("e1")
        assert [sent.value_a for sent in view.sent] == [16.0]
        assert view.confirmed is not None
        assert view.confirmed.value_a == 6.0
        depot.station.deaf.clear()
        await depot.until(25.0)
        view = depot.evse("e1")
        assert view.sent == ()
        assert view.confirmed is not None
        assert view.confirmed.value_a == 16.0

    play(script, chargers=[1])


def test_s10_the_wrong_device_is_never_written_to() -> None:
    def other(station: ToyStation) -> None:
        station.words[1][ID] = 9

    async def script(depot: Depot) -> None:
        await depot.until(300.0)
        assert depot.station.writes(1) == []
        assert depot.evse("e1").last_answer_s is None
        assert ("device_unfit", "e1") in depot.alarms()
        (alarm,) = depot.owner.alarms()
        assert "register 1 is 9, expected 4711" in alarm.text
        assert "check the unit" in alarm.text
        depot.station.words[1][ID] = 4711
        await depot.until(400.0)
        assert depot.station.writes(1)
        assert depot.alarms() == set()
        assert depot.evse("e1").last_answer_s is not None

    depot = play(script, chargers=[1], prepare=other)
    assert [level for level, event in depot.log.said if event == "device_unfit"].count(
        "warning"
    ) == 1


def test_a_charger_that_refuses_its_setpoint_is_said_and_asked_slowly() -> None:
    def refuse(station: ToyStation) -> None:
        station.refuses = lambda request: ExceptionCode.ILLEGAL_VALUE if request.words else None

    async def script(depot: Depot) -> None:
        await depot.until(300.0)

    depot = play(script, chargers=[1], prepare=refuse)
    assert ("setpoint_refused", "e1") in depot.alarms()
    assert len(depot.station.writes(1)) <= 11
    assert depot.evse("e1").last_answer_s is None


def test_a_failsafe_block_that_does_not_take_is_said_and_the_true_one_entered() -> None:
    def stubborn(station: ToyStation) -> None:
        station.keeps = lambda _unit, address, _word: address != FAILSAFE

    async def script(depot: Depot) -> None:
        await depot.until(100.0)

    depot = play(script, chargers=[1], prepare=stubborn)
    assert ("failsafe_not_set", "e1") in depot.alarms()
    assert depot.evse("e1").failsafe_a == 32.0
    assert depot.evse("e1").last_answer_s is not None
    assert 2 <= len(depot.station.writes(1, FAILSAFE)) <= 6


def test_nothing_goes_to_a_charger_before_the_first_decision() -> None:
    async def script(depot: Depot) -> None:
        await depot.until(30.0)

    depot = play(script, chargers=[1], meters=[2], ticking=False)
    assert depot.station.of(1) == []
    assert len(depot.station.reads(2, 10)) == 30


@pytest.mark.parametrize("keepalive", list(KeepAlive))
def test_in_observe_mode_nothing_is_ever_written(keepalive: KeepAlive) -> None:
    async def script(depot: Depot) -> None:
        await depot.until(20.0)
        depot.station.dead.add(1)
        await depot.until(60.0)
        depot.station.dead.clear()
        await depot.until(200.0)
        await depot.owner.safe_stop({depot.evses[0].id: 6.0}, deadline_s=210.0)

    depot = play(
        script,
        chargers=[1],
        profile=charger_profile(keepalive, setpoint_polled=True),
        mode=Mode.OBSERVE,
    )
    assert not [heard for heard in depot.station.heard if heard.writes]
    assert len(depot.station.reads(1, 10)) + len(depot.station.reads(1, STATE)) > 100
    assert depot.evse("e1").samples
