"""What the checks of a profile share: saying a finding, and looking up points by name."""

from collections.abc import Iterator

from edgectl.devices.codec import misfit
from edgectl.devices.profile import Point, Profile, RegisterKind, WriteValue
from edgectl.errors import Finding
from edgectl.model.modbus import Function
from edgectl.sitefile.source import Source, did_you_mean
from edgectl.sitefile.yaml_text import Where


class Checker:
    """One profile and the file it is from; each check yields findings and none stops another."""

    def __init__(self, profile: Profile, source: Source) -> None:
        self.profile = profile
        self.source = source

    def say(self, where: Where, code: str, message: str, remedy: str) -> Finding:
        """Build a finding about the value at `where`."""
        return self.source.finding(where, code=code, message=message, remedy=remedy)

    def fits(self, where: Where, point: Point, value: float) -> Iterator[Finding]:
        """Find a value that the register cannot hold."""
        if point.scale == 0.0:
            return
        why = misfit(point, value)
        if why is not None:
            yield self.say(
                where, "out_of_range", f"{point.name}: {why}", "correct it, or the point's range"
            )

    def readable(self, where: Where, name: str) -> Iterator[Finding]:
        """Find a name of no point, or of one that cannot be read."""
        yield from self.known(where, name)
        if self.profile.has(name) and not self.profile.point(name).readable:
            yield self.say(
                where, "not_readable", f"{name} is write-only", "name a point that can be read"
            )

    def writable(self, where: Where, name: str, function: int) -> Iterator[Finding]:
        """Find a name of no point, or of one that the function cannot write."""
        yield from self.known(where, name)
        if not self.profile.has(name):
            return
        point = self.profile.point(name)
        if not point.writable or point.kind is not RegisterKind.HOLDING:
            yield self.say(
                where,
                "not_writable",
                f"{name} cannot be written",
                "name a holding register with `access: w` or `access: rw`",
            )
        if function == Function.WRITE_SINGLE and point.count != 1:
            yield self.say(
                where,
                "wrong_type",
                f"{name} has {point.count} registers and function 6 writes one",
                "write `function: 16`, or correct the type",
            )

    def known(self, where: Where, name: str) -> Iterator[Finding]:
        """Find a name of no point."""
        if not self.profile.has(name):
            names = [point.name for point in self.profile.points]
            yield self.say(
                where,
                "unknown_name",
                f"there is no point {name}{did_you_mean(name, names)}",
                "name one of the points of this file",
            )

    def write_value(self, where: Where, write: WriteValue, function: int) -> Iterator[Finding]:
        """Find what is wrong with a fixed write."""
        yield from self.writable((*where, "point"), write.point, function)
        if self.can_write(write.point):
            yield from self.fits((*where, "value"), self.profile.point(write.point), write.value)

    def can_read(self, name: str) -> bool:
        """Tell whether there is such a point and it can be read."""
        return self.profile.has(name) and self.profile.point(name).readable

    def can_write(self, name: str) -> bool:
        """Tell whether there is such a point and it can be written."""
        return self.profile.has(name) and self.profile.point(name).writable

    def given(self, where: Where, key: str) -> bool:
        """Tell whether the file itself says the key."""
        return (*where, key) in self.source.lines
