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
from edgectl.model.serial_line import Parity, SerialLine
from edgectl.model.site import Link, LinkKind
from edgectl.sitefile.profiles import load_profiles
from edgectl.units import LinkId

PORT: Final = 502
UNITS_TCP: Final = "1,2,255"
UNITS_SERIAL: Final = "1-16"
UNIT_MAX: Final = 255
UNIT_SERIAL_MAX: Final = 247
TIMEOUT_S: Final = 1.0
TIMEOUT_SERIAL_S: Final = 0.5
GAP_S: Final = 0.1
MOST_S: Final = 120.0


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `probe`."""
    parser = subparsers.add_parser(
        "probe",
        help="find who answers at an address and which profile fits",
        description=prose(
            "Asks every unit of a Modbus TCP address or of a serial line what it is, by the "
            "identification and the values of every known profile, and says which one fits and "
            "why. It only reads, asks at most 40 questions a unit, and stops after two minutes. "
            "What the running daemon talks to is left alone: `edgectl devices` shows it."
        ),
        epilog="examples:\n  edgectl probe 10.0.0.21\n  edgectl probe 10.0.0.30:1502 --units 1-10\n"
        "  edgectl probe /dev/ttyUSB0 --baud 9600 --parity N\n"
        "  edgectl probe 10.0.0.30:4001 --rtu --units 1-32",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "address",
        metavar="HOST[:PORT]|DEVICE",
        help=f"port {PORT} if left out; a path is a serial device",
    )
    parser.add_argument(
        "--units",
        metavar="LIST",
        help=f"such as 1-10,255 (default {UNITS_TCP}; on a serial line {UNITS_SERIAL})",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        metavar="S",
        help=f"patience with each question (default {TIMEOUT_S:g}; on a serial line "
        f"{TIMEOUT_SERIAL_S:g})",
    )
    parser.add_argument(
        "--rtu", action="store_true", help="HOST:PORT is a converter that hands RTU frames on"
    )
    parser.add_argument("--baud", type=int, default=19_200, help="of a serial line (default 19200)")
    parser.add_argument("--parity", choices=["N", "E", "O"], default="E", help="default E")
    parser.add_argument("--stop-bits", type=int, choices=[1, 2], default=1, help="default 1")
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
    link = _link(args)
    units = _units(args.units, link)
    timeout_s = _timeout_s(args.timeout, link)
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
            found.append(_ask(talk, probing(profiles, unit), timeout_s))
            if not args.json:
                show_lines(_lines(found[-1], everything=args.all), wrap=True)
    finally:
        talk.close()
    if args.json:
        show_json(
            {
                **_end(link),
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
                    remedy="look at address, port, network or adapter, and whether another client"
                    " or program holds it",
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
    keys = ", ".join(f"{key}: {value}" for key, value in _end(link).items())
    line = f"  links: - {{id: ID, kind: {link.kind}, {keys}}}"
    return ["", "for the site file:", line, *rows]


def _nobody(
    link: Link, units: Sequence[int], found: Sequence[Found], args: argparse.Namespace
) -> None:
    if args.json or not found:
        return
    say("")
    if link.serial is not None:
        say(f"{link.where} is open, but none of these {len(units)} units answers at {link.serial}:")
        say(
            "try another --baud and --parity, other units, A and B exchanged, and see that the line"
            " is terminated"
        )
        return
    say(f"{link.where} takes connections, but none of these {len(units)} units answers:")
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


def _end(link: Link) -> dict[str, Any]:
    """What the site file says of where the link goes."""
    end: dict[str, Any] = {"host": link.host, "port": link.port}
    if link.kind is LinkKind.RTU:
        end = {"device": link.device}
    if link.serial is not None:
        wire = link.serial
        end |= {"baud": wire.baud, "parity": wire.parity.value, "stop_bits": wire.stop_bits}
    return end


def _link(args: argparse.Namespace) -> Link:
    text: str = args.address
    if not 300 <= args.baud <= 1_000_000:
        raise CliError(
            exit_code=BAD_INPUT,
            code="bad_baud",
            message=f"{args.baud} is no speed of a serial line",
            remedy="give what the devices are set to, such as 9600 or 19200",
        )
    wire = SerialLine(baud=args.baud, parity=Parity(args.parity), stop_bits=args.stop_bits)
    if text.startswith("/"):
        return Link(id=LinkId("probe"), kind=LinkKind.RTU, device=text, serial=wire)
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, str(PORT)
    host = host.strip("[]")
    if not host or not (port.isascii() and port.isdecimal() and 0 < int(port) <= 0xFFFF):
        raise CliError(
            exit_code=BAD_INPUT,
            code="bad_address",
            message=f"{text!r} is no address",
            remedy="write a host with or without a port, such as 10.0.0.21 or 10.0.0.21:1502, or "
            "the path of a serial device",
        )
    kind = LinkKind.RTU_OVER_TCP if args.rtu else LinkKind.TCP
    return Link(
        id=LinkId("probe"),
        kind=kind,
        host=host,
        port=int(port),
        serial=wire if args.rtu else None,
    )


def _timeout_s(given_s: float | None, link: Link) -> float:
    timeout_s = TIMEOUT_S if link.serial is None else TIMEOUT_SERIAL_S
    if given_s is not None:
        timeout_s = given_s
    if not 0.05 <= timeout_s <= 10.0:
        raise CliError(
            exit_code=BAD_INPUT,
            code="bad_timeout",
            message=f"a timeout of {timeout_s:g} s is of no use",
            remedy="give 0.05 to 10 seconds",
        )
    return timeout_s


def _units(given: str | None, link: Link) -> list[int]:
    serial = link.serial is not None
    text = given or (UNITS_SERIAL if serial else UNITS_TCP)
    units: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        ends = (first, last if dash else first)
        if not all(end.isascii() and end.isdecimal() and int(end) <= UNIT_MAX for end in ends):
            raise _bad_units(text)
        units += range(int(ends[0]), int(ends[1]) + 1)
    if not units:
        raise _bad_units(text)
    if serial and not set(units) <= set(range(1, UNIT_SERIAL_MAX + 1)):
        raise _bad_units(text, least=1, most=UNIT_SERIAL_MAX)
    return list(dict.fromkeys(units))


def _bad_units(text: str, *, least: int = 0, most: int = UNIT_MAX) -> CliError:
    return CliError(
        exit_code=BAD_INPUT,
        code="bad_units",
        message=f"{text!r} names no units",
        remedy=f"write numbers and ranges from {least} to {most}, such as 1-10,{most}",
    )
