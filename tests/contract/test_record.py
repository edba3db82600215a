"""Snapshots, states and decisions survive being written and read, bit for bit."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgectl.adapters.crash_record import KEPT, CrashRecordFiles
from edgectl.clock import Instant
from edgectl.contract.record import DECISION, INSTANT, SNAPSHOT, STATE
from edgectl.errors import StorageFailed
from edgectl.model.reading import MeterSample
from edgectl.model.state import BaseState, State
from edgectl.units import MeterId
from tests.control.world import World, evse, site


def busy_world() -> World:
    world = World(site(evses=[evse(1), evse(2, phases=(1, 2, 3))]))
    world.settle(20.0, {"e1": 13.0, "e2": 6.1})
    world.meter(0.1 + 0.2, power_w=(-1.0, None, 3.3), voltage_v=(229.9, None, None))
    return world


def test_a_whole_tick_comes_back_equal() -> None:
    world = busy_world()
    decision = world.step()
    snapshot = world.snapshot()
    assert SNAPSHOT.load(SNAPSHOT.dump(snapshot)) == snapshot
    assert STATE.load(STATE.dump(world.state)) == world.state
    assert DECISION.load(DECISION.dump(decision)) == decision


@given(st.tuples(*[st.floats(allow_nan=False)] * 4))
def test_every_float_comes_back_bit_for_bit(values: tuple[float, float, float, float]) -> None:
    state = State(
        started_s=values[3],
        meters={MeterId("m"): BaseState(base_a=values[:3], upto_s=values[3])},
    )
    back = STATE.load(STATE.dump(state))
    base = back.meters[MeterId("m")]
    assert [v.hex() for v in (*base.base_a, base.upto_s)] == [
        v.hex() for v in (*values[:3], values[3])
    ]


def test_not_a_number_comes_back_as_such() -> None:
    world = busy_world()
    world.meter(float("nan"))
    sample: MeterSample = (
        SNAPSHOT.load(SNAPSHOT.dump(world.snapshot())).meters[MeterId("m-grid")].samples[-1]
    )
    assert sample.current_a[0] != sample.current_a[0]


def test_a_record_of_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match="started_s"):
        STATE.load('{"started_s": "yesterday"}')


def test_a_crash_record_can_be_stepped_again_and_old_ones_go(tmp_path: Path) -> None:
    world = busy_world()
    files = CrashRecordFiles(tmp_path)
    for number in range(KEPT + 3):
        files.keep(
            snapshot=world.snapshot(),
            state=world.state,
            now=Instant(mono_s=1.0, utc_s=1_800_000_000.0 + number),
            error="broken",
        )
    kept = sorted(tmp_path.iterdir())
    assert len(kept) == KEPT
    assert "1800000012000" in kept[-1].name
    head, now, state, snapshot = kept[-1].read_text(encoding="utf-8").splitlines()
    assert json.loads(head) == {"error": "broken"}
    assert INSTANT.load(now).utc_s == 1_800_000_012.0
    assert STATE.load(state) == world.state
    assert SNAPSHOT.load(snapshot) == world.snapshot()


def test_a_crash_record_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    world = busy_world()
    files = CrashRecordFiles(tmp_path / "gone")
    with pytest.raises(StorageFailed, match="broken-step"):
        files.keep(
            snapshot=world.snapshot(), state=world.state, now=world.instant(), error="broken"
        )
