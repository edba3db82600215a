"""Words to values and back: only here are scale, sign, word order, masks and markers known.

1. A value that the device marks as none, that is not a number, or that lies outside the device's
   own range is `Bad`, never a number. High values inside the range are believed.
2. What is encoded is decoded again before it may leave.
"""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, TypeAlias

from edgectl.devices.profile import Point, PointType, WordOrder
from edgectl.errors import invariant


@dataclass(frozen=True, slots=True)
class Bad:
    """No value: the raw words and why. `address` is the one on the wire.

    `absent`: the device itself says that it has none.
    """

    quantity: str
    address: int
    words: tuple[int, ...]
    why: str
    absent: bool = False

    def __str__(self) -> str:
        shown = " ".join(f"{word:04x}" for word in self.words) or "no words"
        return f"{self.quantity} at register {self.address} [{shown}]: {self.why}"


Value: TypeAlias = float | str | Bad

WORDS_OF_TYPE: Final[dict[PointType, int]] = {
    PointType.U16: 1,
    PointType.I16: 1,
    PointType.U32: 2,
    PointType.I32: 2,
    PointType.F32: 2,
    PointType.U64: 4,
    PointType.I64: 4,
    PointType.F64: 4,
}

_FORMATS: Final[dict[PointType, str]] = {
    PointType.U16: ">H",
    PointType.I16: ">h",
    PointType.U32: ">I",
    PointType.I32: ">i",
    PointType.F32: ">f",
    PointType.U64: ">Q",
    PointType.I64: ">q",
    PointType.F64: ">d",
}
_ANSWER_WORDS_MAX: Final = 125
_NUMBERS: Final = {kind: struct.Struct(layout) for kind, layout in _FORMATS.items()}
_WORDS: Final = tuple(struct.Struct(f">{count}H") for count in range(_ANSWER_WORDS_MAX + 1))
_FLOATS: Final = (PointType.F32, PointType.F64)

_WHOLE_TOLERANCE: Final = 1e-6


def decode_point(
    point: Point, words: Sequence[int], *, address: int, word_order: WordOrder
) -> Value:
    """Give the value of a point's words, or why there is none."""
    raw_words = tuple(words)
    text = point.type is PointType.ASCII
    ordered = raw_words if text or word_order is WordOrder.HIGH else raw_words[::-1]
    if len(raw_words) != point.count:
        why = f"{len(raw_words)} words where {point.count} belong"
        return _bad(point, address, raw_words, why)
    try:
        packed = _WORDS[point.count].pack(*ordered)
    except struct.error:
        return _bad(point, address, raw_words, "a word outside 0 to 65535")
    if text:
        said = _text(packed)
        return _bad(point, address, raw_words, "not readable as text") if said is None else said
    raw: float = _NUMBERS[point.type].unpack(packed)[0]
    if raw in point.invalid or not math.isfinite(raw):
        return _bad(point, address, raw_words, _no_value(raw), absent=raw in point.invalid)
    if point.mask is not None:
        raw = _picked(int(raw), point.mask)
    if point.words_of:
        code = int(raw)
        for known, word in point.words_of:
            if known == code:
                return word
        return _bad(point, address, raw_words, f"code {raw} is not in the profile")
    value = scaled(raw, point.scale)
    outside = _out_of_range(point, value)
    return value if outside is None else _bad(point, address, raw_words, outside)


def _bad(
    point: Point, address: int, words: tuple[int, ...], why: str, *, absent: bool = False
) -> Bad:
    return Bad(quantity=point.name, address=address, words=words, why=why, absent=absent)


def misfit(point: Point, value: float) -> str | None:
    """Say why the point cannot be written with exactly this value; None: it can."""
    if not point.writable:
        return "it is not writable"
    if point.type is PointType.ASCII or point.words_of or point.mask is not None:
        return "it is not a plain number"
    if not math.isfinite(value):
        return f"{value} is not a number"
    why = _out_of_range(point, value)
    if why is not None:
        return why
    raw = value / point.scale
    if point.type not in _FLOATS and abs(raw - round(raw)) > _WHOLE_TOLERANCE * max(1.0, abs(raw)):
        return f"{value:g} lies between two values of the register, which counts in {point.scale:g}"
    words = _pack(point, raw, WordOrder.HIGH)
    if words is None:
        return f"{value:g} does not fit into {point.type.value}"
    again = decode_point(point, words, address=point.address, word_order=WordOrder.HIGH)
    if isinstance(again, float) and math.isclose(again, value, rel_tol=1e-6, abs_tol=1e-9):
        return None
    return f"{value:g} would be read back as {again}"


def encode_point(point: Point, value: float, *, word_order: WordOrder) -> tuple[int, ...]:
    """Give the words of a value that the point can hold exactly; anything else is our own fault."""
    why = misfit(point, value)
    invariant(why is None, f"{point.name} at register {point.address} cannot be {value:g}: {why}")
    return _pack(point, value / point.scale, word_order) or ()


def scaled(raw: float, scale: float) -> float:
    """Multiply, or divide where the scale is a decimal fraction: 13100 mA is exactly 13.1 A."""
    divisor = _divisor(scale)
    return float(raw * scale) if divisor is None else raw / divisor


@cache
def _divisor(scale: float) -> int | None:
    """The whole number that a scale divides by; profiles name a handful of scales."""
    if 0.0 < abs(scale) < 1.0:
        divisor = round(1.0 / scale)
        if divisor * scale == 1.0:
            return divisor
    return None


def _no_value(raw: float) -> str:
    return f"{raw} means that the device has no value" if math.isfinite(raw) else "not a number"


def _out_of_range(point: Point, value: float) -> str | None:
    if point.least is not None and value < point.least:
        return f"{value:g} is below the device's least value {point.least:g}"
    if point.greatest is not None and value > point.greatest:
        return f"{value:g} is above the device's greatest value {point.greatest:g}"
    return None


def _text(raw: bytes) -> str | None:
    """Two characters per register, padded with zeros or blanks; None where it is not text."""
    stripped = raw.rstrip(b"\0 ").lstrip(b" ")
    if any(not 0x20 <= byte < 0x7F for byte in stripped):
        return None
    return stripped.decode("ascii")


def _pack(point: Point, raw: float, order: WordOrder) -> tuple[int, ...] | None:
    """Pack a raw value; None where the type is too small for it."""
    try:
        packed = struct.pack(_FORMATS[point.type], raw if point.type in _FLOATS else round(raw))
    except (struct.error, OverflowError):
        return None
    words = struct.unpack(f">{len(packed) // 2}H", packed)
    return words if order is WordOrder.HIGH else words[::-1]


def _picked(raw: int, mask: int) -> int:
    """Pick the bits under the mask and shift them down to its lowest bit."""
    return (raw & mask) >> ((mask & -mask).bit_length() - 1)
