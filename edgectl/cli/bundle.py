"""`edgectl bundle`: one archive for whoever helps from afar, without secrets."""

import argparse
import io
import json
import os
import platform
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from edgectl import __version__
from edgectl.cli.check import answer_of
from edgectl.cli.client import Client, add_socket_option, socket_path
from edgectl.cli.doctor import add_place_options, examine
from edgectl.cli.output import BAD_INPUT, DONE, CliError, prose, say, show_json
from edgectl.errors import BadInput, Unreachable
from edgectl.sitefile.load import load_site

JOURNAL_LINES: Final = 5000
FILE_MOST_BYTES: Final = 4_000_000
CRASHES_MOST: Final = 5
_COMMAND_S: Final = 20

_SECRET_MARKS: Final = ("PRIVATE KEY", "password", "passwd", "secret", "Authorization")
_LEFT_OUT: Final = "-- left out by edgectl bundle --"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `bundle`."""
    parser = subparsers.add_parser(
        "bundle",
        help="one archive for whoever helps from afar",
        description=prose(
            "Writes a .tar.gz with the daemon's answers, the site file, profiles of the owner, the "
            "service's log, crash records and what `doctor` found. Keys, passwords, the outbox and "
            "the state are never in it, and lines that look like secrets are left out. Look into "
            "it before you send it. What the flight recorder has of the time in question goes "
            "beside it: `edgectl replay --from TIME --to TIME --save FILE`."
        ),
        epilog="example:\n  edgectl bundle depot-north.tar.gz",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", type=Path, help="the archive to write")
    add_place_options(parser)
    add_socket_option(parser)


def run(args: argparse.Namespace) -> int:
    """Write it."""
    if args.file.exists():
        raise CliError(
            exit_code=BAD_INPUT,
            code="exists",
            message=f"{args.file} is there already",
            remedy="name another file, or remove it first",
        )
    names = []
    try:
        # Only the user who asked for it reads it until he gives it away.
        with (
            os.fdopen(os.open(args.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as raw,
            tarfile.open(fileobj=raw, mode="w:gz") as archive,
        ):
            for name, text in contents(args):
                data = _without_secrets(text).encode(errors="replace")[-FILE_MOST_BYTES:]
                entry = tarfile.TarInfo(f"edgectl-bundle/{name}")
                entry.size = len(data)
                entry.mode = 0o600
                archive.addfile(entry, io.BytesIO(data))
                names.append(name)
    except OSError as fault:
        raise CliError(
            exit_code=BAD_INPUT,
            code="not_written",
            message=f"{args.file} cannot be written: {fault.strerror}",
            remedy="name a file in a folder that exists, where there is room",
        ) from fault
    if args.json:
        show_json({"file": str(args.file), "contents": names})
    else:
        say(f"{args.file}: {', '.join(names)}")
        say("Look into it (tar tzf, tar xzf) before you send it.")
    return DONE


def contents(args: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """Every file of the archive: its name and its text."""
    versions = (f"edgectl {__version__}", f"Python {platform.python_version()}")
    yield "version.txt", "\n".join((*versions, platform.platform(), ""))
    client = Client(socket_path(args))
    for name in ("status", "devices", "events", "health"):
        yield f"{name}.json", _answer(client, name)
    yield "doctor.json", json.dumps([asdict(one) for one in examine(args)], indent=2)
    yield from _site(args.config)
    yield from _crashes(args.state)
    for name, words in (
        ("journal.txt", ("journalctl", "-u", "edgectl", "-n", str(JOURNAL_LINES), "--no-pager")),
        ("service.txt", ("systemctl", "status", "edgectl", "--no-pager", "--full")),
        ("clock.txt", ("timedatectl",)),
        ("network.txt", ("ip", "-brief", "address")),
        ("disk.txt", ("df", "-h")),
    ):
        yield name, _output(words)


def _answer(client: Client, name: str) -> str:
    try:
        return json.dumps(client.get(name), indent=2)
    except (Unreachable, CliError) as fault:
        return f"{fault.message}\n{fault.remedy}\n"


def _site(config: Path) -> Iterator[tuple[str, str]]:
    yield "site.yaml", _file(config)
    try:
        answer: Any = answer_of(load_site(config))
    except BadInput as bad:
        answer = {"errors": [asdict(finding) for finding in bad.findings]}
    yield "check.json", json.dumps(answer, indent=2)
    profiles = config.parent / "profiles"
    for path in sorted(profiles.glob("*.yaml")) if profiles.is_dir() else []:
        yield f"profiles/{path.name}", _file(path)


def _crashes(state: Path) -> Iterator[tuple[str, str]]:
    try:
        found = sorted(path for path in state.glob("broken-step-*.json") if path.is_file())
    except OSError:
        return
    for path in found[-CRASHES_MOST:]:
        yield f"crashes/{path.name}", _file(path)


def _file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as fault:
        return f"{path} cannot be read: {fault.strerror}\n"


def _output(words: tuple[str, ...]) -> str:
    program = shutil.which(words[0])
    if program is None:
        return f"{words[0]} is not on this machine\n"
    try:
        done = subprocess.run(  # noqa: S603 - programs of the system with fixed words
            [program, *words[1:]],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_COMMAND_S,
        )
    except (OSError, subprocess.TimeoutExpired) as fault:
        return f"{words[0]}: {fault}\n"
    return done.stdout + done.stderr


def _without_secrets(text: str) -> str:
    """Leave out blocks of PEM and lines that look like a secret."""
    kept: list[str] = []
    inside = False
    for line in text.splitlines():
        begins = "-----BEGIN" in line
        looks = any(mark.lower() in line.lower() for mark in _SECRET_MARKS)
        if inside or begins or (looks and "password_file" not in line):
            if not kept or kept[-1] != _LEFT_OUT:
                kept.append(_LEFT_OUT)
        else:
            kept.append(line)
        inside = (inside or begins) and "-----END" not in line
    return "\n".join(kept) + "\n"
