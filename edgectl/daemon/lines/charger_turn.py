"""What is said to a silent charger in one turn on its link (S10): generators that ask and are told.

1. The one request to a silent charger is the write of the value decided for it. It does not count
   as feeding the watchdog, for whoever hears it has lowered its setpoint.
2. EVSEs behind one unit are called together: a request to one may feed the watchdogs of all.
3. Whoever answers is asked who it is, its failsafe block is compared and written, its setpoint read
   back. Only then does it count as answering.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from edgectl.daemon.lines.errand import is_lost
from edgectl.devices.codec import Value
from edgectl.devices.reads import Check, ReadBatch, decode
from edgectl.devices.writes import ArmStep, WriteStep
from edgectl.model.modbus import Answer, Miss, MissCause, Request

SIBLING_TIMEOUT_S: Final = 0.3
"""Patience with the further EVSEs of a unit that has just kept silent."""


@dataclass(frozen=True, slots=True)
class Ask:
    """The next request. `enter` gets the time of sending; `call`: it does not count as feeding."""

    request: Request
    timeout_s: float
    enter: Callable[[float], None] | None = None
    call: bool = False


Turn: TypeAlias = Generator[Ask, Answer | Miss, None]
_Going: TypeAlias = Generator[Ask, Answer | Miss, bool]


class Callee(Protocol):
    """A silent EVSE, as a turn sees it."""

    timeout_s: float

    def checks(self) -> Sequence[Check]:
        """Reads that tell who the device is, then those of its required configuration."""

    def judge(self, check: Check, outcome: Answer | Miss) -> bool:
        """Take the outcome of a check; False when nothing else may be said to the device."""

    def must_be_checked_first(self) -> bool:
        """Whether the check comes before the write: once since start, and after it has failed."""

    def call_write(self) -> WriteStep:
        """The value decided for it."""

    def enter_sent(self, step: WriteStep, sent_s: float) -> None:
        """Enter the write before it goes out."""

    def enter_fed(self, sent_s: float) -> None:
        """Enter that its watchdog may have been fed."""

    def fed_by(self, request: Request) -> bool:
        """Whether the request could feed its watchdog."""

    def wrote(self, step: WriteStep, outcome: Answer | Miss) -> None:
        """Take the outcome of the write."""

    def arming(self) -> Sequence[ArmStep]:
        """The failsafe block, in the device's order."""

    def armed(self, values: dict[str, Value], answer: Answer) -> None:
        """Take what the failsafe block says."""

    def armed_whole(self) -> None:
        """Take that the whole failsafe block is as it should be."""

    def not_armed(self, step: ArmStep, why: str, now_s: float) -> None:
        """Take that the failsafe block is not as it should be."""

    def verified(self, outcome: Answer | Miss) -> None:
        """Take the outcome of reading the setpoint back."""

    def answers_again(self, answer: Answer) -> None:
        """Take that it is no longer silent: polls and keep-alives begin."""


def call_turn(callees: Sequence[Callee]) -> Turn:  # noqa: C901 - one conversation, in its order
    """Call the silent EVSEs of one unit; ends early when nobody answers."""
    checked: dict[Request, bool] = {}
    heard: list[tuple[Callee, WriteStep, Answer]] = []
    lost: Request | None = None
    for at, callee in enumerate(callees):
        if lost is not None and not callee.fed_by(lost):
            continue
        if lost is None and callee.must_be_checked_first():
            fit = yield from _checks(callee, callee.checks()[:1], checked)
            if fit is None:
                return
            if not fit:
                continue
        step = callee.call_write()
        outcome = yield _call(callee, step, hasty=lost is not None)
        callee.wrote(step, outcome)
        if isinstance(outcome, Answer):
            heard.append((callee, step, outcome))
        elif outcome.cause is MissCause.DISCONNECTED:
            for other in callees[at + 1 :]:
                if other.fed_by(step.request):
                    other.enter_fed(outcome.sent_s)
            return
        elif is_lost(outcome):
            lost = step.request
    for callee, step, answer in heard:
        if not (yield from _begin(callee, step, answer, checked)):
            return


def rearm_turn(callee: Callee) -> Turn:
    """Compare the failsafe block of an answering EVSE and write what differs."""
    yield from _arm(callee)


def _call(callee: Callee, step: WriteStep, *, hasty: bool) -> Ask:
    return Ask(
        request=step.request,
        timeout_s=min(callee.timeout_s, SIBLING_TIMEOUT_S) if hasty else callee.timeout_s,
        enter=lambda sent_s: callee.enter_sent(step, sent_s),
        call=True,
    )


def _begin(callee: Callee, step: WriteStep, answer: Answer, checked: dict[Request, bool]) -> _Going:
    fit = yield from _checks(callee, callee.checks(), checked)
    if not fit:
        return fit is not None
    goes_on, answer = yield from _newest_answer(_arm(callee), answer)
    if not goes_on:
        return False
    if step.readback is not None:
        outcome = yield Ask(request=step.readback.request, timeout_s=callee.timeout_s)
        callee.verified(outcome)
        if isinstance(outcome, Answer):
            answer = outcome
        elif is_lost(outcome):
            return False
    callee.answers_again(answer)
    return True


def _newest_answer(
    part: _Going, answer: Answer
) -> Generator[Ask, Answer | Miss, tuple[bool, Answer]]:
    """Go through a part of a turn, which may be slow: whether it goes on, and the newest answer."""
    try:
        ask = next(part)
        while True:
            outcome = yield ask
            if isinstance(outcome, Answer):
                answer = outcome
            ask = part.send(outcome)
    except StopIteration as end:
        return bool(end.value), answer


def _checks(
    callee: Callee, checks: Sequence[Check], checked: dict[Request, bool]
) -> Generator[Ask, Answer | Miss, bool | None]:
    """Read what the device must say; None when it keeps silent, False when it says otherwise."""
    for check in checks:
        request = check.batch.request
        if request not in checked:
            outcome = yield Ask(request=request, timeout_s=callee.timeout_s)
            if isinstance(outcome, Miss) and is_lost(outcome):
                return None
            checked[request] = callee.judge(check, outcome)
        if not checked[request]:
            return False
    return True


def _arm(callee: Callee) -> _Going:
    """Compare, write where different, read again; False when the device fell silent."""
    whole = True
    for step in callee.arming():
        holds: bool | None = False
        if step.read is not None:
            holds = yield from _look(callee, step, step.read)
        if holds is False:
            holds = yield from _write_block(callee, step)
        if holds is None:
            return False
        whole = whole and holds
    if whole:
        callee.armed_whole()
    return True


def _write_block(callee: Callee, step: ArmStep) -> Generator[Ask, Answer | Miss, bool | None]:
    outcome = yield Ask(request=step.request, timeout_s=callee.timeout_s)
    if isinstance(outcome, Miss):
        if is_lost(outcome):
            return None
        callee.not_armed(step, outcome.detail, outcome.received_s)
        return False
    if step.read is None:
        return True
    holds = yield from _look(callee, step, step.read)
    if holds is False:
        callee.not_armed(step, "it does not keep what is written", outcome.received_s)
    return holds


def _look(
    callee: Callee, step: ArmStep, batch: ReadBatch
) -> Generator[Ask, Answer | Miss, bool | None]:
    outcome = yield Ask(request=batch.request, timeout_s=callee.timeout_s)
    if isinstance(outcome, Miss):
        if is_lost(outcome):
            return None
        callee.not_armed(step, f"it cannot be read, {outcome.detail}", outcome.received_s)
        return False
    values = decode(batch, outcome.words)
    callee.armed(values, outcome)
    return step.holds(values)
