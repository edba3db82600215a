"""The technician's tool: finds the command, runs it, turns every fault into two lines and a code.

1. Only the module of the asked command is imported: `edgectl status` stays small and quick.
2. Exit codes: 0 done, 1 the answer is no, 2 bad input, 3 daemon not reachable, 4 refused.
3. No traceback for a user. `EDGECTL_TRACEBACK=1` shows it to a developer.
"""

import argparse
import errno
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NoReturn, Protocol, cast

from edgectl import __version__
from edgectl.cli.output import (
    BAD_INPUT,
    DONE,
    INTERRUPTED,
    NO,
    REFUSED,
    UNREACHABLE,
    CliError,
    fail,
    fail_with_findings,
    prose,
)
from edgectl.errors import BadInput, Refused, StorageFailed, Unreachable

COMMANDS: Final = {
    "run": ("edgectl.cli.run", "run the daemon (systemd does this)"),
    "reload": ("edgectl.cli.reload", "take up a changed site file while the daemon runs"),
    "check": ("edgectl.cli.check", "prove a site file before it is used"),
    "status": ("edgectl.cli.status", "what is going on now"),
    "watch": ("edgectl.cli.watch", "the depot live on one screen"),
    "why": ("edgectl.cli.why", "why an EVSE gets what it gets"),
    "events": ("edgectl.cli.events", "what happened lately"),
    "devices": ("edgectl.cli.devices", "every link and what answers on it"),
    "probe": ("edgectl.cli.probe", "find who answers at an address and which profile fits"),
    "read": ("edgectl.cli.registers", "ask a meter or charger for a value"),
    "write": ("edgectl.cli.registers", "set a value of a meter or charger"),
    "report": ("edgectl.cli.report", "energy, sessions, demand and uptime of a day or a month"),
    "limit": ("edgectl.cli.overrides", "put a ceiling on a node or an EVSE for a while"),
    "pause": ("edgectl.cli.overrides", "pause an EVSE or a group"),
    "resume": ("edgectl.cli.overrides", "let a paused EVSE or group go on"),
    "target": ("edgectl.cli.overrides", "say what a vehicle needs by when"),
    "isolate": ("edgectl.cli.overrides", "count a silent EVSE that is locked off as nothing"),
    "release": ("edgectl.cli.overrides", "take back a limit or a pause, or set an event aside"),
    "dr": ("edgectl.cli.dr", "demand response: events, promised and delivered, evidence"),
    "doctor": ("edgectl.cli.doctor", "look at everything that usually goes wrong"),
    "bundle": ("edgectl.cli.bundle", "one archive for whoever helps from afar"),
    "schema": ("edgectl.cli.schema", "JSON Schemas of the site file and of all messages"),
    "allocate": ("edgectl.cli.allocate", "solve an allocation problem from a file"),
    "simulate": ("edgectl.cli.simulate", "what a depot delivers with a file of sessions"),
    "completion": ("edgectl.cli.completion", "what the shell needs to complete commands"),
    "replay": ("edgectl.cli.replay", "run recorded steps again, and see what differs"),
    "demo": ("edgectl.cli.demo", "a simulated depot on this machine, with faults"),
}

_EPILOG: Final = """\
examples:
  edgectl check /etc/edgectl/site.yaml        is this site file safe to use?
  edgectl status                              everything at a glance
  edgectl why bay01                           why does bay01 get so little?
  edgectl limit grid 120kW --for 2h --reason "transformer works"
  edgectl demo                                see it work, no hardware needed

exit codes: 0 done, 1 the answer is no, 2 bad input, 3 daemon not reachable,
            4 refused
"""


_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


class _WideFormatter(argparse.RawDescriptionHelpFormatter):
    """Room for the longest verb beside its meaning."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=16)


class Command(Protocol):
    """What every command's module offers."""

    def add_parser(self, subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
        """Add its parser, or one for each of its verbs."""

    def run(self, args: argparse.Namespace) -> int:
        """Do it; the exit code."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are ours: what is wrong, and what to do."""

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - argparse's own
        # An abbreviated option would change its meaning when a longer one is added.
        super().__init__(*args, **{"allow_abbrev": False, **options})

    def error(self, message: str) -> NoReturn:
        """Raise instead of exiting, so that one place reports."""
        raise CliError(
            exit_code=BAD_INPUT,
            code="usage",
            message=f"{self.prog}: {message}",
            remedy=f"see `{self.prog} --help`",
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tool; the exit code."""
    words = _joined(list(sys.argv[1:] if arguments is None else arguments))
    as_json = "--json" in words
    try:
        return _written(words)
    except CliError as fault:
        fail(code=fault.code, message=fault.message, remedy=fault.remedy, as_json=as_json)
        return fault.exit_code
    except BadInput as bad:
        fail_with_findings(bad.findings, as_json=as_json)
        return BAD_INPUT
    except Refused as refusal:
        fail(code=refusal.code, message=refusal.message, remedy=refusal.remedy, as_json=as_json)
        return REFUSED
    except Unreachable as fault:
        fail(code="unreachable", message=fault.message, remedy=fault.remedy, as_json=as_json)
        return UNREACHABLE
    except StorageFailed as fault:
        fail(
            code="not_stored",
            message=str(fault),
            remedy="free space on that disk and check who may write there",
            as_json=as_json,
        )
        return NO
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as fault:
        if os.environ.get("EDGECTL_TRACEBACK"):
            raise
        fail(
            code="internal",
            message=f"edgectl itself failed: {type(fault).__name__}: {fault}",
            remedy="please report it, with what EDGECTL_TRACEBACK=1 in front of the command shows",
            as_json=as_json,
        )
        return NO


def whole_parser() -> argparse.ArgumentParser:
    """The parser with every command in it, for whoever writes manuals and completions from it."""
    parser, subparsers = _parser()
    loaded = set[str]()
    for verb, (module, _) in COMMANDS.items():
        if module not in loaded:
            loaded.add(module)
            command = _load(verb)
            if command is not None:
                command.add_parser(subparsers)
    return parser


def _parser() -> tuple[Parser, Any]:
    parser = Parser(
        prog="edgectl",
        description=prose(
            "Charging controller for depots: keeps every breaker, feeder and transformer within "
            "its limits."
        ),
        epilog=_EPILOG,
        formatter_class=_WideFormatter,
    )
    parser.add_argument("--version", action="version", version=f"edgectl {__version__}")
    return parser, parser.add_subparsers(dest="verb", metavar="COMMAND", required=True)


def _written(words: Sequence[str]) -> int:
    """Run, and see that what was said reached where it goes."""
    if sys.stdout is None:  # closed by whoever started us: nobody wants to hear
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the end
    try:
        code = _run(words)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output went away, as `head` does; there is nobody left to tell.
        _say_no_more()
        return DONE
    except OSError as fault:
        if fault.errno not in _NO_ROOM or fault.filename is not None:
            raise
        _say_no_more()
        raise CliError(
            exit_code=NO,
            code="not_written",
            message=f"the output cannot be written: {fault.strerror}",
            remedy="free space where it goes, or send it elsewhere",
        ) from fault
    return code


def _say_no_more() -> None:
    """Let what is still to be written vanish: it would fail once more at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(words: Sequence[str]) -> int:
    parser, subparsers = _parser()
    asked = next((word for word in words if not word.startswith("-")), None)
    command = _load(asked)
    added = set[str]()
    if command is not None:
        command.add_parser(subparsers)
        added = set(subparsers.choices)
    for verb, (_, summary) in COMMANDS.items():
        if verb not in added:
            subparsers.add_parser(verb, help=summary)
    args = parser.parse_args(words)
    if command is None or args.verb != asked:
        parser.error("the command comes first, its options after it")
    return command.run(args)


def _joined(words: list[str]) -> list[str]:
    """Let `--for -1h` be judged as a duration: argparse would take `-1h` for an option."""
    joined: list[str] = []
    for word in words:
        value = len(word) > 1 and word[0] == "-" and word[1].isdigit()
        if value and joined and joined[-1].startswith("--") and "=" not in joined[-1]:
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _load(verb: str | None) -> Command | None:
    if verb not in COMMANDS:
        return None
    module, _ = COMMANDS[verb]
    return cast("Command", importlib.import_module(module))


if __name__ == "__main__":
    sys.exit(main())
