"""One run of `edgectl simulate`: from a site and files to figures and pictures."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

from edgectl.errors import BadInput, Finding, StorageFailed
from edgectl.model.ceiling import TimedCeiling
from edgectl.model.site import Node, Site
from edgectl.simulator.session_file import Recorded, read_sessions
from edgectl.simulator.sizing.announcements import Announced, read_announcements
from edgectl.simulator.sizing.base_load_file import LoadProfile, read_load_profile
from edgectl.simulator.sizing.drive import Decide, drive, prompt_site
from edgectl.simulator.sizing.pictures import day_picture, load_picture, sessions_picture
from edgectl.simulator.sizing.report import (
    PER_SESSION,
    Report,
    Run,
    per_session_csv,
    report_of,
)
from edgectl.simulator.sizing.stays import place
from edgectl.simulator.sizing.yard import Yard
from edgectl.simulator.table_file import bad_file
from edgectl.units import NodeId, OptionalTriple

REPORT: Final = "report.json"
LOAD_PICTURE: Final = "load.svg"
DAY_PICTURE: Final = "busiest-day.svg"
SESSIONS_PICTURE: Final = "sessions.svg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is asked for. `only`: sessions of that site in the file; `scale`: by node."""

    sessions: Path
    policy: str
    tick_s: float
    base_load: Path | None = None
    base_load_node: str | None = None
    user_inputs: Path | None = None
    only: str | None = None
    assign: bool = False
    scale: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """The real control, which comes in from outside. `rules_off`: names of rules that are off."""

    decide: Decide
    ceilings: Callable[[Site], Callable[[float], tuple[TimedCeiling, ...]]]
    rules_off: Sequence[str] = ()


def size(
    site: Site, options: Options, controller: Controller, *, progress: Callable[[float], None]
) -> Run:
    """Run all sessions of a file through the controller; BadInput names what cannot be used.

    `progress` is told the finished part, from 0 to 1.
    """
    site = prompt_site(scaled(site, options.scale))
    rows = _rows(options)
    announced = _announced(options, rows)
    placed = place(
        rows, site, announced=announced, assign=options.assign, file=str(options.sessions)
    )
    first_s = min(row.arrival_utc_s for row in rows)
    start_s = first_s - first_s % options.tick_s - options.tick_s
    until_s = max(row.departure_utc_s for row in rows) + options.tick_s
    base = _base(options, start_s, until_s)
    yard = Yard(site, placed.stays, base=base, base_node=_base_node(site, options), start_s=start_s)
    decisions = drive(
        site,
        yard,
        decide=controller.decide,
        ceilings=controller.ceilings(site),
        tick_s=options.tick_s,
        until_s=until_s,
        progress=lambda now_s: progress((now_s - start_s) / (until_s - start_s)),
    )
    return Run(
        site=site,
        policy=options.policy,
        tick_s=options.tick_s,
        from_utc_s=start_s,
        until_utc_s=until_s,
        visits=tuple(yard.done),
        left_out=placed.left_out,
        announced=None
        if options.user_inputs is None
        else sum(visit.stay.row.session_id in announced for visit in yard.done),
        flowed=yard.flowed,
        decisions=decisions,
        rules_off=controller.rules_off,
        scaled=dict(options.scale),
        base_load_moved_weeks=None if base is None else base.moved_weeks,
    )


def make_folder(out: Path) -> None:
    """Make the folder for the report, and try it, before hours of work depend on it."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=out):
            pass
    except OSError as fault:
        raise _not_written(out, fault) from fault


def write(run: Run, out: Path) -> Report:
    """Write report, sessions and pictures into a folder that is there."""
    report = report_of(run)
    texts = {
        REPORT: json.dumps(report, indent=2) + "\n",
        PER_SESSION: per_session_csv(run.visits),
        LOAD_PICTURE: load_picture(run),
        DAY_PICTURE: day_picture(run),
        SESSIONS_PICTURE: sessions_picture(run),
    }
    try:
        for name, text in texts.items():
            (out / name).write_text(text, encoding="utf-8")
    except OSError as fault:
        raise _not_written(out, fault) from fault
    return report


def _not_written(out: Path, fault: OSError) -> StorageFailed:
    return StorageFailed(f"{out} cannot be written: {fault.strerror}")


def scaled(site: Site, factors: Mapping[str, float]) -> Site:
    """The site with all ceilings of some nodes multiplied, the primary side's included."""
    unknown = set(factors) - {node.id for node in site.nodes}
    if unknown:
        known = ", ".join(node.id for node in site.nodes)
        raise BadInput(
            [
                Finding(
                    file="--scale-limit",
                    line=0,
                    path=name,
                    code="unknown_node",
                    message=f"there is no node {name} in site {site.id}",
                    remedy=f"its nodes are {known}",
                )
                for name in sorted(unknown)
            ]
        )
    nodes = tuple(_scaled(node, factors.get(node.id, 1.0)) for node in site.nodes)
    return replace(site, nodes=nodes)


def _scaled(node: Node, factor: float) -> Node:
    if factor == 1.0:
        return node
    return replace(
        node,
        limit_a=_times(node.limit_a, factor),
        limit_va=None if node.limit_va is None else node.limit_va * factor,
        primary_limit_a=_times(node.primary_limit_a, factor),
        margin_a=None if node.margin_a is None else node.margin_a * factor,
    )


def _times(limits: OptionalTriple, factor: float) -> OptionalTriple:
    one, two, three = (None if limit is None else limit * factor for limit in limits)
    return (one, two, three)


def _rows(options: Options) -> tuple[Recorded, ...]:
    rows = read_sessions(options.sessions)
    if options.only is None:
        return rows
    chosen = tuple(row for row in rows if row.site == options.only)
    if chosen:
        return chosen
    raise BadInput(
        [
            Finding(
                file=str(options.sessions),
                line=1,
                path="site",
                code="no_sessions",
                message=f"there is no session of site {options.only!r} in the file",
                remedy=f"its sites are {', '.join(sorted({row.site for row in rows}))}",
            )
        ]
    )


def _announced(options: Options, rows: Sequence[Recorded]) -> Mapping[str, Announced]:
    if options.user_inputs is None:
        return {}
    announced = read_announcements(options.user_inputs)
    if announced.keys().isdisjoint(row.session_id for row in rows):
        raise bad_file(
            options.user_inputs,
            line=2,
            code="no_match",
            message=f"none of its {len(announced)} announcements is of a session that is simulated",
            remedy=f"name a file with the session ids of {options.sessions}, such as"
            f" {rows[0].session_id!r}",
        )
    return announced


def _base(options: Options, start_s: float, until_s: float) -> LoadProfile | None:
    if options.base_load is None:
        return None
    return read_load_profile(options.base_load, from_s=start_s, until_s=until_s)


def _base_node(site: Site, options: Options) -> int:
    if options.base_load_node is None:
        return 0
    for n, node in enumerate(site.nodes):
        if node.id == NodeId(options.base_load_node):
            return n
    raise BadInput(
        [
            Finding(
                file="--base-load-node",
                line=0,
                path=options.base_load_node,
                code="unknown_node",
                message=f"there is no node {options.base_load_node} in site {site.id}",
                remedy=f"its nodes are {', '.join(node.id for node in site.nodes)}",
            )
        ]
    )
