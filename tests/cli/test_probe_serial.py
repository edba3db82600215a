"""`probe` on a serial line, and on one behind a converter."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from edgectl.cli.main import main
from edgectl.model.modbus import Function, Request
from edgectl.model.serial_line import Parity, SerialLine
from edgectl.simulator.device.charge_point import ChargePoint
from edgectl.simulator.device.heidelberg import HeidelbergControl
from edgectl.simulator.device.serial_meters import AbbB23, Sdm630
from edgectl.simulator.device.serial_server import PtyServer, serve_converter
from edgectl.simulator.device.simulated_device import Device
from edgectl.simulator.memory.line import ExceptionCode

Captured = pytest.CaptureFixture[str]
WIRE = SerialLine(baud=115_200, parity=Parity.NONE)
SERIAL = ["--baud", "115200", "--parity", "N"]


class Line:
    """Three units of three kinds."""

    def __init__(self) -> None:
        self.devices: dict[int, Device] = {
            1: Sdm630(),
            2: AbbB23(),
            5: HeidelbergControl(ChargePoint(terminals=3, max_a=16.0), boot_a=16.0),
        }
        self.writes = 0

    def delay_s(self, unit: int, _request: Request) -> float:
        return 0.0 if unit in self.devices else float("inf")

    def read(
        self, unit: int, function: Function, address: int, count: int
    ) -> tuple[int, ...] | ExceptionCode:
        return self.devices[unit].read(function, address, count, 0.0)

    def write(
        self, _unit: int, _function: Function, _address: int, _words: tuple[int, ...]
    ) -> ExceptionCode | None:
        self.writes += 1
        return None


def probed(folder: Path, units: str, use: Callable[[list[str]], None], *, rtu: bool) -> Line:
    line = Line()

    async def both() -> None:
        if rtu:
            converter = await serve_converter(line, WIRE)
            where, stop = [f"127.0.0.1:{converter.port}", "--rtu"], converter.stop
        else:
            server = PtyServer(line, WIRE)
            where, stop = [server.device], server.stop
        words = ["probe", *where, *SERIAL, "--units", units, "--timeout", "0.2"]
        try:
            await asyncio.to_thread(use, [*words, "--socket", str(folder / "none.sock")])
        finally:
            await stop()

    asyncio.run(both())
    return line


@pytest.mark.parametrize("rtu", [False, True])
def test_it_names_every_profile_on_the_line(tmp_path: Path, capsys: Captured, rtu: bool) -> None:  # noqa: FBT001
    def use(words: list[str]) -> None:
        assert main(words) == 0

    line = probed(tmp_path, "1-3,5", use, rtu=rtu)
    assert line.writes == 0
    out = capsys.readouterr().out
    for unit, profile in ((1, "eastron-sdm630"), (2, "abb-b23"), (5, "heidelberg-energy-control")):
        assert f"profile: {profile}, link: ID, unit: {unit}" in out
    assert "unit 3: no answer" in out
    kind = "rtu_over_tcp, host: 127.0.0.1" if rtu else "rtu, device: /dev/pts/"
    assert f"kind: {kind}" in out
    assert "baud: 115200, parity: N, stop_bits: 1" in out


def test_a_line_where_nobody_answers_says_what_to_try(tmp_path: Path, capsys: Captured) -> None:
    def use(words: list[str]) -> None:
        assert main(words) == 1
        assert main([*words, "--json"]) == 1

    probed(tmp_path, "7", use, rtu=False)
    out = capsys.readouterr().out
    assert "try another --baud and --parity" in out
    answer = json.loads(out[out.index("{") :])
    assert answer["baud"] == 115_200
    assert [one["answers"] for one in answer["units"]] == [False]


@pytest.mark.parametrize(
    "words",
    [["/dev/ttyS99", "--units", "0-3"], ["/dev/ttyS99", "--baud", "12"]],
)
def test_nonsense_is_bad_input(tmp_path: Path, capsys: Captured, words: list[str]) -> None:
    assert main(["probe", *words, "--socket", str(tmp_path / "none.sock")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_a_device_that_is_not_there_is_said(tmp_path: Path, capsys: Captured) -> None:
    words = ["probe", str(tmp_path / "ttyUSB9"), "--socket", str(tmp_path / "none.sock")]
    assert main(words) == 3
    assert "is the adapter plugged in?" in capsys.readouterr().err
