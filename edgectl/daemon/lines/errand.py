"""One request as a plan: how urgent it is, what to enter before it, who takes its outcome."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Protocol, TypeAlias

from edgectl.model.decision import Alarm, AlarmCode, Severity
from edgectl.model.modbus import Answer, Miss, MissCause, Request

BUSY = frozenset({5, 6})
"""Exceptions that mean: later. 5: accepted and not ready yet; 6: busy."""

GATEWAY = frozenset({10, 11})
"""Exceptions of a gateway whose device does not answer."""

CONFIGURATION = frozenset({1, 2, 3})
"""Exceptions that another try will not change."""


class Rank(IntEnum):
    """What goes first on a line."""

    DECREASE = 0
    READBACK = 1
    INCREASE = 2
    KEEPALIVE = 3
    POLL = 4
    RETRY = 5


@dataclass(slots=True)
class Errand:
    """A request that may go out now; among equal ranks the least `order` goes first.

    `before` gets the time of sending; `after` gets what came of it. `call`: to a silent charger.
    """

    rank: Rank
    order: float
    request: Request
    timeout_s: float
    after: Callable[[Answer | Miss], None]
    before: Callable[[float], None] | None = None
    call: bool = False


Next: TypeAlias = Errand | float
"""What to send now, or when to ask again (infinite: when something changes)."""


def is_lost(miss: Miss) -> bool:
    """Whether the device said nothing of use: no answer, a broken one, or always busy."""
    if miss.cause is not MissCause.EXCEPTION:
        return True
    return miss.exception_code in BUSY | GATEWAY


class Log(Protocol):
    """The part of a structured logger that is used here."""

    def debug(self, event: str, **fields: Any) -> Any:  # noqa: ANN401 - structlog's own type
        """Say what only a search for a fault needs."""

    def info(self, event: str, **fields: Any) -> Any:  # noqa: ANN401
        """Say what is good to know."""

    def warning(self, event: str, **fields: Any) -> Any:  # noqa: ANN401
        """Say what somebody should look at."""


class Troubles:
    """What is wrong on a link right now: each said once when it begins and once when it is over."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._alarms: dict[tuple[AlarmCode, str, str], Alarm] = {}

    def begin(
        self, code: AlarmCode, id_: str, text: str, *, severity: Severity, about: str = ""
    ) -> None:
        """Say it, unless the same is being said already; `about` tells two of one code apart."""
        known = self._alarms.get((code, id_, about))
        if known is not None and known.text == text:
            self._log.debug(code, id=id_, text=text)
            return
        self._alarms[code, id_, about] = Alarm(code=code, severity=severity, id=id_, text=text)
        self._log.warning(code, id=id_, text=text)

    def __bool__(self) -> bool:
        """Whether anything is wrong now."""
        return bool(self._alarms)

    def end(self, code: AlarmCode, id_: str, *, about: str = "") -> None:
        """Say that it is over, if it was."""
        if self._alarms.pop((code, id_, about), None) is not None:
            self._log.info(code, id=id_, text="over")

    def alarms(self) -> tuple[Alarm, ...]:
        """Everything that is wrong now."""
        return tuple(self._alarms.values())
