"""Rows to put in, and both kinds of outbox to put them into."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from edgectl.adapters.outbox import SqliteOutbox
from edgectl.model.telemetry import Detail, Outbox, OutRow
from edgectl.simulator.memory.outbox import MemoryOutbox

KINDS = ("file", "memory")


def emptied(row: OutRow) -> OutRow:
    """Every second telemetry row loses its body."""
    if int(row.made_utc_s) % 2 == 0 or not row.values:
        return row
    return OutRow(
        topic=row.topic, schema=row.schema, made_utc_s=row.made_utc_s, body=b"{}", detail=row.detail
    )


@asynccontextmanager
async def an_outbox(kind: str, folder: Path, **bounds: Any) -> AsyncIterator[Outbox]:
    outbox: Outbox
    if kind == "file":
        outbox = await SqliteOutbox.open(folder / "outbox.db", thin=emptied, **bounds)
    else:
        outbox = MemoryOutbox("s1", thin=emptied, **bounds)
    try:
        yield outbox
    finally:
        await outbox.close()


def with_outbox(
    kind: str, folder: Path, use: Callable[[Any], Awaitable[None]], **bounds: int
) -> None:
    async def main() -> None:
        async with an_outbox(kind, folder, **bounds) as outbox:
            await use(outbox)

    asyncio.run(main())


def telemetry(number: int, *, size: int = 20) -> OutRow:
    # Incompressible, so that both kinds count alike.
    return OutRow(
        topic="telemetry",
        schema="t",
        made_utc_s=float(number),
        body=b'{"n":%d,"x":"%s"}' % (number, b"x" * size),
        values=10,
        detail=Detail.FINE,
    )


def event(number: int) -> OutRow:
    return OutRow(topic="event", schema="e", made_utc_s=float(number), body=b'{"n":%d}' % number)


both = pytest.mark.parametrize("kind", KINDS)
