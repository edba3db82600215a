"""The depot: currents add up along the tree, devices answer on their links, faults come and go."""

import math
import struct
from dataclasses import replace

import pytest

from edgectl.errors import BadInput
from edgectl.model.modbus import Function, Request
from edgectl.model.site import Meter, Site
from edgectl.simulator.depot import Depot, Scenario, build_depot
from edgectl.simulator.faults import Fault, FaultKind
from edgectl.simulator.memory.line import ExceptionCode
from edgectl.simulator.sessions import Session
from edgectl.units import EvseId, MeterId
from tests.simulator.world import (
    CHARX,
    FEEDER,
    GRID,
    KEBA,
    METERS,
    NEXT,
    Clock,
    car,
    evse,
    site,
)

H, W = Function.READ_HOLDING, Function.WRITE_SINGLE


def stay(name: str, *, from_s: float = 0.0, until_s: float = 1000.0, **vehicle: object) -> Session:
    return Session(evse=EvseId(name), vehicle=car(**vehicle), arrival_s=from_s, departure_s=until_s)


def depot_with(
    *faults: Fault, stays: tuple[Session, ...] = (), seed: int = 1
) -> tuple[Depot, Clock]:
    clock = Clock(500.0)
    scenario = Scenario(sessions=stays, faults=faults)
    return build_depot(site(), seed=seed, clock=clock, scenario=scenario, record=True), clock


def after(clock: Clock, depot: Depot, seconds: float) -> None:
    clock.now_s += seconds
    depot.advance()


def quiet_site() -> Site:
    """A site without base load: what flows is what the EVSEs draw."""
    plain = site()
    nodes = tuple(replace(node, base_max_a=(0.0, 0.0, 0.0)) for node in plain.nodes)
    return replace(plain, nodes=nodes)


def test_currents_add_up_by_site_phase_and_along_the_tree() -> None:
    clock = Clock()
    stays = (stay("c1"), stay("c2", phases=1), stay("k1", phases=2), stay("w1"))
    depot = build_depot(quiet_site(), seed=1, clock=clock, scenario=Scenario(sessions=stays))
    charx = depot.station_for(CHARX)
    assert charx.write(255, W, 1301, (10,)) is None
    assert charx.write(255, W, 2301, (12,)) is None
    assert depot.station_for(KEBA).write(255, W, 5004, (14_000,)) is None
    assert depot.station_for(NEXT).write(255, W, 5004, (16,)) is None
    after(clock, depot, 20.0)
    # c1: 10 A on all; c2 rotated, one phase: its L1 is site phase 2
    assert depot.true_current_a(FEEDER) == (10.0, 22.0, 10.0)
    # k1: 14 A on phases 1 and 2; w1: 16 A on phase 3
    assert depot.true_current_a(GRID) == (24.0, 36.0, 26.0)
    truth = depot.node_truth(GRID)
    assert truth.base_power_w == 0.0
    # 230 V less a sag of at most 1.5 %
    assert 0.985 * 230.0 * 86.0 < truth.power_w < 230.0 * 86.0


def test_meters_show_the_truth_on_their_own_terminals() -> None:
    clock = Clock()
    depot = build_depot(
        quiet_site(), seed=1, clock=clock, scenario=Scenario(sessions=(stay("c2", phases=1),))
    )
    depot.station_for(CHARX).write(255, W, 2301, (12,))
    after(clock, depot, 20.0)
    meters = depot.station_for(METERS)
    # Janitza at the grid: 12.0 A = 0x41400000 on L2
    assert meters.read(1, H, 19012, 6) == (0, 0, 0x4140, 0, 0, 0)
    # The EM24 is rotated (2, 3, 1) and turned: 12000 mA on its L1, power negative there
    assert meters.read(2, H, 0x0C, 2) == (12_000, 0)
    power = meters.read(2, H, 0x12, 2)
    assert isinstance(power, tuple)
    assert power[1] == 0xFFFF


def test_base_load_moves_within_its_worst_case() -> None:
    depot, clock = depot_with()
    seen = set()
    for _ in range(300):
        after(clock, depot, 1.0)
        amps = depot.true_current_a(GRID)
        assert all(0.0 <= amp <= 20.0 for amp in amps)
        seen.add(amps)
    assert len(seen) > 100


def test_a_base_load_step_comes_on_time_and_goes() -> None:
    step = Fault(kind=FaultKind.BASE_STEP, id=GRID, at_s=10.25, until_s=20.0, add_a=(8.0, 0.0, 0.0))
    depot, clock = depot_with(step)
    after(clock, depot, 10.0)
    before_a = depot.true_current_a(GRID)
    after(clock, depot, 0.25)
    stepped_a = depot.true_current_a(GRID)
    assert stepped_a[0] - before_a[0] == pytest.approx(8.0, abs=1.0)
    assert stepped_a[1] == pytest.approx(before_a[1], abs=1.0)
    assert depot.active_faults() == (step,)
    after(clock, depot, 10.0)
    assert depot.true_current_a(GRID)[0] == pytest.approx(before_a[0], abs=2.0)


def test_a_step_below_zero_feeds_back_and_a_meter_shows_its_amount_and_its_direction() -> None:
    depot, clock = depot_with(
        Fault(kind=FaultKind.BASE_STEP, id=GRID, at_s=5.0, add_a=(-30.0, 0.0, 0.0))
    )
    after(clock, depot, 30.0)
    fed_a = -depot.true_current_a(GRID)[0]
    assert 20.0 < fed_a < 28.0
    meters = depot.station_for(METERS)
    amps, watts = meters.read(1, H, 19012, 2), meters.read(1, H, 19020, 2)
    assert isinstance(amps, tuple)
    assert isinstance(watts, tuple)
    shown_a, shown_w = (
        struct.unpack(">f", struct.pack(">HH", *words))[0] for words in (amps, watts)
    )
    assert shown_a == pytest.approx(fed_a, rel=0.05)
    assert shown_w == pytest.approx(-230.0 * fed_a, rel=0.05)


def test_vehicles_come_and_go() -> None:
    depot, clock = depot_with(stays=(stay("w1", from_s=5.0, until_s=30.0),))
    assert depot.evse_truth(EvseId("w1")).state == "A1"
    after(clock, depot, 15.0)
    assert depot.evse_truth(EvseId("w1")).current_a == 6.0
    after(clock, depot, 16.0)
    assert depot.evse_truth(EvseId("w1")).state == "A1"
    assert depot.delivered_wh() == pytest.approx(6.0 * 229.0 * 22.0 / 3600.0, rel=0.1)


def test_a_silent_charger_answers_nobody_and_falls_back() -> None:
    fault = Fault(kind=FaultKind.CHARGER_SILENT, id="k1", at_s=20.0, until_s=60.0)
    depot, clock = depot_with(fault, stays=(stay("k1"),))
    keba = depot.station_for(KEBA)
    request = Request(255, H, 1008, 2)
    keba.write(255, W, 5016, (8_000,))
    after(clock, depot, 5.0)
    keba.write(255, W, 5018, (10,))
    after(clock, depot, 5.0)
    keba.write(255, W, 5004, (16_000,))
    after(clock, depot, 9.75)
    assert keba.delay_s(255, request) < 0.1
    after(clock, depot, 0.25)
    assert math.isinf(keba.delay_s(255, request))
    assert depot.evse_truth(EvseId("k1")).silent
    after(clock, depot, 10.0)
    assert depot.evse_truth(EvseId("k1")).limit_a == 8.0
    after(clock, depot, 30.0)
    assert keba.delay_s(255, request) < 0.1


def test_a_fault_hits_the_whole_charger_but_no_other() -> None:
    fault = Fault(kind=FaultKind.CHARGER_SILENT, id="c2", at_s=0.0)
    depot, _ = depot_with(fault)
    assert math.isinf(depot.station_for(CHARX).delay_s(255, Request(255, H, 1299, 1)))
    assert depot.evse_truth(EvseId("c1")).silent
    assert not depot.evse_truth(EvseId("k1")).silent


def test_slow_and_garbled_replies() -> None:
    slow = Fault(kind=FaultKind.SLOW_REPLIES, id="k1", at_s=0.0, until_s=10.0, delay_s=2.5)
    garbled = Fault(kind=FaultKind.GARBLED, id="m-grid", at_s=0.0, until_s=10.0)
    depot, clock = depot_with(slow, garbled)
    assert depot.station_for(KEBA).delay_s(255, Request(255, H, 1008, 2)) == 2.5
    short = depot.station_for(METERS).read(1, H, 19012, 6)
    assert isinstance(short, tuple)
    assert len(short) == 5
    after(clock, depot, 10.0)
    whole = depot.station_for(METERS).read(1, H, 19012, 6)
    assert isinstance(whole, tuple)
    assert len(whole) == 6
    # A garbled answer is no reading.
    assert len(depot.trace.meter_answers_s[MeterId("m-grid")]) == 1


def test_a_stuck_meter_repeats_its_last_value() -> None:
    stuck = Fault(kind=FaultKind.METER_STUCK, id="m-grid", at_s=5.0, until_s=50.0)
    step = Fault(kind=FaultKind.BASE_STEP, id=GRID, at_s=10.0, add_a=(8.0, 8.0, 8.0))
    depot, clock = depot_with(stuck, step)
    after(clock, depot, 6.0)
    before = depot.station_for(METERS).read(1, H, 19012, 6)
    after(clock, depot, 30.0)
    assert depot.station_for(METERS).read(1, H, 19012, 6) == before
    after(clock, depot, 15.0)
    assert depot.station_for(METERS).read(1, H, 19012, 6) != before


def test_a_reboot_loses_the_setpoint_and_is_silent_meanwhile() -> None:
    reboot = Fault(kind=FaultKind.REBOOT, id="w1", at_s=20.0, until_s=28.0)
    depot, clock = depot_with(reboot, stays=(stay("w1"),))
    depot.station_for(NEXT).write(255, W, 5004, (16,))
    after(clock, depot, 19.75)
    assert depot.evse_truth(EvseId("w1")).current_a == 16.0
    after(clock, depot, 0.25)
    truth = depot.evse_truth(EvseId("w1"))
    assert (truth.limit_a, truth.current_a, truth.silent) == (6.0, 0.0, True)
    after(clock, depot, 20.0)
    truth = depot.evse_truth(EvseId("w1"))
    assert (truth.current_a, truth.silent) == (6.0, False)


def test_charger_readings_are_up_to_a_refresh_old() -> None:
    depot, clock = depot_with(stays=(stay("w1"),))
    station = depot.station_for(NEXT)
    seen = []
    for _ in range(60):
        after(clock, depot, 0.25)
        words = station.read(255, H, 1008, 1)
        assert isinstance(words, tuple)
        seen.append((words[0] / 1000.0, depot.evse_truth(EvseId("w1")).current_a))
    late = [shown < true for shown, true in seen]
    assert any(late)
    assert not any(shown > true for shown, true in seen)
    assert seen[-1] == (6.0, 6.0)


def test_unknown_units_get_the_gateway_exception_and_charx_answers_to_any() -> None:
    depot, _ = depot_with()
    assert depot.station_for(KEBA).read(1, H, 1008, 2) is ExceptionCode.GATEWAY_TARGET
    assert depot.station_for(KEBA).write(1, W, 5004, (0,)) is ExceptionCode.GATEWAY_TARGET
    assert depot.station_for(CHARX).read(1, H, 1299, 1) == (0x4131,)


def test_the_same_seed_gives_the_same_run_whoever_looks() -> None:
    stays = (stay("c1"), stay("k1"))
    one, one_clock = depot_with(stays=stays, seed=7)
    two, two_clock = depot_with(stays=stays, seed=7)
    other, other_clock = depot_with(stays=stays, seed=8)
    after(one_clock, one, 60.0)
    after(other_clock, other, 60.0)
    for _ in range(240):
        after(two_clock, two, 0.25)
        two.true_current_a(FEEDER)
    assert one.trace.nodes == two.trace.nodes
    assert one.trace.nodes != other.trace.nodes
    assert one.trace.times_s == pytest.approx([0.25 * (k + 1) for k in range(240)])


def test_a_profile_without_simulated_device_is_refused_by_name() -> None:
    odd = site(evses=(evse("x1", node=GRID, profile="go-e-charger", link=KEBA),))
    with pytest.raises(BadInput, match=r"x1.*go-e-charger.*CHARX"):
        build_depot(odd, seed=1, clock=Clock())
    meter = Meter(
        id=MeterId("m"),
        node=GRID,
        profile="janitza-umg96rm",
        link=METERS,
        unit=1,
        poll_s=1.0,
        address_offset=1,
    )
    with pytest.raises(BadInput, match="address_offset"):
        build_depot(site(meters=(meter,)), seed=1, clock=Clock())
