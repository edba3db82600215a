from array import array
from typing import Final, final

from edgectl.model.reading import EvseSample
from edgectl.units import Triple

MOST_READINGS: Final[int]

@final
class Sums:
    known_s: Final[array[float]]
    committed_a: Final[array[float]]
    def __init__(
        self,
        start: array[int],
        below: array[int],
        own: array[int],
        parent: array[int],
        kind: array[int],
        turn: array[int],
        scale: array[float],
    ) -> None: ...
    def begin(self) -> None: ...
    def unread(self, i: int, wired: Triple, committed_a: float) -> None: ...
    def read(
        self,
        i: int,
        wired: Triple,
        committed_a: float,
        samples: tuple[EvseSample, ...],
        refresh_s: float,
        back_to_s: float,
        line_to_line: bool,
    ) -> None: ...
    def finish(self) -> None: ...
    def bounds(
        self, n: int, before_s: float, taken_s: float, s4_base: bool
    ) -> tuple[Triple, Triple, bool]: ...
    def newest(
        self, n: int, before_s: float, taken_s: float, s4_base: bool
    ) -> tuple[Triple, Triple]: ...
    def bounds_by_kind(
        self, n: int, before_s: float, taken_s: float, s4_base: bool
    ) -> tuple[tuple[float, ...], tuple[float, ...], bool]: ...
    def newest_by_kind(
        self, n: int, before_s: float, taken_s: float, s4_base: bool
    ) -> tuple[tuple[float, ...], tuple[float, ...]]: ...
