"""Events that begin `now`, and a clock that is set afterwards."""

import asyncio
from typing import Any

import pytest

from edgectl.clock import Instant
from tests.grid.samples import at, event, wire
from tests.grid.test_event_desk import Desk

UNDATED = event(
    modificationDateTime=None,
    createdDateTime=None,
    intervalPeriod={"start": "0001-01-01T00:00:00Z", "duration": "PT1H"},
)
DATED = UNDATED | {"modificationDateTime": wire("13:50")}
BEHIND_S = 3 * 365 * 86_400.0


class Doubtful(Desk):
    """Its wall clock is years behind until it is set; the monotonic one runs on."""

    def now(self) -> Instant:
        moment = at(self.clock)
        utc_s = moment if self.trusted else moment - BEHIND_S
        return Instant(mono_s=moment - at("00:00"), utc_s=utc_s, utc_trusted=self.trusted)

    async def holds(self, clock: str) -> bool:
        """Whether its limit is in force at that time of day."""
        await self.until(clock)
        utc_s = self.now().utc_s
        return any(
            c.from_utc_s <= utc_s and (c.until_utc_s is None or utc_s < c.until_utc_s)
            for c in self.desk.ceilings()
        )


@pytest.mark.parametrize(
    ("body", "restarts", "holds_at", "over_at"),
    [
        (UNDATED, False, "14:59:50", "15:00:05"),
        (DATED, False, "14:49:50", "14:50:05"),
        (UNDATED, True, "15:09:50", "15:10:05"),  # how long it was off nobody knows
        (DATED, True, "14:49:50", "14:50:05"),
    ],
)
def test_what_begins_now_moves_with_a_clock_that_is_set(
    body: dict[str, Any], holds_at: str, over_at: str, *, restarts: bool
) -> None:
    """Without a date it lasts from when it came, else from its own date."""

    async def main() -> None:
        d = Doubtful(trusted=False)
        assert await d.send(body) == ["received", "accepted", "active"]
        assert await d.holds("14:10")
        if restarts:
            d = Doubtful(store=d.store, trusted=False, clock="14:10", draws=d.draws)
            await d.desk.load(d.now())
        d.trusted = True
        assert await d.holds("14:11"), "the clock is set, its hour is not over"
        assert await d.holds(holds_at)
        assert not await d.holds(over_at)
        assert d.states()[-1] == "completed"

    asyncio.run(main())


def test_an_index_made_before_an_undated_event_came_deletes_nothing_of_it() -> None:
    """Its version is when it came, by the clock that is right in the end."""

    async def main() -> None:
        d = Doubtful(trusted=False)
        await d.send(UNDATED)
        d.trusted = True
        assert await d.holds("14:10")
        await d.send({"made_at": wire("13:30"), "events": {}}, topic="dr/index")
        assert await d.holds("14:11")

    asyncio.run(main())
