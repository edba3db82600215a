"""`edgectl read` and `edgectl write`: talk to one device, through the daemon or without one."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from edgectl.cli.alone import AloneBench
from edgectl.cli.client import Client, add_socket_option, socket_path
from edgectl.cli.output import (
    BAD_INPUT,
    DONE,
    NO,
    REFUSED,
    CliError,
    confirm,
    prose,
    show_json,
    show_lines,
)
from edgectl.errors import Refused, Unreachable

SITE_FILE: Final = Path("/etc/edgectl/site.yaml")

_RAW: Final = (
    "A raw register is written KIND:ADDRESS[:TYPE[:ORDER]], with the address on the wire: "
    "holding:1008, input:40:u32, holding:12:f32:low, input:2:ascii:8. Types: u16 i16 u32 i32 u64 "
    "i64 f32 f64 ascii."
)


class Bench(Protocol):
    """Whoever can talk to a device."""

    def quantities(self, device: str) -> list[str]:
        """Everything that can be read of it by name."""

    def read(self, device: str, what: str) -> dict[str, Any]:
        """One quantity or register."""

    def write(
        self, device: str, what: str, value: float, *, reason: str, force: bool
    ) -> dict[str, Any]:
        """Write one quantity or register."""


class _DaemonBench:
    """Through the daemon, which has the lines."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def quantities(self, device: str) -> list[str]:
        for link in self._client.get("devices")["links"]:
            for one in link["devices"]:
                if one["id"] == device:
                    return [str(name) for name in one["quantities"]]
        raise CliError(
            exit_code=BAD_INPUT,
            code="unknown_target",
            message=f"there is no meter or EVSE {device!r}",
            remedy="`edgectl devices` lists them",
        )

    def read(self, device: str, what: str) -> dict[str, Any]:
        return self._client.get("read", device, what)

    def write(
        self, device: str, what: str, value: float, *, reason: str, force: bool
    ) -> dict[str, Any]:
        body = {"value": value, "reason": reason, "force": force}
        return self._client.post("write", device, what, body=body)


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add both verbs."""
    read = _verb(
        subparsers,
        "read",
        summary="ask a meter or charger for a value",
        description="Asks a device for one quantity of its profile, a raw register, or everything "
        "that its profile knows. While the daemon runs it asks, in turn with its own requests; "
        "else the device is asked directly, as the site file says. " + _RAW,
        examples=("read bay01", "read m-grid current_a.1", "read bay01 holding:1100:u32"),
    )
    read.add_argument("what", metavar="WHAT", nargs="?", help="a quantity or a raw register")
    write = _verb(
        subparsers,
        "write",
        summary="set a value of a meter or charger",
        description="Shows what the value is now and what it would be, asks, writes, and reads it "
        "again. What edgectl itself keeps in a charger (setpoint, failsafe, watchdog) is refused: "
        "use `limit` or `pause`, or --force. Every write is kept with the user and the reason. "
        + _RAW,
        examples=('write bay01 holding:1230:u16 1 --reason "enable remote control"',),
    )
    write.add_argument("what", metavar="WHAT", help="a quantity or a raw register")
    write.add_argument("value", metavar="VALUE", type=_number, help="the new value, in its unit")
    write.add_argument("--reason", required=True, metavar="TEXT", help="why; kept with the write")
    write.add_argument("--yes", action="store_true", help="do not ask (for scripts)")
    write.add_argument("--force", action="store_true", help="also what edgectl itself keeps")


def run(args: argparse.Namespace) -> int:
    """Do it; the exit code."""
    with _bench(args) as bench:
        return _write(args, bench) if args.verb == "write" else _read(args, bench)


def _read(args: argparse.Namespace, bench: Bench) -> int:
    if args.what is not None:
        answer = bench.read(args.device, args.what)
        if args.json:
            show_json(answer)
        else:
            show_lines(_answer_lines(answer), wrap=True)
        return NO if "bad" in answer else DONE
    return _read_all(args, bench)


def _read_all(args: argparse.Namespace, bench: Bench) -> int:
    """Everything that the profile knows, each as it comes: some devices want half a second each."""
    names = bench.quantities(args.device)
    width = max((len(name) for name in names), default=0)
    answers: list[dict[str, Any]] = []
    for name in names:
        try:
            answers.append(bench.read(args.device, name))
        except CliError as fault:
            if fault.code != "no_answer":
                raise
            answers.append({"name": name, "bad": fault.message})
        if not args.json:
            one = answers[-1]
            show_lines([f"{name.ljust(width)}  {_value(one).ljust(20)}  {_register(one)}"])
            sys.stdout.flush()
    if args.json:
        show_json({"device": args.device, "values": answers})
    return DONE if any("bad" not in one for one in answers) else NO


def _write(args: argparse.Namespace, bench: Bench) -> int:
    now = _before(args, bench)
    if not args.yes:
        _say_what(args, now)
        confirm("Write it?", doing=f"write {args.device} {args.what}")
    answer = bench.write(args.device, args.what, args.value, reason=args.reason, force=args.force)
    after = answer.get("after")
    kept = after is None or after.get("value") == args.value
    if args.json:
        show_json(answer | {"kept": kept} if after is not None else answer)
    else:
        show_lines(_written(args, answer), wrap=True)
    return DONE if kept else NO


def _before(args: argparse.Namespace, bench: Bench) -> dict[str, Any]:
    """What it is now; a value that can only be written is not known."""
    try:
        now = bench.read(args.device, args.what)
    except (CliError, Refused) as fault:
        if fault.code not in {"not_supported", "no_answer"}:
            raise
        return {"unread": fault.message}
    if now.get("guarded") and not args.force:
        raise CliError(
            exit_code=REFUSED,
            code="not_permitted",
            message=f"{args.what} lies on {now['guarded']} of {args.device}, which edgectl itself"
            " keeps",
            remedy="use `edgectl limit` or `edgectl pause`; what must be, must be forced (--force)",
        )
    return now


def _say_what(args: argparse.Namespace, now: dict[str, Any]) -> None:
    unit = f" {now['unit']}" if now.get("unit") else ""
    means = f" ({now['means']})" if now.get("means") else ""
    was = f"not known: {now['unread']}" if "unread" in now else _value(now)
    lines = [
        f"{args.device} {args.what}{means}",
        f"  now  {was}",
        f"  new  {args.value:g}{unit}",
    ]
    if now.get("guarded"):
        lines.append(f"  It lies on {now['guarded']}: edgectl sets that again as it wants it.")
    show_lines(lines, wrap=True)


def _written(args: argparse.Namespace, answer: dict[str, Any]) -> list[str]:
    before, after = answer.get("before"), answer.get("after")
    name = f"{answer['device']} {answer['name']}"
    if after is None:
        lines = [f"{name}: the device took {args.value:g}; it cannot be read back"]
    elif after.get("value") == args.value:
        was = "" if before is None else f", was {_value(before)}"
        lines = [f"{name} is {_value(after)} now{was}"]
    else:
        lines = [f"{name}: NOT KEPT: {args.value:g} was written, it says {_value(after)}"]
    if answer.get("note"):
        lines.append(f"Note: {answer['note']}.")
    return lines


def _answer_lines(answer: dict[str, Any]) -> list[str]:
    lines = [f"{answer['device']} {answer['name']} = {_value(answer)}"]
    words = " ".join(f"{word:04x}" for word in answer["words"])
    lines.append(f"  {_register(answer)} of unit {answer['unit_id']} [{words}]")
    if answer.get("means"):
        lines.append(f"  {answer['means']}")
    if answer.get("guarded"):
        lines.append(f"  it lies on {answer['guarded']}, kept by edgectl: a write must be forced")
    return lines


def _value(answer: dict[str, Any]) -> str:
    if "bad" in answer:
        return f"no value: {answer['bad']}"
    value = answer.get("value")
    if not isinstance(value, int | float):
        return str(value)
    unit = f" {answer['unit']}" if answer.get("unit") else ""
    whole = f"{value:.3f}".rstrip("0").rstrip(".")
    return f"{whole}{unit}" if abs(value) >= 0.001 or value == 0 else f"{value:.6g}{unit}"


def _register(answer: dict[str, Any]) -> str:
    return f"{answer['kind']} {answer['address']}" if "address" in answer else "-"


@contextmanager
def _bench(args: argparse.Namespace) -> Iterator[Bench]:
    client = Client(socket_path(args))
    try:
        client.get("health")
    except Unreachable as fault:
        config = args.config or SITE_FILE
        if not config.is_file():
            raise Unreachable(
                message=fault.message,
                remedy=f"{fault.remedy}; without a daemon, name the site file with --config",
            ) from fault
        if not args.json:
            print("no daemon answers; the device is asked directly", file=sys.stderr)
        with AloneBench(config) as alone:
            yield alone
        return
    except CliError as fault:
        # A daemon that is not well is a daemon: it has the lines.
        if fault.exit_code == REFUSED:
            raise
    if args.config is not None:
        raise CliError(
            exit_code=REFUSED,
            code="already_running",
            message="a daemon runs and has the lines, so --config is not used",
            remedy="leave --config away, or stop the daemon first",
        )
    yield _DaemonBench(client)


def _verb(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    *,
    summary: str,
    description: str,
    examples: tuple[str, ...],
) -> argparse.ArgumentParser:
    parser = subparsers.add_parser(
        name,
        help=summary,
        description=prose(description),
        epilog="\n  ".join(("examples:", *(f"edgectl {example}" for example in examples))),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("device", metavar="DEVICE", help="a meter's or EVSE's id")
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        help=f"the site file to go by where no daemon runs (default {SITE_FILE})",
    )
    add_socket_option(parser)
    return parser


def _number(text: str) -> float:
    try:
        return float(int(text, 16)) if text.lower().startswith("0x") else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
