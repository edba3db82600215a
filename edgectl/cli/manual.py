"""The manual page edgectl(1), written from the parser: `python -m edgectl.cli.manual`."""

import argparse
import sys
from typing import Any, Final

from edgectl import __version__
from edgectl.cli.main import whole_parser

_FILES: Final = (
    ("/etc/edgectl/site.yaml", "the site file"),
    ("/etc/edgectl/profiles/", "the owner's device profiles, before the built-in ones"),
    ("/var/lib/edgectl/", "what outlives a restart: orders, events, the outbox, crash records"),
    ("/run/edgectl/edgectl.sock", "the daemon's socket: HTTP and JSON, as curl speaks them"),
)
_EXITS: Final = (
    ("0", "done"),
    ("1", "the answer is no"),
    ("2", "bad input"),
    ("3", "the daemon is not reachable"),
    ("4", "refused"),
)
_ENVIRONMENT: Final = (
    ("EDGECTL_SOCKET", "the daemon's socket, where no --socket is given"),
    ("EDGECTL_TRACEBACK", "if set, a fault of the tool itself shows its traceback"),
)


def manual() -> str:
    """Give the page in man(7)."""
    parser = whole_parser()
    actions: Any = parser._actions  # noqa: SLF001 - argparse offers no other way
    verbs = next(one for one in actions if isinstance(one, argparse._SubParsersAction))  # noqa: SLF001
    lines = [
        f'.TH EDGECTL 1 "" "edgectl {__version__}" "edgectl"',
        ".SH NAME",
        "edgectl \\- charging controller for depots of electric vehicles",
        ".SH SYNOPSIS",
        ".B edgectl",
        ".I COMMAND",
        "[options]",
        ".SH DESCRIPTION",
        _text(parser.description or ""),
        "The first word is the command; its options follow it. Every command explains itself with",
        ".BR \\-\\-help ,",
        "and those that answer take",
        ".BR \\-\\-json .",
        "Reading from the daemon is for members of the group edgectl, changing for those of",
        "edgectl and edgectl-admin.",
        ".SH COMMANDS",
    ]
    for verb, command in verbs.choices.items():
        lines += _command(verb, command)
    for title, rows in (
        ("EXIT STATUS", _EXITS),
        ("FILES", _FILES),
        ("ENVIRONMENT", _ENVIRONMENT),
    ):
        lines.append(f".SH {title}")
        for name, meaning in rows:
            lines += [".TP", f".B {_text(name)}", _text(meaning)]
    lines += [".SH SEE ALSO", ".BR systemctl (1),", ".BR journalctl (1)", ""]
    return "\n".join(lines)


def _command(verb: str, parser: argparse.ArgumentParser) -> list[str]:
    usage = " ".join(parser.format_usage().removeprefix("usage:").split())
    lines = [f".SS {verb}", f".B {_text(usage)}", ".PP", _text(parser.description or "")]
    for action in parser._actions:  # noqa: SLF001
        if action.dest == "help":
            continue
        metavar = action.metavar if isinstance(action.metavar, str) else action.dest
        value = "" if action.nargs == 0 else f" {metavar}"
        if action.choices and not isinstance(action.metavar, str):
            value = " " + "|".join(str(one) for one in action.choices)
        named = ", ".join(name + value for name in action.option_strings) or value.strip()
        lines += [".TP", f".B {_text(named)}", _text(_helped(action)) or "\\&"]
    if parser.epilog:
        lines += [".PP", ".nf", *(_text(line, keep=True) for line in parser.epilog.splitlines())]
        lines.append(".fi")
    return lines


def _helped(action: argparse.Action) -> str:
    return (action.help or "").replace("%%", "%")


def _text(text: str, *, keep: bool = False) -> str:
    """Write text so that roff takes none of it for its own."""
    shown = text if keep else " ".join(text.split())
    shown = shown.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{shown}" if shown.startswith((".", "'")) else shown


def main() -> int:
    """Print the page."""
    sys.stdout.write(manual())
    return 0


if __name__ == "__main__":
    sys.exit(main())
