"""The picture is well-formed SVG and shows ceilings, event and faults; the view fits 80 x 24."""

from dataclasses import replace
from xml.etree import ElementTree as ET

from edgectl.model.site import Link, LinkKind
from edgectl.simulator.demo.picture import draw
from edgectl.simulator.demo.plan import plan_run
from edgectl.simulator.demo.report import judge
from edgectl.simulator.demo.view import Frame, lines, plain_line
from edgectl.simulator.depot import Scenario, build_depot
from edgectl.simulator.faults import Fault, FaultKind
from edgectl.units import LinkId, NodeId
from tests.simulator.test_report import burst, event, evidence
from tests.simulator.world import GRID, Clock, evse, site

SVG = "{http://www.w3.org/2000/svg}"
FAULTS = (
    Fault(kind=FaultKind.CHARGER_SILENT, id="k1", at_s=10.0, until_s=30.0),
    Fault(kind=FaultKind.BASE_STEP, id="grid", at_s=25.0, add_a=(8.0, 8.0, 8.0)),
)


def texts(svg: str) -> str:
    return "\n".join(node.text or "" for node in ET.fromstring(svg).iter(f"{SVG}text"))


def test_the_picture_is_well_formed_and_says_what_it_shows() -> None:
    found = evidence(burst(20.0, 5.0), dr=event(), faults=FAULTS)
    svg = draw(found, judge(found))
    words = texts(svg)
    for part in (
        "yard",
        "grid: current in A",
        "feeder: current in A",
        "grid: power in kW",
        "limit 100 A",
        "k1: silent",
        "grid: base load step",
        "demand response 20 kW",
    ):
        assert part in words
    lines_drawn = list(ET.fromstring(svg).iter(f"{SVG}polyline"))
    # Three phases and a limit for each of two nodes, sum and base, and the ceiling of the event.
    assert len(lines_drawn) == 4 + 4 + 3
    assert "against ceilings: ok" in words
    failed = evidence(burst(20.0, 50.0))
    assert "NOT ok" in texts(draw(failed, judge(failed)))


def test_names_cannot_break_the_picture() -> None:
    odd = evidence(site=replace(site(), id="<yard> & sons"))
    assert "<yard> & sons" in texts(draw(odd, judge(odd)))


def frame() -> Frame:
    return Frame(
        at_s=12.0, duration_s=90.0, dr_text="78 kW in 24 s, accepted", telemetry_text="5 messages"
    )


def test_the_view_fits_a_small_terminal() -> None:
    evses = tuple(
        evse(f"bay{k:02d}", node=GRID, profile="keba-p40", link=LinkId(f"l{k}")) for k in range(60)
    )
    links = tuple(Link(id=e.link, kind=LinkKind.TCP, host="127.0.0.1", port=1) for e in evses)
    big = replace(site(), evses=evses, links=(*links, site().links[3]))
    depot = build_depot(big, seed=1, clock=Clock(), scenario=Scenario())
    shown = lines(depot, frame())
    assert len(shown) <= 24
    assert all(len(line) <= 80 for line in shown)
    assert any("more" in line for line in shown)
    assert shown[-2] == "demand response: 78 kW in 24 s, accepted"


def test_the_view_shows_true_currents_states_and_faults() -> None:
    depot = build_depot(site(), seed=1, clock=Clock(), scenario=Scenario(faults=FAULTS))
    depot.advance(15.0)
    shown = "\n".join(lines(depot, frame()))
    assert "k1        silent" in shown
    assert "faults: k1 charger silent" in shown
    assert f"{depot.true_current_a(NodeId('grid'))[0]:8.1f}" in shown
    line = plain_line(depot, frame())
    assert "\n" not in line
    assert "grid" in line


def test_the_plan_has_what_a_demo_must_show() -> None:
    plan = plan_run(site(), (), duration_s=90.0)
    kinds = [fault.kind for fault in plan.scenario.faults]
    assert kinds.count(FaultKind.BASE_STEP) == 2
    silent_meter = next(f for f in plan.scenario.faults if f.kind is FaultKind.METER_SILENT)
    assert silent_meter.until_s is not None
    steps = [fault for fault in plan.scenario.faults if fault.kind is FaultKind.BASE_STEP]
    assert silent_meter.at_s < steps[1].at_s < silent_meter.until_s
    charger = next(f for f in plan.scenario.faults if f.kind is FaultKind.CHARGER_SILENT)
    assert charger.until_s is not None
    assert charger.until_s < 60.0
    assert plan.dr is not None
    assert 30.0 < plan.dr.from_s < plan.dr.until_s < 90.0
    # 65 % of 3 x 100 A x 230 V
    assert plan.dr.limit_w == 45_000.0


def test_a_site_without_program_gets_no_event() -> None:
    assert plan_run(replace(site(), programs=()), (), duration_s=90.0).dr is None
