"""`edgectl report`: energy, sessions, utilisation, demand and uptime of a day or a month."""

import argparse
import csv
import io
from collections.abc import Sequence
from typing import Any, Final

from edgectl.cli.client import Client, add_socket_option, socket_path
from edgectl.cli.output import (
    DONE,
    folded,
    kilo,
    printable,
    prose,
    say,
    short_time,
    show_json,
    show_lines,
    terminal_width,
    time_text,
)

NAMES: Final = ("daily", "monthly", "sessions")
_SESSION_COLUMNS: Final = (
    "station_id",
    "port_id",
    "session_id",
    "from",
    "until",
    "first_energy_at",
    "last_energy_at",
    "energy_wh",
    "peak_w",
    "charging_s",
    "curtailed_s",
    "interruptions",
    "error_codes",
    "attempt",
    "success",
    "estimated",
)
_PORT_COLUMNS: Final = (
    "energy_wh",
    "peak_w",
    "charging_s",
    "plugged_s",
    "curtailed_s",
    "utilisation",
    "load_factor",
    "outage_min",
    "excluded_min",
    "uptime_12_months_pct",
    "estimated",
)
_COUNT_COLUMNS: Final = ("sessions", "attempts", "successes", "success_rate")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `report`."""
    parser = subparsers.add_parser(
        "report",
        help="energy, sessions, demand and uptime of a day or a month",
        description=prose(
            "Without a period it shows today, or the month that runs. `sessions` lists the stays "
            "that ended in the period. Days and months are those of the site's time zone."
        ),
        epilog="examples:\n  edgectl report\n  edgectl report daily 2026-03-01 --json\n"
        "  edgectl report monthly 2026-03 --csv > march.csv\n"
        "  edgectl report sessions 2026-03 --csv",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "name",
        metavar="NAME",
        nargs="?",
        default="daily",
        choices=NAMES,
        help="daily (default), monthly or sessions",
    )
    parser.add_argument("period", metavar="PERIOD", nargs="?", help="2026-03-01 or 2026-03")
    parser.add_argument(
        "--csv", action="store_true", help="one line for each port or session, for spreadsheets"
    )
    add_socket_option(parser)


def run(args: argparse.Namespace) -> int:
    """Show it."""
    period = () if args.period is None else (args.period,)
    answer = Client(socket_path(args)).get("report", args.name, *period)
    if args.json:
        show_json(answer)
    elif args.csv:
        for line in _csv(args.name, answer):
            print(printable(line))
    elif args.name == "sessions":
        show_lines(_session_table(answer["sessions"]))
    else:
        _show_period(answer)
    return DONE


def _show_period(answer: dict[str, Any]) -> None:
    so_far = "" if answer["complete"] else f"   so far, until {time_text(answer['until'])}"
    say(f"{answer['period']} ({answer['timezone']}){so_far}")
    counts = answer["counts"]
    say(
        f"{kilo(answer['energy_wh'])} kWh in {counts['sessions']} sessions, "
        f"{counts['successes']} of {counts['attempts']} attempts successful"
    )
    show_lines(["", *_ports(answer), "", *_nodes(answer), ""])
    say("USED, LOAD, UP in %; CUT, OUT, EXCL, GAP in minutes; ~ in part a guess")


def _ports(answer: dict[str, Any]) -> list[str]:
    rows = [
        [
            port_id,
            kilo(port["energy_wh"]) + ("~" if port["estimated"] else ""),
            str(port["counts"]["sessions"]),
            kilo(port.get("peak_w")),
            _percent(port.get("utilisation")),
            _percent(port.get("load_factor")),
            f"{port['curtailed_s'] / 60.0:.0f}",
            f"{port['outage_min']:.0f}",
            f"{port['excluded_min']:.0f}",
            f"{port['uptime_12_months_pct']:.3f}",
        ]
        for port_id, port in answer["ports"].items()
    ]
    heads = ("PORT", ">kWh", ">N", ">kW MAX", ">USED", ">LOAD", ">CUT", ">OUT", ">EXCL", ">UP 12M")
    return folded(heads, rows, width=terminal_width())


def _nodes(answer: dict[str, Any]) -> list[str]:
    rows = [
        [
            node,
            part["source"],
            kilo(part["energy_import_wh"]),
            kilo(part["energy_export_wh"]),
            kilo(part.get("demand_mean_w")),
            kilo(part.get("demand_peak_w")),
            short_time(part.get("demand_peak_at")),
            _percent(part.get("load_factor")),
            f"{part['missing_s'] / 60.0:.0f}",
        ]
        for node, part in answer["nodes"].items()
    ]
    heads = (
        "NODE",
        "FROM",
        ">kWh IN",
        ">kWh OUT",
        ">kW MEAN",
        ">kW PEAK",
        "AT",
        ">LOAD",
        ">GAP",
    )
    return folded(heads, rows, width=terminal_width())


def _session_table(sessions: Sequence[dict[str, Any]]) -> list[str]:
    rows = [
        [
            one["port_id"],
            time_text(one["from"]) if one["start_known"] else "before",
            time_text(one["until"])[5:],
            kilo(one["energy_wh"]) + ("~" if one["estimated"] else ""),
            kilo(one["peak_w"]),
            f"{one['charging_s'] / 60.0:.0f}",
            f"{one['curtailed_s'] / 60.0:.0f}",
            "yes" if one["success"] else "no" if one["attempt"] else "-",
        ]
        for one in sessions
    ]
    return folded(
        ("PORT", "PLUG IN", "PLUG OUT", ">kWh", ">kW", ">MIN", ">CUT", "OK"),
        rows,
        width=terminal_width(),
    )


def _csv(name: str, answer: dict[str, Any]) -> list[str]:
    if name == "sessions":
        rows = [
            {
                **one,
                "interruptions": ";".join(
                    f"{cause}:{stops['count']}x{stops['seconds']:.0f}s"
                    for cause, stops in one["interruptions"].items()
                ),
                "error_codes": ";".join(one["error_codes"]),
            }
            for one in answer["sessions"]
        ]
        return _csv_lines(_SESSION_COLUMNS, rows)
    rows = [
        {"period": answer["period"], "port_id": port_id, **port["counts"], **port}
        for port_id, port in answer["ports"].items()
    ]
    return _csv_lines(("period", "port_id", *_COUNT_COLUMNS, *_PORT_COLUMNS), rows)


def _csv_lines(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> list[str]:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().splitlines()


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share * 100.0:.1f}"
