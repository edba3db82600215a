"""The tool's door: help, wrong words, schemas, amounts."""

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from edgectl.cli.amounts import duration_s, limit_of
from edgectl.cli.client import DEFAULT_SOCKET, socket_path
from edgectl.cli.main import main
from edgectl.cli.output import (
    CliError,
    fail,
    folded,
    short_time,
    show_lines,
    span,
    table,
    time_text,
    triple,
)

Captured = pytest.CaptureFixture[str]

VERBS = (
    "run",
    "check",
    "status",
    "why",
    "limit",
    "pause",
    "resume",
    "release",
    "schema",
    "allocate",
    "demo",
)


def _help(capsys: Captured, *words: str) -> str:
    with pytest.raises(SystemExit) as leaving:
        main([*words, "--help"])
    assert leaving.value.code == 0
    return capsys.readouterr().out


def test_help_names_every_verb_and_fits_80_columns(capsys: Captured) -> None:
    shown = _help(capsys)
    assert all(f"\n    {verb}" in shown for verb in VERBS)
    assert "exit codes: 0 done" in shown
    assert all(len(line) <= 80 for line in shown.splitlines())


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(capsys: Captured, verb: str) -> None:
    shown = _help(capsys, verb)
    assert shown.startswith(f"usage: edgectl {verb}")
    assert all(len(line) <= 80 for line in shown.splitlines())
    assert len(shown.splitlines()) > 4


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["statsu"],
        ["why"],
        ["status", "--nonsense"],
        ["status", "--js"],
        ["limit", "grid", "120kW"],
        ["limit", "grid", "120", "--reason", "r"],
        ["limit", "grid", "120kW", "--for", "2", "--reason", "r"],
        ["pause", "bay01", "--for", "soon", "--reason", "r"],
        ["--json", "status"],
        ["schema", "nothing"],
    ],
    ids=" ".join,
)
def test_wrong_words_are_two_lines_and_exit_code_2(capsys: Captured, words: list[str]) -> None:
    assert main(words) == 2
    shown = capsys.readouterr()
    assert len(shown.err.splitlines()) == 2
    assert "Traceback" not in shown.err


def test_wrong_words_in_json(capsys: Captured) -> None:
    assert main(["why", "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "usage"
    assert error["remedy"] == "see `edgectl why --help`"


def test_version(capsys: Captured) -> None:
    with pytest.raises(SystemExit) as leaving:
        main(["--version"])
    assert leaving.value.code == 0
    assert capsys.readouterr().out.startswith("edgectl ")


def test_schemas_are_listed_and_each_is_a_schema(capsys: Captured) -> None:
    assert main(["schema"]) == 0
    names = capsys.readouterr().out.split()
    assert {"site", "profile", "local/status", "local/why", "local/error"} <= set(names)
    assert {"mqtt/telemetry", "mqtt/command/limit", "mqtt/dr/response"} <= set(names)
    for name in names:
        assert main(["schema", name]) == 0
        jsonschema.Draft202012Validator.check_schema(json.loads(capsys.readouterr().out))
    assert main(["schema", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"schemas": names}


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("120kW", {"limit_w": 120_000.0}),
        ("0.5 MW", {"limit_w": 500_000.0}),
        ("0W", {"limit_w": 0.0}),
        ("63A", {"limit_a": [63.0, 63.0, 63.0]}),
        ("0a", {"limit_a": [0.0, 0.0, 0.0]}),
        ("63/40.5/63 A", {"limit_a": [63.0, 40.5, 63.0]}),
    ],
)
def test_limits(text: str, limit: dict[str, object]) -> None:
    assert limit_of(text) == limit


@pytest.mark.parametrize(
    "text", ["", "120", "kW", "-5A", "63/40A", "1e3W", "nanA", "120kWh", "5 A 5", "63A/40A/63A"]
)
def test_what_is_no_limit(text: str) -> None:
    with pytest.raises(CliError, match="is not a limit"):
        limit_of(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2h", 7200.0), ("90m", 5400.0), ("1h30m", 5400.0), ("45s", 45.0), ("1.5H", 5400.0)],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "h", "0s", "-1h", "2 hours", "1h-2m", "inf"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(CliError, match="is not a duration"):
        duration_s(text)


def test_the_socket_is_the_option_then_the_environment_then_the_usual_one() -> None:
    import argparse

    given = argparse.Namespace(socket=Path("/x"))
    absent = argparse.Namespace(socket=None)
    assert socket_path(given, {"EDGECTL_SOCKET": "/y"}) == Path("/x")
    assert socket_path(absent, {"EDGECTL_SOCKET": "/y"}) == Path("/y")
    assert socket_path(absent, {}) == Path(DEFAULT_SOCKET)


def test_tables_align_and_need_no_colour() -> None:
    assert table(("A", ">B"), [["x", "1.0"], ["long", "10.0"]]) == [
        "A        B",
        "x      1.0",
        "long  10.0",
    ]
    assert table(("A", ">B"), []) == ["A  B"]


def test_small_words() -> None:
    assert triple([400.0, 400.0, 400.0]) == "400"
    assert triple([400.0, None, 380.0]) == "400/-/380"
    assert triple(None) == "-"
    assert [span(s) for s in (None, 3.2, 120.0, 7200.0)] == ["-", "3s", "2m", "2h"]
    assert time_text("2027-01-15T08:30:00.000Z") == "2027-01-15 08:30:00Z"
    assert time_text(None) == "-"
    assert short_time("2027-01-15T08:30:00.000Z") == "01-15 08:30Z"


def test_texts_from_afar_do_not_steer_the_terminal(capsys: Captured) -> None:
    show_lines(table(("ID", "REASON"), [["c1", "a\x1b[31m\nc2  fake"], ["c3", "Grüße \u202e"]]))
    fail(code="x", message="what\x1b]0;", remedy="do\x07", as_json=False)
    shown = capsys.readouterr()
    assert shown.out.splitlines() == ["ID  REASON", "c1  a?[31m?c2  fake", "c3  Grüße ?"]
    assert shown.err == "what?]0;\ndo?\n"


def test_an_endless_problem_file_is_not_read_to_its_end(capsys: Captured) -> None:
    assert main(["allocate", "/dev/zero"]) == 2
    assert "/dev/zero is larger than 67108864 bytes" in capsys.readouterr().err


def test_a_table_with_more_columns_than_fit_is_folded_below_its_first_columns() -> None:
    heads = ("node", "row", ">limit", ">base", ">trip")
    rows = [["grid", "L1-3", "125", "40", "60"], ["", "kVA", "80", "30", ""]]
    assert folded(heads, rows, width=None) == folded(heads, rows, width=80) == table(heads, rows)
    assert folded(heads, rows, width=24, keep=2) == [
        "node  row   limit  base",
        "grid  L1-3    125    40",
        "      kVA      80    30",
        "",
        "node  row   trip",
        "grid  L1-3    60",
        "      kVA",
    ]
    narrow = folded(heads, rows, width=5)
    assert [line for line in narrow if line.startswith("node")] == [
        "node  row",
        "node  limit",
        "node  base",
        "node  trip",
    ]


def test_output_that_cannot_be_written_is_said_and_is_no_fault_of_the_tool() -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-m", "edgectl.cli.main", "schema", "site"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "the output cannot be written: No space left on device",
        "free space where it goes, or send it elsewhere",
    ]
