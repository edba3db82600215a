"""What a process really loads: the daemon stays small, the tool quick.

Each case runs in a process of its own, because a test process has long loaded everything.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# structlog looks for rich and does without; a gateway does not have it. Who else asks is named.
PROGRAM = """
import sys

class Gatekeeper:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in {forbidden!r}:
            return None
        frame = sys._getframe(1)
        while "importlib" in frame.f_globals.get("__name__", ""):
            frame = frame.f_back
        asker = frame.f_globals.get("__name__", "?")
        if asker.split(".")[0] not in {forbidden!r} + ("structlog",):
            print(asker, "imports", name)
        raise ImportError(name)

sys.meta_path.insert(0, Gatekeeper())
for name in {modules!r}:
    __import__(name)
for name in sorted(sys.modules):
    if name.split(".")[0] in {absent!r} or name in {absent!r}:
        print("loaded", name)
"""

HEAVY = ("numpy", "scipy", "amqtt", "rich", "typer", "textual", "highspy", "aiohttp")


def _complaints(
    *, modules: tuple[str, ...], forbidden: tuple[str, ...], absent: tuple[str, ...]
) -> str:
    program = PROGRAM.format(forbidden=forbidden, modules=modules, absent=absent)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_gatekeeper_tells(tmp_path: Path) -> None:
    (tmp_path / "edgectl_bad.py").write_text(
        "try:\n    import numpy\nexcept ImportError:\n    pass\n"
    )
    program = PROGRAM.format(forbidden=HEAVY, modules=("edgectl_bad",), absent=("json",))
    done = subprocess.run(
        [sys.executable, "-c", "import json\n" + program],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )
    assert "edgectl_bad imports numpy" in done.stdout
    assert "loaded json" in done.stdout


def test_the_daemon_loads_nothing_heavy() -> None:
    said = _complaints(
        modules=("edgectl.daemon.assemble", "edgectl.cli.run"),
        forbidden=HEAVY,
        absent=("edgectl.simulator", "pymodbus.server"),
    )
    assert said == ""


@pytest.mark.parametrize("verb", ["status", "why", "overrides", "client", "main"])
def test_the_tool_talks_without_what_the_daemon_needs(verb: str) -> None:
    said = _complaints(
        modules=("edgectl.cli.main", f"edgectl.cli.{verb}"),
        forbidden=HEAVY,
        absent=("pymodbus", "aiomqtt", "paho", "pydantic", "yaml", "asyncio", "edgectl.simulator"),
    )
    assert said == ""


def test_a_check_of_a_site_file_needs_no_transport() -> None:
    said = _complaints(
        modules=("edgectl.cli.check",),
        forbidden=HEAVY,
        absent=("pymodbus", "aiomqtt", "paho", "edgectl.simulator", "edgectl.daemon"),
    )
    assert said == ""
