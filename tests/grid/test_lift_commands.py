"""`edgectl release EVENT` and `PROGRAM/EVENT`, as the technician's tool sends it to the daemon."""

import asyncio
from typing import Any

from edgectl.contract.commands import CommandResponse
from edgectl.daemon.desk.commands import CommandDesk
from edgectl.model.settings import Unsigned
from tests.grid.samples import SITE, event
from tests.grid.test_event_desk import Desk
from tests.grid.test_signed_events import SignedDesk

FLEX = event(programID="prog-2")


class Site(SignedDesk):
    """Its desk of events with a desk of commands beside it, on the same disk."""

    async def release(self, name: str, **more: Any) -> CommandResponse:
        made = CommandDesk(
            site=SITE,
            store=self.store,
            unsigned=Unsigned.NEVER,
            reply=self.hear,
            audit=self.audited.append,
            lifts=self.desk.lifts,
        )
        await made.load(self.now())
        body = {"target_command_id": name, "reason": "bus 12 must leave", **more}
        return await made.local("release", body, who="uid-7", now=self.now())

    async def hear(self, _name: str, _body: CommandResponse) -> None:
        return


def test_of_events_of_one_name_the_one_that_may_be_lifted_or_the_one_that_is_named() -> None:
    async def main() -> None:
        d = Site()
        d.clock = "16:45"
        await d.sign(event())
        await d.send(FLEX)
        assert d.kilowatts() == [60.0, 60.0]
        refused = await d.release("prog-1/evt-1")
        assert (refused.result, refused.code) == ("rejected", "would_widen")
        assert d.kilowatts() == [60.0, 60.0]
        unknown = await d.release("prog-9/evt-1")
        assert (unknown.result, unknown.code) == ("rejected", "unknown_target")
        for name in ("prog-2/evt-1", "evt-1"):
            done = await d.release(name, duration_s=600.0)
            assert (done.result, done.message) == ("accepted", f"event {name} is set aside")
            assert done.until == "2026-11-24T16:55:00.000Z"
            assert d.kilowatts() == [60.0]
            ended = await d.release(done.command_id or "")
            assert ended.result == "accepted"
            assert d.kilowatts() == [60.0, 60.0]

    asyncio.run(main())


def test_the_id_of_a_lift_ends_it_also_when_its_command_is_long_forgotten() -> None:
    """It was answered as not in force any more, while the event went on being set aside."""

    async def main() -> None:
        d = Site()
        d.clock = "16:31"
        await d.send(FLEX)
        lift = await d.release("evt-1")
        assert d.kilowatts() == []
        d.clock = "17:00"
        await d.store.delete("command", lift.command_id or "")
        ended = await d.release(lift.command_id or "")
        assert ended.message == f"the event that {lift.command_id} set aside holds again"
        assert d.kilowatts() == [60.0]
        again: Desk = await d.restart()
        assert again.kilowatts() == [60.0]
        twice = await d.release(lift.command_id or "")
        assert (twice.result, twice.code) == ("rejected", "unknown_target")

    asyncio.run(main())
