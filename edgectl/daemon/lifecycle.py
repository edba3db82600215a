"""The life of the daemon: start, run, and one way to stop, written top to bottom.

1. One task group owns every task. Whatever ends one of them unexpectedly ends the daemon, by the
   same way down.
2. On the way down: stop deciding, tell the safe decision and read it back while the disk takes what
   was decided, stop polling, send what can be sent, close (S18).
3. Handing over to the next daemon in the process: the last rows go out and EVSEs that leave get
   their safe value while control goes on; then everything ends at once, without a safe decision,
   and the next daemon ticks.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Protocol

from structlog.typing import FilteringBoundLogger

from edgectl.clock import Instant
from edgectl.daemon.api import LocalApi
from edgectl.daemon.books.bookkeeping import Bookkeeping
from edgectl.daemon.chronicle import Chronicle
from edgectl.daemon.handover import Handover, leaving
from edgectl.daemon.lines.links import LinkOwner
from edgectl.daemon.lines.waiting import first_of
from edgectl.daemon.recorder import Recorder
from edgectl.daemon.region.publisher import Publisher
from edgectl.daemon.region.telemetry import Telemetry
from edgectl.daemon.reload import Reloader
from edgectl.daemon.tick import Tick
from edgectl.model.local_api import LocalServer
from edgectl.model.ports import Clock, Watchdog
from edgectl.units import EvseId, LinkId

FLUSH_S: Final = 4.0
HANDOVER_FLUSH_S: Final = 0.5
DESK_PERIOD_S: Final = 1.0


class Desk(Protocol):
    """Keeps what outlives a restart and answers for it."""

    async def load(self, now: Instant) -> None:
        """Take up what was kept."""

    async def tick(self, now: Instant) -> None:
        """Let time pass, keep and answer what changed."""


class Daemon:
    """Made by `edgectl.daemon.assemble`.

    `safe_stop_s`: how long the safe decision may take on each link.
    """

    def __init__(
        self,
        *,
        tick: Tick,
        owners: Sequence[LinkOwner],
        desks: Sequence[Desk],
        books: Bookkeeping | None,
        telemetry: Telemetry | None,
        publisher: Publisher | None,
        recorder: Recorder | None,
        api: LocalApi | None,
        local_server: LocalServer | None,
        clock: Clock,
        watchdog: Watchdog,
        safe_stop_s: Mapping[LinkId, float],
        log: FilteringBoundLogger,
        reloader: Reloader | None = None,
        chronicle: Chronicle | None = None,
        tells_safe_decision: bool = True,
    ) -> None:
        self.tick = tick
        self._tells_safe_decision = tells_safe_decision
        self._owners = owners
        self._desks = desks
        self._books = books
        self._telemetry = telemetry
        self._publisher = publisher
        self._recorder = recorder
        self._api = api
        self._local_server = local_server
        self._clock = clock
        self._watchdog = watchdog
        self._safe_stop_s = safe_stop_s
        self._log = log
        self._reloader = reloader
        self._chronicle = chronicle
        self._stop = asyncio.Event()
        self._failure: Exception | None = None

    def handover(self) -> Handover | None:
        """What the next daemon goes on from, after `run` said that there is one."""
        if self._reloader is None or self._chronicle is None:
            return None
        snapshot = self.tick.freeze()
        return Handover(
            loaded=self._reloader.loaded,
            meters=snapshot.meters,
            evses=snapshot.evses,
            state=self.tick.state,
            started_utc_s=self.tick.started_utc_s,
            chronicle=self._chronicle,
            happenings=None if self._telemetry is None else self._telemetry.happenings,
        )

    def stop(self) -> None:
        """Begin the way down; `run` returns when it is done."""
        self._stop.set()

    async def run(self) -> bool:
        """Run until `stop`, or until the next daemon takes over: then True.

        Raises what broke, after the same way down.
        """
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
            recording = self._start_recording(group)
            asking = [] if self._reloader is None else [self._start_reloader(group, self._reloader)]
            self._watchdog.ready()
            self._log.info("started")
            if await self._until_the_end():
                await self._prepare_handover(telling)
            if not self._stop.is_set():
                await _cancel(*asking, deciding, *polling, keeping, *serving)
                await self._keep_once()
                await self._end_recording(recording, within_s=HANDOVER_FLUSH_S)
                return True

            self._log.info("stopping")
            self._watchdog.stopping()
            await _cancel(deciding)
            for part in (self._telemetry, self._recorder):
                if part is not None:
                    part.stop()
            if self._tells_safe_decision:
                await self._tell_safe_decision()
            await _cancel(*asking, *polling, keeping, *serving)
            await self._keep_once()
            await self._end_recording(recording, within_s=FLUSH_S)
            await self._flush(telling)
        if self._failure is not None:
            raise self._failure
        return False

    async def _until_the_end(self) -> bool:
        """Wait for `stop` or for a successor; True when it is a successor."""
        if self._reloader is None:
            await self._stop.wait()
            return False
        await first_of(self._stop.wait(), self._reloader.arrived.wait())
        return not self._stop.is_set()

    async def _prepare_handover(self, telling: Sequence[asyncio.Task[None]]) -> None:
        """Tell those who leave, and let the last rows go, while all the others are served."""
        reloader = self._reloader
        if reloader is None or reloader.successor is None:
            return
        gone = leaving(reloader.loaded, reloader.successor)
        await self._flush(telling)
        values = {id_: value for id_, value in self._safe_values().items() if id_ in gone}
        await asyncio.gather(
            *(
                self._stop_safely(owner, values)
                for owner in self._owners
                if any(id_ in gone for id_ in owner.evses)
            )
        )
        for desk in self._desks:
            await desk.tick(self._clock.now())

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

    def _start_reloader(self, group: asyncio.TaskGroup, reloader: Reloader) -> asyncio.Task[None]:
        return self._start(group, "reload", reloader.run)

    def _start_telling(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        tasks = []
        if self._books is not None:
            tasks.append(self._start(group, "books", self._books.run))
        if self._telemetry is not None:
            tasks.append(self._start(group, "telemetry", self._telemetry.run))
        if self._publisher is not None:
            tasks.append(self._start(group, "publisher", self._publisher.run))
        return tasks

    def _start_recording(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        if self._recorder is None:
            return []
        return [self._start(group, "recorder", self._recorder.run)]

    async def _end_recording(
        self, recording: Sequence[asyncio.Task[None]], *, within_s: float
    ) -> None:
        """The last ticks to the disk, as far as the time goes."""
        if self._recorder is not None:
            self._recorder.stop()
            _, late = await asyncio.wait(recording, timeout=within_s)
            await _cancel(*late)

    def _start_serving(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        api, server = self._api, self._local_server
        if api is None or server is None:
            return []
        return [self._start(group, "local api", lambda: server.serve(api.handle))]

    async def _keep_desks(self) -> None:
        while True:
            due_s = self._clock.monotonic_s() + DESK_PERIOD_S
            await self._keep_once()
            await self._clock.sleep_until(due_s)

    async def _keep_once(self) -> None:
        now = self._clock.now()
        for desk in self._desks:
            await desk.tick(now)

    async def _tell_safe_decision(self) -> None:
        """S18: wherever a charger answers; the links work at the same time, each for its own."""
        values = self._safe_values()
        await asyncio.gather(*(self._stop_safely(owner, values) for owner in self._owners))

    async def _stop_safely(self, owner: LinkOwner, values: Mapping[EvseId, float]) -> None:
        within_s = self._safe_stop_s[owner.status().link]
        await owner.safe_stop(values, deadline_s=self._clock.monotonic_s() + within_s)

    def _safe_values(self) -> dict[EvseId, float]:
        return {evse: one.setpoint_a for evse, one in self.tick.safe().evses.items()}

    async def _flush(self, telling: Sequence[asyncio.Task[None]]) -> None:
        """The last rows to the disk, then to the broker, each as far as its time goes."""
        telling_parts = (self._books, self._telemetry, self._publisher)
        stops = [part.stop for part in telling_parts if part is not None]
        for stop, task in zip(stops, telling, strict=True):
            stop()
            _, late = await asyncio.wait((task,), timeout=FLUSH_S)
            await _cancel(*late)


async def _cancel(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
