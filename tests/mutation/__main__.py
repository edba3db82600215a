"""`make mutate`: do the tests notice when the judgement is changed in one small place?

Every mutant of `edgectl/control` meets the quick tests that pass its line; who lives on meets the
whole daemon's. Results are kept as JSON lines, so that a run can be stopped and gone on with.
"""

import argparse
import hashlib
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from tests.mutation.mutants import Mutant, mutants_of
from tests.mutation.stage import KILLED, NOT_PLANTED, NOT_RUN, SURVIVED, TIMEOUT, Fate, Stage

JUDGEMENT: Final = Path("edgectl/control")
QUICK: Final = ("tests/control", "tests/kernel", "tests/sitefile/test_check.py")
WHOLE: Final = (
    "tests/field",
    "tests/whole/test_actuation.py",
    "tests/whole/test_virtual.py",
    "tests/sizing",
    "tests/sitefile",
    "tests/api/test_reasons.py",
)
FOUND: Final = frozenset({KILLED, TIMEOUT})


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    mutants = _drawn(args)
    _say(f"{len(mutants)} mutants")
    for name, paths in (("quick", QUICK), ("whole", WHOLE))[: 1 if args.quick else 2]:
        known = _kept(args.keep, mutants)
        left = [
            mutant
            for mutant in mutants
            if (before := known.get(mutant.id)) is None
            or (name == "whole" and before["stage"] == "quick" and before["status"] not in FOUND)
        ]
        if left:
            _stage(args, name, paths, left)
    return _report(mutants, _kept(args.keep, mutants))


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="make mutate", description=__doc__)
    made.add_argument("--modules", default="", help="of the judgement, such as judge,account; all")
    made.add_argument("--sample", type=int, help="so many mutants at random; all")
    made.add_argument("--seed", type=int, default=1, help="of the sample (1)")
    made.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at once")
    made.add_argument("--budget", type=float, default=60.0, help="s of a core for a mutant (60)")
    made.add_argument("--quick", action="store_true", help="leave the whole daemon's tests out")
    made.add_argument(
        "--keep", type=Path, default=Path("build/mutation.jsonl"), help="where results are kept"
    )
    return made


def _drawn(args: argparse.Namespace) -> list[Mutant]:
    wanted = {name for name in args.modules.split(",") if name}
    mutants = [
        mutant
        for path in sorted(JUDGEMENT.glob("*.py"))
        if not wanted or path.stem in wanted
        for mutant in mutants_of(str(path), path.read_text(encoding="utf-8"))
    ]
    if args.sample is not None and args.sample < len(mutants):
        mutants = random.Random(args.seed).sample(mutants, args.sample)
    return mutants


def _stage(
    args: argparse.Namespace, name: str, paths: Sequence[str], mutants: Sequence[Mutant]
) -> None:
    """In a process of its own: pytest runs once in a process."""
    args.keep.parent.mkdir(parents=True, exist_ok=True)
    pid = os.fork()
    if pid:
        _, status = os.waitpid(pid, 0)
        if status:
            raise SystemExit(f"the {name} stage ended badly")
        return
    began_s, done = time.monotonic(), 0
    with args.keep.open("a", encoding="utf-8") as kept:

        def tell(said: Fate | str) -> None:
            nonlocal done
            if isinstance(said, str):
                _say(f"{name}: {said}")
                return
            done += 1
            row = {"stage": name, "source": _digest(said.mutant.module), **asdict(said)}
            kept.write(json.dumps(row) + "\n")
            kept.flush()
            if done % 20 == 0:
                _say(f"{name}: {done} of {len(mutants)}, {time.monotonic() - began_s:.0f} s")

        notes = args.keep.with_suffix(f".{name}.json")
        code = Stage(mutants, args.jobs, args.budget, notes, tell).run(paths)
    sys.stdout.flush()
    os._exit(code)


def _kept(path: Path, mutants: Sequence[Mutant]) -> dict[str, dict[str, Any]]:
    """What is known of mutants whose module is still the same; a later stage counts more."""
    if not path.exists():
        return {}
    wanted = {mutant.id for mutant in mutants}
    known: dict[str, dict[str, Any]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        mutant = Mutant(**row["mutant"])
        if mutant.id in wanted and row["source"] == _digest(mutant.module):
            before = known.get(mutant.id)
            if before is None or row["status"] in FOUND or row["status"] != NOT_RUN:
                known[mutant.id] = row
    return known


def _report(mutants: Sequence[Mutant], known: dict[str, dict[str, Any]]) -> int:
    by_module: dict[str, Counter[str]] = {}
    total: Counter[str] = Counter()
    for mutant in mutants:
        status = known[mutant.id]["status"] if mutant.id in known else NOT_RUN
        by_module.setdefault(Path(mutant.module).stem, Counter())[status] += 1
        total[status] += 1
    _say(f"{'':12}{'found':>8}{'lives':>8}{'no test':>8}{'left out':>9}{'found %':>9}")
    for module, count in [*sorted(by_module.items()), ("all", total)]:
        found = count[KILLED] + count[TIMEOUT]
        tried = found + count[SURVIVED] + count[NOT_RUN]
        share = 100.0 * found / tried if tried else 100.0
        _say(
            f"{module:12}{found:8}{count[SURVIVED]:8}{count[NOT_RUN]:8}{count[NOT_PLANTED]:9}"
            f"{share:9.1f}"
        )
    for mutant in mutants:
        status = known[mutant.id]["status"] if mutant.id in known else NOT_RUN
        if status in {SURVIVED, NOT_RUN}:
            _say(f"{'lives' if status == SURVIVED else 'no test'}: {mutant}")
    return 0


def _digest(module: str) -> str:
    return hashlib.sha256(Path(module).read_bytes()).hexdigest()[:12]


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
