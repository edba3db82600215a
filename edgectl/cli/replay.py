"""`edgectl replay`: run recorded steps again, as they were or with another site file."""

import argparse
import contextlib
import os
from datetime import UTC, datetime, time
from math import inf
from pathlib import Path
from typing import IO, Final, Self

from edgectl import __version__
from edgectl.cli.journal_source import JournalSource, bad, broken_step
from edgectl.cli.output import BAD_INPUT, DONE, NO, CliError, prose, show_json, show_lines
from edgectl.cli.replay_answer import ReplayAnswer
from edgectl.cli.rerun import Rerun, Summary, rerun
from edgectl.contract.segment import SegmentWriter
from edgectl.sitefile.load import load_site

JOURNAL: Final = Path("/var/lib/edgectl/journal")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `replay`."""
    parser = subparsers.add_parser(
        "replay",
        help="run recorded steps again, with the same or another site file",
        description=prose(
            "Decides every recorded step again from what was known then. The same must come out, "
            "bit for bit. With --site it shows what that site file would have told each EVSE. Exit "
            "code: 0 as recorded (with --site: done), 1 something differs or a step breaks, 2 the "
            "journal cannot be read."
        ),
        epilog="examples:\n"
        "  edgectl replay                                    all recorded on this gateway\n"
        "  edgectl replay --from 02:10 --to 02:20            ten minutes of it, in UTC\n"
        "  edgectl replay case.jsonl.gz --site new.yaml      what that file would tell\n"
        "  edgectl replay --from 02:10 --save case.jsonl.gz  cut a case out",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        type=Path,
        default=JOURNAL,
        help="a segment of the journal, a folder of them, or the record of a broken step "
        f"(default {JOURNAL})",
    )
    parser.add_argument("--from", dest="since", metavar="TIME", help="begin here")
    parser.add_argument(
        "--to",
        dest="until",
        metavar="TIME",
        help="end here; TIME is 2026-05-01T02:10:00Z, or 02:10 for UTC on the first recorded day",
    )
    parser.add_argument("--site", metavar="FILE", type=Path, help="decide for this site file")
    parser.add_argument(
        "--profiles",
        metavar="DIR",
        type=Path,
        action="append",
        help="a folder of device profiles for --site, in place of the usual ones; may be repeated",
    )
    parser.add_argument(
        "--save",
        metavar="FILE",
        type=Path,
        help="write these steps as a journal of their own, with what was decided now",
    )
    parser.add_argument("--json", action="store_true", help="answer as JSON")


def run(args: argparse.Namespace) -> int:
    """Replay; the exit code."""
    broken = broken_step(args.file)
    if broken is not None:
        head, one, error = broken
        (again,) = rerun([(head, one)])
        return _say_broken(again, error, as_json=args.json)
    site = None
    if args.site is not None:
        site = load_site(args.site, profile_dirs=args.profiles).site
    source = JournalSource(args.file)
    begin_utc_s = source.begin_utc_s()
    from_utc_s = _moment(args.since, "--from", begin_utc_s, default=-inf)
    until_utc_s = _moment(args.until, "--to", begin_utc_s, default=inf)
    steps = source.steps(from_utc_s=from_utc_s, until_utc_s=until_utc_s)
    summary = Summary()
    with _Saved(args.save) as saved:
        for again in rerun(steps, other_site=site):
            if from_utc_s <= again.recorded.now.utc_s <= until_utc_s:
                summary.take(again)
                saved.add(again)
    if not summary.steps:
        raise bad(args.file, "no step is recorded in that time", "choose another --from and --to")
    answer = ReplayAnswer(summary, source, other_site=site is not None)
    if args.json:
        show_json(answer.json())
    else:
        show_lines(answer.lines())
    return DONE if answer.ok else NO


def _say_broken(again: Rerun, error: str, *, as_json: bool) -> int:
    if as_json:
        show_json({"ok": again.broke is None, "recorded": error, "now": again.broke})
    else:
        show_lines([f"recorded: {error}", f"now:      {again.broke or 'the step does not break'}"])
    return DONE if again.broke is None else NO


def _moment(text: str | None, option: str, begin_utc_s: float, *, default: float) -> float:
    """A time as somebody types it; without a date on the first recorded day, without zone UTC."""
    if text is None:
        return default
    try:
        if text[2:3] == ":":
            first_day = datetime.fromtimestamp(begin_utc_s, UTC).date()
            return datetime.combine(first_day, time.fromisoformat(text), tzinfo=UTC).timestamp()
        found = datetime.fromisoformat(text)
    except ValueError as fault:
        raise CliError(
            exit_code=BAD_INPUT,
            code="usage",
            message=f"{option} {text}: this is no time",
            remedy="write it as 2026-05-01T02:10:00Z or as 02:10",
        ) from fault
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()


class _Saved:
    """The journal that `--save` asks for; it has its name only when it is whole."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._writer = SegmentWriter(version=__version__)
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        if self._path is not None:
            try:
                self._file = self._part(self._path).open("wb")
            except OSError as fault:
                raise _not_written(self._path, fault) from fault
        return self

    def add(self, one: Rerun) -> None:
        """Write one step, as it was decided now."""
        self._write(self._writer.add(one.record))

    def __exit__(self, kind: object, *_: object) -> None:
        if self._file is None or self._path is None:
            return
        part = self._part(self._path)
        if kind is None:
            self._write(self._writer.end())
            self._file.close()
            os.replace(part, self._path)  # noqa: PTH105 - the same, and as short
            return
        self._file.close()
        with contextlib.suppress(OSError):
            part.unlink()

    def _write(self, data: bytes) -> None:
        if self._file is None or self._path is None:
            return
        try:
            self._file.write(data)
        except OSError as fault:
            raise _not_written(self._path, fault) from fault

    def _part(self, path: Path) -> Path:
        return path.with_name(f"{path.name}.part")


def _not_written(path: Path, fault: OSError) -> CliError:
    return CliError(
        exit_code=BAD_INPUT,
        code="not_written",
        message=f"{path} cannot be written: {fault.strerror}",
        remedy="name a file in a folder that exists and that you may write to, where there is room",
    )
