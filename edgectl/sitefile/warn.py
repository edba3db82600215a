"""What is allowed and yet worth a word: `edgectl check` shows it, nothing is refused for it."""

from collections.abc import Iterator, Mapping
from typing import Final

from edgectl.control.static import StaticProof
from edgectl.devices.mains import SAG_SHARE, voltage_meter
from edgectl.devices.profile import Profile
from edgectl.errors import Finding
from edgectl.model.policy import Policy
from edgectl.model.settings import Settings, Unsigned
from edgectl.model.site import Sees, Site
from edgectl.sitefile.draft import Draft
from edgectl.sitefile.secret_files import check_secret_files
from edgectl.sitefile.source import did_you_mean

BUSY_SHARE: Final = 0.7


def warnings_of(
    draft: Draft,
    site: Site,
    settings: Settings,
    proof: StaticProof,
    profiles: Mapping[str, Profile],
) -> Iterator[Finding]:
    """Everything that a careful colleague would ask about."""
    yield from _commands(draft, settings)
    yield from _tree(draft)
    yield from _policy(draft, site)
    yield from _watchdogs(draft, site, proof)
    yield from _unused(draft, site)
    yield from _unseen_exports(draft, site)
    yield from _busy_links(draft, site, proof)
    yield from _watts(draft, site, profiles)
    yield from _stale_acceptances(draft, proof)
    if settings.mqtt is not None:
        yield from check_secret_files(draft, settings.mqtt)


def _unseen_exports(draft: Draft, site: Site) -> Iterator[Finding]:
    """A limit of what is fed back that nobody measures."""
    seen = {meter.node for meter in site.meters if meter.sees is Sees.ALL}
    for placed in draft.nodes:
        for key in ("export_limit_a", "export_limit_va"):
            if getattr(placed.entry, key) is not None and placed.entry.id not in seen:
                yield draft.source.finding(
                    (*placed.where, key),
                    code="export_not_seen",
                    message=f"no meter sees all of {placed.entry.id}, so nobody notices what it"
                    " feeds back",
                    remedy="put a meter there with `sees: all`, or leave the limit out",
                )


def _commands(draft: Draft, settings: Settings) -> Iterator[Finding]:
    where = ("commands", "unsigned")
    unsigned = settings.commands.unsigned
    if unsigned is Unsigned.LOOPBACK:
        yield draft.source.finding(
            where,
            code="unsigned_loopback",
            message="whoever can log in on this machine can send commands and events unsigned",
            remedy="keep it for trials; on a live site write never or mtls",
        )
        if settings.mqtt is not None and not all(b.loopback for b in settings.mqtt.brokers):
            yield draft.source.finding(
                where,
                code="unsigned_loopback",
                message="a broker is not on 127.0.0.1 or ::1: what comes from it is refused",
                remedy="write mtls, or name the broker by the number 127.0.0.1",
            )
    elif unsigned is Unsigned.NEVER and settings.mqtt is not None and not settings.commands.issuers:
        yield draft.source.finding(
            where,
            code="no_commands",
            message="unsigned commands and events are refused, and there are no issuers of "
            "signed ones: nobody can command this site over MQTT",
            remedy="add issuers, or write unsigned: mtls if the broker can be trusted",
        )


def _tree(draft: Draft) -> Iterator[Finding]:
    metered = {placed.entry.node for placed in draft.meters}
    for where, row in draft.rows("nodes"):
        if row.get("limit_a") is None and row.get("limit_va") is None:
            yield draft.source.finding(
                where,
                code="no_limit",
                message=f"{row.get('id')} has no limit of its own",
                remedy="add limit_a or limit_va if a fuse or breaker stands there",
            )
        if row.get("base_max_a") is None and row.get("id") in metered:
            yield draft.source.finding(
                where,
                code="no_base_max",
                message=f"{row.get('id')} has a meter and no base_max_a: when the meter is lost, "
                "its base load counts as 0",
                remedy="add base_max_a, the most that loads other than chargers draw there",
            )
    if not metered:
        yield draft.source.finding(
            ("meters",),
            code="no_meter",
            message="the site has no meter: base_max_a counts all the time",
            remedy="add a meter at the grid connection, so that the room that is free can be used",
        )


def _policy(draft: Draft, site: Site) -> Iterator[Finding]:
    if site.sharing.policy is Policy.PRIORITY:
        return
    for placed in draft.evses:
        if placed.entry.weight != 1 or placed.entry.tier != 0:
            yield draft.source.finding(
                placed.where,
                code="no_effect",
                message=f"weight and tier of {placed.entry.id} have no effect under the policy "
                f"{site.sharing.policy.value}",
                remedy="write policy: {name: priority}, or remove them",
            )


def _watchdogs(draft: Draft, site: Site, proof: StaticProof) -> Iterator[Finding]:
    root = proof.nodes[site.nodes[0].id]
    places = {placed.entry.id: placed.where for placed in draft.evses}
    for evse in root.unwatched:
        nodes = [node for node, figures in proof.nodes.items() if evse in figures.unwatched]
        yield draft.source.finding(
            (*places[evse], "profile"),
            code="no_watchdog",
            message=f"{evse} keeps its last value for ever when the gateway dies; it counts with "
            f"its hardware maximum at {', '.join(nodes)}",
            remedy="use a charger with a watchdog where the room is short",
        )


def _unused(draft: Draft, site: Site) -> Iterator[Finding]:
    used = {evse.link for evse in site.evses} | {meter.link for meter in site.meters}
    for placed in draft.links:
        if placed.entry.id not in used:
            yield draft.source.finding(
                placed.where,
                code="unused_link",
                message=f"no meter and no EVSE uses the link {placed.entry.id}",
                remedy="remove it, or name it where it belongs",
            )


def _busy_links(draft: Draft, site: Site, proof: StaticProof) -> Iterator[Finding]:
    """A serial line needs room for setpoints, and for a device that does not answer."""
    places = {placed.entry.id: placed.where for placed in draft.links}
    for link in site.links:
        share = proof.links[link.id].busy_share
        if link.serial is None and share > 1.0:
            yield draft.source.finding(
                places[link.id],
                code="busy_link",
                message=f"polling takes {share:.0%} of the link's time, with the pauses that its"
                " devices want: poll intervals cannot be kept",
                remedy="raise poll_s of the devices on it",
            )
        elif link.serial is not None and share > BUSY_SHARE:
            late = ": poll intervals cannot be kept" if share > 1.0 else ""
            yield draft.source.finding(
                places[link.id],
                code="busy_line",
                message=f"polling takes {share:.0%} of the line's time at {link.serial}{late}",
                remedy="raise poll_s, set all devices to a higher speed, or split the line",
            )


def _watts(draft: Draft, site: Site, profiles: Mapping[str, Profile]) -> Iterator[Finding]:
    """What a charger that is told in watts, or that falls back by itself, needs beside itself."""
    places = {placed.entry.id: placed for placed in draft.evses}
    for evse in site.evses:
        placed, charger = places[evse.id], profiles[evse.profile].charging()
        if charger.told_in_watts and voltage_meter(site, profiles, evse) is None:
            yield draft.source.finding(
                (*placed.where, "node"),
                code="no_voltage",
                message=f"{evse.id} is told in watts, and no meter at or above {evse.node} measures"
                f" its voltage: {SAG_SHARE:g} of the nominal voltage is reckoned with all the time",
                remedy="add a meter that measures voltages, or do without a tenth of the power",
            )
        if charger.outside is not None and placed.entry.failsafe_a is None:
            yield draft.source.finding(
                placed.where,
                code="no_failsafe",
                message=f"{evse.id} has its failsafe in its own settings, which cannot be read; it"
                " counts with its hardware maximum",
                remedy="write failsafe_a and watchdog_s as they are set at the charger",
            )


def _stale_acceptances(draft: Draft, proof: StaticProof) -> Iterator[Finding]:
    known = {risk.name for risk in proof.risks}
    for position, name in enumerate(draft.accept_risks):
        if name not in known:
            yield draft.source.finding(
                ("accept_risks", position),
                code="no_such_risk",
                message=f"this site has no risk {name}{did_you_mean(name, known)}",
                remedy="remove it, so that the risk is named when it comes back",
            )
