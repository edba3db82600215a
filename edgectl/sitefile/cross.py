"""Checks that need the whole site file: names, the tree, references, addresses, phases.

Every function yields all it finds; none stops at the first. What concerns programs, caps and the
broker is in `outside`, which line carries whose current in `wiring`, what needs the device profiles
in `fitting`.
"""

from collections.abc import Iterator, Mapping
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from edgectl.errors import Finding
from edgectl.model.reading import FRESH_POLLS, STALE_S
from edgectl.sitefile.draft import Draft, Placed
from edgectl.sitefile.entries.devices import EvseEntry, LinkEntry, MeterEntry
from edgectl.sitefile.source import did_you_mean
from edgectl.sitefile.yaml_text import Where

MODBUS_PORT: Final = 502
GREATEST_SERIAL_UNIT: Final = 247

_FOREIGN_KEYS: Final = {
    "tcp": ("device", "baud", "parity", "stop_bits"),
    "rtu": ("host", "port"),
    "rtu_over_tcp": ("device",),
}
_NEEDED_KEYS: Final = {
    "tcp": {"host": "add the host name or address of the device"},
    "rtu": {"device": "add the path of the serial device, such as /dev/ttyUSB0"},
    "rtu_over_tcp": {
        "host": "add the host name or address of the converter",
        "port": "add the TCP port that the converter is set to",
    },
}
_KINDS: Final = {"nodes": "node", "meters": "meter", "evses": "EVSE", "groups": "group"}


def check_whole(draft: Draft) -> Iterator[Finding]:
    """Check what no entry can know by itself."""
    yield from _check_names(draft)
    yield from _check_tree(draft)
    yield from _check_references(draft)
    yield from _check_links(draft)
    yield from _check_units(draft)
    yield from _check_addresses(draft)
    yield from _check_limits(draft)
    yield from _check_meters(draft)
    yield from _check_timezone(draft)


def _check_names(draft: Draft) -> Iterator[Finding]:
    """Nodes, meters, EVSEs and groups share one name space; links and programs have their own."""
    shared = [
        (where, name, _KINDS[section])
        for section in ("nodes", "meters", "evses")
        for where, name in draft.names(section)
    ] + [(("groups", name), name, "group") for name in draft.groups]
    links = [(where, name, "link") for where, name in draft.names("links")]
    programs = [(where, name, "program") for where, name in draft.names("programs")]
    for named in (shared, links, programs):
        first: dict[str, tuple[Where, str]] = {}
        for where, name, kind in named:
            if name in first:
                other_where, other_kind = first[name]
                yield draft.source.finding(
                    where,
                    code="duplicate_id",
                    message=f"{name} is already the name of {_a(other_kind)} in line "
                    f"{draft.source.line(other_where)}",
                    remedy=f"give this {kind} another name",
                )
            else:
                first[name] = (where, kind)


def _a(kind: str) -> str:
    return f"an {kind}" if kind == _KINDS["evses"] else f"a {kind}"


def _check_tree(draft: Draft) -> Iterator[Finding]:
    """One root, no cycle, every parent known."""
    rows = [(where, row) for where, row in draft.rows("nodes")]
    if not rows:
        return
    known = {name for _, name in draft.names("nodes")}
    roots = [where for where, row in rows if row.get("parent") is None]
    for where in roots[1:]:
        yield draft.source.finding(
            where,
            code="several_roots",
            message="a second node without parent; the grid connection is the node in line "
            f"{draft.source.line(roots[0])}",
            remedy="give it a parent: a site has one grid connection",
        )
    if not roots:
        yield draft.source.finding(
            ("nodes",),
            code="no_root",
            message="every node has a parent, so none is the grid connection",
            remedy="remove `parent` from the grid connection",
        )
    parent_of: dict[str, str] = {}
    place_of: dict[str, Where] = {}
    for where, row in rows:
        name, parent = row.get("id"), row.get("parent")
        if not isinstance(parent, str):
            continue
        if parent not in known:
            yield _unknown(draft, (*where, "parent"), "node", parent, known)
        elif isinstance(name, str):
            parent_of.setdefault(name, parent)
            place_of.setdefault(name, where)
    yield from _cycles(draft, parent_of, place_of)


def _cycles(
    draft: Draft, parent_of: dict[str, str], place_of: dict[str, Where]
) -> Iterator[Finding]:
    done: set[str] = set()
    for start in parent_of:
        trail: list[str] = []
        name: str | None = start
        while name is not None and name not in done and name not in trail:
            trail.append(name)
            name = parent_of.get(name)
        if name is not None and name in trail:
            circle = trail[trail.index(name) :]
            yield draft.source.finding(
                (*place_of[circle[0]], "parent"),
                code="cycle",
                message=f"nodes feed each other in a circle: {' <- '.join([*circle, circle[0]])}",
                remedy="let one of them have its parent outside the circle",
            )
        done.update(trail)


def _check_references(draft: Draft) -> Iterator[Finding]:
    nodes = {name for _, name in draft.names("nodes")}
    links = {name for _, name in draft.names("links")}
    evses = {name for _, name in draft.names("evses")}
    for section in ("meters", "evses", "caps"):
        for where, row in draft.rows(section):
            for key, known in (("node", nodes), ("link", links)):
                name = row.get(key)
                if isinstance(name, str) and name not in known:
                    yield _unknown(draft, (*where, key), key, name, known)
    for group, members in draft.groups.items():
        for position, name in enumerate(members):
            if name not in nodes | evses:
                yield _unknown(
                    draft, ("groups", group, position), "node or EVSE", name, nodes | evses
                )


def _unknown(draft: Draft, where: Where, kind: str, name: str, known: set[str]) -> Finding:
    return draft.source.finding(
        where,
        code="unknown_id",
        message=f"there is no {kind} {name}{did_you_mean(name, sorted(known))}",
        remedy=f"name a {kind} of this file, or add it",
    )


def _check_links(draft: Draft) -> Iterator[Finding]:
    first: dict[tuple[str, int], str] = {}
    for placed in draft.links:
        link = placed.entry
        yield from _check_link_keys(draft, placed)
        end = _far_end(link)
        if end is None:
            continue
        if end in first:
            same = "serial device" if link.kind == "rtu" else "host and port"
            yield draft.source.finding(
                placed.where,
                code="duplicate_link",
                message=f"link {first[end]} goes to the same {same}",
                remedy="keep one link: it may serve many devices",
            )
        first.setdefault(end, link.id)


def _check_link_keys(draft: Draft, placed: Placed[LinkEntry]) -> Iterator[Finding]:
    """Each kind has its own keys."""
    link = placed.entry
    for key in _FOREIGN_KEYS[link.kind]:
        if getattr(link, key) is not None:
            other = "a serial line" if link.kind == "tcp" else "a network connection"
            if key == "device":
                other = "a serial device of this machine"
            yield draft.source.finding(
                (*placed.where, key),
                code="not_of_kind",
                message=f"{key} belongs to {other}, this link is of kind {link.kind}",
                remedy=f"remove {key}",
            )
    for key, remedy in _NEEDED_KEYS[link.kind].items():
        if getattr(link, key) is None:
            yield draft.source.finding(
                placed.where, code="missing", message=f"is missing: {key}", remedy=remedy
            )


def _far_end(link: LinkEntry) -> tuple[str, int] | None:
    if link.kind == "rtu":
        return None if link.device is None else (link.device, 0)
    if link.host is None:
        return None
    return (link.host, MODBUS_PORT if link.port is None else link.port)


def _check_units(draft: Draft) -> Iterator[Finding]:
    """On a serial line 0 speaks to everybody and nobody answers; 248 and above are reserved."""
    serial = {placed.entry.id for placed in draft.links if placed.entry.kind != "tcp"}
    devices: list[Placed[MeterEntry] | Placed[EvseEntry]] = [*draft.meters, *draft.evses]
    for placed in devices:
        if placed.entry.link in serial and not 1 <= placed.entry.unit <= GREATEST_SERIAL_UNIT:
            yield draft.source.finding(
                (*placed.where, "unit"),
                code="out_of_range",
                message=f"{placed.entry.unit} is no unit of a serial line",
                remedy=f"set the device to a unit from 1 to {GREATEST_SERIAL_UNIT}",
            )


def _check_addresses(draft: Draft) -> Iterator[Finding]:
    """One device at one link and unit; one EVSE at one connector of it."""
    devices: dict[tuple[str, int], tuple[Where, str, str]] = {}
    for meter in draft.meters:
        devices.setdefault(
            (meter.entry.link, meter.entry.unit), (meter.where, meter.entry.profile, "meter")
        )
    connectors: dict[tuple[str, int, int], Where] = {}
    for placed in draft.evses:
        evse = placed.entry
        address = (evse.link, evse.unit, evse.connector)
        if address in connectors:
            yield draft.source.finding(
                placed.where,
                code="address_taken",
                message=f"the EVSE in line {draft.source.line(connectors[address])} is at the same "
                f"link, unit and connector ({evse.link}, {evse.unit}, {evse.connector})",
                remedy="give each EVSE its own connector or unit",
            )
            continue
        connectors[address] = placed.where
        where, profile, kind = devices.setdefault(
            (evse.link, evse.unit), (placed.where, evse.profile, "EVSE")
        )
        if kind == "meter" or profile != evse.profile:
            yield draft.source.finding(
                placed.where,
                code="address_taken",
                message=f"at link {evse.link}, unit {evse.unit} the {kind} in line "
                f"{draft.source.line(where)} has the profile {profile}",
                remedy="one unit is one device: give it its own unit, or the same profile",
            )


def _check_limits(draft: Draft) -> Iterator[Finding]:
    for placed in draft.nodes:
        node = placed.entry
        limits = [limit for limit in node.limit_a or [] if limit is not None]
        if node.parent is None and not limits and node.limit_va is None:
            yield draft.source.finding(
                placed.where,
                code="missing",
                message=f"the grid connection {node.id} has no limit",
                remedy="add limit_a with the rating of its fuse or breaker, or limit_va",
            )
        if node.margin_a is not None and limits and node.margin_a >= min(limits) > 0:
            yield draft.source.finding(
                (*placed.where, "margin_a"),
                code="out_of_range",
                message=f"a margin of {node.margin_a:g} A leaves nothing of {min(limits):g} A",
                remedy="write a smaller margin, or leave it out: then 2 % of each limit",
            )


def _check_meters(draft: Draft) -> Iterator[Finding]:
    at_node: dict[str, str] = {}
    for placed in draft.meters:
        meter = placed.entry
        if meter.sees != "part" and meter.node in at_node:
            yield draft.source.finding(
                (*placed.where, "node"),
                code="two_meters",
                message=f"{meter.node} is already measured by {at_node[meter.node]}",
                remedy="keep the one that sees the whole node; others may say sees: part",
            )
        if meter.sees != "part":
            at_node.setdefault(meter.node, meter.id)
        if FRESH_POLLS * meter.poll_s > STALE_S / 2:
            yield draft.source.finding(
                (*placed.where, "poll_s"),
                code="poll_too_slow",
                message=f"a reading every {meter.poll_s:g} s is too slow: 2.5 polls must fit into "
                f"{STALE_S / 2:g} s",
                remedy=f"write {STALE_S / 2 / FRESH_POLLS:g} s or less; 1 s is usual",
            )
    yield from _check_shared_meters(draft)


def _check_shared_meters(draft: Draft) -> Iterator[Finding]:
    """Entries at one link and unit are one device: it is of one kind, at nodes in one row.

    No transformer may be between them: on its other side other currents flow.
    """
    parents = {
        placed.entry.id: None if placed.entry.transformer else placed.entry.parent
        for placed in draft.nodes
    }
    first_at: dict[tuple[str, int], MeterEntry] = {}
    for placed in draft.meters:
        meter = placed.entry
        first = first_at.setdefault((meter.link, meter.unit), meter)
        if first is meter:
            continue
        where, message, remedy = placed.where, "", ""
        if (first.profile, first.overrides, first.poll_s) != (
            meter.profile,
            meter.overrides,
            meter.poll_s,
        ):
            message = f"{first.id} is the same device and has another profile, poll_s or overrides"
            remedy = "write the same there, or correct link and unit"
        elif not _in_a_row(first.node, meter.node, parents):
            where = (*placed.where, "node")
            message = f"{first.id} is the same device and measures {first.node}, which is neither "
            message += f"above nor below {meter.node}"
            remedy = "name nodes that the same current flows through, or correct link and unit"
        if message:
            yield draft.source.finding(where, code="same_meter", message=message, remedy=remedy)


def _in_a_row(one: str, other: str, parents: Mapping[str, str | None]) -> bool:
    """Whether one of two nodes is above the other."""
    for lower, upper in ((one, other), (other, one)):
        name: str | None = parents.get(lower)
        for _ in parents:
            if name is None or name == upper:
                break
            name = parents.get(name)
        if name == upper:
            return True
    return False


def _check_timezone(draft: Draft) -> Iterator[Finding]:
    if draft.head is None or _is_timezone(draft.head.timezone):
        return
    known = available_timezones()
    yield draft.source.finding(
        ("site", "timezone"),
        code="unknown_timezone",
        message=f"there is no time zone {draft.head.timezone}"
        + did_you_mean(draft.head.timezone, known),
        remedy="write a name such as Europe/Berlin"
        if known
        else "this machine has no time zones: install the package tzdata",
    )


def _is_timezone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True
