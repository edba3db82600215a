"""Wiring of a North American trial's site: 120/208 V, lines, transformers, phases far apart.

1. `LINES`: EVSEs between two lines among others. `ROOT`, `BELOW`: the same behind a delta-wye
   transformer that the grid connection is, or behind one for every node below it. `APART`: no such
   EVSE, and a bound on how far the phases may be apart.
2. What nobody controls must fit (S22) for every draw up to it: the magnitude of a sum of phasors is
   greatest at a corner, where each kind of draw is either all there or not at all.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import sqrt
from typing import Final

from edgectl.simulator.phasors import draw_on
from edgectl.simulator.trial.device_plan import Entry

VOLTAGE_V: Final = 120.0
LINES: Final = "lines"
ROOT: Final = "root"
BELOW: Final = "below"
APART: Final = "apart"
_KINDS: Final = (LINES, LINES, ROOT, ROOT, BELOW, BELOW, APART, APART)
_TURNS: Final = (4.0, 4.0, 2.0)
"""480 and 240 V to 208/120 V."""

_SAFETY_PART: Final = 1.05
_VA_PART: Final = 1.10
_ROOT_3: Final = sqrt(3.0)
_PHASES: Final = (1, 2, 3)


def draw_wiring(rng: random.Random, nodes: list[Entry]) -> str:
    """Draw one of the kinds, and give the nodes their transformers."""
    kind = rng.choice(_KINDS)
    if kind == BELOW and len(nodes) == 1:
        kind = ROOT
    winding = {"winding": "delta-wye", "turns_ratio": rng.choice(_TURNS)}
    for node in nodes:
        parent = node.get("parent")
        if (kind == ROOT and parent is None) or (kind == BELOW and parent == nodes[0]["id"]):
            node["transformer"] = winding
    return kind


def draw_unbalance(rng: random.Random, nodes: Sequence[Entry], evses: Sequence[Entry]) -> None:
    """Bound how far the phases of a node may be apart; what nobody controls fits."""
    node = nodes[0] if rng.random() < 0.6 else rng.choice(nodes)
    below = _below(nodes, node["id"])
    inside = [evse for evse in evses if evse["node"] in below]
    base_a = [sum(one["base_max_a"][p] for one in nodes if one["id"] in below) for p in range(3)]
    alone_a = max(base_a) + _apart(inside, _alone)
    full_a = max(base_a) + _apart(inside, lambda evse: evse["max_a"])
    wanted_a = rng.uniform(0.2, 0.8) * full_a
    node["unbalance_a"] = round(max(alone_a * _SAFETY_PART, wanted_a) * _SAFETY_PART + 1.0, 1)


def set_phasor_limits(rng: random.Random, nodes: list[Entry], evses: Sequence[Entry]) -> None:
    """Give every node its limits, from what hangs below it."""
    loads = _Loads(nodes, evses)
    for node in nodes:
        part = rng.uniform(0.2, 0.8)

        def limits_a(rows: range, node: Entry = node, part: float = part) -> list[float]:
            alone_a = loads.worst_a(node, rows, _alone)
            full_a = loads.worst_a(node, rows, lambda evse: float(evse["max_a"]))
            base_a = loads.base_a(node, rows)
            return [
                round((base + max(one * _SAFETY_PART, part * full)) * _SAFETY_PART + 1.0, 1)
                for base, one, full in zip(base_a, alone_a, full_a, strict=True)
            ]

        node["limit_a"] = limits_a(range(3))
        volts = loads.voltage_v(node)
        if "transformer" in node and rng.random() < 0.7:
            node["primary_limit_a"] = limits_a(range(3, 6))
        if rng.random() < 0.25:
            least_va = sum(loads.base_a(node, range(3))) * volts + loads.alone_va(node)
            sum_va = sum(node["limit_a"]) * volts
            share = rng.uniform(0.6, 1.0)
            least_va *= _VA_PART * _SAFETY_PART
            node["limit_va"] = round(max(least_va + 500.0, share * sum_va))


@dataclass(frozen=True, slots=True)
class _Loads:
    """What hangs below each node; rows 0 to 2 are its lines, 3 to 5 those of its primary side."""

    nodes: Sequence[Entry]
    evses: Sequence[Entry]

    def worst_a(self, node: Entry, rows: range, amps: Callable[[Entry], float]) -> list[float]:
        """The most that EVSEs put on rows for any draw up to `amps`."""
        kinds: dict[tuple[int, ...], list[complex]] = {}
        for evse in self.evses:
            for phases in _parts(evse):
                up = self._phasors(evse, phases, node)
                if up is not None:
                    sums = kinds.setdefault(phases, [0j] * 6)
                    for row in range(6):
                        sums[row] += amps(evse) * up[row]
        corners = list(product((0.0, 1.0), repeat=len(kinds)))
        return [
            max(
                abs(sum(k * sums[row] for k, sums in zip(corner, kinds.values(), strict=True)))
                for corner in corners
            )
            for row in rows
        ]

    def base_a(self, node: Entry, rows: range) -> list[float]:
        """No less than the worst base load puts on rows."""
        own_a = [float(amps) for amps in node["base_max_a"]]
        for child in self.nodes:
            if child.get("parent") == node["id"]:
                below_a = self.base_a(child, range(3, 6))
                own_a = [one + more for one, more in zip(own_a, below_a, strict=True)]
        turns = self._turns(node)
        above_a = own_a if turns is None else [_ROOT_3 * max(own_a) / turns] * 3
        return [[*own_a, *above_a][row] for row in rows]

    def alone_va(self, node: Entry) -> float:
        """What EVSEs draw that nobody controls."""
        below = _below(self.nodes, node["id"])
        return sum(
            _alone(evse) * VOLTAGE_V * (_ROOT_3 if _is_pair(evse) else len(evse["phases"]))
            for evse in self.evses
            if evse["node"] in below
        )

    def voltage_v(self, node: Entry) -> float:
        """Line to neutral, on the secondary side of a transformer."""
        for child in self.nodes:
            if child.get("parent") == node["id"]:
                turns = self._turns(child)
                volts = self.voltage_v(child)
                return volts if turns is None else volts * turns / _ROOT_3
        return VOLTAGE_V

    def _phasors(self, evse: Entry, phases: tuple[int, ...], top: Entry) -> list[complex] | None:
        """What one ampere puts on the six rows of a node; None where it is not above."""
        by_id = {node["id"]: node for node in self.nodes}
        at = by_id[evse["node"]]
        lines = [0j, 0j, 0j]
        for p, phasor in draw_on(phases, between_lines=len(phases) == 2):
            lines[p] += phasor
        while True:
            turns, (a, b, c) = self._turns(at), lines
            above = lines if turns is None else [(a - c) / turns, (b - a) / turns, (c - b) / turns]
            if at is top:
                return [*lines, *above]
            if at.get("parent") is None:
                return None
            at, lines = by_id[at["parent"]], above

    @staticmethod
    def _turns(node: Entry) -> float | None:
        return float(node["transformer"]["turns_ratio"]) if "transformer" in node else None


def _alone(evse: Entry) -> float:
    """What an EVSE counts when nobody controls it."""
    return float(max(evse["failsafe_a"], evse["boot_a"]))


def _parts(evse: Entry) -> Iterator[tuple[int, ...]]:
    """Its draws that may come alone: its pair, or each of its phases."""
    if _is_pair(evse):
        one, other = sorted(evse["phases"])
        yield one, other
    else:
        for phase in evse["phases"]:
            yield (phase,)


def _is_pair(evse: Entry) -> bool:
    return evse.get("connection") == "line_to_line"


def _apart(evses: Sequence[Entry], amps: Callable[[Entry], float]) -> float:
    """The most by which a phase may be above another, by what is wired to one of them alone."""
    return max(
        sum(amps(e) for e in evses if more in e["phases"] and less not in e["phases"])
        for more in _PHASES
        for less in _PHASES
    )


def _below(nodes: Sequence[Entry], root: str) -> set[str]:
    below = {root}
    for node in nodes:
        if node.get("parent") in below:
            below.add(node["id"])
    return below
