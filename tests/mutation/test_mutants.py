"""The mutants are what they say, and planting one changes what runs."""

import importlib
import os
from pathlib import Path

from edgectl.control import limits
from tests.mutation.children import Job, in_children
from tests.mutation.mutants import mutants_of, plant

SOURCE = '''
"""Text is left alone."""
LIMIT = 5.0

def f(a: int = 3, *rest: float) -> bool:
    """So is this."""
    if a < LIMIT and not rest:
        return False
    rest[0] = -1.5
    return all(x for x in rest if x > 1e-9) and zip(rest, rest, strict=True)
'''


def test_every_place_that_decides_is_changed_and_nothing_else() -> None:
    made = [
        (one.line, one.scope, one.kind, one.before, one.after) for one in mutants_of("m", SOURCE)
    ]
    assert made == [
        (3, "", "constant", "5.0", "10.0"),
        (7, "f", "condition", "a < LIMIT and (not rest)", "not (a < LIMIT and (not rest))"),
        (7, "f", "and/or", "a < LIMIT and (not rest)", "a < LIMIT or not rest"),
        (7, "f", "comparison", "a < LIMIT", "a <= LIMIT"),
        (8, "f", "constant", "False", "True"),
        (9, "f", "statement", "rest[0] = -1.5", "pass"),
        (9, "f", "constant", "0", "1"),
        (9, "f", "sign", "-1.5", "+1.5"),
        (9, "f", "constant", "1.5", "3.0"),
        (
            10,
            "f",
            "and/or",
            "all((x for x in rest if x > 1e-09)) and zip(rest, rest, strict=True)",
            "all((x for x in rest if x > 1e-09)) or zip(rest, rest, strict=True)",
        ),
        (
            10,
            "f",
            "call",
            "all((x for x in rest if x > 1e-09))",
            "any((x for x in rest if x > 1e-09))",
        ),
        (10, "f", "condition", "x > 1e-09", "not x > 1e-09"),
        (10, "f", "comparison", "x > 1e-09", "x >= 1e-09"),
    ]


def _margin_with(number: int) -> list[float]:
    """In a child: what the module says with one mutant, to those who imported it before."""
    from edgectl.control.limits import margins

    path = Path(limits.__file__)
    assert plant(importlib.import_module(limits.__name__), path.read_text(encoding="utf-8"), number)
    node = type("AnyNode", (), {"margin_a": None, "transformer": None})()
    return list(margins(node, (100.0, None, 50.0, 1000.0), 230.0))


def test_a_planted_mutant_is_in_force_in_its_child_and_nowhere_else() -> None:
    source = Path(limits.__file__).read_text(encoding="utf-8")
    made = mutants_of("limits", source)
    constant = next(one for one in made if (one.kind, one.before) == ("constant", "0.02"))
    operator = next(one for one in made if one.before.startswith("MARGIN_SHARE * ceiling"))
    jobs = [
        Job(one.id, lambda one=one: _margin_with(one.number), 10.0)  # type: ignore[misc]
        for one in (constant, operator)
    ]
    said = dict(in_children(iter(jobs), at_once=2))
    assert said[constant.id] == [4.0, 0.0, 2.0, 40.0]
    assert said[operator.id] == [0.02 / 100.0, 0.0, 0.02 / 50.0, 0.02 / 1000.0]
    assert limits.MARGIN_SHARE == 0.02


def test_a_child_that_dies_or_hangs_is_told_as_one() -> None:
    def loop() -> None:
        while True:
            pass

    jobs = [
        Job("dies", lambda: os._exit(3), 5.0),
        Job("hangs", loop, 0.0),
        Job("ok", lambda: 1, 5.0),
    ]
    assert dict(in_children(iter(jobs), at_once=3)) == {"dies": None, "hangs": None, "ok": 1}
