"""`make sim`: the whole daemon on drawn sites, with drawn faults, until enough hours are over."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from edgectl.simulator.trial.trial import Trial, draw_trial, switches
from edgectl.simulator.trial.verdict import Verdict
from tests.trials.series import BadSeries, Series, first_caught, judged, part_of, quiet, shrunk

ACTING = ("s1", "s2", "s3", "s4", "s5", "s6", "s8", "s9", "s10", "s11", "s12", "s13", "s14", "s15")
ACTING_TOO = ("s16", "s18")
BAR = 30


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    quiet()
    without = tuple(name for name in args.without.split(",") if name)
    try:
        if args.rules:
            return show_rules(seeds=args.rules, jobs=args.jobs)
        if args.seed is not None:
            return repeat(args, without)
        return series(args, without)
    except (BadSeries, ValueError) as error:
        print(error, file=sys.stderr)
        return 2


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="make sim", description=__doc__)
    made.add_argument("--hours", type=float, default=250.0, help="site-hours to run (250)")
    made.add_argument("--first", type=int, default=0, help="the first seed (0)")
    made.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at once")
    made.add_argument("--resume", type=Path, help="a file that keeps the series, to go on with it")
    made.add_argument("--no-shrink", action="store_true", help="leave a failing seed as it is")
    made.add_argument("--without", default="", help="rules to switch off, such as s4,s9")
    made.add_argument("--rules", type=int, metavar="SEEDS", help="per rule the seed that needs it")
    made.add_argument("--seed", type=int, help="run one seed and say what it breaches")
    for name in ("faults", "orders", "evses"):
        made.add_argument(f"--{name}", help=f"of the seed, keep these {name} only; - for none")
    return made


def series(args: argparse.Namespace, without: tuple[str, ...]) -> int:
    run = Series(without=without, path=args.resume)
    run.load()
    began_s, before_h = time.monotonic(), run.hours
    for verdict in run.run(hours=args.hours, first=args.first, jobs=args.jobs):
        if verdict.breaches:
            clear()
            tell(verdict, without)
        show(run, hours=args.hours, since_s=time.monotonic() - began_s, before_h=before_h)
    clear()
    print(
        f"{run.hours:.1f} site-hours, {len(run.verdicts)} trials, {run.faults} faults,"
        f" {len(run.breached)} breached"
    )
    for verdict in run.breached[:3]:
        if not args.no_shrink:
            say_shrunk(verdict, without)
    return 1 if run.breached else 0


def repeat(args: argparse.Namespace, without: tuple[str, ...]) -> int:
    trial = draw_trial(args.seed).without(without)
    trial = trial.only(
        faults=numbers(args.faults),
        orders=numbers(args.orders),
        evses=None if args.evses is None else frozenset(args.evses.split(",")),
    )
    site = trial.loaded.site
    print(
        f"seed {trial.seed}: {len(site.nodes)} nodes, {len(site.evses)} EVSEs,"
        f" {len(site.meters)} meters, {trial.duration_s:g} s"
    )
    for at, fault in enumerate(draw_trial(args.seed).faults):
        if fault in trial.faults:
            print(f"  fault {at}: {fault.kind} {fault.id}, {fault.at_s} to {fault.until_s} s")
    verdict = judged(trial)
    for breach in verdict.breaches:
        print(f"  {breach}")
    print(f"{len(verdict.breaches)} breaches, record {verdict.record}")
    return 1 if verdict.breaches else 0


def show_rules(*, seeds: int, jobs: int) -> int:
    """Per acting rule the first seed that is breached when it is off."""
    there = switches()
    for rule in (*ACTING, *ACTING_TOO):
        if rule not in there:
            print(f"{rule:4} has no switch yet")
            continue
        caught = first_caught(rule, seeds=seeds, jobs=jobs)
        if caught is None:
            print(f"{rule:4} no seed of {seeds} needs it", flush=True)
        else:
            print(f"{rule:4} seed {caught.seed}: {str(caught.breaches[0])[:150]}", flush=True)
    return 0


def tell(verdict: Verdict, without: tuple[str, ...]) -> None:
    print(f"seed {verdict.seed} is breached {len(verdict.breaches)} times:")
    for breach in verdict.breaches[:3]:
        print(f"  {breach}")
    print(f"  repeat it with: {command(verdict.seed, without)}", flush=True)


def say_shrunk(verdict: Verdict, without: tuple[str, ...]) -> None:
    print(f"shrinking seed {verdict.seed} ...", flush=True)
    trial: Trial = draw_trial(verdict.seed).without(without)
    parts = shrunk(trial, {breach.check for breach in verdict.breaches})
    part = part_of(trial, parts)
    more = (
        f" --faults {listed(parts.faults)} --orders {listed(parts.orders)}"
        f" --evses {','.join(parts.evses)}"
    )
    kinds = ", ".join(f"{fault.kind} {fault.id}" for fault in part.faults) or "no fault"
    print(f"  still breached with {kinds}; {len(part.orders)} orders; {len(parts.evses)} EVSEs:")
    print(f"  {command(verdict.seed, without, more)}", flush=True)


def command(seed: int, without: tuple[str, ...], more: str = "") -> str:
    off = f" --without {','.join(without)}" if without else ""
    return f'make sim ARGS="--seed {seed}{more}{off}"'


def listed(numbers: tuple[int, ...]) -> str:
    return ",".join(str(number) for number in numbers) or "-"


def numbers(text: str | None) -> frozenset[int] | None:
    if text is None:
        return None
    return frozenset(int(one) for one in text.split(",") if one != "-")


def show(run: Series, *, hours: float, since_s: float, before_h: float) -> None:
    if not sys.stdout.isatty():
        return
    done = min(1.0, run.hours / hours)
    speed = (run.hours - before_h) / max(since_s, 1e-9)
    left_s = (hours - run.hours) / speed if speed > 0.0 else 0.0
    bar = "#" * int(BAR * done)
    print(
        f"\r[{bar:<{BAR}}] {run.hours:.1f} of {hours:g} h, {run.faults} faults,"
        f" {len(run.breached)} breached, {max(0.0, left_s) / 60.0:.0f} min left ",
        end="",
        flush=True,
    )


def clear() -> None:
    if sys.stdout.isatty():
        print("\r" + " " * 79 + "\r", end="")


if __name__ == "__main__":
    sys.exit(main())
