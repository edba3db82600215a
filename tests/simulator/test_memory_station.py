"""A depot's station behind the line in memory, on virtual time."""

from edgectl.model.modbus import Answer, Function, Miss, MissCause, Request
from edgectl.simulator.depot import Scenario, build_depot
from edgectl.simulator.faults import Fault, FaultKind
from edgectl.simulator.memory.line import MemoryLine
from edgectl.simulator.virtual_time import VirtualClock, run
from tests.simulator.world import KEBA, site

READ = Request(255, Function.READ_HOLDING, 1100, 2)


def test_the_depot_follows_the_virtual_clock() -> None:
    async def main() -> list[Answer | Miss]:
        clock = VirtualClock()
        silent = Fault(kind=FaultKind.CHARGER_SILENT, id="k1", at_s=100.0, until_s=200.0)
        depot = build_depot(
            site(), seed=1, clock=clock.monotonic_s, scenario=Scenario(faults=(silent,))
        )
        line = MemoryLine(depot.station_for(KEBA), clock)
        await line.open(timeout_s=1.0)
        answers = [await line.exchange(READ, timeout_s=1.0)]
        for at_s in (150.0, 250.0):
            await clock.sleep_until(at_s)
            answers.append(await line.exchange(READ, timeout_s=1.0))
        write = Request(255, Function.READ_INPUT, 1100, 2)
        answers.append(await line.exchange(write, timeout_s=1.0))
        return answers

    first, lost, back, refused = run(main())
    assert isinstance(first, Answer)
    assert first.words == (0, 6000)
    assert first.received_s > first.sent_s
    assert isinstance(lost, Miss)
    assert lost.cause is MissCause.TIMEOUT
    assert isinstance(back, Answer)
    assert isinstance(refused, Miss)
    assert refused.exception_code == 1
