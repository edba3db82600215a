"""Checks of what the site has with the world outside: caps, programs, broker, commands."""

from collections.abc import Iterator
from itertools import pairwise

from edgectl.errors import Finding
from edgectl.model.settings import BrokerAddress
from edgectl.sitefile.draft import Draft, Placed
from edgectl.sitefile.entries.authority import ProgramEntry


def check_outside(draft: Draft) -> Iterator[Finding]:
    """Check what belongs together in these sections."""
    yield from _check_caps(draft)
    for program in draft.programs:
        yield from _check_program(draft, program)
    yield from _check_mqtt(draft)


def minute_of(time_of_day: str) -> int:
    """Minutes since midnight of `HH:MM`; 24:00 is 1440."""
    hours, minutes = time_of_day.split(":")
    return int(hours) * 60 + int(minutes)


def _check_caps(draft: Draft) -> Iterator[Finding]:
    for placed in draft.caps:
        begins, ends = minute_of(placed.entry.from_), minute_of(placed.entry.to)
        if begins == 24 * 60:
            yield draft.source.finding(
                (*placed.where, "from"),
                code="bad_time",
                message="a cap cannot begin at 24:00",
                remedy='write "00:00" and the next day',
            )
        if begins == ends:
            yield draft.source.finding(
                (*placed.where, "to"),
                code="bad_time",
                message=f"the cap begins and ends at {placed.entry.to}",
                remedy='for the whole day write from: "00:00", to: "24:00"',
            )


def _check_program(draft: Draft, placed: Placed[ProgramEntry]) -> Iterator[Finding]:
    program = placed.entry
    for key in ("simple_levels", "alerts"):
        levels = getattr(program, key)
        if levels and program.reference_kw is None:
            yield draft.source.finding(
                (*placed.where, key),
                code="missing",
                message=f"{key} are in % of reference_kw, which is missing",
                remedy="add reference_kw",
            )
        for name, percent in (levels or {}).items():
            if float(percent.rstrip("%")) > 100:
                yield draft.source.finding(
                    (*placed.where, key, name),
                    code="out_of_range",
                    message=f"{percent} is more than the reference",
                    remedy="write 0% to 100%",
                )
    yield from _check_levels(draft, placed)
    if program.kind == "mandatory" and program.when_missed is not None:
        yield draft.source.finding(
            (*placed.where, "when_missed"),
            code="not_of_kind",
            message="a mandatory event is kept whatever it costs",
            remedy="remove when_missed, or write kind: voluntary",
        )
    if program.default_unit == "PERCENT" and program.reference_kw is None:
        yield draft.source.finding(
            (*placed.where, "default_unit"),
            code="missing",
            message="PERCENT is of reference_kw, which is missing",
            remedy="add reference_kw",
        )
    if program.below_minimum == "hold" and program.minimum_kw is None:
        yield draft.source.finding(
            (*placed.where, "below_minimum"),
            code="missing",
            message="hold needs minimum_kw, which is missing",
            remedy="add minimum_kw, or write below_minimum: obey",
        )
    if (
        program.minimum_kw is not None
        and program.reference_kw is not None
        and program.minimum_kw > program.reference_kw
    ):
        yield draft.source.finding(
            (*placed.where, "minimum_kw"),
            code="out_of_range",
            message=f"the minimum of {program.minimum_kw:g} kW is above the reference of "
            f"{program.reference_kw:g} kW",
            remedy="look at the contract: one of them is wrong",
        )


def _check_levels(draft: Draft, placed: Placed[ProgramEntry]) -> Iterator[Finding]:
    """A higher level is a harder one."""
    levels = sorted((placed.entry.simple_levels or {}).items())
    for (lower, more), (higher, less) in pairwise(levels):
        if float(less.rstrip("%")) > float(more.rstrip("%")):
            yield draft.source.finding(
                (*placed.where, "simple_levels", higher),
                code="out_of_range",
                message=f"level {higher} leaves {less}, more than level {lower} with {more}",
                remedy="let every level leave no more than the one below it",
            )


def _check_mqtt(draft: Draft) -> Iterator[Finding]:
    given = {key for key, value in draft.section("mqtt").items() if value is not None}
    pairs = (
        ("cert", "key"),
        ("key", "cert"),
        ("cert", "ca"),
        ("password_file", "username"),
    )
    for key, other in pairs:
        if key in given and other not in given:
            yield draft.source.finding(
                ("mqtt", key),
                code="missing",
                message=f"{key} needs {other}, which is missing",
                remedy=f"add {other}, or remove {key}",
            )
    for position, broker in enumerate(draft.mqtt.brokers if draft.mqtt is not None else ()):
        address = BrokerAddress(host=broker.host, port=broker.port)
        if not address.loopback and "ca" not in given:
            yield draft.source.finding(
                ("mqtt", "brokers", position),
                code="plain_refused",
                message=f"a plain connection to {broker.host} would leave this machine",
                remedy="add ca, so that TLS is spoken, or name a broker on 127.0.0.1 or ::1",
            )
    mtls = draft.commands is not None and draft.commands.unsigned == "mtls"
    if mtls and not {"ca", "cert", "key"} <= given:
        yield draft.source.finding(
            ("commands", "unsigned"),
            code="missing",
            message="mtls needs ca, cert and key under mqtt",
            remedy="add them, or write unsigned: never",
        )
