"""`make install` and `make uninstall` into a scratch root."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXPECTED = {
    "bin/edgectl",
    "lib/edgectl/bin/edgectl",
    "lib/systemd/system/edgectl.service",
    "lib/sysusers.d/edgectl.conf",
    "lib/tmpfiles.d/edgectl.conf",
    "share/man/man1/edgectl.1",
    "share/bash-completion/completions/edgectl",
    "share/zsh/site-functions/_edgectl",
    "share/fish/vendor_completions.d/edgectl.fish",
    "share/doc/edgectl/README.md",
    "share/doc/edgectl/LICENSE",
    "share/doc/edgectl/examples/small-depot.yaml",
}


def run(what: str, **environment: str) -> str:
    done = subprocess.run(
        [ROOT / "systemd" / "install", what],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def files(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() or path.is_symlink()
    }


def tool(path: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [path, *words], capture_output=True, text=True, check=False, timeout=60, cwd="/"
    )


def test_everything_is_put_in_its_place_and_taken_away_again(tmp_path: Path) -> None:
    prefix = tmp_path / "usr"
    said = run("install", PREFIX=str(prefix), VENV=sys.prefix)
    assert files(prefix) >= EXPECTED
    assert "edgectl check" in said
    unit = (prefix / "lib/systemd/system/edgectl.service").read_text()
    assert f"ExecStart={prefix}/bin/edgectl run" in unit
    assert "@" not in unit.split("[Service]")[1].split("SystemCallFilter")[0]
    assert tool(prefix / "bin/edgectl", "--version").stdout.startswith("edgectl ")
    example = prefix / "share/doc/edgectl/examples/small-depot.yaml"
    assert tool(prefix / "bin/edgectl", "check", str(example)).returncode in {0, 1}

    said = run("uninstall", PREFIX=str(prefix))
    assert files(prefix) == set()
    assert "are left" in said


def test_a_staged_installation_names_the_place_where_it_will_be(tmp_path: Path) -> None:
    run("install", PREFIX="/usr", DESTDIR=str(tmp_path), VENV=sys.prefix)
    assert files(tmp_path / "usr") >= EXPECTED
    staged = [path for path in files(tmp_path) if path != "usr/bin/edgectl"]
    for name in staged:
        assert str(tmp_path) not in (tmp_path / name).read_text(), name
    assert (
        "ExecStart=/usr/bin/edgectl run"
        in (tmp_path / "usr/lib/systemd/system/edgectl.service").read_text()
    )
    link = tmp_path / "usr/bin/edgectl"
    assert link.readlink() == Path("../lib/edgectl/bin/edgectl")


@pytest.mark.parametrize(("purge", "left"), [("", {"etc/edgectl/site.yaml"}), ("1", set())])
def test_the_site_file_and_the_state_go_only_when_that_is_said(
    tmp_path: Path, purge: str, left: set[str]
) -> None:
    for name in ("etc/edgectl/site.yaml", "var/lib/edgectl/state.db"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("mine")
    run("uninstall", PREFIX="/usr", DESTDIR=str(tmp_path), PURGE=purge)
    assert files(tmp_path) == (left | {"var/lib/edgectl/state.db"} if left else set())


def test_uninstall_where_nothing_is_installed_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/other").write_text("not ours")
    run("uninstall", PREFIX="/usr", DESTDIR=str(tmp_path))
    assert files(tmp_path) == {"usr/bin/other"}


def test_the_whole_installation_with_an_environment_of_its_own(
    tmp_path: Path,
    prove: bool,  # noqa: FBT001 - a fixture
) -> None:
    if not prove:
        pytest.skip("builds a whole environment from the package index: make prove")
    prefix = tmp_path / "opt"
    python = getattr(sys, "_base_executable", sys.executable)
    constraint = str(ROOT / ".ci" / "constraints.txt")
    run("install", PREFIX=str(prefix), PYTHON=python, PIP_CONSTRAINT=constraint)
    done = tool(prefix / "bin/edgectl", "check", str(ROOT / "config" / "small-depot.yaml"))
    assert done.returncode in {0, 1}, done.stderr
    scripts = sorted(path.name for path in (prefix / "lib/edgectl/bin").iterdir())
    assert "edgectl" in scripts
    assert "pip" not in scripts
    run("install", PREFIX=str(prefix), PYTHON=python, PIP_CONSTRAINT=constraint)
    assert tool(prefix / "bin/edgectl", "--version").returncode == 0
    assert not (prefix / "lib/edgectl.old").exists()


def test_users_groups_and_folders_are_those_that_the_program_names() -> None:
    from edgectl.daemon.api import READER_GROUP, WRITER_GROUP

    words = [
        line.split()
        for line in (ROOT / "systemd" / "edgectl.sysusers").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert ["u", READER_GROUP] in [line[:2] for line in words]
    assert ["g", WRITER_GROUP] in [line[:2] for line in words]
    assert ["m", READER_GROUP, "dialout"] in words
    assert "d /etc/edgectl " in (ROOT / "systemd" / "edgectl.tmpfiles").read_text()
