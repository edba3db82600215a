"""`edgectl status`: everything at a glance, on one screen for a small depot."""

import argparse
from typing import Any

from edgectl.cli.client import Client, add_socket_option, socket_path
from edgectl.cli.output import (
    DONE,
    amps,
    kilo,
    prose,
    short_time,
    show_json,
    show_lines,
    span,
    table,
    time_text,
    triple,
)


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `status`."""
    parser = subparsers.add_parser(
        "status",
        help="what is going on now",
        description=prose("Shows nodes, EVSEs, limits in force and alarms. Currents in A."),
        epilog="example:\n  edgectl status --json | jq .evses.bay01",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_socket_option(parser)


def run(args: argparse.Namespace) -> int:
    """Show it."""
    answer = Client(socket_path(args)).get("status")
    if args.json:
        show_json(answer)
    else:
        show_lines(_lines(answer))
    return DONE


def _lines(answer: dict[str, Any]) -> list[str]:
    lines = [*_head(answer), "", *_nodes(answer), "", *_evses(answer)]
    for title, section in (
        ("LIMITS IN FORCE OR TO COME", _ceilings(answer)),
        ("DEMAND RESPONSE", _events(answer)),
        ("ALARMS", _alarms(answer)),
    ):
        if section:
            lines += ["", title, *section]
    return lines


def _head(answer: dict[str, Any]) -> list[str]:
    tick, mqtt = answer["tick"], answer.get("mqtt")
    broker = "not configured"
    if mqtt:
        broker = "connected" if mqtt["connected"] else "NOT CONNECTED"
        broker += f", {mqtt['backlog']} waiting"
    clock = "" if answer["clock_trusted"] else "   CLOCK NOT SET"
    lines = [
        f"{answer['site']}   {answer['mode']}   up since {time_text(answer['since'])}",
        f"tick {tick['age_s']:.1f} s ago, p99 {tick['p99_ms']:.1f} ms   broker {broker}{clock}",
    ]
    if answer.get("safe"):
        lines.append("THE SAFE DECISION IS IN FORCE: see `journalctl -u edgectl`")
    return lines


def _nodes(answer: dict[str, Any]) -> list[str]:
    rows = []
    for name, node in answer["nodes"].items():
        rows.append(
            [
                name,
                triple(node.get("ceiling_a")),
                kilo(node.get("ceiling_va")),
                triple(node["base_a"]),
                triple(node["committed_a"]),
                triple(node.get("headroom_a")),
                node["quality"],
                node["holder"]["text"],
            ]
        )
    heads = ("NODE", ">CEILING", ">kVA", ">BASE", ">EVSES", ">FREE", "METER", "SET BY")
    return table(heads, rows)


def _evses(answer: dict[str, Any]) -> list[str]:
    rows = [
        [
            name,
            evse["state"],
            amps(evse["setpoint_a"]),
            amps(evse.get("measured_a")),
            kilo(evse.get("session_wh")),
            span(evse.get("age_s")),
            evse["reason_text"],
        ]
        for name, evse in answer["evses"].items()
    ]
    return table(("EVSE", "STATE", ">SET", ">DRAWS", ">kWh", ">AGE", "BECAUSE"), rows)


def _ceilings(answer: dict[str, Any]) -> list[str]:
    rows = [
        [
            ceiling["holder"]["id"],
            ceiling.get("node") or ceiling.get("evse") or "-",
            limit_text(ceiling),
            "now" if ceiling["since"] <= answer["at"] else short_time(ceiling["since"]),
            short_time(ceiling.get("until")),
            ceiling["reason"],
        ]
        for ceiling in answer.get("ceilings", ())
    ]
    return table(("ID", "AT", ">LIMIT", "FROM", "UNTIL", "REASON"), rows) if rows else []


def limit_text(ceiling: dict[str, Any]) -> str:
    """Show a limit with its unit."""
    if ceiling.get("limit_w") is not None:
        return f"{kilo(ceiling['limit_w'])} kW"
    return f"{triple(ceiling.get('limit_a'))} A"


def _events(answer: dict[str, Any]) -> list[str]:
    return [
        "  ".join(f"{name}={value}" for name, value in event.items() if value is not None)
        for event in answer["dr"]
    ]


def _alarms(answer: dict[str, Any]) -> list[str]:
    rows = [
        [alarm["severity"], alarm["id"], alarm["code"], alarm["text"]] for alarm in answer["alarms"]
    ]
    return table(("HOW LOUD", "AT", "CODE", "WHAT"), rows) if rows else []
