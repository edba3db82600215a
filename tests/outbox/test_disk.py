"""Files that cannot be opened or are damaged: nothing accepted is lost, and it is said."""

import asyncio
import sqlite3
import zlib
from pathlib import Path

import pytest

from edgectl.adapters.outbox import SqliteOutbox
from edgectl.errors import StorageFailed
from edgectl.model.telemetry import Lane
from tests.outbox.rows import an_outbox, emptied, event, telemetry

EVER = 1 << 60


def test_a_file_that_cannot_be_opened_is_told_and_taken_up_when_it_can(tmp_path: Path) -> None:
    path = tmp_path / "later" / "outbox.db"
    told: list[StorageFailed] = []

    async def main() -> None:
        outbox = await SqliteOutbox.open(path, thin=emptied, on_failure=told.append)
        assert str(path) in str(told[0])
        with pytest.raises(StorageFailed, match="free space"):
            await outbox.append([event(1)])
        with pytest.raises(StorageFailed, match="free space"):
            await outbox.waiting(after_seq=0, upto_seq=EVER, limit=9)
        woken = asyncio.create_task(outbox.wait_beyond(0))
        path.parent.mkdir()
        await outbox.append([event(2)])
        await woken
        (found,) = await outbox.waiting(after_seq=0, upto_seq=EVER, limit=9)
        assert (found.seq, found.row) == (1, event(2))
        await outbox.close()

    asyncio.run(main())


def test_damage_that_only_reading_meets_begins_a_new_stream_too(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"

    async def main() -> None:
        async with an_outbox("file", tmp_path) as outbox:
            await outbox.append([telemetry(number, size=250) for number in range(3000)])
        with path.open("r+b") as file:
            # The first pages hold schema and totals; the rows that wait longest come after them.
            file.seek(10 * 4096)
            file.write(b"\xff" * 60 * 4096)
        async with an_outbox("file", tmp_path) as outbox:
            stream = outbox.stream
            with pytest.raises(StorageFailed):
                await outbox.waiting(after_seq=0, upto_seq=EVER, limit=5000)
            assert outbox.counts.replaced
            assert outbox.stream != stream
            await outbox.append([event(1)])
            assert outbox.last_seq == 1

    asyncio.run(main())
    assert Path(f"{path}.unreadable").stat().st_size > 40 * 4096


def spoil(path: Path, *seqs: int) -> None:
    """Change the bodies of rows so that they cannot be unpacked."""
    db = sqlite3.connect(path)
    spoilt = zlib.compress(b"{}" * 900)[:-3] + b"\x00\x00\x00"
    db.executemany("UPDATE rows SET body = ? WHERE seq = ?", [(spoilt, seq) for seq in seqs])
    db.commit()
    db.close()


def test_a_spoilt_row_that_the_bound_meets_is_dropped_and_stops_nothing(tmp_path: Path) -> None:
    bounds = {"max_bytes": 100_000, "max_rows": 1000}

    async def main() -> None:
        async with an_outbox("file", tmp_path, **bounds) as outbox:
            await outbox.append([telemetry(number, size=250) for number in range(30)])
        spoil(tmp_path / "outbox.db", 2, 30)
        async with an_outbox("file", tmp_path, **bounds) as outbox:
            while not outbox.counts.thinned_values:
                await outbox.append([event(1)])
            counts = outbox.counts
            assert counts.thinned_values == 130, "of those that can be thinned, all but the two"
            assert (counts.dropped_rows, counts.dropped_values) == (2, 20)
            found = await outbox.waiting(after_seq=0, upto_seq=EVER, limit=29)
            assert [one.seq for one in found] == [1, *range(3, 30), 31]

    asyncio.run(main())


def test_a_single_row_that_cannot_be_unpacked_is_dropped_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"

    async def main() -> None:
        async with an_outbox("file", tmp_path) as outbox:
            await outbox.append([telemetry(number, size=2000) for number in range(5)])
            await outbox.acknowledge(Lane.LIVE, [1], served_s=0.0)
        spoil(path, 1, 3)
        async with an_outbox("file", tmp_path) as outbox:
            found = await outbox.waiting(after_seq=0, upto_seq=EVER, limit=9)
            assert [one.seq for one in found] == [2, 4, 5]
            assert await outbox.window(Lane.LIVE, after_seq=0, limit=9) == ()
            counts = outbox.counts
            assert (counts.waiting, counts.kept, counts.dropped_rows) == (3, 3, 2)
            assert counts.dropped_values == 20
            assert not counts.replaced

    asyncio.run(main())
