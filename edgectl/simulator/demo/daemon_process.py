"""The real daemon as a child process of the demo."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from edgectl.errors import Unreachable
from edgectl.simulator.demo.broker import end_process

_STOP_S: Final = 15.0
_LOG_TAIL: Final = 3

Arguments = Callable[[Path, Path, Path], list[str]]
"""From site file, state directory and socket to a command line."""


def daemon_arguments(config: Path, state: Path, local_socket: Path) -> list[str]:
    """Give the command line of `edgectl run` in this environment."""
    return [
        sys.executable,
        "-m",
        "edgectl.cli.main",
        "run",
        # All of the demo lives by this machine's clock, set or not.
        "--trust-clock",
        "--config",
        str(config),
        "--state",
        str(state),
        "--socket",
        str(local_socket),
    ]


@asynccontextmanager
async def daemon_process(
    arguments: list[str], *, log: Path, patience_s: float = _STOP_S
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the daemon; it is asked to end on the way out, and killed if it does not."""
    with log.open("wb") as sink:
        # A session of its own: Ctrl-C in the terminal is for the demo, which then ends the daemon.
        process = await asyncio.create_subprocess_exec(
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        await end_process(process, patience_s=patience_s)


def ended(process: asyncio.subprocess.Process, *, log: Path) -> Unreachable:
    """Say that the daemon ended by itself, with the end of its log."""
    tail = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-_LOG_TAIL:]
    said = "\n".join(tail) if tail else "it said nothing"
    return Unreachable(
        message=f"the daemon ended with status {process.returncode}:\n{said}",
        remedy=f"see {log}",
    )
