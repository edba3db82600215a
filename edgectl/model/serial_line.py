"""A serial line's speed, and the time that it takes: Modbus RTU over its characters.

Source: MODBUS over Serial Line, V1.02, 2.5.1: a character is 11 bits (8 data bits, parity or a
second stop bit), frames are 3.5 characters apart, above 19,200 baud 1.75 ms.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from edgectl.model.modbus import Function, Request

_GAP_CHARACTERS: Final = 3.5
_FAST_ABOVE_BAUD: Final = 19_200
_FAST_GAP_S: Final = 0.00175

# Unit and checksum, beside function and data.
_FRAME_BYTES: Final = 3


class Parity(StrEnum):
    """The parity bit of a character."""

    NONE = "N"
    EVEN = "E"
    ODD = "O"


@dataclass(frozen=True, slots=True)
class SerialLine:
    """What everybody on the line is set to. The defaults are the standard's."""

    baud: int = 19_200
    parity: Parity = Parity.EVEN
    stop_bits: int = 1

    def __str__(self) -> str:
        return f"{self.baud} baud 8{self.parity}{self.stop_bits}"

    @property
    def character_s(self) -> float:
        """Time of one character: start bit, 8 data bits, parity bit if any, stop bits."""
        parity_bits = 0 if self.parity is Parity.NONE else 1
        return (1 + 8 + parity_bits + self.stop_bits) / self.baud

    @property
    def gap_s(self) -> float:
        """Least silence between two frames."""
        if self.baud > _FAST_ABOVE_BAUD:
            return _FAST_GAP_S
        return _GAP_CHARACTERS * self.character_s

    def wire_s(self, request: Request) -> float:
        """Time that a request and its whole answer take on the wire, with a gap after each."""
        sent, answered = frame_bytes(request)
        return (sent + answered) * self.character_s + 2.0 * self.gap_s


def frame_bytes(request: Request) -> tuple[int, int]:
    """Bytes of a request's frame and of its answer's."""
    if request.function in {Function.READ_HOLDING, Function.READ_INPUT}:
        return _FRAME_BYTES + 5, _FRAME_BYTES + 2 + 2 * request.count
    if request.function is Function.WRITE_SINGLE:
        return _FRAME_BYTES + 5, _FRAME_BYTES + 5
    return _FRAME_BYTES + 6 + 2 * len(request.words), _FRAME_BYTES + 5
