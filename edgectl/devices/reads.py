"""What to ask a device for, in as few requests as it allows, and what its answers mean."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from edgectl.devices.codec import Bad, Value, decode_point
from edgectl.devices.profile import (
    Expect,
    Point,
    PollClass,
    Profile,
    ReadRules,
    RegisterKind,
    Scope,
    WordOrder,
)
from edgectl.devices.quantities import CURRENTS
from edgectl.errors import invariant
from edgectl.model.modbus import Function, Request

_READ: Final = {
    RegisterKind.HOLDING: Function.READ_HOLDING,
    RegisterKind.INPUT: Function.READ_INPUT,
}

REGISTERS: Final = 0x10000


@dataclass(frozen=True, slots=True)
class PointAt:
    """A point's place in an answer: its first word, and the word order that holds there."""

    point: Point
    offset: int
    word_order: WordOrder


@dataclass(frozen=True, slots=True)
class ReadBatch:
    """One read request, the points that its answer holds, and how often it is due."""

    request: Request
    points: tuple[PointAt, ...]
    period: PollClass


@dataclass(frozen=True, slots=True)
class Check:
    """A read with what it must say."""

    batch: ReadBatch
    expects: tuple[Expect, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where one device or connector of a profile answers, with the site's overrides."""

    unit: int
    connector: int = 1
    address_offset: int = 0
    word_order: str | None = None


def plan_reads(
    profile: Profile,
    *,
    unit: int,
    connector: int = 1,
    address_offset: int = 0,
    word_order: str | None = None,
) -> tuple[ReadBatch, ...]:
    """Plan every read of the ordinary polls, within the device's block rules.

    Fast ones first, and among them those with currents, or the power that stands for them: the
    first request dates the whole round.
    """
    place = Place(
        unit=unit, connector=connector, address_offset=address_offset, word_order=word_order
    )
    planned = [
        batch
        for period in (PollClass.FAST, PollClass.SLOW)
        for batch in read_points(
            profile, place, [point for point in profile.points if point.poll is period], period
        )
    ]
    measured = set(CURRENTS)
    if profile.charger is not None and profile.charger.mains is not None:
        measured.add(profile.charger.mains.power or CURRENTS[0])
    return tuple(sorted(planned, key=lambda batch: _urgency(batch, measured)))


def read_points(
    profile: Profile,
    place: Place,
    points: Iterable[Point],
    period: PollClass = PollClass.NEVER,
) -> tuple[ReadBatch, ...]:
    """Read the given points in as few requests as the device allows, by rising address."""
    batches: list[ReadBatch] = []
    run: list[Point] = []
    for point in sorted(points, key=lambda p: (p.scope, p.kind, p.address)):
        invariant(point.readable, f"{profile.id}: {point.name} is write-only")
        if run and not _joins(profile.read, run, point):
            batches.append(_batch(profile, place, run, period))
            run = []
        run.append(point)
    if run:
        batches.append(_batch(profile, place, run, period))
    return tuple(batches)


def read_point(
    profile: Profile, place: Place, name: str, period: PollClass = PollClass.NEVER
) -> ReadBatch:
    """Read one point by itself."""
    return read_points(profile, place, [profile.point(name)], period)[0]


def identify(
    profile: Profile,
    *,
    unit: int,
    connector: int = 1,
    address_offset: int = 0,
    word_order: str | None = None,
) -> Check | None:
    """Give the one read that may come first on a connection, with what it must say, if any."""
    if not profile.identify:
        return None
    place = Place(
        unit=unit, connector=connector, address_offset=address_offset, word_order=word_order
    )
    batches = read_points(profile, place, [profile.point(e.point) for e in profile.identify])
    invariant(len(batches) == 1, f"{profile.id}: identification needs more than one request")
    return Check(batch=batches[0], expects=profile.identify)


def required(
    profile: Profile,
    *,
    unit: int,
    connector: int = 1,
    address_offset: int = 0,
    word_order: str | None = None,
) -> tuple[Check, ...]:
    """Give the reads of what must be configured: edgectl checks and reports, it does not set."""
    place = Place(
        unit=unit, connector=connector, address_offset=address_offset, word_order=word_order
    )
    return tuple(
        Check(batch=read_point(profile, place, expect.point), expects=(expect,))
        for expect in profile.require
    )


def decode(batch: ReadBatch, words: Sequence[int]) -> dict[str, Value]:
    """Give every point of the answer a value or why it has none; a wrong count makes all bad."""
    if len(words) != batch.request.count:
        why = f"the answer has {len(words)} words, {batch.request.count} were asked for"
        return {
            at.point.name: Bad(
                quantity=at.point.name,
                address=batch.request.address + at.offset,
                words=tuple(words[at.offset : at.offset + at.point.count]),
                why=why,
            )
            for at in batch.points
        }
    return {
        at.point.name: decode_point(
            at.point,
            words[at.offset : at.offset + at.point.count],
            address=batch.request.address + at.offset,
            word_order=at.word_order,
        )
        for at in batch.points
    }


@dataclass(frozen=True, slots=True)
class Unmet:
    """An expectation that does not hold, said for a person. `blocks`: do not use the device so."""

    point: str
    text: str
    remedy: str
    blocks: bool


def unmet(check: Check, values: Mapping[str, Value]) -> tuple[Unmet, ...]:
    """Say every expectation of the check that the decoded values do not fulfil."""
    found: list[Unmet] = []
    for expect in check.expects:
        value = values.get(expect.point)
        if value is None:
            said = f"{expect.point} was not read"
        elif isinstance(value, Bad):
            said = str(value)
        elif _holds(expect, value):
            continue
        else:
            at = next(at for at in check.batch.points if at.point.name == expect.point)
            address = check.batch.request.address + at.offset
            shown = value if isinstance(value, str) else f"{value:g}"
            said = f"{expect.point} at register {address} is {shown}, expected {_wanted(expect)}"
        text = f"{said}: {expect.why}" if expect.why else said
        found.append(
            Unmet(point=expect.point, text=text, remedy=expect.remedy, blocks=expect.blocks)
        )
    return tuple(found)


def place_order(profile: Profile, point: Point, place: Place) -> WordOrder:
    """Give the word order that holds: the point's own, else the site's, else the profile's."""
    if point.word_order is not None:
        return point.word_order
    return WordOrder(place.word_order) if place.word_order is not None else profile.word_order


def wire_address(profile: Profile, point: Point, place: Place) -> int:
    """Give the address that goes into a request."""
    connectors = profile.connectors
    if point.scope is Scope.CONNECTOR:
        invariant(
            connectors.first <= place.connector <= connectors.last,
            f"{profile.id}: connector {place.connector} is outside "
            f"{connectors.first} to {connectors.last}",
        )
    address = _address(profile, point, place)
    invariant(
        address >= 0 and address + point.count <= REGISTERS,
        f"{profile.id}: {point.name} lies at register {address}, outside 0 to {REGISTERS - 1}",
    )
    return address


def address_fault(profile: Profile, place: Place) -> str | None:
    """Say which point the site's `address_offset` moves off the register space, if it does."""
    for point in profile.points:
        address = _address(profile, point, place)
        if address < 0 or address + point.count > REGISTERS:
            return f"{point.name} would lie at register {address}"
    return None


def _address(profile: Profile, point: Point, place: Place) -> int:
    per_connector = point.scope is Scope.CONNECTOR
    start = profile.connectors.start(place.connector) if per_connector else 0
    return start + point.address + place.address_offset


def _urgency(batch: ReadBatch, measured: set[str]) -> tuple[bool, bool]:
    measures = any(at.point.name in measured for at in batch.points)
    return (batch.period is not PollClass.FAST, not measures)


def _joins(rules: ReadRules, run: list[Point], point: Point) -> bool:
    """Tell whether the point may be read in one request with those before it."""
    first, last = run[0], run[-1]
    start, end = first.address, point.address + point.count
    gap = range(last.address + last.count, point.address)
    return (
        not rules.single_value
        and (first.scope, first.kind) == (point.scope, point.kind)
        and (rules.allow_gaps or not gap)
        and end - start <= rules.max_registers
        and not any(start < boundary < end for boundary in rules.boundaries)
        and not any(start <= alone < end for alone in rules.alone)
        and not any(register in gap for register in rules.never_read)
    )


def _batch(profile: Profile, place: Place, run: list[Point], period: PollClass) -> ReadBatch:
    start = wire_address(profile, run[0], place)
    end = wire_address(profile, run[-1], place) + run[-1].count
    return ReadBatch(
        request=Request(
            unit=place.unit, function=_READ[run[0].kind], address=start, count=end - start
        ),
        points=tuple(
            PointAt(
                point=point,
                offset=wire_address(profile, point, place) - start,
                word_order=place_order(profile, point, place),
            )
            for point in run
        ),
        period=period,
    )


def _holds(expect: Expect, value: float | str) -> bool:
    text = value if isinstance(value, str) else f"{value:.0f}"
    if expect.one_of and value not in expect.one_of:
        return False
    if expect.starts_with is not None and not text.startswith(expect.starts_with):
        return False
    if expect.at_least is None and expect.at_most is None:
        return True
    if isinstance(value, str):
        return False
    least = -float("inf") if expect.at_least is None else expect.at_least
    most = float("inf") if expect.at_most is None else expect.at_most
    return least <= value <= most


def _wanted(expect: Expect) -> str:
    parts = []
    if expect.one_of:
        parts.append(" or ".join(str(value) for value in expect.one_of))
    if expect.starts_with is not None:
        parts.append(f"beginning with {expect.starts_with}")
    if expect.at_least is not None:
        parts.append(f"at least {expect.at_least:g}")
    if expect.at_most is not None:
        parts.append(f"at most {expect.at_most:g}")
    return ", ".join(parts)
