import math
from dataclasses import replace
from pathlib import Path

import pytest

from edgectl.devices.codec import Bad
from edgectl.devices.profile import Profile
from edgectl.devices.reads import Place, plan_reads, read_point
from edgectl.devices.traits import charger_traits, trait_faults
from edgectl.devices.writes import arm_failsafe, keepalive, may_feed, setpoint_write, told
from edgectl.errors import InvariantBroken
from edgectl.model.modbus import Function, Request
from edgectl.model.site import KeepAlive
from edgectl.sitefile.profiles import load_profiles
from tests.devices.builders import CHARX, JANITZA, KEBA, PROFILES, WEBASTO, evse_of
from tests.whole.made_up_charger import write_profiles


@pytest.mark.parametrize(
    ("profile", "wanted_a", "told_a"),
    [
        (CHARX, 6.0, 6.0),
        (CHARX, 6.999, 6.0),
        (CHARX, 5.999, 0.0),
        (CHARX, 0.0, 0.0),
        (CHARX, 31.9999999999, 32.0),  # arithmetic, not a smaller wish
        (CHARX, 12.9999, 12.0),
        (KEBA, 13.1, 13.1),
        (KEBA, 13.19, 13.1),
        (KEBA, 6.04, 6.0),
        (KEBA, 5.99, 0.0),
        (KEBA, 9.67, 9.6),
    ],
)
def test_a_limit_is_rounded_down_and_below_the_minimum_it_is_a_pause(
    profile: Profile, wanted_a: float, told_a: float
) -> None:
    assert told(profile, evse_of(profile), wanted_a) == told_a
    assert setpoint_write(profile, evse_of(profile), wanted_a).value_a == told_a


def with_step(step_a: float) -> Profile:
    assert KEBA.charger is not None
    setpoint = replace(KEBA.charger.setpoint, step_a=step_a)
    return replace(KEBA, charger=replace(KEBA.charger, setpoint=setpoint))


def test_a_step_of_zero_is_as_fine_as_the_register() -> None:
    assert told(with_step(0.0), evse_of(KEBA), 13.1239) == 13.123


def test_rounding_that_ends_below_the_minimum_is_a_pause() -> None:
    coarse = with_step(4.0)  # whole multiples counted from 0: 4, 8, 12
    assert told(coarse, evse_of(KEBA), 7.9) == 0.0
    assert told(coarse, evse_of(KEBA), 8.1) == 8.0


@pytest.mark.parametrize("value_a", [-0.1, 32.1, math.nan, math.inf])
def test_a_setpoint_out_of_range_is_refused_loudly(value_a: float) -> None:
    with pytest.raises(InvariantBroken, match="outside 0 to 32 A"):
        setpoint_write(CHARX, evse_of(CHARX, max_a=32), value_a)


def test_the_installed_maximum_bounds_the_setpoint() -> None:
    with pytest.raises(InvariantBroken, match="outside 0 to 16 A"):
        setpoint_write(CHARX, evse_of(CHARX, max_a=16), 17.0)


def test_a_meter_takes_no_setpoint() -> None:
    with pytest.raises(InvariantBroken, match="is not a charger's profile"):
        setpoint_write(JANITZA, evse_of(CHARX), 6.0)


def test_offset_and_connector_hold_for_writes_too() -> None:
    evse = replace(evse_of(CHARX, connector=2), address_offset=-1)
    assert setpoint_write(CHARX, evse, 6.0).request.address == 2300
    assert [step.request.address for step in arm_failsafe(CHARX, evse)] == [2305, 2306]


def test_the_failsafe_block_is_written_only_where_it_differs() -> None:
    steps = arm_failsafe(CHARX, evse_of(CHARX, failsafe_a=6, watchdog_s=60))
    current, timeout = steps
    assert current.holds({"failsafe_a": 6.0})
    assert not current.holds({"failsafe_a": 32.0})
    assert not current.holds({})
    off = Bad(quantity="watchdog_s", address=1307, words=(0xFFFF,), why="off")
    assert not timeout.holds({"watchdog_s": off})
    assert timeout.holds({"watchdog_s": 60.0})


def test_a_write_that_only_opens_the_block_is_never_skipped() -> None:
    first = arm_failsafe(WEBASTO, evse_of(WEBASTO))[0]
    assert first.read is None
    assert first.request.words == (1,)


@pytest.mark.parametrize(
    ("failsafe_a", "watchdog_s", "why"), [(5.0, 60.0, "5 A"), (6.0, 65535.0, "65535 s")]
)
def test_a_failsafe_out_of_range_is_refused_loudly(
    failsafe_a: float, watchdog_s: float, why: str
) -> None:
    evse = evse_of(CHARX)
    traits = replace(evse.traits, failsafe_a=failsafe_a, watchdog_s=watchdog_s)
    with pytest.raises(InvariantBroken, match=why):
        arm_failsafe(CHARX, replace(evse, traits=traits))


def without_failsafe() -> Profile:
    assert CHARX.charger is not None
    feeding = replace(CHARX.charger.feeding, kind=KeepAlive.NONE)
    return replace(CHARX, charger=replace(CHARX.charger, failsafe=None, feeding=feeding))


def test_without_a_failsafe_nothing_is_armed_or_fed_and_the_hardware_maximum_counts() -> None:
    profile = without_failsafe()
    evse = evse_of(profile, max_a=32)
    assert arm_failsafe(profile, evse) == ()
    assert keepalive(profile, evse).period_s is None
    assert not may_feed(profile, evse, setpoint_write(profile, evse, 6).request)
    assert (evse.traits.keepalive, evse.traits.watchdog_s) == (KeepAlive.NONE, None)
    assert (evse.traits.failsafe_a, evse.traits.boot_a) == (32.0, 32.0)
    faults = trait_faults(profile, failsafe_a=6, boot_a=None, watchdog_s=60, max_a=32)
    assert [fault.field for fault in faults] == ["failsafe_a", "watchdog_s"]


@pytest.mark.parametrize(
    ("profile", "kind"),
    [
        (CHARX, KeepAlive.REWRITE),
        (KEBA, KeepAlive.ANY_ACCESS),
        (WEBASTO, KeepAlive.LIFE_BIT),
    ],
    ids=["charx", "keba", "webasto"],
)
def test_the_watchdog_is_fed_three_times_in_its_time(profile: Profile, kind: KeepAlive) -> None:
    plan = keepalive(profile, evse_of(profile, watchdog_s=90))
    assert plan.kind is kind
    assert plan.period_s == pytest.approx(30.0, rel=0.01)


def test_s9_which_requests_could_have_fed_the_watchdog() -> None:
    charx, keba, webasto = evse_of(CHARX), evse_of(KEBA), evse_of(WEBASTO)
    # Undocumented on the CHARX: any request counts. Documented on the KEBA: any access.
    assert may_feed(CHARX, charx, plan_reads(CHARX, unit=1)[0].request)
    assert may_feed(KEBA, keba, plan_reads(KEBA, unit=1)[0].request)
    # The Webasto's life bit is fed by writing 1 to it and by nothing else.
    assert not may_feed(WEBASTO, webasto, plan_reads(WEBASTO, unit=1)[0].request)
    assert not may_feed(WEBASTO, webasto, setpoint_write(WEBASTO, webasto, 6).request)
    assert not may_feed(WEBASTO, webasto, read_point(WEBASTO, Place(unit=1), "life_bit").request)
    assert may_feed(WEBASTO, webasto, Request(1, Function.WRITE_SINGLE, 6000, words=(1,)))


def test_s9_a_copied_bit_is_looked_at_twice_in_each_of_its_states_and_fed_by_the_copy_alone(
    tmp_path: Path,
) -> None:
    write_profiles(tmp_path)
    mirror = load_profiles([tmp_path])["made-up-mirror"]
    evse = evse_of(mirror, watchdog_s=30)
    plan = keepalive(mirror, evse)
    assert plan.echo is not None
    assert (plan.kind, plan.request, plan.echo.look_s) == (KeepAlive.MIRROR, None, 0.5)
    assert plan.echo.look.request == Request(1, Function.READ_HOLDING, 40, count=1)
    copies = [Request(1, Function.WRITE_SINGLE, 41, words=(word,)) for word in (0x4003, 0xC003)]
    assert [plan.echo.low, plan.echo.high] == copies
    assert all(may_feed(mirror, evse, request) for request in copies)
    assert not may_feed(mirror, evse, plan.echo.look.request)
    assert not may_feed(mirror, evse, setpoint_write(mirror, evse, 6).request)


def test_s9_a_documented_rewrite_is_fed_by_the_setpoint_alone() -> None:
    assert CHARX.charger is not None
    feeding = replace(CHARX.charger.feeding, certain=True)
    sure = replace(CHARX, charger=replace(CHARX.charger, feeding=feeding))
    evse = evse_of(sure)
    step = setpoint_write(sure, evse, 6)
    assert may_feed(sure, evse, step.request)
    assert step.readback is not None
    assert not may_feed(sure, evse, step.readback.request)


def test_traits_of_the_built_in_chargers() -> None:
    keba = charger_traits(KEBA, failsafe_a=None, boot_a=None, watchdog_s=None, max_a=16)
    assert (keba.hardware_max_a, keba.min_a, keba.step_a, keba.pause_a) == (16, 6, 0.1, 0)
    assert (keba.failsafe_a, keba.watchdog_s, keba.boot_a) == (6, 60, 16)
    assert (keba.readback, keba.metered, keba.min_write_interval_s) == (False, True, 5)
    charx = charger_traits(CHARX, failsafe_a=8, boot_a=10, watchdog_s=30, max_a=32)
    assert (charx.failsafe_a, charx.watchdog_s, charx.boot_a) == (8, 30, 10)
    assert (charx.readback, charx.step_a, charx.settle_s, charx.refresh_s) == (True, 1, 10, 3)


@pytest.mark.parametrize(
    ("name", "changes", "field"),
    [
        ("phoenix-charx-sec", {"failsafe_a": 0.0}, "failsafe_a"),  # 6 to 80 only
        ("phoenix-charx-sec", {"failsafe_a": 6.5}, "failsafe_a"),  # whole amperes
        ("phoenix-charx-sec", {"watchdog_s": 60.5}, "watchdog_s"),  # whole seconds
        ("phoenix-charx-sec", {"watchdog_s": 65535.0}, "watchdog_s"),  # off
        ("keba-p40", {"watchdog_s": 601.0}, "watchdog_s"),
        ("keba-p40", {"watchdog_s": 4.0}, "watchdog_s"),
        ("keba-p40", {"failsafe_a": 5.0}, "failsafe_a"),
        ("keba-p40", {"max_a": 63.0}, "max_a"),
        ("webasto-next", {"max_a": 5.0}, "max_a"),
        ("webasto-next", {"boot_a": 40.0}, "boot_a"),
        ("janitza-umg96rm", {}, "profile"),
    ],
)
def test_what_the_site_asks_and_the_device_cannot_do_is_said(
    name: str, changes: dict[str, float], field: str
) -> None:
    asked: dict[str, float | None] = {"failsafe_a": None, "boot_a": None, "watchdog_s": None}
    values = {**asked, "max_a": 32.0, **changes}
    faults = trait_faults(PROFILES[name], **values)  # type: ignore[arg-type]
    assert [fault.field for fault in faults] == [field]
    assert faults[0].remedy
    with pytest.raises(InvariantBroken):
        charger_traits(PROFILES[name], **values)  # type: ignore[arg-type]


def test_zero_is_a_failsafe_current_where_the_device_takes_it() -> None:
    evse = evse_of(KEBA, failsafe_a=0.0)
    assert arm_failsafe(KEBA, evse)[0].request.words == (0,)
