"""What is written from the parser agrees with it: completions and the manual page."""

import argparse
import shutil
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from edgectl.cli.completion import SHELLS, script, verb_shapes
from edgectl.cli.main import COMMANDS, whole_parser
from edgectl.cli.manual import manual
from tests.cli.depot import tool

Captured = pytest.CaptureFixture[str]


def parsers() -> dict[str, argparse.ArgumentParser]:
    actions: Any = whole_parser()._actions
    verbs = next(one for one in actions if isinstance(one, argparse._SubParsersAction))
    return dict(verbs.choices)


def options(parser: argparse.ArgumentParser) -> set[str]:
    return {name for action in parser._actions for name in action.option_strings}


def test_every_verb_has_a_parser_of_its_own_and_examples() -> None:
    found = parsers()
    assert set(found) == set(COMMANDS)
    for verb, parser in found.items():
        assert parser.description, verb


def test_the_help_of_every_verb_fits_80_columns() -> None:
    for verb, parser in parsers().items():
        formatter: Any = parser.formatter_class
        parser.formatter_class = partial(formatter, width=78)
        assert [line for line in parser.format_help().splitlines() if len(line) > 80] == [], verb


@pytest.mark.parametrize("shell", SHELLS)
def test_every_verb_and_every_option_is_completed(shell: str) -> None:
    text = script(shell)
    for verb, parser in parsers().items():
        assert verb in text
        for name in options(parser):
            said = name.lstrip("-") if shell == "fish" else name
            assert said in text, (shell, verb, name)
    assert text.isascii()


def complete(*words: str, at: str = "") -> list[str]:
    """What bash offers for the last word."""
    line = " ".join(f"'{word}'" for word in ("edgectl", *words, at))
    code = f"""
    source /dev/stdin <<'SCRIPT'
{script("bash")}
SCRIPT
    edgectl() {{ [ "$1" = completion ] && echo "names:$3"; }}
    COMP_WORDS=({line}); COMP_CWORD={len(words) + 1}
    _edgectl; printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    bash = shutil.which("bash")
    assert bash is not None
    done = subprocess.run([bash, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.split()


def test_bash_completes_verbs_options_choices_and_names() -> None:
    assert complete(at="rel") == ["reload", "release"]
    assert complete("why") == ["names:evse"]
    assert complete("limit") == ["names:node,evse"]
    assert "--reason" in complete("pause", at="--")
    assert complete("events", "--at-least", at="w") == ["warning"]
    assert complete("completion", at="z") == ["zsh"]
    assert complete("release") == ["names:held"]
    assert complete("report") == ["daily", "monthly", "sessions"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_can_read_their_script(shell: str, tmp_path: Path) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not on this machine")
    file = tmp_path / "script"
    file.write_text(script(shell))
    done = subprocess.run([program, "-n", file], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_names_are_those_of_the_site(tmp_path: Path, capsys: Captured) -> None:
    assert tool(tmp_path, "completion", "--names", "evse,group") == 0
    names = capsys.readouterr().out.split()
    assert {"bay01", "bay06", "bays-east"} <= set(names)
    assert "grid" not in names
    assert tool(tmp_path, "completion", "--names", "node") == 0
    assert capsys.readouterr().out.split() == ["grid", "tx1"]


def test_without_a_daemon_there_are_no_names_and_no_noise(tmp_path: Path, capsys: Captured) -> None:
    from edgectl.cli.main import main

    assert main(["completion", "--names", "evse", "--socket", str(tmp_path / "none")]) == 0
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "")


def test_what_the_arguments_take_is_known_for_every_verb_about_the_site() -> None:
    takes = {shape.verb: shape.names for shape in verb_shapes()}
    for verb in ("why", "limit", "pause", "resume", "target", "isolate", "read", "write"):
        assert takes[verb], verb


def test_the_manual_names_every_verb_option_and_example() -> None:
    page = manual()
    for verb, parser in parsers().items():
        assert f"\n.SS {verb}\n" in page
        for name in options(parser) - {"-h", "--help"}:
            assert name.replace("-", "\\-") in page, (verb, name)
    for title in ("EXIT STATUS", "FILES", "ENVIRONMENT"):
        assert f"\n.SH {title}\n" in page


def test_the_manual_is_good_roff() -> None:
    groff = shutil.which("groff")
    if groff is None:
        pytest.skip("groff is not on this machine")
    done = subprocess.run(
        [groff, "-man", "-ww", "-z", "-Tutf8"],
        input=manual(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
