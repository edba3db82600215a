"""One device named as the meter of two nodes: read once, and each has its own account (S7)."""

from itertools import pairwise

import pytest

from edgectl.model.modbus import Request
from edgectl.simulator import virtual_time
from edgectl.simulator.depot import Scenario
from edgectl.simulator.faults import FaultKind
from edgectl.sitefile.load import LoadedSite
from edgectl.units import MeterId, NodeId
from tests.field.yard import Seen, base_step, fault, physics_s, running, stay
from tests.sitefile.sites import load_text
from tests.whole.ear import Ear
from tests.whole.harness import Whole, build

METER_UNIT = 7
POLL_S = 0.5
GRID_A, PANEL_A = 70.0, 50.0
STALE_S = 15.0
BAYS = ("c1", "k1")


def two_nodes() -> LoadedSite:
    """All that the grid connection feeds hangs below the panel, whose limit is the lesser one."""
    return load_text(f"""\
site: {{id: yard, region: field, timezone: UTC, voltage_v: 230, mode: control}}
nodes:
  - {{id: grid, limit_a: [{GRID_A}, {GRID_A}, {GRID_A}], trip_s: 60}}
  - {{id: panel, parent: grid, limit_a: [{PANEL_A}, {PANEL_A}, {PANEL_A}],
     base_max_a: [40, 40, 40], trip_s: 60}}
links:
  - {{id: l-m, kind: tcp, host: 127.0.0.1, port: 15020}}
  - {{id: l-c1, kind: tcp, host: 127.0.0.1, port: 15021}}
  - {{id: l-k1, kind: tcp, host: 127.0.0.1, port: 15022}}
meters:
  - {{id: m-grid, node: grid, profile: janitza-umg96rm, link: l-m, unit: {METER_UNIT},
     poll_s: {POLL_S}}}
  - {{id: m-panel, node: panel, profile: janitza-umg96rm, link: l-m, unit: {METER_UNIT},
     poll_s: {POLL_S}}}
evses:
  - {{id: c1, node: panel, profile: phoenix-charx-sec, link: l-c1, unit: 255, connector: 1,
     phases: [1, 2, 3], max_a: 32, failsafe_a: 6, boot_a: 6, watchdog_s: 20, poll_s: 1}}
  - {{id: k1, node: panel, profile: keba-p40, link: l-k1, unit: 255, connector: 1,
     phases: [1, 2, 3], max_a: 32, failsafe_a: 6, boot_a: 6, watchdog_s: 20, poll_s: 1}}
""")


def test_s7_the_device_is_read_once_and_both_nodes_have_its_readings() -> None:
    asked: list[Request] = []

    async def main() -> Whole:
        scenario = Scenario(sessions=tuple(stay(bay) for bay in BAYS))
        whole = build(two_nodes(), scenario=lambda _: scenario, wrap=lambda one: Ear(one, asked))
        async with running(whole):
            await whole.until(60.0)
        return whole

    whole = virtual_time.run(main())
    # The currents are asked at every poll, in one request; all else comes far more seldom.
    meter = [one for one in asked if one.unit == METER_UNIT]
    often = max(meter.count(one) for one in set(meter))
    assert often == pytest.approx(60.0 / POLL_S, abs=3)
    for record in whole.records[5:]:
        meters = record.snapshot.meters
        samples = [meters[MeterId(name)].samples[-1] for name in ("m-grid", "m-panel")]
        assert samples[0].taken_s == samples[1].taken_s
        assert samples[0].current_a == samples[1].current_a


@pytest.mark.parametrize("silent", [False, True])
def test_s7_s20_the_lesser_limit_of_both_holds(*, silent: bool) -> None:
    """A base load comes below the panel; then the one device is silent for both nodes."""
    loaded = two_nodes()
    faults = [base_step(30.0, 30.0, 30.0, at_s=60.0, node="panel")]
    if silent:
        faults.append(fault(FaultKind.METER_SILENT, "m-grid", at_s=58.0, until_s=120.0))

    async def main() -> tuple[Whole, Seen]:
        scenario = Scenario(sessions=tuple(stay(bay) for bay in BAYS), faults=tuple(faults))
        whole = build(loaded, scenario=lambda _: scenario)
        async with running(whole) as seen:
            await whole.until(180.0)
        return whole, seen

    whole, seen = virtual_time.run(main())
    late_s = physics_s(loaded) + (STALE_S if silent else 0.0)
    assert sum(seen.drawn_a(bay, until_s=60.0)[-1] for bay in BAYS) > 30.0
    assert 0.0 < seen.longest_over_s(PANEL_A, "panel") <= late_s
    assert seen.longest_over_s(GRID_A, "grid") <= late_s
    if silent:
        bases = {
            node: [
                record.decision.nodes[NodeId(node)].base_a[0]
                for record in whole.records
                if 62.0 <= record.now.mono_s < 120.0
            ]
            for node in ("grid", "panel")
        }
        for base in bases.values():
            assert all(before <= after for before, after in pairwise(base)), "blind, none falls"
            assert base[-1] == 40.0, "the worst case of what is below"
    assert 6.0 < sum(seen.drawn_a(bay)[-1] for bay in BAYS) <= PANEL_A - 30.0
