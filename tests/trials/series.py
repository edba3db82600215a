"""Trials by the hundred: on all cores, kept in a file, judged, repeated and shrunk."""

import gc
import json
import logging
from collections.abc import Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import structlog

from edgectl.simulator.trial.evidence import Breach
from edgectl.simulator.trial.shrink import Parts, shrink
from edgectl.simulator.trial.trial import Trial, draw_trial, run_trial
from edgectl.simulator.trial.verdict import Verdict, judge_trial

HOUR_S = 3600.0


def quiet() -> None:
    """Keep the daemon's log to itself; a trial's evidence says more."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.CRITICAL)


def judged(trial: Trial) -> Verdict:
    verdict = judge_trial(trial.seed, run_trial(trial))
    # A trial is a ring of tasks, ports and evidence; some of them would lie about at the same time.
    gc.collect()
    return verdict


def judge_seed(seed: int, without: tuple[str, ...] = ()) -> Verdict:
    return judged(draw_trial(seed).without(without))


class BadSeries(Exception):
    """A file that another series has begun."""


@dataclass
class Series:
    """What was run so far. `path`: where every verdict is kept, so that a series can go on."""

    without: tuple[str, ...] = ()
    path: Path | None = None
    verdicts: dict[int, Verdict] = field(default_factory=dict)

    @property
    def hours(self) -> float:
        return sum(verdict.duration_s for verdict in self.verdicts.values()) / HOUR_S

    @property
    def faults(self) -> int:
        return sum(verdict.faults for verdict in self.verdicts.values())

    @property
    def breached(self) -> list[Verdict]:
        return [verdict for _, verdict in sorted(self.verdicts.items()) if verdict.breaches]

    def load(self) -> None:
        """Take up what the file has; a line that was cut off by a crash is run again."""
        if self.path is None:
            return
        head = {"without": list(self.without)}
        if not self.path.exists():
            self.path.write_text(json.dumps(head) + "\n", encoding="utf-8")
            return
        lines = self.path.read_text(encoding="utf-8").splitlines()
        if not lines or _read(lines[0]) != head:
            raise BadSeries(f"{self.path} was begun with other rules; name another file")
        for line in lines[1:]:
            read = _read(line)
            if read is not None:
                breaches = tuple(Breach(**one) for one in read.pop("breaches"))
                self.verdicts[read["seed"]] = Verdict(breaches=breaches, **read)

    def keep(self, verdict: Verdict) -> None:
        self.verdicts[verdict.seed] = verdict
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(verdict)) + "\n")

    def run(self, *, hours: float, first: int, jobs: int) -> Iterator[Verdict]:
        """Run seeds from `first` on until there are `hours`; gives each verdict as it comes."""
        seeds = (seed for seed in count(first) if seed not in self.verdicts)
        running: set[Future[Verdict]] = set()
        with ProcessPoolExecutor(jobs, initializer=quiet) as pool:
            while self.hours < hours or running:
                while self.hours < hours and len(running) < jobs:
                    running.add(pool.submit(judge_seed, next(seeds), self.without))
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for one in done:
                    self.keep(one.result())
                    yield one.result()


def shrunk(trial: Trial, checks: Collection[str]) -> Parts:
    """The smallest part of a trial that is breached in the same way."""
    site = trial.loaded.site
    whole = Parts(
        faults=tuple(range(len(trial.faults))),
        orders=tuple(range(len(trial.orders))),
        evses=tuple(evse.id for evse in site.evses),
    )

    def fails(parts: Parts) -> bool:
        found = {breach.check for breach in judged(part_of(trial, parts)).breaches}
        return not found.isdisjoint(checks)

    return shrink(whole, fails)


def part_of(trial: Trial, parts: Parts) -> Trial:
    return trial.only(
        faults=frozenset(parts.faults),
        orders=frozenset(parts.orders),
        evses=frozenset(parts.evses),
    )


def first_caught(rule: str, *, seeds: int, jobs: int) -> Verdict | None:
    """The first seed that is breached with the rule off and not with it on."""
    with ProcessPoolExecutor(jobs, initializer=quiet) as pool:
        for start in range(0, seeds, 2 * jobs):
            block = range(start, min(seeds, start + 2 * jobs))
            for verdict in pool.map(judge_seed, block, [(rule,)] * len(block)):
                if verdict.breaches and not judge_seed(verdict.seed).breaches:
                    return verdict
    return None


def _read(line: str) -> dict[str, Any] | None:
    try:
        read = json.loads(line)
    except ValueError:
        return None
    return read if isinstance(read, dict) else None
