"""What is promised for an event, and what a version that is refused leaves in force."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from edgectl.clock import Instant
from edgectl.contract.dr import IMPACT_MAX
from edgectl.daemon.desk.event_shelf import EVENTS_MAX
from edgectl.daemon.desk.events import EventDesk
from edgectl.daemon.desk.held_event import Promise
from edgectl.grid.ceilings import ceilings
from edgectl.grid.plan import EventPlan
from edgectl.model.site import Transformer
from tests.grid.samples import SITE, at, event, limit, planned, wire
from tests.grid.test_event_desk import Desk

TOO_MUCH = Promise(missing_wh=(("bay01", 5_000.0),), refused=True)


class Weighed(Desk):
    """`costs`: the promise for the next versions, by the limit of their first interval in W."""

    def __post_init__(self) -> None:
        self.costs: dict[float, Promise] = {}
        self.desk = EventDesk(
            site=self.site,
            store=self.store,
            unsigned=self.unsigned,
            draw=lambda: 0.5,
            reply=self.reply,
            audit=self.audited.append,
            assess=self.assess,
        )

    async def assess(self, plan: EventPlan, _now: Instant) -> Promise:
        first = plan.limits[0]
        asked_w = None if first is None else first.power_w
        return self.costs.get(asked_w or 0.0, Promise(ceiling_w=asked_w))


@pytest.mark.parametrize("program", ["prog-2", "prog-1"])
def test_a_version_that_is_refused_for_the_vehicles_leaves_the_old_one(program: str) -> None:
    """Of the same program, and one that would have moved to another."""

    async def main() -> None:
        d = Weighed()
        d.costs[20_000.0] = TOO_MUCH
        await d.send(event(programID=program))
        await d.until("16:45")
        newer = event(
            programID="prog-2", modificationDateTime=wire("14:30"), intervals=[limit(20.0)]
        )
        assert await d.send(newer) == ["refused:vehicles_first"]
        said = d.said[-1]
        assert (said.program_id, said.modified) == ("prog-2", "2026-11-24T14:30:00.000Z")
        assert [(one.evse, one.missing_wh) for one in said.impact or ()] == [("bay01", 5_000.0)]
        assert d.kilowatts() == [60.0]
        again = await d.restart()
        assert again.kilowatts() == [60.0]
        better = newer | {"modificationDateTime": wire("14:40"), "intervals": [limit(50.0)]}
        assert "active" in await d.send(better)
        assert d.kilowatts() == [50.0]

    asyncio.run(main())


def test_s23_an_event_that_moves_needs_room_where_it_goes() -> None:
    async def main() -> None:
        d = Desk()
        for number in range(EVENTS_MAX):
            name = f"e{number}"
            await d.send(event(id=name, programID="prog-2"), topic=f"dr/event/{name}")
        await d.send(event())
        moved = event(programID="prog-2", modificationDateTime=wire("14:30"))
        assert await d.send(moved) == ["refused:too_many"]
        assert [one["program_id"] for one in d.desk.view() if one["event_id"] == "evt-1"] == [
            "prog-1"
        ], "and stays where it is"

    asyncio.run(main())


def test_s23_an_answer_names_the_worst_and_sums_the_others() -> None:
    async def main() -> None:
        d = Weighed()
        missing = tuple((f"bay{n:04d}", 100.0 * (n + 1)) for n in range(1000))
        d.costs[60_000.0] = Promise(missing_wh=missing, ceiling_w=60_000.0)
        await d.send(event())
        said = d.said[-1]
        assert said.impact is not None
        assert said.impact_rest is not None
        assert [one.evse for one in said.impact[:2]] == ["bay0999", "bay0998"]
        assert (len(said.impact), said.impact_rest.evses) == (IMPACT_MAX, 900)
        whole_wh = sum(one.missing_wh for one in said.impact) + said.impact_rest.missing_wh
        assert whole_wh == sum(wh for _, wh in missing)
        assert len(said.model_dump_json()) < 8_000

    asyncio.run(main())


def amps(number: float, *targets: str) -> dict[str, Any]:
    return {
        "targets": list(targets),
        "payloadDescriptors": [{"payloadType": "IMPORT_CAPACITY_LIMIT", "units": "A"}],
        "intervals": [limit(number)],
    }


DELTA = replace(
    SITE,
    nodes=(
        SITE.nodes[0],
        replace(SITE.nodes[1], transformer=Transformer(turns_ratio=4.0)),
    ),
)


@pytest.mark.parametrize(
    ("targets", "asked_w"),
    [
        (("grid",), 16.0 * 3 * 230.0 * 4.0 / 3**0.5),
        (("tx1",), 16.0 * 3 * 230.0),
        (("bay01",), 16.0 * 3 * 230.0),
        (("bay02",), 16.0 * 230.0),  # on one phase
        (("tx1", "bay02"), 16.0 * 230.0),
    ],
)
def test_amperes_are_promised_at_the_voltage_and_phases_of_their_place(
    targets: tuple[str, ...], asked_w: float
) -> None:
    assert planned(site=DELTA, **amps(16.0, *targets)).least_w(DELTA) == pytest.approx(asked_w)


@pytest.mark.parametrize(
    ("target", "volts"),
    [("grid", 3 * 230.0 * 4.0 / 3**0.5), ("tx1", 690.0), ("bay01", 690.0), ("bay02", 230.0)],
)
def test_what_vehicles_are_left_is_the_same_power_everywhere(target: str, volts: float) -> None:
    plan = replace(planned(site=DELTA, **amps(0.0, target)), floor_w=6_900.0)
    (one,) = ceilings((plan,), site=DELTA, now_utc_s=at("16:30"))
    assert one.limit_a == pytest.approx((6_900.0 / volts,) * 3)
