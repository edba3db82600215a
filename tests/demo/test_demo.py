"""The whole demo on real sockets, with a stand-in in the daemon's place; short runs."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from edgectl.cli import demo as command
from edgectl.cli.main import main
from edgectl.errors import BadInput, Unreachable
from edgectl.simulator.demo.broker import Broker, embedded_broker, free_port, own_broker
from edgectl.simulator.demo.daemon_process import Arguments, daemon_process
from edgectl.simulator.demo.report import Report
from edgectl.simulator.demo.run import Options, run_demo, summary

ROOT = Path(__file__).parents[2]
STAND_IN = Path(__file__).with_name("stand_in_daemon.py")


def stand_in(**wishes: float) -> Arguments:
    words = [f"{key}={value}" for key, value in wishes.items()]

    def arguments(config: Path, state: Path, local_socket: Path) -> list[str]:
        paths = (str(config), str(state), str(local_socket))
        return [sys.executable, str(STAND_IN), *paths, *words]

    return arguments


def options(out: Path, **more: object) -> Options:
    facts = {"site_file": ROOT / "config" / "demo-depot.yaml", "out": out, "duration_s": 9.0}
    return Options(**{**facts, **more})  # type: ignore[arg-type]


def played(out: Path, arguments: Arguments, **more: object) -> tuple[Report, list[str]]:
    said: list[str] = []
    report = asyncio.run(run_demo(options(out, **more), show=said.append, arguments=arguments))
    return report, said


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_a_demo_runs_reports_and_ends_everything(tmp_path: Path) -> None:
    report, said = played(tmp_path, stand_in())
    assert report["ok"], report
    assert report["dr"] == {"received": True, "responded": True, "kept": True}
    assert report["telemetry"]["published"] == report["telemetry"]["received"] > 5
    assert report["energy_kwh"] > 0.0
    assert json.loads((tmp_path / "report.json").read_text()) == report
    assert "<svg" in (tmp_path / "picture.svg").read_text()
    assert any("silent" in line for line in said)
    assert all(len(line) <= 80 for line in summary(report, Path("demo-report")))
    (pid,) = (int(line.rsplit(" ", 1)[1]) for line in said if "online, process" in line)
    assert gone(pid)
    port = int(next(line for line in said if "broker:" in line).rsplit(":", 1)[1])
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_the_flight_recorder_of_this_run_is_kept(tmp_path: Path) -> None:
    def recording(site_file: Path, state: Path, local_socket: Path) -> list[str]:
        (state / "journal").mkdir()
        (state / "journal" / "new").write_text("of this run")
        return stand_in()(site_file, state, local_socket)

    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "old").write_text("of another run")
    played(tmp_path, recording)
    assert [path.name for path in (tmp_path / "journal").iterdir()] == ["new"]


def test_lost_telemetry_and_a_deaf_daemon_make_it_fail(tmp_path: Path) -> None:
    report, _ = played(tmp_path, stand_in(lose=2, deaf=1))
    assert not report["ok"]
    telemetry = report["telemetry"]
    assert telemetry["published"] - telemetry["received"] == 2
    assert report["dr"]["received"] is False
    text = "\n".join(summary(report, tmp_path))
    assert "NOT ok" in text
    assert "NOT received" in text


def test_a_daemon_that_dies_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="died as it was told"):
        played(tmp_path, stand_in(die_after_s=1.0))
    assert not (tmp_path / "report.json").exists()


def test_a_site_of_phasors_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    """The demo's physics add currents as amounts."""
    garage = Path(__file__).parents[2] / "config" / "acn-caltech.yaml"
    with pytest.raises(BadInput, match=r"acn-caltech\.yaml: .*no line-to-line EVSEs"):
        played(tmp_path / "out", stand_in(), site_file=garage)
    assert not (tmp_path / "out").exists()


def test_recorded_sessions_drive_the_demo(tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("site,session_id\n1,2\n")
    with pytest.raises(BadInput, match=r"bad\.csv:1: the header lacks"):
        played(tmp_path / "out", stand_in(), sessions=bad)
    assert not (tmp_path / "out").exists()


def test_the_embedded_broker_carries_events_and_telemetry(tmp_path: Path) -> None:
    async def run() -> Report:
        async with embedded_broker() as broker:
            assert broker.protocol == "3.1.1"
            return await run_demo(
                options(tmp_path, duration_s=6.0, broker=broker),
                show=lambda _: None,
                arguments=stand_in(),
            )

    report = asyncio.run(run())
    assert report["dr"]["responded"]
    assert report["telemetry"]["published"] == report["telemetry"]["received"] > 3


@contextmanager
def cli_demo(tmp_path: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """The command itself, with the real daemon, in a process of its own."""
    with subprocess.Popen(
        [sys.executable, "-m", "edgectl.cli.main", "demo", "--out", str(tmp_path / "out"), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        start_new_session=True,
        # Whoever runs the tests in the background may have had this signal ignored for all of them.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.mark.parametrize("signal_name", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_the_demo_and_its_children(tmp_path: Path, signal_name: str) -> None:
    with cli_demo(tmp_path, "--plain") as process:
        assert process.stdout is not None
        pid = None
        seen = []
        for line in process.stdout:
            seen.append(line)
            if "online, process" in line:
                pid = int(line.rsplit(" ", 1)[1])
            if line.startswith("t="):
                break
        assert pid is not None, "".join(seen)
        process.send_signal(getattr(signal, signal_name))
        rest = process.stdout.read()
        assert process.wait(30) == 130
        assert "stopped before the end" in rest
        assert "Traceback" not in rest
        assert gone(pid)
    assert not (tmp_path / "out" / "report.json").exists()


def test_wrong_options_are_told_in_two_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (
        ["--duration", "5"],
        ["--broker", "somewhere"],
        ["--broker", "10.1.2.3:1883"],
        ["--sessions", str(tmp_path / "absent.csv")],
        ["--site", str(tmp_path / "absent.yaml")],
    ):
        assert main(["demo", "--out", str(tmp_path / "out"), *words]) == 2
        said = capsys.readouterr().err
        assert said
        assert "Traceback" not in said


def test_a_report_folder_that_cannot_be_made_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["demo", "--out", str(tmp_path / "file")]) == 1
    assert "cannot be written: File exists" in capsys.readouterr().err


def test_a_broker_that_is_not_there_is_told(tmp_path: Path) -> None:
    nobody = Broker(name="nobody", host="127.0.0.1", port=free_port(), protocol=5)
    with pytest.raises(Unreachable, match="is lost"):
        played(tmp_path, stand_in(), broker=nobody)


def test_a_daemon_that_does_not_end_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    stubborn = (
        "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); "
        "time.sleep(60)"
    )

    async def run() -> int:
        command = [sys.executable, "-c", stubborn]
        async with daemon_process(command, log=log, patience_s=0.5) as process:
            while not log.read_text():  # noqa: ASYNC110 - the child says nothing else
                await asyncio.sleep(0.05)
        assert process.returncode == -signal.SIGKILL
        return process.pid

    assert gone(asyncio.run(run()))


def test_without_any_broker_the_remedy_is_named(tmp_path: Path) -> None:
    async def run() -> None:
        async with own_broker(tmp_path, search=(), embedded=False):
            pass

    with pytest.raises(Unreachable, match="install mosquitto"):
        asyncio.run(run())


def test_the_command_is_known_with_its_options() -> None:
    assert command._broker("localhost:1883") == Broker(
        name="the given broker", host="127.0.0.1", port=1883, protocol=5
    )
    assert command._broker("[::1]:1883").host == "::1"
    assert shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin") is not None
