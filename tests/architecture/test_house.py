"""The real tree keeps the rules of the house."""

from pathlib import Path

import pytest

from tests.architecture.rules import (
    Violation,
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

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def product() -> list[Module]:
    return read_tree(ROOT, "edgectl")


def _demand_none(violations: list[Violation]) -> None:
    assert not violations, "\n" + "\n".join(str(violation) for violation in violations)


def test_every_import_goes_down(product: list[Module]) -> None:
    _demand_none(check_floors(product))


def test_walls_hold(product: list[Module]) -> None:
    _demand_none(check_walls(product))


def test_banned_names_are_not_used(product: list[Module]) -> None:
    _demand_none(check_bans(product))


def test_the_product_has_no_assert(product: list[Module]) -> None:
    _demand_none(check_asserts(product))


def test_every_task_is_named_and_owned(product: list[Module]) -> None:
    _demand_none(check_tasks(product))


def test_every_rule_is_on_but_in_a_trial(product: list[Module]) -> None:
    _demand_none(check_switches(product))


def test_the_judgement_uses_exact_mathematics_only(product: list[Module]) -> None:
    _demand_none(check_math(product))
    _demand_none(check_sums(product))


def test_tests_use_fakes_and_never_patches() -> None:
    patched = [
        f"{module.path}:{use.line}: uses {use.name}"
        for module in read_tree(ROOT, "tests")
        for use in module.uses()
        if use.name.split(".")[0] in {"monkeypatch", "mocker"}
        or use.name.startswith(("unittest.mock", "pytest.MonkeyPatch"))
    ]
    assert not patched, "pass a fake in as an argument:\n" + "\n".join(patched)
