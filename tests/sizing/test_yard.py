"""What vehicles take is exact to the second, and adds up to what flowed."""

import pytest

from edgectl.model.site import Node
from edgectl.simulator.sizing.base_load_file import LoadProfile
from edgectl.simulator.sizing.yard import Visit, Yard
from edgectl.units import NodeId
from tests.sizing.yards import START_S, evse, row, site, stay

SITE = site(evse("a"), evse("b", (1,)))


def yard(*stays: object, base: LoadProfile | None = None) -> Yard:
    return Yard(SITE, stays, base=base, base_node=0, start_s=START_S)  # type: ignore[arg-type]


def test_energy_is_current_by_voltage_by_time() -> None:
    there = yard(stay(SITE, 0, row(energy_wh=1e6)))
    there.advance(START_S)
    there.tell(0, 10.0)
    there.advance(START_S + 600.0)
    visit = there.visits[0]
    assert visit is not None
    assert visit.delivered_wh == pytest.approx(3 * 230.0 * 10.0 / 6.0)


def test_who_is_full_draws_no_more_from_that_very_second_on() -> None:
    there = yard(stay(SITE, 0, row(energy_wh=690.0)))  # 10 A on three phases for 360 s
    there.advance(START_S)
    there.tell(0, 10.0)
    there.advance(START_S + 3000.0)
    (visit,) = [one for one in there.visits if one is not None]
    assert visit.delivered_wh == pytest.approx(690.0, abs=2e-3)
    assert visit.last_energy_s == pytest.approx(START_S + 360.0, abs=1e-3)
    assert there.draw_a == [0.0, 0.0]


def test_who_leaves_takes_nothing_more_and_the_next_one_is_another() -> None:
    first = stay(SITE, 0, row(energy_wh=1e6, to_s=100.0, session="first"))
    second = stay(SITE, 0, row(energy_wh=1e6, from_s=100.0, to_s=400.0, session="second"))
    there = yard(first, second)
    there.advance(START_S)
    there.tell(0, 10.0)
    there.advance(START_S + 250.0)
    assert [visit.stay for visit in there.done] == [first]
    assert there.done[0].delivered_wh == pytest.approx(6900.0 * 100.0 / 3600.0)
    now = there.visits[0]
    assert now is not None
    assert now.stay == second
    assert now.delivered_wh == pytest.approx(6900.0 * 150.0 / 3600.0)


@pytest.mark.parametrize(("told_a", "drawn_a"), [(0.0, 0.0), (5.9, 0.0), (6.0, 6.0), (32.0, 20.0)])
def test_a_vehicle_draws_the_least_of_setpoint_and_its_own_maximum(
    told_a: float, drawn_a: float
) -> None:
    there = yard(stay(SITE, 0, row(), max_a=20.0))
    there.advance(START_S)
    there.tell(0, told_a)
    assert there.draw_a[0] == drawn_a


def test_what_vehicles_got_is_what_flowed() -> None:
    there = yard(
        stay(SITE, 0, row(energy_wh=4000.0, to_s=2000.0)),
        stay(SITE, 1, row("b", energy_wh=900.0, from_s=333.3, to_s=3000.0)),
    )
    there.advance(START_S)
    for k, amps in enumerate((10.0, 32.0, 7.0, 0.0, 16.0)):
        there.tell(0, amps)
        there.tell(1, 32.0 - amps)
        there.advance(START_S + 500.0 * (k + 1))
    there.advance(START_S + 4000.0)
    there.flowed.close()
    assert there.empty
    got_wh = sum(visit.delivered_wh for visit in there.done)
    assert got_wh > 1000.0
    assert there.flowed.nodes[0].energy_wh == pytest.approx(got_wh, abs=1e-2)
    assert there.flowed.duration_s == pytest.approx(4000.0)
    assert there.flowed.nodes[0].peak_a[0] == pytest.approx(32.0)


def test_a_base_load_changes_at_its_time_and_overloads_are_counted() -> None:
    base = LoadProfile(times_s=(START_S, START_S + 900.0), power_w=(6900.0, 82800.0))
    limited = site(evse("a"), nodes=(Node(id=NodeId("grid"), parent=None, limit_a=(100.0,) * 3),))
    there = Yard(limited, (), base=base, base_node=0, start_s=START_S)
    there.advance(START_S + 1000.0)
    there.flowed.close()
    flow = there.flowed.nodes[0]
    assert flow.peak_a == pytest.approx([120.0] * 3)
    assert flow.over_s == pytest.approx(100.0)
    assert flow.energy_wh == pytest.approx((6900.0 * 900.0 + 82800.0 * 100.0) / 3600.0)
    assert [round(mean_w) for _, mean_w, _ in flow.quarters] == [6900, 9200]


def test_a_visit_without_energy_has_no_time_of_it() -> None:
    there = yard(stay(SITE, 0, row()))
    there.advance(START_S + 100.0)
    visit = there.visits[0]
    assert visit == Visit(stay(SITE, 0, row()))
