"""`edgectl why EVSE`: the reason, the ceilings up to the root, and what would give it more."""

import argparse
from typing import Any

from edgectl.cli.client import Client, add_socket_option, socket_path
from edgectl.cli.export_text import export_line
from edgectl.cli.output import (
    DONE,
    amps,
    broken,
    kilo,
    printable,
    prose,
    short_time,
    show_json,
    show_lines,
    table,
    terminal_width,
    time_text,
)


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `why`."""
    parser = subparsers.add_parser(
        "why",
        help="why an EVSE gets what it gets",
        description=prose(
            "Explains the setpoint of one EVSE: ceiling - margin - base load - what the other "
            "EVSEs may draw = what is left for it, at every node up to the grid."
        ),
        epilog="example:\n  edgectl why bay01",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("evse", metavar="EVSE", help="its id in the site file")
    add_socket_option(parser)


def run(args: argparse.Namespace) -> int:
    """Show it."""
    answer = Client(socket_path(args)).get("why", args.evse)
    if args.json:
        show_json(answer)
    else:
        show_lines(_lines(answer, terminal_width()))
    return DONE


def _lines(answer: dict[str, Any], width: int | None) -> list[str]:
    silent = answer["reason"]["code"] == "silent"
    if answer["mode"] == "observe":
        verb = f"would be {'called with' if silent else 'told'}"
    else:
        verb = "is called with" if silent else "may draw"
    meant = "" if silent else _difference(answer)
    head = [
        f"{answer['evse']} {verb} {answer['setpoint_a']:.1f} A per phase{meant}:",
        f"  {answer['reason']['text']}.",
        *(f"  {also}." for also in answer.get("also", ())),
    ]
    end = []
    queue = answer.get("queue")
    if queue:
        since = f" since {time_text(queue['since'])}" if queue.get("since") else ""
        end += ["", f"It waits as number {queue['position']} of its tier{since}."]
    target = answer.get("target")
    if target:
        end += ["", _target(target)]
    relaxation = answer.get("next_relaxation")
    if relaxation:
        at = f", at {time_text(relaxation['at'])}" if relaxation.get("at") else ""
        end += ["", f"More: {relaxation['text']}{at}."]
    exports = [export_line(one["node"], one) + "." for one in answer.get("exports") or ()]
    chain = [*_chain(answer["chain"], width), *_broken(exports, width)]
    return [*_broken(head, width), "", *chain, *_broken(end, width)]


def _target(target: dict[str, Any]) -> str:
    if target["need_wh"] <= 0:
        return "Its vehicle has what it was promised."
    laxity_s = target.get("laxity_s")
    need = f"Its vehicle needs {target['need_wh'] / 1000:.1f} kWh more by "
    need += f"{time_text(target['departure'])}; "
    if laxity_s is None or laxity_s < 0:
        return need + "it cannot make that any more and gets what others can spare."
    return need + f"it could wait {laxity_s / 3600:.1f} h and still be ready."


def _broken(lines: list[str], width: int | None) -> list[str]:
    if width is None:
        return lines
    return [part for line in lines for part in broken(printable(line), width, indent="")]


def _difference(answer: dict[str, Any]) -> str:
    meant_a, told_a = answer["allocation_a"], answer["setpoint_a"]
    return "" if abs(meant_a - told_a) < 0.05 else f" (meant for it: {meant_a:.1f} A)"


def _chain(chain: list[dict[str, Any]], width: int | None) -> list[str]:
    rows = []
    for step in chain:
        is_sum = step["phase"] == "va"
        unit, show = ("va", kilo) if is_sum else ("a", amps)
        rows.append(
            [
                step["node"],
                "kVA" if is_sum else f"{'pri ' if 'side' in step else ''}L{step['phase']} A",
                show(step.get(f"ceiling_{unit}")),
                show(step.get(f"margin_{unit}")),
                show(step.get(f"base_{unit}")),
                show(step.get(f"others_{unit}")),
                show(step.get(f"left_{unit}")),
                step["holder"]["text"] + _period(step),
            ]
        )
    heads = ("NODE", "ROW", ">CEILING", ">MARGIN", ">BASE", ">OTHERS", ">LEFT", "SET BY")
    return table(heads, rows, width=width)


def _period(step: dict[str, Any]) -> str:
    since = f" since {short_time(step['since'])}" if step.get("since") else ""
    until = f" until {short_time(step['until'])}" if step.get("until") else ""
    return since + until
