"""The service as systemd itself judges it; skipped, and said so, only where systemd is absent."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "systemd" / "edgectl.service"
EXPOSURE_MAX = 2.0

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine"
)


def installed(folder: Path) -> Path:
    """The unit as `make install` writes it, with a program that exists in the tool's place."""
    program = folder / "bin" / "edgectl"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = folder / "edgectl.service"
    unit.write_text(UNIT.read_text().replace("@BINDIR@", str(program.parent)))
    return unit


def analyze(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["systemd-analyze", *words], capture_output=True, text=True, check=False, timeout=60
    )


def settings() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, value in re.findall(r"^(\w+)=(.*)$", UNIT.read_text(), re.MULTILINE):
        found.setdefault(key, []).append(value)
    return found


@needs_systemd
def test_systemd_finds_nothing_to_say_about_the_unit(tmp_path: Path) -> None:
    done = analyze("verify", "--man=no", str(installed(tmp_path)))
    assert done.stderr == ""
    assert done.returncode == 0


@needs_systemd
def test_systemd_would_say_something_about_a_wrong_unit(tmp_path: Path) -> None:
    unit = installed(tmp_path)
    unit.write_text(unit.read_text().replace("WatchdogSec=", "WatchDogSec="))
    assert "WatchDogSec" in analyze("verify", "--man=no", str(unit)).stderr


@needs_systemd
def test_the_exposure_is_low(tmp_path: Path) -> None:
    unit = str(installed(tmp_path))
    done = analyze("security", "--offline=true", "--json=short", unit)
    assert json.loads(done.stdout)
    judged = analyze("security", "--offline=true", unit).stdout
    found = re.search(r"Overall exposure level for .*: ([0-9.]+)", judged)
    assert found is not None, judged
    assert float(found[1]) < EXPOSURE_MAX
    strict = analyze("security", "--offline=true", f"--threshold={round(EXPOSURE_MAX * 10)}", unit)
    assert strict.returncode == 0, strict.stdout


def test_the_watchdog_is_longer_than_ticks_and_the_stop_as_long_as_the_safe_decision() -> None:
    found = settings()
    assert found["Type"] == ["notify"]
    assert 3 <= float(found["WatchdogSec"][0]) <= 30
    # Safe decision of up to 3 s and 5 s between two writes, twice 4 s to flush; and a reserve.
    assert float(found["TimeoutStopSec"][0]) >= 30
    assert found["Restart"] == ["always"]
    assert found["StartLimitIntervalSec"] == ["0"]


def test_serial_lines_stay_reachable_and_nothing_else_does() -> None:
    found = settings()
    assert found["DevicePolicy"] == ["closed"]
    assert "PrivateDevices" not in found
    assert all(re.fullmatch(r"char-tty\w+ rw", one) for one in found["DeviceAllow"])
    assert {"char-ttyUSB rw", "char-ttyACM rw", "char-ttyS rw"} <= set(found["DeviceAllow"])
    assert found["SupplementaryGroups"] == ["dialout"]


def test_what_would_blind_the_daemon_is_not_set() -> None:
    """Users as they are, for the peers of the socket; the kernel's word about the clock."""
    found = settings()
    assert "PrivateUsers" not in found
    assert "ProtectClock" not in found
    assert "adjtimex clock_adjtime" in found["SystemCallFilter"]
    assert found["CapabilityBoundingSet"] == [""]


def test_no_secret_and_no_path_of_a_build_is_in_it() -> None:
    text = UNIT.read_text()
    assert "password=" not in text.lower()
    assert text.count("@BINDIR@/edgectl") == 2
    assert "/home/" not in text
