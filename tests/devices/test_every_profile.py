"""One suite over every built-in profile, without a list of acceptable failures."""

import struct
from itertools import combinations

import pytest

from edgectl.devices.codec import Bad, decode_point, encode_point, misfit
from edgectl.devices.profile import (
    Access,
    Point,
    PointType,
    PollClass,
    Profile,
    RegisterKind,
    Scope,
    WordOrder,
)
from edgectl.devices.reads import Place, address_fault, identify, plan_reads, required, wire_address
from edgectl.devices.writes import amperes_told, arm_failsafe, keepalive, setpoint_write
from edgectl.model.modbus import Function
from edgectl.model.reading import VehicleState
from edgectl.model.site import KeepAlive
from edgectl.sitefile.profiles import builtin_folder
from tests.devices.builders import CHARGERS, PROFILES, evse_of

EVERY = pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
EVERY_CHARGER = pytest.mark.parametrize(
    "profile", [PROFILES[name] for name in CHARGERS], ids=CHARGERS
)

# Written down apart from the codec: the layout of each type, high word first.
LAYOUT = {
    PointType.U16: ("H", 0, 0xFFFF),
    PointType.I16: ("h", -0x8000, 0x7FFF),
    PointType.U32: ("I", 0, 0xFFFFFFFF),
    PointType.I32: ("i", -0x80000000, 0x7FFFFFFF),
    PointType.U64: ("Q", 0, 2**53),
    PointType.I64: ("q", -(2**53), 2**53),
}


def test_every_file_is_a_profile() -> None:
    assert {path.stem for path in builtin_folder().glob("*")} == set(PROFILES)
    assert len(PROFILES) >= 5


@EVERY
def test_it_says_where_it_is_from(profile: Profile) -> None:
    assert profile.title
    assert profile.source
    assert all(caveat.source for caveat in profile.caveats)
    assert all(point.source for point in profile.points)


@EVERY
def test_no_two_points_share_a_register(profile: Profile) -> None:
    place = Place(unit=1, connector=profile.connectors.last)
    for first, second in combinations(profile.points, 2):
        if first.kind is second.kind:
            mine = wire_address(profile, first, place)
            other = wire_address(profile, second, place)
            assert mine + first.count <= other or other + second.count <= mine, (
                first.name,
                second.name,
            )


@EVERY
def test_batches_keep_the_rules_of_the_device(profile: Profile) -> None:
    for connector in (profile.connectors.first, profile.connectors.last):
        batches = plan_reads(profile, unit=3, connector=connector)
        planned = [at.point.name for batch in batches for at in batch.points]
        polled = [p.name for p in profile.points if p.poll is not PollClass.NEVER]
        assert sorted(planned) == sorted(polled)
        for batch in batches:
            request = batch.request
            covered = range(request.address, request.address + request.count)
            assert request.unit == 3
            kinds = {at.point.kind for at in batch.points}
            wanted = Function.READ_INPUT if kinds == {RegisterKind.INPUT} else Function.READ_HOLDING
            assert len(kinds) == 1
            assert request.function is wanted
            assert not request.words
            assert request.count <= min(profile.read.max_registers, 125)
            assert not profile.read.single_value or len(batch.points) == 1
            assert profile.read.allow_gaps or request.count == sum(
                at.point.count for at in batch.points
            )
            assert not set(covered) & set(profile.read.never_read)
            assert len(batch.points) == 1 or not set(covered) & set(profile.read.alone)
            assert {at.point.poll for at in batch.points} == {batch.period}


@EVERY
def test_fast_currents_come_first(profile: Profile) -> None:
    first = plan_reads(profile, unit=1)[0]
    assert first.period is PollClass.FAST
    charger = profile.charger
    watts = None if charger is None or charger.mains is None else charger.mains.power
    assert (watts or "current_a.1") in [at.point.name for at in first.points]


@EVERY
def test_a_fast_round_fits_into_the_poll(profile: Profile) -> None:
    fast = [b for b in plan_reads(profile, unit=1) if b.period is PollClass.FAST]
    assert len(fast) * profile.transport.request_gap_s <= profile.transport.poll_s


@EVERY
def test_the_device_is_known_by_one_read(profile: Profile) -> None:
    check = identify(profile, unit=1)
    assert check is not None
    assert check.batch.request.count <= profile.read.max_registers
    assert all(expect.why and expect.remedy for expect in check.expects)
    assert all(len(c.batch.points) == 1 for c in required(profile, unit=1))


@EVERY
def test_decoding_undoes_the_words_of_each_type(profile: Profile) -> None:
    for point in profile.points:
        if point.type not in LAYOUT or point.words_of or point.mask is not None:
            continue
        code, least, greatest = LAYOUT[point.type]
        for raw in (least, least + 1, 0, 1, 60, 12345, greatest // 3, greatest - 1):
            if not least <= raw <= greatest:
                continue
            packed = struct.pack(f">{code}", raw)
            words = struct.unpack(f">{len(packed) // 2}H", packed)
            order = point.word_order or profile.word_order
            value = decode_point(
                point,
                words if order is WordOrder.HIGH else words[::-1],
                address=point.address,
                word_order=order,
            )
            if isinstance(value, Bad):
                outside = (point.least is not None and raw * point.scale < point.least) or (
                    point.greatest is not None and raw * point.scale > point.greatest
                )
                assert outside or raw in point.invalid, (point.name, raw, value)
            else:
                assert value == pytest.approx(raw * point.scale, rel=1e-12), (point.name, raw)


@EVERY
def test_what_is_written_is_what_would_be_read(profile: Profile) -> None:
    for point in profile.points:
        if not point.writable:
            continue
        for value in _writable_values(point):
            for order in WordOrder:
                words = encode_point(point, value, word_order=order)
                assert len(words) == point.count
                again = decode_point(point, words, address=point.address, word_order=order)
                assert again == pytest.approx(value, abs=1e-9), point.name


@EVERY
def test_nothing_is_writable_but_what_the_control_needs(profile: Profile) -> None:
    writable = {point.name for point in profile.points if point.access is not Access.READ}
    if profile.charger is None:
        assert not writable
        return
    charger = profile.charger
    needed = {charger.setpoint.point}
    if charger.failsafe is not None:
        needed |= set(charger.failsafe.order) | {w.point for w in charger.failsafe.before}
    if charger.feeding.write is not None:
        needed.add(charger.feeding.write.point)
    assert writable == needed


@EVERY_CHARGER
def test_the_failsafe_is_stated_and_can_be_armed(profile: Profile) -> None:
    charger = profile.charger
    assert charger is not None
    if charger.outside is not None:
        evse = evse_of(profile, failsafe_a=8.0, watchdog_s=60.0)
        assert (evse.traits.failsafe_a, evse.traits.watchdog_s) == (8.0, 60.0)
        assert arm_failsafe(profile, evse) == ()
        assert keepalive(profile, evse).period_s == pytest.approx(60.0 * charger.feeding.share)
        assert evse_of(profile, max_a=32.0).traits.failsafe_a == 32.0
        return
    if charger.failsafe is None:
        assert charger.feeding.kind is KeepAlive.NONE
        return
    evse = evse_of(profile)
    assert evse.traits.watchdog_s == 60.0
    steps = arm_failsafe(profile, evse)
    compared = [step for step in steps if step.read is not None]
    assert [step.want for step in compared] == [evse.traits.failsafe_a, 60.0]
    plan = keepalive(profile, evse)
    assert plan.period_s is not None
    assert plan.period_s <= 60.0 / 2
    slow = [b.points for b in plan_reads(profile, unit=1) if b.period is PollClass.SLOW]
    read_back = {at.point.name for points in slow for at in points}
    assert {step.quantity for step in compared} <= read_back


@EVERY_CHARGER
def test_every_setpoint_in_range_can_be_told_and_is_never_raised(profile: Profile) -> None:
    assert profile.charger is not None
    setpoint = profile.charger.setpoint
    evse = evse_of(profile, max_a=setpoint.max_a)
    mains_v = 226.0 if profile.charger.told_in_watts else None
    pause_a = evse.traits.pause_a
    for tenths in range(int(setpoint.max_a * 20) + 1):
        wanted_a = tenths / 20
        step = setpoint_write(profile, evse, wanted_a, mains_v=mains_v)
        assert step.value_a <= max(wanted_a, pause_a) + 1e-9
        assert step.value_a == pause_a or (
            setpoint.min_a <= step.value_a <= setpoint.max_a
            and wanted_a - step.value_a < max(setpoint.step_a, 1e-3)
        )
        assert setpoint_write(profile, evse, step.value_a, mains_v=mains_v) == step
        counts_a = amperes_told(profile, evse, step.command, mains_v=mains_v)
        assert counts_a <= step.value_a + 1e-9
        assert counts_a == pytest.approx(step.value_a, abs=0.002)


@EVERY_CHARGER
def test_the_states_tell_the_answers_apart(profile: Profile) -> None:
    assert profile.charger is not None
    told = {rule.state for rule in profile.charger.states}
    assert told >= {
        VehicleState.ABSENT,
        VehicleState.PLUGGED,
        VehicleState.ASKING,
        VehicleState.CHARGING,
        VehicleState.FAULT,
    }


@EVERY
def test_an_offset_off_the_register_space_is_said(profile: Profile) -> None:
    assert address_fault(profile, Place(unit=1, connector=profile.connectors.first)) is None
    low = min(point.address for point in profile.points if point.scope is Scope.DEVICE)
    assert address_fault(profile, Place(unit=1, address_offset=-low - 1)) is not None


def _writable_values(point: Point) -> list[float]:
    least = point.least if point.least is not None else 0.0
    greatest = point.greatest if point.greatest is not None else 100.0
    count = round((greatest - least) / point.scale)
    picked = {0, 1, 2, count // 7, count // 3, count // 2, count - 1, count}
    values = [round(least / point.scale + n) * point.scale for n in sorted(picked) if n >= 0]
    return [value for value in values if misfit(point, value) is None]
