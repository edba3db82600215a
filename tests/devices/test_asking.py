"""Questions by quantity and by raw register, and which writes touch what edgectl keeps."""

import pytest

from edgectl.devices.asking import Device, question, raw_point
from edgectl.devices.profile import PointType, Profile, RegisterKind, WordOrder
from edgectl.devices.writes import place_of
from edgectl.errors import Refused
from edgectl.model.modbus import Function, Request
from edgectl.units import LinkId, NodeId
from tests.devices.builders import CHARX, JANITZA, KEBA, evse_of


def device(profile: Profile) -> Device:
    evse = evse_of(profile) if profile.charger is not None else None
    place = place_of(evse) if evse is not None else place_of(evse_of(KEBA))
    return Device("d1", profile, place, LinkId("lan1"), NodeId("grid"), evse)


@pytest.mark.parametrize(
    ("text", "kind", "address", "type_", "count", "order"),
    [
        ("holding:0", RegisterKind.HOLDING, 0, PointType.U16, 1, None),
        ("input:65535:i16", RegisterKind.INPUT, 65535, PointType.I16, 1, None),
        ("holding:12:f32:low", RegisterKind.HOLDING, 12, PointType.F32, 2, WordOrder.LOW),
        ("input:2:ascii:8", RegisterKind.INPUT, 2, PointType.ASCII, 8, None),
        ("holding:9:u64", RegisterKind.HOLDING, 9, PointType.U64, 4, None),
    ],
)
def test_raw_registers(  # noqa: PLR0917 - a table
    text: str,
    kind: RegisterKind,
    address: int,
    type_: PointType,
    count: int,
    order: WordOrder | None,
) -> None:
    point = raw_point(text)
    assert point is not None
    assert (point.kind, point.address, point.type) == (kind, address, type_)
    assert (point.count, point.word_order) == (count, order)
    assert point.writable is (kind is RegisterKind.HOLDING)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "holding",
        "holding:",
        "coil:1",
        "holding:65536",
        "holding:-1",
        "holding:65535:u32",
        "holding:1:u8",
        "holding:1:ascii",
        "holding:1:ascii:0",
        "holding:1:ascii:65",
        "holding:1:u16:up",
        "holding:1:u16:low:more",
        "holding:\u0661",
    ],
)
def test_what_is_no_register(text: str) -> None:
    assert raw_point(text) is None
    with pytest.raises(Refused, match="has no quantity"):
        question(device(KEBA), text)


def test_a_quantity_is_asked_where_the_profile_says() -> None:
    asked = question(device(KEBA), "current_a.2")
    assert asked.batch().request == Request(
        unit=asked.device.place.unit, function=Function.READ_HOLDING, address=1010, count=2
    )


def test_a_write_only_quantity_is_not_read() -> None:
    asked = question(device(KEBA), "setpoint_a")
    assert not asked.can_be_seen
    with pytest.raises(Refused, match="can be written and not read"):
        asked.batch()


def test_what_was_written_is_read_where_the_device_says_it() -> None:
    asked = question(device(KEBA), "failsafe_set_a")
    assert asked.can_be_seen
    assert asked.batch().request.address == 1600
    assert question(device(KEBA), "watchdog_set_s").batch().request.address == 1602


def test_a_write_says_the_value_in_the_devices_words() -> None:
    asked = question(device(KEBA), "failsafe_set_a")
    assert asked.write(10.0).words == (10000,)
    assert asked.write(10.0).function is Function.WRITE_SINGLE
    assert asked.means == "the current to which it falls by itself when nobody talks to it"


@pytest.mark.parametrize("value", [33.0, -1.0, float("nan"), float("inf"), 6.00001])
def test_a_value_that_the_register_cannot_hold_is_refused(value: float) -> None:
    with pytest.raises(Refused, match="cannot be"):
        question(device(KEBA), "setpoint_a").write(value)


def test_what_is_not_writable_is_refused() -> None:
    with pytest.raises(Refused, match="not writable"):
        question(device(KEBA), "current_a.1").write(1.0)


@pytest.mark.parametrize(
    ("profile", "what", "kept"),
    [
        (KEBA, "setpoint_a", "the setpoint"),
        (KEBA, "failsafe_set_a", "the failsafe block"),
        (KEBA, "watchdog_set_s", "the failsafe block"),
        (KEBA, "holding:5004", "the setpoint"),
        (KEBA, "holding:5003:u32", "the setpoint"),
        (KEBA, "holding:5005", None),
        (KEBA, "holding:5000", None),
        (CHARX, "setpoint_a", "the setpoint"),
        (JANITZA, "holding:0", None),
    ],
)
def test_what_edgectl_keeps_is_known_by_its_place(
    profile: Profile, what: str, kept: str | None
) -> None:
    asked = question(device(profile), what)
    assert asked.kept == kept


def test_a_register_that_must_never_be_read_is_refused() -> None:
    forbidden = [p for p in (KEBA, CHARX, JANITZA) if p.read.never_read]
    for profile in forbidden:
        with pytest.raises(Refused, match="must never be asked"):
            question(device(profile), f"holding:{profile.read.never_read[0]}")
