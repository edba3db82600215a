from dataclasses import replace

import pytest

from edgectl.devices.codec import Bad, Value
from edgectl.devices.reads import decode, plan_reads
from edgectl.devices.samples import evse_facts, meter_sample, vehicle_state
from edgectl.model.reading import EvseSample, MeterSample, VehicleState
from tests.devices.builders import CHARX, EM24, JANITZA, KEBA, WEBASTO, evse_of, meter_of

ROUND: dict[str, Value] = {
    "voltage_v.1": 231.0,
    "voltage_v.2": 232.0,
    "voltage_v.3": 233.0,
    "current_a.1": 10.0,
    "current_a.2": 20.0,
    "current_a.3": 30.0,
    "power_w.1": 2310.0,
    "power_w.2": -4640.0,
    "power_w.3": 6990.0,
    "energy_import_wh": 5000.0,
    "energy_export_wh": 700.0,
}


def bad(name: str) -> Bad:
    return Bad(quantity=name, address=1, words=(0xFFFF, 0xFFFF), why="made up")


def test_a_meters_terminals_go_to_the_phases_that_they_sit_on() -> None:
    sample = meter_sample(JANITZA, meter_of(JANITZA, phases=(2, 3, 1)), ROUND, taken_s=4.5)

    assert sample == MeterSample(
        taken_s=4.5,
        current_a=(30.0, 10.0, 20.0),  # terminal 1 on L2, 2 on L3, 3 on L1
        power_w=(6990.0, 2310.0, -4640.0),
        voltage_v=(233.0, 231.0, 232.0),
        energy_import_wh=5000.0,
        energy_export_wh=700.0,
    )


def test_a_turned_meter_turns_power_and_energy_and_leaves_magnitudes() -> None:
    sample = meter_sample(JANITZA, meter_of(JANITZA, sign=-1), ROUND, taken_s=0.0)

    assert isinstance(sample, MeterSample)
    assert sample.current_a == (10.0, 20.0, 30.0)
    assert sample.power_w == (-2310.0, 4640.0, -6990.0)
    assert (sample.energy_import_wh, sample.energy_export_wh) == (700.0, 5000.0)


def test_a_signed_current_register_gives_a_magnitude() -> None:
    values = {**ROUND, "current_a.2": -20.0}
    sample = meter_sample(EM24, meter_of(EM24), values, taken_s=0.0)
    assert isinstance(sample, MeterSample)
    assert sample.current_a == (10.0, 20.0, 30.0)


def test_a_single_phase_meter_measures_its_phase_only() -> None:
    sample = meter_sample(JANITZA, meter_of(JANITZA, phases=(3,)), ROUND, taken_s=0.0)
    assert isinstance(sample, MeterSample)
    assert sample.current_a == (None, None, 10.0)
    assert sample.voltage_v == (None, None, 231.0)


def test_s2_one_bad_phase_of_a_meter_is_missing_and_not_zero() -> None:
    values = {**ROUND, "current_a.2": bad("current_a.2"), "power_w.1": bad("power_w.1")}
    sample = meter_sample(JANITZA, meter_of(JANITZA), values, taken_s=0.0)
    assert isinstance(sample, MeterSample)
    assert sample.current_a == (10.0, None, 30.0)
    assert sample.power_w == (None, -4640.0, 6990.0)


def test_s2_a_meter_without_one_good_current_gives_the_cause() -> None:
    values = {**ROUND, **{f"current_a.{n}": bad(f"current_a.{n}") for n in (1, 2, 3)}}
    assert meter_sample(JANITZA, meter_of(JANITZA), values, taken_s=0.0) == bad("current_a.1")
    absent = meter_sample(JANITZA, meter_of(JANITZA), {}, taken_s=0.0)
    assert isinstance(absent, Bad)
    assert absent.address == 19012


def test_an_evses_terminals_go_to_the_phases_that_they_sit_on() -> None:
    values = {**ROUND, "power_w": 13_800.0, "state": "C2", "setpoint_a": 16.0}
    facts = evse_facts(CHARX, evse_of(CHARX, phases=(3, 1, 2)), values, taken_s=7.0)

    assert facts.sample == EvseSample(taken_s=7.0, current_a=(20.0, 30.0, 10.0), power_w=13_800.0)
    assert facts.vehicle is VehicleState.CHARGING
    assert facts.setpoint_a == 16.0
    assert facts.energy_wh == 5000.0
    assert facts.failsafe_a is None
    assert facts.bad == ()


def test_a_single_phase_evse_has_no_current_elsewhere() -> None:
    facts = evse_facts(CHARX, evse_of(CHARX, phases=(2,)), ROUND, taken_s=0.0)
    assert facts.sample is not None
    assert facts.sample.current_a == (None, 10.0, None)


def test_s2_a_bad_current_on_a_wired_phase_gives_no_sample_of_an_evse() -> None:
    values: dict[str, Value] = {**ROUND, "current_a.3": bad("current_a.3")}
    facts = evse_facts(CHARX, evse_of(CHARX), values, taken_s=0.0)
    assert facts.sample is None
    assert facts.bad == (bad("current_a.3"),)
    # On a phase that is not wired it does not matter.
    assert evse_facts(CHARX, evse_of(CHARX, phases=(1,)), values, taken_s=0.0).sample is not None


@pytest.mark.parametrize("value", [3.4e38, float("inf"), float("nan")])
def test_s2_what_no_conductor_bears_is_no_current_of_an_evse(value: float) -> None:
    values: dict[str, Value] = {**ROUND, "current_a.2": value}
    assert evse_facts(CHARX, evse_of(CHARX), values, taken_s=0.0).sample is None


def test_what_was_not_read_is_none() -> None:
    facts = evse_facts(KEBA, evse_of(KEBA), {"failsafe_a": 6.0, "watchdog_s": 60.0}, taken_s=0.0)
    assert (facts.failsafe_a, facts.watchdog_s) == (6.0, 60.0)
    assert facts.sample is None
    assert facts.vehicle is None
    assert facts.setpoint_a is None
    assert facts.session_wh is None


def test_s9_a_watchdog_that_says_it_is_off_has_no_time_and_is_not_merely_unread() -> None:
    off = Bad(quantity="watchdog_s", address=1602, words=(0, 0), why="no value", absent=True)
    garbled = replace(off, absent=False)
    said = [
        evse_facts(KEBA, evse_of(KEBA), {"watchdog_s": value}, taken_s=0.0).watchdog_s
        for value in (off, garbled)
    ]
    assert said == [0.0, None]


def test_a_write_only_setpoint_is_never_read_back() -> None:
    facts = evse_facts(WEBASTO, evse_of(WEBASTO), {"setpoint_a": 16.0}, taken_s=0.0)
    assert facts.setpoint_a is None


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("A1", VehicleState.ABSENT),
        ("A2", VehicleState.ABSENT),
        ("B1", VehicleState.PLUGGED),
        ("B2", VehicleState.PLUGGED),
        ("C1", VehicleState.ASKING),
        ("C2", VehicleState.CHARGING),
        ("D1", VehicleState.ASKING),
        ("D2", VehicleState.CHARGING),
        ("E0", VehicleState.FAULT),
        ("F0", VehicleState.FAULT),
        ("IN", VehicleState.UNKNOWN),
        ("Z9", VehicleState.UNKNOWN),
    ],
)
def test_charx_states(text: str, state: VehicleState) -> None:
    assert vehicle_state(CHARX, {"state": text}) is state


@pytest.mark.parametrize(
    ("state_words", "cable_words", "state"),
    [
        ((0, 0), (0, 1), VehicleState.UNKNOWN),
        ((0, 1), (0, 1), VehicleState.ABSENT),
        ((0, 1), (0, 7), VehicleState.PLUGGED),
        ((0, 2), (0, 3), VehicleState.ABSENT),
        ((0, 2), (0, 5), VehicleState.PLUGGED),
        ((0, 3), (0, 7), VehicleState.CHARGING),
        ((0, 4), (0, 7), VehicleState.FAULT),
        ((0, 4), (0, 0), VehicleState.FAULT),
        ((0, 5), (0, 7), VehicleState.ASKING),
        ((0, 5), (0, 1), VehicleState.ABSENT),
        ((0, 9), (0, 7), VehicleState.UNKNOWN),
    ],
)
def test_keba_states(
    state_words: tuple[int, int], cable_words: tuple[int, int], state: VehicleState
) -> None:
    values: dict[str, Value] = {}
    for batch in plan_reads(KEBA, unit=255):
        if batch.request.address == 1000:
            values |= decode(batch, state_words)
        if batch.request.address == 1004:
            values |= decode(batch, cable_words)
    assert vehicle_state(KEBA, values) is state


def test_keba_half_a_state_says_nothing_yet() -> None:
    assert vehicle_state(KEBA, {"state": "charging"}) is None


@pytest.mark.parametrize(
    ("code", "state"),
    [
        (0, VehicleState.ABSENT),
        (1, VehicleState.PLUGGED),
        (3, VehicleState.CHARGING),
        (4, VehicleState.ASKING),
        (7, VehicleState.FAULT),
        (8, VehicleState.UNKNOWN),
        (2, VehicleState.UNKNOWN),
    ],
)
def test_webasto_states(code: int, state: VehicleState) -> None:
    (batch,) = [b for b in plan_reads(WEBASTO, unit=255) if b.request.address == 1000]
    assert vehicle_state(WEBASTO, decode(batch, (code,))) is state


def test_a_meter_has_no_vehicle() -> None:
    assert vehicle_state(JANITZA, ROUND) is None
