"""Values as 16-bit registers, in the orders that the vendors' documents name."""

import struct
from collections.abc import Sequence


def high_first(value: int, *, words: int) -> tuple[int, ...]:
    """Give an integer as two's complement, most significant register first."""
    raw = (value & ((1 << 16 * words) - 1)).to_bytes(2 * words, "big")
    return struct.unpack(f">{words}H", raw)


def float_high_first(value: float) -> tuple[int, int]:
    """Give an IEEE 754 single, most significant register first."""
    high, low = struct.unpack(">HH", struct.pack(">f", value))
    return high, low


def floats_high_first(values: Sequence[float]) -> tuple[int, ...]:
    """Give IEEE 754 singles one after the other, each with its most significant register first."""
    return struct.unpack(f">{2 * len(values)}H", struct.pack(f">{len(values)}f", *values))


def pairs_low_first(values: Sequence[int]) -> tuple[int, ...]:
    """Give integers as two registers each, two's complement, least significant register first."""
    return struct.unpack(f"<{2 * len(values)}H", struct.pack(f"<{len(values)}i", *values))


def ascii_words(text: str, *, words: int) -> tuple[int, ...]:
    """Give two characters a register, filled up with zeros."""
    raw = text.encode("ascii")[: 2 * words].ljust(2 * words, b"\0")
    return struct.unpack(f">{words}H", raw)


def place(image: dict[int, int], address: int, words: tuple[int, ...]) -> None:
    """Put the words into the image from `address` on."""
    for k, word in enumerate(words):
        image[address + k] = word
