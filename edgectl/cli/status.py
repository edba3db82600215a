"""`edgectl status`: everything at a glance, on one screen for a small depot."""

import argparse
from typing import Any, Final

from edgectl.cli.client import Client, add_socket_option, socket_path
from edgectl.cli.dr_show import event_state
from edgectl.cli.export_text import export_line
from edgectl.cli.live import follow, repeat
from edgectl.cli.output import (
    DONE,
    amps,
    broken,
    kilo,
    printable,
    prose,
    short_time,
    show_json,
    show_lines,
    span,
    table,
    terminal_width,
    time_text,
    triple,
)

_COMING_SHOWN: Final = 5


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `status`."""
    parser = subparsers.add_parser(
        "status",
        help="what is going on now",
        description=prose(
            "Shows nodes, EVSEs, limits in force and alarms. Currents in A. A line that ends with "
            "> is cut: `edgectl why EVSE` says it whole."
        ),
        epilog="examples:\n  edgectl status --follow\n  edgectl status --json | jq .evses.bay01",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--follow", "-f", action="store_true", help="draw it again every second; q ends it"
    )
    add_socket_option(parser)


def run(args: argparse.Namespace) -> int:
    """Show it."""
    client = Client(socket_path(args))
    if args.follow and args.json:
        repeat(lambda: show_json(client.get("status"), lines=True))
        return DONE
    if args.follow:
        follow(lambda columns, _rows: _lines(client.get("status"), columns))
        return DONE
    answer = client.get("status")
    if args.json:
        show_json(answer)
    else:
        show_lines(_lines(answer, terminal_width()))
    return DONE


def _lines(answer: dict[str, Any], width: int | None) -> list[str]:
    lines = [*head_lines(answer), "", *_nodes(answer), "", *_evses(answer)]
    for title, section in (
        ("FED BACK", _exports(answer, width)),
        ("LIMITS IN FORCE OR TO COME", _ceilings(answer, width)),
        ("DEMAND RESPONSE", _events(answer, width)),
        ("ALARMS", alarm_lines(answer, width)),
    ):
        if section:
            lines += ["", title, *section]
    return lines


def head_lines(answer: dict[str, Any]) -> list[str]:
    """Say who this is and how it does, in two lines or three."""
    tick, mqtt = answer["tick"], answer.get("mqtt")
    broker = "not configured"
    if mqtt:
        broker = "connected" if mqtt["connected"] else "NOT CONNECTED"
        broker += f", {mqtt['backlog']} waiting"
        if mqtt.get("aside"):
            broker += f", {mqtt['aside']} set aside"
    clock = "" if answer["clock_trusted"] else "   CLOCK NOT SET"
    lines = [
        f"{answer['site']}   {answer['mode']}   up since {time_text(answer['since'])}",
        f"tick {tick['age_s']:.1f} s ago, p99 {tick['p99_ms']:.1f} ms   broker {broker}{clock}",
    ]
    lines += [f"THE BROKER REFUSES {topic}: mend its rights" for topic in _refused(mqtt)]
    if answer.get("safe"):
        lines.append("THE SAFE DECISION IS IN FORCE: see `journalctl -u edgectl`")
    return lines


def _refused(mqtt: dict[str, Any] | None) -> list[str]:
    refused: list[str] = (mqtt or {}).get("refused", [])
    return refused[:2]


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


def _exports(answer: dict[str, Any], width: int | None) -> list[str]:
    lines = [
        export_line(name, node["export"])
        for name, node in answer["nodes"].items()
        if node.get("export")
    ]
    return lines if width is None else [part for one in lines for part in broken(one, width)]


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


def _ceilings(answer: dict[str, Any], width: int | None) -> list[str]:
    found = answer.get("ceilings", ())
    coming = [ceiling for ceiling in found if ceiling["since"] > answer["at"]]
    shown = coming if width is None else coming[:_COMING_SHOWN]
    rows = [
        [
            ceiling["holder"]["id"],
            ceiling.get("node") or ceiling.get("evse") or "-",
            limit_text(ceiling),
            "now" if ceiling["since"] <= answer["at"] else short_time(ceiling["since"]),
            short_time(ceiling.get("until")),
            ceiling["reason"],
        ]
        for ceiling in (*(one for one in found if one["since"] <= answer["at"]), *shown)
    ]
    lines = table(("ID", "AT", ">LIMIT", "FROM", "UNTIL", "REASON"), rows) if rows else []
    return lines + _more(len(coming) - len(shown))


def _more(count: int) -> list[str]:
    return [f"and {count} more to come: see `edgectl dr --all`"] if count else []


def limit_text(ceiling: dict[str, Any]) -> str:
    """Show a limit with its unit."""
    if ceiling.get("limit_w") is not None:
        return f"{kilo(ceiling['limit_w'])} kW"
    if ceiling.get("export_w") is not None:
        return f"{kilo(ceiling['export_w'])} kW back"
    if ceiling.get("export_a") is not None:
        return f"{triple(ceiling['export_a'])} A back"
    return f"{triple(ceiling.get('limit_a'))} A"


def _events(answer: dict[str, Any], width: int | None) -> list[str]:
    coming = [event for event in answer["dr"] if event["state"] != "active"]
    coming.sort(key=lambda event: str(event.get("from", "")))
    shown = coming if width is None else coming[:_COMING_SHOWN]
    rows = [
        [
            event.get("name") or event["event_id"],
            event["program_id"],
            event_state(event),
            ",".join(event.get("targets", ())) or "-",
            short_time(event.get("from")),
            short_time(event.get("until")),
        ]
        for event in (*(one for one in answer["dr"] if one["state"] == "active"), *shown)
    ]
    heads = ("EVENT", "PROGRAM", "STATE", "AT", "FROM", "UNTIL")
    return [*(table(heads, rows) if rows else []), *_more(len(coming) - len(shown))]


def alarm_lines(answer: dict[str, Any], width: int | None) -> list[str]:
    """Say every alarm, the loudest first; those of one kind together."""
    kinds: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for alarm in answer["alarms"]:
        kinds.setdefault((alarm["severity"], alarm["code"]), []).append(alarm)
    lines: list[str] = []
    for (severity, code), alarms in kinds.items():
        names = ", ".join(dict.fromkeys(alarm["id"] for alarm in alarms))
        more = "" if len(alarms) == 1 else f" (and {len(alarms) - 1} more like it)"
        text = f"{severity.upper()} {code} {names}: {alarms[0]['text']}{more}"
        lines += [text] if width is None else broken(printable(text), width)
    return lines
