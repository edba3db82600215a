"""Sessions find their EVSEs; what cannot be used is named."""

from dataclasses import replace

import pytest

from edgectl.errors import BadInput
from edgectl.model.site import Node
from edgectl.simulator.session_file import Recorded
from edgectl.simulator.sizing.announcements import Announced
from edgectl.simulator.sizing.stays import Placed, place
from edgectl.units import NodeId
from tests.sizing.yards import START_S, evse, garage, row, site

SITE = site(evse("a"), evse("b"))


def placed(*rows: Recorded, assign: bool = False) -> Placed:
    return place(rows, SITE, announced={}, assign=assign, file="s.csv")


def test_a_session_stays_where_its_file_says() -> None:
    found = placed(row("b"), row("a", from_s=10.0))
    assert [(stay.evse, stay.arrival_s - START_S) for stay in found.stays] == [(1, 0.0), (0, 10.0)]
    assert found.left_out == 0


def test_the_later_of_two_that_overlap_begins_when_the_earlier_one_left() -> None:
    found = placed(row(to_s=100.0), row(from_s=50.0, to_s=200.0), row(from_s=60.0, to_s=180.0))
    assert [(s.arrival_s - START_S, s.departure_s - START_S) for s in found.stays] == [
        (0.0, 100.0),
        (100.0, 200.0),
    ]
    assert found.left_out == 1


def test_assigned_sessions_take_the_first_free_evse() -> None:
    found = placed(
        row("x", to_s=100.0),
        row("y", from_s=1.0),
        row("z", from_s=2.0),
        row("x", from_s=100.0),
        assign=True,
    )
    assert [stay.evse for stay in found.stays] == [0, 1, 0]
    assert found.left_out == 1


def test_an_evse_that_is_not_there_is_named_with_what_to_do() -> None:
    with pytest.raises(BadInput) as caught:
        placed(row("x"), row("a"))
    (finding,) = caught.value.findings
    assert "x is not in site depot" in finding.message
    assert "--assign" in finding.remedy


def test_a_known_power_bounds_the_current() -> None:
    rows = [replace(row(), max_power_w=6900.0)]
    (stay,) = place(rows, SITE, announced={}, assign=False, file="s.csv").stays
    assert stay.max_a == pytest.approx(10.0)
    pair = garage(evse("a", (1, 2), node="t1", line_to_line=True))
    rows = [replace(row(), max_power_w=2078.46, phases=1)]
    (stay,) = place(rows, pair, announced={}, assign=False, file="s.csv").stays
    assert stay.max_a == pytest.approx(10.0, rel=1e-5)


def test_what_was_announced_is_told_and_the_truth_where_nothing_was() -> None:
    announced = {"said": Announced(energy_wh=1.0, departure_utc_s=START_S - 5.0)}
    rows = [row("a", session="said"), row("b", session="silent")]
    said, silent = place(rows, SITE, announced=announced, assign=False, file="s.csv").stays
    assert said.announced == Announced(energy_wh=1.0, departure_utc_s=START_S)
    assert silent.announced == Announced(energy_wh=5000.0, departure_utc_s=START_S + 3600.0)
    assert said.energy_wh == 5000.0


def test_a_session_on_a_panel_of_another_voltage_has_the_power_of_that() -> None:
    there = garage(evse("a", (1, 2, 3), node="panel"))
    panel = Node(id=NodeId("panel"), parent=NodeId("grid"))
    at = replace(there, nodes=(*there.nodes, panel))
    (stay,) = place([row()], at, announced={}, assign=False, file="s.csv").stays
    assert stay.watts_per_a == pytest.approx(3.0 * 4.0 * 120.0 / 3.0**0.5)
