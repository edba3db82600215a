"""`edgectl reload`: have the daemon take up a changed site file, checked first."""

import argparse
import select
from typing import Any, Final

from edgectl.cli.client import Client, add_socket_option, socket_path
from edgectl.cli.output import (
    BAD_INPUT,
    DONE,
    UNREACHABLE,
    CliError,
    fail_with_findings,
    prose,
    say,
    show_json,
)
from edgectl.errors import Finding, Unreachable

_LOOKS: Final = 120
_LOOK_S: Final = 0.25


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `reload`."""
    parser = subparsers.add_parser(
        "reload",
        help="take up a changed site file while the daemon runs",
        description=prose(
            "The daemon reads its site file anew and checks it whole. With anything wrong in it, "
            "or a risk that nobody accepted, the one before stays in force. A good one is in force "
            "within seconds; chargers that are the same go on as they are, others get their safe "
            "value or are met anew, and nothing is raised by it. The site's id and region need a "
            "restart. SIGHUP (`systemctl reload edgectl`) does the same."
        ),
        epilog="example:\n  edgectl check && edgectl reload",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--reason",
        default="the site file was changed",
        metavar="TEXT",
        help="why; kept with the change",
    )
    add_socket_option(parser)


def run(args: argparse.Namespace) -> int:
    """Ask for it, and wait until it is done."""
    client = Client(socket_path(args), timeout_s=30.0)
    answer = client.post("reload", body={"reason": args.reason})
    if answer["result"] == "refused":
        if args.json:
            show_json(answer)
        else:
            fail_with_findings([_finding(one) for one in answer["errors"]], as_json=False)
            say(f"{answer['message']}.")
        return BAD_INPUT
    if answer["result"] == "taken":
        _wait(client, answer["config_hash"])
    if args.json:
        show_json(answer)
    else:
        taken = answer["result"] == "taken"
        say(f"the site file is in force: {answer['message']}" if taken else answer["message"])
    return DONE


def _wait(client: Client, config_hash: str) -> None:
    """Until the next daemon answers with this file; in between nobody may answer."""
    for _ in range(_LOOKS):
        try:
            if client.get("status").get("config", {}).get("hash") == config_hash:
                return
        except (Unreachable, CliError):
            pass
        select.select((), (), (), _LOOK_S)
    raise CliError(
        exit_code=UNREACHABLE,
        code="not_in_force",
        message="the daemon has not taken the site file up within half a minute",
        remedy="see `systemctl status edgectl` and `journalctl -u edgectl`",
    )


def _finding(one: dict[str, Any]) -> Finding:
    return Finding(
        file=one["file"],
        line=one["line"],
        path=one["path"],
        code=one["code"],
        message=one["message"],
        remedy=one["remedy"],
    )
