"""One contract for every store, and what only the real one can show: `kill -9`, broken files."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgectl.adapters.store import SqliteStore
from edgectl.errors import StorageFailed
from edgectl.model.store import Store
from edgectl.simulator.memory.store import MemoryStore

Scenario: TypeAlias = Callable[[Store], Awaitable[None]]
RunOn: TypeAlias = Callable[[Scenario], None]


@pytest.fixture(params=["memory", "sqlite"])
def run_on(request: pytest.FixtureRequest, tmp_path: Path) -> RunOn:
    def run(scenario: Scenario) -> None:
        async def main() -> None:
            if request.param == "memory":
                await scenario(MemoryStore())
                return
            store = SqliteStore(tmp_path / "desk.db")
            await store.open()
            try:
                await scenario(store)
            finally:
                await store.close()

        asyncio.run(main())

    return run


def test_what_was_put_is_there_by_kind_and_key(run_on: RunOn) -> None:
    async def scenario(store: Store) -> None:
        await store.put(
            "event", "b", {"kw": 60.5, "text": "\u00e9\0\U0001f50c", "list": [None, True]}
        )
        await store.put("event", "a", {"n": 1})
        await store.put("command", "a", {"n": 2})
        assert await store.load_all("event") == {
            "a": {"n": 1},
            "b": {"kw": 60.5, "text": "\u00e9\0\U0001f50c", "list": [None, True]},
        }
        assert list(await store.load_all("event")) == ["a", "b"]
        assert await store.load_all("command") == {"a": {"n": 2}}
        assert await store.load_all("nothing") == {}

    run_on(scenario)


def test_a_second_put_replaces(run_on: RunOn) -> None:
    async def scenario(store: Store) -> None:
        await store.put("event", "a", {"n": 1})
        await store.put("event", "a", {"n": 2})
        assert await store.load_all("event") == {"a": {"n": 2}}

    run_on(scenario)


def test_a_deletion_is_of_one_document_and_of_an_absent_one_no_fault(run_on: RunOn) -> None:
    async def scenario(store: Store) -> None:
        await store.put("event", "a", {"n": 1})
        await store.put("command", "a", {"n": 1})
        await store.delete("event", "a")
        await store.delete("event", "a")
        assert await store.load_all("event") == {}
        assert await store.load_all("command") == {"a": {"n": 1}}

    run_on(scenario)


def test_puts_and_deletions_of_one_change_are_both_or_neither(run_on: RunOn) -> None:
    async def scenario(store: Store) -> None:
        await store.put("event", "a", {"n": 1})
        gone = [("event", "a"), ("event", "never")]
        with pytest.raises(ValueError, match="JSON"):
            await store.put_all([("event", "b", {"n": float("nan")})], gone=gone)
        assert await store.load_all("event") == {"a": {"n": 1}}
        await store.put_all([("event", "b", {"n": 2})], gone=gone)
        assert await store.load_all("event") == {"b": {"n": 2}}

    run_on(scenario)


def test_what_is_loaded_is_nobody_elses(run_on: RunOn) -> None:
    async def scenario(store: Store) -> None:
        doc: dict[str, object] = {"list": [1]}
        await store.put("event", "a", doc)
        doc["list"] = [2]
        (await store.load_all("event"))["a"]["list"] = [3]
        assert await store.load_all("event") == {"a": {"list": [1]}}

    run_on(scenario)


def test_not_a_number_is_not_kept(run_on: RunOn) -> None:
    async def scenario(store: Store) -> None:
        with pytest.raises(ValueError, match="JSON"):
            await store.put("event", "a", {"n": float("nan")})
        assert await store.load_all("event") == {}

    run_on(scenario)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("kl"), st.sampled_from("abc"), st.none() | st.integers(0, 9)),
        max_size=12,
    )
)
def test_both_stores_agree(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[str, str, int | None]]
) -> None:
    async def main() -> None:
        real = SqliteStore(tmp_path_factory.mktemp("agree") / "desk.db")
        await real.open()
        memory = MemoryStore()
        for kind, key, value in changes:
            for store in (real, memory):
                if value is None:
                    await store.delete(kind, key)
                else:
                    await store.put(kind, key, {"v": value})
        for kind in "kl":
            assert await real.load_all(kind) == await memory.load_all(kind)
        await real.close()

    asyncio.run(main())


def test_a_full_simulated_disk_fails_and_changes_nothing() -> None:
    async def main() -> None:
        store = MemoryStore()
        await store.put("event", "a", {"n": 1})
        store.full = True
        with pytest.raises(StorageFailed):
            await store.put("event", "a", {"n": 2})
        with pytest.raises(StorageFailed):
            await store.delete("event", "a")
        assert await store.load_all("event") == {"a": {"n": 1}}

    asyncio.run(main())


WRITER = """
import asyncio, sys
from pathlib import Path
from edgectl.adapters.store import SqliteStore

async def main():
    store = SqliteStore(Path(sys.argv[1]))
    await store.open()
    number = 0
    while True:
        await store.put("event", f"e{number % 7}", {"n": number, "pad": "x" * 2000})
        print(number, flush=True)
        number += 1

asyncio.run(main())
"""


@pytest.mark.parametrize("after", [1, 5, 23])
def test_kill_9_loses_nothing_that_was_kept(tmp_path: Path, after: int) -> None:
    path = tmp_path / "desk.db"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        text=True,
    )
    try:
        assert writer.stdout is not None
        told = [int(writer.stdout.readline()) for _ in range(after)]
        os.kill(writer.pid, signal.SIGKILL)
        told += [int(line) for line in writer.stdout]
    finally:
        writer.kill()
        writer.wait()
        if writer.stdout is not None:
            writer.stdout.close()

    async def kept() -> dict[str, dict[str, object]]:
        store = SqliteStore(path)
        await store.open()
        found = await store.load_all("event")
        await store.close()
        return found

    found = asyncio.run(kept())
    for number in told[-7:]:
        doc = found[f"e{number % 7}"]
        # The writer may have kept one more than it could tell.
        assert doc["n"] in {number, told[-1] + 1}
        assert len(str(doc["pad"])) == 2000


def test_documents_outlive_the_process_and_the_file_is_private(tmp_path: Path) -> None:
    path = tmp_path / "desk.db"

    async def write() -> None:
        store = SqliteStore(path)
        await store.open()
        await store.put("event", "a", {"n": 1})
        await store.close()
        await store.close()

    async def read() -> dict[str, dict[str, object]]:
        store = SqliteStore(path)
        await store.open()
        found = await store.load_all("event")
        await store.close()
        return found

    asyncio.run(write())
    assert path.stat().st_mode & 0o077 == 0
    assert asyncio.run(read()) == {"a": {"n": 1}}


def opening(path: Path) -> str:
    async def main() -> str:
        store = SqliteStore(path)
        with pytest.raises(StorageFailed) as caught:
            await store.open()
        await store.close()
        return str(caught.value)

    return asyncio.run(main())


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert str(tmp_path / "none" / "desk.db") in opening(tmp_path / "none" / "desk.db")


def test_a_file_of_a_later_format_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "desk.db"
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    assert "format 99" in opening(path)


def test_before_open_and_after_close_nothing_is_kept(tmp_path: Path) -> None:
    async def main() -> None:
        store = SqliteStore(tmp_path / "desk.db")
        with pytest.raises(StorageFailed, match="not open"):
            await store.put("event", "a", {})
        await store.open()
        await store.close()
        with pytest.raises(StorageFailed, match="closed"):
            await store.put("event", "a", {})

    asyncio.run(main())


def test_a_locked_file_fails_and_the_next_change_succeeds(tmp_path: Path) -> None:
    path = tmp_path / "desk.db"

    async def main() -> None:
        store = SqliteStore(path, busy_s=0.05)
        await store.open()
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageFailed, match="locked"):
            await store.put("event", "a", {"n": 1})
        other.execute("ROLLBACK")
        other.close()
        await store.put("event", "a", {"n": 2})
        assert await store.load_all("event") == {"a": {"n": 2}}
        await store.close()

    asyncio.run(main())
