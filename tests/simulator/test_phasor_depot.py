"""A depot with EVSEs between two lines behind a delta-wye transformer; figures by hand."""

import struct
from dataclasses import replace
from math import sqrt

import pytest

from edgectl.model.modbus import Function
from edgectl.model.site import Connection, Meter, Node, Site, Transformer
from edgectl.simulator.depot import Depot, Scenario, build_depot
from edgectl.simulator.faults import Fault, FaultKind
from edgectl.simulator.sessions import Session
from edgectl.units import EvseId, MeterId, NodeId, Triple
from tests.simulator.world import CHARX, GRID, KEBA, METERS, NEXT, Clock, car, evse, site

H, W = Function.READ_HOLDING, Function.WRITE_SINGLE
T1 = NodeId("t1")
VOLTS, TURNS = 120.0, 4.0
PRIMARY_V = VOLTS * TURNS / sqrt(3.0)
PAIR = Connection.LINE_TO_LINE


def garage(*, base_a: Triple = (0.0, 0.0, 0.0)) -> Site:
    """480 V to 208/120 V; two pairs and a three-phase charger below, meters on both sides."""

    def meter(name: str, node: NodeId, unit: int) -> Meter:
        return Meter(
            id=MeterId(name),
            node=node,
            profile="janitza-umg96rm",
            link=METERS,
            unit=unit,
            poll_s=0.5,
        )

    return replace(
        site(),
        voltage_v=VOLTS,
        nodes=(
            Node(id=GRID, parent=None, limit_a=(200.0,) * 3, base_max_a=base_a),
            Node(id=T1, parent=GRID, limit_a=(400.0,) * 3, transformer=Transformer(TURNS)),
        ),
        meters=(meter("m-grid", GRID, 1), meter("m-t1", T1, 2)),
        evses=(
            evse(
                "ab",
                node=T1,
                profile="phoenix-charx-sec",
                link=CHARX,
                phases=(1, 2),
                connection=PAIR,
            ),
            evse("ca", node=T1, profile="webasto-next", link=NEXT, phases=(1, 3), connection=PAIR),
            evse("abc", node=T1, profile="keba-p40", link=KEBA),
        ),
    )


def charging(place: Site, amps: dict[str, int], *faults: Fault) -> tuple[Depot, Clock]:
    """Vehicles that use one phase where the wiring leaves it to them."""
    clock = Clock()
    stays = tuple(
        Session(evse=EvseId(name), vehicle=car(phases=1), arrival_s=0.0, departure_s=9000.0)
        for name in amps
    )
    scenario = Scenario(sessions=stays, faults=faults)
    depot = build_depot(place, seed=1, clock=clock, scenario=scenario)
    if "ab" in amps:
        assert depot.station_for(CHARX).write(255, W, 1301, (amps["ab"],)) is None
    if "ca" in amps:
        assert depot.station_for(NEXT).write(255, W, 5004, (amps["ca"],)) is None
    if "abc" in amps:
        assert depot.station_for(KEBA).write(255, W, 5004, (1000 * amps["abc"],)) is None
    clock.now_s += 20.0
    depot.advance()
    return depot, clock


def shown(depot: Depot, unit: int, address: int) -> list[float]:
    """Three floats of a Janitza: currents at 19012, volts at 19000, power at 19020."""
    words = depot.station_for(METERS).read(unit, H, address, 6)
    assert isinstance(words, tuple)
    return list(struct.unpack(">fff", struct.pack(">6H", *words)))


def test_a_pair_loads_two_lines_and_all_three_of_the_primary_side() -> None:
    depot, _ = charging(garage(), {"ab": 20})
    # a = 20, b = -20: primary (a - c, b - a, c - b) / 4
    assert depot.true_current_a(T1) == pytest.approx((20.0, 20.0, 0.0))
    assert depot.true_current_a(GRID) == pytest.approx((5.0, 10.0, 5.0))
    assert shown(depot, 2, 19012) == pytest.approx([20.0, 20.0, 0.0], abs=1e-5)
    assert shown(depot, 1, 19012) == pytest.approx([5.0, 10.0, 5.0], abs=1e-5)


def test_two_pairs_that_share_a_line_are_less_there_than_their_amounts() -> None:
    depot, _ = charging(garage(), {"ab": 10, "ca": 10})
    # 30 degrees to either side of line 1: 2 x 10 x cos 30
    assert depot.true_current_a(T1) == pytest.approx((10.0 * sqrt(3.0), 10.0, 10.0))
    depot, _ = charging(garage(), {"ab": 10, "abc": 10})
    # |10 + 10 at 30 degrees|
    assert depot.true_current_a(T1)[0] == pytest.approx(10.0 * sqrt(2.0 + sqrt(3.0)))


def test_a_meter_above_the_transformer_has_its_voltage_and_the_same_power() -> None:
    depot, _ = charging(garage(), {"ab": 20, "abc": 10})
    volts, above_v = shown(depot, 2, 19000), shown(depot, 1, 19000)
    assert 0.985 * VOLTS < volts[0] < VOLTS
    assert above_v[0] / volts[0] == pytest.approx(PRIMARY_V / VOLTS, rel=1e-5)
    # between two lines sqrt(3) times the voltage to neutral, beside 10 A on line 1 alone
    power_w = volts[0] * (sqrt(3.0) * 20.0 + 10.0)
    assert sum(shown(depot, 2, 19020)) == pytest.approx(power_w, rel=1e-5)
    assert sum(shown(depot, 1, 19020)) == pytest.approx(power_w, rel=1e-5)
    assert depot.node_truth(GRID).power_w == pytest.approx(power_w, rel=1e-5)


def test_a_charger_between_two_lines_shows_both_and_counts_the_energy_between_them() -> None:
    depot, clock = charging(garage(), {"ab": 20})
    charx = depot.station_for(CHARX)
    milliamps = charx.read(255, H, 1238, 6)
    assert milliamps == (0, 20_000, 0, 20_000, 0, 0)
    before_wh = depot.evse_truth(EvseId("ab")).session_wh
    clock.now_s += 360.0
    power_w = depot.node_truth(T1).power_w
    gained_wh = depot.evse_truth(EvseId("ab")).session_wh - before_wh
    assert gained_wh == pytest.approx(0.1 * power_w, rel=1e-6)
    assert power_w == pytest.approx(sqrt(3.0) * VOLTS * 20.0, rel=0.015)


def test_what_feeds_back_makes_room_on_its_lines_and_a_meter_shows_its_direction() -> None:
    sun = Fault(kind=FaultKind.BASE_STEP, id=GRID, at_s=1.0, add_a=(-30.0, 0.0, 0.0))
    depot, _ = charging(garage(base_a=(3.0, 3.0, 3.0)), {"ab": 20}, sun)
    truth = depot.node_truth(GRID)
    assert truth.phasors is not None
    # 5 A at -60 degrees on line 1: 2.5 A in phase, 4.33 A across the voltage, which stay
    assert truth.phasors.line_a[0].real < -20.0
    assert truth.current_a[0] == pytest.approx(2.5 * sqrt(3.0))
    watts = shown(depot, 1, 19020)
    assert watts[0] < 0.0 < watts[1]
    assert shown(depot, 1, 19012)[0] == pytest.approx(abs(truth.phasors.line_a[0]), rel=0.02)
