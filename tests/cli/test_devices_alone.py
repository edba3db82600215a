"""`read`, `write` and `probe` where no daemon runs, against simulated devices on real sockets."""

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from edgectl.cli.main import main
from edgectl.simulator.depot import Depot, Scenario, build_depot
from edgectl.simulator.device.modbus_server import StationServer, serve_stations, stop_servers
from edgectl.units import LinkId
from tests.simulator.world import CHARX, KEBA, METERS, NEXT, Clock, site

Captured = pytest.CaptureFixture[str]
Ports = Mapping[LinkId, int]

SITE = """\
site: {{id: t, region: r, timezone: Europe/Berlin, voltage_v: 230, mode: control}}
nodes:
  - {{id: grid, limit_a: [200, 200, 200], base_max_a: [10, 10, 10]}}
links:
  - {{id: lan1, kind: tcp, host: 127.0.0.1, port: {keba}}}
  - {{id: lan2, kind: tcp, host: 127.0.0.1, port: {meters}}}
  - {{id: lan3, kind: tcp, host: 127.0.0.1, port: 1}}
meters:
  - {{id: m-grid, node: grid, profile: janitza-umg96rm, link: lan2, unit: 1, sees: all, poll_s: 0.5,
     phases: [1, 2, 3]}}
evses:
  - {{id: bay01, node: grid, profile: keba-p40, link: lan1, unit: 255, connector: 1,
     phases: [1, 2, 3], connection: line_to_neutral, max_a: 32}}
  - {{id: bay02, node: grid, profile: keba-p40, link: lan3, unit: 255, connector: 1,
     phases: [1, 2, 3], connection: line_to_neutral, max_a: 32}}
"""


def with_devices(folder: Path, use: Callable[[Path, Ports, Depot], None]) -> None:
    """Serve the simulated depot, and run `use` beside it with a site file that names it."""

    async def both() -> None:
        depot = build_depot(site(), seed=1, clock=Clock(), scenario=Scenario())
        servers = await serve_stations(depot.stations(), depot.site.links)
        ports = {
            link: server.port
            for link, server in servers.items()
            if isinstance(server, StationServer)
        }
        config = folder / "site.yaml"
        config.write_text(SITE.format(keba=ports[KEBA], meters=ports[METERS]))
        try:
            await asyncio.to_thread(use, config, ports, depot)
        finally:
            await stop_servers(servers)

    asyncio.run(both())


def alone(config: Path, *words: str) -> list[str]:
    return [*words, "--config", str(config), "--socket", str(config.with_name("none.sock"))]


def test_a_quantity_is_read_with_its_register(tmp_path: Path, capsys: Captured) -> None:
    def use(config: Path, _ports: Ports, _depot: Depot) -> None:
        assert main(alone(config, "read", "bay01", "hardware_a")) == 0

    with_devices(tmp_path, use)
    shown = capsys.readouterr()
    assert shown.err == "no daemon answers; the device is asked directly\n"
    assert shown.out.splitlines()[:2] == [
        "bay01 hardware_a = 32 A",
        "  holding 1110 of unit 255 [0000 7d00]",
    ]


def test_everything_that_a_profile_knows_is_read(tmp_path: Path, capsys: Captured) -> None:
    def use(config: Path, _ports: Ports, _depot: Depot) -> None:
        assert main(alone(config, "read", "m-grid", "--json")) == 0

    with_devices(tmp_path, use)
    answer = json.loads(capsys.readouterr().out)
    values = {one["name"]: one.get("value") for one in answer["values"]}
    assert 220.0 < values["voltage_v.1"] < 240.0
    assert values["frequency_hz"] == 50.0


def test_a_write_is_read_again_and_shown(tmp_path: Path, capsys: Captured) -> None:
    def use(config: Path, _ports: Ports, _depot: Depot) -> None:
        words = ("write", "bay01", "failsafe_set_a", "10", "--reason", "r", "--yes")
        assert main(alone(config, *words)) == 4
        assert main(alone(config, *words, "--force")) == 0
        assert main(alone(config, "read", "bay01", "failsafe_a", "--json")) == 0

    with_devices(tmp_path, use)
    shown = capsys.readouterr()
    assert "lies on the failsafe block of bay01" in shown.err
    assert "bay01 failsafe_set_a is 10 A now, was 0 A" in shown.out
    assert "no daemon runs: this stays" in shown.out
    assert json.loads(shown.out[shown.out.index("{") :])["value"] == 10.0


def test_nothing_is_written_unless_somebody_says_yes(tmp_path: Path, capsys: Captured) -> None:
    def use(config: Path, _ports: Ports, _depot: Depot) -> None:
        words = ("write", "bay01", "holding:1200:u16", "1", "--reason", "r")
        assert main(alone(config, *words)) == 4
        assert main(alone(config, "read", "bay01", "fast_charging", "--json")) == 0

    with_devices(tmp_path, use)
    shown = capsys.readouterr()
    assert "nobody is there to confirm" in shown.err
    assert json.loads(shown.out[shown.out.index("{") :])["value"] == 0.0


def test_a_device_that_is_not_there_is_said_in_two_lines(tmp_path: Path, capsys: Captured) -> None:
    def use(config: Path, _ports: Ports, _depot: Depot) -> None:
        assert main(alone(config, "read", "bay02", "state")) == 1
        assert main(alone(config, "read", "bay99", "state")) == 4
        assert main(alone(config, "read", "bay01", "nonsense")) == 4

    with_devices(tmp_path, use)
    lines = capsys.readouterr().err.splitlines()
    assert lines[1].startswith("bay02 (link lan3, unit 255, register 1000): 127.0.0.1 port 1")
    assert "known are: m-grid, bay01, bay02" in lines[5]
    assert "has no quantity 'nonsense'" in lines[7]


def test_without_daemon_and_without_site_file_the_remedy_names_both(
    tmp_path: Path, capsys: Captured
) -> None:
    assert main(alone(tmp_path / "none.yaml", "read", "bay01")) == 3
    remedy = capsys.readouterr().err.splitlines()[1]
    assert "systemctl start edgectl" in remedy
    assert "--config" in remedy


@pytest.mark.parametrize(
    ("link", "units", "profile"),
    [
        (KEBA, "255", "keba-p40"),
        (CHARX, "1-2", "phoenix-charx-sec"),
        (NEXT, "255", "webasto-next"),
        (METERS, "1", "janitza-umg96rm"),
        (METERS, "2", "carlo-gavazzi-em24-e1"),
    ],
)
def test_a_probe_names_the_profile(
    tmp_path: Path, capsys: Captured, link: LinkId, units: str, profile: str
) -> None:
    def use(_config: Path, ports: Ports, depot: Depot) -> None:
        before = depot.stations()
        assert before
        words = ["probe", f"127.0.0.1:{ports[link]}", "--units", units]
        assert main([*words, "--socket", str(tmp_path / "none.sock")]) == 0

    with_devices(tmp_path, use)
    out = capsys.readouterr().out
    assert f"(profile {profile})" in out
    assert f"profile: {profile}, link: ID, unit: {units[0]}" in out


def test_a_probe_of_units_that_are_not_there_says_no(tmp_path: Path, capsys: Captured) -> None:
    def use(_config: Path, ports: Ports, _depot: Depot) -> None:
        words = ["probe", f"127.0.0.1:{ports[METERS]}", "--units", "7-9", "--json"]
        assert main([*words, "--socket", str(tmp_path / "none.sock")]) == 1

    with_devices(tmp_path, use)
    answer = json.loads(capsys.readouterr().out)
    assert [one["answers"] for one in answer["units"]] == [False] * 3


def test_a_probe_of_a_dead_address_is_said(tmp_path: Path, capsys: Captured) -> None:
    assert main(["probe", "127.0.0.1:1", "--socket", str(tmp_path / "none.sock")]) == 3
    assert "refuses the connection" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["127.0.0.1:0"],
        ["127.0.0.1:99999"],
        [":502"],
        ["127.0.0.1", "--units", "0-256"],
        ["127.0.0.1", "--units", "5-1"],
        ["127.0.0.1", "--units", "x"],
        ["127.0.0.1", "--timeout", "0"],
    ],
)
def test_a_probe_of_nonsense_is_bad_input(
    tmp_path: Path, capsys: Captured, words: list[str]
) -> None:
    assert main(["probe", *words, "--socket", str(tmp_path / "none.sock")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2
