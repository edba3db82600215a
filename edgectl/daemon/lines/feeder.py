"""What feeds one EVSE's watchdog beside its polls: its own register, a copied bit, its setpoint."""

import math
from collections.abc import Callable
from typing import Final

from edgectl.daemon.lines.errand import Errand, Next, Rank, Troubles, is_lost
from edgectl.daemon.lines.setpoint import Setpoint
from edgectl.devices.profile import Profile
from edgectl.devices.reads import decode
from edgectl.devices.writes import EchoPlan, KeepAlivePlan
from edgectl.model.decision import AlarmCode, Severity
from edgectl.model.modbus import Answer, Miss, Request
from edgectl.model.site import KeepAlive
from edgectl.units import EvseId

REFUSED_AGAIN_S: Final = 60.0


class Feeder:
    """Says what to send next so that the watchdog does not run out; only a lease lets it (S16).

    `heard` is told of every outcome.
    """

    def __init__(
        self,
        evse: EvseId,
        profile: Profile,
        plan: KeepAlivePlan,
        *,
        setpoint: Setpoint,
        troubles: Troubles,
        heard: Callable[[Answer | Miss], None],
    ) -> None:
        self._evse = evse
        self._profile = profile
        self._plan = plan
        self._setpoint = setpoint
        self._troubles = troubles
        self._heard = heard
        self._from_s = -math.inf
        self.begin()

    def begin(self) -> None:
        """Feed at once: it was silent, or is met for the first time."""
        self._fed_s = -math.inf
        self._looked_s = -math.inf
        self._bit: Request | None = None
        self._echoed: Request | None = None

    def next(self, now_s: float, *, leased: bool) -> Next:
        """Give the next request, or when it is due."""
        period_s = self._plan.period_s
        if not leased or period_s is None:
            return math.inf
        if self._plan.echo is not None:
            return self._copy(self._plan.echo, now_s, period_s)
        rewrites = self._plan.kind is KeepAlive.REWRITE
        if not rewrites and self._plan.request is None:
            return math.inf
        fed_s = self._setpoint.written_s if rewrites else self._fed_s
        due_s = max(fed_s + period_s, self._from_s)
        if due_s > now_s:
            return due_s
        request = self._plan.request
        if request is None:
            step = self._setpoint.again()
            if step is None:
                return math.inf
            request = step.request
        return self._errand(request, due_s, self._fed)

    def _copy(self, echo: EchoPlan, now_s: float, period_s: float) -> Next:
        """Look at the bit, and write it back when it changed or the period is over."""
        look_s = max(self._looked_s + echo.look_s, self._from_s)
        bit, write_s = self._bit, math.inf
        if bit is not None:
            write_s = self._from_s
            if bit == self._echoed:
                write_s = max(self._fed_s + period_s, write_s)
            if write_s <= now_s:
                return self._errand(bit, write_s, lambda outcome: self._fed(outcome, bit))
        if look_s <= now_s:
            return self._errand(
                echo.look.request, look_s, lambda outcome: self._looked(echo, outcome)
            )
        return min(look_s, write_s)

    def _errand(
        self, request: Request, order: float, after: Callable[[Answer | Miss], None]
    ) -> Errand:
        return Errand(
            rank=Rank.KEEPALIVE,
            order=order,
            request=request,
            timeout_s=self._profile.transport.timeout_s,
            after=after,
        )

    def _looked(self, echo: EchoPlan, outcome: Answer | Miss) -> None:
        self._heard(outcome)
        self._looked_s = outcome.sent_s
        if isinstance(outcome, Miss):
            self._refused(outcome, "a read of the bit that it wants copied")
            return
        (value,) = decode(echo.look, outcome.words).values()
        if isinstance(value, float):
            self._bit = echo.high if value != 0.0 else echo.low

    def _fed(self, outcome: Answer | Miss, bit: Request | None = None) -> None:
        self._heard(outcome)
        if isinstance(outcome, Miss):
            self._refused(outcome, "what feeds its watchdog")
            return
        self._fed_s = outcome.sent_s
        self._echoed = bit
        self._troubles.end(AlarmCode.KEEPALIVE_REFUSED, self._evse)
        if self._plan.kind is KeepAlive.REWRITE:
            self._setpoint.rewrote(outcome.sent_s)

    def _refused(self, outcome: Miss, what: str) -> None:
        if is_lost(outcome):
            return
        self._from_s = outcome.received_s + REFUSED_AGAIN_S
        self._troubles.begin(
            AlarmCode.KEEPALIVE_REFUSED,
            self._evse,
            f"{outcome.detail} to {what}; check profile {self._profile.file}",
            severity=Severity.ALARM,
        )
