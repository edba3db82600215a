"""What the tool shows: plain tables for 80 columns without colour, JSON, and errors in two lines.

Kilo-units exist here and nowhere further in.
"""

import json
import shutil
import sys
import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from edgectl.errors import EdgectlError, Finding

DONE: Final = 0
NO: Final = 1
BAD_INPUT: Final = 2
UNREACHABLE: Final = 3
REFUSED: Final = 4
INTERRUPTED: Final = 130

_WIDTH_FALLBACK: Final = (80, 24)


class CliError(EdgectlError):
    """A command ends here: what is wrong, what to do, and the exit code that says which kind."""

    def __init__(self, *, exit_code: int, code: str, message: str, remedy: str) -> None:
        super().__init__(f"{message}; {remedy}")
        self.exit_code = exit_code
        self.code = code
        self.message = message
        self.remedy = remedy


_LEAST_WIDTH: Final = 16


def fail(*, code: str, message: str, remedy: str, as_json: bool) -> None:
    """Say what is wrong and what to do: on stderr for people, on stdout for programs."""
    _complain(message)
    _complain(remedy)
    if as_json:
        show_json({"error": {"code": code, "message": message, "remedy": remedy}})


def fail_with_findings(findings: Sequence[Finding], *, as_json: bool) -> None:
    """Say everything that is wrong with an input, each with its place and what to do."""
    for finding in findings:
        _complain(finding.said if len(findings) == 1 else str(finding))
    first = findings[0]
    remedy = first.remedy if len(findings) == 1 else "correct each of them as said with it"
    _complain(remedy)
    if as_json:
        error = {"code": first.code, "message": first.message, "remedy": remedy}
        places = [
            {
                "file": finding.file,
                "line": finding.line,
                "path": finding.path,
                "code": finding.code,
                "message": finding.message,
                "remedy": finding.remedy,
            }
            for finding in findings
        ]
        show_json({"error": error, "errors": places})


def show_json(value: object, *, lines: bool = False) -> None:
    """Print one JSON value for programs; `lines`: each value on a line of its own."""
    print(json.dumps(value, indent=None if lines else 2))


def say(text: str) -> None:
    """Print one sentence, broken where the terminal ends."""
    show_lines([text], wrap=True)


def confirm(question: str, *, doing: str) -> None:
    """Have a person say yes, or raise; a script says it with --yes."""
    if not sys.stdin.isatty():
        raise CliError(
            exit_code=REFUSED,
            code="not_confirmed",
            message=f"nobody is there to confirm: {doing}",
            remedy="be sure of it, then add --yes",
        )
    print(f"{printable(question)} [y/N] ", end="", flush=True)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise CliError(
            exit_code=REFUSED,
            code="not_confirmed",
            message="nothing is done",
            remedy=f"answer y to {doing}",
        )


def show_lines(lines: Sequence[str], *, wrap: bool = False) -> None:
    """Print lines; where the terminal ends they are cut and marked, or with `wrap` broken."""
    width = terminal_width()
    for line in lines:
        shown = printable(line).rstrip()
        if width is None:
            print(shown)
        elif wrap:
            print("\n".join(broken(shown, width)))
        else:
            print(fit(shown, width))


def terminal_width() -> int | None:
    """Columns of the terminal; None where the output goes elsewhere and needs no end."""
    if not sys.stdout.isatty():
        return None
    return shutil.get_terminal_size(_WIDTH_FALLBACK).columns


def fit(text: str, width: int) -> str:
    """Cut a line that is too long, and show that it is cut."""
    return text if len(text) <= width else text[: max(0, width - 1)] + ">"


def broken(text: str, width: int, *, indent: str = "    ") -> list[str]:
    """Break a line that is too long; what follows is set in."""
    own = text[: len(text) - len(text.lstrip())]
    return textwrap.wrap(
        text.strip(), width, initial_indent=own, subsequent_indent=own + indent
    ) or [""]


def table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], *, width: int | None = None
) -> list[str]:
    """Align columns; a head that begins with `>` asks for right alignment.

    `width`: the last column is broken there, below itself.
    """
    names = [head.removeprefix(">") for head in heads]
    rows = [[printable(cell) for cell in row] for row in rows]
    before = sum(max(len(row[c]) for row in (names, *rows)) + 2 for c in range(len(names) - 1))
    if width is not None and width - before >= _LEAST_WIDTH:
        rows = [part for row in rows for part in _broken_cell(row, width - before)]
    widths = [
        max(len(name), *(len(row[column]) for row in rows)) if rows else len(name)
        for column, name in enumerate(names)
    ]

    def line(cells: Sequence[str]) -> str:
        parts = [
            cell.rjust(width) if head.startswith(">") else cell.ljust(width)
            for head, cell, width in zip(heads, cells, widths, strict=True)
        ]
        return "  ".join(parts).rstrip()

    return [line(names), *(line(row) for row in rows)]


def folded(
    heads: Sequence[str], rows: Sequence[Sequence[str]], *, width: int | None, keep: int = 1
) -> list[str]:
    """A table that has more columns than fit `width`, in parts below each other.

    Every part begins with the first `keep` columns; without a width the table stays whole.
    """
    whole = table(heads, rows)
    if width is None or max(map(len, whole)) <= width:
        return whole
    count = len(heads) - 1
    part = whole
    while count > keep:
        part = table(heads[:count], [row[:count] for row in rows])
        if max(map(len, part)) <= width or count == keep + 1:
            break
        count -= 1
    if count <= keep:
        return whole
    rest = [[*row[:keep], *row[count:]] for row in rows]
    return [*part, "", *folded((*heads[:keep], *heads[count:]), rest, width=width, keep=keep)]


def _broken_cell(row: Sequence[str], width: int) -> list[list[str]]:
    """The row, and below it what its last cell has no room for."""
    first, *more = broken(row[-1], width, indent="")
    return [[*row[:-1], first], *([""] * (len(row) - 1) + [rest] for rest in more)]


def printable(text: str) -> str:
    """Show control characters as `?`: texts from afar may not steer the terminal or fake lines."""
    return "".join(char if char.isprintable() else "?" for char in text)


def prose(text: str) -> str:
    """Break a paragraph into lines that fit 80 columns."""
    return textwrap.fill(text, 78)


def amps(value: float | None) -> str:
    """Show a current; `-` where there is none."""
    return "-" if value is None else f"{value:.1f}"


def kilo(value: float | None) -> str:
    """Show a power or an energy in thousands; `-` where there is none."""
    return "-" if value is None else f"{value / 1000.0:.1f}"


def triple(values: Sequence[float | None] | None) -> str:
    """Show three phases in one word, once where they are equal."""
    if values is None:
        return "-"
    shown = ["-" if value is None else f"{value:.0f}" for value in values]
    return shown[0] if len(set(shown)) == 1 else "/".join(shown)


def span(seconds: float | None) -> str:
    """Show an age shortly."""
    if seconds is None:
        return "-"
    if seconds < 100:
        return f"{seconds:.0f}s"
    if seconds < 6000:
        return f"{seconds / 60:.0f}m"
    return f"{seconds / 3600:.0f}h"


def time_text(text: str | None) -> str:
    """Show a time of the contract, to the second and still as UTC."""
    return _time(text, "%Y-%m-%d %H:%M:%SZ")


def short_time(text: str | None) -> str:
    """Show a time of the contract in a table: no year, to the minute, still as UTC."""
    return _time(text, "%m-%d %H:%MZ")


def _time(text: str | None, form: str) -> str:
    return "-" if text is None else datetime.fromisoformat(text).astimezone(UTC).strftime(form)


def _complain(text: str) -> None:
    """One line on stderr; where that is a terminal, broken between words at its end."""
    line = _one_line(text)
    if not sys.stderr.isatty():
        print(line, file=sys.stderr)
        return
    width = shutil.get_terminal_size(_WIDTH_FALLBACK).columns
    print("\n".join(broken(line, width, indent="  ")), file=sys.stderr)


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))
