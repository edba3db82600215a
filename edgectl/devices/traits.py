"""What the judgement must know of a charger, from its profile and what the site file says of it."""

from dataclasses import dataclass
from typing import Final

from edgectl.devices import quantities as q
from edgectl.devices.mains import SAG_SHARE
from edgectl.devices.profile import ChargerPart, Failsafe, Point, Profile
from edgectl.devices.writes import failsafe_allowed
from edgectl.errors import invariant
from edgectl.model.site import ChargerTraits, KeepAlive

_STEP_TOLERANCE: Final = 1e-6


@dataclass(frozen=True, slots=True)
class TraitFault:
    """A value of the site file that the device cannot do. `field`: its key in the EVSE's entry."""

    field: str
    message: str
    remedy: str


def trait_faults(
    profile: Profile,
    *,
    failsafe_a: float | None,
    boot_a: float | None,
    watchdog_s: float | None,
    max_a: float,
) -> tuple[TraitFault, ...]:
    """Find what an EVSE's entry asks and its profile cannot do; none: `charger_traits` works."""
    if profile.charger is None:
        return (
            TraitFault(
                field="profile",
                message=f"{profile.id} is the profile of a meter",
                remedy="name a charger's profile",
            ),
        )
    charger = profile.charger
    found: list[TraitFault] = []
    setpoint = charger.setpoint
    if not setpoint.min_a <= max_a <= setpoint.max_a:
        found.append(
            TraitFault(
                field="max_a",
                message=f"{profile.id} takes limits from {setpoint.min_a:g} "
                f"to {setpoint.max_a:g} A, not {max_a:g}",
                remedy="give the charger's rated current within that range",
            )
        )
    if boot_a is not None and not 0.0 <= boot_a <= setpoint.max_a:
        found.append(
            TraitFault(
                field="boot_a",
                message=f"a boot current lies between 0 and {setpoint.max_a:g} A",
                remedy="give what the charger allows after a restart; left out, max_a counts",
            )
        )
    failsafe = charger.failsafe
    if charger.outside is not None:
        found.extend(_outside_faults(profile, failsafe_a, watchdog_s))
        return tuple(found)
    if failsafe is None:
        found.extend(
            TraitFault(
                field=name,
                message=f"{profile.id} has no failsafe register",
                remedy=f"remove {name}: the charger counts with its hardware maximum",
            )
            for name, value in (("failsafe_a", failsafe_a), ("watchdog_s", watchdog_s))
            if value is not None
        )
        return tuple(found)
    found.extend(_failsafe_faults(profile, failsafe, failsafe_a, watchdog_s))
    return tuple(found)


def charger_traits(
    profile: Profile,
    *,
    failsafe_a: float | None,
    boot_a: float | None,
    watchdog_s: float | None,
    max_a: float,
    voltages: float = 3.0,
    voltage_v: float = 230.0,
) -> ChargerTraits:
    """Make an EVSE's traits. None: the profile's default; an unknown boot current is `max_a`.

    A pause at a power counts with its current at the least voltage that is reckoned with;
    `voltages`: the power of one ampere in phase voltages.
    """
    faults = trait_faults(
        profile, failsafe_a=failsafe_a, boot_a=boot_a, watchdog_s=watchdog_s, max_a=max_a
    )
    invariant(not faults, f"{profile.id}: {'; '.join(fault.message for fault in faults)}")
    charger = profile.charging()
    setpoint = charger.setpoint
    falls_to_a, silent_s = _failsafe(charger, failsafe_a, watchdog_s, max_a)
    boots_with_a = charger.boot_a if boot_a is None else boot_a
    return ChargerTraits(
        hardware_max_a=max_a,
        min_a=setpoint.min_a,
        step_a=setpoint.step_a,
        pause_a=_pause_a(charger, voltages=voltages, voltage_v=voltage_v),
        settle_s=charger.settle_s,
        pause_settle_s=charger.pause_settle_s,
        refresh_s=profile.refresh_s,
        poll_s=profile.transport.poll_s,
        keepalive=charger.feeding.kind if silent_s is not None else KeepAlive.NONE,
        watchdog_s=silent_s,
        failsafe_a=falls_to_a,
        boot_a=max_a if boots_with_a is None else boots_with_a,
        metered=all(profile.has(name) for name in q.CURRENTS)
        or (charger.mains is not None and charger.mains.power is not None),
        readback=setpoint.readback is not None,
        min_write_interval_s=setpoint.min_write_interval_s,
    )


def _failsafe(
    charger: ChargerPart, failsafe_a: float | None, watchdog_s: float | None, max_a: float
) -> tuple[float, float | None]:
    """Give current and time of the failsafe; without one the hardware maximum, for ever.

    One that is set outside counts as the site file says; unsaid, with the hardware maximum.
    """
    if charger.outside is not None:
        if failsafe_a is None or watchdog_s is None:
            return max_a, charger.outside.timeout_s
        return failsafe_a, watchdog_s
    failsafe = charger.failsafe
    if failsafe is None:
        return max_a, None
    return (
        failsafe.default_a if failsafe_a is None else failsafe_a,
        failsafe.default_timeout_s if watchdog_s is None else watchdog_s,
    )


def _pause_a(charger: ChargerPart, *, voltages: float, voltage_v: float) -> float:
    setpoint, mains = charger.setpoint, charger.mains
    if setpoint.pause_w is None or mains is None:
        return setpoint.pause_a
    return setpoint.pause_w / (voltages * SAG_SHARE * voltage_v * mains.power_factor)


def _outside_faults(
    profile: Profile, failsafe_a: float | None, watchdog_s: float | None
) -> list[TraitFault]:
    """Current and time are known together or not at all."""
    if (failsafe_a is None) == (watchdog_s is None):
        return []
    missing = "failsafe_a" if failsafe_a is None else "watchdog_s"
    return [
        TraitFault(
            field="watchdog_s" if failsafe_a is None else "failsafe_a",
            message=f"{profile.id} has its failsafe in its own settings, and {missing} is not said",
            remedy="write both as they are set at the charger, or neither: then max_a counts",
        )
    ]


def _failsafe_faults(
    profile: Profile, failsafe: Failsafe, failsafe_a: float | None, watchdog_s: float | None
) -> list[TraitFault]:
    found: list[TraitFault] = []
    for name, field, value in (
        (failsafe.current_write, "failsafe_a", failsafe_a),
        (failsafe.timeout_write, "watchdog_s", watchdog_s),
    ):
        point = profile.point(name)
        if value is not None and not _in_steps(point, value):
            found.append(
                TraitFault(
                    field=field,
                    message=f"{profile.id} counts it in steps of {abs(point.scale):g} {point.unit}",
                    remedy="give a whole number of those",
                )
            )
    if failsafe_a is not None and not failsafe_allowed(failsafe, failsafe_a):
        zero = "0 or " if failsafe.zero_a else ""
        found.append(
            TraitFault(
                field="failsafe_a",
                message=f"{profile.id} takes a failsafe current of {zero}"
                f"{failsafe.min_a:g} to {failsafe.max_a:g} A, not {failsafe_a:g}",
                remedy=f"give a value of that range; left out, it is {failsafe.default_a:g} A",
            )
        )
    if watchdog_s is not None and not (
        failsafe.min_timeout_s <= watchdog_s <= failsafe.max_timeout_s
    ):
        found.append(
            TraitFault(
                field="watchdog_s",
                message=f"{profile.id} takes a watchdog time of {failsafe.min_timeout_s:g} "
                f"to {failsafe.max_timeout_s:g} s, not {watchdog_s:g}",
                remedy="give a value of that range; left out, "
                f"it is {failsafe.default_timeout_s:g} s",
            )
        )
    return found


def _in_steps(point: Point, value: float) -> bool:
    """Tell whether the register can count to exactly this value."""
    raw = value / point.scale
    return abs(raw - round(raw)) <= _STEP_TOLERANCE
