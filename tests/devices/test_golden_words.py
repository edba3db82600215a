"""Golden words, worked out by hand from the makers' register tables: never from the profiles.

Each row says where a register stands on the wire and what its words mean, with the sum.
"""

import math

import pytest

from edgectl.devices.codec import Bad
from edgectl.devices.profile import Profile
from edgectl.devices.reads import Place, decode, read_point
from edgectl.devices.writes import arm_failsafe, keepalive, setpoint_write
from edgectl.model.modbus import Function, Request
from tests.devices.builders import (
    B23,
    CHARX,
    EM24,
    HEIDELBERG,
    HYC,
    JANITZA,
    KEBA,
    PROFILES,
    SDM630,
    WEBASTO,
    evse_of,
)

READS = [
    # CHARX: charging point x begins at x * 1000; high word first.
    (CHARX, 1, "voltage_v.1", 1232, (0x0003, 0x8432), 230.45),  # 3 * 65536 + 33842 = 230450 mV
    (CHARX, 1, "current_a.1", 1238, (0x0000, 0x3E80), 16.0),  # 0x3E80 = 16000 mA
    (CHARX, 2, "current_a.2", 2240, (0x0000, 0x332C), 13.1),  # 0x332C = 13100 mA
    (CHARX, 12, "current_a.3", 12242, (0x0000, 0x0000), 0.0),
    (CHARX, 1, "power_w", 1244, (0x00A8, 0x7500), 11040.0),  # 168 * 65536 + 29952 = 11040000 mW
    (CHARX, 1, "energy_import_wh", 1250, (0, 0, 0x075B, 0xCD15), 123456789.0),  # 0x075BCD15 Wh
    (CHARX, 1, "session_wh", 1289, (0, 0, 0x0000, 0x2710), 10000.0),  # 0x2710 = 10000 Wh
    (CHARX, 1, "state", 1299, (0x4332,), "C2"),  # 0x43 C, 0x32 2
    (CHARX, 3, "state", 3299, (0x494E,), "IN"),  # 0x49 I, 0x4E N
    (CHARX, 1, "setpoint_a", 1301, (0x000D,), 13.0),
    (CHARX, 1, "failsafe_a", 1306, (0x0006,), 6.0),
    (CHARX, 1, "watchdog_s", 1307, (0x003C,), 60.0),
    (CHARX, 2, "controllers", 114, (0x0004,), 4.0),  # group block: not per point
    (
        CHARX,
        1,
        "designation",
        100,
        (0x4348, 0x4152, 0x5820, 0x5345, 0x4333, 0, 0, 0, 0, 0),  # "CH" "AR" "X " "SE" "C3"
        "CHARX SEC3",
    ),
    # KEBA: two words per value, high word first.
    (KEBA, 1, "state", 1000, (0, 3), "charging"),
    (KEBA, 1, "cable", 1004, (0, 7), "in_car"),  # 0b111: bit 2 set
    (KEBA, 1, "cable", 1004, (0, 3), "without_car"),  # 0b011: locked in the station only
    (KEBA, 1, "current_a.1", 1008, (0x0000, 0x3E7F), 15.999),  # 0x3E7F = 15999 mA
    (KEBA, 1, "product", 1016, (0x0040, 0x6D02), 4222210.0),  # 64 * 65536 + 27906
    (KEBA, 1, "firmware", 1018, (0x0000, 0x27D9), 10201.0),  # 1.2.1
    (KEBA, 1, "power_w", 1020, (0x00A8, 0x7500), 11040.0),  # 11040000 mW
    (KEBA, 1, "energy_import_wh", 1036, (0x0012, 0xD687), 123456.7),  # 1234567 * 0.1 Wh
    (KEBA, 1, "session_wh", 1502, (0x0000, 0x2711), 1000.1),  # 10001 * 0.1 Wh
    (KEBA, 1, "failsafe_a", 1600, (0x0000, 0x1770), 6.0),  # 6000 mA
    (KEBA, 1, "watchdog_s", 1602, (0x0000, 0x003C), 60.0),
    # Webasto: one word for currents and states, two for power and energy.
    (WEBASTO, 1, "state", 1000, (4,), "paused"),
    (WEBASTO, 1, "station", 1002, (1,), "running"),
    (WEBASTO, 1, "current_a.2", 1010, (0x3E80,), 16.0),  # 16000 mA
    (WEBASTO, 1, "power_w", 1020, (0x0000, 0x2B20), 11040.0),  # 0x2B20 = 11040 W
    (WEBASTO, 1, "energy_import_wh", 1036, (0x0001, 0x86A0), 100000.0),  # 65536 + 34464 Wh
    (WEBASTO, 1, "session_wh", 1502, (0x2710,), 10000.0),
    (WEBASTO, 1, "failsafe_a", 2000, (6,), 6.0),
    (WEBASTO, 1, "watchdog_s", 2002, (60,), 60.0),
    (WEBASTO, 1, "life_bit", 6000, (1,), 1.0),
    # Janitza: IEEE 754 single, high word first.
    (JANITZA, 1, "voltage_v.1", 19000, (0x4366, 0x8000), 230.5),  # 1.80078125 * 2**7
    (JANITZA, 1, "current_a.1", 19012, (0x42C8, 0x8000), 100.25),  # 1.56640625 * 2**6
    (JANITZA, 1, "power_w.2", 19022, (0xC51C, 0x4800), -2500.5),  # -1.220947265625 * 2**11
    (JANITZA, 1, "power_w", 19026, (0x451C, 0x4800), 2500.5),
    (JANITZA, 1, "frequency_hz", 19050, (0x4248, 0x0000), 50.0),  # 1.5625 * 2**5
    (JANITZA, 1, "energy_import_wh", 19068, (0x4974, 0x2400), 1e6),  # 1.9073486328125 * 2**19
    (JANITZA, 1, "energy_export_wh", 19076, (0x0000, 0x0000), 0.0),
    # EM24 E1: low word first.
    (EM24, 1, "voltage_v.1", 0x00, (0x0901, 0x0000), 230.5),  # 2305 * 0.1 V
    (EM24, 1, "model", 0x0B, (1651,), 1651.0),
    (EM24, 1, "current_a.1", 0x0C, (0x3E80, 0x0000), 16.0),  # 16000 mA
    (EM24, 1, "current_a.3", 0x10, (0x86A0, 0x0001), 100.0),  # 65536 + 34464 = 100000 mA
    (EM24, 1, "power_w.1", 0x12, (0x9E53, 0xFFFF), -2500.5),  # 40531 - 65536 = -25005 * 0.1 W
    (EM24, 1, "power_w", 0x28, (0x61AD, 0x0000), 2500.5),  # 25005 * 0.1 W
    (EM24, 1, "frequency_hz", 0x33, (0x01F4,), 50.0),  # 500 * 0.1 Hz
    (EM24, 1, "energy_import_wh", 0x34, (0xE240, 0x0001), 12345600.0),  # 123456 * 0.1 kWh
    (EM24, 1, "energy_export_wh", 0x4E, (0x0001, 0x0000), 100.0),  # 1 * 0.1 kWh
    (EM24, 1, "application", 0xA000, (7,), 7.0),
    # HYC: the same number is another thing among the holding registers.
    (HYC, 2, "setpoint_w", 200, (0x0001, 0x86A0), 100000.0),  # 65536 + 34464 W
    (HEIDELBERG, 1, "watchdog_s", 257, (0x3A98,), 15.0),  # 15000 ms
    (HEIDELBERG, 1, "remote_lock", 259, (1,), 1.0),
    (HEIDELBERG, 1, "setpoint_a", 261, (0x0083,), 13.1),  # 131 * 0.1 A
    (HEIDELBERG, 1, "failsafe_a", 262, (0x003C,), 6.0),
    # B23: hundredths, high word first.
    (B23, 1, "energy_import_wh", 0x5000, (0, 0, 0x0001, 0xE240), 1234560.0),  # 123456 * 0.01 kWh
    (B23, 1, "energy_export_wh", 0x5004, (0, 0, 0, 1), 10.0),  # 0.01 kWh
    (B23, 1, "voltage_v.1", 0x5B00, (0x0000, 0x0901), 230.5),  # 2305 * 0.1 V
    (B23, 1, "current_a.3", 0x5B10, (0x0001, 0x86A0), 1000.0),  # 100000 * 0.01 A
    (B23, 1, "power_w", 0x5B14, (0xFFFC, 0x2F3E), -2500.5),  # 0xFFFC2F3E - 2**32 = -250050
    (B23, 1, "power_w.1", 0x5B16, (0x0003, 0xD0C2), 2500.5),  # 3 * 65536 + 53442 = 250050
    (B23, 1, "frequency_hz", 0x5B2C, (0x1386,), 49.98),  # 4998 * 0.01 Hz
    (
        B23,
        1,
        "type",
        0x8960,
        (0x4232, 0x3320, 0x3131, 0x322D, 0x3130, 0x3000),  # "B2" "3 " "11" "2-" "10" "0"
        "B23 112-100",
    ),
]

INPUT_READS = [
    # HYC: connector n at n * 100, high word first; what is measured is read by function 4.
    (HYC, 1, "connectors", 2, (0x0002,), 2.0),
    (HYC, 2, "state", 200, (3,), "charging"),
    (HYC, 1, "state", 100, (5,), "suspended_evse"),
    (HYC, 2, "dc_voltage_v", 201, (0x0001, 0x3880), 800.0),  # 65536 + 14464 = 80000 * 0.01 V
    (HYC, 2, "power_w", 204, (0x0002, 0x49F0), 150000.0),  # 2 * 65536 + 18928 W
    (HYC, 4, "session_wh", 407, (0x04D2,), 12340.0),  # 1234 * 0.01 kWh
    (HYC, 1, "energy_import_wh", 132, (0, 0, 0x0001, 0x86A0), 100000.0),  # 65536 + 34464 Wh
    # Heidelberg: tenths of an ampere, whole volts.
    (HEIDELBERG, 1, "layout", 4, (0x0107,), 263.0),  # 1.0.7
    (HEIDELBERG, 1, "state", 5, (7,), "C2"),
    (HEIDELBERG, 1, "state", 5, (2,), "A1"),
    (HEIDELBERG, 1, "current_a.1", 6, (0x00A0,), 16.0),  # 160 * 0.1 A
    (HEIDELBERG, 1, "voltage_v.3", 12, (0x00E6,), 230.0),
    (HEIDELBERG, 1, "power_w", 14, (0x2AF8,), 11000.0),
    (HEIDELBERG, 1, "energy_import_wh", 17, (0x0001, 0xE240), 123456.0),  # 65536 + 57920 VAh
    # SDM630: IEEE 754 single, high word first.
    (SDM630, 1, "voltage_v.1", 0x0000, (0x4366, 0x8000), 230.5),  # 1.80078125 * 2**7
    (SDM630, 1, "current_a.2", 0x0008, (0x42C8, 0x8000), 100.25),  # 1.56640625 * 2**6
    (SDM630, 1, "power_w.3", 0x0010, (0xC51C, 0x4800), -2500.5),  # -1.220947265625 * 2**11
    (SDM630, 1, "frequency_hz", 0x0046, (0x4248, 0x0000), 50.0),  # 1.5625 * 2**5
    (SDM630, 1, "energy_import_wh", 0x0048, (0x4640, 0xE600), 12345500.0),  # 12345.5 kWh
    (SDM630, 1, "energy_export_wh", 0x004A, (0x0000, 0x0000), 0.0),
]

REFUSED = [
    # -1 is "unknown" on the CHARX, not a current of -0.001 A.
    (CHARX, "current_a.1", (0xFFFF, 0xFFFF), "means that the device has no value"),
    (CHARX, "watchdog_s", (0xFFFF,), "means that the device has no value"),  # 65535: off
    (KEBA, "watchdog_s", (0, 0), "means that the device has no value"),  # 0: off
    (KEBA, "state", (0, 6), "code 6 is not in the profile"),
    (WEBASTO, "state", (2,), "code 2 is not in the profile"),
    (WEBASTO, "failsafe_a", (99,), "99 is above the device's greatest value 32"),
    (JANITZA, "current_a.1", (0x7FC0, 0x0000), "not a number"),
    (JANITZA, "power_w.1", (0xFF80, 0x0000), "not a number"),  # minus infinity
    (JANITZA, "current_a.1", (0xC2C8, 0x8000), "-100.25 is below"),
    (EM24, "current_a.1", (0xFFFF, 0x7FFF), "means that the device has no value"),  # overflow
    (HYC, "state", (12,), "code 12 is not in the profile"),
    (HEIDELBERG, "watchdog_s", (0,), "means that the device has no value"),  # 0: off
    (SDM630, "current_a.1", (0x7FC0, 0x0000), "not a number"),
    (B23, "current_a.2", (0xFFFF, 0xFFFF), "means that the device has no value"),
    (B23, "power_w.1", (0x7FFF, 0xFFFF), "means that the device has no value"),
    (B23, "energy_export_wh", (0xFFFF,) * 4, "means that the device has no value"),
    (EM24, "voltage_v.1", (0x86A0, 0x0001), "10000 is above"),  # 100000 * 0.1 V
]


@pytest.mark.parametrize(
    ("function", "profile", "connector", "name", "address", "words", "value"),
    [(Function.READ_HOLDING, *row) for row in READS]
    + [(Function.READ_INPUT, *row) for row in INPUT_READS],
    ids=[f"{row[0].id}-{row[2]}-{row[3]}" for row in (*READS, *INPUT_READS)],
)
def test_words_of_the_documents_mean_what_they_say(
    *,
    function: Function,
    profile: Profile,
    connector: int,
    name: str,
    address: int,
    words: tuple[int, ...],
    value: float | str,
) -> None:
    batch = read_point(profile, Place(unit=7, connector=connector), name)

    assert batch.request == Request(unit=7, function=function, address=address, count=len(words))
    assert decode(batch, words) == {name: value}


@pytest.mark.parametrize(
    ("profile", "name", "words", "why"),
    REFUSED,
    ids=[f"{row[0].id}-{row[1]}-{row[3]}" for row in REFUSED],
)
def test_s2_what_the_device_marks_as_no_value_is_bad(
    profile: Profile, name: str, words: tuple[int, ...], why: str
) -> None:
    batch = read_point(profile, Place(unit=1), name)

    value = decode(batch, words)[name]

    assert isinstance(value, Bad)
    assert why in value.why
    assert value.words == words
    assert value.address == batch.request.address


def test_every_profile_has_golden_words_for_all_that_it_polls() -> None:
    covered = {(row[0].id, row[2].split(".")[0]) for row in (*READS, *INPUT_READS)}
    for profile in PROFILES.values():
        polled = {p.name.split(".")[0] for p in profile.points if p.poll.value != "never"}
        assert {(profile.id, name) for name in polled} <= covered, profile.id


def test_charx_writes() -> None:
    evse = evse_of(CHARX, unit=255, connector=3, failsafe_a=8, watchdog_s=45)

    step = setpoint_write(CHARX, evse, 13.9)

    assert step.value_a == 13.0  # whole amperes, down
    assert step.request == Request(255, Function.WRITE_SINGLE, 3301, words=(13,))
    assert step.readback is not None
    assert step.readback.request == Request(255, Function.READ_HOLDING, 3301, count=1)
    assert setpoint_write(CHARX, evse, 5.9).request.words == (0,)
    # The fallback current before the time, so that the timer never runs with an undefined fallback.
    assert [arm.request for arm in arm_failsafe(CHARX, evse)] == [
        Request(255, Function.WRITE_SINGLE, 3306, words=(8,)),
        Request(255, Function.WRITE_SINGLE, 3307, words=(45,)),
    ]
    plan = keepalive(CHARX, evse)
    assert plan.request is None  # fed by writing the setpoint again
    assert plan.period_s is not None
    assert math.isclose(plan.period_s, 45 / 3, rel_tol=0.01)


def test_keba_writes() -> None:
    evse = evse_of(KEBA, unit=255)

    step = setpoint_write(KEBA, evse, 13.19)

    assert step.value_a == 13.1
    assert step.request == Request(255, Function.WRITE_SINGLE, 5004, words=(0x332C,))  # 13100 mA
    assert step.readback is None  # write-only
    assert setpoint_write(KEBA, evse, 0.0).request.words == (0,)
    assert setpoint_write(KEBA, evse, 32.0).request.words == (0x7D00,)  # 32000 mA
    assert [
        (arm.request, arm.read.request if arm.read else None) for arm in arm_failsafe(KEBA, evse)
    ] == [
        (
            Request(255, Function.WRITE_SINGLE, 5016, words=(0x1770,)),  # 6000 mA
            Request(255, Function.READ_HOLDING, 1600, count=2),
        ),
        (
            Request(255, Function.WRITE_SINGLE, 5018, words=(60,)),
            Request(255, Function.READ_HOLDING, 1602, count=2),
        ),
    ]
    assert keepalive(KEBA, evse).request is None  # any access feeds it


def test_webasto_writes() -> None:
    evse = evse_of(WEBASTO, unit=255)
    alive = Request(255, Function.WRITE_SINGLE, 6000, words=(1,))

    step = setpoint_write(WEBASTO, evse, 16.0)

    assert step.request == Request(255, Function.WRITE_SINGLE, 5004, words=(16,))
    assert step.readback is None  # write-only
    # The life bit comes first: before it, reading 2002 gave exception 2 in the field.
    assert [arm.request for arm in arm_failsafe(WEBASTO, evse)] == [
        alive,
        Request(255, Function.WRITE_SINGLE, 2000, words=(6,)),
        Request(255, Function.WRITE_SINGLE, 2002, words=(60,)),
    ]
    assert keepalive(WEBASTO, evse).request == alive


def test_hyc_writes() -> None:
    evse = evse_of(HYC, connector=2, max_a=250.0, failsafe_a=20.0, watchdog_s=30.0)

    step = setpoint_write(HYC, evse, 100.7, mains_v=225.4)

    # Whole amperes, down: 100 A x 3 x 225.4 V x 0.98 = 66267.6 W, down to 66267 = 65536 + 731.
    assert step.value_a == 100.0
    assert step.command == 66267.0
    assert step.request == Request(1, Function.WRITE_MULTIPLE, 200, words=(0x0001, 0x02DB))
    assert step.readback is not None
    assert step.readback.request == Request(1, Function.READ_HOLDING, 200, count=2)
    # A pause is 1547 W = 0x060B, never 0 W; it counts 1547 / (3 x 0.9 x 230 x 0.98) = 2.54 A.
    pause = setpoint_write(HYC, evse, 0.0, mains_v=225.4)
    assert pause.request.words == (0x0000, 0x060B)
    assert math.isclose(pause.value_a, 2.542, abs_tol=0.001)
    assert arm_failsafe(HYC, evse) == ()
    plan = keepalive(HYC, evse)
    assert plan.request is None  # fed by writing the limit again
    assert plan.period_s is not None
    assert math.isclose(plan.period_s, 10.0, rel_tol=0.01)
    # What the site file does not say counts with the maximum, and is fed at what was seen.
    unsaid = evse_of(HYC, max_a=250.0)
    assert unsaid.traits.failsafe_a == 250.0
    assert math.isclose(keepalive(HYC, unsaid).period_s or 0.0, 5.0 / 3, rel_tol=0.01)


def test_heidelberg_writes() -> None:
    evse = evse_of(HEIDELBERG, unit=7)

    step = setpoint_write(HEIDELBERG, evse, 13.19)

    assert step.value_a == 13.1
    assert step.request == Request(7, Function.WRITE_SINGLE, 261, words=(0x0083,))  # 131 * 0.1 A
    assert step.readback is not None
    assert step.readback.request == Request(7, Function.READ_HOLDING, 261, count=1)
    assert setpoint_write(HEIDELBERG, evse, 0.0).request.words == (0,)
    # Standby off, then the failsafe current, then its time in ms.
    assert [arm.request for arm in arm_failsafe(HEIDELBERG, evse)] == [
        Request(7, Function.WRITE_SINGLE, 258, words=(4,)),
        Request(7, Function.WRITE_SINGLE, 262, words=(60,)),
        Request(7, Function.WRITE_SINGLE, 257, words=(0xEA60,)),  # 60000 ms
    ]
    assert keepalive(HEIDELBERG, evse).request is None  # any access feeds it
