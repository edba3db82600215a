"""A small yard for the tests of `edgectl simulate`: one grid node, two EVSEs, sessions by hand."""

from dataclasses import replace
from pathlib import Path

from edgectl.model.site import ChargerTraits, Connection, Evse, Meter, Node, Site, Transformer
from edgectl.simulator.phasors import draw_of, watts_per_a
from edgectl.simulator.session_file import COLUMNS, Recorded
from edgectl.simulator.sizing.announcements import Announced
from edgectl.simulator.sizing.stays import Stay
from edgectl.units import EvseId, LinkId, MeterId, NodeId
from tests.control import world

START_S = 1_700_000_100.0  # a quarter-hour begins here
SITE_FILE = """\
site: {id: yard, region: test, timezone: Europe/Berlin, voltage_v: 230, mode: control}
nodes:
  - {id: grid, limit_a: [40, 40, 40], base_max_a: [10, 10, 10], margin_a: 0}
links:
  - {id: lan0, kind: tcp, host: 10.0.0.20, port: 502}
  - {id: lan1, kind: tcp, host: 10.0.0.21, port: 502}
  - {id: lan2, kind: tcp, host: 10.0.0.22, port: 502}
meters:
  - {id: m, node: grid, profile: janitza-umg96rm, link: lan0, unit: 1, sees: all, poll_s: 0.5,
     phases: [1, 2, 3]}
evses:
  - {id: a, node: grid, profile: keba-p40, link: lan1, unit: 255, connector: 1,
     phases: [1, 2, 3], max_a: 32, boot_a: 6}
  - {id: b, node: grid, profile: keba-p40, link: lan2, unit: 255, connector: 1,
     phases: [1, 2, 3], max_a: 32, boot_a: 6}
"""


def evse(
    name: str,
    phases: tuple[int, ...] = (1, 2, 3),
    *,
    node: str = "grid",
    line_to_line: bool = False,
    traits: ChargerTraits = world.TRAITS,
) -> Evse:
    connection = Connection.LINE_TO_LINE if line_to_line else Connection.LINE_TO_NEUTRAL
    return replace(
        world.evse(1),
        id=EvseId(name),
        node=NodeId(node),
        phases=phases,
        connection=connection,
        traits=traits,
    )


def site(*evses: Evse, nodes: tuple[Node, ...] | None = None) -> Site:
    meter = Meter(
        id=MeterId("m"), node=NodeId("grid"), profile="test", link=LinkId("lan"), unit=9, poll_s=1.0
    )
    return world.site(evses=evses, nodes=nodes, meters=(meter,), margin_a=0.0)


def garage(*evses: Evse) -> Site:
    """A grid node, and below it a delta-wye transformer with the ratio of the Caltech garage."""
    grid = Node(id=NodeId("grid"), parent=None)
    t1 = Node(id=NodeId("t1"), parent=NodeId("grid"), transformer=Transformer(turns_ratio=4.0))
    return replace(site(*evses, nodes=(grid, t1)), voltage_v=120.0)


def row(
    evse_id: str = "a",
    *,
    from_s: float = 0.0,
    to_s: float = 3600.0,
    energy_wh: float = 5000.0,
    session: str = "s",
) -> Recorded:
    return Recorded(
        site="yard",
        session_id=session,
        evse=evse_id,
        arrival_utc_s=START_S + from_s,
        departure_utc_s=START_S + to_s,
        energy_wh=energy_wh,
        max_power_w=None,
        phases=None,
        line=2,
    )


def stay(place: Site, at: int, one: Recorded, *, max_a: float = 32.0) -> Stay:
    there = place.evses[at]
    used = len(there.phases)
    return Stay(
        row=one,
        evse=at,
        node=[node.id for node in place.nodes].index(there.node),
        arrival_s=one.arrival_utc_s,
        departure_s=one.departure_utc_s,
        energy_wh=one.energy_wh,
        max_a=max_a,
        watts_per_a=watts_per_a(there, used, place.voltage_v),
        draw=draw_of(there, used),
        announced=Announced(energy_wh=one.energy_wh, departure_utc_s=one.departure_utc_s),
    )


def written(
    folder: Path, *lines: str, header: str = ",".join(COLUMNS), name: str = "s.csv"
) -> Path:
    path = folder / name
    path.write_text("\n".join((header, *lines)) + "\n", encoding="utf-8")
    return path


def site_file(folder: Path, text: str = SITE_FILE) -> Path:
    path = folder / "site.yaml"
    path.write_text(text, encoding="utf-8")
    return path
