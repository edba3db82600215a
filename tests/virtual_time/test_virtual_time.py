"""Time that leaps, and the real clock beside it."""

import asyncio
import time
from pathlib import Path

import pytest

from edgectl.adapters.clock import SystemClock, kernel_says_synchronised
from edgectl.simulator.virtual_time import START_UTC_S, DeadlockError, VirtualClock, run


def test_a_day_takes_no_time_and_ends_on_the_dot() -> None:
    async def main() -> float:
        clock = VirtualClock()
        await clock.sleep_until(86_400.1)
        return clock.monotonic_s()

    began_s = time.monotonic()
    assert run(main()) == 86_400.1
    assert time.monotonic() - began_s < 60.0


def test_sleepers_wake_in_the_order_of_their_instants() -> None:
    async def main() -> list[tuple[str, float]]:
        clock = VirtualClock()
        woke: list[tuple[str, float]] = []

        async def sleeper(name: str, every_s: float) -> None:
            for n in range(1, 4):
                await clock.sleep_until(n * every_s)
                woke.append((name, clock.monotonic_s()))

        async with asyncio.TaskGroup() as group:
            group.create_task(sleeper("slow", 0.7))
            group.create_task(sleeper("fast", 0.3))
        return woke

    woke = run(main())
    assert [at_s for _, at_s in woke] == sorted(at_s for _, at_s in woke)
    assert woke[0] == ("fast", 0.3)
    assert woke[-1] == ("slow", 3 * 0.7)


def test_sleep_until_never_returns_early() -> None:
    async def main() -> None:
        clock = VirtualClock()
        at_s = 0.0
        for _ in range(10_000):
            at_s += 0.1
            await clock.sleep_until(at_s)
            assert clock.monotonic_s() >= at_s

    run(main(), start_s=1e6)


def test_a_past_instant_returns_at_once_and_lets_others_run() -> None:
    async def main() -> list[str]:
        clock = VirtualClock()
        done: list[str] = []

        async def other() -> None:
            done.append("other")

        task = asyncio.ensure_future(other())
        await clock.sleep_until(-5.0)
        done.append("main")
        await task
        assert clock.monotonic_s() == 100.0
        return done

    assert run(main(), start_s=100.0) == ["other", "main"]


def test_timeouts_run_in_virtual_time() -> None:
    async def main() -> float:
        clock = VirtualClock()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3600.0):
                await asyncio.Event().wait()
        return clock.monotonic_s()

    assert run(main()) == pytest.approx(3600.0)


def test_a_deadlock_fails_at_once() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(DeadlockError, match="no timer is set"):
        run(main())


def test_the_wall_clock_can_jump_and_lose_its_trust() -> None:
    async def main() -> None:
        clock = VirtualClock(utc_s=START_UTC_S)
        await clock.sleep_until(10.0)
        assert clock.now().utc_s == START_UTC_S + 10.0
        assert clock.now().utc_trusted
        clock.shift_utc(-3600.0)
        clock.utc_trusted = False
        now = clock.now()
        assert (now.mono_s, now.utc_s) == (10.0, START_UTC_S + 10.0 - 3600.0)
        assert not now.utc_trusted

    run(main())


def test_an_exception_comes_out_and_tasks_left_over_are_cancelled() -> None:
    ended: list[str] = []

    async def left_over() -> None:
        try:
            await VirtualClock().sleep_until(1e9)
        finally:
            ended.append("left over")

    async def main() -> None:
        task = asyncio.ensure_future(left_over())
        await VirtualClock().sleep_until(1.0)
        assert not task.done()
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        run(main())
    assert ended == ["left over"]


def test_the_real_clock_sleeps_to_the_instant() -> None:
    async def main() -> None:
        clock = SystemClock()
        for _ in range(5):
            at_s = clock.monotonic_s() + 0.01
            await clock.sleep_until(at_s)
            assert clock.monotonic_s() >= at_s
        await clock.sleep_until(clock.monotonic_s() - 100.0)
        assert abs(clock.now().utc_s - time.time()) < 5.0

    asyncio.run(main())


@pytest.mark.parametrize(
    ("marked", "kernel", "trusted"),
    [(False, False, False), (True, False, True), (False, True, True)],
)
def test_utc_is_trusted_by_the_time_services_mark_or_by_the_kernel(
    tmp_path: Path, *, marked: bool, kernel: bool, trusted: bool
) -> None:
    mark = tmp_path / "synchronized"
    if marked:
        mark.touch()
    clock = SystemClock(timesync_mark=mark, kernel_synchronised=lambda: kernel)
    assert clock.now().utc_trusted is trusted


def test_the_kernel_can_be_asked_and_gives_the_same_answer_twice() -> None:
    assert kernel_says_synchronised() in {True, False}
    assert kernel_says_synchronised() == kernel_says_synchronised()
