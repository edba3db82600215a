"""A site drawn from a seed, as entries that become a site file; parts of it can be left out.

1. What nobody controls must fit (S22): limits bear the worst base load with every charger at the
   greater of failsafe and boot current. Whatever overloads the site is then the daemon's doing.
2. Small sites dominate: a fault shows in the smallest site that has it.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import yaml

from edgectl.simulator.trial import north_america
from edgectl.simulator.trial.device_plan import Entry, draw_devices
from edgectl.simulator.trial.north_america import APART, BELOW

VOLTAGE_V: Final = 230.0
PHASES: Final = (1, 2, 3)
SAFETY_PART: Final = 1.05
_VA_PART: Final = 1.10


@dataclass(frozen=True, slots=True, kw_only=True)
class SitePlan:
    """The lists of a site file, and what else is drawn of it.

    `unmetered`: EVSEs whose chargers measure nothing; no profile that is shipped is like that.
    """

    mode: str
    policy: Entry
    telemetry: Entry
    nodes: tuple[Entry, ...]
    links: tuple[Entry, ...]
    meters: tuple[Entry, ...]
    evses: tuple[Entry, ...]
    caps: tuple[Entry, ...]
    unmetered: frozenset[str] = frozenset()
    voltage_v: float = VOLTAGE_V

    def text(self) -> str:
        """Give the site file."""
        return yaml.safe_dump(
            {
                "site": {
                    "id": "trial",
                    "region": "sim",
                    "timezone": "UTC",
                    "voltage_v": self.voltage_v,
                    "mode": self.mode,
                },
                "policy": self.policy,
                "telemetry": self.telemetry,
                "nodes": list(self.nodes),
                "links": list(self.links),
                "meters": list(self.meters),
                "evses": list(self.evses),
                "caps": list(self.caps),
                "programs": [{"id": "prog", "kind": "mandatory", "default_unit": "KW"}],
                "mqtt": {"brokers": [{"host": "127.0.0.1", "port": 1883}]},
                "commands": {"unsigned": "loopback"},
            },
            sort_keys=False,
        )

    def only(self, evses: Iterable[str]) -> "SitePlan":
        """Give the site with these EVSEs alone, and with what they need."""
        kept = set(evses)
        left = tuple(entry for entry in self.evses if entry["id"] in kept)
        used = {entry["link"] for entry in (*left, *self.meters)}
        return replace(
            self, links=tuple(entry for entry in self.links if entry["id"] in used), evses=left
        )


def draw_site(rng: random.Random, *, north_american: bool = False) -> SitePlan:
    """Draw a site."""
    nodes = _draw_nodes(rng)
    wiring = north_america.draw_wiring(rng, nodes) if north_american else ""
    one_meter_for_two = len(nodes) > 1 and wiring != BELOW and rng.random() < 0.2
    places = [node["id"] for node in nodes]
    if wiring == BELOW:
        places.remove("n0")  # the utility's voltage is no charger's
    if one_meter_for_two:
        nodes[0]["base_max_a"] = [0.0, 0.0, 0.0]
        for node in nodes[2:]:
            node["parent"] = "n1" if node["parent"] == "n0" else node["parent"]
        places.remove("n0")
    pairs = wiring not in {"", APART}
    devices = draw_devices(
        rng, nodes, places=places, one_meter_for_two=one_meter_for_two, pairs=pairs
    )
    volts = north_america.VOLTAGE_V if north_american else VOLTAGE_V
    if pairs:
        north_america.set_phasor_limits(rng, nodes, devices.evses)
    else:
        _set_limits(rng, nodes, devices.evses, volts)
    if wiring == APART:
        north_america.draw_unbalance(rng, nodes, devices.evses)
    return SitePlan(
        mode="observe" if rng.random() < 0.04 else "control",
        policy={
            "name": rng.choice(["fair", "fair", "fair", "priority", "deadline"]),
            "turn_s": rng.choice([900, 300, 60]),
            "min_off_s": rng.choice([180, 60, 20]),
        },
        telemetry={"at_least_s": rng.choice([10, 10, 60, 900])},
        nodes=tuple(nodes),
        links=tuple(devices.links),
        meters=tuple(devices.meters),
        evses=tuple(devices.evses),
        caps=tuple(_draw_caps(rng, nodes, devices.evses, volts)),
        unmetered=frozenset(devices.unmetered),
        voltage_v=volts,
    )


def _draw_nodes(rng: random.Random) -> list[Entry]:
    count = rng.choice([1, 1, 1, 2, 2, 3, 3, 4, 5])
    nodes: list[Entry] = []
    for number in range(count):
        worst_a = rng.choice([0.0, 5.0, 20.0]) if number else rng.choice([10.0, 30.0, 60.0])
        entry: Entry = {
            "id": f"n{number}",
            "base_max_a": [round(worst_a * rng.uniform(0.5, 1.0), 1) for _ in PHASES],
        }
        if number:
            # Sometimes a chain, sometimes a star.
            entry["parent"] = f"n{rng.choice([0, number - 1])}"
        nodes.append(entry)
    return nodes


def _set_limits(
    rng: random.Random, nodes: list[Entry], evses: Sequence[Entry], volts: float
) -> None:
    """Give every node its limits, from what hangs below it."""
    for node in nodes:
        below = _below(nodes, node["id"])
        inside = [evse for evse in evses if evse["node"] in below]
        base_a = [sum(n["base_max_a"][k] for n in nodes if n["id"] in below) for k in range(3)]
        alone_a = [_load(inside, phase, _alone_a) for phase in PHASES]
        full_a = [_load(inside, phase, lambda evse: evse["max_a"]) for phase in PHASES]
        part = rng.uniform(0.2, 0.8)
        limit_a: list[float | None] = [
            round((base + max(alone * SAFETY_PART, part * full)) * SAFETY_PART + 1.0, 1)
            for base, alone, full in zip(base_a, alone_a, full_a, strict=True)
        ]
        if rng.random() < 0.25:
            least_va = (sum(base_a) + sum(alone_a)) * volts * _VA_PART * SAFETY_PART
            share = rng.uniform(0.6, 1.0)
            sum_va = sum(limit or 0.0 for limit in limit_a) * volts
            node["limit_va"] = round(max(least_va + 500.0, share * sum_va))
            if rng.random() < 0.3:
                limit_a = [None, None, None]
        node["limit_a"] = limit_a
        least_a = min((limit for limit in limit_a if limit is not None), default=10.0)
        if rng.random() < 0.3 and least_a > 4.0:
            node["margin_a"] = rng.choice([0.5, 1.0, 2.0])


def _draw_caps(
    rng: random.Random, nodes: Sequence[Entry], evses: Sequence[Entry], volts: float
) -> list[Entry]:
    """Sometimes a ceiling of the operator's within the first half hour."""
    if rng.random() > 0.2:
        return []
    start = rng.randint(3, 12)
    full_kw = sum(evse["max_a"] * len(evse["phases"]) for evse in evses) * volts / 1000.0
    base_kw = sum(sum(node["base_max_a"]) for node in nodes) * volts / 1000.0
    kw = round(base_kw * 0.5 + full_kw * rng.uniform(0.1, 0.7), 1)
    end = start + rng.randint(3, 10)
    return [{"node": "n0", "kw": kw, "from": f"00:{start:02}", "to": f"00:{end:02}"}]


def _alone_a(evse: Entry) -> float:
    """What an EVSE may draw when nobody controls it."""
    return float(max(evse["failsafe_a"], min(evse["boot_a"], evse["max_a"])))


def _load(evses: Sequence[Entry], phase: int, amps: Callable[[Entry], float]) -> float:
    return sum(amps(evse) for evse in evses if phase in evse["phases"])


def _below(nodes: Sequence[Entry], root: str) -> set[str]:
    below = {root}
    for node in nodes:
        if node.get("parent") in below:
            below.add(node["id"])
    return below
