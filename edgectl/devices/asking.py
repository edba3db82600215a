"""A question to one device, by quantity or by raw register, and what its answer means.

A raw register is written `holding:1008`, `input:40:u32`, `holding:12:f32:low`, `input:2:ascii:8`:
kind, address on the wire, type (u16 if left out), then word order or, for text, registers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from edgectl.devices.codec import WORDS_OF_TYPE, encode_point, misfit
from edgectl.devices.profile import Access, Point, PointType, Profile, RegisterKind, WordOrder
from edgectl.devices.quantities import FAILSAFE, SETPOINT, WATCHDOG
from edgectl.devices.reads import (
    Place,
    ReadBatch,
    place_order,
    read_points,
    wire_address,
)
from edgectl.devices.writes import place_of
from edgectl.errors import Refused
from edgectl.model.modbus import Function, Request
from edgectl.model.site import Evse, Site
from edgectl.units import LinkId, NodeId

ASCII_MAX: Final = 64

_MEANINGS: Final = {
    SETPOINT: "the current limit that edgectl sets",
    FAILSAFE: "the current to which it falls by itself when nobody talks to it",
    WATCHDOG: "how long it waits for somebody to talk to it",
}


@dataclass(frozen=True, slots=True)
class Device:
    """One meter or EVSE. `evse` is None for a meter."""

    id: str
    profile: Profile
    place: Place
    link: LinkId
    node: NodeId
    evse: Evse | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A point of a device and where it is asked for."""

    device: Device
    point: Point
    address: int

    @property
    def means(self) -> str | None:
        """What the value is, for a person who is about to change it."""
        charger = self.device.profile.charger
        name = self.point.name
        if charger is not None:
            block = charger.failsafe
            name = SETPOINT if name == charger.setpoint.point else name
            if block is not None:
                name = FAILSAFE if name == block.current_write else name
                name = WATCHDOG if name == block.timeout_write else name
        return _MEANINGS.get(name)

    @property
    def kept(self) -> str | None:
        """Say what of edgectl's own in a charger it lies on; None: nothing, or it is a meter."""
        charger, evse = self.device.profile.charger, self.device.evse
        if charger is None or evse is None or self.point.kind is not RegisterKind.HOLDING:
            return None
        own = {charger.setpoint.point: "the setpoint"}
        if charger.failsafe is not None:
            own |= dict.fromkeys(charger.failsafe.order, "the failsafe block")
            own |= {first.point: "the failsafe block" for first in charger.failsafe.before}
        if charger.feeding.write is not None:
            own[charger.feeding.write.point] = "what feeds the watchdog"
        for name, what in own.items():
            point = self.device.profile.point(name)
            first = wire_address(self.device.profile, point, place_of(evse))
            if first < self.address + self.point.count and self.address < first + point.count:
                return what
        return None

    def batch(self) -> ReadBatch:
        """The read of it, or of the point where the device says what was written to it.

        `Refused` where there is neither.
        """
        name = self._seen_at()
        point = self.point if name is None else self.device.profile.point(name)
        if not point.readable:
            raise Refused(
                code="not_supported",
                message=f"{self.point.name} of {self.device.id} can be written and not read",
                remedy=f"readable are: {_some(readable(self.device.profile))}",
            )
        (batch,) = read_points(self.device.profile, self.device.place, [point])
        return batch

    @property
    def can_be_seen(self) -> bool:
        """Whether `batch` gives something."""
        return self.point.readable or self._seen_at() is not None

    def _seen_at(self) -> str | None:
        charger = self.device.profile.charger
        if self.point.readable or charger is None:
            return None
        twins = {charger.setpoint.point: charger.setpoint.readback}
        if charger.failsafe is not None:
            twins[charger.failsafe.current_write] = charger.failsafe.current_read
            twins[charger.failsafe.timeout_write] = charger.failsafe.timeout_read
        return twins.get(self.point.name)

    def write(self, value: float) -> Request:
        """The write of a value; `Refused` where the point cannot hold exactly that."""
        why = misfit(self.point, value)
        if why is not None:
            raise Refused(
                code="malformed",
                message=f"{self.point.name} of {self.device.id} cannot be {value:g}: {why}",
                remedy=f"writable are: {_some(writable(self.device.profile))}, and raw registers"
                " such as holding:1008:u16",
            )
        order = place_order(self.device.profile, self.point, self.device.place)
        words = encode_point(self.point, value, word_order=order)
        function = self._function(len(words))
        return Request(
            unit=self.device.place.unit, function=function, address=self.address, words=words
        )

    def _function(self, words: int) -> Function:
        charger = self.device.profile.charger
        if charger is not None:
            block = charger.failsafe
            if self.point.name == charger.setpoint.point:
                return Function(charger.setpoint.function)
            if block is not None and self.point.name in block.order:
                return Function(block.function)
        return Function.WRITE_SINGLE if words == 1 else Function.WRITE_MULTIPLE


def devices_of(site: Site, profiles: Mapping[str, Profile]) -> dict[str, Device]:
    """Every meter and EVSE of a site by its id."""
    found = {}
    for meter in site.meters:
        place = Place(
            unit=meter.unit, address_offset=meter.address_offset, word_order=meter.word_order
        )
        found[str(meter.id)] = Device(
            id=meter.id,
            profile=profiles[meter.profile],
            place=place,
            link=meter.link,
            node=meter.node,
        )
    for evse in site.evses:
        found[str(evse.id)] = Device(
            id=evse.id,
            profile=profiles[evse.profile],
            place=place_of(evse),
            link=evse.link,
            node=evse.node,
            evse=evse,
        )
    return found


def question(device: Device, what: str) -> Question:
    """Find a quantity of the device's profile, or read a raw register; `Refused` if neither."""
    if device.profile.has(what):
        point = device.profile.point(what)
        return Question(device, point, wire_address(device.profile, point, device.place))
    raw = raw_point(what)
    if raw is None:
        raise Refused(
            code="unknown_target",
            message=f"{device.id} ({device.profile.id}) has no quantity {what!r}",
            remedy=f"it has: {_some([point.name for point in device.profile.points])};"
            " or a raw register such as holding:1008:u32",
        )
    forbidden = set(device.profile.read.never_read) & set(_registers(raw))
    if forbidden:
        raise Refused(
            code="not_permitted",
            message=f"{device.profile.id} must never be asked for register {min(forbidden)}",
            remedy=f"profile {device.profile.file} says why; ask for others",
        )
    bare = Device(
        id=device.id,
        profile=device.profile,
        place=Place(unit=device.place.unit, word_order=device.place.word_order),
        link=device.link,
        node=device.node,
        evse=device.evse,
    )
    return Question(bare, raw, raw.address)


def raw_point(text: str) -> Point | None:
    """Read `kind:address[:type[:order or registers]]`; None where it is nothing of the kind."""
    parts = text.split(":")
    if not 2 <= len(parts) <= 4 or parts[0] not in set(RegisterKind):
        return None
    if not (parts[1].isascii() and parts[1].isdecimal() and int(parts[1]) <= 0xFFFF):
        return None
    kind = RegisterKind(parts[0])
    name = parts[2] if len(parts) > 2 else PointType.U16.value
    more = parts[3] if len(parts) > 3 else None
    if name not in set(PointType):
        return None
    point_type = PointType(name)
    count, order = WORDS_OF_TYPE.get(point_type, 0), None
    if point_type is PointType.ASCII:
        if more is None or not (more.isascii() and more.isdecimal()):
            return None
        count = int(more)
    elif more is not None:
        if more not in set(WordOrder):
            return None
        order = WordOrder(more)
    if not 1 <= count <= ASCII_MAX or int(parts[1]) + count > 0x10000:
        return None
    return Point(
        name=text,
        kind=kind,
        address=int(parts[1]),
        type=point_type,
        count=count,
        word_order=order,
        access=Access.READ_WRITE if kind is RegisterKind.HOLDING else Access.READ,
    )


def readable(profile: Profile) -> list[str]:
    """What can be asked for by name."""
    return [point.name for point in profile.points if point.readable]


def writable(profile: Profile) -> list[str]:
    """What can be set by name."""
    return [point.name for point in profile.points if point.writable]


def _registers(point: Point) -> range:
    return range(point.address, point.address + point.count)


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:20])
    return (f"{shown}, ..." if len(names) > 20 else shown) or "none"
