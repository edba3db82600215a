"""A process that starts on a full and on a read-only disk: a small tmpfs of its own.

Argument: a folder, over which the disk is mounted. Says what happened, one line each.
"""

import asyncio
import sys
from pathlib import Path

from edgectl.adapters.store import SqliteStore
from edgectl.errors import StorageFailed
from tests.disks.small_disk import fill, mount, remount, say


async def put(store: SqliteStore, key: str) -> str:
    try:
        await store.put("event", key, {"text": "x" * 4000})
    except StorageFailed:
        return "refused"
    return "taken"


async def start(path: Path, when: str) -> SqliteStore:
    store = SqliteStore(path, again_s=0.05)
    await store.open()
    found = await store.load_all("event")
    codes = ",".join(alarm.code for alarm in store.alarms()) or "no alarm"
    say(f"{when}: {len(found)} documents, {codes}, {await put(store, 'new')}")
    return store


async def full_meanwhile(store: SqliteStore, folder: Path) -> None:
    """The disk becomes full under a store that runs, and nobody writes when there is room again."""
    ballast = fill(folder)
    while await put(store, "new") == "taken":
        pass
    codes = ",".join(alarm.code for alarm in store.alarms())
    say(f"full meanwhile: {len(await store.load_all('event'))} documents, {codes}")
    ballast.unlink()
    while store.alarms():  # noqa: ASYNC110 - what is waited for tells nobody
        await asyncio.sleep(0.02)
    say("room again: no alarm")


async def main(folder: Path) -> None:
    mount(folder, "size=1m")
    path = folder / "state.db"
    store = SqliteStore(path)
    await store.open()
    for number in range(3):
        await put(store, f"e{number}")
    # A clean stop: nothing lies beside the file, so sqlite must make it anew.
    await store.close()

    ballast = fill(folder)
    store = await start(path, "full")
    ballast.unlink()
    say(f"room: {await put(store, 'new')}, {store.alarms() or 'no alarm'}")
    await full_meanwhile(store, folder)
    await store.close()

    remount(folder, "ro")
    store = await start(path, "read-only")
    remount(folder, "rw")
    say(f"mended: {await put(store, 'newer')}, {store.alarms() or 'no alarm'}")
    await store.close()

    path.unlink()
    fill(folder)
    store = await start(path, "first start on a full disk")
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
