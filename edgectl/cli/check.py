"""`edgectl check`: prove a site file before it is used. It starts nothing and asks no device."""

import argparse
import textwrap
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from edgectl.cli.output import (
    BAD_INPUT,
    DONE,
    NO,
    fail_with_findings,
    folded,
    show_json,
    terminal_width,
)
from edgectl.control.static import SLOWER_THAN_TRIP, LinkProof, NodeProof, PrimaryProof
from edgectl.errors import BadInput, Finding
from edgectl.sitefile.load import LoadedSite, load_site
from edgectl.units import PHASES

SITE_FILE: Final = Path("/etc/edgectl/site.yaml")

_REACTION: Final = (">meter", ">decide", ">write", ">timeout", ">follow", ">reacts", ">trip")
_REACTION_LEGEND: Final = (
    "s until an unforeseen step is answered: its meter shows it, the daemon decides, the slowest "
    "link writes each EVSE once, a request times out, the vehicle follows. The meter is late where "
    "its link has more to ask than fits. Twice all of it where a meter watches EVSEs without "
    "readings: they may draw less than they were told."
)
_LINKS: Final = ("link", "kind", ">meters", ">evses", ">busy", ">write all", ">timeout")
_LINKS_LEGEND: Final = (
    "busy: share of the time that polls and keep-alives take. write all: s to write each EVSE once."
)
_FIGURES: Final = (">limit", ">base", ">failsafe", ">return", ">short", ">reacts", ">trip")
_LEGEND: Final = (
    "A per phase, kVA for the sum. base: worst base load of everything below. failsafe: EVSEs when "
    "all gateways are dead. return: EVSEs when site power returns. short: what does not fit. "
    "reacts: longest overload after an unforeseen step, in s. pri: lines that feed a transformer."
)
_WIDTH: Final = 80
_ID_WIDTH: Final = 18


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the parser of `check`."""
    parser = subparsers.add_parser(
        "check",
        help="prove a site file before it is used",
        description="Read a site file whole, name everything that is wrong in it, and prove what "
        "flows when nobody controls. Exit code: 0 safe to use, 1 a risk is not accepted, "
        "2 something is wrong in it.",
    )
    parser.add_argument(
        "site", nargs="?", type=Path, default=SITE_FILE, help=f"site file (default: {SITE_FILE})"
    )
    parser.add_argument(
        "--profiles",
        type=Path,
        action="append",
        metavar="DIR",
        help="folder of device profiles, in place of the usual ones; may be repeated",
    )
    parser.add_argument(
        "--details",
        action="store_true",
        help="also show where the reaction's time goes and what each link carries",
    )
    parser.add_argument("--json", action="store_true", help="answer as JSON")


def run(args: argparse.Namespace) -> int:
    """Check the file; the exit code."""
    try:
        loaded = load_site(args.site, profile_dirs=args.profiles)
    except BadInput as error:
        if args.json:
            show_json(_answer(errors=error.findings))
        else:
            fail_with_findings(error.findings, as_json=False)
        return BAD_INPUT
    if args.json:
        show_json(answer_of(loaded))
    else:
        for line in report_of(loaded, file=str(args.site), details=args.details):
            print(line)
    return NO if loaded.open_risks() else DONE


def answer_of(loaded: LoadedSite) -> dict[str, Any]:
    """Give the answer for programs (contract, section 5)."""
    accepted = loaded.settings.accept_risks
    return _answer(
        ok=not loaded.open_risks(),
        warnings=loaded.warnings,
        nodes={node: _node_json(proof) for node, proof in loaded.proof.nodes.items()},
        links={link: _link_json(proof) for link, proof in loaded.proof.links.items()},
        risks=[
            {"name": r.name, "text": r.text, "node": r.node, "accepted": r.name in accepted}
            for r in loaded.proof.risks
        ],
    )


def report_of(loaded: LoadedSite, *, file: str, details: bool = False) -> list[str]:
    """Give the answer for people, in 80 columns or in those of a narrower terminal."""
    site = loaded.site
    head = (
        f"{file}: site {site.id}: {len(site.nodes)} node(s), {len(site.meters)} meter(s), "
        f"{len(site.evses)} EVSE(s), mode {site.mode}"
    )
    lines = [
        *_wrap(head),
        "",
        *folded(
            ("node", "row", *_FIGURES),
            [row for proof in loaded.proof.nodes.values() for row in _rows(proof)],
            width=terminal_width(),
            keep=2,
        ),
        "",
        *_wrap(_LEGEND),
    ]
    if details:
        lines += ["", *_reaction_lines(loaded), "", *_link_lines(loaded)]
    if loaded.warnings:
        lines += ["", "warnings:"]
        for warning in loaded.warnings:
            lines += _wrap(str(warning), indent="  ")
    if loaded.proof.risks:
        lines += ["", "risks:"]
        for risk in loaded.proof.risks:
            taken = risk.name in loaded.settings.accept_risks
            lines += _wrap(f"{risk.name}{' (accepted)' if taken else ''}", indent="  ")
            lines += _wrap(risk.text, indent="      ")
    lines += ["", *_verdict(loaded)]
    return lines


def _reaction_lines(loaded: LoadedSite) -> list[str]:
    rows = [
        (
            _short_id(proof.node),
            _figure(found.poll_s),
            f"{found.decide_s:g}",
            *(
                _figure(value)
                for value in (
                    found.write_s,
                    found.timeout_s,
                    found.settle_s,
                    found.total_s,
                    proof.trip_s,
                )
            ),
            _short_id(found.link),
        )
        for proof in loaded.proof.nodes.values()
        if (found := proof.reaction) is not None
    ]
    heads = ("node", *_REACTION, "slowest link")
    return [*folded(heads, rows, width=terminal_width()), "", *_wrap(_REACTION_LEGEND)]


def _link_lines(loaded: LoadedSite) -> list[str]:
    rows = []
    for link in loaded.site.links:
        proof = loaded.proof.links[link.id]
        rows.append(
            (
                _short_id(link.id),
                str(link.kind),
                str(proof.meters),
                str(proof.evses),
                f"{proof.busy_share:.0%}",
                _figure(proof.write_all_s),
                _figure(proof.timeout_s),
            )
        )
    return [*folded(_LINKS, rows, width=terminal_width()), "", *_wrap(_LINKS_LEGEND)]


def _verdict(loaded: LoadedSite) -> list[str]:
    open_risks = loaded.open_risks()
    if not open_risks:
        return ["ok: the daemon will start with this file"]
    names = ", ".join(risk.name for risk in open_risks)
    slow = [risk.name.startswith(SLOWER_THAN_TRIP) for risk in open_risks]
    remedies = []
    if not all(slow):
        remedies.append("change what does not fit (lower failsafe_a, boot_a or base_max_a, fewer")
        remedies.append("chargers), or")
    if any(slow):
        remedies.append("make the reaction shorter (--details shows where its time goes: shorter")
        remedies.append("poll_s of the meter, higher baud, fewer chargers on the slowest link), or")
    return [
        "not ok: the daemon will not start with this file",
        *_wrap(f"{' '.join(remedies)} accept each risk by its name:"),
        f"  accept_risks: [{names}]",
    ]


def _rows(proof: NodeProof) -> list[tuple[str, ...]]:
    """The lines, the sum where it is limited, and the lines that feed a transformer."""
    rows = _line_rows("L", proof)
    if proof.limit_va is not None:
        kilo = (
            proof.limit_va,
            proof.base_max_va,
            proof.failsafe_va,
            proof.return_va,
            proof.short_va,
        )
        rows.append(("kVA", *(_figure(value / 1000) for value in kilo)))
    if proof.primary is not None:
        rows += _line_rows("pri L", proof.primary)
    times = (_figure(proof.physics_s), _figure(proof.trip_s))
    return [
        (_short_id(proof.node), *row, *times) if position == 0 else ("", *row, "", "")
        for position, row in enumerate(rows)
    ]


def _line_rows(name: str, lines: NodeProof | PrimaryProof) -> list[tuple[str, ...]]:
    """One row where all lines are alike, else one each."""
    cells = [
        (
            _figure(lines.limit_a[k]),
            _figure(lines.base_max_a[k]),
            _figure(lines.failsafe_a[k]),
            _figure(lines.return_a[k]),
            _figure(lines.short_a[k]),
        )
        for k in range(3)
    ]
    if len(set(cells)) == 1:
        return [(f"{name}1-3", *cells[0])]
    return [(f"{name}{phase}", *cells[phase - 1]) for phase in PHASES]


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}".removesuffix(".0")


def _short_id(name: str) -> str:
    return name if len(name) <= _ID_WIDTH else name[: _ID_WIDTH - 2] + ".."


def _wrap(text: str, *, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        min(_WIDTH, terminal_width() or _WIDTH),
        initial_indent=indent,
        subsequent_indent=indent + "  " if indent else "",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _answer(
    *,
    ok: bool = False,
    errors: Iterable[Finding] = (),
    warnings: Iterable[Finding] = (),
    nodes: dict[str, Any] | None = None,
    links: dict[str, Any] | None = None,
    risks: Iterable[dict[str, Any]] = (),
) -> dict[str, Any]:
    return {
        "ok": ok,
        "errors": [asdict(finding) for finding in errors],
        "warnings": [asdict(finding) for finding in warnings],
        "nodes": nodes or {},
        "links": links or {},
        "risks": list(risks),
    }


def _node_json(proof: NodeProof) -> dict[str, Any]:
    """Figures of one node; what does not apply is left out."""
    answer = _lines_json(proof)
    if proof.limit_va is not None:
        answer |= {
            "limit_va": proof.limit_va,
            "base_max_va": round(proof.base_max_va, 3),
            "failsafe_va": round(proof.failsafe_va, 3),
            "return_va": round(proof.return_va, 3),
            "short_va": round(proof.short_va, 3),
        }
    if proof.primary is not None:
        answer["primary"] = _lines_json(proof.primary)
    if proof.reaction is not None:
        answer["physics_s"] = round(proof.reaction.total_s, 3)
        answer["reaction"] = {
            name: round(value, 3) if isinstance(value, float) else value
            for name, value in asdict(proof.reaction).items()
        }
    if proof.trip_s is not None:
        answer["trip_s"] = proof.trip_s
    if proof.unwatched:
        answer["no_watchdog"] = list(proof.unwatched)
    return answer


def _lines_json(lines: NodeProof | PrimaryProof) -> dict[str, Any]:
    figures = {
        "base_max_a": _rounded(lines.base_max_a),
        "failsafe_a": _rounded(lines.failsafe_a),
        "return_a": _rounded(lines.return_a),
        "short_a": _rounded(lines.short_a),
    }
    if any(limit is not None for limit in lines.limit_a):
        return {"limit_a": list(lines.limit_a), **figures}
    return figures


def _link_json(proof: LinkProof) -> dict[str, Any]:
    return {
        "meters": proof.meters,
        "evses": proof.evses,
        "busy_share": round(proof.busy_share, 3),
        "write_all_s": round(proof.write_all_s, 3),
        "timeout_s": round(proof.timeout_s, 3),
    }


def _rounded(values: Iterable[float]) -> list[float]:
    return [round(value, 3) for value in values]
