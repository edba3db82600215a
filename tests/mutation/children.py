"""Work in forked children: each begins with everything imported, and leaves nothing behind."""

import json
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

SPARE_BYTES: Final = 2_000_000_000
WALL_PER_CPU: Final = 30.0


@dataclass(frozen=True, slots=True)
class Job:
    """`work` runs in a child, for `cpu_s` seconds of a core at most; `key` comes back with it."""

    key: str
    work: Callable[[], Any]
    cpu_s: float


@dataclass(slots=True)
class _Child:
    job: Job
    pid: int
    pipe: int
    until_s: float
    said: list[bytes] = field(default_factory=list)


def in_children(jobs: Iterator[Job], *, at_once: int) -> Iterator[tuple[str, Any]]:
    """Give what every job returned, as JSON gives it back; None for one that ran out of time."""
    running: dict[int, _Child] = {}
    more = True
    while more or running:
        while more and len(running) < at_once:
            job = next(jobs, None)
            if job is None:
                more = False
                break
            child = _start(job)
            running[child.pipe] = child
        if running:
            yield from _ended(running)


def _start(job: Job) -> _Child:
    mine, its = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _be_child(job, its)
    os.close(its)
    os.set_blocking(mine, False)
    return _Child(job, pid, mine, time.monotonic() + job.cpu_s * WALL_PER_CPU)


def _be_child(job: Job, pipe: int) -> None:
    """Never returns; whatever goes wrong is an answer of its own."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    cpu_s = int(job.cpu_s) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_DATA, (SPARE_BYTES, SPARE_BYTES))
    answer = json.dumps(job.work()).encode()
    os.set_blocking(pipe, True)
    while answer:
        answer = answer[os.write(pipe, answer) :]
    os._exit(0)


def _ended(running: dict[int, _Child]) -> Iterator[tuple[str, Any]]:
    ready, _, _ = select.select(list(running), [], [], 1.0)
    for pipe in ready:
        child = running[pipe]
        part = os.read(pipe, 1 << 16)
        if part:
            child.said.append(part)
            continue
        del running[pipe]
        os.close(pipe)
        _, status = os.waitpid(child.pid, 0)
        yield child.job.key, json.loads(b"".join(child.said)) if status == 0 else None
    now_s = time.monotonic()
    for child in running.values():
        if now_s > child.until_s:
            os.kill(child.pid, signal.SIGKILL)
