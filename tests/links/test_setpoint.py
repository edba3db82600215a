"""S8, S14, F21: what counts as held, and what happens when the register says something else."""

from itertools import pairwise

from edgectl.model.site import KeepAlive
from edgectl.simulator.memory.line import ExceptionCode
from tests.links.toys import (
    CURRENT,
    SETPOINT,
    TOKEN,
    TOKEN_WORD,
    Depot,
    ToyStation,
    charger_profile,
    play,
)


def test_f21_another_client_of_the_charger_is_detected_said_and_answered_ever_more_slowly() -> None:
    async def script(depot: Depot) -> None:
        await depot.until(10.0)
        # From now on somebody else puts 20 A back at once, whatever is written.
        depot.station.keeps = lambda _unit, address, _word: address != SETPOINT
        depot.station.words[1][SETPOINT] = 200
        depot.setpoints["e1"] = 10.0
        await depot.until(300.0)
        view = depot.evse("e1")
        assert view.confirmed is not None
        assert view.confirmed.value_a == 6.0, "the last confirmed value stays accounted"
        assert max(sent.value_a for sent in view.sent) == 20.0, "what was seen is entered"
        assert ("setpoint_conflict", "e1") in depot.alarms()
        (alarm,) = (a for a in depot.owner.alarms() if a.code == "setpoint_conflict")
        assert "it says 20.0 at register 20 where 10 A was written" in alarm.text
        assert len([at_s for at_s, _ in depot.station.writes(1) if at_s > 10.0]) <= 16
        depot.station.keeps = lambda _unit, _address, _word: True
        await depot.until(500.0)
        view = depot.evse("e1")
        assert view.confirmed is not None
        assert view.confirmed.value_a == 10.0
        assert view.sent == ()
        assert depot.alarms() == set()

    profile = charger_profile(KeepAlive.TOKEN)
    depot = play(script, chargers=[1], profile=profile)
    assert depot.log.said.count(("warning", "setpoint_conflict")) == 1


def test_s14_f21_a_long_quarrel_about_one_value_holds_no_lower_one_back() -> None:
    """The first write of the pause is undone, too: the next ones must not wait for minutes."""

    async def script(depot: Depot) -> None:
        await depot.until(10.0)
        depot.station.keeps = lambda _unit, address, _word: address != SETPOINT
        depot.station.words[1][SETPOINT] = 200
        depot.setpoints["e1"] = 10.0
        await depot.until(200.0)
        depot.setpoints["e1"] = 0.0
        await depot.until(203.0)
        depot.station.keeps = lambda _unit, _address, _word: True
        await depot.until(207.5)
        assert depot.station.setpoint_a(1) == 0.0

    depot = play(script, chargers=[1], profile=charger_profile(KeepAlive.TOKEN))
    waits = [b - a for (a, _), (b, _) in pairwise(depot.station.writes(1)) if a > 10.0]
    assert max(waits) > 40.0, "while nothing lower is wanted it is answered ever more slowly"


def test_s14_f21_a_write_only_register_is_written_again_soon_for_a_lower_value() -> None:
    async def script(depot: Depot) -> None:
        await depot.until(10.0)
        depot.setpoints["e1"] = 12.0
        depot.station.words[1][CURRENT] = 200
        await depot.until(300.0)
        depot.setpoints["e1"] = 0.0
        await depot.until(301.5)
        depot.station.words[1][SETPOINT] = 200
        await depot.until(315.0)
        assert depot.station.setpoint_a(1) == 0.0

    play(script, chargers=[1], profile=charger_profile(KeepAlive.TOKEN, readback=False))


def test_f21_a_value_seen_above_everything_sent_is_entered_at_once() -> None:
    async def script(depot: Depot) -> None:
        await depot.until(10.5)
        depot.station.words[1][SETPOINT] = 300
        await depot.until(11.3)
        view = depot.evse("e1")
        assert [sent.value_a for sent in view.sent] == [30.0]

    profile = charger_profile(KeepAlive.TOKEN, setpoint_polled=True)
    play(script, chargers=[1], profile=profile)


def test_a_charger_that_shows_a_new_limit_a_moment_later_is_no_conflict() -> None:
    async def script(depot: Depot) -> None:
        await depot.until(10.0)
        depot.station.keeps = lambda _unit, address, _word: address != SETPOINT
        depot.setpoints["e1"] = 10.0
        await depot.until(11.3)
        assert [sent.value_a for sent in depot.evse("e1").sent] == [10.0]
        depot.station.words[1][SETPOINT] = 100
        await depot.until(12.5)
        view = depot.evse("e1")
        assert view.confirmed is not None
        assert view.confirmed.value_a == 10.0
        assert view.confirmed.confirmed_s > 11.3
        assert view.sent == ()

    depot = play(script, chargers=[1], profile=charger_profile(KeepAlive.TOKEN))
    assert depot.log.said == []
    assert len(depot.station.writes(1)) == 2


def test_s8_a_write_only_setpoint_is_held_once_it_is_positively_answered() -> None:
    async def script(depot: Depot) -> None:
        await depot.until(10.0)
        depot.setpoints["e1"] = 10.0
        await depot.until(12.0)
        view = depot.evse("e1")
        assert view.confirmed is not None
        assert (view.confirmed.value_a, view.sent) == (10.0, ())
        depot.station.refuses = lambda request: (
            ExceptionCode.DEVICE_FAILURE if request.words else None
        )
        depot.setpoints["e1"] = 16.0
        await depot.until(14.0)
        view = depot.evse("e1")
        assert view.confirmed is not None
        assert view.confirmed.value_a == 10.0
        assert [sent.value_a for sent in view.sent] == [16.0]
        assert ("setpoint_refused", "e1") in depot.alarms()

    depot = play(script, chargers=[1], profile=charger_profile(KeepAlive.NONE, readback=False))
    assert depot.station.reads(1, SETPOINT) == []


def test_f21_a_write_only_register_is_written_again_when_the_vehicle_draws_far_more() -> None:
    """Its charger answered and did not do it, or another client wrote after us."""

    async def script(depot: Depot) -> None:
        await depot.until(10.0)
        depot.setpoints["e1"] = 0.0
        await depot.until(12.0)
        depot.station.words[1][CURRENT] = 75
        depot.station.words[1][SETPOINT] = 160
        await depot.until(17.0)
        assert depot.station.setpoint_a(1) == 16.0, "a vehicle has its time to follow"
        assert depot.alarms() == set()
        await depot.until(30.0)
        assert depot.station.setpoint_a(1) == 0.0
        view = depot.evse("e1")
        assert view.confirmed is not None
        assert view.confirmed.sent_s < 12.0, "a repetition makes nothing younger (S8)"
        assert view.sent == ()
        assert ("setpoint_conflict", "e1") in depot.alarms()
        (alarm,) = (a for a in depot.owner.alarms() if a.code == "setpoint_conflict")
        assert "it draws 7.5 A where 0 A was written" in alarm.text
        await depot.until(300.0)
        assert len([at_s for at_s, _ in depot.station.writes(1) if at_s > 12.0]) <= 10
        depot.station.words[1][CURRENT] = 15
        await depot.until(400.0)
        assert depot.alarms() == set(), "an offset is no conflict"

    play(script, chargers=[1], profile=charger_profile(KeepAlive.TOKEN, readback=False))


def test_s8_what_was_sent_is_in_the_image_before_it_is_on_the_wire() -> None:
    seen: list[float] = []

    async def script(depot: Depot) -> None:
        def look(_unit: int, address: int, _word: int) -> bool:
            if address == SETPOINT:
                seen.append(depot.evse("e1").sent[-1].value_a)
            return True

        depot.station.keeps = look
        await depot.until(10.0)
        depot.setpoints["e1"] = 12.5
        await depot.until(12.0)

    depot = play(script, chargers=[1], profile=charger_profile(KeepAlive.TOKEN))
    assert seen == [6.0, 12.5]
    assert [word for _, word in depot.station.writes(1)] == [60, 125]


def test_rewriting_feeds_the_watchdog_and_does_not_make_the_setpoint_younger() -> None:
    async def script(depot: Depot) -> None:
        await depot.until(100.0)

    depot = play(script, chargers=[1])
    times = [at_s for at_s, _ in depot.station.writes(1)]
    assert len(times) == 5
    assert max(later - sooner for sooner, later in pairwise(times)) <= 21.0
    view = depot.evse("e1")
    assert view.confirmed is not None
    assert view.confirmed.sent_s == times[0]
    assert view.last_feed_s == times[-1]


def test_a_token_is_written_every_third_of_the_watchdogs_time() -> None:
    async def script(depot: Depot) -> None:
        await depot.until(100.0)

    depot = play(script, chargers=[1], profile=charger_profile(KeepAlive.TOKEN))
    fed = depot.station.writes(1, TOKEN)
    assert [word for _, word in fed] == [TOKEN_WORD] * 5
    assert depot.evse("e1").last_feed_s == fed[-1][0]


def test_a_refused_token_is_said_and_not_repeated_in_a_loop() -> None:
    def prepare(station: ToyStation) -> None:
        station.refuses = lambda request: (
            ExceptionCode.ILLEGAL_ADDRESS if request.address == TOKEN else None
        )

    async def script(depot: Depot) -> None:
        await depot.until(100.0)

    depot = play(script, chargers=[1], profile=charger_profile(KeepAlive.TOKEN), prepare=prepare)
    assert len(depot.station.writes(1, TOKEN)) == 2
    assert depot.alarms() == {("keepalive_refused", "e1")}
