"""A small site and events, in the words of OpenADR, for the tests of demand response."""

from dataclasses import replace
from typing import Any

from edgectl.contract.openadr import parse_event
from edgectl.contract.wire_time import utc_from_text
from edgectl.grid.plan import EventPlan, plan
from edgectl.model.settings import Unsigned
from edgectl.model.site import ChargerTraits, Evse, Mode, Node, Program, Site
from edgectl.units import EvseId, LinkId, NodeId, ProgramId

UNSIGNED = Unsigned.LOOPBACK

NODES = (
    Node(id=NodeId("grid"), parent=None, limit_a=(400.0, 400.0, 400.0)),
    Node(id=NodeId("tx1"), parent=NodeId("grid"), limit_va=150_000.0),
)
EVSES = tuple(
    Evse(
        id=EvseId(name),
        node=NodeId("tx1"),
        profile="p",
        link=LinkId("lan1"),
        unit=1,
        connector=1,
        phases=phases,
        max_a=32.0,
        traits=ChargerTraits(hardware_max_a=32.0),
    )
    for name, phases in (("bay01", (1, 2, 3)), ("bay02", (2,)))
)
MANDATORY = Program(
    id=ProgramId("prog-1"), mandatory=True, default_unit="KW", reference_w=150_000.0
)
VOLUNTARY = Program(id=ProgramId("prog-2"), mandatory=False)
SIGNED = Program(id=ProgramId("prog-signed"), mandatory=True, signed=True)
HOLDING = Program(id=ProgramId("prog-hold"), mandatory=True, minimum_w=12_600.0, hold_minimum=True)
SITE = Site(
    id="depot-north",
    region="bay",
    timezone="America/Los_Angeles",
    voltage_v=230.0,
    mode=Mode.CONTROL,
    nodes=NODES,
    meters=(),
    evses=EVSES,
    links=(),
    groups={"bays": ("bay01", "bay02"), "871685900000000000": ("grid",), "empty": ()},
    programs=(MANDATORY, VOLUNTARY, SIGNED, HOLDING),
)


def at(clock: str) -> float:
    """A time of day of 2026-11-24 in UTC, such as 16:30."""
    whole = clock if clock.count(":") == 2 else f"{clock}:00"
    return utc_from_text(f"2026-11-24T{whole}Z")


def wire(clock: str) -> str:
    return f"2026-11-24T{clock}:00Z"


def limit(kw: Any, number: int = 0, **period: Any) -> dict[str, Any]:
    """One interval with an import limit; `period` becomes its own intervalPeriod."""
    made: dict[str, Any] = {
        "id": number,
        "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "values": [kw]}],
    }
    if period:
        made["intervalPeriod"] = period
    return made


def event(**changes: Any) -> dict[str, Any]:
    """A limit of 60 kW from 16:30 for an hour; a change to None leaves the field out."""
    made: dict[str, Any] = {
        "objectType": "EVENT",
        "id": "evt-1",
        "createdDateTime": wire("14:00"),
        "modificationDateTime": wire("14:00"),
        "programID": "prog-1",
        "payloadDescriptors": [
            {
                "objectType": "EVENT_PAYLOAD_DESCRIPTOR",
                "payloadType": "IMPORT_CAPACITY_LIMIT",
                "units": "KW",
            }
        ],
        "intervalPeriod": {"start": wire("16:30"), "duration": "PT1H"},
        "intervals": [limit(60.0)],
    }
    made.update(changes)
    return {key: value for key, value in made.items() if value is not None}


def planned(
    *, site: Site = SITE, anchor: str = "14:00", draw: float = 0.5, **changes: Any
) -> EventPlan:
    return plan(parse_event(event(**changes)), site, anchor_utc_s=at(anchor), draw=draw)


def with_program(program: Program) -> Site:
    return replace(SITE, programs=(program,))
