"""`edgectl simulate`: what a depot delivers with recorded or planned sessions, in virtual time."""

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, TextIO
from zoneinfo import ZoneInfo

from edgectl.cli.output import BAD_INPUT, DONE, CliError, prose, show_json, show_lines, table
from edgectl.control.step import step
from edgectl.model.ceiling import TimedCeiling
from edgectl.model.policy import Policy
from edgectl.model.site import Site
from edgectl.planning.caps import cap_ceilings
from edgectl.simulator.sizing.report import NodeReport, Report
from edgectl.simulator.sizing.run import Controller, Options, make_folder, size, write
from edgectl.sitefile.load import load_site

_TICK_S: Final = (1.0, 900.0)
_CAPS_AGAIN_S: Final = 3600.0
_BAR: Final = 30


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `simulate`."""
    parser = subparsers.add_parser(
        "simulate",
        help="what a depot delivers with recorded or planned sessions",
        description=prose(
            "Runs the real control on a site file and a file of charging sessions, in virtual "
            "time: how much energy would every vehicle get, and how heavily is every node loaded? "
            "Chargers and vehicles follow at once and draw evenly; nothing fails."
        ),
        epilog="examples:\n"
        "  edgectl simulate --site site.yaml --sessions sessions.csv\n"
        "  edgectl simulate --site site.yaml --sessions sessions.csv --policy deadline \\\n"
        "      --scale-limit grid=0.5 --out half\n\n"
        "sessions.csv: site,session_id,evse,arrival_utc,departure_utc,energy_kwh,\n"
        "              max_power_kw,phases (the last two may be blank)\n"
        "load.csv:     timestamp_utc,kw (each value until the next one)\n"
        "inputs.csv:   session_id,requested_kwh,estimated_departure_utc",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--site", type=Path, required=True, metavar="FILE", help="site file")
    parser.add_argument("--sessions", type=Path, required=True, metavar="FILE", help="CSV")
    parser.add_argument(
        "--base-load", type=Path, metavar="FILE", help="CSV of the load beside the EVSEs"
    )
    parser.add_argument(
        "--base-load-node", metavar="NODE", help="where it is connected (default: the grid node)"
    )
    parser.add_argument(
        "--user-inputs",
        type=Path,
        metavar="FILE",
        help="CSV of what drivers announced; otherwise true energy and departure are announced",
    )
    parser.add_argument(
        "--policy",
        choices=[policy.value for policy in Policy],
        help="default: what the site file says",
    )
    parser.add_argument(
        "--tick", type=float, default=60.0, metavar="S", help="seconds between decisions (60)"
    )
    parser.add_argument(
        "--scale-limit",
        action="append",
        default=[],
        metavar="NODE=FACTOR",
        help="multiply all ceilings of a node; may be given again",
    )
    parser.add_argument("--only", metavar="SITE", help="take the sessions of one site in the file")
    parser.add_argument(
        "--assign",
        action="store_true",
        help="give every session the first free EVSE, whatever the file says",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("simulate-report"),
        metavar="DIR",
        help="where report and pictures go (simulate-report)",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args: argparse.Namespace) -> int:
    """Run the simulation."""
    if not _TICK_S[0] <= args.tick <= _TICK_S[1]:
        raise _usage(
            f"--tick {args.tick:g} is out of range",
            f"give {_TICK_S[0]:g} to {_TICK_S[1]:g} seconds",
        )
    scale = _scales(args.scale_limit)
    loaded = load_site(args.site)
    sharing = loaded.site.sharing
    policy = sharing.policy if args.policy is None else Policy(args.policy)
    site = replace(loaded.site, sharing=replace(sharing, policy=policy))
    options = Options(
        sessions=args.sessions,
        policy=policy.value,
        tick_s=args.tick,
        base_load=args.base_load,
        base_load_node=args.base_load_node,
        user_inputs=args.user_inputs,
        only=args.only,
        assign=args.assign,
        scale=scale,
    )
    make_folder(args.out)
    controller = Controller(decide=step, ceilings=_caps)
    finished = size(site, options, controller, progress=_Progress(sys.stderr))
    report = write(finished, args.out)
    if args.json:
        show_json(report)
    else:
        show_lines(summary(report, args.out))
    return DONE


def summary(report: Report, out: Path) -> list[str]:
    """What a person wants to know first."""
    period = f"{report['from_utc']} to {report['until_utc']}"
    lines = [
        f"{report['site']}: {report['sessions']} sessions, {period}",
        f"policy {report['policy']}, a decision every {report['tick_s']:g} s",
    ]
    if report["sessions_left_out"]:
        lines.append(f"{report['sessions_left_out']} sessions found no EVSE or no time: left out")
    if report.get("sessions_announced", report["sessions"]) < report["sessions"]:
        lines.append(
            f"announcements for {report['sessions_announced']} of them; for the others the true"
            " energy and departure are announced"
        )
    if report.get("base_load_moved_weeks"):
        lines.append(f"the base load was moved by {report['base_load_moved_weeks']} weeks")
    if report["sessions"]:
        got, asked = report["energy_delivered_kwh"], report["energy_asked_kwh"]
        lines += [
            "",
            f"delivered  {got:.0f} of {asked:.0f} kWh: {report['energy_delivered_pct']:.1f} %",
            f"full       {report['sessions_full_pct']:.1f} % of the sessions",
        ]
    rows = [_row(name, node) for name, node in report["nodes"].items()]
    heads = ("NODE", ">CEILING A", ">PEAK A", ">PEAK kW", ">15 min kW", ">LOAD FACTOR")
    return [*lines, "", *table(heads, rows), "", f"report and pictures: {out}"]


def _row(name: str, node: NodeReport) -> tuple[str, ...]:
    ceilings = [amps for amps in node.get("ceiling_a", []) if amps is not None]
    return (
        name,
        f"{min(ceilings):.1f}" if ceilings else "-",
        f"{max(node['peak_a']):.1f}",
        f"{node['peak_kw']:.1f}",
        f"{node['demand_15min_kw']:.1f}",
        f"{node['load_factor']:.2f}" if "load_factor" in node else "-",
    )


def _scales(texts: Sequence[str]) -> dict[str, float]:
    scale: dict[str, float] = {}
    for text in texts:
        node, factor = _scale(text)
        if node in scale:
            raise _usage(
                f"--scale-limit names {node} twice", "give each node once, with one factor"
            )
        scale[node] = factor
    return scale


def _scale(text: str) -> tuple[str, float]:
    node, _, factor = text.partition("=")
    try:
        value = float(factor)
    except ValueError:
        value = math.nan
    if not node or not 0.0 < value < 1e6:
        raise _usage(f"--scale-limit {text!r} is not NODE=FACTOR", "write it as grid=0.5")
    return node, value


def _caps(site: Site) -> Callable[[float], tuple[TimedCeiling, ...]]:
    """The operator's caps, worked out again every hour as the daemon does."""
    zone = ZoneInfo(site.timezone)
    known: tuple[TimedCeiling, ...] = ()
    known_s = -math.inf

    def at(utc_s: float) -> tuple[TimedCeiling, ...]:
        nonlocal known, known_s
        if utc_s - known_s >= _CAPS_AGAIN_S:
            known = cap_ceilings(site.caps, zone=zone, now_utc_s=utc_s)
            known_s = utc_s
        return known

    return at


def _usage(message: str, remedy: str) -> CliError:
    return CliError(exit_code=BAD_INPUT, code="usage", message=message, remedy=remedy)


class _Progress:
    """A bar on a terminal, else a line for every tenth; on stderr, so that --json stays clean."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = stream.isatty()
        self._shown = 0

    def __call__(self, part: float) -> None:
        steps = int(min(part, 1.0) * (100 if self._live else 10))
        if steps <= self._shown:
            return
        self._shown = steps
        if self._live:
            done = int(_BAR * min(part, 1.0))
            end = "\n" if steps == 100 else ""
            bar = "#" * done + "." * (_BAR - done)
            self._stream.write(f"\r[{bar}] {steps:3d} %{end}")
        else:
            self._stream.write(f"{10 * steps} %\n")
        self._stream.flush()
