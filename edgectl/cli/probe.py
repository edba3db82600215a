"""`edgectl probe`: who answers at an address, and which profile fits. It never writes."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from edgectl.cli.alone import Talk
from edgectl.cli.client import Client, add_socket_option, socket_path
from edgectl.cli.output import (
    BAD_INPUT,
    DONE,
    NO,
    REFUSED,
    CliError,
    prose,
    say,
    show_json,
    show_lines,
)
from edgectl.devices.fits import Fit, Found, probing
from edgectl.errors import Unreachable
from edgectl.model.modbus import Miss, MissCause
from edgectl.model.site import Link, LinkKind
from edgectl.sitefile.profiles import load_profiles
from edgectl.units import LinkId

PORT: Final = 502
UNITS_TCP: Final = "1,2,255"
UNIT_MAX: Final = 255
TIMEOUT_S: Final = 1.0
GAP_S: Final = 0.1
MOST_S: Final = 120.0


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `probe`."""
    parser = subparsers.add_parser(
        "probe",
        help="find who answers at an address and which profile fits",
        description=prose(
            "Asks every unit of a Modbus TCP address what it is, by the identification and the "
            "values of every known profile, and says which one fits and why. It only reads, asks "
            "at most 40 questions a unit, and stops after two minutes. An address that the "
            "running daemon talks to is left alone: `edgectl devices` shows it."
        ),
        epilog="examples:\n  edgectl probe 10.0.0.21\n  edgectl probe 10.0.0.30:1502 --units 1-10",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("address", metavar="HOST[:PORT]", help=f"port {PORT} if left out")
    parser.add_argument(
        "--units",
        default=UNITS_TCP,
        metavar="LIST",
        help=f"such as 1-10,255 (default {UNITS_TCP})",
    )
    parser.add_argument(
        "--timeout", type=float, default=TIMEOUT_S, metavar="S", help="patience with each question"
    )
    parser.add_argument("--all", action="store_true", help="say also why others do not fit")
    parser.add_argument(
        "--profiles",
        metavar="DIR",
        type=Path,
        action="append",
        help="a folder of device profiles, in place of the usual ones; may be repeated",
    )
    add_socket_option(parser)


def run(args: argparse.Namespace) -> int:
    """Ask, and say what was found."""
    link = _link(args.address)
    units = _units(args.units)
    if not 0.05 <= args.timeout <= 10.0:
        raise CliError(
            exit_code=BAD_INPUT,
            code="bad_timeout",
            message=f"a timeout of {args.timeout:g} s is of no use",
            remedy="give 0.05 to 10 seconds",
        )
    _leave_the_daemon_alone(args, link)
    profiles = [profile for _, profile in sorted(load_profiles(args.profiles).items())]
    found: list[Found] = []
    talk = Talk(link)
    began_s = talk.now_s()
    left: list[int] = []
    try:
        for at, unit in enumerate(units):
            if talk.now_s() - began_s > MOST_S:
                left = units[at:]
                break
            found.append(_ask(talk, probing(profiles, unit), args.timeout))
            if not args.json:
                show_lines(_lines(found[-1], everything=args.all), wrap=True)
    finally:
        talk.close()
    if args.json:
        show_json(
            {
                "host": link.host,
                "port": link.port,
                "units": [_json(one) for one in found],
                "not_asked": left,
            }
        )
    elif left:
        say(f"stopped after {MOST_S:g} s; not asked: units {left[0]} to {left[-1]}")
    if not any(one.answers for one in found):
        _nobody(link, units, found, args)
        return NO
    if not args.json:
        show_lines(_for_the_site_file(link, found))
    return DONE


def _ask(talk: Talk, asking: Any, timeout_s: float) -> Found:  # noqa: ANN401 - a generator
    try:
        request = next(asking)
        while True:
            outcome = talk.ask(request, timeout_s=timeout_s, gap_s=GAP_S)
            if isinstance(outcome, Miss) and outcome.cause is MissCause.DISCONNECTED:
                raise Unreachable(
                    message=outcome.detail,
                    remedy="look at address, port, network, and whether another client holds the"
                    " device's only connection",
                )
            request = asking.send(outcome)
    except StopIteration as end:
        found: Found = end.value
        return found


def _lines(found: Found, *, everything: bool) -> list[str]:
    if not found.answers:
        return [f"unit {found.unit}: no answer ({found.detail})"]
    fits = [fit for fit in found.fits if fit.against is None]
    lines = [f"unit {found.unit}: " + (_names(fits) or "answers, but no profile fits")]
    lines += [f"  {fit.profile}: {fit.evidence}" for fit in fits]
    if everything or not fits:
        lines += [f"  not {fit.profile}: {fit.against}" for fit in found.fits if fit.against]
    return lines


def _names(fits: Sequence[Fit]) -> str:
    if not fits:
        return ""
    best, *others = fits
    also = f", less likely {', '.join(fit.profile for fit in others)}" if others else ""
    return f"{best.title} (profile {best.profile}){also}"


def _for_the_site_file(link: Link, found: Sequence[Found]) -> list[str]:
    rows = [
        f"  profile: {fit.profile}, link: ID, unit: {one.unit}"
        for one in found
        for fit in one.fits[:1]
        if fit.against is None
    ]
    if not rows:
        return []
    line = f"  links: - {{id: ID, kind: tcp, host: {link.host}, port: {link.port}}}"
    return ["", "for the site file:", line, *rows]


def _nobody(
    link: Link, units: Sequence[int], found: Sequence[Found], args: argparse.Namespace
) -> None:
    if args.json or not found:
        return
    say("")
    say(
        f"{link.host} port {link.port} takes connections, but none of these {len(units)} units "
        "answers:"
    )
    say("try other units (--units 1-32), a longer --timeout, and see that Modbus is enabled")


def _json(found: Found) -> dict[str, Any]:
    return asdict(found)


def _leave_the_daemon_alone(args: argparse.Namespace, link: Link) -> None:
    try:
        links = Client(socket_path(args)).get("devices")["links"]
    except (Unreachable, CliError):
        return
    where = link.where
    for one in links:
        if one["where"] == where:
            names = ", ".join(device["id"] for device in one["devices"])
            raise CliError(
                exit_code=REFUSED,
                code="already_running",
                message=f"the daemon talks to {where} as link {one['id']} ({names})",
                remedy="`edgectl devices` and `edgectl read` ask through it; or stop it first",
            )


def _link(text: str) -> Link:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, str(PORT)
    host = host.strip("[]")
    if not host or not (port.isascii() and port.isdecimal() and 0 < int(port) <= 0xFFFF):
        raise CliError(
            exit_code=BAD_INPUT,
            code="bad_address",
            message=f"{text!r} is no address",
            remedy="write a host with or without a port, such as 10.0.0.21 or 10.0.0.21:1502",
        )
    return Link(id=LinkId("probe"), kind=LinkKind.TCP, host=host, port=int(port))


def _units(text: str) -> list[int]:
    units: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        ends = (first, last if dash else first)
        if not all(end.isascii() and end.isdecimal() and int(end) <= UNIT_MAX for end in ends):
            raise _bad_units(text)
        units += range(int(ends[0]), int(ends[1]) + 1)
    if not units:
        raise _bad_units(text)
    return list(dict.fromkeys(units))


def _bad_units(text: str) -> CliError:
    return CliError(
        exit_code=BAD_INPUT,
        code="bad_units",
        message=f"{text!r} names no units",
        remedy=f"write numbers and ranges from 0 to {UNIT_MAX}, such as 1-10,255",
    )
