"""Checks of the site file against the device profiles that it names, and what follows from both."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from edgectl.control.reaction import LinkTiming
from edgectl.devices import quantities
from edgectl.devices.bus_time import polling, unanswered_s, write_s
from edgectl.devices.profile import Profile, ProfileKind
from edgectl.devices.traits import charger_traits, trait_faults
from edgectl.errors import Finding
from edgectl.model.site import ChargerTraits, Connection, Evse, KeepAlive, Meter, Site, voltages_of
from edgectl.sitefile.draft import Draft, Placed
from edgectl.sitefile.entries.devices import EvseEntry, MeterEntry
from edgectl.units import LinkId

_STEP_SHARE: Final = 1e-6
_FED_BY_POLLS: Final = frozenset({KeepAlive.ANY_ACCESS, KeepAlive.READ})


def check_fitting(draft: Draft, profiles: Mapping[str, Profile]) -> Iterator[Finding]:
    """Check every device against its profile; one whose profile is not there is passed over."""
    yield from _check_kinds(draft, profiles)
    for meter in draft.meters:
        profile = profiles.get(meter.entry.profile)
        if profile is not None and profile.kind is ProfileKind.METER:
            yield from _check_meter(draft, meter, profile)
    for evse in draft.evses:
        profile = profiles.get(evse.entry.profile)
        if profile is not None and profile.kind is ProfileKind.CHARGER:
            yield from _check_evse(draft, evse, profile)


def _allowed_fault(evse: EvseEntry, profile: Profile) -> str | None:
    """What is wrong with an EVSE's list of currents; every one must be one of its profile's."""
    if evse.allowed_a is None or profile.charger is None:
        return None
    setpoint = profile.charger.setpoint
    listed = [amps for amps in evse.allowed_a if amps > 0]
    if listed != sorted(set(listed)) or not listed:
        return "the allowed currents do not rise"
    for amps in listed:
        steps = amps / setpoint.step_a if setpoint.step_a > 0 else 0.0
        if not setpoint.min_a <= amps <= evse.max_a or abs(steps - round(steps)) > _STEP_SHARE:
            return (
                f"{amps:g} A is none of {setpoint.min_a:g} to {evse.max_a:g} A in steps of "
                f"{setpoint.step_a:g} A, which {profile.id} takes here"
            )
    return None


def _slow_feeding(evse: EvseEntry, profile: Profile) -> str | None:
    """What is wrong where nothing but polls feeds a watchdog, and they come too seldom for it."""
    traits = charger_traits(
        profile,
        failsafe_a=evse.failsafe_a,
        boot_a=evse.boot_a,
        watchdog_s=evse.watchdog_s,
        max_a=evse.max_a,
    )
    if traits.keepalive not in _FED_BY_POLLS or traits.watchdog_s is None:
        return None
    poll_s = traits.poll_s if evse.poll_s is None else evse.poll_s
    most_s = traits.watchdog_s * profile.charging().feeding.share
    if poll_s <= most_s:
        return None
    return (
        f"only readings feed the watchdog of {profile.id}: one every {poll_s:g} s is too seldom "
        f"for its {traits.watchdog_s:g} s, which take one every {most_s:.3g} s at least"
    )


def traits_of(entry: EvseEntry, profile: Profile, *, voltage_v: float) -> ChargerTraits:
    """Traits of an EVSE that `check_fitting` found nothing wrong with."""
    traits = charger_traits(
        profile,
        failsafe_a=entry.failsafe_a,
        boot_a=entry.boot_a,
        watchdog_s=entry.watchdog_s,
        max_a=entry.max_a,
        voltages=voltages_of(Connection(entry.connection), len(entry.phases)),
        voltage_v=voltage_v,
    )
    if entry.poll_s is not None:
        traits = replace(traits, poll_s=entry.poll_s)
    if entry.allowed_a is not None:
        allowed_a = tuple(float(amps) for amps in entry.allowed_a if amps > 0)
        traits = replace(traits, allowed_a=allowed_a, min_a=allowed_a[0])
    return traits


def link_timing(site: Site, profiles: Mapping[str, Profile]) -> dict[LinkId, LinkTiming]:
    """How long one write takes on each link, by its slowest device, and its longest timeout.

    On a serial line that includes the silence after a timeout, and every meter's timeout too.
    """
    serial = {link.id: link.serial for link in site.links}
    timing = {link.id: LinkTiming(write_s=0.0, timeout_s=0.0) for link in site.links}
    devices: tuple[Evse | Meter, ...] = (*site.evses, *site.meters)
    for device in devices:
        profile, known, line = profiles[device.profile], timing[device.link], serial[device.link]
        one_s = write_s(line, profile, device) if isinstance(device, Evse) else 0.0
        timing[device.link] = LinkTiming(
            write_s=max(known.write_s, one_s),
            timeout_s=max(known.timeout_s, unanswered_s(line, profile.transport.timeout_s)),
        )
    for link, one in timing.items():
        asked = polling(
            serial[link],
            [(device, profiles[device.profile]) for device in devices if device.link == link],
        )
        timing[link] = replace(one, busy_share=asked.share, late_s=asked.late_s)
    return timing


def _check_kinds(draft: Draft, profiles: Mapping[str, Profile]) -> Iterator[Finding]:
    for section, kind in (("meters", ProfileKind.METER), ("evses", ProfileKind.CHARGER)):
        for where, row in draft.rows(section):
            profile = profiles.get(str(row.get("profile")))
            if profile is not None and profile.kind is not kind:
                yield draft.source.finding(
                    (*where, "profile"),
                    code="wrong_profile",
                    message=f"{profile.id} is the profile of a {profile.kind}",
                    remedy=f"name a {kind}'s profile",
                )


def _check_meter(draft: Draft, placed: Placed[MeterEntry], profile: Profile) -> Iterator[Finding]:
    meter = placed.entry
    missing = [name for name in quantities.CURRENTS[: len(meter.phases)] if not profile.has(name)]
    if missing:
        yield draft.source.finding(
            (*placed.where, "phases"),
            code="not_offered",
            message=f"{profile.id} does not measure {', '.join(missing)}",
            remedy="list only the phases that this meter measures",
        )


def _check_evse(draft: Draft, placed: Placed[EvseEntry], profile: Profile) -> Iterator[Finding]:
    evse = placed.entry
    faults = trait_faults(
        profile,
        failsafe_a=evse.failsafe_a,
        boot_a=evse.boot_a,
        watchdog_s=evse.watchdog_s,
        max_a=evse.max_a,
    )
    for fault in faults:
        yield draft.source.finding(
            (*placed.where, fault.field),
            code="not_offered",
            message=fault.message,
            remedy=fault.remedy,
        )
    wrong_list = _allowed_fault(evse, profile)
    if wrong_list is not None:
        yield draft.source.finding(
            (*placed.where, "allowed_a"),
            code="not_offered",
            message=wrong_list,
            remedy="list the currents that the charger takes, the least one first, such as "
            "[8, 16, 24, 32]",
        )
    if evse.failsafe_a is not None and evse.failsafe_a > evse.max_a:
        yield draft.source.finding(
            (*placed.where, "failsafe_a"),
            code="out_of_range",
            message=f"a failsafe current of {evse.failsafe_a:g} A is above max_a, {evse.max_a:g} A",
            remedy="write a failsafe current that the cable bears",
        )
    slow = None if faults else _slow_feeding(evse, profile)
    if slow is not None:
        yield draft.source.finding(
            (*placed.where, "poll_s" if evse.poll_s is not None else "watchdog_s"),
            code="poll_too_slow",
            message=slow,
            remedy="lower poll_s, or raise watchdog_s here and at the charger",
        )
    first, last = profile.connectors.first, profile.connectors.last
    if not first <= evse.connector <= last:
        offered = f"connectors {first} to {last}" if last > first else f"connector {first}"
        yield draft.source.finding(
            (*placed.where, "connector"),
            code="not_offered",
            message=f"{profile.id} has {offered}, not {evse.connector}",
            remedy="look at the charger's own numbering",
        )
