"""Chargers and meters of a trial's site, drawn from a seed, with the links that they answer on.

1. Every device type that can be simulated comes; some chargers measure nothing.
2. A serial line serves several devices, chargers and meters side by side.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

Entry = dict[str, Any]

ROTATIONS: Final = ([1, 2, 3], [2, 3, 1], [3, 1, 2], [1, 3, 2])
PAIRS: Final = ([1, 2], [2, 3], [3, 1], [2, 1], [3, 2], [1, 3])
_PHASES: Final = (1, 2, 3)
_ON_A_BUS_MAX: Final = 4


@dataclass(frozen=True, slots=True)
class _Type:
    """What a site file may say of a charger type; `failsafes_a` and `watchdogs_s` as it offers."""

    profile: str
    connectors_max: int
    failsafes_a: tuple[float, ...]
    watchdogs_s: tuple[int, int]
    polls_s: tuple[float, float]
    max_a: tuple[float, ...] = (16.0, 32.0, 32.0)
    boots_a: tuple[float, ...] = (6.0, 6.0, 10.0, 16.0)
    serial: bool = False
    three_phases: bool = False


_CHARX: Final = _Type("phoenix-charx-sec", 3, (6.0, 6.0, 8.0, 16.0), (10, 60), (0.5, 2.0))
_KEBA: Final = _Type("keba-p40", 1, (0.0, 6.0, 6.0, 13.0), (10, 60), (2.0, 3.0))
_WEBASTO: Final = _Type("webasto-next", 1, (0.0, 6.0, 6.0, 16.0), (10, 60), (0.7, 2.0))
_HEIDELBERG: Final = _Type(
    "heidelberg-energy-control",
    1,
    (0.0, 6.0, 6.0, 8.0),
    (10, 60),
    (2.0, 3.0),
    max_a=(16.0, 16.0, 10.0),
    serial=True,
)
_HYPERCHARGER: Final = _Type(
    "alpitronic-hyc",
    2,
    (6.0, 8.0),
    (10, 40),
    (0.7, 2.0),
    max_a=(32.0, 63.0, 100.0),
    boots_a=(6.0, 10.0, 20.0),
    three_phases=True,
)
_TYPES: Final = (
    *[_CHARX] * 3,
    *[_KEBA] * 2,
    *[_WEBASTO] * 2,
    *[_HEIDELBERG] * 2,
    _HYPERCHARGER,
)
_METERS: Final = ("janitza-umg96rm", "carlo-gavazzi-em24-e1")
_SERIAL_METERS: Final = ("eastron-sdm630", "abb-b23")


@dataclass(slots=True)
class Devices:
    """What was drawn; `unmetered`: EVSEs whose chargers say nothing of what they draw."""

    evses: list[Entry] = field(default_factory=list)
    meters: list[Entry] = field(default_factory=list)
    links: list[Entry] = field(default_factory=list)
    unmetered: set[str] = field(default_factory=set)
    _units: dict[str, int] = field(default_factory=dict)

    def link_for(self, rng: random.Random, *, serial: bool, alone: bool = False) -> tuple[str, int]:
        """Give a link and a free unit on it; some links are shared."""
        shared = [
            link["id"]
            for link in self.links
            if (link["kind"] == "rtu") is serial and 0 < self._units[link["id"]] <= _ON_A_BUS_MAX
        ]
        if shared and not alone and rng.random() < (0.8 if serial else 0.4):
            link = rng.choice(shared)
            self._units[link] += 1
            return link, self._units[link] - 1
        number = len(self.links)
        link = f"l{number}"
        entry: Entry
        if serial:
            baud = rng.choice([9600, 19200, 19200, 38400])
            entry = {"kind": "rtu", "device": f"/dev/ttyUSB{number}", "baud": baud, "parity": "E"}
        else:
            entry = {"kind": "tcp", "host": f"10.0.0.{number + 1}", "port": 502}
        self.links.append({"id": link, **entry})
        # A network link that begins with unit 255 serves one device only.
        lonely = alone or (not serial and rng.random() < 0.6)
        self._units[link] = 0 if lonely else 2
        return link, 255 if lonely and not serial else 1


def draw_devices(
    rng: random.Random,
    nodes: Sequence[Entry],
    *,
    places: Sequence[str],
    one_meter_for_two: bool,
    pairs: bool = False,
) -> Devices:
    """Draw chargers at the nodes in `places` until there are enough EVSEs, and meters.

    `one_meter_for_two`: the first two nodes are one after the other, with nothing between them.
    `pairs`: most AC chargers hang between two lines.
    """
    devices = Devices()
    wanted = rng.choice([1, 2, 2, 3, 3, 3, 4, 4, 5, 6, 8])
    while len(devices.evses) < wanted:
        most = wanted - len(devices.evses)
        _draw_charger(rng, devices, rng.choice(places), most, pairs=pairs)
    _draw_meters(rng, devices, nodes)
    if one_meter_for_two:
        _share_meter(devices)
    return devices


def _draw_charger(
    rng: random.Random, devices: Devices, node: str, most: int, *, pairs: bool
) -> None:
    kind = rng.choice(_TYPES)
    link, unit = devices.link_for(rng, serial=kind.serial)
    common = {
        "profile": kind.profile,
        "link": link,
        "unit": unit,
        "failsafe_a": rng.choice(kind.failsafes_a),
        "watchdog_s": float(rng.randint(*kind.watchdogs_s)),
        "poll_s": round(rng.uniform(*kind.polls_s), 1),
        "boot_a": rng.choice(kind.boots_a),
    }
    says_nothing = rng.random() < 0.08 and not kind.three_phases
    for connector in range(1, min(rng.randint(1, kind.connectors_max), most) + 1):
        rotation = rng.choice([*ROTATIONS, *ROTATIONS, [rng.choice(_PHASES)]])
        wired: Entry = {"phases": rng.choice(ROTATIONS) if kind.three_phases else rotation}
        if pairs and not kind.three_phases and rng.random() < 0.7:
            wired = {"phases": rng.choice(PAIRS), "connection": "line_to_line"}
        name = f"e{len(devices.evses)}"
        devices.evses.append(
            {
                "id": name,
                "node": node,
                **common,
                "connector": connector,
                **wired,
                "max_a": rng.choice(kind.max_a),
                "weight": rng.choice([1.0, 1.0, 2.0]),
                "tier": rng.choice([0, 0, 0, 1]),
            }
        )
        if says_nothing:
            devices.unmetered.add(name)


def _draw_meters(rng: random.Random, devices: Devices, nodes: Sequence[Entry]) -> None:
    for number, node in enumerate(nodes):
        if rng.random() > (0.6 if number else 0.85):
            continue
        serial = rng.random() < 0.2
        link, unit = devices.link_for(rng, serial=serial, alone=not serial)
        entry: Entry = {
            "id": f"m{number}",
            "node": node["id"],
            "profile": rng.choice(_SERIAL_METERS if serial else _METERS),
            "link": link,
            "unit": unit if serial else 1,
            "poll_s": rng.choice([1.0, 1.0, 2.0] if serial else [0.3, 0.5, 1.0, 1.0, 2.0]),
            "phases": list(rng.choice(ROTATIONS)),
            "sees": rng.choice([*["all"] * 8, "base_only", "part"]),
        }
        if rng.random() < 0.2:
            entry["overrides"] = {"sign": -1}
        devices.meters.append(entry)


def _share_meter(devices: Devices) -> None:
    """Let the meter of the first node stand for the second one too, or the other way round."""
    first = next((m for m in devices.meters if m["node"] in {"n0", "n1"}), None)
    if first is None:
        return
    used = {one["node"]: one for one in devices.meters}
    other = "n1" if first["node"] == "n0" else "n0"
    left = [one for one in devices.meters if one is not used.get(other)]
    twin = {**first, "id": f"m{other[1:]}", "node": other, "sees": "all"}
    first["sees"] = "all"
    gone = used.get(other)
    if gone is not None and all(gone["link"] != one["link"] for one in (*left, *devices.evses)):
        devices.links = [link for link in devices.links if link["id"] != gone["link"]]
    devices.meters = sorted([*left, twin], key=lambda one: str(one["id"]))
