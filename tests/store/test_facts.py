"""What every store of facts promises, asked of the file and of the one in memory."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from edgectl.adapters.facts import SqliteFacts
from edgectl.errors import StorageFailed
from edgectl.model.facts import Fact, FactStore
from edgectl.simulator.memory.facts import MemoryFacts

both = pytest.mark.parametrize("kind", ["file", "memory"])


def in_store(kind: str, folder: Path, use: Callable[[FactStore], Awaitable[None]]) -> None:
    async def main() -> None:
        store: FactStore = SqliteFacts(folder / "facts.db") if kind == "file" else MemoryFacts()
        try:
            await use(store)
        finally:
            await store.close()

    asyncio.run(main())


def a_fact(key: str, from_s: float, until_s: float, kind: str = "block") -> Fact:
    return Fact(kind, key, from_s, until_s, {"n": [1.5, None, "ü"]})


@both
def test_facts_are_found_by_kind_and_time(kind: str, tmp_path: Path) -> None:
    async def use(store: FactStore) -> None:
        one, two, other = a_fact("1", 0, 10), a_fact("2", 10, 20), a_fact("1", 0, 10, "session")
        await store.change([two, one, other])
        assert await store.between("block", 0.0, 100.0) == (one, two)
        assert await store.between("block", 0.0, 10.0) == (one,)
        assert await store.between("block", 11.0, 12.0) == (two,)
        assert await store.between("block", float("-inf"), float("inf")) == (one, two)
        assert await store.get("session", "1") == other
        assert await store.get("session", "2") is None

    in_store(kind, tmp_path, use)


@both
def test_a_change_keeps_replaces_and_forgets(kind: str, tmp_path: Path) -> None:
    async def use(store: FactStore) -> None:
        await store.change([a_fact("1", 0, 10), a_fact("2", 10, 20), a_fact("3", 20, 30)])
        later = Fact("block", "1", 5, 15, {"n": 2})
        await store.change([later], [("block", "2"), ("block", "nothing")])
        assert await store.between("block", 0.0, 100.0) == (later, a_fact("3", 20, 30))
        await store.prune("block", 20.0)
        assert await store.between("block", 0.0, 100.0) == (a_fact("3", 20, 30),)

    in_store(kind, tmp_path, use)


def test_a_change_that_fails_changes_nothing(tmp_path: Path) -> None:
    async def use(store: FactStore) -> None:
        await store.change([a_fact("1", 0, 10)])
        bad = Fact("block", "2", None, 0, {})  # type: ignore[arg-type]
        with pytest.raises(StorageFailed, match=r"facts\.db"):
            await store.change([a_fact("1", 5, 10), bad])
        assert await store.between("block", 0.0, 100.0) == (a_fact("1", 0, 10),)

    in_store("file", tmp_path, use)


def test_facts_outlive_the_process_and_a_damaged_file_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "facts.db"
    told: list[str] = []

    async def main() -> None:
        store = SqliteFacts(path)
        await store.change([a_fact("1", 0, 10)])
        await store.close()
        store = SqliteFacts(path)
        assert await store.get("block", "1") == a_fact("1", 0, 10)
        await store.close()
        path.write_bytes(b"no database any more" * 300)
        store = SqliteFacts(path, on_damage=told.append)
        assert await store.get("block", "1") is None
        await store.change([a_fact("2", 0, 10)])
        assert await store.get("block", "2") == a_fact("2", 0, 10)
        await store.close()

    asyncio.run(main())
    assert len(told) == 1
    assert str(path) in told[0]
    assert Path(f"{path}.unreadable").exists()


def test_a_folder_that_comes_later_is_taken_up(tmp_path: Path) -> None:
    async def main() -> None:
        store = SqliteFacts(tmp_path / "later" / "facts.db")
        with pytest.raises(StorageFailed):
            await store.change([a_fact("1", 0, 10)])
        (tmp_path / "later").mkdir()
        await store.change([a_fact("1", 0, 10)])
        await store.close()

    asyncio.run(main())
