"""The vehicle on a connector: delays of IEC 61851-1, energy, taper."""

import itertools

import pytest

from edgectl.simulator.device.charge_point import CONTACTOR_S, ChargePoint
from tests.simulator.world import car, point, run


def charging_at(amps: float, **vehicle: object) -> ChargePoint:
    where = point()
    where.plug(car(**vehicle), now_s=0.0)
    where.limit_a = amps
    run(where, from_s=0.0, until_s=20.0)
    assert where.current_a == amps
    return where


def test_a_vehicle_starts_after_its_delay_and_reaches_the_pilot() -> None:
    where = point()
    where.plug(car(start_s=3.0), now_s=0.0)
    where.limit_a = 16.0
    seen = run(where, from_s=0.0, until_s=10.0)
    first = next(t for t, amps in seen if amps > 0.0)
    assert 3.0 <= first <= 3.5
    assert max(amps for _, amps in seen) == 16.0


@pytest.mark.parametrize("follow_s", [0.0, 2.5])
def test_a_lower_pilot_is_followed_within_five_seconds(follow_s: float) -> None:
    where = charging_at(32.0, follow_s=follow_s)
    where.limit_a = 6.0
    seen = run(where, from_s=20.0, until_s=30.0)
    arrived = next(t for t, amps in seen if amps == 6.0)
    assert follow_s < arrived - 20.0 <= 5.0


def test_the_pilot_changes_at_most_every_five_seconds() -> None:
    where = charging_at(20.0)
    where.limit_a = 19.0
    run(where, from_s=20.0, until_s=20.25)
    where.limit_a = 10.0
    run(where, from_s=20.25, until_s=25.0)
    assert where.pilot_a == 19.0
    run(where, from_s=25.0, until_s=25.25)
    assert where.pilot_a == 10.0


def test_a_pause_is_not_held_back_and_stops_within_six_seconds() -> None:
    where = charging_at(32.0, stop_s=1.0)
    where.limit_a = 31.0
    run(where, from_s=20.0, until_s=20.25)
    where.limit_a = 0.0
    seen = run(where, from_s=20.25, until_s=27.0)
    assert where.pilot_a == 0.0
    stopped = next(t for t, amps in seen if amps == 0.0)
    assert 2.0 <= stopped - 20.25 <= 4.0
    assert where.iec_state == "B1"


def test_a_vehicle_that_ignores_the_pause_loses_its_contactor() -> None:
    where = charging_at(16.0, stop_s=60.0)
    where.limit_a = 0.0
    seen = run(where, from_s=20.0, until_s=27.0)
    off = next(t for t, amps in seen if amps == 0.0)
    assert off - 20.0 == pytest.approx(CONTACTOR_S, abs=0.3)


def test_below_six_amperes_means_pause() -> None:
    where = charging_at(16.0)
    where.limit_a = 5.9
    run(where, from_s=20.0, until_s=27.0)
    assert where.current_a == 0.0


def test_the_vehicle_and_the_connector_bound_the_current() -> None:
    where = charging_at(16.0, max_a=16.0)
    where.limit_a = 32.0
    run(where, from_s=20.0, until_s=40.0)
    assert where.current_a == 16.0
    small = point(max_a=20.0)
    small.plug(car(), now_s=0.0)
    small.limit_a = 32.0
    run(small, from_s=0.0, until_s=20.0)
    assert small.current_a == 20.0


def test_energy_is_power_times_time() -> None:
    where = charging_at(10.0)
    before_wh = where.session_wh
    run(where, from_s=20.0, until_s=20.0 + 3600.0)
    assert where.session_wh - before_wh == pytest.approx(3 * 230.0 * 10.0, rel=1e-9)


def test_near_full_the_current_tapers_to_six_amperes_and_then_stops() -> None:
    where = point()
    where.plug(car(energy_wh=1000.0, taper_from=0.5), now_s=0.0)
    where.limit_a = 32.0
    seen = run(where, from_s=0.0, until_s=900.0)
    amps = [a for _, a in seen]
    top = amps.index(32.0)
    falling = [a for a in amps[top:] if a > 0.0]
    assert any(20.0 < a < 30.0 for a in falling)
    assert all(a >= b for a, b in itertools.pairwise(falling))
    assert amps[-1] == 0.0
    assert where.full
    assert where.iec_state == "B2"
    assert where.session_wh == pytest.approx(1000.0, rel=0.01)


def test_only_wired_and_used_phases_carry_current() -> None:
    where = point()
    where.plug(car(phases=1), now_s=0.0)
    where.limit_a = 16.0
    run(where, from_s=0.0, until_s=10.0)
    assert where.currents_a == (16.0, 0.0, 0.0)
    assert where.power_w == pytest.approx(16.0 * 230.0)
    single = point(terminals=1)
    single.plug(car(phases=3), now_s=0.0)
    assert single.used_phases == 1


def test_unplugging_ends_the_current_at_once() -> None:
    where = charging_at(16.0)
    where.unplug()
    assert (where.current_a, where.iec_state) == (0.0, "A1")


def test_after_a_power_loss_the_vehicle_begins_again() -> None:
    where = charging_at(16.0, start_s=2.0)
    where.power_loss(now_s=20.0)
    assert where.current_a == 0.0
    seen = run(where, from_s=20.0, until_s=35.0)
    assert next(t for t, amps in seen if amps > 0.0) >= 27.0
    assert where.current_a == 16.0
