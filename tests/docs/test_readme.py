"""The README says what the program says: generated lists, rules, commands, example."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from edgectl.cli.main import main
from edgectl.contract.commands import LimitCommand
from edgectl.contract.glossary import ALARMS, EVENTS, REFUSALS, glossary
from edgectl.contract.refusal import RefusalCode
from edgectl.contract.vocabulary import EventCode
from edgectl.model.decision import AlarmCode
from edgectl.sitefile.load import load_site

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
HOW = "print(edgectl.contract.glossary.glossary()) gives the lists to put there"


def test_every_code_has_a_meaning() -> None:
    assert set(EVENTS) == set(EventCode)
    assert set(ALARMS) == set(AlarmCode)
    assert set(REFUSALS) == set(RefusalCode)


def test_the_lists_are_those_of_the_program() -> None:
    between = re.search(r"<!-- codes -->\n(.*?)\n<!-- /codes -->", README, re.DOTALL)
    assert between is not None
    assert between.group(1) == glossary(), HOW


def test_every_rule_in_the_readme_has_a_test_of_its_id_and_the_other_way_round() -> None:
    listed = set(re.findall(r"^\| (S\d+) \|", README, re.MULTILINE))
    named = set()
    for path in (ROOT / "tests").rglob("*.py"):
        for found in re.findall(r"(?:def test_\w*?|def |_)(s\d+)_", path.read_text("utf-8")):
            named.add(found.upper())
    assert listed <= named, f"no test is named after {sorted(listed - named)}"
    assert {f"S{n}" for n in range(1, 24)} == listed


def test_the_first_site_file_of_the_readme_is_a_whole_one(tmp_path: Path) -> None:
    example = re.search(r"```yaml\n(site:.*?)```", README, re.DOTALL)
    assert example is not None
    file = tmp_path / "site.yaml"
    file.write_text(example.group(1), encoding="utf-8")
    loaded = load_site(file)
    assert loaded.site.mode.value == "observe"
    assert not loaded.open_risks()


def test_the_command_of_the_readme_is_one() -> None:
    example = re.search(r"```json\n(.*?)```", README, re.DOTALL)
    assert example is not None
    command = LimitCommand.model_validate_json(example.group(1))
    assert command.evse == "bay01"


def test_the_commands_of_the_readme_exist(capsys: pytest.CaptureFixture[str]) -> None:
    commands = set(re.findall(r"`edgectl ([a-z]+)", README))
    assert commands >= {"run", "check", "status", "why", "allocate", "schema", "demo"}
    for command in commands:
        with pytest.raises(SystemExit) as end:
            main([command, "--help"])
        assert end.value.code == 0, command
    assert "usage:" in capsys.readouterr().out


def test_the_allocation_examples_answer_as_the_readme_says() -> None:
    examples = re.findall(r"<<'END'\n(.*?)\n +END\n(.*?)\n\n", README, re.DOTALL)
    assert len(examples) >= 8
    done = subprocess.run(
        [sys.executable, "-m", "edgectl.cli.main", "allocate", "-"],
        input="\n".join(problems for problems, _ in examples),
        capture_output=True,
        text=True,
        check=False,
    )
    told = [line.strip() for _, answers in examples for line in answers.splitlines()]
    assert done.stdout.splitlines() == told
    assert done.returncode == 2, "one of them is an error"
