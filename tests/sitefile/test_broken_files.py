"""Broken site files as people write them: `edgectl check` names every fault with its line."""

import json
import re
from pathlib import Path

import pytest

from edgectl.cli.main import main
from tests.sitefile.sites import BROKEN, PROFILES

FILES = sorted(BROKEN.glob("*.yaml"))
EXPECT = re.compile(rb"# expect: (\d+) (\w+) ?(\S*)")


def test_there_are_at_least_ten() -> None:
    assert len(FILES) >= 10


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_fault_is_named_with_its_line(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = sorted(
        (int(line), code.decode(), where.decode())
        for line, code, where in EXPECT.findall(path.read_bytes())
    )
    code = main(["check", str(path), "--profiles", str(PROFILES), "--json"])
    out, err = capsys.readouterr()
    answer = json.loads(out)
    found = sorted((e["line"], e["code"], e["path"]) for e in answer["errors"])
    assert found == expected
    assert all(e["file"] == str(path) and e["message"] and e["remedy"] for e in answer["errors"])
    assert (code, answer["ok"], answer["nodes"], answer["risks"]) == (2, False, {}, [])
    assert "Traceback" not in err


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_people_get_one_line_for_each(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(path), "--profiles", str(PROFILES)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    for line, _, where in EXPECT.findall(path.read_bytes()):
        assert f"{path}:{line.decode()}: {where.decode()}".rstrip() in err
