"""`edgectl allocate FILE|-`: solve allocation problems without a daemon, one or in bulk."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any, BinaryIO, Final, TextIO

from edgectl.cli.output import BAD_INPUT, DONE, CliError, prose, show_json
from edgectl.contract.allocate import answer_to, refusal
from edgectl.contract.problem_faults import ErrorCode, WrongProblem

_STDIN: Final = "-"
_FILE_BYTES_MAX: Final = 64 * 1024 * 1024
_PASSED_OVER_BYTES: Final = 1024 * 1024


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
    if args.problem == _STDIN:
        return answer_lines(sys.stdin.buffer, sys.stdout, bytes_max=_FILE_BYTES_MAX)
    return _answer_file(Path(args.problem))


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


def answer_lines(lines: BinaryIO, answers: TextIO, *, bytes_max: int) -> int:
    """Answer each line before the next is read, so that a program can ask one at a time."""
    code = DONE
    while line := lines.readline(bytes_max + 1):
        if not line.strip():
            continue
        if len(line) > bytes_max:
            answer, good = _too_long(lines, line, bytes_max), False
        else:
            answer, good = answer_to(line)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
        if not good:
            code = BAD_INPUT
    return code


def _too_long(lines: BinaryIO, line: bytes, bytes_max: int) -> dict[str, Any]:
    """The refusal of a line, the rest of which is passed over."""
    while line and not line.endswith(b"\n"):
        line = lines.readline(_PASSED_OVER_BYTES)
    return refusal(
        WrongProblem(
            ErrorCode.TOO_LARGE,
            None,
            f"the line has more than {bytes_max} bytes",
            "end every problem with a line feed; 10,000 EVSEs need a fiftieth of that",
        )
    )
