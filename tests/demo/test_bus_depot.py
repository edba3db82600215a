"""The bus depot on real sockets and a pseudo terminal, with the real daemon."""

import asyncio
from pathlib import Path

from edgectl.simulator.demo.report import Report
from edgectl.simulator.demo.run import Options, run_demo

SITE = Path(__file__).parents[2] / "config" / "bus-depot.yaml"


def test_the_bus_depot_is_demonstrated_on_this_machine(tmp_path: Path, *, prove: bool) -> None:
    """`--prove` plays the whole evening; otherwise it is a quick one."""
    said: list[str] = []

    async def run() -> Report:
        options = Options(site_file=SITE, out=tmp_path, duration_s=90.0 if prove else 9.0)
        return await run_demo(options, show=said.append)

    report = asyncio.run(run())
    assert report["ok"], (report, said)
    assert report["dr"]["responded"]
    assert report["energy_kwh"] > 0.0
    site = (tmp_path / "site.yaml").read_text()
    assert "device: /dev/pts/" in site
    log = (tmp_path / "daemon.log").read_text()
    assert '"bus-b"' not in log, "the serial line was never down"
    assert '"bus-meters"' not in log
