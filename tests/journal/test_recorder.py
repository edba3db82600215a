"""The recorder beside the tick: nothing of it is felt by control."""

import asyncio
from collections.abc import Sequence

from edgectl.contract.journal_reading import chapters_of, read_steps
from edgectl.contract.segment import Damage, lines_of
from edgectl.daemon.recorder import AGAIN_S, WAITING_MAX, Recorder
from edgectl.model.decision import AlarmCode
from edgectl.model.record import TickRecord
from edgectl.simulator import virtual_time
from edgectl.simulator.memory.journal import MemoryJournal
from edgectl.simulator.virtual_time import VirtualClock
from tests.api.world import Journal as Log
from tests.field.yard import Bay, running, told, yard
from tests.journal.recorded import run
from tests.whole.harness import Whole, build

ONE = yard(Bay(id="bay"))


def test_a_full_disk_is_an_alarm_and_control_feels_nothing() -> None:
    async def main(*, full: bool) -> tuple[Whole, MemoryJournal]:
        journal = MemoryJournal()
        whole = build(ONE, journal=journal)
        async with running(whole):
            await whole.until(30.0)
            journal.full = full
            await whole.until(90.0)
            journal.full = False
            await whole.until(150.0)
        return whole, journal

    filled, journal = virtual_time.run(main(full=True))
    roomy, _ = virtual_time.run(main(full=False))
    assert [one.decision for one in filled.records] == [one.decision for one in roomy.records]
    said = [
        (event["code"], event["data"]["alarm"])
        for event in told(filled, "event")
        if "alarm" in event["data"]
    ]
    assert [code for code, alarm in said if alarm == AlarmCode.JOURNAL_FAILED] == [
        "alarm_raised",
        "alarm_cleared",
    ]
    damage = Damage()
    found = [one.number for _, one in read_steps(chapters_of(lines_of(journal.data, damage)))]
    assert damage == Damage(torn=1), "nobody has closed it"
    missing = {one.number for one in filled.records} - set(found)
    assert 60 <= len(missing) <= 60 + AGAIN_S
    assert found[-1] == filled.records[-1].number


class Stalled:
    """A journal whose disk does not answer until it is told to, or that is broken itself."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.go_on = asyncio.Event()
        self.fault = fault
        self.kept: list[int] = []

    async def append(self, records: Sequence[TickRecord]) -> None:
        await self.go_on.wait()
        if self.fault is not None:
            raise self.fault
        self.kept += [record.number for record in records]

    async def close(self) -> None:
        """Whoever opened it closes it."""


def test_a_disk_that_does_not_answer_costs_the_oldest_and_they_are_counted() -> None:
    _, records = run()

    async def main() -> None:
        journal = Stalled()
        recorder = Recorder(journal=journal, clock=VirtualClock(), log=Log().log())
        async with asyncio.TaskGroup() as group:
            group.create_task(recorder.run(), name="recorder")
            recorder.observe(records[0])
            await asyncio.sleep(1)
            for record in records[1:201]:
                recorder.observe(record)
            journal.go_on.set()
            recorder.stop()
        assert recorder.lost == 200 - WAITING_MAX
        assert journal.kept == [1, *range(202 - WAITING_MAX, 202)]

    virtual_time.run(main())


def test_a_fault_of_the_recorder_itself_stops_nothing_else() -> None:
    _, records = run()

    async def main() -> None:
        journal = Stalled(fault=KeyError("a bug"))
        journal.go_on.set()
        recorder = Recorder(journal=journal, clock=VirtualClock(), log=Log().log())
        async with asyncio.TaskGroup() as group:
            group.create_task(recorder.run(), name="recorder")
            recorder.observe(records[0])
            await asyncio.sleep(1)
            (alarm,) = recorder.alarms()
            assert alarm.code is AlarmCode.JOURNAL_FAILED
            assert "please report it" in alarm.text
            recorder.stop()
        assert recorder.lost == 1

    virtual_time.run(main())
