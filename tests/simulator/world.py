"""A small site built by hand: a grid connection with one feeder, three chargers and two meters."""

from edgectl.model.site import (
    ChargerTraits,
    Evse,
    KeepAlive,
    Link,
    LinkKind,
    Meter,
    Mode,
    Node,
    Program,
    Site,
)
from edgectl.simulator.allowance import LinkFacts
from edgectl.simulator.device.charge_point import ChargePoint, Vehicle
from edgectl.units import EvseId, LinkId, MeterId, NodeId, ProgramId

GRID, FEEDER = NodeId("grid"), NodeId("feeder")
CHARX, KEBA, NEXT, METERS = LinkId("charx"), LinkId("keba"), LinkId("next"), LinkId("meters")
TRAITS = ChargerTraits(
    hardware_max_a=32.0,
    keepalive=KeepAlive.ANY_ACCESS,
    watchdog_s=20.0,
    failsafe_a=6.0,
    boot_a=6.0,
)
LINKS = {
    CHARX: LinkFacts(request_gap_s=0.0, timeout_s=1.0),
    KEBA: LinkFacts(request_gap_s=0.5, timeout_s=1.0),
    NEXT: LinkFacts(request_gap_s=0.0, timeout_s=1.0),
}


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self, now_s: float = 0.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


def evse(
    name: str, *, node: NodeId, profile: str, link: LinkId, connector: int = 1, **more: object
) -> Evse:
    return Evse(
        id=EvseId(name),
        node=node,
        profile=profile,
        link=link,
        unit=255,
        connector=connector,
        max_a=32.0,
        **{"phases": (1, 2, 3), "traits": TRAITS, **more},  # type: ignore[arg-type]
    )


def site(**changes: object) -> Site:
    facts = {
        "id": "yard",
        "region": "here",
        "timezone": "UTC",
        "voltage_v": 230.0,
        "mode": Mode.CONTROL,
        "nodes": (
            Node(
                id=GRID, parent=None, limit_a=(100.0, 100.0, 100.0), base_max_a=(20.0, 20.0, 20.0)
            ),
            Node(id=FEEDER, parent=GRID, limit_a=(50.0, 50.0, 50.0)),
        ),
        "meters": (
            Meter(
                id=MeterId("m-grid"),
                node=GRID,
                profile="janitza-umg96rm",
                link=METERS,
                unit=1,
                poll_s=0.5,
            ),
            Meter(
                id=MeterId("m-feeder"),
                node=FEEDER,
                profile="carlo-gavazzi-em24-e1",
                link=METERS,
                unit=2,
                poll_s=1.0,
                phases=(2, 3, 1),
                sign=-1,
            ),
        ),
        "evses": (
            evse("c1", node=FEEDER, profile="phoenix-charx-sec", link=CHARX),
            evse(
                "c2",
                node=FEEDER,
                profile="phoenix-charx-sec",
                link=CHARX,
                connector=2,
                phases=(2, 3, 1),
            ),
            evse("k1", node=GRID, profile="keba-p40", link=KEBA),
            evse("w1", node=GRID, profile="webasto-next", link=NEXT, phases=(3,)),
        ),
        "links": tuple(
            Link(id=link, kind=LinkKind.TCP, host="127.0.0.1", port=1)
            for link in (CHARX, KEBA, NEXT, METERS)
        ),
        "programs": (Program(id=ProgramId("prog"), mandatory=True),),
    }
    return Site(**{**facts, **changes})  # type: ignore[arg-type]


def car(**changes: object) -> Vehicle:
    return Vehicle(**{"energy_wh": 20_000.0, "max_a": 32.0, "taper_from": 1.0, **changes})  # type: ignore[arg-type]


def point(*, terminals: int = 3, max_a: float = 32.0) -> ChargePoint:
    return ChargePoint(terminals=terminals, max_a=max_a)


def run(
    where: ChargePoint, *, from_s: float, until_s: float, step_s: float = 0.25
) -> list[tuple[float, float]]:
    """Step a charge point; gives time and current after every step."""
    seen = []
    now_s = from_s
    while now_s + step_s <= until_s + 1e-9:
        now_s += step_s
        where.step(now_s, step_s, 230.0)
        seen.append((now_s, where.current_a))
    return seen
