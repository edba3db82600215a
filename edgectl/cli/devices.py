"""`edgectl devices`: every link and what answers on it."""

import argparse
from typing import Any

from edgectl.cli.client import Client, add_socket_option, socket_path
from edgectl.cli.output import (
    BAD_INPUT,
    DONE,
    CliError,
    prose,
    show_json,
    show_lines,
    span,
    table,
)


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `devices`."""
    parser = subparsers.add_parser(
        "devices",
        help="every link and what answers on it",
        description=prose(
            "Shows each link, whether it stands, and how its meters and chargers answer. AGE is "
            "that of the newest values; MISSED counts since the daemon was "
            "started; TAKES is the usual time to an answer. `edgectl probe` finds what the site "
            "file does not name."
        ),
        epilog="examples:\n  edgectl devices\n  edgectl devices bay01",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("id", metavar="ID", nargs="?", help="all about one meter, EVSE or link")
    add_socket_option(parser)


def run(args: argparse.Namespace) -> int:
    """Show them."""
    answer = Client(socket_path(args)).get("devices")
    found = (_with_only(link, args.id) for link in answer["links"])
    links = [link for link in found if link is not None]
    if args.id is not None and not links:
        known = [link["id"] for link in answer["links"]]
        known += [device["id"] for link in answer["links"] for device in link["devices"]]
        raise _unknown(args.id, known)
    if args.json:
        show_json({"links": links})
    elif args.id is not None and len(links) == 1 and len(links[0]["devices"]) == 1:
        show_lines(_one(links[0], links[0]["devices"][0]), wrap=True)
    else:
        show_lines(_table(links))
    return DONE


def _with_only(link: dict[str, Any], name: str | None) -> dict[str, Any] | None:
    if name is None or name == link["id"]:
        return link
    devices = [device for device in link["devices"] if device["id"] == name]
    return link | {"devices": devices} if devices else None


def _unknown(name: str, known: list[str]) -> CliError:
    return CliError(
        exit_code=BAD_INPUT,
        code="unknown_target",
        message=f"there is no link, meter or EVSE {name!r}",
        remedy=f"known are: {', '.join(known)}",
    )


def _table(links: list[dict[str, Any]]) -> list[str]:
    """Everything in one table; a link without a connection is said whole below it."""
    rows = [
        [
            device["id"],
            link["id"] if link["connected"] else f"{link['id']} DOWN",
            device["profile"],
            _address(device),
            span(device.get("age_s")),
            str(device["misses"]),
            "-" if device.get("round_trip_ms") is None else f"{device['round_trip_ms']:.0f}ms",
        ]
        for link in links
        for device in link["devices"]
    ]
    heads = ("ID", "LINK", "PROFILE", ">UNIT", ">AGE", ">MISSED", ">TAKES")
    down = [_head(link) for link in links if not link["connected"]]
    return [*table(heads, rows), *([""] if down else []), *down]


def _head(link: dict[str, Any]) -> str:
    since = f"for {span(link['since_s'])}"
    if link["connected"]:
        return f"{link['id']} ({link['where']}): connected {since}"
    why = f", {link['last_error']}" if link.get("last_error") else ""
    return f"{link['id']} ({link['where']}): NOT CONNECTED {since}{why}"


def _address(device: dict[str, Any]) -> str:
    connector = device.get("connector")
    return str(device["unit"]) if connector is None else f"{device['unit']}.{connector}"


def _one(link: dict[str, Any], device: dict[str, Any]) -> list[str]:
    connector = "" if device.get("connector") is None else f", connector {device['connector']}"
    lines = [
        f"{device['id']}: {device['kind']} at {device['node']}, {device['title']}",
        f"profile {device['profile']}, unit {device['unit']}{connector}",
        _head(link),
        (
            f"newest values {span(device.get('age_s'))} old; asked {device['requests']} times,"
            f" {device['misses']} without an answer, {device['exceptions']} refused"
        ),
    ]
    if device.get("last_error"):
        lines.append(f"last trouble of its unit: {device['last_error']}")
    lines += ["", "`edgectl read` takes:", "  " + ", ".join(device["quantities"])]
    if device["writable"]:
        lines += ["`edgectl write` takes:", "  " + ", ".join(device["writable"])]
    return lines
