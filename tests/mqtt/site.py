"""A small site, a daemon's facts about it, and a publisher over any broker and outbox."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from random import Random
from typing import Any

from edgectl.contract.birth import BirthFacts
from edgectl.contract.messages import thin
from edgectl.daemon.region.pace import Pace
from edgectl.daemon.region.publisher import Publisher
from edgectl.model.ports import Clock
from edgectl.model.site import (
    ChargerTraits,
    Evse,
    Link,
    LinkKind,
    Meter,
    Mode,
    Node,
    Program,
    Site,
)
from edgectl.model.telemetry import Broker, Incoming, Outbox, OutRow
from edgectl.simulator.memory.outbox import MemoryOutbox
from edgectl.units import EvseId, LinkId, MeterId, NodeId, ProgramId

PREFIX = "edgectl/v1/bay/depot-north/"

SITE = Site(
    id="depot-north",
    region="bay",
    timezone="UTC",
    voltage_v=230.0,
    mode=Mode.CONTROL,
    nodes=(
        Node(id=NodeId("grid"), parent=None, limit_a=(400.0, 400.0, 400.0)),
        Node(id=NodeId("tx1"), parent=NodeId("grid"), limit_va=150_000.0),
    ),
    meters=(
        Meter(
            id=MeterId("m-grid"),
            node=NodeId("grid"),
            profile="p",
            link=LinkId("lan1"),
            unit=1,
            poll_s=1.0,
        ),
    ),
    evses=tuple(
        Evse(
            id=EvseId(f"bay0{number}"),
            node=NodeId("tx1"),
            profile="c",
            link=LinkId("lan1"),
            unit=number,
            connector=1,
            phases=(1, 2, 3),
            max_a=32.0,
            traits=ChargerTraits(hardware_max_a=32.0),
        )
        for number in (1, 2)
    ),
    links=(Link(id=LinkId("lan1"), kind=LinkKind.TCP, host="127.0.0.1", port=502),),
    programs=(Program(id=ProgramId("prog-1"), mandatory=True),),
)

FACTS = BirthFacts(site=SITE, version="0.1.0", config_hash="abc")


def facts_of(evses: int) -> BirthFacts:
    """Of a larger site."""
    one = SITE.evses[0]
    many = tuple(replace(one, id=EvseId(f"bay{number:04d}")) for number in range(evses))
    return replace(FACTS, site=replace(SITE, evses=many))


async def nothing(_message: Incoming) -> None:
    """A handler for whom nothing matters."""


def a_publisher(
    broker: Broker,
    outbox: Outbox,
    clock: Clock,
    *,
    handler: Callable[[Incoming], Awaitable[None]] = nothing,
    random: Callable[[], float] | None = None,
    facts: BirthFacts = FACTS,
    **pace: Any,
) -> Publisher:
    return Publisher(
        broker=broker,
        outbox=outbox,
        clock=clock,
        random=random or Random(1).random,
        facts=facts,
        handler=handler,
        pace=Pace(**pace),
    )


def memory_outbox() -> MemoryOutbox:
    return MemoryOutbox("s1", thin=thin)


def row(number: int, topic: str = "telemetry") -> OutRow:
    return OutRow(topic=topic, schema="t", made_utc_s=float(number), body=b'{"n":%d}' % number)
