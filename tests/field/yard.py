"""Small depots for field scenarios: written in a few words, run whole, watched closely.

What is judged is the truth of the simulated site: currents that flow, limits that chargers hold.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from edgectl.contract.envelope import rfc3339
from edgectl.simulator.allowance import allowance
from edgectl.simulator.demo.demo_site import link_facts
from edgectl.simulator.depot import EvseTruth, Scenario
from edgectl.simulator.device.charge_point import Vehicle
from edgectl.simulator.device.device_catalog import ChargerOf, simulated_charger
from edgectl.simulator.faults import Fault, FaultKind
from edgectl.simulator.sessions import Session
from edgectl.sitefile.load import LoadedSite
from edgectl.units import EvseId, NodeId, Triple
from tests.sitefile.sites import load_text
from tests.whole.harness import Whole, build

PREFIX: Final = "edgectl/v1/field/yard/"
GRID: Final = NodeId("grid")
LOOK_S: Final = 0.25
_PROFILES: Final = {
    "charx": "phoenix-charx-sec",
    "keba": "keba-p40",
    "webasto": "webasto-next",
}


@dataclass(frozen=True, kw_only=True)
class Bay:
    """One charger on a link of its own."""

    id: str
    kind: str = "charx"
    node: str = "grid"
    phases: Sequence[int] = (1, 2, 3)
    max_a: float = 32.0
    boot_a: float = 6.0
    watchdog_s: float = 20.0


@dataclass(frozen=True, kw_only=True)
class Place:
    """One metered node."""

    id: str = "grid"
    parent: str | None = None
    limit_a: Triple = (100.0, 100.0, 100.0)
    base_max_a: Triple = (0.0, 0.0, 0.0)
    margin_a: float | None = 1.0
    more: str = ""


def yard(
    *bays: Bay,
    nodes: Sequence[Place] = (Place(),),
    more: str = "",
    program: str = "prog, kind: mandatory, default_unit: KW, recover_within_s: 0",
    profile_dirs: Sequence[Path] = (),
) -> LoadedSite:
    """A site with a program of demand response and a broker on this machine.

    A bay's kind that is none of those here is the name of a profile in `profile_dirs`.
    """
    lines = ["site: {id: yard, region: field, timezone: UTC, voltage_v: 230, mode: control}"]
    lines.append("nodes:")
    for node in nodes:
        parent = "" if node.parent is None else f", parent: {node.parent}"
        margin = "" if node.margin_a is None else f", margin_a: {node.margin_a}"
        lines.append(
            f"  - {{id: {node.id}{parent}, limit_a: {list(node.limit_a)},"
            f" base_max_a: {list(node.base_max_a)}{margin}, trip_s: 60{node.more}}}"
        )
    lines.append("links:")
    names = [*(f"l-m-{node.id}" for node in nodes), *(f"l-{bay.id}" for bay in bays)]
    lines += [
        f"  - {{id: {name}, kind: tcp, host: 127.0.0.1, port: {15020 + number}}}"
        for number, name in enumerate(names)
    ]
    lines.append("meters:")
    lines += [
        f"  - {{id: m-{node.id}, node: {node.id}, profile: janitza-umg96rm, link: l-m-{node.id},"
        " unit: 1, poll_s: 0.5}"
        for node in nodes
    ]
    lines.append("evses:")
    lines += [
        f"  - {{id: {bay.id}, node: {bay.node}, profile: {_PROFILES.get(bay.kind, bay.kind)},"
        f" link: l-{bay.id}, unit: 255, connector: 1, phases: {list(bay.phases)},"
        f" max_a: {bay.max_a}, failsafe_a: 6, boot_a: {bay.boot_a},"
        f" watchdog_s: {bay.watchdog_s}, poll_s: 1}}"
        for bay in bays
    ]
    lines.append(f"programs: [{{id: {program}}}]")
    lines.append("mqtt: {brokers: [{host: 127.0.0.1, port: 1883}]}")
    lines.append("commands: {unsigned: loopback}")
    return load_text("\n".join([*lines, more]) + "\n", profile_dirs=profile_dirs)


def physics_s(loaded: LoadedSite) -> float:
    """How long a step that nobody foresaw may overload the grid connection."""
    allowed = allowance(loaded.site, GRID, links=link_facts(loaded))
    assert allowed is not None
    return allowed.physics_s


def stay(bay: str, *, from_s: float = 0.0, until_s: float = 1e6, **vehicle: Any) -> Session:
    """A vehicle that takes whatever it gets, for as long as it stays."""
    made = {"energy_wh": 1e6, "max_a": 32.0, "taper_from": 1.0, **vehicle}
    return Session(evse=EvseId(bay), vehicle=Vehicle(**made), arrival_s=from_s, departure_s=until_s)


def base_step(
    *add_a: float, at_s: float, until_s: float | None = None, node: str = "grid"
) -> Fault:
    """A base load that comes at `at_s`, on L1, L2, L3; below zero it feeds back."""
    one, two, three = (*add_a, 0.0, 0.0, 0.0)[:3]
    return Fault(
        kind=FaultKind.BASE_STEP, id=node, at_s=at_s, until_s=until_s, add_a=(one, two, three)
    )


def fault(kind: FaultKind, id_: str, *, at_s: float, until_s: float | None = None) -> Fault:
    return Fault(kind=kind, id=id_, at_s=at_s, until_s=until_s)


@dataclass
class Seen:
    """What truly was, every quarter of a second."""

    whole: Whole
    times_s: list[float] = field(default_factory=list)
    evses: dict[str, list[EvseTruth]] = field(default_factory=dict)
    nodes: dict[str, list[Triple]] = field(default_factory=dict)

    def look(self) -> None:
        depot = self.whole.depot
        self.times_s.append(self.whole.clock.monotonic_s())
        for evse in self.whole.loaded.site.evses:
            self.evses.setdefault(evse.id, []).append(depot.evse_truth(evse.id))
        for node in self.whole.loaded.site.nodes:
            self.nodes.setdefault(node.id, []).append(depot.true_current_a(node.id))

    async def watch(self) -> None:
        while True:
            self.look()
            await self.whole.until(self.times_s[-1] + LOOK_S)

    def limits_a(self, bay: str, *, from_s: float = 0.0, until_s: float = 1e9) -> list[float]:
        """What the charger allowed."""
        return [one.limit_a for one in self._between(self.evses[bay], from_s, until_s)]

    def drawn_a(self, bay: str, *, from_s: float = 0.0, until_s: float = 1e9) -> list[float]:
        """What the vehicle drew."""
        return [one.current_a for one in self._between(self.evses[bay], from_s, until_s)]

    def flow_a(
        self, node: str = "grid", phase: int = 1, *, from_s: float = 0.0, until_s: float = 1e9
    ) -> list[float]:
        """What flowed at a node."""
        return [one[phase - 1] for one in self._between(self.nodes[node], from_s, until_s)]

    def longest_over_s(self, limit_a: float, node: str = "grid", phase: int = 1) -> float:
        """The longest time that more than `limit_a` flowed at a node."""
        longest = run = 0
        for one in self.nodes[node]:
            run = run + 1 if one[phase - 1] > limit_a + 1e-6 else 0
            longest = max(longest, run)
        return longest * LOOK_S

    def _between(self, values: list[Any], from_s: float, until_s: float) -> list[Any]:
        return [
            value
            for time_s, value in zip(self.times_s, values, strict=True)
            if from_s <= time_s < until_s
        ]


def whole_yard(
    loaded: LoadedSite,
    *stays: Session,
    faults: Sequence[Fault] = (),
    seed: int = 1,
    charger_of: ChargerOf = simulated_charger,
) -> Whole:
    """The whole daemon on a yard, with its vehicles and faults; nothing is started."""
    scenario = Scenario(sessions=stays, faults=tuple(faults))
    return build(loaded, seed=seed, scenario=lambda _: scenario, charger_of=charger_of)


@asynccontextmanager
async def running(whole: Whole) -> AsyncIterator[Seen]:
    """The daemon runs inside and goes its way down at the end."""
    seen = Seen(whole)
    whole.daemon.tick.observe(whole.records.append)
    async with asyncio.TaskGroup() as group:
        daemon = group.create_task(whole.daemon.run(), name="daemon")
        watching = group.create_task(seen.watch(), name="watch")
        yield seen
        watching.cancel()
        whole.daemon.stop()
        await daemon


def setpoints_a(whole: Whole, bay: str, *, from_s: float = 0.0) -> list[float]:
    """What was decided for a bay, tick by tick."""
    return [
        record.decision.evses[EvseId(bay)].setpoint_a
        for record in whole.records
        if record.now.mono_s >= from_s
    ]


def told(whole: Whole, name: str) -> list[dict[str, Any]]:
    """Everything published under a topic of the site, oldest first."""
    return [
        json.loads(message.payload)
        for message in whole.broker.published
        if message.topic == PREFIX + name
    ]


def limit_command(whole: Whole, *, number: int, duration_s: float, **fields: Any) -> None:
    """The region asks for a limit at the grid connection."""
    utc_s = whole.clock.now().utc_s
    body = {
        "command_id": f"c-{number}",
        "issuer": "utility",
        "made_at": rfc3339(utc_s),
        "expires_at": rfc3339(utc_s + 300.0),
        "node": "grid",
        "duration_s": duration_s,
        "reason": "test",
        **fields,
    }
    whole.broker.publish(f"{PREFIX}command/limit", json.dumps(body).encode())


def limit_event(
    whole: Whole,
    *,
    kw: float,
    id_: str = "evt",
    from_s: float = 0.0,
    duration: str | None = None,
) -> None:
    """The utility limits the site from `from_s` from now on; without `duration` until changed."""
    utc_s = whole.clock.now().utc_s
    period = {"start": rfc3339(utc_s + from_s)}
    if duration is not None:
        period["duration"] = duration
    event = {
        "objectType": "EVENT",
        "id": id_,
        "createdDateTime": rfc3339(utc_s),
        "modificationDateTime": rfc3339(utc_s),
        "programID": "prog",
        "intervalPeriod": period,
        "intervals": [{"id": 0, "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "values": [kw]}]}],
    }
    whole.broker.publish(f"{PREFIX}dr/event/{id_}", json.dumps(event).encode(), retain=True)
