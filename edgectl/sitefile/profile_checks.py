"""What a profile must be beyond its shape: nothing dangles, overlaps or breaks the block rules."""

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Final

from edgectl.devices import quantities as q
from edgectl.devices.codec import WORDS_OF_TYPE
from edgectl.devices.profile import (
    Point,
    PointType,
    PollClass,
    Profile,
    ProfileKind,
    Scope,
)
from edgectl.devices.reads import Place, read_points
from edgectl.errors import Finding
from edgectl.sitefile.profile_charger_checks import ChargerChecker
from edgectl.sitefile.profile_checker import Checker
from edgectl.sitefile.source import Source
from edgectl.sitefile.yaml_text import Where

_FLOATS: Final = (PointType.F32, PointType.F64)


def check_profile(profile: Profile, source: Source) -> list[Finding]:
    """Find everything wrong with a profile whose shape is right."""
    checker = _Checker(profile, source)
    found = [
        *checker.name(),
        *checker.connectors(),
        *(finding for point in profile.points for finding in checker.point(point)),
        *checker.overlaps(),
        *checker.measures(),
        *checker.expects(),
    ]
    if profile.charger is not None:
        found.extend(ChargerChecker(profile, source).charger(profile.charger))
    return found or list(checker.batches())


class _Checker(Checker):
    """Names, points, overlaps and blocks."""

    def name(self) -> Iterator[Finding]:
        stem = Path(self.source.file).stem
        if self.profile.id != stem:
            yield self.say(
                ("profile",),
                "wrong_name",
                f"the file is {stem}.yaml and the profile says {self.profile.id}",
                f"write `profile: {stem}`, or rename the file",
            )

    def connectors(self) -> Iterator[Finding]:
        rules = self.profile.connectors
        if rules.last < rules.first:
            yield self.say(
                ("connectors", "last"), "out_of_range", "last is below first", "exchange them"
            )
            return
        points = [p for p in self.profile.points if p.scope is Scope.CONNECTOR]
        if not points:
            return
        if "connectors" not in (self.source.data if isinstance(self.source.data, dict) else {}):
            yield self.say(
                ("points", points[0].name, "scope"),
                "missing",
                "a point per connector, and no connectors",
                "add `connectors: {first, last, base, stride}`, or remove the scope",
            )
            return
        ends = [point.address + point.count for point in points]
        extent = max(ends) - min(point.address for point in points)
        if rules.last > rules.first and extent > rules.stride:
            yield self.say(
                ("connectors", "stride"),
                "overlap",
                f"the points of a connector take {extent} registers, the next begins after "
                f"{rules.stride}",
                "check stride and addresses",
            )
        if rules.start(rules.last) + max(ends) > 0x10000:
            yield self.say(
                ("connectors",),
                "out_of_range",
                f"connector {rules.last} ends above register 65535",
                "check last, base and stride",
            )

    def point(self, point: Point) -> Iterator[Finding]:
        where: Where = ("points", point.name)
        yield from self._shape(point, where)
        yield from self._numbers(point, where)
        rules = self.profile.read
        if point.poll is not PollClass.NEVER and not point.readable:
            yield self.say(
                (*where, "poll"),
                "not_readable",
                f"{point.name} is write-only and cannot be polled",
                "remove poll, or write `access: rw`",
            )
        if point.readable and point.count > rules.max_registers:
            yield self.say(
                where,
                "too_long",
                f"{point.count} registers, and read.max_registers is {rules.max_registers}",
                "check both",
            )
        covered = range(point.address, point.address + point.count)
        for register in rules.never_read:
            if register in covered and point.readable:
                yield self.say(
                    where,
                    "never_read",
                    f"register {register} is in read.never_read",
                    "remove the point, or write `access: w`",
                )
        for register in rules.alone:
            if register in covered and register != point.address:
                yield self.say(
                    where,
                    "overlap",
                    f"register {register} is in read.alone and inside this value",
                    "remove the point: it cannot be read without the other",
                )

    def _shape(self, point: Point, where: Where) -> Iterator[Finding]:
        words = WORDS_OF_TYPE.get(point.type)
        given = self.given(where, "count")
        if words is None and not given:
            yield self.say(where, "missing", "a text without its count", "add `count: <registers>`")
        if words is not None and point.count != words:
            yield self.say(
                (*where, "count"),
                "wrong_type",
                f"{point.type.value} takes {words} registers, not {point.count}",
                "remove count, or correct the type",
            )
        if point.address + point.count > 0x10000:
            yield self.say(
                (*where, "address"), "out_of_range", "it ends above register 65535", "correct it"
            )
        whole = words is not None and point.type not in _FLOATS
        for key in ("mask", "codes", "invalid"):
            if self.given(where, key) and not whole:
                yield self.say(
                    (*where, key),
                    "wrong_type",
                    f"{key} is for whole numbers, and this is {point.type.value}",
                    f"remove {key}, or correct the type",
                )

    def _numbers(self, point: Point, where: Where) -> Iterator[Finding]:
        if point.scale == 0.0:
            yield self.say((*where, "scale"), "out_of_range", "scale is 0", "write the factor")
        if point.least is not None and point.greatest is not None and point.least > point.greatest:
            yield self.say(
                (*where, "range"), "out_of_range", "the range ends below its start", "exchange them"
            )
        unit = q.UNITS.get(point.name)
        if unit is not None and point.unit != unit:
            yield self.say(
                (*where, "unit") if self.given(where, "unit") else where,
                "wrong_unit",
                f"{point.name} is kept in {unit}, not in {point.unit or 'nothing'}",
                f"write `unit: {unit}` and the scale that makes it so, such as 0.001 for milli",
            )

    def overlaps(self) -> Iterator[Finding]:
        by_place = sorted(self.profile.points, key=lambda p: (p.scope, p.kind, p.address))
        for first, second in combinations(by_place, 2):
            if first.scope is second.scope and _overlap(first, second, shift=0):
                yield self._overlap(first, second)
        rules = self.profile.connectors
        shared = [p for p in self.profile.points if p.scope is Scope.DEVICE]
        own = [p for p in self.profile.points if p.scope is Scope.CONNECTOR]
        for connector in range(rules.first, rules.last + 1):
            shift = rules.start(connector)
            hits = [(a, b) for a in shared for b in own if _overlap(a, b, shift=shift)]
            if hits:
                yield self._overlap(*hits[0])
                break

    def _overlap(self, first: Point, second: Point) -> Finding:
        return self.say(
            ("points", second.name),
            "overlap",
            f"{second.name} and {first.name} share a register",
            "correct address or type; bits of one register need a mask each",
        )

    def measures(self) -> Iterator[Finding]:
        """Currents are what the judgement lives on."""
        polled = [
            name
            for name in q.CURRENTS
            if self.profile.has(name) and self.profile.point(name).poll is PollClass.FAST
        ]
        if self.profile.kind is ProfileKind.METER and q.CURRENTS[0] not in polled:
            yield self.say(
                ("points",),
                "missing",
                f"a meter without {q.CURRENTS[0]} among the fast polls measures nothing for us",
                f"add the point {q.CURRENTS[0]} with `poll: fast`",
            )
        for name in q.CURRENTS:
            if self.profile.has(name) and name not in polled:
                yield self.say(
                    ("points", name), "bad_value", f"{name} is not polled fast", "add `poll: fast`"
                )

    def expects(self) -> Iterator[Finding]:
        for key, expects in (
            ("identify", self.profile.identify),
            ("require", self.profile.require),
        ):
            for position, expect in enumerate(expects):
                where: Where = (key, position)
                yield from self.readable((*where, "point"), expect.point)
                if (
                    not expect.one_of
                    and expect.starts_with is None
                    and (expect.at_least is None and expect.at_most is None)
                ):
                    yield self.say(
                        where,
                        "missing",
                        "it expects nothing",
                        "add one_of, starts_with, at_least or at_most",
                    )

    def batches(self) -> Iterator[Finding]:
        """Find polls and identification that do not fit, in a profile that is right otherwise."""
        profile = self.profile
        place = Place(unit=1, connector=profile.connectors.first)
        fast = [point for point in profile.points if point.poll is PollClass.FAST]
        round_s = len(read_points(profile, place, fast)) * profile.transport.request_gap_s
        if round_s > profile.transport.poll_s:
            yield self.say(
                ("transport", "poll_s"),
                "out_of_range",
                f"the fast polls alone take {round_s:g} s with their gaps",
                "poll less often, or poll fewer points fast",
            )
        points = [profile.point(expect.point) for expect in profile.identify]
        if len(read_points(profile, place, points)) > 1:
            yield self.say(
                ("identify",),
                "too_long",
                "these points need more than one request",
                "keep those that fit one request and move the others to require",
            )


def _overlap(first: Point, second: Point, *, shift: int) -> bool:
    """Tell whether two points share a register; masks may share one. `shift` moves the second."""
    start = second.address + shift
    apart = first.address + first.count <= start or start + second.count <= first.address
    if first.kind is not second.kind or apart:
        return False
    masks = (first.mask, second.mask)
    return None in masks or bool((first.mask or 0) & (second.mask or 0))
