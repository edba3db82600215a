"""Waiting for whichever comes first, with no task left behind."""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def first_of(*waits: Coroutine[Any, Any, object]) -> None:
    """Return when one of the waits ends; the others are cancelled."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(wait, name="waits") for wait in waits]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
