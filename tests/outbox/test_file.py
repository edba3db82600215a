"""What the file promises beyond the contract: it outlives kill, full disk and damage."""

import asyncio
import re
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from edgectl.adapters.outbox import SqliteOutbox
from edgectl.errors import StorageFailed
from edgectl.model.telemetry import Lane
from tests.outbox.rows import an_outbox, emptied, event, telemetry

ROOT = Path(__file__).parents[2]
EVER = 1 << 60


def started_writer(path: Path, limit: int = 0) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.outbox.writer", str(path), str(limit)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    async def main() -> None:
        async with an_outbox("file", tmp_path) as outbox:
            await outbox.append([event(1)])
            modes.update(one.stat().st_mode & 0o777 for one in files())

    def files() -> list[Path]:
        return list(tmp_path.iterdir())

    modes: set[int] = set()
    asyncio.run(main())
    assert modes == {0o600}


@pytest.mark.parametrize("after_lines", [2, 9, 30])
def test_kill_in_mid_write_loses_nothing_that_was_accepted(
    tmp_path: Path, after_lines: int
) -> None:
    path = tmp_path / "outbox.db"
    writer = started_writer(path)
    assert writer.stdout is not None
    for _ in range(after_lines):
        writer.stdout.readline()
    writer.send_signal(signal.SIGKILL)
    said = writer.stdout.read().splitlines()
    writer.wait()
    writer.stdout.close()
    accepted = max((int(line.split()[1]) for line in said if line.startswith("kept")), default=0)
    accepted = max(accepted, 15 * (after_lines - 1))

    async def main() -> None:
        outbox = await SqliteOutbox.open(path, thin=emptied)
        found = await outbox.waiting(after_seq=0, upto_seq=EVER, limit=EVER)
        assert [one.seq for one in found] == list(range(1, len(found) + 1))
        assert [one.row for one in found] == [telemetry(number) for number in range(len(found))]
        assert len(found) >= accepted
        assert len(found) % 3 == 0, "a batch is kept whole or not at all"
        assert outbox.counts.waiting == outbox.counts.kept == outbox.last_seq == len(found)
        await outbox.close()

    asyncio.run(main())


def test_a_full_disk_is_an_error_that_names_the_file_and_passes(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    writer = started_writer(path, 150_000)
    out, _ = writer.communicate(timeout=60)
    assert writer.returncode == 0
    failed, kept, then = out.splitlines()
    assert str(path) in failed
    assert "free space" in failed
    number = re.fullmatch(r"kept (\d+) last (\d+)", kept)
    assert number is not None
    assert number[1] == number[2] != "0"
    assert then == f"then {int(number[1]) + 1}", "a refused row takes no number"


def test_numbers_window_and_counts_outlive_a_restart(tmp_path: Path) -> None:
    async def before() -> str:
        async with an_outbox("file", tmp_path, max_rows=20) as outbox:
            await outbox.append([telemetry(number) for number in range(30)])
            await outbox.acknowledge(Lane.LIVE, [29, 30], served_s=500.0)
            return outbox.stream

    async def after(stream: str) -> None:
        async with an_outbox("file", tmp_path) as outbox:
            assert outbox.stream == stream
            assert outbox.last_seq == 30
            assert outbox.counts.dropped_rows == 30 - outbox.counts.kept > 0
            # Connected time counts on from the last acknowledgement.
            await outbox.let_go(served_s=119.0)
            found = await outbox.window(Lane.LIVE, after_seq=0, limit=10)
            assert [one.seq for one in found] == [29, 30]
            await outbox.let_go(served_s=120.0)
            assert await outbox.window(Lane.LIVE, after_seq=0, limit=10) == ()
            await outbox.append([event(1)])
            assert outbox.last_seq == 31

    asyncio.run(after(asyncio.run(before())))


def test_a_damaged_file_is_put_aside_and_a_new_stream_begins(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    path.write_bytes(b"this was an outbox once" * 500)

    async def main() -> None:
        outbox = await SqliteOutbox.open(path, thin=emptied)
        assert outbox.counts.replaced
        await outbox.append([event(1)])
        assert outbox.last_seq == 1
        await outbox.close()

    asyncio.run(main())
    assert Path(f"{path}.unreadable").read_bytes().startswith(b"this was an outbox")


def test_a_file_with_damaged_pages_is_put_aside_too(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"

    async def main() -> None:
        outbox = await SqliteOutbox.open(path, thin=emptied)
        stream = outbox.stream
        await outbox.append([telemetry(number, size=250) for number in range(2000)])
        await outbox.close()
        whole = path.read_bytes()
        path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
        damaged = await SqliteOutbox.open(path, thin=emptied)
        await damaged.append([event(1)])
        assert damaged.stream != stream
        assert damaged.counts.replaced
        assert damaged.last_seq == 1
        await damaged.close()

    asyncio.run(main())


def test_a_second_process_cannot_take_the_file(tmp_path: Path) -> None:
    async def main() -> None:
        async with an_outbox("file", tmp_path):
            with pytest.raises(StorageFailed, match=r"outbox\.db"):
                await SqliteOutbox.open(tmp_path / "outbox.db", thin=emptied)

    asyncio.run(main())


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="nowhere"):
        asyncio.run(SqliteOutbox.open(tmp_path / "nowhere" / "outbox.db", thin=emptied))


def test_the_event_loop_is_never_held_up(tmp_path: Path) -> None:
    async def main() -> None:
        async with an_outbox("file", tmp_path) as outbox:
            longest_s = 0.0

            async def watch() -> None:
                nonlocal longest_s
                while True:
                    begin = time.thread_time()
                    await asyncio.sleep(0)
                    longest_s = max(longest_s, time.thread_time() - begin)

            watcher = asyncio.create_task(watch())
            # Packing and writing these takes the outbox's thread far longer than the loop's bound.
            await outbox.append([telemetry(number, size=50_000) for number in range(2000)])
            watcher.cancel()
            assert longest_s < 0.05

    asyncio.run(main())


def test_packed_telemetry_is_a_small_part_of_itself(tmp_path: Path) -> None:
    async def main() -> None:
        async with an_outbox("file", tmp_path) as outbox:
            await outbox.append([telemetry(number, size=20_000) for number in range(10)])
            assert outbox.counts.bytes < 20_000
            found = await outbox.waiting(after_seq=0, upto_seq=EVER, limit=100)
            assert found[3].row == telemetry(3, size=20_000)

    asyncio.run(main())


@pytest.mark.parametrize("size", [200, 1500, 2500, 4200, 9000])
def test_the_bound_holds_for_the_file_itself(tmp_path: Path, size: int) -> None:
    noise = Random(size)
    bodies = [
        b'{"x":"%s"}' % noise.randbytes(size // 2).hex().encode() for _ in range(3_000_000 // size)
    ]

    async def main() -> None:
        async with an_outbox("file", tmp_path, max_bytes=1_000_000) as outbox:
            for start in range(0, len(bodies), 10):
                await outbox.append(
                    [replace(event(1), body=body) for body in bodies[start : start + 10]]
                )
            assert outbox.counts.dropped_rows > 0

    asyncio.run(main())
    assert 300_000 < (tmp_path / "outbox.db").stat().st_size < 1_200_000


def test_a_window_does_not_grow_from_one_short_life_to_the_next(tmp_path: Path) -> None:
    async def life(number: int) -> int:
        async with an_outbox("file", tmp_path) as outbox:
            await outbox.append([event(number)])
            await outbox.acknowledge(Lane.LIVE, [outbox.last_seq], served_s=10.0)
            await outbox.let_go(served_s=10.0)
            kept: int = outbox.counts.kept
            return kept

    async def main() -> None:
        kept = [await life(number) for number in range(40)]
        assert kept[:5] == [1, 2, 3, 4, 5]
        assert max(kept) == kept[-1] == 12, "120 s of connected time, whatever it was made of"

    asyncio.run(main())


def test_a_file_of_a_version_that_counted_less_is_taken_up(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"

    async def main() -> None:
        async with an_outbox("file", tmp_path) as outbox:
            await outbox.append([event(1), telemetry(2)])
            stream = outbox.stream
        db = sqlite3.connect(path)
        for name in ("aside", "set_aside_rows", "refused_rows", "refused_values"):
            db.execute(f"ALTER TABLE totals DROP COLUMN {name}")
        db.commit()
        db.close()
        async with an_outbox("file", tmp_path) as outbox:
            assert (outbox.stream, outbox.counts.waiting) == (stream, 2)
            await outbox.set_aside([1])
        async with an_outbox("file", tmp_path) as outbox:
            assert (outbox.counts.waiting, outbox.counts.aside) == (1, 1)

    asyncio.run(main())
