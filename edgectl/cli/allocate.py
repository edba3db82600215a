"""`edgectl allocate FILE|-`: solve allocation problems without a daemon, one or in bulk."""

import argparse
import json
import sys
from pathlib import Path
from typing import Final

from edgectl.cli.output import BAD_INPUT, DONE, CliError, prose, show_json
from edgectl.contract.allocate import answer_to

_STDIN: Final = "-"
_FILE_BYTES_MAX: Final = 64 * 1024 * 1024


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `allocate`."""
    parser = subparsers.add_parser(
        "allocate",
        help="solve an allocation problem from a file",
        description=prose(
            "Says what every EVSE of a problem would get, and why. The answer is JSON. With `-` "
            "every line of the input is a problem, and every answer is a line; a problem that "
            "cannot be used gets an error in place of its answer, and the exit code is 2."
        ),
        epilog="examples:\n  edgectl allocate problem.json\n  edgectl allocate - < problems.jsonl",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("problem", metavar="FILE", help="a file with one problem, or -")
    parser.add_argument("--json", action="store_true", help="accepted; the answer is JSON always")


def run(args: argparse.Namespace) -> int:
    """Answer the problem, or all of them."""
    return _answer_lines() if args.problem == _STDIN else _answer_file(Path(args.problem))


def _answer_file(path: Path) -> int:
    try:
        with path.open("rb") as stream:
            text = stream.read(_FILE_BYTES_MAX + 1)
    except OSError as fault:
        raise CliError(
            exit_code=BAD_INPUT,
            code="unreadable",
            message=f"{path} cannot be read: {fault.strerror}",
            remedy="name a file that holds one problem in JSON, or - for JSON lines",
        ) from None
    if len(text) > _FILE_BYTES_MAX:
        raise CliError(
            exit_code=BAD_INPUT,
            code="too_large",
            message=f"{path} is larger than {_FILE_BYTES_MAX} bytes",
            remedy="10,000 EVSEs need a fiftieth of that: look what else is in it",
        )
    answer, good = answer_to(text)
    show_json(answer)
    return DONE if good else BAD_INPUT


def _answer_lines() -> int:
    """Answer each line before the next is read, so that a program can ask one at a time."""
    code = DONE
    for line in sys.stdin.buffer:
        if not line.strip():
            continue
        answer, good = answer_to(line)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
        if not good:
            code = BAD_INPUT
    return code
