"""A site drawn from a seed, as entries that become a site file; parts of it can be left out.

1. What nobody controls must fit (S22): limits bear the worst base load with every charger at the
   greater of failsafe and boot current. Whatever overloads the site is then the daemon's doing.
2. Small sites dominate: a fault shows in the smallest site that has it.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml

Entry = dict[str, Any]

VOLTAGE_V: Final = 230.0
PHASES: Final = (1, 2, 3)
ROTATIONS: Final = ([1, 2, 3], [2, 3, 1], [3, 1, 2], [1, 3, 2])
SAFETY_PART: Final = 1.05
_VA_PART: Final = 1.10


@dataclass(frozen=True, slots=True)
class _Type:
    """What a site file may say of a charger type; `failsafes_a` and `watchdogs_s` as it offers."""

    profile: str
    connectors_max: int
    failsafes_a: tuple[float, ...]
    watchdogs_s: tuple[float, float]
    polls_s: tuple[float, float]


_TYPES: Final = (
    _Type("phoenix-charx-sec", 3, (6.0, 6.0, 8.0), (10.0, 60.0), (0.5, 2.0)),
    _Type("keba-p40", 1, (0.0, 6.0, 6.0), (10.0, 60.0), (2.0, 3.0)),
    _Type("webasto-next", 1, (0.0, 6.0, 6.0), (10.0, 60.0), (0.7, 2.0)),
)
_METERS: Final = ("janitza-umg96rm", "carlo-gavazzi-em24-e1")


@dataclass(frozen=True, slots=True, kw_only=True)
class SitePlan:
    """The lists of a site file. Every list may be shortened by `without`."""

    nodes: tuple[Entry, ...]
    links: tuple[Entry, ...]
    meters: tuple[Entry, ...]
    evses: tuple[Entry, ...]
    caps: tuple[Entry, ...]

    def text(self) -> str:
        """Give the site file."""
        return yaml.safe_dump(
            {
                "site": {
                    "id": "trial",
                    "region": "sim",
                    "timezone": "UTC",
                    "voltage_v": VOLTAGE_V,
                    "mode": "control",
                },
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
        return SitePlan(
            nodes=self.nodes,
            links=tuple(entry for entry in self.links if entry["id"] in used),
            meters=self.meters,
            evses=left,
            caps=self.caps,
        )


def draw_site(rng: random.Random) -> SitePlan:
    """Draw a site."""
    nodes = _draw_nodes(rng)
    evses, links = _draw_evses(rng, [node["id"] for node in nodes])
    meters, meter_links = _draw_meters(rng, nodes)
    _set_limits(rng, nodes, evses)
    return SitePlan(
        nodes=tuple(nodes),
        links=(*links, *meter_links),
        meters=tuple(meters),
        evses=tuple(evses),
        caps=tuple(_draw_caps(rng, nodes, evses)),
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


def _draw_evses(rng: random.Random, nodes: Sequence[str]) -> tuple[list[Entry], list[Entry]]:
    """Draw chargers until there are enough EVSEs; some share a link with others."""
    wanted = rng.choice([1, 2, 2, 3, 3, 3, 4, 4, 5, 6, 8])
    evses: list[Entry] = []
    links: list[Entry] = []
    units: dict[str, int] = {}
    while len(evses) < wanted:
        kind = rng.choice(_TYPES)
        shared = [link["id"] for link in links if units[link["id"]] > 0]
        if shared and rng.random() < 0.4:
            link = rng.choice(shared)
        else:
            link = f"l{len(links)}"
            links.append(_link(link, len(links)))
            # A link that begins with unit 255 serves one device only.
            units[link] = 0 if rng.random() < 0.6 else 1
        unit = 255 if units[link] == 0 else units[link]
        units[link] += 1 if units[link] else 0
        count = min(rng.randint(1, kind.connectors_max), wanted - len(evses))
        common = {
            "profile": kind.profile,
            "link": link,
            "unit": unit,
            "failsafe_a": rng.choice(kind.failsafes_a),
            "watchdog_s": float(rng.randint(int(kind.watchdogs_s[0]), int(kind.watchdogs_s[1]))),
            "poll_s": round(rng.uniform(*kind.polls_s), 1),
            "boot_a": rng.choice([6.0, 6.0, 10.0, 16.0]),
        }
        node = rng.choice(nodes)
        first = len(evses)
        evses.extend(
            {
                "id": f"e{first + k}",
                "node": node,
                **common,
                "connector": k + 1,
                "phases": rng.choice([*ROTATIONS, *ROTATIONS, [rng.choice(PHASES)]]),
                "max_a": rng.choice([16.0, 32.0, 32.0]),
                "weight": rng.choice([1.0, 1.0, 2.0]),
                "tier": rng.choice([0, 0, 0, 1]),
            }
            for k in range(count)
        )
    return evses, links


def _draw_meters(rng: random.Random, nodes: Sequence[Entry]) -> tuple[list[Entry], list[Entry]]:
    meters: list[Entry] = []
    links: list[Entry] = []
    for number, node in enumerate(nodes):
        if rng.random() > (0.6 if number else 0.85):
            continue
        links.append(_link(f"lm{number}", 100 + number))
        entry: Entry = {
            "id": f"m{number}",
            "node": node["id"],
            "profile": rng.choice(_METERS),
            "link": f"lm{number}",
            "unit": 1,
            "poll_s": rng.choice([0.3, 0.5, 1.0, 1.0, 2.0]),
            "phases": list(rng.choice(ROTATIONS)),
        }
        if rng.random() < 0.2:
            entry["overrides"] = {"sign": -1}
        meters.append(entry)
    return meters, links


def _set_limits(rng: random.Random, nodes: list[Entry], evses: Sequence[Entry]) -> None:
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
            least_va = (sum(base_a) + sum(alone_a)) * VOLTAGE_V * _VA_PART * SAFETY_PART
            share = rng.uniform(0.6, 1.0)
            sum_va = sum(limit or 0.0 for limit in limit_a) * VOLTAGE_V
            node["limit_va"] = round(max(least_va + 500.0, share * sum_va))
            if rng.random() < 0.3:
                limit_a = [None, None, None]
        node["limit_a"] = limit_a
        least_a = min((limit for limit in limit_a if limit is not None), default=10.0)
        if rng.random() < 0.3 and least_a > 4.0:
            node["margin_a"] = rng.choice([0.5, 1.0, 2.0])


def _draw_caps(rng: random.Random, nodes: Sequence[Entry], evses: Sequence[Entry]) -> list[Entry]:
    """Sometimes a ceiling of the operator's within the first half hour."""
    if rng.random() > 0.2:
        return []
    start = rng.randint(3, 12)
    full_kw = sum(evse["max_a"] * len(evse["phases"]) for evse in evses) * VOLTAGE_V / 1000.0
    base_kw = sum(sum(node["base_max_a"]) for node in nodes) * VOLTAGE_V / 1000.0
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


def _link(name: str, number: int) -> Entry:
    return {"id": name, "kind": "tcp", "host": f"10.0.0.{number + 1}", "port": 502}
