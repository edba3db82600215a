"""The live view of a demo: the truth of the simulated site on 80 columns and 24 rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edgectl.model.site import Node
from edgectl.simulator.depot import Depot
from edgectl.simulator.faults import Fault, FaultKind

WIDTH: Final = 80
HEIGHT: Final = 24
_BAR: Final = 12
_NODES: Final = 8
_STATES: Final = {"A": "free", "B": "plugged", "C": "charging", "D": "charging", "F": "fault"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What the view shows beside the depot itself."""

    at_s: float
    duration_s: float
    dr_text: str
    telemetry_text: str


def lines(depot: Depot, frame: Frame) -> list[str]:
    """Give at most 24 lines of at most 80 columns; what does not fit is said."""
    site = depot.site
    head = f"edgectl demo  {site.id}  t = {frame.at_s:5.1f} s of {frame.duration_s:.0f} s"
    columns = f"{'L1 A':>8}{'L2 A':>8}{'L3 A':>8}{'limit A':>9}{'kW':>8}{'limit kVA':>11}"
    out = [head, "", f"{'node':<12}{columns}  load"]
    out += [_node_line(depot, node) for node in site.nodes[:_NODES]]
    out.append("")
    cells = [_evse_cell(depot, number) for number in range(len(site.evses))]
    room = HEIGHT - len(out) - 6
    rows = (len(cells) + 1) // 2
    out.append("EVSE      state     allowed   draws    EVSE      state     allowed   draws")
    for row in range(min(rows, room)):
        right = cells[row + rows] if row + rows < len(cells) else ""
        out.append(f"{cells[row]:<40}{right}")
    if rows > room:
        out.append(f"... and {len(cells) - 2 * room} more")
    out += ["", f"faults: {faults_text(depot.active_faults())}"]
    out += [f"demand response: {frame.dr_text}", f"telemetry: {frame.telemetry_text}"]
    return [line[:WIDTH].rstrip() for line in out[:HEIGHT]]


def plain_line(depot: Depot, frame: Frame) -> str:
    """Give one line for a log."""
    nodes = []
    for node in depot.site.nodes:
        truth = depot.node_truth(node.id)
        nodes.append(f"{node.id} {'/'.join(f'{amps:.0f}' for amps in truth.current_a)} A")
    charging = sum(depot.evse_truth(evse.id).current_a > 0.0 for evse in depot.site.evses)
    return (
        f"t={frame.at_s:5.1f} s  {'  '.join(nodes)}  {charging} charging  "
        f"dr: {frame.dr_text}  faults: {faults_text(depot.active_faults())}"
    )


def faults_text(faults: Sequence[Fault]) -> str:
    """Name faults and steps in a line."""
    words = [
        f"base load step at {fault.id}"
        if fault.kind is FaultKind.BASE_STEP
        else f"{fault.id} {fault.kind.value.replace('_', ' ')}"
        for fault in faults
    ]
    return ", ".join(words) or "none"


def _node_line(depot: Depot, node: Node) -> str:
    truth = depot.node_truth(node.id)
    amps = "".join(f"{value:8.1f}" for value in truth.current_a)
    known = [limit for limit in node.limit_a if limit is not None]
    limit_a = f"{min(known):9.0f}" if known else f"{'-':>9}"
    limit_kva = f"{node.limit_va / 1000.0:11.0f}" if node.limit_va is not None else f"{'-':>11}"
    parts = [
        value / limit for value, limit in zip(truth.current_a, node.limit_a, strict=True) if limit
    ]
    if node.limit_va:
        parts.append(truth.power_w / node.limit_va)
    part = max(parts, default=0.0)
    filled = min(round(part * _BAR), _BAR)
    bar = "#" * filled + "." * (_BAR - filled)
    mark = "!" if part > 1.0 else " "
    return f"{node.id[:11]:<12}{amps}{limit_a}{truth.power_w / 1000.0:8.1f}{limit_kva}  {bar}{mark}"


def _evse_cell(depot: Depot, number: int) -> str:
    evse = depot.site.evses[number]
    truth = depot.evse_truth(evse.id)
    state = "silent" if truth.silent else _STATES.get(truth.state[0], truth.state)
    if state == "plugged" and truth.limit_a < 6.0:
        state = "paused"
    return f"{evse.id[:9]:<10}{state:<10}{truth.limit_a:5.1f} A {truth.current_a:6.1f} A"
