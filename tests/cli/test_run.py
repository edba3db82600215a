"""`edgectl run` as its own process: what it refuses, and that it starts, answers and stops."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgectl.adapters.folder_lock import FolderLock
from edgectl.cli.main import main
from edgectl.errors import StorageFailed

ROOT = Path(__file__).parents[2]
WORDS = [sys.executable, "-m", "edgectl.cli.main"]
Captured = pytest.CaptureFixture[str]

SITE = """\
site: {id: t, region: r, timezone: Europe/Berlin, voltage_v: 230, mode: control}
nodes:
  - {id: grid, limit_a: [200, 200, 200], base_max_a: [10, 10, 10]}
links:
  - {id: lan1, kind: tcp, host: 127.0.0.1, port: 1}
evses:
  - {id: bay01, node: grid, profile: phoenix-charx-sec, link: lan1, unit: 255, connector: 1,
     phases: [1, 2, 3], connection: line_to_neutral, max_a: 32}
"""


def _run(config: Path, folder: Path, *more: str) -> list[str]:
    return [
        *("run", "--config", str(config), "--state", str(folder / "state")),
        *("--socket", str(folder / "edgectl.sock"), *more),
    ]


def test_a_site_file_that_is_not_there(tmp_path: Path, capsys: Captured) -> None:
    assert main(_run(tmp_path / "none.yaml", tmp_path)) == 2
    assert "none.yaml" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_broken_site_file_is_said_with_its_lines_and_nothing_starts(
    tmp_path: Path, capsys: Captured
) -> None:
    config = tmp_path / "site.yaml"
    config.write_text(SITE.replace("node: grid", "node: gird").replace("port: 1", "port: x"))
    assert main(_run(config, tmp_path, "--json")) == 2
    shown = capsys.readouterr()
    errors = json.loads(shown.out)["errors"]
    assert {error["line"] for error in errors} == {5, 7}
    assert "site.yaml:7" in shown.err
    assert [path.name for path in tmp_path.iterdir()] == ["site.yaml"]


def test_a_state_folder_in_use_is_refused_and_free_again_after(tmp_path: Path) -> None:
    config = tmp_path / "site.yaml"
    config.write_text(SITE)
    held = FolderLock(tmp_path / "state")
    with pytest.raises(StorageFailed):
        held.take()
    (tmp_path / "state").mkdir()
    held.take()
    # A process of its own: a daemon that starts sets up the logging of its whole process.
    second = subprocess.run(
        [sys.executable, "-m", "edgectl.cli.main", *_run(config, tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        timeout=60,
    )
    assert second.returncode == 4
    assert f"another edgectl daemon keeps its state in {tmp_path}" in second.stderr
    assert list((tmp_path / "state").iterdir()) == []
    held.close()
    held.close()
    again = FolderLock(tmp_path / "state")
    again.take()
    again.close()


def test_an_unaccepted_risk_is_refused_by_name(tmp_path: Path, capsys: Captured) -> None:
    config = tmp_path / "site.yaml"
    config.write_text(SITE.replace("[200, 200, 200]", "[14, 14, 14]"))
    assert main(_run(config, tmp_path)) == 1
    what, remedy = capsys.readouterr().err.splitlines()
    assert "leaves risks that nobody accepted" in what
    assert "accept_risks: [" in remedy
    assert [path.name for path in tmp_path.iterdir()] == ["site.yaml"]


def test_it_starts_answers_refuses_a_second_one_and_stops(tmp_path: Path) -> None:
    config = tmp_path / "site.yaml"
    config.write_text(SITE)
    words = [sys.executable, "-m", "edgectl.cli.main"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    log = (tmp_path / "log").open("w+")
    daemon = subprocess.Popen(
        [*words, *_run(config, tmp_path)], stderr=log, stdout=log, env=environment
    )
    try:
        path = str(tmp_path / "edgectl.sock")
        answer = _until_it_answers(["status", "--json", "--socket", path], daemon, log.name)
        assert answer["site"] == "t"
        assert answer["evses"]["bay01"]["state"] == "silent"
        second = subprocess.run(
            [*words, *_run(config, tmp_path)],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
            timeout=60,
        )
        assert second.returncode == 4
        assert "another edgectl daemon already serves" in second.stderr
        assert "Traceback" not in second.stderr
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(timeout=60) == 0
    finally:
        if daemon.poll() is None:
            daemon.kill()
            daemon.wait()
        log.close()
    assert not (tmp_path / "edgectl.sock").exists()
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert {"started", "stopping"} <= {line["event"] for line in lines}
    assert all(line["event"] != "task_failed" for line in lines)


class Service:
    """The daemon as systemd runs it, with what it says to the service manager."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "site.yaml"
        self.config.write_text(SITE)
        self._at = ["--socket", str(folder / "edgectl.sock")]
        self._manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._manager.bind(str(folder / "notify"))
        self._manager.settimeout(30)
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "NOTIFY_SOCKET": str(folder / "notify"),
        }
        self._log = folder / "log"
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [*WORDS, *_run(self.config, folder)],
                stderr=log,
                stdout=log,
                env=self._environment,
            )

    def status(self) -> dict[str, Any]:
        return _until_it_answers(["status", "--json", *self._at], self.process, str(self._log))

    def reload(self) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*WORDS, "reload", "--reason", "test", *self._at],
            capture_output=True,
            text=True,
            env=self._environment,
            check=False,
            timeout=60,
        )

    def heard(self, word: str) -> str:
        """Take what was said to the service manager until the word comes."""
        for _ in range(200):
            said = self._manager.recv(4096).decode()
            if word in said:
                return said
        pytest.fail(f"{word} was never said")

    def events(self) -> list[str]:
        return [json.loads(line)["event"] for line in self._log.read_text().splitlines()]

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._manager.close()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path)
    yield made
    made.end()


def _ceiling_a(status: dict[str, Any]) -> list[float]:
    ceiling: list[float] = status["nodes"]["grid"]["ceiling_a"]
    return ceiling


def test_a_good_site_file_is_taken_up_by_the_same_process(service: Service) -> None:
    first = service.status()
    assert _ceiling_a(first) == [200.0] * 3
    service.heard("READY=1")
    service.config.write_text(SITE.replace("[200, 200, 200]", "[150, 150, 150]"))
    done = service.reload()
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 of 1 EVSEs go on" in done.stdout
    second = service.status()
    assert _ceiling_a(second) == [150.0] * 3
    assert second["since"] == first["since"]
    assert second["config"]["hash"] != first["config"]["hash"]
    reloading = service.heard("RELOADING=1")
    assert int(reloading.split("MONOTONIC_USEC=")[1].split()[0]) > 0
    service.heard("READY=1")
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(timeout=60) == 0
    events = service.events()
    assert events.count("started") == 2
    assert "task_failed" not in events
    assert "local_write" in events, "who reloaded is audited"


def test_a_bad_site_file_is_refused_aloud_and_the_next_good_one_taken(service: Service) -> None:
    service.status()
    service.heard("READY=1")
    service.config.write_text(SITE.replace("node: grid", "node: gird"))
    done = service.reload()
    assert done.returncode == 2
    assert "site.yaml:7" in done.stderr
    assert "the one before stays in force" in done.stdout
    service.process.send_signal(signal.SIGHUP)
    service.heard("READY=1")
    service.heard("READY=1")
    kept = service.status()
    assert _ceiling_a(kept) == [200.0] * 3
    assert "gird" in kept["config"]["refused"]
    assert "site_file_refused" in {alarm["code"] for alarm in kept["alarms"]}

    service.config.write_text(SITE.replace("[200, 200, 200]", "[120, 120, 120]"))
    service.process.send_signal(signal.SIGHUP)
    for _ in range(100):
        taken = service.status()
        if _ceiling_a(taken) == [120.0] * 3:
            break
        time.sleep(0.1)
    assert _ceiling_a(taken) == [120.0] * 3
    assert "refused" not in taken["config"]
    assert service.events().count("site_file_refused") == 2


def _until_it_answers(
    words: list[str], daemon: "subprocess.Popen[bytes]", log: str
) -> dict[str, Any]:
    for _ in range(300):
        asked = subprocess.run(
            [sys.executable, "-m", "edgectl.cli.main", *words],
            capture_output=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=False,
            timeout=60,
        )
        if asked.returncode == 0:
            answer: dict[str, Any] = json.loads(asked.stdout)
            return answer
        assert daemon.poll() is None, Path(log).read_text()
        time.sleep(0.1)
    pytest.fail("the daemon never answered: " + Path(log).read_text())
