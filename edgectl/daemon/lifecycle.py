"""The life of the daemon: start, run, and one way to stop, written top to bottom.

1. One task group owns every task. Whatever ends one of them unexpectedly ends the daemon, by the
   same way down.
2. On the way down: stop deciding, tell the safe decision and read it back, stop polling, flush,
   close (S18).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from structlog.typing import FilteringBoundLogger

from edgectl.clock import Instant
from edgectl.daemon.api import LocalApi
from edgectl.daemon.links import LinkOwner
from edgectl.daemon.publisher import Publisher
from edgectl.daemon.telemetry import Telemetry
from edgectl.daemon.tick import Tick
from edgectl.model.local_api import LocalServer
from edgectl.model.ports import Clock, Watchdog

FLUSH_S: Final = 4.0
DESK_PERIOD_S: Final = 1.0


class Desk(Protocol):
    """Keeps what outlives a restart and answers for it."""

    async def load(self, now: Instant) -> None:
        """Take up what was kept."""

    async def tick(self, now: Instant) -> None:
        """Let time pass, keep and answer what changed."""


class Daemon:
    """Made by `edgectl.daemon.assemble`. `safe_stop_s`: how long the safe decision may take."""

    def __init__(
        self,
        *,
        tick: Tick,
        owners: Sequence[LinkOwner],
        desks: Sequence[Desk],
        telemetry: Telemetry | None,
        publisher: Publisher | None,
        api: LocalApi | None,
        local_server: LocalServer | None,
        clock: Clock,
        watchdog: Watchdog,
        safe_stop_s: float,
        log: FilteringBoundLogger,
    ) -> None:
        self.tick = tick
        self._owners = owners
        self._desks = desks
        self._telemetry = telemetry
        self._publisher = publisher
        self._api = api
        self._local_server = local_server
        self._clock = clock
        self._watchdog = watchdog
        self._safe_stop_s = safe_stop_s
        self._log = log
        self._stop = asyncio.Event()
        self._failure: Exception | None = None

    def stop(self) -> None:
        """Begin the way down; `run` returns when it is done."""
        self._stop.set()

    async def run(self) -> None:
        """Run until `stop`; raises what broke, after the same way down."""
        now = self._clock.now()
        for desk in self._desks:
            await desk.load(now)
        async with asyncio.TaskGroup() as group:
            deciding = self._start(group, "tick", self.tick.run)
            polling = [
                self._start(group, f"link {owner.status().link}", owner.run)
                for owner in self._owners
            ]
            keeping = self._start(group, "desks", self._keep_desks)
            serving = self._start_serving(group)
            telling = self._start_telling(group)
            self._watchdog.ready()
            self._log.info("started")
            await self._stop.wait()

            self._log.info("stopping")
            self._watchdog.stopping()
            await _cancel(deciding)
            await self._tell_safe_decision()
            await _cancel(*polling, keeping, *serving)
            await self._flush(telling)
        if self._failure is not None:
            raise self._failure

    def _start(
        self, group: asyncio.TaskGroup, name: str, run: Callable[[], Awaitable[None]]
    ) -> asyncio.Task[None]:
        """Start one task; if it ends by a fault, the daemon goes its way down and raises it."""

        async def watched() -> None:
            try:
                await run()
            except Exception as failure:  # noqa: BLE001 - whatever it is, the way down is the same
                self._log.critical("task_failed", task=name, error=repr(failure))
                self._failure = self._failure or failure
                self._stop.set()

        return group.create_task(watched(), name=name)

    def _start_telling(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        tasks = []
        if self._telemetry is not None:
            tasks.append(self._start(group, "telemetry", self._telemetry.run))
        if self._publisher is not None:
            tasks.append(self._start(group, "publisher", self._publisher.run))
        return tasks

    def _start_serving(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        api, server = self._api, self._local_server
        if api is None or server is None:
            return []
        return [self._start(group, "local api", lambda: server.serve(api.handle))]

    async def _keep_desks(self) -> None:
        while True:
            now = self._clock.now()
            for desk in self._desks:
                await desk.tick(now)
            await self._clock.sleep_until(now.mono_s + DESK_PERIOD_S)

    async def _tell_safe_decision(self) -> None:
        """S18: wherever a charger answers; the links work at the same time, each for its own."""
        safe = self.tick.safe()
        values = {evse: one.setpoint_a for evse, one in safe.evses.items()}
        deadline_s = self._clock.monotonic_s() + self._safe_stop_s
        await asyncio.gather(
            *(owner.safe_stop(values, deadline_s=deadline_s) for owner in self._owners)
        )

    async def _flush(self, telling: Sequence[asyncio.Task[None]]) -> None:
        """The last rows to the disk, then to the broker, each as far as its time goes."""
        stops = [part.stop for part in (self._telemetry, self._publisher) if part is not None]
        for stop, task in zip(stops, telling, strict=True):
            stop()
            _, late = await asyncio.wait((task,), timeout=FLUSH_S)
            await _cancel(*late)


async def _cancel(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
