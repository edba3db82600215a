"""Devices without a daemon: one line, opened for one command, asked politely, and closed.

Only where no daemon runs: many chargers take one connection, and a serial line has one master.
"""

import asyncio
import os
import syslog
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from edgectl.adapters.clock import SystemClock
from edgectl.adapters.modbus_lines import line_of
from edgectl.cli.output import NO, CliError
from edgectl.contract.local_tool import RegisterAnswer, WriteAnswer
from edgectl.contract.registers import register_answer
from edgectl.devices.asking import Device, Question, devices_of, question, readable
from edgectl.errors import Refused
from edgectl.model.modbus import Answer, Line, Miss, MissCause, Request
from edgectl.model.site import Link
from edgectl.sitefile.load import load_site
from edgectl.units import LinkId

CONNECT_S: Final = 5.0
TRIES: Final = 2


class AloneBench:
    """Reads and writes by the site file, with the line of one link at a time."""

    def __init__(self, config: Path) -> None:
        loaded = load_site(config)
        self._devices = devices_of(loaded.site, loaded.profiles)
        self._links = {link.id: link for link in loaded.site.links}
        self._talk: Talk | None = None
        self._at: LinkId | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._talk is not None:
            self._talk.close()

    def quantities(self, device: str) -> list[str]:
        """Everything that can be read of a device by name."""
        return readable(self._device(device).profile)

    def read(self, device: str, what: str) -> dict[str, Any]:
        """Ask for one quantity or register."""
        return self._read(question(self._device(device), what)).to_json()

    def write(
        self, device: str, what: str, value: float, *, reason: str, force: bool
    ) -> dict[str, Any]:
        """Write one quantity or register; nobody else keeps the charger while no daemon runs."""
        asked = question(self._device(device), what)
        request = asked.write(value)
        if asked.kept is not None and not force:
            raise Refused(
                code="not_permitted",
                message=f"{asked.point.name} of {device} decides what it may draw, and no daemon"
                " watches it now",
                remedy="start the daemon and use `edgectl limit`, or force it (--force)",
            )
        before = self._seen(asked)
        syslog.syslog(
            syslog.LOG_AUTH | syslog.LOG_NOTICE,
            f"edgectl write {device} {what} {value:g} by uid {os.getuid()}, no daemon: {reason}",
        )
        self._ask(asked.device, request)
        after = self._seen(asked)
        return WriteAnswer(
            device=device,
            name=asked.point.name,
            address=request.address,
            words=list(request.words),
            before=before,
            after=after,
            note="no daemon runs: this stays until somebody else writes it, or the charger's own"
            " watchdog runs out",
        ).to_json()

    def _read(self, asked: Question) -> RegisterAnswer:
        batch = asked.batch()
        words = self._ask(asked.device, batch.request)
        return register_answer(asked, batch, words, guarded=asked.kept)

    def _seen(self, asked: Question) -> RegisterAnswer | None:
        """What it says, None where it cannot be read: some registers only take."""
        if not asked.can_be_seen:
            return None
        try:
            return self._read(asked)
        except CliError as fault:
            if fault.code != "no_answer":
                raise
            return None

    def _ask(self, device: Device, request: Request) -> tuple[int, ...]:
        if self._talk is None or self._at != device.link:
            if self._talk is not None:
                self._talk.close()
            self._talk, self._at = Talk(self._links[device.link]), device.link
        transport = device.profile.transport
        outcome = self._talk.ask(
            request, timeout_s=transport.timeout_s, gap_s=transport.request_gap_s
        )
        if isinstance(outcome, Miss):
            raise CliError(
                exit_code=NO,
                code="no_answer",
                message=f"{device.id} (link {device.link}, unit {request.unit}, register"
                f" {request.address}): {outcome.detail}",
                remedy="look at supply, wiring, address, unit id and whether the device has that"
                " register; `edgectl probe` finds who answers",
            )
        return outcome.words

    def _device(self, name: str) -> Device:
        found = self._devices.get(name)
        if found is None:
            raise Refused(
                code="unknown_target",
                message=f"there is no meter or EVSE {name!r} in the site file",
                remedy=f"known are: {', '.join(self._devices)}",
            )
        return found


class Talk:
    """One line with its own event loop, for a command that asks one thing after the other."""

    def __init__(self, link: Link) -> None:
        self._runner = asyncio.Runner()
        self._clock = SystemClock()
        self._line: Line = line_of(link, self._clock)
        self._open = False
        self._free_s = 0.0

    def ask(self, request: Request, *, timeout_s: float, gap_s: float) -> Answer | Miss:
        """Send one request; a connection that is gone is opened once more."""
        return self._runner.run(self._ask(request, timeout_s, gap_s))

    def now_s(self) -> float:
        """Monotonic seconds."""
        return self._clock.monotonic_s()

    def close(self) -> None:
        """Let go of the line."""
        self._runner.run(self._line.close())
        self._runner.close()

    async def _ask(self, request: Request, timeout_s: float, gap_s: float) -> Answer | Miss:
        outcome: Answer | Miss | None = None
        for _ in range(TRIES):
            if not self._open:
                refused = await self._line.open(timeout_s=CONNECT_S)
                if refused is not None:
                    return refused
                self._open = True
            await self._clock.sleep_until(self._free_s)
            outcome = await self._line.exchange(request, timeout_s=timeout_s)
            self._free_s = outcome.received_s + gap_s
            lost = isinstance(outcome, Miss) and outcome.cause is MissCause.DISCONNECTED
            if not lost:
                break
            self._open = False
        return outcome or await self._line.exchange(request, timeout_s=timeout_s)
