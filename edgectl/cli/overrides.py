"""`limit`, `pause`, `resume`, `target`, `isolate`, `release`: what a person says, with a reason."""

import argparse
from datetime import datetime
from typing import Any, Final

from edgectl.cli.amounts import departure, duration_s, energy_wh, limit_of
from edgectl.cli.client import Client, add_socket_option, socket_path
from edgectl.cli.output import (
    DONE,
    REFUSED,
    confirm,
    fail,
    prose,
    show_json,
    show_lines,
    time_text,
)

_LIMIT_FOR: Final = "1h"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verbs."""
    limit = _verb(
        subparsers,
        "limit",
        summary="put a ceiling on a node or an EVSE for a while",
        description="A limit only narrows: what the site file, the utility and the operator allow "
        "still holds. It ends by itself.",
        examples=(
            'edgectl limit grid 120kW --for 2h --reason "transformer works"',
            'edgectl limit tx1 63A --reason "fuse is warm"',
            'edgectl limit tx1 63/40/63A --for 30m --reason "L2 is warm"',
        ),
    )
    limit.add_argument("target", metavar="NODE|EVSE", help="its id in the site file")
    limit.add_argument("limit", metavar="LIMIT", help="such as 120kW, 63A or 63/40/63A")
    limit.add_argument(
        "--for",
        dest="duration",
        metavar="TIME",
        default=_LIMIT_FOR,
        help=f"how long, such as 2h, 90m or 1h30m (default {_LIMIT_FOR})",
    )
    for name, summary, description in (
        (
            "pause",
            "pause an EVSE or a group",
            "The vehicle stops charging. Without --for until `edgectl resume`.",
        ),
        (
            "resume",
            "let a paused EVSE or group go on",
            "Ends pauses made on this site. What a higher rank paused stays paused.",
        ),
    ):
        verb = _verb(
            subparsers,
            name,
            summary=summary,
            description=description,
            examples=(f'edgectl {name} bay01 --reason "cable is checked"',),
        )
        verb.add_argument("target", metavar="EVSE|GROUP", help="its id in the site file")
        if name == "pause":
            verb.add_argument("--for", dest="duration", metavar="TIME", help="such as 20m")
    _add_target(subparsers)
    isolate = _verb(
        subparsers,
        "isolate",
        summary="count a silent EVSE that is locked off as nothing",
        description="For a charger that does not answer and whose supply somebody has locked off: "
        "it counts nothing until it answers, so that the others may use its room. It stays paused "
        "until `edgectl resume`. An EVSE that answers cannot be isolated.",
        examples=('edgectl isolate bay01 --reason "breaker Q7 locked, key with Kim"',),
    )
    isolate.add_argument("target", metavar="EVSE|GROUP", help="its id in the site file")
    isolate.add_argument(
        "--yes", action="store_true", help="it is locked off; do not ask (for scripts)"
    )
    release = _verb(
        subparsers,
        "release",
        summary="take back a limit or a pause by its id",
        description="`edgectl status` shows the ids of what is in force.",
        examples=(
            'edgectl release 7f3a --reason "works are done"',
            'edgectl release EVENT --for 1h --reason "bus 12 must leave"',
        ),
    )
    release.add_argument(
        "--for",
        dest="duration",
        metavar="TIME",
        help="how long to set a voluntary event aside (default 1h)",
    )
    release.add_argument("target_command_id", metavar="ID", help="as `edgectl status` shows it")


def run(args: argparse.Namespace) -> int:
    """Ask the daemon for it and say what it answered."""
    client = Client(socket_path(args))
    if args.verb == "isolate" and not args.yes:
        confirm(
            f"Is the supply of {args.target} locked off, so that nothing can draw there?",
            doing=f"isolate {args.target}",
        )
    body = _body(args)
    if args.verb == "target":
        body |= _need(args, client)
    answer = client.post(args.verb, body=body)
    parts = answer.get("answers", [answer])
    rejected = [part for part in parts if part.get("result") == "rejected"]
    if args.json:
        show_json(answer)
    else:
        show_lines([_line(args, part) for part in parts if part not in rejected], wrap=True)
    for part in rejected:
        fail(
            code=str(part.get("code")),
            message=str(part.get("message")),
            remedy="`edgectl status` and `edgectl why EVSE` show what holds",
            as_json=False,
        )
    return REFUSED if rejected else DONE


def _add_target(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    target = _verb(
        subparsers,
        "target",
        summary="say what a vehicle needs by when",
        description="The vehicle at an EVSE needs so much energy by its departure. A newer target "
        "takes the place of an older one, and it ends at the departure.",
        examples=('edgectl target bay01 80kWh --by 05:30 --reason "line 12, first bus"',),
    )
    target.add_argument("target", metavar="EVSE", help="its id in the site file")
    target.add_argument("energy", metavar="ENERGY", help="such as 80kWh")
    target.add_argument(
        "--by",
        required=True,
        metavar="TIME",
        help="the departure: 05:30 (the next one in the site's own time), 6h from now, or a time "
        "with its zone",
    )
    target.add_argument("--vehicle", metavar="ID", help="which vehicle it is")
    target.add_argument("--priority", metavar="N", type=int, help="0 to 1000")


def _need(args: argparse.Namespace, client: Client) -> dict[str, object]:
    status = client.get("status")
    need: dict[str, object] = {
        "energy_wh": energy_wh(args.energy),
        "departure": departure(
            args.by, now=datetime.fromisoformat(status["at"]), zone=status["timezone"]
        ),
    }
    if args.vehicle is not None:
        need["vehicle"] = args.vehicle
    if args.priority is not None:
        need["priority"] = args.priority
    return need


def _verb(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    *,
    summary: str,
    description: str,
    examples: tuple[str, ...],
) -> argparse.ArgumentParser:
    parser = subparsers.add_parser(
        name,
        help=summary,
        description=prose(description),
        epilog="\n  ".join(("examples:", *examples)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--reason", required=True, metavar="TEXT", help="why; kept with the change and shown"
    )
    add_socket_option(parser)
    return parser


def _body(args: argparse.Namespace) -> dict[str, object]:
    body: dict[str, object] = {"reason": args.reason}
    if args.verb == "release":
        body |= {"target_command_id": args.target_command_id}
        return body | ({} if args.duration is None else {"duration_s": duration_s(args.duration)})
    body["target"] = args.target
    if args.verb == "limit":
        body |= limit_of(args.limit)
    if getattr(args, "duration", None) is not None:
        body["duration_s"] = duration_s(args.duration)
    return body


def _line(args: argparse.Namespace, answer: dict[str, Any]) -> str:
    until = f" until {time_text(answer['until'])}" if answer.get("until") else ""
    name = f" (id {answer['command_id']})" if answer.get("command_id") else ""
    message = f": {answer['message']}" if answer.get("message") else ""
    return f"{args.verb} {answer.get('result', 'accepted')}{until}{name}{message}"
