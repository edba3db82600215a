"""Killed at any instruction and started again: cautious at first, and nothing durable is gone."""

import asyncio
import signal
from pathlib import Path

import pytest

from edgectl.cli.journal_source import JournalSource
from edgectl.cli.rerun import rerun
from edgectl.contract.journal import JournalStep
from edgectl.contract.segment import segments_among
from edgectl.model.state import State
from tests.crash.gateway import BAYS, FAILSAFE_A, LIMIT_A, Gateway, Moment, gateway, moments

EVER = {"from_utc_s": float("-inf"), "until_utc_s": float("inf")}


@pytest.mark.timeout(1800)
def test_killed_at_any_moment_it_comes_back_cautious_and_forgets_nothing(
    tmp_path: Path, *, prove: bool
) -> None:
    kills = 100 if prove else 4
    acknowledged: list[str] = []

    async def one_life(yard: Gateway, moment: Moment) -> None:
        await yard.start()
        assert yard.process is not None
        if moment.acknowledged:
            await yard.status()
            acknowledged.append(await yard.limit(LIMIT_A - 0.1))
        await asyncio.sleep(moment.after_s)
        yard.process.kill()
        await yard.process.wait()

    async def main() -> None:
        known: tuple[str, int] | None = None
        async with gateway(tmp_path, seed=1) as yard:
            for moment in moments(3, kills):
                await one_life(yard, moment)
                known = _outbox_goes_on(yard, known)
            await yard.start()
            status = await yard.status()
            assert set(status["evses"]) == set(BAYS)
            await asyncio.sleep(3.0)
            assert await yard.end(signal.SIGTERM) == 0
            assert "Traceback" not in yard.log()
            assert max(yard.flows_a) <= LIMIT_A + 0.5

    asyncio.run(main())
    assert len(acknowledged) == kills // 2
    folder = tmp_path / "state" / "journal"
    lives = [
        [one for _, one in JournalSource(folder / name).steps(**EVER)]
        for name in segments_among(path.name for path in folder.iterdir())
        if (folder / name).stat().st_size
    ]
    assert len(lives) > kills // 3
    for steps in lives:
        _is_cautious(steps)
    held = {one.holder.id for one in lives[-1][0].snapshot.ceilings}
    assert set(acknowledged) <= held, "from the first tick on"
    replayed = list(rerun(JournalSource(folder).steps(**EVER)))
    assert all(one.exact for one in replayed)
    assert len(replayed) == sum(map(len, lives))


def _outbox_goes_on(yard: Gateway, known: tuple[str, int] | None) -> tuple[str, int] | None:
    """The same stream, every number once, and none that was there is gone."""
    if not (yard.state / "outbox.db").exists():
        assert known is None
        return None
    found = yard.outbox()
    if found is None:
        assert known is None, "what was there is gone"
        return None
    stream, numbers = found
    assert numbers == list(range(1, len(numbers) + 1))
    if known is not None:
        assert stream == known[0]
        assert len(numbers) >= known[1]
    return stream, len(numbers)


def _is_cautious(steps: list[JournalStep]) -> None:
    """Nobody gets more than its failsafe current before it was heard, and remembered is nothing."""
    first = steps[0]
    assert first.number == 1
    assert first.before == State()
    assert all(one.silent for one in first.evses.values())
    for evse in first.evses:
        heard = [step.snapshot.evses[evse].last_answer_s is not None for step in steps]
        unheard = steps[: heard.index(True)] if True in heard else steps
        assert all(step.evses[evse].setpoint_a <= FAILSAFE_A for step in unheard)
