"""Waiting for whichever comes first, with no task left behind."""

import asyncio
import math
from collections.abc import Coroutine
from typing import Any

from edgectl.model.ports import Clock


async def first_of(*waits: Coroutine[Any, Any, object]) -> None:
    """Return when one of the waits ends; the others are cancelled."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(wait, name="waits") for wait in waits]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()


class Pause:
    """The sleep of one task, which others may end. It takes a timer and no task of its own."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._over: asyncio.Future[None] | None = None

    async def until(self, mono_s: float) -> None:
        """Return at the monotonic instant (infinite: never), or when `end` is called."""
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._over = over
        timer = None if mono_s == math.inf else self._clock.call_at(mono_s, self.end)
        try:
            await over
        finally:
            self._over = None
            if timer is not None:
                timer.cancel()

    def end(self) -> None:
        """End it now; nothing if nobody sleeps."""
        if self._over is not None and not self._over.done():
            self._over.set_result(None)
