"""Segments on disk: bounded, counted, begun anew by every process and after every failure."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from edgectl.adapters.journal import JournalFiles
from edgectl.contract.journal_reading import chapters_of, read_steps
from edgectl.contract.segment import Damage, lines_of, part_of
from edgectl.errors import StorageFailed
from edgectl.model.record import TickRecord
from tests.journal.recorded import run


def journal(folder: Path, **bounds: int) -> JournalFiles:
    return JournalFiles(folder, version="1", **{"reserve_bytes": 0, **bounds})


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def steps(path: Path) -> tuple[list[int], Damage, int]:
    """Numbers of the steps of a file, what is damaged, and the oldest part that its head names."""
    damage = Damage()
    found = list(read_steps(chapters_of(lines_of(path.read_bytes(), damage))))
    return [one.number for _, one in found], damage, found[0][0].first_part


def write(files: JournalFiles, *batches: Sequence[TickRecord], close: bool = True) -> None:
    async def main() -> None:
        for batch in batches:
            await files.append(batch)
        if close:
            await files.close()

    asyncio.run(main())


def test_what_was_appended_is_in_the_file_before_it_is_closed(tmp_path: Path) -> None:
    _, records = run()
    folder = tmp_path / "journal"
    files = journal(folder)
    write(files, records[:10], records[10:11], close=False)
    (name,) = names(folder)
    found, damage, _ = steps(folder / name)
    assert found == [record.number for record in records[:11]]
    assert damage.torn == 1
    write(files)
    assert steps(folder / name)[1] == Damage()
    assert (folder / name).stat().st_mode & 0o777 == 0o640


def test_every_process_begins_a_segment_of_its_own(tmp_path: Path) -> None:
    _, records = run()
    for part in range(3):
        write(journal(tmp_path), records[part * 5 : part * 5 + 5])
    assert [part_of(name) for name in names(tmp_path)] == [1, 2, 3]
    assert steps(tmp_path / names(tmp_path)[1])[0] == [6, 7, 8, 9, 10]


def test_a_full_segment_is_followed_by_another_at_a_whole_step(tmp_path: Path) -> None:
    _, records = run()
    write(journal(tmp_path, segment_bytes=1), *[[record] for record in records])
    found = [steps(tmp_path / name) for name in names(tmp_path)]
    assert len(found) >= 4, "one a minute"
    everything = [number for numbers, _, _ in found for number in numbers]
    assert everything == [record.number for record in records]
    assert all(damage == Damage() for _, damage, _ in found)


def test_at_the_bound_the_oldest_go_and_their_count_is_known(tmp_path: Path) -> None:
    _, records = run()
    for part in range(12):
        write(journal(tmp_path, segment_bytes=1, max_bytes=60_000), records[part : part + 60])
    kept = names(tmp_path)
    first = part_of(kept[0])
    assert first > 1
    assert [part_of(name) for name in kept] == list(range(first, 13))
    assert sum((tmp_path / name).stat().st_size for name in kept) <= 70_000
    assert steps(tmp_path / kept[-1])[2] == first, "the newest says how many are gone"


def test_with_little_room_on_the_disk_old_ones_go_and_then_nothing_is_recorded(
    tmp_path: Path,
) -> None:
    _, records = run()
    write(journal(tmp_path), records[:5])
    files = journal(tmp_path, reserve_bytes=2**62)
    with pytest.raises(StorageFailed, match="are free"):
        write(files, records[5:6], close=False)
    write(files)
    assert names(tmp_path) == []


def test_after_a_failure_a_new_segment_begins(tmp_path: Path) -> None:
    _, records = run()
    folder = tmp_path / "journal"
    files = journal(folder)

    async def main() -> None:
        await files.append(records[:3])
        await asyncio.get_running_loop().run_in_executor(None, break_it)
        with pytest.raises(StorageFailed, match="journal"):
            await files.append(records[3:4])
        await files.append(records[4:6])
        await files.close()

    def break_it() -> None:
        segment = files._segment
        assert segment is not None
        os.close(segment._fd)

    asyncio.run(main())
    first, second = (steps(folder / name) for name in names(folder))
    assert (first[0], first[1].torn) == ([1, 2, 3], 1)
    assert (second[0], second[1].torn) == ([5, 6], 0)


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    _, records = run()
    (tmp_path / "journal").write_text("a file is in the way")
    with pytest.raises(StorageFailed, match="journal"):
        write(journal(tmp_path / "journal"), records[:1], close=False)
