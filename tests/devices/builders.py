"""Entries of a site for the devices under test."""

from edgectl.devices.profile import Profile
from edgectl.devices.traits import charger_traits
from edgectl.model.site import Evse, Meter
from edgectl.sitefile.profiles import builtin_folder, load_profiles
from edgectl.units import EvseId, LinkId, MeterId, NodeId

PROFILES = load_profiles([builtin_folder()])
CHARGERS = tuple(name for name, profile in PROFILES.items() if profile.charger is not None)

CHARX = PROFILES["phoenix-charx-sec"]
KEBA = PROFILES["keba-p40"]
WEBASTO = PROFILES["webasto-next"]
JANITZA = PROFILES["janitza-umg96rm"]
EM24 = PROFILES["carlo-gavazzi-em24-e1"]
HYC = PROFILES["alpitronic-hyc"]
HEIDELBERG = PROFILES["heidelberg-energy-control"]
SDM630 = PROFILES["eastron-sdm630"]
B23 = PROFILES["abb-b23"]


def evse_of(
    profile: Profile,
    *,
    unit: int = 1,
    connector: int = 1,
    phases: tuple[int, ...] = (1, 2, 3),
    max_a: float | None = None,
    failsafe_a: float | None = None,
    watchdog_s: float | None = None,
) -> Evse:
    """An EVSE of 32 A, or what its charger can where that is less."""
    if max_a is None:
        max_a = min(32.0, profile.charging().setpoint.max_a)
    return Evse(
        id=EvseId("bay01"),
        node=NodeId("grid"),
        profile=profile.id,
        link=LinkId("lan"),
        unit=unit,
        connector=connector,
        phases=phases,
        max_a=max_a,
        traits=charger_traits(
            profile, failsafe_a=failsafe_a, boot_a=None, watchdog_s=watchdog_s, max_a=max_a
        ),
    )


def meter_of(profile: Profile, *, phases: tuple[int, ...] = (1, 2, 3), sign: int = 1) -> Meter:
    return Meter(
        id=MeterId("m-grid"),
        node=NodeId("grid"),
        profile=profile.id,
        link=LinkId("lan"),
        unit=1,
        poll_s=1.0,
        phases=phases,
        sign=sign,
    )
