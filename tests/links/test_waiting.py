"""A pause ends at its instant or when somebody ends it, and leaves nothing behind."""

import asyncio
import math

import pytest

from edgectl.adapters.clock import SystemClock
from edgectl.daemon.lines.waiting import Pause
from edgectl.model.ports import Clock
from edgectl.simulator import virtual_time
from edgectl.simulator.virtual_time import DeadlockError, VirtualClock


def test_it_ends_at_its_instant() -> None:
    async def main() -> float:
        clock = VirtualClock()
        await Pause(clock).until(12.5)
        return clock.monotonic_s()

    assert virtual_time.run(main()) == 12.5


def test_an_instant_that_is_past_gives_others_a_turn() -> None:
    async def main() -> tuple[float, list[str]]:
        seen: list[str] = []
        clock = VirtualClock()
        other = asyncio.create_task(_note(seen))
        await Pause(clock).until(-1.0)
        await other
        return clock.monotonic_s(), seen

    assert virtual_time.run(main(), start_s=3.0) == (3.0, ["other"])


async def _note(seen: list[str]) -> None:
    seen.append("other")


@pytest.mark.parametrize("until_s", [100.0, math.inf])
def test_somebody_ends_it(until_s: float) -> None:
    async def main() -> float:
        clock = VirtualClock()
        pause = Pause(clock)
        pause.end()  # nobody sleeps yet: it means nothing
        sleeping = asyncio.create_task(pause.until(until_s))
        await clock.sleep_until(2.0)
        pause.end()
        pause.end()
        await sleeping
        return clock.monotonic_s()

    assert virtual_time.run(main()) == 2.0


def test_what_is_cancelled_leaves_no_timer() -> None:
    async def main() -> None:
        clock = VirtualClock()
        sleeping = asyncio.create_task(Pause(clock).until(50.0))
        await clock.sleep_until(1.0)
        sleeping.cancel()
        await asyncio.gather(sleeping, return_exceptions=True)
        await asyncio.get_running_loop().create_future()

    with pytest.raises(DeadlockError):
        virtual_time.run(main())


async def _calls(clock: Clock) -> None:
    """What every clock promises of a timer."""
    done, told = asyncio.Event(), []
    start_s = clock.monotonic_s()

    def act() -> None:
        told.append(clock.monotonic_s())
        done.set()

    clock.call_at(start_s + 0.02, lambda: told.append(-1.0)).cancel()
    timer = clock.call_at(start_s + 0.03, act)
    assert told == []
    await done.wait()
    timer.cancel()
    assert len(told) == 1
    assert told[0] >= start_s + 0.03

    done.clear()
    clock.call_at(start_s, act)
    assert len(told) == 1  # never within the call itself
    await done.wait()
    assert len(told) == 2


def test_a_timer_of_the_virtual_clock() -> None:
    async def main() -> None:
        await _calls(VirtualClock())

    virtual_time.run(main())


def test_a_timer_of_this_machine() -> None:
    async def main() -> None:
        await _calls(SystemClock())

    asyncio.run(main())
