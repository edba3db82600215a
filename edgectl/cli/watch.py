"""`edgectl watch`: the depot live on one screen, whatever its size: the tightest first."""

import argparse
from typing import Any, Final

from edgectl.cli.client import Client, add_socket_option, socket_path
from edgectl.cli.events import event_line
from edgectl.cli.live import follow
from edgectl.cli.output import DONE, amps, kilo, prose, table
from edgectl.cli.status import alarm_lines, head_lines

_BAR: Final = 30
_NODES_MOST: Final = 6
_ALARMS_MOST: Final = 4
_EVENTS_MOST: Final = 4
_EVENTS_ASKED: Final = 20

_FIRST: Final = ("fault", "silent", "isolated", "paused", "charging", "asking", "plugged", "absent")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `watch`."""
    parser = subparsers.add_parser(
        "watch",
        help="the depot live on one screen",
        description=prose(
            "Shows the fullest nodes (= base load, # EVSEs, . free; A of the tightest phase, or "
            "kVA), the EVSEs with those in trouble first, alarms and the newest events, every "
            "second. q or Ctrl-C ends it."
        ),
        epilog="example:\n  edgectl watch",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_socket_option(parser)


def run(args: argparse.Namespace) -> int:
    """Draw until it is ended."""
    client = Client(socket_path(args))

    def draw(columns: int, rows: int) -> list[str]:
        answer = client.get("status")
        events = client.get("events", limit=str(_EVENTS_ASKED))["events"]
        return screen(answer, events, columns=columns, rows=rows)

    follow(draw)
    return DONE


def screen(
    answer: dict[str, Any], events: list[dict[str, Any]], *, columns: int, rows: int
) -> list[str]:
    """Give the lines of one picture; `rows` 0: as many as it takes."""
    told = [event for event in events if event["code"] != "decision_changed"]
    lines = [*head_lines(answer), "", *_nodes(answer), ""]
    alarms = alarm_lines(answer, columns)
    if len(alarms) > _ALARMS_MOST:
        alarms = [*alarms[: _ALARMS_MOST - 1], "... `edgectl status` has all alarms"]
    newest = [event_line(event) for event in told[-_EVENTS_MOST:]]
    end = [*([""] if alarms else []), *alarms, *([""] if newest else []), *newest]
    room = max(3, rows - len(lines) - len(end)) if rows else len(answer["evses"]) + 1
    return [*lines, *_evses(answer, room), *end]


def _nodes(answer: dict[str, Any]) -> list[str]:
    drawn = [row for row in (_row(name, node) for name, node in answer["nodes"].items()) if row]
    drawn.sort(key=lambda row: -row[0])
    width = max((len(row[1]) for row in drawn), default=0)
    lines = [
        f"{name.ljust(width)} {where:>3} [{bar}] {text}"
        for _, name, where, bar, text in drawn[:_NODES_MOST]
    ]
    hidden = len(drawn) - _NODES_MOST
    less = "1 node that is" if hidden == 1 else f"{hidden} nodes that are"
    return [*lines, f"and {less} less full"] if hidden > 0 else lines


def _row(name: str, node: dict[str, Any]) -> tuple[float, str, str, str, str] | None:
    """The fullest row of a node: how full, and how it is drawn; None without any ceiling."""
    rows = [
        (f"L{index + 1}", ceiling, base, load, "A", 1.0)
        for index, (ceiling, base, load) in enumerate(
            zip(node.get("ceiling_a") or [], node["base_a"], node["committed_a"], strict=False)
        )
        if ceiling is not None
    ]
    if node.get("ceiling_va") is not None:
        sums = (node["ceiling_va"], node["base_va"], node["committed_va"])
        rows.append(("sum", *sums, "kVA", 1000.0))
    if not rows:
        return None
    where, ceiling, base, load, unit, per = max(rows, key=lambda row: _full(*row[1:4]))
    full = _full(ceiling, base, load)
    text = f"{(base + load) / per:.0f} of {ceiling / per:.0f} {unit}"
    quality = "" if node["quality"] == "good" else f", meter {node['quality']}"
    return full, name, where, _bar(ceiling, base, load), text + quality


def _full(ceiling: float, base: float, load: float) -> float:
    return (base + load) / ceiling if ceiling > 0 else 2.0


def _bar(ceiling: float, base: float, load: float) -> str:
    per = _BAR / ceiling if ceiling > 0 else 0.0
    base_to = min(_BAR, round(max(0.0, base) * per))
    load_to = min(_BAR, round(max(0.0, base + load) * per))
    bar = "=" * base_to + "#" * (load_to - base_to)
    return bar.ljust(_BAR, ".") if base + load <= ceiling else bar.ljust(_BAR, "!")[:-1] + "!"


def _evses(answer: dict[str, Any], room: int) -> list[str]:
    order = sorted(answer["evses"].items(), key=lambda one: (_FIRST.index(one[1]["state"]), one[0]))
    shown = order if len(order) < room else order[: max(0, room - 2)]
    rows = [
        [
            name,
            evse["state"],
            amps(evse["setpoint_a"]),
            amps(evse.get("measured_a")),
            kilo(evse.get("session_wh")),
            evse["reason_text"],
        ]
        for name, evse in shown
    ]
    lines = table(("EVSE", "STATE", ">SET", ">DRAWS", ">kWh", "BECAUSE"), rows)
    left = order[len(shown) :]
    if left:
        counts = {state: sum(one["state"] == state for _, one in left) for state in _FIRST}
        said = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
        lines.append(f"and {len(left)} more: {said}")
    return lines
