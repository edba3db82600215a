"""The words that everything is said in: ids, phases, units.

Inside the program: W, A, V, VA, Wh, s as floats, the unit as the last part of the name. Power drawn
is positive, power fed back is negative. `None` never means zero and zero never means unlimited.
"""

from typing import Final, Literal, NewType, TypeAlias

NodeId = NewType("NodeId", str)
EvseId = NewType("EvseId", str)
MeterId = NewType("MeterId", str)
LinkId = NewType("LinkId", str)
ProgramId = NewType("ProgramId", str)
EventId = NewType("EventId", str)
CommandId = NewType("CommandId", str)

Phase: TypeAlias = Literal[1, 2, 3]
PHASES: Final[tuple[Phase, Phase, Phase]] = (1, 2, 3)

Triple: TypeAlias = tuple[float, float, float]
"""One value for each site phase L1, L2, L3."""

OptionalTriple: TypeAlias = tuple[float | None, float | None, float | None]
"""One value for each site phase; `None` where there is none (not measured, no limit)."""

W_PER_KW: Final = 1000.0
S_PER_H: Final = 3600.0
