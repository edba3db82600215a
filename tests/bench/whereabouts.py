"""Where a function spends its time, seen from outside: which of its callees runs, by sampling.

Nothing is wrapped and no order of calls is repeated here: what the function calls today is what is
found. The interpreter looks for the signal between two instructions, so a call into C counts for
whoever made it.
"""

import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType, FunctionType

SAMPLE_S = 0.0005


@contextmanager
def whereabouts(function: FunctionType) -> Iterator[Counter[str]]:
    """Count samples of processor time per module of the direct callees of `function`."""
    owner = function.__code__
    counts: Counter[str] = Counter()

    def sample(_signal: int, frame: FrameType | None) -> None:
        found = _callee(owner, frame)
        if found is not None:
            counts[found] += 1

    before = signal.signal(signal.SIGPROF, sample)
    signal.setitimer(signal.ITIMER_PROF, SAMPLE_S, SAMPLE_S)
    try:
        yield counts
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, before)


def _callee(owner: CodeType, frame: FrameType | None) -> str | None:
    """The module of the frame that `owner` called on the way here; its own while it runs itself."""
    below = frame
    while frame is not None:
        if frame.f_code is owner:
            code = owner if below is None else below.f_code
            return Path(code.co_filename).stem
        below, frame = frame, frame.f_back
    return None
