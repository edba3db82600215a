"""Stays, their energy and what interrupted them."""

import json

import pytest

from edgectl.contract.record import Recorded
from edgectl.indicators.books import Kept
from edgectl.indicators.sessions import Cause, PortState, Stops
from tests.indicators.days import START_S, Port

ABSENT, PLUGGED, ASKING = PortState.ABSENT, PortState.PLUGGED, PortState.ASKING
CHARGING, PAUSED = PortState.CHARGING, PortState.PAUSED
POWER_W = 11_040.0


def test_a_stay_from_plug_in_to_plug_out() -> None:
    port = Port()
    port.passes(60, ABSENT)
    port.passes(20, PLUGGED)
    port.passes(3600, CHARGING, POWER_W)
    port.passes(600, PLUGGED)
    port.passes(1, ABSENT)
    assert port.ended == [], "its last reading is still to come"
    port.passes(40, ABSENT)
    (session,) = port.ended
    assert session.start_s == START_S + 61
    assert session.first_energy_s == START_S + 81
    assert session.last_energy_s == START_S + 3681
    assert session.end_s == START_S + 4281
    assert session.energy_wh == pytest.approx(POWER_W, abs=1.0)
    assert not session.estimated
    assert session.peak_w == POWER_W
    assert session.charging_s == 3600.0
    assert session.interruptions == {}, "a full vehicle is not interrupted"
    assert session.success
    assert port.started[0].session_id == session.session_id


def test_two_stays_between_two_readings_share_the_energy_by_charging_time() -> None:
    port = Port(register_every_s=100.0)
    port.passes(10, ABSENT)
    port.passes(50, CHARGING, POWER_W)
    port.passes(5, ABSENT)
    port.passes(1000, CHARGING, POWER_W)
    port.passes(200, ABSENT)
    first, second = port.ended
    assert first.energy_wh == pytest.approx(POWER_W * 50 / 3600, abs=6.0)
    assert first.estimated
    assert first.energy_wh + second.energy_wh == pytest.approx(POWER_W * 1050 / 3600, abs=2.0)


def test_interruptions_are_told_apart_by_their_cause() -> None:
    port = Port()
    port.passes(5, ABSENT)
    for seconds, state, held_by in (
        (100, PAUSED, Cause.UTILITY),
        (50, PAUSED, Cause.ROOM),
        (30, PLUGGED, None),
        (40, PortState.FAULT, None),
        (20, PortState.SILENT, None),
        (10, PAUSED, Cause.UTILITY),
    ):
        port.passes(100, CHARGING, POWER_W)
        port.passes(seconds, state, held_by=held_by)
    port.passes(100, ABSENT)
    (session,) = port.ended
    assert session.interruptions == {
        Cause.UTILITY: Stops(2, 110.0),
        Cause.ROOM: Stops(1, 50.0),
        Cause.VEHICLE: Stops(1, 30.0),
        Cause.FAULT: Stops(1, 40.0),
        Cause.SILENT: Stops(1, 20.0),
    }


def test_attempts_and_successes() -> None:
    def ended(*steps: tuple[int, PortState, float]) -> tuple[bool, bool]:
        port = Port()
        port.passes(5, ABSENT)
        for seconds, state, power_w in steps:
            port.passes(seconds, state, power_w)
        port.passes(60, ABSENT)
        (session,) = port.ended
        return session.asked, session.success

    assert ended((60, PLUGGED, 0.0)) == (False, False)
    assert ended((60, ASKING, 0.0)) == (True, False)
    assert ended((60, CHARGING, POWER_W)) == (True, True)
    assert ended((20, CHARGING, POWER_W)) == (True, False), "61 Wh are no success"
    assert ended((60, CHARGING, POWER_W), (10, PortState.FAULT, 0.0)) == (True, False)


def test_the_codes_of_what_was_wrong_are_kept() -> None:
    port = Port()
    port.passes(5, ABSENT)
    port.passes(60, CHARGING, POWER_W, errors=frozenset({"exceeds_setpoint"}))
    port.passes(60, CHARGING, POWER_W, errors=frozenset({"charger_silent"}))
    port.passes(100, ABSENT)
    assert port.ended[0].error_codes == ("charger_silent", "exceeds_setpoint")


def test_a_vehicle_that_was_there_before_us() -> None:
    port = Port()
    port.passes(5, PortState.UNHEARD)
    port.passes(100, CHARGING, POWER_W)
    port.passes(100, ABSENT)
    assert not port.started[0].start_known
    assert not port.ended[0].start_known


@pytest.mark.parametrize("gap_s", [20.0, 7200.0])
def test_a_stay_outlives_a_restart_with_its_energy(gap_s: float) -> None:
    port = Port()
    port.passes(5, ABSENT)
    port.passes(1800, CHARGING, POWER_W)
    kept = Recorded(Kept)
    text = json.dumps(kept.document(port.books.kept()))
    port.gone_for(gap_s, POWER_W)
    port.restart(kept.of_document(json.loads(text)))
    port.passes(3, PortState.UNHEARD, POWER_W)
    port.passes(1800, CHARGING, POWER_W)
    port.passes(100, ABSENT)
    (session,) = port.ended
    assert len(port.started) == 1
    assert session.energy_wh == pytest.approx(POWER_W * (3603 + gap_s) / 3600, abs=2.0)
    assert session.estimated is (gap_s > 120.0)
    lost_s = gap_s if gap_s > 30.0 else 0.0
    assert session.charging_s == pytest.approx(3603 + gap_s - lost_s, abs=5.0)
    outages = [outage.cause.value for outage in port.outages]
    assert outages == (["no_data"] if lost_s else [])


def test_another_vehicle_after_a_gap_is_another_stay() -> None:
    port = Port()
    port.passes(5, ABSENT)
    for _ in range(600):
        port.at_s += 1.0
        port.look(CHARGING, POWER_W, session_counter_wh=1500.0)
    port.gone_for(3600.0)
    port.look(CHARGING, POWER_W, session_counter_wh=20.0)
    port.passes(100, CHARGING, POWER_W)
    port.passes(100, ABSENT)
    assert len(port.ended) == 2


def test_a_clock_that_is_set_changes_no_length() -> None:
    port = Port()
    port.passes(5, ABSENT)
    port.passes(600, CHARGING, POWER_W)
    for step_s in (86_400.0, -90_000.0):
        port.clock_off_s += step_s
        port.books.move(step_s)
        port.passes(600, CHARGING, POWER_W)
    port.passes(100, ABSENT)
    (session,) = port.ended
    assert session.end_s is not None
    assert session.end_s - session.start_s == 1800.0
    assert session.start_s == START_S + 6 - 3600.0, "as the last clock has it"
    assert session.energy_wh == pytest.approx(POWER_W / 2, abs=1.0)
    assert not session.estimated
    total_wh = sum(block.ports["p"].energy_wh for block in port.books.blocks.as_kept().values())
    assert total_wh == pytest.approx(POWER_W / 2, abs=1.0)
    assert port.outages == []


def test_power_is_counted_until_a_register_is_read_and_never_beside_it() -> None:
    port = Port()
    for second in range(1805):
        port.at_s += 1.0
        port.look(ABSENT if second < 5 else CHARGING, POWER_W if second >= 5 else 0.0)
    assert port.books.open_sessions()[0].energy_wh == pytest.approx(POWER_W / 2, abs=10.0)
    port.wh = 5_000_000.0
    port.passes(1800, CHARGING, POWER_W)
    port.passes(100, ABSENT)
    assert port.ended[0].energy_wh == pytest.approx(POWER_W, abs=15.0)
