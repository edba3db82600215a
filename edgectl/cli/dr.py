"""`edgectl dr`: events and what they deliver; the ledger as CSV; whether the evidence is whole."""

import argparse
import csv
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TextIO

from edgectl.adapters.evidence import THINNED_TO, read_before_first, read_evidence
from edgectl.adapters.store import read_documents
from edgectl.cli.client import Client, add_socket_option, socket_path
from edgectl.cli.dr_show import dr_lines
from edgectl.cli.output import (
    BAD_INPUT,
    DONE,
    NO,
    CliError,
    prose,
    show_json,
    show_lines,
    terminal_width,
)
from edgectl.model.evidence import ChainName, EvidenceRow, Head, tampering

STATE_FOLDER: Final = Path("/var/lib/edgectl")
FAULTS_SHOWN: Final = 20
_COLUMNS: Final = (
    "event",
    "program",
    "modified",
    "at",
    "side",
    "interval",
    "from",
    "until",
    "baseline_w",
    "baseline_method",
    "baseline_days",
    "limit_w",
    "promised_w",
    "measured_w",
    "delivered_w",
    "shortfall_w",
    "cause",
    "good_part",
    "quality",
    "lifted_part",
    "number",
    "hash",
)


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `dr`."""
    parser = subparsers.add_parser(
        "dr",
        help="demand response: events, what is promised and delivered, the evidence",
        description=prose(
            "Without a word: every event that is in force, who holds it, what is promised and what "
            "is delivered now. `verify` reads the ledger and the audit log on this machine and "
            "finds every row that was changed, taken out or moved. `export` writes the ledger as "
            "CSV. Both work with the daemon stopped, too, and need the right to read its folder. "
            "`edgectl release` sets a voluntary event aside."
        ),
        epilog="examples:\n  edgectl dr\n  sudo edgectl dr verify\n"
        "  sudo edgectl dr export --from 2026-11-01 > november.csv\n"
        '  edgectl release EVENT --for 1h --reason "bus 12 must leave"',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("action", nargs="?", choices=("verify", "export"), help="default: show")
    parser.add_argument(
        "--all", "-a", action="store_true", help="every event, however many there are"
    )
    parser.add_argument(
        "--state",
        metavar="DIR",
        type=Path,
        default=STATE_FOLDER,
        help=f"the daemon's folder, for verify and export (default {STATE_FOLDER})",
    )
    parser.add_argument(
        "--head",
        metavar="NUMBER:HASH",
        action="append",
        default=[],
        help="verify: a row of the ledger as a report told it; may be repeated",
    )
    parser.add_argument("--from", dest="since", metavar="TIME", help="export: rows from then on")
    parser.add_argument("--until", metavar="TIME", help="export: rows that begin before")
    parser.add_argument("--out", metavar="FILE", type=Path, help="export: a file, else stdout")
    add_socket_option(parser)


def run(args: argparse.Namespace) -> int:
    """Show, verify or export; the exit code."""
    if args.action == "verify":
        return _verify(args)
    if args.action == "export":
        return _export(args)
    answer = Client(socket_path(args)).get("dr")
    if args.json:
        show_json(answer)
    else:
        show_lines(dr_lines(answer, width=terminal_width(), every=args.all))
    return DONE


def _evidence(state: Path) -> Path:
    """The file of the chains; one that is gone from beside what was noted of it is the answer."""
    path = state / "evidence.db"
    if path.exists():
        return path
    noted = any(_known(state, chain) for chain in ChainName)
    raise CliError(
        exit_code=NO if noted else BAD_INPUT,
        code="no_evidence",
        message=f"{path} is not there" + (", and rows of it are noted beside it" if noted else ""),
        remedy="ask who removed it; what was reported stands in the region's records"
        if noted
        else "name the daemon's own folder with --state",
    )


def _verify(args: argparse.Namespace) -> int:
    told = [_head(text) for text in args.head]
    path = _evidence(args.state)
    answers = {}
    for chain in ChainName:
        known = _known(args.state, chain)
        if chain is ChainName.LEDGER:
            known.extend(told)
        rows = list(read_evidence(path, chain))
        before = read_before_first(path, chain)
        faults = tampering(chain, rows, before=before, known=known, thinned_to=THINNED_TO[chain])
        newest = rows[-1].head if rows else before
        answers[chain.value] = {
            "ok": not faults,
            "rows": len(rows),
            "newest": newest.number,
            "hash": newest.hash,
            "faults": [{"number": fault.number, "text": fault.text} for fault in faults],
        }
    good = all(one["ok"] for one in answers.values())
    if args.json:
        show_json({"ok": good, "chains": answers})
    else:
        show_lines(_verdicts(answers))
    return DONE if good else NO


def _verdicts(answers: dict[str, dict[str, Any]]) -> list[str]:
    lines = []
    for name, one in answers.items():
        word = "whole" if one["ok"] else "NOT WHOLE"
        lines.append(f"{name}: {word}, {one['rows']} rows, newest")
        lines.append(f"  {one['newest']}:{one['hash']}")
        lines.extend(f"  {fault['text']}" for fault in one["faults"][:FAULTS_SHOWN])
        if len(one["faults"]) > FAULTS_SHOWN:
            lines.append(f"  and {len(one['faults']) - FAULTS_SHOWN} more")
    return lines


def _known(state: Path, chain: ChainName) -> list[Head]:
    """Rows that the daemon noted in its other file: the newest, and any that it missed since."""
    docs = read_documents(state / "state.db", "evidence_head")
    return [
        Head(int(str(doc["number"])), str(doc["hash"]))
        for key, doc in docs.items()
        if key.partition("@")[0] == chain.value
    ]


def _head(text: str) -> Head:
    number, _, digest = text.partition(":")
    if not number.isdigit() or len(digest) != 64:
        raise CliError(
            exit_code=BAD_INPUT,
            code="usage",
            message=f"--head {text} is not NUMBER:HASH",
            remedy="write both as `chain` of a report says them",
        )
    return Head(int(number), digest)


def _export(args: argparse.Namespace) -> int:
    since, until = _moment(args.since), _moment(args.until)
    rows = _chosen(read_evidence(_evidence(args.state), ChainName.LEDGER), since, until)
    with ExitStack() as closing:
        out: TextIO = sys.stdout
        if args.out is not None:
            out = closing.enter_context(_opened(args.out))
        if args.json:
            for row in rows:
                print(json.dumps(row), file=out)
            return DONE
        writer = csv.DictWriter(out, _COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return DONE


def _opened(path: Path) -> TextIO:
    try:
        return path.open("w", newline="", encoding="utf-8")
    except OSError as fault:
        raise CliError(
            exit_code=BAD_INPUT,
            code="not_written",
            message=f"{path} cannot be written: {fault.strerror}",
            remedy="name a file in a folder that exists, where there is room",
        ) from fault


def _chosen(
    rows: Iterator[EvidenceRow], since: float | None, until: float | None
) -> Iterator[dict[str, object]]:
    for row in rows:
        doc = row.doc
        begins = datetime.fromisoformat(str(doc["from"])).timestamp()
        if (since is None or begins >= since) and (until is None or begins < until):
            yield {**doc, "number": row.number, "hash": row.hash}


def _moment(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise CliError(
            exit_code=BAD_INPUT,
            code="usage",
            message=f"{text} is no time",
            remedy="write a day such as 2026-11-24, or a time such as 2026-11-24T16:30Z (UTC)",
        ) from None
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
