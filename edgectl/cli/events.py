"""`edgectl events`: what happened here lately, and what happens now."""

import argparse
import select
import sys
from datetime import datetime, timedelta
from typing import Any, Final

from edgectl.cli.amounts import duration_s
from edgectl.cli.client import Client, add_socket_option, socket_path
from edgectl.cli.output import (
    BAD_INPUT,
    DONE,
    CliError,
    prose,
    say,
    show_json,
    show_lines,
)

_LOOK_S: Final = 1.0
_LOUD: Final = ("info", "warning", "alarm", "critical")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `events`."""
    parser = subparsers.add_parser(
        "events",
        help="what happened lately",
        description=prose(
            "Shows what happened since the daemon was started: alarms, vehicles that came and "
            "went, changed limits and setpoints. Times are UTC. Older ones are in "
            "`journalctl -u edgectl` and at the region."
        ),
        epilog="examples:\n  edgectl events --since 30m --at-least warning\n"
        "  edgectl events bay01 --follow",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("id", metavar="ID", nargs="?", help="only of this node, EVSE or meter")
    parser.add_argument(
        "--since", metavar="TIME", help="how far back, such as 30m or 2h, or a time with its zone"
    )
    parser.add_argument("--last", metavar="N", type=int, default=200, help="so many at most")
    parser.add_argument(
        "--at-least", choices=_LOUD, default="info", help="how loud they must be (default info)"
    )
    parser.add_argument("--follow", "-f", action="store_true", help="go on until Ctrl-C")
    add_socket_option(parser)


def run(args: argparse.Namespace) -> int:
    """Show them."""
    client = Client(socket_path(args))
    answer = client.get("events", **_query(args, after=0))
    events = _wanted(args, answer)
    if args.json and not args.follow:
        show_json(answer | {"events": events})
        return DONE
    _show(args, events)
    if not events and not args.follow:
        say("nothing that was asked for has happened since the daemon was started")
    if args.follow:
        _follow(args, client, answer["last"])
    return DONE


def _follow(args: argparse.Namespace, client: Client, last: int) -> None:
    try:
        while True:
            select.select((), (), (), _LOOK_S)
            answer = client.get("events", **_query(args, after=last))
            if answer["last"] < last:
                say("-- the daemon was started anew --")
                answer = client.get("events", **_query(args, after=0))
            if answer["missed"]:
                say(f"-- {answer['missed']} events came faster than they were asked for --")
            last = answer["last"]
            _show(args, _loud(args, answer["events"]))
    except KeyboardInterrupt:
        return


def _query(args: argparse.Namespace, *, after: int) -> dict[str, str]:
    query = {"after": str(after)}
    if args.id is not None:
        query["id"] = args.id
    return query


def _wanted(args: argparse.Namespace, answer: dict[str, Any]) -> list[dict[str, Any]]:
    events = _loud(args, answer["events"])
    if args.since is not None:
        begin = _begin(args.since, datetime.fromisoformat(answer["at"]))
        events = [event for event in events if datetime.fromisoformat(event["t"]) >= begin]
    if args.last < 1:
        raise CliError(
            exit_code=BAD_INPUT,
            code="bad_count",
            message=f"--last {args.last} shows nothing",
            remedy="give a number from 1 on",
        )
    return events[-args.last :]


def _begin(text: str, now: datetime) -> datetime:
    try:
        begin = datetime.fromisoformat(text)
    except ValueError:
        return now - timedelta(seconds=duration_s(text))
    if begin.tzinfo is None:
        raise CliError(
            exit_code=BAD_INPUT,
            code="bad_time",
            message=f"{text!r} does not say in which zone it is",
            remedy="write it as 2026-11-26T01:30:00Z, or how far back, such as 30m",
        )
    return begin


def _loud(args: argparse.Namespace, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    least = _LOUD.index(args.at_least)
    return [event for event in events if _LOUD.index(event["severity"]) >= least]


def _show(args: argparse.Namespace, events: list[dict[str, Any]]) -> None:
    if args.json:
        for event in events:
            show_json(event, lines=True)
    else:
        show_lines([event_line(event) for event in events], wrap=True)
    sys.stdout.flush()


def event_line(event: dict[str, Any]) -> str:
    """Say one event in a line: when, how loud if loud, what."""
    at = datetime.fromisoformat(event["t"]).strftime("%m-%d %H:%M:%S")
    loud = "" if event["severity"] == "info" else f"{event['severity'].upper()}: "
    code = "over: " if event["code"] == "alarm_cleared" else ""
    text = event["text"]
    name = "" if event["id"] in text else f"{event['id']}: "
    return f"{at}  {loud}{code}{name}{text}"
