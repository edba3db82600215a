"""A recorded quarter of an hour of a small depot: faults, a demand-response event, a cap."""

from functools import cache

from edgectl.model.record import TickRecord
from edgectl.simulator import virtual_time
from edgectl.simulator.depot import Scenario
from edgectl.simulator.faults import FaultKind
from edgectl.simulator.memory.journal import MemoryJournal
from tests.field.yard import Bay, Place, base_step, fault, limit_event, running, stay, yard
from tests.whole.harness import Whole, build

SITE = yard(
    Bay(id="c1"),
    Bay(id="k1", kind="keba"),
    Bay(id="w1", kind="webasto"),
    nodes=[
        Place(limit_a=(50.0,) * 3, base_max_a=(20.0,) * 3),
    ],
    more='caps: [{node: grid, kw: 25, from: "00:02", to: "00:03"}]',
)


@cache
def run() -> tuple[bytes, tuple[TickRecord, ...]]:
    """The journal of the run, and what its ticks were."""
    journal = MemoryJournal()

    async def main() -> Whole:
        scenario = Scenario(
            sessions=tuple(stay(bay) for bay in ("c1", "k1", "w1")),
            faults=(
                base_step(15.0, 3.0, 0.0, at_s=40.0, until_s=70.0),
                fault(FaultKind.CHARGER_SILENT, "k1", at_s=90.0, until_s=110.0),
                fault(FaultKind.METER_STUCK, "m-grid", at_s=200.0, until_s=215.0),
            ),
        )
        whole = build(SITE, scenario=lambda _: scenario, journal=journal)
        async with running(whole):
            await whole.until(60.0)
            limit_event(whole, kw=15.0, duration="PT30S")
            await whole.until(240.0)
        return whole

    whole = virtual_time.run(main(), start_s=7.000001)
    virtual_time.run(journal.close())
    return journal.data, tuple(whole.records)
