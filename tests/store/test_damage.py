"""A daemon starts whatever became of its file: garbage, damage, somebody else on it."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from edgectl.adapters.store import SqliteStore
from edgectl.errors import StorageFailed
from edgectl.model.decision import AlarmCode


def written(path: Path, documents: int = 200) -> None:
    async def main() -> None:
        store = SqliteStore(path)
        await store.open()
        for number in range(documents):
            await store.put("event", f"e{number}", {"n": number, "text": "x" * 200})
        assert store.alarms() == ()
        await store.close()

    asyncio.run(main())


def opened(path: Path) -> tuple[dict[str, dict[str, object]], set[str]]:
    """What is there, and what is said; and that it can be written."""

    async def main() -> tuple[dict[str, dict[str, object]], set[str]]:
        store = SqliteStore(path)
        await store.open()
        found = await store.load_all("event")
        await store.put("event", "new", {"n": -1})
        assert "new" in await store.load_all("event")
        codes = {str(alarm.code) for alarm in store.alarms()}
        texts = [alarm.text for alarm in store.alarms()]
        await store.close()
        assert all(str(path) in text for text in texts)
        return found, codes

    return asyncio.run(main())


@pytest.mark.parametrize(
    "garbage", [b"no database at all, by no means" * 100, b"SQLite format 3\0" + b"\xff" * 5000]
)
def test_garbage_is_put_aside_and_said_with_what_is_forgotten(
    tmp_path: Path, garbage: bytes
) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(garbage)
    found, codes = opened(path)
    assert found == {}
    assert codes == {AlarmCode.STATE_REPLACED}
    assert (tmp_path / "state.db.unreadable").read_bytes() == garbage
    assert path.stat().st_mode & 0o077 == 0
    # It is said once: the next start finds a good file.
    found, codes = opened(path)
    assert set(found) == {"new"}
    assert codes == set()


def test_damage_in_the_middle_is_found_before_anything_rests_on_it(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    written(path)
    raw = bytearray(path.read_bytes())
    raw[8192:12288] = b"\xa5" * 4096
    path.write_bytes(bytes(raw))
    found, codes = opened(path)
    assert found == {}
    assert codes == {AlarmCode.STATE_REPLACED}


def test_one_spoilt_document_costs_that_one(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    written(path, 3)
    db = sqlite3.connect(path)
    db.execute("UPDATE documents SET doc = '{\"n\": ' WHERE key = 'e1'")
    db.execute("UPDATE documents SET doc = '[1]' WHERE key = 'e2'")
    db.commit()
    db.close()
    found, codes = opened(path)
    assert found["e0"]["n"] == 0
    assert (found["e1"], found["e2"]) == ({}, {})
    assert codes == set()


def test_an_empty_file_is_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.touch()
    assert opened(path) == ({}, set())


def test_a_file_that_somebody_else_writes_is_not_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    written(path, 3)
    before = path.read_bytes()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")

    async def main() -> None:
        store = SqliteStore(path, busy_s=0.05)
        with pytest.raises(StorageFailed, match="locked"):
            await store.open()
        await store.close()

    asyncio.run(main())
    other.close()
    assert path.read_bytes()[:100] == before[:100]
    assert not (tmp_path / "state.db.unreadable").exists()
