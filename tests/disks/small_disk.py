"""Small disks that are full, read-only or failing, in a mount namespace of a process of its own."""

import contextlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _may_mount() -> bool:
    unshare = shutil.which("unshare")
    if unshare is None:
        return False
    tried = subprocess.run(
        [unshare, "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False
    )
    return tried.returncode == 0


needs_mount = pytest.mark.skipif(
    not _may_mount(), reason="needs the right to mount a small disk (root)"
)


def said_on_a_disk(module: str, folder: Path) -> list[str]:
    """What `tests.disks.<module>` says, run with the folder to mount its disk on."""
    done = subprocess.run(
        ["unshare", "-m", sys.executable, "-m", f"tests.disks.{module}", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    if said[0].startswith("no such disk"):
        pytest.skip(said[0])
    return said


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def mount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)


def remount(folder: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Leave not a byte; the file that takes them."""
    ballast = folder / "ballast"
    with contextlib.suppress(OSError), ballast.open("ab", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass
    return ballast


class FailingDisk:
    """An ext4 that its kernel turns read-only under whoever writes, as after an error of a card.

    Nobody can undo that but by unmounting it, which waits until every file on it is closed.
    """

    def __init__(self, folder: Path, *, size: str = "24M") -> None:
        self._folder = folder
        self._image = folder.with_name(f"{folder.name}.img")
        subprocess.run(["truncate", "-s", size, str(self._image)], check=True)
        subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", str(self._image)], check=True)
        self._mount()

    def _mount(self) -> None:
        options = "loop,errors=remount-ro"
        subprocess.run(
            ["mount", "-o", options, str(self._image), str(self._folder)],
            check=True,
            capture_output=True,
        )

    @property
    def _trigger(self) -> Path:
        found = subprocess.run(
            ["findmnt", "-no", "SOURCE", str(self._folder)],
            check=True,
            capture_output=True,
            text=True,
        )
        return Path("/sys/fs/ext4") / Path(found.stdout.strip()).name / "trigger_fs_error"

    def fail(self) -> None:
        """Have the kernel meet an error: from now on nothing can be written."""
        self._trigger.write_text("tests")

    def is_in_use(self) -> bool:
        """Whether somebody still has a file open on it, so that it cannot be mended."""
        done = subprocess.run(["umount", str(self._folder)], check=False, capture_output=True)
        return done.returncode != 0

    def mend(self) -> None:
        """Unmount (`is_in_use` did it), look through it and mount it anew."""
        subprocess.run(["fsck.ext4", "-p", str(self._image)], check=False, capture_output=True)
        self._mount()


def failing_disk(folder: Path) -> FailingDisk:
    """The disk; where this machine cannot make one, that is said and the process ends."""
    try:
        disk = FailingDisk(folder)
        if disk._trigger.exists():
            return disk
        say("no such disk: this kernel has no trigger_fs_error")
    except (OSError, subprocess.CalledProcessError) as fault:
        say(f"no such disk: {fault}")
    raise SystemExit(0)
