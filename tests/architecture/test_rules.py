"""The checkers can fail: each finds its planted fault in a small bad tree, and says why."""

from pathlib import Path

import pytest

from tests.architecture.rules import (
    Ban,
    Gate,
    Room,
    Violation,
    Wall,
    check_asserts,
    check_bans,
    check_floors,
    check_math,
    check_sums,
    check_switches,
    check_tasks,
    check_walls,
)
from tests.architecture.tree import Module, read_tree

ROOMS = (
    Room("edgectl/low/", 1, "low knows nobody"),
    Room("edgectl/left/", 2, "left stays left", frozenset({"pydantic"})),
    Room("edgectl/right/", 2, "right stays right"),
    Room("edgectl/high/", 3, "high may all"),
)

GOOD = {
    "edgectl/low/a.py": "import math\n",
    "edgectl/left/a.py": "import pydantic\nfrom edgectl.low import a\nfrom . import b\n",
    "edgectl/left/b.py": "from edgectl.left import a\n",
    "edgectl/right/a.py": "",
    "edgectl/high/a.py": "from edgectl.right.a import x\nimport edgectl.left.b\n",
}


def _tree(folder: Path, files: dict[str, str]) -> list[Module]:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return read_tree(folder, "edgectl")


def _said(violations: list[Violation]) -> str:
    return "\n".join(str(violation) for violation in violations)


def test_a_good_tree_has_no_violation(tmp_path: Path) -> None:
    assert _said(check_floors(_tree(tmp_path, GOOD), ROOMS, ())) == ""


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        (
            "edgectl/low/b.py",
            "import edgectl.high.a\n",
            "a floor above, floor 3); low knows nobody",
        ),
        ("edgectl/low/b.py", "def f():\n    from edgectl.high import a\n", "low/b.py:2"),
        ("edgectl/low/b.py", "from ..high import a\n", "imports edgectl.high"),
        ("edgectl/right/b.py", "from edgectl.left.b import x\n", "a neighbour on its floor"),
        ("edgectl/right/b.py", "import pydantic\n", "imports pydantic; right stays right"),
        ("edgectl/left/c.py", "import numpy.linalg as n\n", "imports numpy.linalg; left stays"),
        ("edgectl/cellar.py", "", "is in no room"),
        ("edgectl/left/a.py", "", "does not import pydantic any more"),
    ],
)
def test_floors(tmp_path: Path, path: str, text: str, expected: str) -> None:
    said = _said(check_floors(_tree(tmp_path, {**GOOD, path: text}), ROOMS, ()))
    assert expected in said


def test_an_empty_room_and_a_gate_that_nobody_uses_are_told(tmp_path: Path) -> None:
    gate = Gate("edgectl/low/a.py", "edgectl.high", "for the test")
    rooms = (*ROOMS, Room("edgectl/attic/", 4, "nobody lives here"))
    said = _said(check_floors(_tree(tmp_path, GOOD), rooms, (gate,)))
    assert "edgectl/attic/:0: this room is empty" in said
    assert "edgectl/low/a.py:0: it does not import edgectl.high any more" in said


def test_a_gate_lets_its_own_import_through_and_no_other(tmp_path: Path) -> None:
    gate = Gate("edgectl/low/a.py", "edgectl.high", "for the test")
    files = {**GOOD, "edgectl/low/a.py": "import edgectl.high.a\nimport edgectl.left.a\n"}
    said = _said(check_floors(_tree(tmp_path, files), ROOMS, (gate,)))
    assert "edgectl.high" not in said
    assert "imports edgectl.left.a" in said


WALL = Wall("edgectl/low/", ("sqlite3", "edgectl.right"), "no I/O", but=("edgectl/low/db.py",))


@pytest.mark.parametrize(
    ("text", "bad"),
    [
        ("import sqlite3\n", True),
        ("from sqlite3 import connect\n", True),
        ("import edgectl.right.a\n", True),
        ("from edgectl import right\n", True),
        ("import sqlite3x\n", False),
        ("from edgectl import rightmost\n", False),
    ],
)
def test_walls(tmp_path: Path, text: str, *, bad: bool) -> None:
    files = {"edgectl/low/b.py": text, "edgectl/low/db.py": "import sqlite3\n"}
    said = _said(check_walls(_tree(tmp_path, files), (WALL,)))
    assert ("no I/O" in said) is bad


def test_a_wall_around_nothing_and_a_gate_without_use_are_told(tmp_path: Path) -> None:
    files = {"edgectl/low/db.py": "", "edgectl/high/a.py": ""}
    walls = (WALL, Wall("edgectl/gone/", ("os",), "moved"))
    said = _said(check_walls(_tree(tmp_path, files), walls))
    assert "edgectl/low/db.py:0: it needs no gate to sqlite3 any more" in said
    assert "edgectl/gone/:0: this wall stands around nothing" in said


BAN = Ban(("time.time", "datetime.datetime.now", "print"), "use the clock", but=("edgectl/low/",))


@pytest.mark.parametrize(
    "text",
    [
        "import time\ntime.time()\n",
        "import time as t\nt.time()\n",
        "from time import time\ntime()\n",
        "from time import time as now\nread = now\n",
        "import datetime\ndatetime.datetime.now()\n",
        "from datetime import datetime as d\nd.now()\n",
        "def f():\n    print(1)\n",
        "def f(say=print):\n    say(1)\n",
    ],
)
def test_bans(tmp_path: Path, text: str) -> None:
    files = {"edgectl/low/a.py": "import time\ntime.time()\n", "edgectl/high/a.py": text}
    violations = check_bans(_tree(tmp_path, files), (BAN,))
    assert [violation.path for violation in violations] == ["edgectl/high/a.py"]
    assert "use the clock" in _said(violations)


@pytest.mark.parametrize(
    "text",
    ["clock.time()\n", "time = 3\ntime\n", "import time\ntime.strftime('')\n", "x.print()\n"],
)
def test_bans_leave_others_alone(tmp_path: Path, text: str) -> None:
    files = {"edgectl/low/a.py": "print(1)\n", "edgectl/high/a.py": text}
    assert _said(check_bans(_tree(tmp_path, files), (BAN,))) == ""


def test_a_ban_whose_exception_is_not_needed_is_told(tmp_path: Path) -> None:
    said = _said(check_bans(_tree(tmp_path, GOOD), (BAN,)))
    assert "edgectl/low/:0: it does not use time.time" in said


def test_asserts_are_found(tmp_path: Path) -> None:
    files = {"edgectl/high/a.py": "def f(x):\n    assert x\n"}
    assert "high/a.py:2: uses assert" in _said(check_asserts(_tree(tmp_path, files)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("group.create_task(f())\n", "without a name"),
        ("asyncio.get_running_loop().create_task(f(), name='x')\n", "on the loop"),
        ("self._loop.create_task(f(), name='x')\n", "on the loop"),
        ("group.create_task(f(), name='x')\n", ""),
    ],
)
def test_tasks(tmp_path: Path, text: str, expected: str) -> None:
    said = _said(check_tasks(_tree(tmp_path, {"edgectl/high/a.py": text})))
    assert expected in said
    assert bool(said) is bool(expected)


@pytest.mark.parametrize(
    ("text", "bad"),
    [
        ("from math import sqrt\nsqrt(2)\n", False),
        ("import math\nmath.hypot(1, 2)\n", True),
        ("from math import exp as e\ne(2)\n", True),
        ("import math\nmath.fsum(xs)\n", True),
        ("import math\nmath.dist(a, b)\n", True),
        ("from statistics import fmean\nfmean(xs)\n", True),
        ("import cmath\ncmath.sqrt(2)\n", True),
    ],
)
def test_exact_mathematics(tmp_path: Path, text: str, *, bad: bool) -> None:
    said = _said(check_math(_tree(tmp_path, {"edgectl/control/a.py": text})))
    assert ("the same bits" in said) is bad
    (tmp_path / "edgectl/control/a.py").unlink()
    assert "no judgement to check" in _said(check_math(read_tree(tmp_path, "edgectl")))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sum(a * b for a, b in pairs)\n", "a.py:1: uses sum; it rounds otherwise"),
        ("sum([1.5])\n", "uses sum"),
        ("sum((x > 0 for x in xs), 0.5)\n", "uses sum"),
        ("sum(0.1 for x in xs)\n", "uses sum"),
        ("list(map(sum, rows))\n", "uses sum"),
        ("add = sum\n", "uses sum"),
        ("2.0**n\n", "uses **"),
        ("x **= 2\n", "uses **"),
        ("pow(2.0, n)\n", "uses pow"),
        ("sum(x > 0 for x in xs)\nsum(1 for x in xs)\n", ""),
        ("sum(not x for x in xs)\nsum([len(x) for x in xs])\n", ""),
        ("from edgectl.control.sums import total\ntotal(xs)\n", ""),
        ("f(**given)\nx.sum()\n", ""),
    ],
)
def test_floats_are_added_one_by_one(tmp_path: Path, text: str, expected: str) -> None:
    said = _said(check_sums(_tree(tmp_path, {"edgectl/control/a.py": text})))
    assert expected in said
    assert bool(said) is bool(expected)
    (tmp_path / "edgectl/control/a.py").unlink()
    assert "no judgement to check" in _said(check_sums(read_tree(tmp_path, "edgectl")))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from edgectl.model.rules import Rules\nRules(s9_silent=False)\n", "rules of its own"),
        ("assemble(loaded, ports, version='1', rules=fewer)\n", "gives rules to assemble"),
        ("from dataclasses import replace\nreplace(rules, s4_base=False)\n", "changes the rules"),
        ("replace(trial, rules=fewer)\n", "changes the rules"),
        ("from edgectl.model.rules import Rules\nALL = Rules()\nTick(rules=ALL)\n", ""),
    ],
)
def test_rules_are_switched_off_in_trials_only(tmp_path: Path, text: str, expected: str) -> None:
    trial = {"edgectl/simulator/trial/a.py": "assemble(loaded, ports, rules=fewer)\n"}
    said = _said(check_switches(_tree(tmp_path, {**trial, "edgectl/daemon/a.py": text})))
    assert expected in said
    assert bool(said) is bool(expected)
    (tmp_path / "edgectl/simulator/trial/a.py").unlink()
    assert "no rule off any more" in _said(check_switches(read_tree(tmp_path, "edgectl")))
