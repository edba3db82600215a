"""One group of tests against mutants: which test runs which line, and which mutant lives on.

Theory: pytest collects once. Then every test runs alone in a forked child that notes the lines of
the judgement which it passes; and every mutant is planted in a forked child that runs the tests
which pass its line, those first that found most in least time, until one fails.
"""

import hashlib
import importlib
import json
import random
import resource
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

import pytest
from _pytest.runner import runtestprotocol

from tests.mutation.children import Job, in_children
from tests.mutation.mutants import Mutant, plant

SLOWER: Final = 10.0
"""A mutant may take so many times as long as the tests take without it."""

LEAST_CPU_S: Final = 10.0
TRACED_SLOWER: Final = 30.0
LINES_BELOW_S: Final = 0.3
"""Following lines costs many times what a test takes: a longer one counts with its functions."""

KILLED, SURVIVED, TIMEOUT, NOT_RUN, NOT_PLANTED = (
    "killed",
    "survived",
    "timeout",
    "not run",
    "not planted",
)


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a mutant: `by` is the test that found it; `tests`: how many ran at most."""

    mutant: Mutant
    status: str
    by: str = ""
    tests: int = 0


@dataclass
class Stage:
    """A pytest plugin that runs mutants in place of tests.

    `budget_s`: of a core, for the tests of one mutant. `notes`: where it is kept which test passes
    which line. `tell` is told of every fate, and how it goes.
    """

    mutants: Sequence[Mutant]
    jobs: int
    budget_s: float
    notes: Path
    tell: Callable[[Fate | str], None]
    fates: list[Fate] = field(default_factory=list)
    failing: list[str] = field(default_factory=list)
    _lines: dict[str, set[tuple[str, int]]] = field(default_factory=dict)
    _cpu_s: dict[str, float] = field(default_factory=dict)
    _found: dict[tuple[str, str], int] = field(default_factory=dict)

    def run(self, paths: Sequence[str]) -> int:
        """Run the whole stage; pytest's exit code."""
        options = ["-q", "-p", "no:xdist", "-p", "no:cacheprovider", "--capture=no", "-ra"]
        return int(pytest.main([*options, *paths], plugins=[self]))

    def pytest_configure(self) -> None:
        """Have the same examples for every mutant, and nothing kept; before tests are imported."""
        from hypothesis import settings

        settings.register_profile("mutation", settings(), derandomize=True, database=None)
        settings.load_profile("mutation")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Take the place of the ordinary loop."""
        if session.testsfailed:
            raise session.Failed("the tests cannot be collected")
        session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
        items = {item.nodeid: item for item in session.items}
        if not self._recall(items):
            self._map(items)
            self._remember()
        self.tell(f"{len(items)} tests, {sum(self._cpu_s.values()):.0f} s of a core")
        if self.failing:
            self.tell(f"not used, they fail without a mutant: {', '.join(self.failing)}")
        jobs = (self._job(mutant, items) for mutant in self.mutants)
        by_id = {mutant.id: mutant for mutant in self.mutants}
        for key, answer in in_children(jobs, at_once=self.jobs):
            self._ended(by_id[key], answer)
        return True

    def _recall(self, items: dict[str, pytest.Item]) -> bool:
        """Take the lines of every test as they were noted before, if nothing changed since."""
        if not self.notes.exists():
            return False
        noted = json.loads(self.notes.read_text(encoding="utf-8"))
        if noted["of"] != self._digest() or noted["tests"].keys() - items.keys():
            return False
        for name, (cpu_s, lines) in noted["tests"].items():
            self._cpu_s[name] = cpu_s
            self._lines[name] = {(module, line) for module, line in lines}
        return bool(self._cpu_s)

    def _remember(self) -> None:
        tests = {name: (self._cpu_s[name], sorted(self._lines[name])) for name in self._cpu_s}
        noted = json.dumps({"of": self._digest(), "tests": tests})
        self.notes.write_text(noted, encoding="utf-8")

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for folder in ("edgectl", "tests"):
            for path in sorted(Path(folder).rglob("*.py")):
                digest.update(path.read_bytes())
        return digest.hexdigest()

    def _map(self, items: dict[str, pytest.Item]) -> None:
        modules = {str(Path(mutant.module).resolve()): mutant.module for mutant in self.mutants}
        jobs = (
            Job(name, lambda item=item: _trace(item, modules), 60.0 * TRACED_SLOWER)  # type: ignore[misc]
            for name, item in items.items()
        )
        for number, (name, answer) in enumerate(in_children(jobs, at_once=self.jobs), 1):
            if answer is None or answer["failed"]:
                self.failing.append(name)
                continue
            self._lines[name] = {(module, line) for module, line in answer["lines"]}
            self._cpu_s[name] = answer["cpu_s"]
            if number % 50 == 0:
                self.tell(f"{number} of {len(items)} tests looked at")

    def _job(self, mutant: Mutant, items: dict[str, pytest.Item]) -> Job:
        chosen, cpu_s = self._chosen(mutant)
        return Job(
            mutant.id,
            lambda: _try(mutant, [items[name] for name in chosen]),
            LEAST_CPU_S + SLOWER * cpu_s,
        )

    def _chosen(self, mutant: Mutant) -> tuple[list[str], float]:
        """Those that pass its line; of a constant of the module, all that enter the module."""
        if mutant.scope:
            passing = [
                n for n, lines in self._lines.items() if (mutant.module, mutant.line) in lines
            ]
        else:
            passing = [
                n for n, lines in self._lines.items() if any(m == mutant.module for m, _ in lines)
            ]
        passing.sort(key=lambda name: -self._promise(mutant.module, name))
        chosen, total_s = [], 0.0
        for name in passing:
            if total_s + self._cpu_s[name] <= self.budget_s:
                chosen.append(name)
                total_s += self._cpu_s[name]
        return chosen, total_s

    def _promise(self, module: str, name: str) -> float:
        return (self._found.get((module, name), 0) + 0.2) / (self._cpu_s[name] + 0.02)

    def _ended(self, mutant: Mutant, answer: Any) -> None:
        if answer is None:
            fate = Fate(mutant, TIMEOUT)
        else:
            fate = Fate(mutant, answer["status"], answer["by"], answer["tests"])
        if fate.by:
            key = (mutant.module, fate.by)
            self._found[key] = self._found.get(key, 0) + 1
        self.fates.append(fate)
        self.tell(fate)


def _try(mutant: Mutant, items: Sequence[pytest.Item]) -> dict[str, Any]:
    if not items:
        return {"status": NOT_RUN, "by": "", "tests": 0}
    name = mutant.module.removesuffix(".py").replace("/", ".")
    source = Path(mutant.module).read_text(encoding="utf-8")
    if not plant(importlib.import_module(name), source, mutant.number):
        return {"status": NOT_PLANTED, "by": "", "tests": 0}
    for number, item in enumerate(items, 1):
        if _fails(item):
            return {"status": KILLED, "by": item.nodeid, "tests": number}
    return {"status": SURVIVED, "by": "", "tests": len(items)}


def _fails(item: pytest.Item) -> bool:
    random.seed(0)
    return any(report.failed for report in runtestprotocol(item, log=False, nextitem=None))


def _trace(item: pytest.Item, modules: dict[str, str]) -> dict[str, Any]:
    """The functions that a test enters, and the lines that it passes in them, if it is quick."""
    entered: set[CodeType] = set()

    def enter(frame: FrameType, _event: str, _argument: object) -> None:
        if frame.f_code.co_filename in modules:
            entered.add(frame.f_code)

    before_s = _used_s()
    failed = _traced(item, enter)
    cpu_s = _used_s() - before_s
    if failed:
        return {"failed": True}
    seen = {(modules[code.co_filename], number) for code in entered for number in _lines(code)}
    if cpu_s < LINES_BELOW_S:
        seen = _passed_lines(item, modules)
    return {"failed": False, "lines": sorted(seen), "cpu_s": cpu_s}


def _passed_lines(item: pytest.Item, modules: dict[str, str]) -> set[tuple[str, int]]:
    seen: set[tuple[str, int]] = set()
    left: dict[CodeType, set[int]] = {}

    def line(frame: FrameType, _event: str, _argument: object) -> Any:
        code, number = frame.f_code, frame.f_lineno
        seen.add((modules[code.co_filename], number))
        left[code].discard(number)
        return line

    def call(frame: FrameType, _event: str, _argument: object) -> Any:
        code = frame.f_code
        if code.co_filename not in modules:
            return None
        if code not in left:
            left[code] = _lines(code) - {code.co_firstlineno}
        return line if left[code] else None

    _traced(item, call)
    return seen


def _traced(item: pytest.Item, tracer: Callable[[FrameType, str, Any], Any]) -> bool:
    sys.settrace(tracer)
    try:
        return _fails(item)
    finally:
        sys.settrace(None)


def _lines(code: CodeType) -> set[int]:
    return {number for _, _, number in code.co_lines() if number is not None}


def _used_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
