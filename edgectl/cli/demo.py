"""`edgectl demo`: a simulated depot on this machine, with faults.

No hardware and no broker needed.
"""

import argparse
import asyncio
import sys
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

from edgectl.cli.output import BAD_INPUT, DONE, INTERRUPTED, NO, CliError
from edgectl.simulator.demo.broker import Broker
from edgectl.simulator.demo.run import JOURNAL, Options, run_demo, summary

_LOOPBACK: Final = ("127.0.0.1", "::1")
_SHORTEST_S: Final = 60.0
_LONGEST_S: Final = 3600.0


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the parser of `demo`."""
    parser = subparsers.add_parser(
        "demo",
        help="a simulated depot on this machine, with faults",
        description="Run a simulated depot: Modbus TCP servers on loopback, a broker, the real "
        "daemon, a demand-response event and faults. At the end a report and a picture. Exit "
        "code: 0 every limit kept and nothing lost, 1 not so.",
    )
    parser.add_argument(
        "--duration",
        type=float,
        default=90.0,
        metavar="S",
        help="seconds, 60 to 3600 (default: 90)",
    )
    parser.add_argument(
        "--sessions",
        type=Path,
        metavar="FILE",
        help="CSV of recorded sessions; its busiest two hours are compressed into the run",
    )
    parser.add_argument(
        "--broker",
        metavar="HOST:PORT",
        help="an MQTT 5 broker on this machine, in place of an own one",
    )
    parser.add_argument(
        "--site", type=Path, metavar="FILE", help="site file (default: the built-in demo depot)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("demo-report"),
        metavar="DIR",
        help="where report, picture and flight recorder go (default: demo-report)",
    )
    parser.add_argument("--seed", type=int, default=1, help="of base load and devices (default: 1)")
    parser.add_argument("--plain", action="store_true", help="plain lines also on a terminal")


def run(args: argparse.Namespace) -> int:
    """Run the demo; the exit code."""
    if not _SHORTEST_S <= args.duration <= _LONGEST_S:
        raise CliError(
            exit_code=BAD_INPUT,
            code="usage",
            message=f"--duration {args.duration:g} is out of range",
            remedy=f"give {_SHORTEST_S:.0f} to {_LONGEST_S:.0f} seconds",
        )
    broker = None if args.broker is None else _broker(args.broker)
    with as_file(files("edgectl") / "_config" / "demo-depot.yaml") as built_in:
        options = Options(
            site_file=args.site if args.site is not None else built_in,
            out=args.out,
            duration_s=args.duration,
            sessions=args.sessions,
            broker=broker,
            seed=args.seed,
            live=sys.stdout.isatty() and not args.plain,
        )
        try:
            report = asyncio.run(run_demo(options, show=_show))
        except (KeyboardInterrupt, asyncio.CancelledError):
            print("stopped before the end: everything is ended, there is no report")
            return INTERRUPTED
    print()
    for line in summary(report, args.out):
        print(line)
    if (args.out / JOURNAL).is_dir():
        print(f"every decision once more: edgectl replay {args.out / JOURNAL}")
    return DONE if report["ok"] else NO


def _show(text: str) -> None:
    print(text, flush=True)


def _broker(text: str) -> Broker:
    host, _, port = text.rpartition(":")
    host = {"localhost": "127.0.0.1"}.get(host, host.strip("[]"))
    if not port.isdecimal() or not 0 < int(port) < 65536 or not host:
        raise CliError(
            exit_code=BAD_INPUT,
            code="usage",
            message=f"--broker {text!r} is not HOST:PORT",
            remedy="write it as 127.0.0.1:1883",
        )
    if host not in _LOOPBACK:
        raise CliError(
            exit_code=BAD_INPUT,
            code="usage",
            message=f"--broker {host} is not this machine",
            remedy="the demo sends unsigned events, which are taken from 127.0.0.1 or ::1 only",
        )
    return Broker(name="the given broker", host=host, port=int(port), protocol=5)
